"""Calls: reported by the telephony platform, shown to their agent with what that agent may know of the caller, registered without retyping."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline.desks import calls
from hotline.organisation import Platform
from hotline.people import accounts
from tests import world as w
from tests.api.conftest import Api
from tests.api.tables import dump
from workflow.vocabulary import Role, Scope

PHONE = "13900000001"


@pytest.fixture
def cti(api: Api) -> str:
    """The login of platform 01's telephony machine, which has that scope alone."""
    with Session(api.world.engine) as session:
        platform = session.get_one(Platform, api.world.platforms["01"])
        api.world.tokens["cti"] = accounts.issue_token(
            session,
            label="话务平台",
            at=w.BORN,
            platform=platform,
            roles=[Role.AGENT],
            scopes=[Scope.TELEPHONY],
        )
        session.commit()
    return "cti"


def ring(api: Api, call_id: str = "c-1", status: int = 201, **changes: Any) -> Any:
    answer = api.post("/calls", "cti", {"call_id": call_id, "number": PHONE, "agent": "agent"} | changes)
    assert answer.status_code == status, answer.text
    return answer.json()


def current(api: Api, login: str = "agent") -> Any:
    answer = api.get("/calls/current", login)
    assert answer.status_code == 200, answer.text
    return answer.json()


def events(api: Api) -> list[tuple[str, Any]]:
    with api.world.engine.connect() as connection:
        rows = connection.execute(text("SELECT type, data FROM outbox WHERE type LIKE 'call.%' ORDER BY id"))
        return [(kind, data) for kind, data in rows]


def test_a_call_rings_is_answered_and_ends_at_its_agent_alone(api: Api, cti: str) -> None:
    assert current(api) == {"call": None, "registered": [], "caller": None}
    told = ring(api)
    assert told | {"id": 0} == {"id": 0, "state": "ringing", "agent": True}
    shown = current(api)["call"]
    assert (shown["state"], shown["number"], shown["call_id"]) == ("ringing", "139****0001", "c-1")
    assert current(api, "agent2")["call"] is None
    ring(api, answered_at="2026-03-02T09:00:00+08:00")
    assert current(api)["call"]["state"] == "connected"
    ring(api, answered_at="2026-03-02T09:00:00+08:00")  # told twice: one event
    api.at("2026-03-02 09:05")
    ring(api, ended_at="2026-03-02T09:05:00+08:00")
    assert current(api)["call"]["state"] == "ended"
    assert [kind for kind, _ in events(api)] == ["call.ringing", "call.answered", "call.ended"]
    assert events(api)[0][1] == {"call": told["id"], "person": api.world.people["agent"], "state": "ringing"}
    assert current(api.at("2026-03-02 09:36"))["call"] is None


def test_a_missed_call_and_one_passed_on_to_another_agent(api: Api, cti: str) -> None:
    ring(api, ended_at="2026-03-02T09:00:00+08:00")
    assert current(api)["call"]["state"] == "missed"
    ring(api, "c-2")
    ring(api, "c-2", agent="agent2")
    assert current(api, "agent2")["call"]["call_id"] == "c-2"
    assert current(api)["call"]["call_id"] == "c-1"


def test_the_caller_is_shown_masked_with_what_the_agent_may_see(api: Api, cti: str) -> None:
    mine = api.take()
    done = api.take(decision={"act": "answer_at_once", "answer": "测试"}, login="agent2")
    tipoff = api.take("tipoff", login="agent2")
    api.take(login="b-agent")
    ring(api, "c-0", ended_at="2026-03-02T09:00:00+08:00")
    ring(api)
    caller = current(api)["caller"]
    assert [line["number"] for line in caller["history"]] == [done, mine]
    assert [line["number"] for line in caller["open"]] == [mine]
    assert (caller["calls"], caller["tickets"]) == (1, 2)
    ring(api, "c-9", agent="agent2")
    assert tipoff in [line["number"] for line in current(api, "agent2")["caller"]["history"]]
    assert PHONE not in api.get("/calls/current", "agent").text
    ring(api, "c-anonymous", number=None, ringing_at="2026-03-02T09:00:01+08:00")
    assert current(api)["caller"] is None


def test_the_first_look_is_recorded_once_and_without_the_number(api: Api, cti: str) -> None:
    call = ring(api)["id"]
    for _ in range(3):
        current(api)
    with api.world.engine.connect() as connection:
        rows = connection.execute(text("SELECT actor_id, what FROM audit WHERE kind = 'call_shown'")).all()
    assert [tuple(row) for row in rows] == [(api.world.people["agent"], {"call": call, "found": 0})]


def test_a_ticket_takes_number_and_receipt_from_its_agents_own_call(api: Api, cti: str) -> None:
    ring(api, answered_at="2026-03-02T08:59:00+08:00", ringing_at="2026-03-02T08:58:50+08:00")
    number = api.take(call_id="c-1", caller={"name": "测试甲"})
    ticket = api.get(f"/tickets/{number}", "agent").json()
    assert ticket["caller"]["phone"] == "139****0001"
    assert ticket["received_at"] == "2026-03-02T00:59:00Z"
    assert current(api)["registered"] == [number]
    entry = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][0]
    assert entry["payload"]["from_call"] == ["caller", "received_at"]
    found = api.post("/callers/search", "agent", {"phone": PHONE}).json()["items"]
    assert [line["number"] for line in found] == [number]
    again = api.post(
        "/tickets", "agent", {"demand": w.demand(call_id="c-1").model_dump(mode="json", exclude_none=True)}
    )
    assert (again.status_code, again.json()["code"]) == (409, "already_registered")


