"""Figures over HTTP: every one opens exactly its tickets, for whoever looks; a unit has its own only."""

from typing import Any

import pytest
from sqlalchemy import text

from hotline.reporting.indicators import INDICATORS
from tests.api.conftest import Api
from tests.reporting.conftest import count


def figures(api: Api, login: str = "supervisor", **query: Any) -> dict[str, Any]:
    answer = api.get("/reports/figures", login, params={"period": "2026-03"} | query)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def listed(api: Api, key: str, side: str, login: str = "supervisor", **query: Any) -> list[dict[str, Any]]:
    """Every line behind one side of a figure, page by page."""
    lines: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = (
            {"period": "2026-03", "side": side, "limit": 40} | query | ({"cursor": cursor} if cursor else {})
        )
        answer = api.get(f"/reports/indicators/{key}/tickets", login, params=params)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        lines += page["items"]
        cursor = page["next"]
        if cursor is None:
            return lines


CUTS: tuple[dict[str, Any], ...] = (
    {},
    {"platform": "01"},
    {"unit": "ZJJ"},
    {"channel": "phone", "unit": "JTJ"},
    {"agent": "agent"},
    {"matter": "complaint", "area": "6301"},
    {"period": "2026-03-05..2026-03-19"},
)


@pytest.mark.parametrize("login", ["supervisor", "p-auditor", "b-supervisor"])
def test_every_figure_opens_exactly_its_tickets(busy: Api, login: str) -> None:
    seen = 0
    for cut in CUTS:
        if cut.get("platform") and login == "b-supervisor":
            continue
        if cut.get("agent") and login != "supervisor" and login != "p-auditor":
            continue
        told = figures(busy, login, **cut)["whole"]
        for indicator in INDICATORS:
            figure = told[indicator.key]
            if indicator.unit in ("percent", "count"):
                assert len(listed(busy, indicator.key, "numerator", login, **cut)) == figure["numerator"]
            if figure["denominator"] is not None:
                lines = listed(busy, indicator.key, "denominator", login, **cut)
                assert len(lines) == figure["denominator"], (indicator.key, cut)
                seen += len(lines)
    assert (seen > 200) == (login != "b-supervisor")


def test_pages_follow_one_another_without_a_gap(busy: Api) -> None:
    whole = listed(busy, "received", "numerator")
    assert listed(busy, "received", "numerator", limit=3) == whole
    assert len(whole) > 20


def test_a_breakdown_sums_to_its_whole_and_names_what_people_know(busy: Api) -> None:
    for by in ("platform", "unit", "level", "matter", "category", "area", "channel", "agent", "day", "month"):
        told = figures(busy, "p-supervisor", by=by)
        for key, figure in told["whole"].items():
            assert sum(row["figures"][key]["numerator"] for row in told["rows"]) == figure["numerator"], (
                by,
                key,
            )
    units = figures(busy, by="unit")["rows"]
    assert {row["key"]: row["name"] for row in units}["ZJJ"] == "测试市住建局"
    assert {row["key"] for row in figures(busy, by="area", depth=2)["rows"]} <= {"630100000000", "none"}
    assert figures(busy, by="level")["rows"][0]["name"] == "市（州）级"


def test_a_unit_in_charge_answers_for_what_it_is_in_charge_of(busy: Api) -> None:
    number = busy.at("2026-03-20 09:00").take("help", area="630104000000")
    busy.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["HEAT"]})
    busy.at("2026-04-01 09:00")
    count(busy)
    alone = figures(busy, unit="ZJJ")["whole"]["assigned"]["numerator"]
    heat = figures(busy, unit="HEAT")["whole"]["assigned"]["numerator"]
    assert heat >= 1
    assert figures(busy, unit="ZJJ", rollup=True)["whole"]["assigned"]["numerator"] == alone + heat
    rows = {row["key"]: row for row in figures(busy, by="unit", rollup=True, unit="ZJJ")["rows"]}
    assert rows["ZJJ"]["figures"]["assigned"]["numerator"] == alone + heat


