"""The board's figures: each is exactly the number of tickets its own list finds, for whoever looks."""

from typing import Any

import pytest
from sqlmodel import Session

from hotline import supervision
from tests.api.conftest import Api
from tests.api.test_lists import dispatched, numbers

NOW = "2026-03-06 09:00"
"""A Friday: what comes next is due on Monday."""


@pytest.fixture
def busy(api: Api) -> Api:
    """Tickets of two platforms that are late, due today, due next, returned, asking for an extension, waiting for a call."""
    for day, matter, lead in (
        ("2026-03-02 09:00", "inquiry", "ZJJ"),  # due on the 4th: late
        ("2026-03-02 09:30", "inquiry", "JTJ"),
        ("2026-03-04 09:00", "help", "ZJJ"),  # due on the 6th
        ("2026-03-05 09:00", "inquiry", "ZJJ"),  # due on Monday the 9th
        ("2026-03-05 10:00", "complaint", "CGJ"),
    ):
        dispatched(api, day, matter, lead)
    returned = dispatched(api, "2026-03-05 11:00", "complaint", "JTJ")
    grounds = {"grounds": "测试", "suggestion": "测试"}
    api.at("2026-03-05 15:00").act(returned, "propose_return", "JTJ", grounds)
    extended = dispatched(api, "2026-03-03 11:00", "complaint", "ZJJ")
    asked = {"reason": "complex", "explanation": "测试", "days": 3}
    api.at("2026-03-05 16:00").act(extended, "request_extension", "ZJJ", asked)
    done = dispatched(api, "2026-03-04 10:00", "inquiry", "CGJ")
    api.at("2026-03-05 09:30").act(done, "sign", "CGJ")
    api.at("2026-03-05 09:40").act(done, "answer_citizen", "CGJ")
    api.at("2026-03-05 10:00").act(done, "reply", "CGJ", {"content": "测试答复"})
    api.at("2026-03-05 11:00").take("inquiry")  # nobody's yet: the platform owes its dispatch
    api.at("2026-03-05 08:00").take("inquiry")
    api.at("2026-03-05 12:00").take("inquiry", login="agent", area="630102000000")
    return api.at(NOW)


def read(api: Api, login: str = "supervisor") -> dict[str, Any]:
    answer = api.get("/board", login)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_every_figure_opens_exactly_its_tickets(busy: Api) -> None:
    board = read(busy)
    tickets = [figure for figure in board["figures"] if figure["query"] is not None]
    counts = {figure["key"]: figure["count"] for figure in tickets}
    assert counts == {
        figure["key"]: len(numbers(busy, "supervisor", **figure["query"])) for figure in tickets
    }
    assert counts["overdue"] >= 2
    assert (counts["return"], counts["extension"]) == (1, 1)
    assert counts["callback"] == 1
    assert counts["due_today"] >= 1
    assert counts["due_next"] >= 1


def test_every_cell_opens_exactly_its_tickets(busy: Api) -> None:
    board = read(busy)
    assert [row["code"] for row in board["rows"]][:2] == [
        "platform",
        "ZJJ",
    ]  # whoever is furthest behind first
    assert {"JTJ", "CGJ"} <= {row["code"] for row in board["rows"]}
    seen = 0
    for row in board["rows"]:
        for column in board["columns"]:
            if column["query"] is not None:
                found = numbers(busy, "supervisor", **row["query"] | column["query"])
                assert row["counts"].get(column["key"], 0) == len(found), (row, column)
                seen += len(found)
    assert seen > 10


def test_every_day_opens_exactly_its_tickets(busy: Api) -> None:
    board = read(busy)
    assert [day["day"] for day in board["coming"]][:2] == ["2026-03-06", "2026-03-07"]
    assert [day["working"] for day in board["coming"]][:4] == [True, False, False, True]
    for day in board["coming"]:
        both = numbers(busy, "supervisor", **day["query"])
        assert max(day["unit"], day["platform"]) <= len(both) <= day["unit"] + day["platform"]
    assert sum(day["unit"] for day in board["coming"]) > 3
    for day in board["received"]:
        assert day["received"] == len(numbers(busy, "supervisor", **day["query"]))
    assert sum(day["received"] for day in board["received"]) == 11


def test_the_next_working_day_is_named_where_it_is_not_tomorrow(api: Api) -> None:
    def named(at: str) -> str:
        columns = read(api.at(at))["columns"]
        return str(next(column["label"] for column in columns if column["key"] == "due_next"))

    assert named("2026-03-05 09:00") == "明日到期"
    assert named(NOW) == "9日前到期"


def test_a_duty_is_late_from_its_instant_on_though_no_sweep_came(api: Api) -> None:
    dispatched(api, "2026-03-02 09:00", "inquiry")

    def late(at: str) -> int:
        figures = read(api.at(at))["figures"]
        return int(next(figure["count"] for figure in figures if figure["key"] == "overdue"))

    assert late("2026-03-04 23:59:59") == 0
    assert late("2026-03-05 00:00") == 1


def test_another_platform_counts_nothing_of_it_and_the_province_everything(busy: Api) -> None:
    def told(login: str) -> dict[str, int]:
        return {figure["key"]: figure["count"] for figure in read(busy, login)["figures"]}

    assert told("supervisor")["open"] == 11
    assert set(told("b-supervisor").values()) == {0}
    assert read(busy, "b-supervisor")["rows"] == []
    assert told("p-supervisor") == told("supervisor")


def test_a_unit_has_no_board(busy: Api) -> None:
    assert busy.get("/board", "ZJJ-lead").status_code == 403


def test_who_climbed_the_ladder_is_found(api: Api) -> None:
    number = dispatched(api, "2026-03-02 09:00", "inquiry", "ZJJ")
    dispatched(api, "2026-03-19 09:00", "complaint", "ZJJ")
    api.at("2026-03-20 10:00")
    with Session(api.world.engine, expire_on_commit=False) as session:
        supervision.lapse_due(session, api.world.office, api.now)
        session.commit()
        assert supervision.remind_overdue(session, api.world.office, api.now) > 0
        session.commit()
    (climbed,) = [figure for figure in read(api)["figures"] if figure["key"] == "climbed"]
    assert climbed["count"] == 1
    assert numbers(api, "supervisor", **climbed["query"]) == [number]
    row = next(row for row in read(api)["rows"] if row["code"] == "ZJJ")
    assert row["counts"]["climbed"] == 1