def test_a_second_demand_of_the_same_call_has_the_callers_number_too(api: Api, cti: str) -> None:
    ring(api, answered_at="2026-03-02T08:59:00+08:00", ringing_at="2026-03-02T08:58:50+08:00")
    first = api.take(call_id="c-1", caller={})
    second = api.take(call_id="c-1", another=True, caller={}, title="另一件")
    assert second != first
    ticket = api.get(f"/tickets/{second}", "agent").json()
    assert (ticket["caller"]["phone"], ticket["received_at"]) == ("139****0001", "2026-03-02T00:59:00Z")
    assert current(api)["registered"] == [first, second]
    plain = w.demand(call_id="c-1").model_dump(mode="json", exclude_none=True)
    assert api.post("/tickets", "agent", {"demand": plain}).json()["number"] == first
    for _ in range(7):
        api.take(call_id="c-1", another=True)
    full = api.post("/tickets", "agent", {"demand": plain | {"another": True}})
    assert (full.status_code, full.json()["code"]) == (409, "already_registered")
    assert "9 件" in full.json()["detail"]
    long = plain | {"call_id": "c" * 100, "another": True}
    assert [api.post("/tickets", "agent", {"demand": long}).status_code for _ in range(2)] == [201, 201]
    too_long = api.post("/tickets", "agent", {"demand": long | {"call_id": "c" * 101}})
    assert too_long.status_code == 422
    ring(api, "c-2")
    assert api.take(call_id="c-2", another=True, caller={})  # the first of its call, whatever it is called
    assert api.post("/tickets", "agent", {"demand": plain | {"call_id": "c-2"}}).status_code == 409


def test_a_number_typed_by_the_agent_stays_and_another_agents_call_gives_none(api: Api, cti: str) -> None:
    ring(api)
    typed = api.take(call_id="c-1", caller={"phone": "13900000002"})
    assert api.get(f"/tickets/{typed}", "agent").json()["caller"]["phone"] == "139****0002"
    ring(api, "c-2")
    strangers = api.take(login="agent2", call_id="c-2", caller={})
    assert api.get(f"/tickets/{strangers}", "agent2").json()["caller"]["phone"] is None


def test_a_calls_name_with_the_number_in_it_is_hidden_and_still_names_it(api: Api, cti: str) -> None:
    ring(api, f"trunk-{PHONE}-77")
    shown = current(api)["call"]["call_id"]
    assert PHONE not in shown
    number = api.take(call_id=shown, caller={})
    assert api.get(f"/tickets/{number}", "agent").json()["caller"]["phone"] == "139****0001"
    assert current(api)["registered"] == [number]
    ring(api, f"trunk-{PHONE}-77", number=None, ended_at="2026-03-02T09:00:00+08:00")
    assert current(api)["call"]["state"] == "missed"
    assert PHONE not in dump(api.world.engine)


def test_an_extension_rings_where_somebody_sat_down(api: Api, cti: str) -> None:
    assert ring(api, agent=None, extension="8001")["agent"] is False
    assert api.post("/calls/seat", "agent", {"extension": "8001"}).json()["extension"] == "8001"
    assert ring(api, "c-2", agent=None, extension="8001")["agent"] is True
    assert current(api)["call"]["call_id"] == "c-2"
    api.post("/calls/seat", "agent2", {"extension": "8001"})
    ring(api, "c-3", agent=None, extension="8001")
    assert current(api, "agent2")["call"]["call_id"] == "c-3"
    assert api.post("/calls/seat", "agent2", {}).json() == {"extension": None, "since": None}
    assert ring(api, "c-4", agent=None, extension="8001")["agent"] is False


def test_refusals(api: Api, cti: str) -> None:
    assert api.post("/calls", "agent", {"call_id": "c-1"}).status_code == 403
    assert ring(api, status=422, agent="nobody")["field"] == "agent"
    assert ring(api, status=422, agent="b-agent")["field"] == "agent"
    assert ring(api, status=422, agent="dispatcher")["field"] == "agent"
    assert ring(api, status=422, ringing_at="2026-03-02T09:30:00+08:00")["field"] == "ringing_at"
    assert ring(api, status=422, ringing_at="2026-03-02T09:00:00+08:00", ended_at="2026-03-02T08:00:00+08:00")
    assert api.get("/tickets", "cti").status_code == 403
    assert events(api) == []


def test_old_calls_forget_their_number_and_stay_counted(api: Api, cti: str) -> None:
    ring(api)
    with Session(api.world.engine) as session:
        assert calls.forget_numbers(session, w.china("2026-08-01 00:00")) == 0
        assert calls.forget_numbers(session, w.china("2026-10-01 00:00")) == 1
        session.commit()
        rows = session.execute(text("SELECT caller_phone, phone_index FROM calls")).all()
    assert [tuple(row) for row in rows] == [(None, None)]
