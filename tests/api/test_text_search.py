"""全文查找: what a list finds by words is exactly what has them, whatever letters they are of, however long ago, beside every other filter."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import event, text
from sqlmodel import Session

from hotline.desks.grams import SPANS, blocks, kept_of, wanted
from tests import world as w
from tests.api.conftest import Api
from tests.api.test_lists import numbers

LONG: Final = "测试来电：" + "路面坑洼不平，" * 400 + "尽头是煊赫门牌ＡＢ座。"
TEXTS: Final = (
    ("2024-03-04 09:00", "暖气不热", "测试来电：虎台小区12号楼暖气不热，室温14℃。"),
    ("2024-11-04 09:00", "Wi-Fi 故障", "测试来电：公交ABC12路 WI-FI 连不上，100%_失败\\n。"),
    ("2025-12-01 09:00", "路面坑洼", LONG),
    (
        "2026-01-20 09:00",
        "虎台小区停车",
        "测试来电：İstanbul路与ISTANBUL路口，\u212aelvin酒店门口ΣΑΣ、Straße。",
    ),
    ("2026-02-24 09:00", "𠮷野家噪音😀扰民", "测试来电：𠮷野家夜间噪音，物业说“不管”。\n第二段：暖气 不热。"),
    ("2026-02-26 09:00", "虎台小区暖气漏水", "测试来电：虎台小区地下室暖气管漏水，水漫到2号楼。"),
)
WORDS: Final = (
    *("暖气", "虎台小区", "台小", "不热", "暖气不热", "气 不", "不热。", "煊", "煊赫", "门牌ＡＢ座", "ａｂ", "的", "水", "１"),
    *("1", "12", "12号楼", "14℃", "wi-fi", "WI-FI 连", "abc12", "ABC12路", "100%_", "%", "_", "\\", "\\n", "n。"),
    *("𠮷", "𠮷野", "😀", "😀扰", "段：暖", "istanbul", "İstanbul", "kelvin", "\u212aelvin", "σασ", "ΣΑΣ", "strasse", "straße"),
    *("“不", "来电：", "测试来电：虎台小区", "查无此词", "小台", "路面坑洼不平，路面坑洼不平，路面坑洼不平，路面坑洼不平，尽头"),
)  # fmt: skip


@pytest.fixture
def told(api: Api) -> Api:
    for at, title, content in TEXTS:
        api.at(at).take("help", title=title, content=content, caller={})
    api.take("help", login="b-agent", title="虎台小区暖气", content="测试来电：别的平台的暖气。", caller={})
    last = api.at("2026-03-02 09:00").take(title="虎台小区暖气", content="测试来电：暖气不热。", caller={})
    api.act(last, "dispatch", "dispatcher", {"lead": "ZJJ"})
    return api


@pytest.fixture
def statements(api: Api) -> Iterator[list[str]]:
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        sent.append(statement)

    event.listen(api.world.engine, "before_cursor_execute", note)
    yield sent
    event.remove(api.world.engine, "before_cursor_execute", note)


def by_reading(api: Api, words: str, of: str = "") -> list[str]:
    """The numbers of the platform's tickets that PostgreSQL finds by reading every text, the newest first."""
    escaped = words.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    statement = (
        "SELECT number FROM tickets t WHERE platform_id = (SELECT id FROM platforms WHERE code = '01')"
        f" AND (title ILIKE :like OR content ILIKE :like) {of} ORDER BY received_at DESC, id DESC"
    )
    with api.world.engine.connect() as connection:
        return list(connection.execute(text(statement), {"like": f"%{escaped}%"}).scalars())


def test_exactly_what_has_the_words_is_found_in_order_and_in_pages(told: Api) -> None:
    for words in WORDS:
        expected = by_reading(told, words)
        assert numbers(told, "agent", text=words, limit=3) == expected, words
        assert set(numbers(told, "agent", text=words, sort="due")) == set(expected), words
    assert len(by_reading(told, "暖气")) == 4
    assert by_reading(told, "煊赫")  # beyond the first 2,000 characters
    assert by_reading(told, "abc12路 wi-fi")


