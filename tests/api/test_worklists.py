"""Queues: each role's own, counted as they are listed; rows that say what a queue shows; saved filters and drafts of one's own."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline.desks import keeping, worklists
from tests import world as w
from tests.api.conftest import Api
from tests.api.tables import dump
from tests.api.test_lists import ALL_OK

QUESTION = {"grounds": "测试依据", "suggestion": "测试改派", "suggested_unit": "JTJ"}


def queue(api: Api, key: str, login: str, **params: Any) -> list[str]:
    answer = api.get("/tickets", login, params={"queue": key} | params)
    assert answer.status_code == 200, answer.text
    return [item["number"] for item in answer.json()["items"]]


def counts(api: Api, login: str) -> dict[str, int]:
    answer = api.get("/queues", login)
    assert answer.status_code == 200, answer.text
    return {item["key"]: item["count"] for item in answer.json()["items"] if item["count"]}


def test_a_ticket_walks_from_queue_to_queue(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take("help")
    assert counts(api, "agent") == {"mine": 1}
    assert queue(api, "to_dispatch", "dispatcher") == [number]
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["CGJ"]})
    assert counts(api, "dispatcher") == {}
    assert counts(api, "ZJJ") == {"to_sign": 1, "leading": 1}
    assert counts(api, "CGJ") == {"to_sign": 1, "part_work": 1}
    assert counts(api, "JTJ") == {}
    api.act(number, "propose_return", "ZJJ", QUESTION)
    assert queue(api, "returns", "dispatcher") == [number]
    assert counts(api, "ZJJ")["our_returns"] == 1
    assert "our_returns" not in counts(api, "CGJ")
    api.act(number, "reject_return", "dispatcher", {"reason": "测试"})
    api.act(number, "sign", "ZJJ")
    api.act(number, "request_extension", "ZJJ", {"reason": "complex", "explanation": "测试", "days": 2})
    assert queue(api, "extensions", "supervisor") == [number]
    api.act(number, "approve_extension", "supervisor", {})
    assert queue(api, "extensions_to_tell", "agent") == [number]
    api.act(number, "notify_extension", "agent", {"reached": True, "remark": "测试"})
    assert queue(api, "extensions_to_tell", "agent") == []
    api.act(number, "release_unit", "dispatcher", {"unit": "CGJ", "reason": "测试"})
    api.act(number, "reply", "ZJJ", {"content": "测试办结"})
    assert counts(api, "ZJJ")["to_answer"] == 1
    api.act(number, "answer_citizen", "ZJJ", {})
    assert queue(api, "to_review", "reviewer") == [number]
    api.act(number, "review_pass", "reviewer", ALL_OK)
    assert queue(api, "to_call_back", "callback") == [number]
    api.act(
        number, "record_callback", "callback", {"outcome": "dissatisfied", "solved": False, "remark": "测试"}
    )
    assert queue(api, "dissatisfied", "reviewer") == [number]
    api.act(number, "uphold_dissatisfaction", "reviewer", {"reason": "测试", "days": 3})
    assert queue(api, "again", "ZJJ") == [number]
    assert queue(api, "again", "CGJ") == []


def test_due_today_and_overdue_by_the_servers_clock(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take("help")
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})  # 2 working days: until 24:00 of 4 March
    for at, key in (
        ("2026-03-03 23:59", None),
        ("2026-03-04 00:01", "due_today"),
        ("2026-03-04 23:59", "due_today"),
    ):
        api.at(at)
        found = {name for name in ("due_today", "overdue") if name in counts(api, "ZJJ")}
        assert found == ({key} if key else set()), at
    api.at("2026-03-05 00:00")
    assert queue(api, "overdue", "ZJJ") == [number]
    assert queue(api, "overdue", "supervisor") == [number]
    assert counts(api, "agent") == {"mine": 1, "my_overdue": 1}
    assert "my_overdue" not in counts(api, "agent2")


def test_a_row_says_what_a_queue_shows(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take(
        "help", area="630106105000", caller={"phone": "13900000001", "confidential": True}
    )
    (row,) = api.get("/tickets", "dispatcher", params={"queue": "to_dispatch"}).json()["items"]
    assert (row["area_name"], row["category_name"]) == ("湟中区多巴镇", "室温不达标")
    assert (row["receiver"], row["lead"], row["handler"]) == ("测试话务员agent", None, None)
    assert (row["due_kind"], row["working_days_left"]) == ("form_and_transfer", 1)
    assert row["marks"] == ["confidential"]
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "complex": True})
    api.act(number, "sign", "ZJJ", {"signed_by": "测试经办乙"})
    api.act(number, "remind", "dispatcher", {"form": "network", "content": "测试"})
    (row,) = api.get("/tickets", "dispatcher").json()["items"]
    assert (row["lead_code"], row["handler"], row["due_on"]) == ("ZJJ", "测试经办乙", "2026-03-09")
    assert row["working_days_left"] == 5
    assert row["marks"] == ["reminded", "confidential", "complex"]
    (own,) = api.get("/tickets", "ZJJ").json()["items"]
    assert (own["role"], own["part"], own["handler"]) == ("lead", "open", "测试经办乙")
    (late,) = api.at("2026-03-11 09:00").get("/tickets", "ZJJ").json()["items"]
    assert (late["working_days_left"], late["overdue"], late["marks"][0]) == (-2, True, "overdue")


def test_a_merged_callers_callback_waits_until_the_main_ticket_is_answered(api: Api) -> None:
    main, child = api.take("help"), api.take("help")
    api.act(child, "merge", "dispatcher", {"into": main, "reason": "测试"})
    api.act(main, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(main, "sign", "ZJJ")
    assert queue(api, "to_call_back", "callback") == []
    api.act(main, "reply", "ZJJ", {"content": "测试", "citizen_answered_at": "2026-03-02T09:00:00+08:00"})
    api.act(main, "review_pass", "reviewer", ALL_OK)
    assert set(queue(api, "to_call_back", "callback")) == {main, child}


def test_whose_queues_and_with_which_other_filters(api: Api) -> None:
    help_, inquiry = api.take("help"), api.take("inquiry")
    assert queue(api, "to_dispatch", "dispatcher", matter="help") == [help_]
    assert set(queue(api, "to_dispatch", "dispatcher", sort="received")) == {help_, inquiry}
    assert queue(api, "to_dispatch", "b-supervisor") == []
    assert set(queue(api, "to_dispatch", "p-supervisor")) == {help_, inquiry}
    assert api.get("/tickets", "agent", params={"queue": "to_dispatch"}).status_code == 403
    unknown = api.get("/tickets", "agent", params={"queue": "nothing"})
    assert (unknown.status_code, unknown.json()["field"]) == (422, "queue")
    assert api.get("/queues", "admin").status_code == 403
    assert api.get("/queues", "editor").json()["items"] == []


def test_every_queues_list_and_count_agree_for_every_role(api: Api) -> None:
    first = api.take("complaint")
    api.act(first, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.take("tipoff")
    api.take(decision={"act": "register"})
    reported = api.take(decision={"act": "register"})
    api.act(reported, "report_up", "agent", {"reason": "测试"})  # from here on no clock runs
    logins = ("agent", "dispatcher", "reviewer", "callback", "supervisor", "ZJJ")
    seen: set[str] = set()
    for login in logins:
        for item in api.get("/queues", login).json()["items"]:
            seen.add(item["key"])
            for sort in ({}, {"sort": "received"}):  # the queue's own order hides nothing
                found = len(queue(api, item["key"], login, **sort))
                assert found == item["count"], (login, item["key"], sort)
    assert seen == set(worklists.BY_KEY)


def test_counting_stops_at_a_thousand(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worklists, "MOST_COUNTED", 2)
    for _ in range(3):
        api.take()
    shown = {item["key"]: item for item in api.get("/queues", "dispatcher").json()["items"]}
    assert (shown["to_dispatch"]["count"], shown["to_dispatch"]["more"]) == (2, True)
    assert shown["returns"]["more"] is False


# --- saved filters ---------------------------------------------------------------------------------------------------------


def test_saved_filters_are_ones_own_and_limited(api: Api) -> None:
    order = {"name": "湟中供热", "queue": "to_dispatch", "filters": {"category": "0101", "area": "630106"}}
    made = api.post("/filters", "dispatcher", order).json()
    assert (made["queue"], made["filters"]) == ("to_dispatch", {"category": "0101", "area": "630106"})
    assert [each["id"] for each in api.get("/filters", "dispatcher").json()] == [made["id"]]
    assert api.get("/filters", "supervisor").json() == []
    assert api.post(f"/filters/{made['id']}", "supervisor", {"name": "别人的"}).status_code == 404
    changed = api.post(f"/filters/{made['id']}", "dispatcher", {"name": "逾期", "filters": {"overdue": True}})
    assert changed.json()["filters"] == {"overdue": True}
    params = {**changed.json()["filters"]}
    assert api.get("/tickets", "dispatcher", params=params).status_code == 200
    assert api.post("/filters", "agent", order).status_code == 403
    assert api.post("/filters", "agent", {"name": "错", "filters": {"colour": 1}}).status_code == 422
    assert api.post(f"/filters/{made['id']}/remove", "dispatcher", {}).status_code == 200
    assert api.get("/filters", "dispatcher").json() == []
    for n in range(keeping.MOST_FILTERS):
        assert api.post("/filters", "dispatcher", {"name": f"第{n}个"}).status_code == 201
    assert api.post("/filters", "dispatcher", {"name": "太多"}).json()["code"] == "limit_exceeded"


# --- drafts ----------------------------------------------------------------------------------------------------------------


def test_a_draft_outlives_the_seat_and_is_sealed(api: Api) -> None:
    content = {"demand": {"title": "暖气不热", "caller": {"phone": "13900000001"}}, "odd": "😀 '\\\x00"}
    saved = api.post("/drafts/take", "agent", {"content": content})
    assert (saved.json()["revision"], saved.headers["etag"]) == (1, '"1"')
    read = api.get("/drafts/take", "agent")
    assert (read.json()["content"], read.headers["etag"]) == (content, '"1"')
    assert [each["form"] for each in api.get("/drafts", "agent").json()] == ["take"]
    assert api.get("/drafts/take", "agent2").status_code == 404
    assert "13900000001" not in dump(api.world.engine)
    lone = api.client.post(
        "/api/v1/drafts/take", headers=api.headers("agent"), content=b'{"content": {"a": "\\ud83d"}}'
    )
    assert lone.status_code == 422
    assert api.post("/drafts/take/discard", "agent", {}).json() == {"discarded": True}
    assert api.post("/drafts/take/discard", "agent", {}).json() == {"discarded": False}
    assert api.get("/drafts/take", "agent").status_code == 404


def test_another_seats_newer_draft_is_not_overwritten(api: Api) -> None:
    api.post("/drafts/take", "agent", {"content": {"n": 1}})
    assert (
        api.post("/drafts/take", "agent", {"content": {"n": 2}}, headers={"If-Match": '"1"'}).json()[
            "revision"
        ]
        == 2
    )
    refused = api.post("/drafts/take", "agent", {"content": {"n": 3}}, headers={"If-Match": '"1"'})
    assert (refused.status_code, refused.json()["version"]) == (412, 2)
    assert api.get("/drafts/take", "agent").json()["content"] == {"n": 2}


def test_drafts_expire_and_are_limited(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        api.post("/drafts/take", "agent", {"content": {"x": "字" * 30_000}}).json()["code"]
        == "limit_exceeded"
    )
    api.post("/drafts/take", "agent", {"content": {}})
    monkeypatch.setattr(keeping, "MOST_DRAFTS", 1)
    assert api.post("/drafts/reply:1", "agent", {"content": {}}).json()["field"] == "form"
    assert api.post("/drafts/take", "agent", {"content": {"again": 1}}).status_code == 200
    api.at("2026-03-09 09:00")
    assert api.get("/drafts", "agent").json() == []
    assert api.get("/drafts/take", "agent").status_code == 404
    with Session(api.world.engine) as session:
        assert keeping.forget_drafts(session, w.china("2026-03-09 09:00")) == 1
        assert session.execute(text("SELECT count(*) FROM form_drafts")).scalar_one() == 0
