"""The packs: quoted word for word, tightened by prefectures, refused where they loosen, versioned by content."""

from datetime import date
from typing import Any

import pytest

from workflow.errors import OrderInvalid, PackInvalid
from workflow.statute import articles, as_rows, cite, load, parse
from workflow.vocabulary import ClockKind, Level, Matter

LAW = load()
ROWS = [
    *LAW.limits,
    *LAW.ceilings,
    *LAW.refusal_grounds.values(),
    *LAW.extension_reasons.values(),
]
BASE: dict[str, dict[str, Any]] = {
    row.id: row.model_dump(mode="json", exclude_none=True) for row in LAW.limits
}


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) or (isinstance(value, str) and value[:2] == "20" and value.count("-") == 2):
        return str(value)
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    return f'"{value}"'


def table(kind: str, /, **row: Any) -> str:
    lines = "\n".join(f"{key} = {toml(value)}" for key, value in row.items())
    return f"[[{kind}]]\n{lines}\n"


def pack(*tables: str, extends: str | None = "qinghai-2022", since: str = "2026-03-01") -> str:
    under = f'extends = "{extends}"\n' if extends else ""
    head = f'[pack]\nid = "test"\nname = "测试细则"\ndocument = "测〔2026〕1号"\nsince = {since}\n{under}'
    return head + "".join(tables)


def limit(row_id: str, **changes: Any) -> str:
    row = BASE[row_id] | {"article": "40", "text": "细则。", "since": "2026-03-01"} | changes
    return table("limit", **{k: v for k, v in row.items() if v is not None})


def parameter(name: str, value: Any, tighter: str = "any") -> str:
    return table("parameter", name=name, value=value, tighter=tighter, article="40", text="细则。")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{type(row).__name__}-{row.article}-{row.text[:12]}")
def test_each_row_quotes_its_article_word_for_word(row: Any) -> None:
    assert row.text in articles()[row.article]


def test_the_pack_has_every_limit_of_the_clock_table() -> None:
    lengths = {row.id: (row.length, row.unit, row.extendable, row.chosen) for row in LAW.limits}
    assert lengths == {
        "form_and_transfer": (24, "natural_hour", False, False),
        "report_up": (24, "natural_hour", False, False),
        "return": (1, "working_day", False, False),
        "reply.inquiry": (2, "working_day", True, False),
        "reply.inquiry.complex": (5, "working_day", True, False),
        "reply.help": (2, "working_day", True, False),
        "reply.help.complex": (5, "working_day", True, False),
        "reply.suggestion": (5, "working_day", True, False),
        "reply.complaint": (10, "working_day", True, False),
        "reply.tipoff": (15, "working_day", True, False),
        "supplement": (3, "working_day", False, True),
        "callback": (5, "working_day", False, False),
        "redo": (10, "working_day", False, True),
        "knowledge_update": (2, "working_day", False, False),
        "period_report": (5, "nth_working_day", False, False),
        "annual_report": (115, "fixed_date", False, False),
        "recording_retention": (1, "year", False, False),
    }
    assert LAW.ceiling("extension", date(2026, 3, 1)).length == 10
    assert len(LAW.refusal_grounds) == 7
    assert [g.key for g in LAW.refusal_grounds.values() if g.transfer_instead] == ["5"]
    assert len(as_rows(LAW)) == len(LAW.limits)


def test_an_unknown_ground_or_reason_is_told_the_known_ones() -> None:
    with pytest.raises(OrderInvalid, match="不属本行政区域"):
        LAW.refusal_ground("8")
    with pytest.raises(OrderInvalid, match="办理难度大"):
        LAW.extension_reason("busy")


def test_citations() -> None:
    assert cite("14(5)") == "第十四条第（五）项"
    assert cite("40") == "第四十条"
    assert cite("10(1)") == "第十条第（一）项"
    assert len([a for a in articles() if "(" not in a]) == 40


def complaint(law: Any, on: str) -> int:
    return int(law.limit(ClockKind.REPLY, date.fromisoformat(on), Matter.COMPLAINT).length)


def test_a_prefecture_pack_that_tightens_loads_and_leaves_older_tickets_their_limit() -> None:
    law = parse(pack(limit("reply.complaint", length=7), parameter("callback_attempts", 4)))
    assert [complaint(law, d) for d in ("2022-08-02", "2026-02-28", "2026-03-01", "2030-01-01")] == [
        10,
        10,
        7,
        7,
    ]
    assert law.number("callback_attempts") == 4
    assert law.limit(ClockKind.REPLY, date(2026, 3, 1), Matter.TIPOFF).length == 15
    assert {row.id for row in law.limits} == {row.id for row in LAW.limits}


def test_where_a_prefecture_row_ends_the_province_s_row_returns() -> None:
    law = parse(
        pack(
            limit("reply.complaint", length=7, until="2026-07-01"),
            limit("reply.complaint", length=8, since="2027-01-01", until="2028-01-01"),
        )
    )
    days = ("2026-02-28", "2026-03-01", "2026-06-30", "2026-07-01", "2026-12-31", "2027-01-01", "2028-01-01")
    assert [complaint(law, d) for d in days] == [10, 7, 7, 10, 10, 8, 10]
    covering = [r for r in law.limits if r.id == "reply.complaint" and r.in_force(date(2026, 8, 1))]
    assert len(covering) == 1


