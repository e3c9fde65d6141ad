"""Finding knowledge over HTTP: what the actor's platform sees, as typed, while the index is there and while it is not. Art. 14(2), 21."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlmodel import Session

from api import scheduler
from api.wiring import Runtime, system_clock
from hotline.storage.store import make_engine
from knowledge_base import library
from knowledge_base.library import Library
from knowledge_base.models import KnowledgeChange, MissedSearch
from knowledge_base.search.disk import Writer
from tests import world as w
from tests.api.conftest import Api
from tests.knowledge_base import shelf

AT = w.china("2026-03-01 09:00")


def runtime(api: Api) -> Runtime:
    found: Runtime = api.client.app.state.runtime  # type: ignore[attr-defined]
    return found


def follow(api: Api) -> int:
    """What the ticker does every second, until it finds nothing."""
    (job,) = [each for each in scheduler.JOBS if each.name == "follow_knowledge"]
    return scheduler.run(runtime(api), job)


def catch_up(api: Api) -> None:
    """Follow until the index is current: a search on the way may have begun it in the background."""
    until = time.monotonic() + 20
    with Session(api.world.engine) as session:
        while not runtime(api).library.is_current(session):
            follow(api)
            session.rollback()
            assert time.monotonic() < until


def find(api: Api, q: str = "", login: str = "agent", **params: Any) -> Any:
    answer = api.get("/knowledge/search", login, params={"q": q} | params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def names(found: Any) -> list[str]:
    return [item["name"] for item in found["items"]]


@pytest.fixture
def shelved(api: Api) -> dict[str, str]:
    """A small knowledge base of three platforms, indexed."""
    put = shelf.publish
    world = api.world
    found = {
        "fund": put(
            world, AT, "公积金异地提取需要哪些材料？", "身份证、购房合同。", unit="ZJJ", categories=["010101"]
        ),
        "heat": put(world, AT, "供暖室温标准是多少度？", "卧室不低于18℃。", synonyms=["暖气不热"]),
        "old": put(world, AT, "供暖补贴怎么领取？", "向社区申领。", valid_until="2026-03-01"),
        "province": put(world, AT, "身份证丢失如何补办？", "到任一派出所办理，20个工作日。", prefix="p-"),
        "theirs": put(world, AT, "二市供暖时间？", "十月十五日起。", prefix="b-"),
    }
    assert follow(api) > 0
    return found


def test_three_words_find_the_answer(api: Api, shelved: dict[str, str]) -> None:
    page = find(api, "公积金 异地 材料")
    assert page["source"] == "index"
    first = page["items"][0]
    assert first["name"] == shelved["fund"]
    assert first["unit"] == "ZJJ"
    assert first["validity"] == "valid"
    said = first["question"]["text"]
    marked = {said[start:end] for start, end in first["question"]["marks"]}
    assert any("公积金" in each for each in marked), marked
    assert page["took_ms"] > 0
    assert page["items"][0]["snippet"]["part_label"]


def test_as_it_is_typed(api: Api, shelved: dict[str, str]) -> None:
    for typed in ("供暖室", "gongjijin", "gjj", "暖气不热"):
        assert find(api, typed, typing=True)["items"], typed
    assert names(find(api, "gjj"))[0] == shelved["fund"]
    assert names(find(api, "暖气不热"))[0] == shelved["heat"]


def test_everybody_sees_their_platform_and_those_above(api: Api, shelved: dict[str, str]) -> None:
    assert shelved["theirs"] not in names(find(api, "供暖时间"))
    assert names(find(api, "供暖时间", "b-agent"))[0] == shelved["theirs"]
    for login in ("agent", "b-agent", "p-agent", "ZJJ"):
        assert names(find(api, "身份证补办", login))[0] == shelved["province"], login
    assert shelved["heat"] not in names(find(api, "供暖室温", "p-agent"))


def test_an_expired_article_is_marked_and_never_first(api: Api, shelved: dict[str, str]) -> None:
    found = find(api, "供暖补贴")
    by_name = {item["name"]: (place, item["validity"]) for place, item in enumerate(found["items"])}
    place, validity = by_name[shelved["old"]]
    assert validity == "expired"
    assert place > 0
    assert found["items"][0]["validity"] == "valid"


def test_filters(api: Api, shelved: dict[str, str]) -> None:
    assert names(find(api, "材料", unit="ZJJ")) == [shelved["fund"]]
    assert names(find(api, "公积金", category="0101")) == [shelved["fund"]]
    assert names(find(api, "公积金", category="02")) == []
    assert shelved["fund"] in names(find(api, "公积金", area="630104000000"))
    assert names(find(api, "公积金", area="630200000000")) == []


def test_a_local_override_comes_before_the_province_article(api: Api, shelved: dict[str, str]) -> None:
    source = int(shelved["province"].split("@")[0])
    local = shelf.publish(
        api.world, AT, "补证件去哪里", "到市民中心办理。", source=source, relation="overrides"
    )
    adds = shelf.publish(
        api.world, AT, "身份证丢失补办的邮寄服务", "可邮寄到家。", source=source, relation="adds"
    )
    follow(api)
    found = find(api, "身份证丢失如何补办")
    order = names(found)
    assert order.index(local) + 1 == order.index(shelved["province"])
    marked = {item["name"]: item for item in found["items"]}
    assert marked[shelved["province"]]["overridden_by"] == local
    assert marked[local]["relation"] == "overrides"
    assert marked[adds]["relation_label"] == "本地补充"
    elsewhere = find(api, "身份证丢失如何补办", "b-agent")
    assert names(elsewhere)[0] == shelved["province"]
    assert elsewhere["items"][0]["overridden_by"] is None


def test_an_empty_box_shows_the_most_told(api: Api, shelved: dict[str, str]) -> None:
    demand = w.demand().model_dump(mode="json", exclude_none=True)
    for name, times in ((shelved["heat"], 3), (shelved["fund"], 1)):
        for _ in range(times):
            assert api.post(f"/knowledge/{name}/tell", "agent", {"demand": demand}).status_code == 201
    with Session(api.world.engine) as session:
        runtime(api).library.refresh_popularity(session, api.now)
    page = find(api)
    assert page["popular"]
    assert names(page)[:2] == [shelved["heat"], shelved["fund"]]
    assert page["items"][0]["popularity"] == 3


def test_corrected_and_withdrawn_are_followed(api: Api, shelved: dict[str, str]) -> None:
    article = int(shelved["heat"].split("@")[0])
    newer = shelf.publish(api.world, AT, "供暖室温标准是多少度？", "卧室不低于20℃。", article=article)
    stale = find(api, "供暖室温标准")["items"][0]
    assert (stale["name"], stale["snippet"]["text"]) == (newer, "卧室不低于20℃。")  # never the old answer
    catch_up(api)
    assert names(find(api, "供暖室温标准"))[0] == newer
    shelf.withdraw(api.world, AT, newer)
    assert newer not in names(find(api, "供暖室温标准"))  # also before the index knows
    catch_up(api)
    assert follow(api) == 0
    assert newer not in names(find(api, "供暖室温标准"))


# --- without an index, with a foreign one, with another writer ---------------------------------------------------------


def test_without_an_index_the_database_answers_and_says_so(api: Api) -> None:
    fund = shelf.publish(api.world, AT, "公积金异地提取需要哪些材料？", "身份证。")
    page = find(api, "公积金 材料")
    assert (page["source"], names(page)) == ("database", [fund])
    assert "索引正在建立" in page["notice"]
    _until(lambda: find(api, "公积金 材料")["source"] == "index")
    assert names(find(api, "公积金 材料")) == [fund]


def _until(condition: Any) -> None:
    import time

    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("not within ten seconds")


@pytest.mark.parametrize("harm", ["missing", "corrupt"])
def test_a_harmed_index_is_rebuilt(api: Api, shelved: dict[str, str], harm: str) -> None:
    folder = runtime(api).library.folder
    if harm == "missing":
        shutil.rmtree(folder)
    else:
        for path in folder.rglob("*"):
            if path.is_file() and path.name not in ("CURRENT", "LOCK", "BROKEN"):
                path.write_bytes(b"\x00" * 40)
    runtime(api).library = Library(folder)  # as another process, or this one after a restart, finds it
    page = find(api, "供暖室温标准")
    assert names(page)[:1] == [shelved["heat"]] or page["source"] == "database"
    _until(lambda: follow(api) == 0 and find(api, "供暖室温标准")["source"] == "index")
    assert names(find(api, "供暖室温标准"))[0] == shelved["heat"]


def test_an_index_of_another_database_is_not_believed(api: Api, shelved: dict[str, str]) -> None:
    with Session(
        api.world.engine
    ) as session:  # as after a restore from a backup: the last change never happened here
        change = session.execute(
            select(KnowledgeChange).order_by(KnowledgeChange.id.desc()).limit(1)  # type: ignore[attr-defined]
        ).scalar_one()
        session.execute(
            text("UPDATE knowledge_changes SET version = version + 7 WHERE id = :id"), {"id": change.id}
        )
        session.commit()
    with Session(api.world.engine) as session:
        assert runtime(api).library.behind(session) is None
    page = find(api, "供暖室温标准")
    assert page["source"] == "database"
    _until(lambda: find(api, "供暖室温标准")["source"] == "index")


def test_one_writer_a_machine(api: Api, shelved: dict[str, str]) -> None:
    shelf.publish(api.world, AT, "新的一条知识", "口径。")
    with Writer(runtime(api).library.folder):
        assert follow(api) == 0
        assert names(find(api, "供暖室温标准"))[0] == shelved["heat"]
        assert find(api, "供暖")["behind"] == 1
    _until(lambda: follow(api) == 0 and find(api, "新的一条知识")["behind"] == 0)
    assert len(find(api, "新的一条知识")["items"]) >= 1


# --- what was not found ------------------------------------------------------------------------------------------------


def misses(api: Api) -> list[tuple[str, int]]:
    with Session(api.world.engine) as session:
        return [(miss.query, miss.times) for miss in session.execute(select(MissedSearch)).scalars()]


def test_a_search_without_a_result_is_counted_masked(api: Api, shelved: dict[str, str]) -> None:
    for login in ("agent", "editor"):
        find(api, "无人驾驶飞艇  登记 13900000001", login, typing=False)
        find(api, "无人驾驶飞艇 登记 13900000001", login, typing=False)
    find(api, "无人驾驶飞艇续")
    find(api, "公积金", typing=False)
    ((query, times),) = misses(api)
    assert times == 2, "once a person"
    assert "13900000001" not in query
    assert query.startswith("无人驾驶飞艇 登记")
    find(api.at("2026-03-03 09:00"), "无人驾驶飞艇 登记 13900000001", typing=False)
    assert sorted(times for _, times in misses(api)) == [1, 2], "and day"
    find(api, "鼋" * 250, typing=False)
    assert max(len(query) for query, _ in misses(api)) == 100


def test_what_hardly_answers_is_a_miss_and_what_says_it_in_other_words_is_none(
    api: Api, shelved: dict[str, str]
) -> None:
    for said in ("暖气不热", "暖气室温多少度", "gongjijin", "身份证丢了"):
        assert find(api, said, typing=False)["items"], said
    assert misses(api) == []
    shelf.publish(api.world, AT, "道路运输经营许可怎么办理", "到交通运输局窗口办理。")
    catch_up(api)
    assert find(api, "动物园爬行动物饲养许可怎么办理", typing=False)["items"]
    assert [query for query, _ in misses(api)] == ["动物园爬行动物饲养许可怎么办理"]


def test_who_finds_no_answer_among_the_hits_says_so_once(api: Api, shelved: dict[str, str]) -> None:
    report = {"query": "供暖费可以分期吗 13900000001"}
    first = api.post("/knowledge/misses", "agent", report).json()
    assert (first["counted"], "13900000001" in first["query"]) == (True, False)
    assert api.post("/knowledge/misses", "agent", report).json()["counted"] is False
    assert find(api, report["query"], typing=False)["items"]
    assert misses(api) == [(first["query"], 1)]
    assert api.post("/knowledge/misses", "ZJJ", report).json()["counted"] is True
    assert misses(api) == [(first["query"], 2)]
    assert api.post("/knowledge/misses", "agent", {"query": "\u0000\u0000a"}).status_code == 422


def test_nothing_is_counted_while_there_is_no_index(api: Api) -> None:
    find(api, "没有的事情", typing=False)
    assert misses(api) == []


# --- a real server -----------------------------------------------------------------------------------------------------


@contextmanager
def ticking(api: Api) -> Iterator[None]:
    """The ticker beside the app, on the real clock: with another its library counts every second up to now."""
    running = Runtime(
        runtime(api).settings,
        make_engine(str(api.world.engine.url.render_as_string(hide_password=False))),
        api.world.office,
        system_clock,
    )
    ticker = scheduler.start(running)
    try:
        yield
    finally:
        ticker.shutdown()
        running.library.close()
        running.engine.dispose()


def test_published_is_found_within_two_seconds(api: Api, shelved: dict[str, str]) -> None:
    import time

    with ticking(api):
        for number in range(3):
            name = shelf.publish(api.world, AT, f"极光观测许可第{number}类", "口径。")
            published = time.monotonic()
            while names(find(api, f"极光观测许可第{number}类", typing=True))[:1] != [name]:
                assert time.monotonic() - published < 2, "not found within two seconds"
                time.sleep(0.05)


def test_whatever_is_typed_is_answered(api: Api, shelved: dict[str, str]) -> None:
    for typed in (
        '"(*:*) AND',
        "a" * 300,
        "％＿\\%",
        "\u0000供暖",
        "😀",
        "18℃",
        "   ",
        "供暖\n室温",
        "'; DROP",
    ):
        assert api.get("/knowledge/search", "agent", params={"q": typed}).status_code in (200, 422), typed
    assert api.get("/knowledge/search", "agent", params={"q": "a" * 301}).status_code == 422


def test_an_index_is_built_from_more_articles_than_are_read_at_once(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library, "_STREAM", 2)
    put = [shelf.publish(api.world, AT, f"第{n}类许可怎么办理", "到窗口办理。") for n in "甲乙丙丁戊"]
    assert follow(api) == len(put)
    assert set(names(find(api, "许可怎么办理"))) == set(put)