def test_beside_other_filters_and_for_those_who_see_less(told: Api) -> None:
    (mine,) = by_reading(told, "暖气", "AND state = 'dispatched'")
    assert numbers(told, "ZJJ", text="暖气") == [mine]
    assert numbers(told, "JTJ", text="暖气") == []
    assert numbers(told, "agent", text="暖气", unit="ZJJ") == [mine]
    assert numbers(told, "agent", text="虎台", state="accepted") == by_reading(
        told, "虎台", "AND state = 'accepted'"
    )
    since, until = "2024-01-01T00:00:00+08:00", "2026-02-26T00:00:00+08:00"
    found = numbers(told, "agent", text="暖气", received_from=since, received_to=until)
    assert found == by_reading(told, "暖气", f"AND received_at < '{until}'")
    assert len(numbers(told, "b-agent", text="暖气")) == 1


def test_what_is_hidden_later_is_found_by_what_is_left(api: Api) -> None:
    number = api.take(title="违建", content="来电：测某丙家违建，煊赫路。", caller={"name": "测某丙"})
    assert numbers(api, "agent", text="煊赫") == [number]
    api.act(number, "keep_confidential", "agent", {"reason": "测试保密"})
    assert numbers(api, "agent", text="测某丙") == []
    assert numbers(api, "agent", text="煊赫") == [number]


def test_a_list_reads_the_newest_first_and_goes_on_only_as_far_as_it_must(
    told: Api, statements: list[str]
) -> None:
    def looked(words: str, limit: int) -> int:
        statements.clear()
        told.get("/tickets", "agent", params={"text": words, "limit": limit})
        return sum("FROM likeness" in one for one in statements)

    assert looked("虎台小区暖气", 1) == 2  # one within the newest day, two within a week
    told.take("help", title="虎台小区暖气", content="测试来电：暖气。", caller={})
    assert looked("虎台小区暖气", 1) == 1  # two within the newest day
    assert looked("查无此词", 50) == 3  # none in a day, none in 64 weeks
    assert looked("虎台小区", 2) == 2  # two in a day, and a week may have the third


def test_every_text_has_what_is_looked_for_in_it() -> None:
    at = w.china("2026-03-02 09:00")
    for _, title, content in TEXTS:
        kept = set(kept_of(title, content, at))
        for body in (title, content):
            for length in (1, 2, 3, 7, 40):
                for start in range(0, len(body) - length + 1, 1 + len(body) // 300):
                    piece = body[start : start + length]
                    for words in (piece, piece.lower(), piece.upper() if piece.isascii() else piece):
                        assert kept.issuperset(wanted(words)), words
    assert wanted("é") == wanted("的") == []
    assert len(wanted("煊")) == 1
    assert wanted("ABC") == wanted("abc")
    assert len(wanted("路面坑洼不平" * 9 + "一二三四五六七八九十甲乙丙丁")) <= 12


def test_blocks_cover_what_lies_between_two_instants() -> None:
    at = w.china("2026-03-02 09:00")
    for days in SPANS:
        lately = set(blocks(at - timedelta(days=days), at, days))
        for back in range(days + 1):
            assert lately & set(kept_of("甲", "乙", at - timedelta(days=back)))


def test_pairs_from_before_are_made_anew_by_the_migration(told: Api) -> None:
    """What the migration keeps of old rows is what a new ticket keeps."""
    from importlib import util

    spec: Any = util.spec_from_file_location("m0010", "migrations/versions/0010_text_search.py")
    with Session(told.world.engine) as session:
        before = session.execute(text("SELECT ticket_id, grams FROM likeness ORDER BY 1")).all()
        session.execute(text("TRUNCATE likeness"))
        migration = util.module_from_spec(spec)
        spec.loader.exec_module(migration)
        migration.keep_all(session.connection().connection.cursor())
        assert session.execute(text("SELECT ticket_id, grams FROM likeness ORDER BY 1")).all() == before