def test_a_unit_has_its_own_figures_only(busy: Api) -> None:
    whole = figures(busy, unit="ZJJ")["whole"]
    own = figures(busy, "ZJJ")["whole"]
    assert own == whole
    assert own["assigned"]["numerator"] > 0
    assert own["received"]["numerator"] == 0
    assert {line["unit"] for line in listed(busy, "assigned", "numerator", "ZJJ")} == {"ZJJ"}
    assert figures(busy, "ZJJ", by="unit")["rows"][0]["key"] == "ZJJ"
    for words in ({"unit": "JTJ"}, {"agent": "agent"}, {"platform": "01"}, {"level": "prefecture"}):
        assert busy.get("/reports/figures", "ZJJ", params={"period": "2026-03"} | words).status_code == 403


def test_what_is_out_of_sight_is_not_there(busy: Api) -> None:
    assert (
        busy.get(
            "/reports/figures", "b-supervisor", params={"period": "2026-03", "platform": "01"}
        ).status_code
        == 404
    )
    assert figures(busy, "b-supervisor")["whole"]["received"]["numerator"] == 0
    assert listed(busy, "received", "numerator", "b-supervisor", unit="ZJJ") == []
    below, all_of_it = figures(busy)["whole"], figures(busy, "p-supervisor")["whole"]
    assert 0 < below["received"]["numerator"] < all_of_it["received"]["numerator"]


def test_what_is_due_counts_once_its_day_is_over(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take("help")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})  # due on the 4th
    for when, due in (("2026-03-04 23:00", 0), ("2026-03-05 00:01", 1)):
        api.at(when)
        count(api)
        told = figures(api, by="unit")["whole"]["overdue"]
        assert (told["numerator"], told["denominator"]) == (due, due)
    api.at("2026-03-06 09:00").act(number, "sign", "ZJJ")
    api.act(number, "answer_citizen", "ZJJ")
    api.act(number, "reply", "ZJJ", {"content": "测试答复"})
    count(api)
    told = figures(api)["whole"]
    assert told["overdue"] == {
        "numerator": 1,
        "denominator": 1,
        "value": "1.0000",
        "median": None,
        "beside": {"逾期仍未办结": 0},
    }
    assert (told["handling_workdays"]["value"], told["handling_workdays"]["median"]) == ("4.00", 4)
    assert told["handling_hours"]["value"] == "96.00"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"period": "2026-13"}, "period"),
        ({"period": "2026-W60"}, "period"),
        ({"period": "1999"}, "period"),
        ({"period": "2026-03-09..2026-03-02"}, "period"),
        ({"indicators": "nonsense"}, "indicators"),
        ({"unit": "NONE"}, "unit"),
        ({"rollup": True}, "rollup"),
    ],
)
def test_what_cannot_be_counted_is_said_with_its_field(api: Api, query: dict[str, Any], field: str) -> None:
    answer = api.get("/reports/figures", "supervisor", params={"period": "2026-03"} | query)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


def test_while_counting_anew_nothing_is_told(busy: Api) -> None:
    with busy.world.engine.begin() as connection:
        connection.execute(text("UPDATE report_state SET built = false"))
    answer = busy.get("/reports/figures", "supervisor", params={"period": "2026-03"})
    assert (answer.status_code, answer.json()["code"]) == (503, "still_counting")


def test_an_unknown_indicator_and_a_strange_cursor(busy: Api) -> None:
    assert (
        busy.get(
            "/reports/indicators/none_such/tickets", "supervisor", params={"period": "2026-03"}
        ).status_code
        == 404
    )
    for cursor in ("x", "bnVsbA", "WyIyMDI2LTAzLTAyIiwxLDIsIm5vIl0"):
        answer = busy.get(
            "/reports/indicators/timely/tickets", "supervisor", params={"period": "2026-03", "cursor": cursor}
        )
        assert (answer.status_code, answer.json()["field"]) == (422, "cursor"), cursor
    told = busy.get("/reports/indicators", "supervisor").json()
    assert [each["key"] for each in told] == [each.key for each in INDICATORS]
    assert all(each["definition"] and each["article"] for each in told)