def test_a_row_from_the_first_day_replaces_the_province_s() -> None:
    law = parse(pack(limit("reply.complaint", length=7, since="2022-08-02")))
    assert complaint(law, "2022-08-02") == 7
    assert len([r for r in law.limits if r.id == "reply.complaint"]) == 1


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (limit("reply.complaint", length=11), "reply.complaint"),
        (limit("callback", length=6), "callback"),
        (limit("form_and_transfer", length=25), "form_and_transfer"),
        (limit("annual_report", length=116), "annual_report"),
        (limit("supplement", extendable=True), "supplement"),
        (limit("return", duty=True), "return"),
        (limit("reply.complaint", length=9, unit="natural_hour"), "reply.complaint"),
        (limit("reply.complaint", matter="tipoff"), "reply.complaint"),
        (limit("reply.complaint", party="platform"), "reply.complaint"),
        (
            table(
                "ceiling",
                id="extension",
                length=11,
                unit="working_day",
                article="40",
                text="x",
                since="2026-03-01",
            ),
            "extension",
        ),
        (parameter("callback_attempts", 2), "callback_attempts"),
        (parameter("upheld_returns_before_coordination", 3), "upheld_returns_before_coordination"),
        (parameter("flags_before_accountability", 4), "flags_before_accountability"),
        (parameter("flag_window_days", 30), "flag_window_days"),
        (parameter("no_such_parameter", 1), "no_such_parameter"),
        (parameter("callback_attempts", "4"), "callback_attempts"),
        (
            table("dispatch_level", platform="province", units=["province", "town"], article="40", text="x"),
            "province",
        ),
        (table("refusal_ground", key="8", label="忙", article="40", text="x"), "refusal_ground"),
        (table("extension_reason", key="busy", label="忙", article="40", text="x"), "extension_reason"),
    ],
)
def test_a_pack_that_loosens_is_refused_naming_the_row(text: str, field: str) -> None:
    with pytest.raises(PackInvalid) as caught:
        parse(pack(text))
    assert (caught.value.field, caught.value.article) == (field, "40")
    assert not caught.value.message.isascii()


def test_retention_may_only_be_lengthened() -> None:
    assert (
        parse(pack(limit("recording_retention", length=3, tighter="larger")))
        .limit(ClockKind.RECORDING_RETENTION, date(2026, 3, 1))
        .length
        == 3
    )


def test_fewer_dispatch_levels_are_a_tightening() -> None:
    rows = table("dispatch_level", platform="prefecture", units=["county"], article="40", text="x")
    assert parse(pack(rows)).dispatch_levels[Level.PREFECTURE] == {Level.COUNTY}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[pack", "TOML"),
        (pack(limit("reply.complaint", length=0)), "limit.0.length"),
        (pack(limit("reply.complaint", until="2026-03-01")), "until"),
        (pack(limit("reply.complaint", lenght=7)), "lenght"),
        (
            pack(limit("reply.complaint", length=7), limit("reply.complaint", length=6, since="2026-05-01")),
            "重叠",
        ),
        (pack(limit("reply.complaint", length=7), limit("reply.complaint", length=7)), "重叠"),
        (pack(limit("reply.complaint", id="reply.nothing", length=7)), "reply.nothing"),
        (pack(limit("reply.complaint", length=7, since="2020-01-01")), "reply.complaint"),
        (pack(parameter("day_end", "25:00", "smaller")), "day_end"),
        (pack(parameter("day_end", "18", "smaller")), "day_end"),
        (pack(table("holiday", name="x")), "holiday"),
        (pack(extends="no-such-pack"), "no-such-pack"),
        ("", "pack"),
    ],
)
def test_a_malformed_pack_is_refused(text: str, words: str) -> None:
    with pytest.raises(PackInvalid, match=words.replace(".", r"\.")):
        parse(text)


def test_a_pack_cannot_be_found_by_a_path() -> None:
    with pytest.raises(PackInvalid):
        load("../statute")


def test_the_version_is_the_content_s() -> None:
    one = parse(pack(limit("reply.complaint", length=7)))
    again = parse(pack(limit("reply.complaint", length=7)))
    other = parse(pack(limit("reply.complaint", length=6)))
    reworded = parse(pack(limit("reply.complaint", length=7, text="别的话。")))
    assert one.version == again.version
    assert len({LAW.version, one.version, other.version, reworded.version}) == 4
    assert one.version.startswith(LAW.version + "+test@")
    assert len(one.version) <= 120


def test_a_neighbour_s_rules_3_7_15_are_a_pack_of_their_own() -> None:
    lengths = {
        "reply.inquiry": 3,
        "reply.help": 3,
        "reply.suggestion": 7,
        "reply.complaint": 7,
        "reply.tipoff": 15,
    }
    own = [limit(row_id, length=n, since="2024-01-01") for row_id, n in lengths.items()]
    law = parse(pack(*own, parameter("day_end", "24:00"), extends=None, since="2024-01-01"))
    found = {m: law.limit(ClockKind.REPLY, date(2026, 3, 2), m).length for m in Matter}
    assert list(found.values()) == [3, 3, 7, 7, 15]
    with pytest.raises(PackInvalid, match="没有生效"):
        law.limit(ClockKind.CALLBACK, date(2026, 3, 2))
    with pytest.raises(PackInvalid, match="没有生效"):
        law.limit(ClockKind.REPLY, date(2023, 12, 31), Matter.HELP)


def test_parameters_are_read_by_their_kind() -> None:
    assert LAW.word("day_end") == "24:00"
    assert list(LAW.numbers("reminder_ladder")) == [0, 1, 3, 5]
    with pytest.raises(PackInvalid):
        LAW.number("day_end")
    with pytest.raises(PackInvalid):
        LAW.numbers("day_end")
