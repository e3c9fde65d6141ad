"""A year's notice: what is shipped, what is read, what is refused and which field the refusal names."""

import contextlib
import json
from collections.abc import Callable
from datetime import date
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calendar_cn.arrangements import ArrangementInvalid, parse_arrangement, shipped

NOTICE = "https://www.gov.cn/zhengce/zhengceku/202611/content_0000001.htm"
CORRECTION = "https://www.gov.cn/zhengce/zhengceku/202703/content_0000002.htm"


def notice(**changed: Any) -> dict[str, Any]:
    content = {
        "year": 2027,
        "papers": [NOTICE],
        "days": [
            {"name": "元旦", "date": "2027-01-01", "isOffDay": True},
            {"name": "元旦", "date": "2026-12-27", "isOffDay": False},
        ],
    }
    return content | changed


def first_day(**changed: Any) -> dict[str, Any]:
    content = notice()
    content["days"][0] |= changed
    return content


def test_every_noticed_year_is_shipped_with_its_notice() -> None:
    arrangements = shipped()
    assert list(arrangements) == list(range(2007, 2027))
    for year, arrangement in arrangements.items():
        assert arrangement.year == year
        assert all("gov.cn/zhengce/zhengceku/" in url for url in arrangement.notices)
        assert len(arrangement.days) >= 27


def test_shipped_files_hold_nothing_else() -> None:
    folder = resources.files("calendar_cn").joinpath("arrangements")
    for file in folder.iterdir():
        if file.name.endswith(".json"):
            content = json.loads(file.read_text(encoding="utf-8"))
            assert set(content) == {"year", "papers", "days"}
            assert file.name == f"{content['year']}.json"
            assert len(shipped()[content["year"]].days) == len(content["days"])
    licence = folder.joinpath("README.md").read_text(encoding="utf-8")
    assert "NateScarlet/holiday-cn" in licence
    assert "MIT License" in licence


def test_the_shipped_dict_is_the_callers() -> None:
    shipped().clear()
    assert 2026 in shipped()


def test_text_bytes_and_mapping_read_the_same() -> None:
    text = json.dumps(notice(), ensure_ascii=False)
    assert parse_arrangement(text) == parse_arrangement(text.encode()) == parse_arrangement(notice())


def test_days_come_in_order_of_date_and_may_stand_in_the_adjacent_month() -> None:
    read = parse_arrangement(notice())
    assert [(day.date, day.off) for day in read.days] == [
        (date(2026, 12, 27), False),
        (date(2027, 1, 1), True),
    ]


def test_keys_of_holiday_cn_that_mean_nothing_here_are_ignored() -> None:
    assert parse_arrangement(notice(**{"$schema": "x", "$id": "y"})) == parse_arrangement(notice())


def test_digest_is_of_the_content_not_the_spelling() -> None:
    read = parse_arrangement(notice())
    turned = parse_arrangement(json.dumps(notice(days=notice()["days"][::-1]), indent=3))
    named = parse_arrangement(first_day(paper=NOTICE))
    assert read.digest == turned.digest == named.digest
    assert len(read.digest) == 64


@pytest.mark.parametrize(
    "other",
    [
        notice(papers=[CORRECTION]),
        notice(papers=[NOTICE, CORRECTION]),
        first_day(name="元旦节"),
        first_day(date="2027-01-02"),
        notice(days=notice()["days"][:1]),
    ],
)
def test_digest_changes_with_the_content(other: dict[str, Any]) -> None:
    assert parse_arrangement(other).digest != parse_arrangement(notice()).digest


def test_a_day_cites_the_notice_that_changed_it() -> None:
    content = notice(papers=[NOTICE, CORRECTION])
    content["days"][1]["paper"] = CORRECTION
    read = parse_arrangement(content)
    assert [read.notice_of(day) for day in read.days] == [CORRECTION, NOTICE]


@pytest.mark.parametrize(("year", "day"), [(2015, "2015-09-03"), (2019, "2019-05-02"), (2020, "2020-01-31")])
def test_shipped_corrections_cite_the_later_notice(year: int, day: str) -> None:
    arrangement = shipped()[year]
    first, later = arrangement.notices
    cited = {named.date.isoformat(): arrangement.notice_of(named) for named in arrangement.days}
    assert cited[day] == later
    assert cited[f"{year}-01-01"] == first


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in notice().items() if name != key}


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("{", "$"),
        ("", "$"),
        ("[" * 100_000, "$"),
        (b"\xff\xfe\xfd", "$"),
        ("[]", "$"),
        ("null", "$"),
        (without("year"), "year"),
        (notice(year="2027"), "year"),
        (notice(year=2027.0), "year"),
        (notice(year=True), "year"),
        (notice(year=20270), "year"),
        (without("papers"), "papers"),
        (notice(papers=[]), "papers"),
        (notice(papers=NOTICE), "papers"),
        (notice(papers=[NOTICE, NOTICE]), "papers"),
        (notice(papers=["javascript:alert(1)"]), "papers[0]"),
        (notice(papers=[NOTICE, "https://x\x00"]), "papers[1]"),
        (notice(papers=[None]), "papers[0]"),
        (without("days"), "days"),
        (notice(days=[]), "days"),
        (notice(days={}), "days"),
        (notice(days=notice()["days"] * 300), "days"),
        (notice(days=notice()["days"][1:]), "days"),
        (notice(days=["2027-01-01"]), "days[0]"),
        (notice(days=[*notice()["days"], notice()["days"][0]]), "days[2].date"),
        (first_day(date="2027-02-29"), "days[0].date"),
        (first_day(date="20270101"), "days[0].date"),
        (first_day(date="2027-W01-1"), "days[0].date"),
        (first_day(date=20270101), "days[0].date"),
        (first_day(date="2026-11-30"), "days[0].date"),
        (first_day(date="2028-02-01"), "days[0].date"),
        (first_day(date="2025-12-31"), "days[0].date"),
        (first_day(isOffDay=1), "days[0].isOffDay"),
        (first_day(isOffDay="true"), "days[0].isOffDay"),
        (first_day(isOffDay=None), "days[0].isOffDay"),
        (first_day(name=""), "days[0].name"),
        (first_day(name="  "), "days[0].name"),
        (first_day(name=None), "days[0].name"),
        (first_day(name="元\x00旦"), "days[0].name"),
        (first_day(name="\ud800"), "days[0].name"),
        (first_day(name="元旦" * 50), "days[0].name"),
        (first_day(paper=CORRECTION), "days[0].paper"),
        (first_day(paper=["x"]), "days[0].paper"),
    ],
)
def test_a_bad_notice_is_refused_with_its_field(content: Any, field: str) -> None:
    with pytest.raises(ArrangementInvalid) as refused:
        parse_arrangement(content)
    assert refused.value.field == field
    assert any("\u4e00" <= sign <= "\u9fff" for sign in refused.value.message)
    assert refused.value.message in str(refused.value)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | st.just(NOTICE),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
spoilt = st.sampled_from(["year", "papers", "days", "name", "date", "isOffDay", "paper"])


@given(key=spoilt, value=anything)
def test_a_spoilt_notice_is_read_or_refused_and_nothing_else(key: str, value: object) -> None:
    change: Callable[..., dict[str, Any]] = notice if key in {"year", "papers", "days"} else first_day
    with contextlib.suppress(ArrangementInvalid):
        assert len(parse_arrangement(change(**{key: value})).digest) == 64


@given(st.binary(max_size=60) | st.text(max_size=60))
def test_noise_is_refused(noise: str | bytes) -> None:
    with pytest.raises(ArrangementInvalid):
        parse_arrangement(noise)
