"""One field of a caller opened: by whom, for what, for how long, recorded; and tickets found by a phone."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from hotline.access import OPENS
from tests.api.conftest import Api
from tests.api.refusals import nothing_stored, problem
from tests.api.tables import dump
from workflow.vocabulary import PersonalField, Role

NAME, PHONE, ADDRESS, ID_NUMBER = "测试丁", "13987654321", "测试大街88号3单元", "630104199001011238"
CALLER = {"name": NAME, "phone": PHONE, "address": ADDRESS, "id_number": ID_NUMBER}
CONTENT = f"我是{NAME}，电话{PHONE}，另可联系邻居13900000002。"
VALUES: dict[str, Any] = {
    "name": NAME,
    "phone": PHONE,
    "address": ADDRESS,
    "id_number": ID_NUMBER,
    "original": {"demand.content": CONTENT},
}
WHY = {"purpose": "contact", "explanation": "测试核实"}


def open_field(api: Api, number: str, login: str, field: str = "phone", **more: Any) -> Any:
    return api.post(f"/tickets/{number}/unsealings", login, {"field": field} | WHY | more)


def taken(api: Api, matter: str = "complaint", **changes: Any) -> str:
    number = api.at("2026-03-02 09:00").take(matter, content=CONTENT, caller=CALLER | changes)
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    return number


def audited(api: Api, kind: str) -> list[Any]:
    with api.world.engine.connect() as connection:
        return list(
            connection.execute(
                text(
                    "SELECT actor_name, platform_id, ticket_id, what FROM audit WHERE kind = :kind ORDER BY at, seq"
                ),
                {"kind": kind},
            )
        )


# --- who ---------------------------------------------------------------------------------------------------------------

LOGINS = {
    "agent": Role.AGENT,
    "agent2": Role.AGENT,
    "dispatcher": Role.DISPATCHER,
    "reviewer": Role.REVIEWER,
    "callback": Role.CALLBACK,
    "supervisor": Role.SUPERVISOR,
    "p-supervisor": Role.SUPERVISOR,
    "editor": Role.EDITOR,
    "auditor": Role.AUDITOR,
    "admin": Role.ADMIN,
    "ZJJ": Role.HANDLER,
    "ZJJ-lead": Role.UNIT_LEAD,
    "JTJ": Role.HANDLER,
}
TIPOFF = {"agent", "callback", "supervisor", "p-supervisor"}


@pytest.mark.parametrize("field", [f.value for f in PersonalField])
@pytest.mark.parametrize("kind", ["complaint", "confidential", "tipoff"])
def test_every_role_opens_exactly_the_fields_of_its_row(api: Api, kind: str, field: str) -> None:
    number = taken(api, "tipoff" if kind == "tipoff" else "complaint", confidential=kind == "confidential")
    for login, role in LOGINS.items():
        may = PersonalField(field) in OPENS.get(role, frozenset()) or login == "agent"  # agent took the call
        if kind != "complaint" and login in ("ZJJ", "ZJJ-lead", "JTJ"):
            may = False
        if kind == "tipoff" and login not in TIPOFF:
            may = False
        if may:
            opened = open_field(api, number, login, field)
            assert opened.status_code == 201, (login, opened.text)
            assert opened.json()["value"] == VALUES[field]
            assert opened.headers["Cache-Control"] == "no-store"
        else:
            with nothing_stored(api):
                answer = open_field(api, number, login, field)
                body = problem(answer, 403, "access_refused")
                assert PHONE not in answer.text
                assert "article" in body or login in ("editor", "auditor", "admin", "reviewer")
    with nothing_stored(api):
        for login in ("CGJ", "HDJ", "b-agent", "b-supervisor", "p-agent"):
            problem(open_field(api, number, login, field), 404, "not_found")


def test_a_unit_opens_only_while_it_owes_its_part(api: Api) -> None:
    number = taken(api)
    assert open_field(api, number, "JTJ").status_code == 201
    api.act(number, "release_unit", "dispatcher", {"unit": "JTJ", "reason": "测试"})
    problem(open_field(api, number, "JTJ"), 403, "access_refused")
    assert api.get(f"/tickets/{number}", "JTJ").json()["caller"]["phone"] is None
    assert open_field(api, number, "ZJJ").status_code == 201
    api.act(number, "sign", "ZJJ")
    api.act(number, "reply", "ZJJ", {"content": "已办", "citizen_answered_at": "2026-03-02T09:00:00+08:00"})
    problem(open_field(api, number, "ZJJ"), 403, "access_refused")


def test_a_field_that_was_not_given_is_not_found(api: Api) -> None:
    number = api.take(caller={"phone": PHONE})
    with nothing_stored(api):
        assert problem(open_field(api, number, "agent", "name"), 404)["field"] == "field"
        problem(open_field(api, number, "agent", "original"), 404)
        problem(open_field(api, number, "agent", "original", entry=7), 404)
        problem(open_field(api, number, "agent", "phone", entry=1), 422)
        problem(open_field(api, number, "agent", "password"), 422)


def test_a_tipoffs_field_needs_its_explanation(api: Api) -> None:
    number = taken(api, "tipoff")
    with nothing_stored(api):
        body = problem(
            api.post(f"/tickets/{number}/unsealings", "agent", {"field": "phone", "purpose": "call_back"}),
            422,
        )
        assert body["field"] == "explanation"


# --- for how long, and on the record -----------------------------------------------------------------------------------


def test_an_opened_field_expires_and_is_its_openers_alone(api: Api) -> None:
    number = taken(api)
    opened = open_field(api, number, "agent").json()
    path = f"/tickets/{number}/unsealings/{opened['id']}"
    assert datetime.fromisoformat(opened["expires_at"]) > api.now
    assert api.at("2026-03-02 09:09:59").get(path, "agent").json() == opened
    for login in ("agent2", "supervisor", "p-supervisor", "ZJJ"):
        problem(api.get(path, login), 404, "not_found")
    other = api.take(caller=CALLER)
    problem(api.get(f"/tickets/{other}/unsealings/{opened['id']}", "agent"), 404, "not_found")
    expired = api.at("2026-03-02 09:10").get(path, "agent")
    assert problem(expired, 403, "unseal_expired")["article"] == "15"
    assert PHONE not in expired.text
    assert [row.what["field"] for row in audited(api, "unsealed")] == ["phone"]
    assert len(audited(api, "unsealed_read")) == 1
    assert [row.what["code"] for row in audited(api, "refused")][-1] == "unseal_expired"


def test_what_was_opened_closes_when_the_right_ends(api: Api) -> None:
    number = taken(api)
    opened = open_field(api, number, "ZJJ").json()
    api.act(number, "keep_confidential", "agent", {"reason": "来电人要求保密。"})
    problem(api.get(f"/tickets/{number}/unsealings/{opened['id']}", "ZJJ"), 403, "access_refused")


def test_every_opening_is_recorded_without_the_value(api: Api) -> None:
    number = taken(api)
    open_field(api, number, "agent", "phone", explanation=f"回拨{PHONE}确认{NAME}的地址")
    open_field(api, number, "supervisor", "original")
    rows = audited(api, "unsealed")
    assert [(row.what["field"], row.what["purpose"], row.what["number"]) for row in rows] == [
        ("phone", "contact", number),
        ("original", "contact", number),
    ]
    assert rows[1].what["entry"] == 1
    stored = dump(api.world.engine)
    for secret in (PHONE, NAME, "13900000002", "987654321"):
        assert secret not in stored
        assert secret.encode().hex() not in stored


def test_a_repeated_request_tells_the_field_no_second_time(api: Api) -> None:
    number = taken(api)
    headers = {"Idempotency-Key": "unseal-1"}
    order = {"field": "phone", "purpose": "contact"}
    first = api.post(f"/tickets/{number}/unsealings", "agent", order, headers=headers)
    assert first.json()["value"] == PHONE
    again = api.post(f"/tickets/{number}/unsealings", "agent", order, headers=headers)
    assert again.status_code == 409
    assert PHONE not in again.text
    assert PHONE not in dump(api.world.engine)
    assert len(audited(api, "unsealed")) == 1


def test_a_value_copied_from_another_ticket_does_not_open(api: Api) -> None:
    number, other = taken(api, "tipoff"), api.take(caller={"phone": "13900000009"})
    with api.world.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE tickets SET caller_phone = (SELECT caller_phone FROM tickets WHERE number = :tipoff) WHERE number = :other"
            ),
            {"tipoff": number, "other": other},
        )
    answer = open_field(api, other, "agent2")
    assert problem(answer, 409, "seal_broken")
    assert api.get(f"/tickets/{other}", "agent2").json()["caller"]["phone"] is None
    assert PHONE not in answer.text


# --- by phone ----------------------------------------------------------------------------------------------------------


def found(api: Api, login: str, phone: str = PHONE) -> list[str]:
    answer = api.post("/callers/search", login, {"phone": phone})
    assert answer.status_code == 200, answer.text
    return [line["number"] for line in answer.json()["items"]]


def test_a_callers_tickets_are_found_by_phone_on_the_platforms_one_sees(api: Api) -> None:
    first, second = taken(api), api.take(caller={"phone": "139 8765-4321"})
    elsewhere = api.take(login="b-agent", caller={"phone": PHONE})
    api.take(caller={"phone": "13987654322"})
    for login in ("agent", "agent2", "dispatcher", "callback", "supervisor"):
        assert found(api, login) == [second, first], login
    assert found(api, "b-supervisor", "+86 13987654321") == [elsewhere]
    assert set(found(api, "p-supervisor")) == {first, second, elsewhere}
    with nothing_stored(api):
        for login in ("reviewer", "editor", "auditor", "admin", "ZJJ", "ZJJ-lead"):
            problem(api.post("/callers/search", login, {"phone": PHONE}), 403, "access_refused")
        problem(api.post("/callers/search", "agent", {"phone": "call me"}), 422)
    rows = audited(api, "caller_searched")
    assert sorted(row.what["found"] for row in rows) == [1, 2, 2, 2, 2, 2, 3]
    assert PHONE not in dump(api.world.engine)


def test_nobody_elsewhere_learns_whether_a_caller_is_known(api: Api) -> None:
    taken(api)
    nobody = api.post("/callers/search", "b-agent", {"phone": "13900000008"})
    elsewhere = api.post("/callers/search", "b-agent", {"phone": PHONE})
    assert (
        (nobody.json(), nobody.status_code)
        == (elsewhere.json(), elsewhere.status_code)
        == ({"items": []}, 200)
    )


def test_a_tipoff_is_found_only_by_who_may_open_its_caller(api: Api) -> None:
    number = taken(api, "tipoff")
    for login in ("agent", "callback", "supervisor", "p-supervisor"):
        assert found(api, login) == [number], login
    for login in ("agent2", "dispatcher"):
        assert found(api, login) == [], login


def test_a_search_kept_for_a_retry_confirms_no_guess(api: Api) -> None:
    """What is kept of a request under its Idempotency-Key is keyed: its digest cannot be tried with all phone numbers."""
    import hashlib
    import json

    number = taken(api)
    headers = {"Idempotency-Key": "search-1"}
    body = {"phone": PHONE}
    first = api.post("/callers/search", "agent", body, headers=headers)
    again = api.post("/callers/search", "agent", body, headers=headers)
    assert first.json() == again.json()
    assert [line["number"] for line in first.json()["items"]] == [number]
    guess = "\n".join(("POST", "/api/v1/callers/search", json.dumps(body, separators=(",", ":")), ""))
    stored = dump(api.world.engine, "request_keys")
    assert repr(hashlib.sha256(guess.encode()).digest()) not in stored


def test_the_text_filter_confirms_no_phone(api: Api) -> None:
    taken(api)
    for login in ("agent", "supervisor", "ZJJ"):
        for wanted in (PHONE, PHONE[3:], PHONE[:7], NAME, "13900000002"):
            assert api.get("/tickets", login, params={"text": wanted}).json()["items"] == []
