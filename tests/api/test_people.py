"""Administration: who may create, grant and disable whom, how a leaver's tickets change hands, and that all of it is on record."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline import ledger
from hotline.auditing.trail import AuditEntry
from hotline.models import LedgerEntry, Ticket
from hotline.organisation import Person
from tests.api.browser import SECRET, Browser, give_password
from tests.api.conftest import Api
from tests.api.refusals import nothing_stored, problem
from tests.api.tables import dump, fingerprint
from workflow.vocabulary import AuditKind

NEWCOMER = {"login": "newcomer", "name": "测试己", "platform": "01", "roles": ["agent"]}


def changes(api: Api) -> list[dict[str, Any]]:
    with Session(api.world.engine) as session:
        rows = session.execute(
            select(AuditEntry)
            .where(col(AuditEntry.kind) == AuditKind.ACCOUNT_CHANGED)
            .order_by(col(AuditEntry.seq))
        ).scalars()
        return [row.what | {"by": row.actor_name, "chain": row.platform_id} for row in rows]


def logins(answer: Any) -> set[str]:
    assert answer.status_code == 200, answer.text
    return {row["login"] for row in answer.json()["items"]}


# --- found by name -----------------------------------------------------------------------------------------------------


def named(api: Api, login: str, q: str, **more: Any) -> list[str]:
    answer = api.get("/colleagues", login, params={"q": q} | more)
    assert answer.status_code == 200, answer.text
    assert all(set(row) == {"login", "name", "roles", "unit"} for row in answer.json())
    return [row["login"] for row in answer.json()]


@pytest.mark.parametrize(
    "typed", ["测试话务员agent2", "cshwyagent2", "ceshihuawuyuan agent2", "agent2", "AGENT2"]
)
def test_a_colleague_is_found_by_name_pinyin_or_login(api: Api, typed: str) -> None:
    assert named(api, "agent", typed)[0] == "agent2"


def test_colleagues_are_those_at_work_within_reach(api: Api) -> None:
    assert set(named(api, "agent", "huawuyuan")) == {"agent", "agent2"}
    assert set(named(api, "supervisor", "ceshi", role="agent", limit=100)) == {"agent", "agent2"}
    assert "b-agent" in named(api, "p-supervisor", "b-agent")  # the province's works for those below too
    assert named(api, "agent", "ZJJ") == []  # a unit's staff are no business of an agent's
    assert set(named(api, "admin", "ZJJ", unit="ZJJ")) == {"ZJJ", "ZJJ-lead"}
    assert set(named(api, "ZJJ-lead", "ceshi", limit=100)) == {"ZJJ", "ZJJ-lead"}
    api.post("/people/agent2/disable", "admin", {"reason": "离岗"})
    assert named(api, "agent", "agent2") == []


# --- coming ------------------------------------------------------------------------------------------------------------


def test_a_newcomer_signs_in_with_a_password_told_once(api: Api) -> None:
    made = api.post("/people", "admin", NEWCOMER, headers={"Idempotency-Key": "k1"})
    assert made.status_code == 201
    password = made.json()["one_time_password"]
    assert {"must_change": True, "platform": "01", "unit": None}.items() <= made.json().items()
    browser = Browser(api)
    assert browser.sign_in("newcomer", password).json()["owed"] == "new_password"
    browser.post("/session/password", {"current": password, "new": SECRET})
    assert browser.get("/tickets").status_code == 200
    again = api.post("/people", "admin", NEWCOMER, headers={"Idempotency-Key": "k1"})
    assert password not in again.text
    assert password not in dump(api.world.engine)
    told = changes(api)[-1]
    assert told["change"] == "created"
    assert told["roles"] == {"before": [], "after": ["agent"]}
    assert told["chain"] == api.world.platforms["01"]


@pytest.mark.parametrize(
    ("login", "change", "status", "code"),
    [
        ("admin", {"login": "agent"}, 409, "name_taken"),
        ("admin", {"platform": "02"}, 404, "not_found"),
        ("admin", {"platform": "00"}, 404, "not_found"),
        ("admin", {"platform": None, "unit": "HDJ", "roles": ["handler"]}, 404, "not_found"),
        ("admin", {"unit": "ZJJ"}, 422, "order_invalid"),
        ("admin", {"roles": ["handler"]}, 422, "order_invalid"),
        ("admin", {"platform": None, "unit": "ZJJ"}, 422, "order_invalid"),
        ("admin", {"roles": ["admin", "auditor"]}, 422, "order_invalid"),
        ("admin", {"roles": ["citizen"]}, 422, "order_invalid"),
        ("admin", {"roles": []}, 422, "validation"),
        ("admin", {"login": "a b"}, 422, "validation"),
        ("admin", {"shift": "25:00-26:00"}, 422, "validation"),
        ("ZJJ-lead", {"platform": None, "unit": "ZJJ", "roles": ["unit_lead"]}, 403, "access_refused"),
        ("ZJJ-lead", {"platform": None, "unit": "JTJ", "roles": ["handler"]}, 404, "not_found"),
        ("ZJJ-lead", {}, 403, "access_refused"),
        ("ZJJ", {"platform": None, "unit": "ZJJ", "roles": ["handler"]}, 403, "access_refused"),
        ("supervisor", {}, 403, "access_refused"),
        ("auditor", {}, 403, "access_refused"),
    ],
)
def test_whom_one_may_not_create(
    api: Api, login: str, change: dict[str, Any], status: int, code: str
) -> None:
    with nothing_stored(api):
        problem(api.post("/people", login, NEWCOMER | change), status, code)


def test_a_units_head_adds_and_sees_its_own_handlers(api: Api) -> None:
    body = {"login": "zjj-02", "name": "测试庚", "unit": "ZJJ", "roles": ["handler"]}
    assert api.post("/people", "ZJJ-lead", body).status_code == 201
    assert logins(api.get("/people", "ZJJ-lead")) == {"ZJJ", "ZJJ-lead", "zjj-02"}
    problem(api.get("/people/JTJ", "ZJJ-lead"), 404, "not_found")
    problem(api.post("/people/zjj-02/disable", "ZJJ-lead", {"reason": "测试"}), 403, "access_refused")


def test_an_administrator_sees_the_tree_below_and_no_more(api: Api) -> None:
    own = logins(api.get("/people?limit=200", "admin"))
    assert {"agent", "ZJJ"} <= own
    assert not {"b-agent", "p-agent", "HDJ", "SJT"} & own
    whole = logins(api.get("/people?limit=200", "p-admin"))
    assert {"agent", "b-agent", "p-agent", "HDJ", "SJT"} <= whole
    for login in ("b-agent", "p-agent", "HDJ", "nobody"):
        seen = problem(api.get(f"/people/{login}", "admin"), 404, "not_found")
        assert seen["detail"].replace(login, "X") == "没有登录名为 X 的人员，或不在您的管理范围内。"
    assert logins(api.get("/people?platform=02&role=agent", "p-admin")) == {"b-agent", "b-agent2"}
    assert logins(api.get("/people?unit=ZJJ", "admin")) == {"ZJJ", "ZJJ-lead"}
    assert logins(api.get("/people", "admin", params={"text": "督办主管"})) == {"supervisor"}
    assert logins(api.get("/people", "admin", params={"text": "%"})) == set()


def test_the_list_comes_in_pages_without_gaps(api: Api) -> None:
    seen, cursor = [], 0
    while cursor is not None:
        page = api.get(f"/people?limit=4&cursor={cursor}", "admin").json()
        seen += [row["login"] for row in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen))
    assert set(seen) == logins(api.get("/people?limit=200", "admin"))


# --- granting ----------------------------------------------------------------------------------------------------------


def test_roles_change_with_before_and_after_and_end_the_sessions(api: Api) -> None:
    give_password(api, "agent")
    browser = Browser(api)
    browser.sign_in("agent")
    answer = api.post("/people/agent/roles", "admin", {"roles": ["agent", "callback"]})
    assert answer.json()["roles"] == ["agent", "callback"]
    problem(browser.get("/session"), 401)
    told = changes(api)[-1]
    assert (told["change"], told["roles"]) == (
        "granted",
        {"before": ["agent"], "after": ["agent", "callback"]},
    )


def test_nobody_raises_themselves_or_joins_what_must_be_apart(api: Api) -> None:
    with nothing_stored(api):
        problem(
            api.post("/people/admin/roles", "admin", {"roles": ["admin", "supervisor"]}),
            403,
            "access_refused",
        )
        problem(
            api.post("/people/auditor/roles", "admin", {"roles": ["admin", "auditor"]}), 422, "order_invalid"
        )
        problem(api.post("/people/ZJJ/roles", "admin", {"roles": ["supervisor"]}), 422, "order_invalid")
        problem(api.post("/people/p-admin/roles", "admin", {"roles": ["agent"]}), 404, "not_found")
        for path, body in (
            ("disable", {"reason": "测试"}),
            ("enable", {"reason": "测试"}),
            ("password", {"reason": "测试"}),
            ("second-factor", {"reason": "测试"}),
        ):
            problem(api.post(f"/people/admin/{path}", "admin", body), 403, "access_refused")


def test_only_administrators_change_people(api: Api) -> None:
    bodies = {
        "": {"name": "测试"},
        "/roles": {"roles": ["agent"]},
        "/disable": {"reason": "测试"},
        "/transfer": {"to": "agent2", "reason": "测试"},
        "/password": {"reason": "测试"},
    }
    with nothing_stored(api):
        for login in ("agent", "supervisor", "auditor", "ZJJ-lead", "b-admin"):
            for path, body in bodies.items():
                answer = api.post(f"/people/agent{path}", login, body)
                problem(answer, 404 if login == "b-admin" else 403)


def test_name_shift_and_place_change(api: Api) -> None:
    answer = api.post("/people/agent", "p-admin", {"name": "测试辛", "shift": "20:00-08:00"})
    assert (answer.json()["name"], answer.json()["shift"]) == ("测试辛", "20:00-08:00")
    assert api.post("/people/agent", "p-admin", {"shift": None}).json()["shift"] is None
    assert api.post("/people/agent", "p-admin", {"platform": "02"}).json()["platform"] == "02"
    problem(api.post("/people/agent", "p-admin", {"unit": "ZJJ"}), 422, "order_invalid")
    problem(api.post("/people/agent2", "admin", {"platform": "02"}), 404, "not_found")
    api.take(login="agent2")
    assert (
        problem(api.post("/people/agent2", "p-admin", {"platform": "02"}), 409, "still_in_charge")["tickets"]
        == 1
    )
    problem(api.post("/people/agent2/roles", "p-admin", {"roles": ["callback"]}), 409, "still_in_charge")


# --- getting in again --------------------------------------------------------------------------------------------------


def test_an_administrator_unlocks_and_gives_a_new_password(api: Api) -> None:
    give_password(api, "agent")
    for _ in range(5):
        Browser(api).sign_in("agent", "Wrong-password-1")
    assert api.get("/people/agent", "admin").json()["locked_until"] is not None
    problem(Browser(api).sign_in("agent"), 429)
    assert api.post("/people/agent/unlock", "admin", {"reason": "测试"}).json()["locked_until"] is None
    browser = Browser(api)
    assert browser.sign_in("agent").status_code == 200
    password = api.post("/people/agent/password", "admin", {"reason": "测试"}).json()["one_time_password"]
    problem(browser.get("/session"), 401)
    problem(browser.sign_in("agent"), 401)
    assert browser.sign_in("agent", password).json()["owed"] == "new_password"


def test_a_lost_phone_is_forgotten(api: Api) -> None:
    give_password(api, "supervisor")
    browser = Browser(api)
    browser.sign_in("supervisor")
    _, codes = browser.enrol()
    assert api.get("/people/supervisor", "admin").json()["second_factor"] is True
    answer = api.post("/people/supervisor/second-factor", "admin", {"reason": "测试"})
    assert answer.json()["second_factor"] is False
    problem(browser.get("/session"), 401)
    assert browser.sign_in("supervisor").json()["owed"] == "enrolment"
    assert Browser(api).sign_in("supervisor", code=codes[0]).json()["owed"] == "enrolment"


# --- leaving -----------------------------------------------------------------------------------------------------------


def test_somebody_who_leaves_loses_sessions_and_tokens_at_once(api: Api) -> None:
    give_password(api, "callback")
    browser = Browser(api)
    browser.sign_in("callback")
    answer = api.post("/people/callback/disable", "admin", {"reason": "离职"})
    assert (answer.json()["active"], answer.json()["transferred"]) == (False, [])
    problem(browser.get("/session"), 401)
    problem(api.get("/tickets", "callback"), 401)
    problem(browser.sign_in("callback"), 401)
    told = changes(api)[-1]
    assert (told["sessions_ended"], told["tokens_revoked"], told["reason"]) == (1, 1, "离职")
    assert api.post("/people/callback/enable", "admin", {"reason": "返岗"}).json()["left_at"] is None
    assert browser.sign_in("callback").status_code == 200
    problem(api.get("/tickets", "callback"), 401)  # the old token stays revoked


def test_a_leavers_tickets_are_handed_over_each_with_its_ledger_entry(api: Api) -> None:
    numbers = [api.take() for _ in range(3)]
    api.act(numbers[1], "dispatch", "dispatcher", {"lead": "ZJJ"})
    others = api.take(login="agent2")
    with nothing_stored(api):
        told = problem(api.post("/people/agent/disable", "admin", {"reason": "离职"}), 409, "still_in_charge")
        assert told["tickets"] == 3
        for to in ("agent", "supervisor", "b-agent", "nobody", "ZJJ"):
            answer = api.post("/people/agent/transfer", "admin", {"to": to, "reason": "离职"})
            assert answer.status_code in (404, 422), to
    done = api.post("/people/agent/transfer", "admin", {"to": "agent2", "reason": "离职移交"}).json()
    assert (done["count"], done["left"], set(done["numbers"])) == (3, 0, set(numbers))
    with Session(api.world.engine) as session:
        for number in numbers:
            ticket = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one()
            assert ticket.first_receiver_id == api.world.people["agent2"]
            entry = session.execute(
                select(LedgerEntry)
                .where(col(LedgerEntry.ticket_id) == ticket.id)
                .order_by(col(LedgerEntry.seq).desc())
                .limit(1)
            ).scalar_one()
            assert entry.act == "hand_over"
            assert "测试管理员" in entry.actor_name
            assert entry.payload["to"] == api.world.people["agent2"]
            assert not ledger.verify(
                number, ticket.ledger_head, ticket.ledger_seq, ledger.entries_of(session, ticket.id)
            )
    assert api.post("/people/agent/disable", "admin", {"reason": "离职"}).status_code == 200
    with nothing_stored(api):
        answer = api.post("/people/agent2/transfer", "admin", {"to": "agent", "reason": "测试"})
        problem(answer, 422, "order_invalid")  # gone
    assert others not in done["numbers"]


def test_disabling_with_a_taker_does_both_or_neither(api: Api) -> None:
    numbers = {api.take(), api.take()}
    with nothing_stored(api):
        problem(api.post("/people/agent/disable", "admin", {"reason": "离职", "transfer_to": "b-agent"}), 404)
    answer = api.post("/people/agent/disable", "admin", {"reason": "离职", "transfer_to": "agent2"})
    assert set(answer.json()["transferred"]) == numbers
    assert answer.json()["active"] is False
    with Session(api.world.engine) as session:
        assert session.get_one(Person, api.world.people["agent"]).left_at is not None


# --- units and platforms -----------------------------------------------------------------------------------------------

UNIT = {
    "code": "NEW",
    "name": "测试新局",
    "level": "prefecture",
    "kind": "department",
    "platform": "01",
    "area": "630104000000",
}


def test_a_unit_is_added_dispatched_to_and_disabled_once_it_has_nothing_open(api: Api) -> None:
    assert api.post("/units", "admin", UNIT | {"parent": "ZJJ"}).json()["parent"] == "ZJJ"
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "NEW"})
    with nothing_stored(api):
        told = problem(api.post("/units/NEW", "admin", {"active": False}), 409, "still_in_use")
    assert told["parts"] == 1
    api.act(number, "coordinate", "supervisor", {"note": "测试"})
    api.act(number, "designate", "supervisor", {"lead": "ZJJ", "basis": "测试"})
    assert api.post("/units/NEW", "admin", {"active": False}).json()["active"] is False
    other = api.take()
    problem(api.post(f"/tickets/{other}/dispatch", "dispatcher", {"lead": "NEW"}), 422)
    assert [row["change"] for row in changes(api)] == ["unit_added", "unit_changed"]


@pytest.mark.parametrize(
    ("path", "login", "body", "status"),
    [
        ("/units", "admin", UNIT | {"code": "ZJJ"}, 409),
        ("/units", "admin", UNIT | {"platform": "02"}, 404),
        ("/units", "admin", UNIT | {"area": "990000000000"}, 422),
        ("/units", "admin", UNIT | {"parent": "NOBODY"}, 422),
        ("/units", "supervisor", UNIT, 403),
        ("/units/HDJ", "admin", {"name": "测试"}, 404),
        ("/units/NOBODY", "admin", {"name": "测试"}, 404),
        ("/units/ZJJ", "admin", {"parent": "ZJJ"}, 422),
        ("/units/ZJJ", "admin", {"name": None}, 422),
        ("/platforms/00", "p-admin", {"parent": "01"}, 422),
        ("/platforms/02", "admin", {"name": "测试"}, 404),
        ("/platforms/01", "p-admin", {"parent": "02"}, 422),
    ],
)
def test_what_may_not_be_done_to_units_and_platforms(
    api: Api, path: str, login: str, body: dict[str, Any], status: int
) -> None:
    with nothing_stored(api):
        problem(api.post(path, login, body), status)


def test_units_do_not_stand_above_themselves(api: Api) -> None:
    assert api.post("/units/JTJ", "admin", {"parent": "ZJJ"}).status_code == 200
    assert api.post("/units/CGJ", "admin", {"parent": "JTJ"}).status_code == 200
    problem(api.post("/units/ZJJ", "admin", {"parent": "CGJ"}), 422, "order_invalid")
    assert api.post("/units/JTJ", "admin", {"parent": None}).json()["parent"] is None


def test_lines_beside_the_prefectures_join_the_tree_without_rings(api: Api) -> None:
    line = {
        "code": "21",
        "name": "测试供热热线",
        "short_name": "供热热线",
        "level": "prefecture",
        "kind": "parallel",
        "area": "630100000000",
        "parent": "01",
    }
    assert api.post("/platforms", "admin", line).status_code == 201
    branch = line | {"code": "22", "kind": "branch", "parent": "21", "name": "测试分中心"}
    problem(api.post("/platforms", "b-admin", branch), 404)
    assert api.post("/platforms", "admin", branch).json()["parent"] == "21"
    problem(api.post("/platforms", "admin", branch), 409, "name_taken")
    problem(api.post("/platforms", "admin", line | {"code": "23", "kind": "province"}), 422)
    problem(api.post("/platforms/21", "admin", {"parent": "22"}), 422, "order_invalid")
    problem(api.post("/platforms/21", "admin", {"parent": "21"}), 422, "order_invalid")
    tree = {row["code"]: row["parent"] for row in api.get("/platforms", "p-admin").json()}
    assert tree == {"00": None, "01": "00", "02": "00", "21": "01", "22": "21"}
    assert {row["code"] for row in api.get("/platforms", "agent").json()} == {"01"}
    body = {"login": "line-agent", "name": "测试壬", "platform": "22", "roles": ["agent"]}
    assert api.post("/people", "admin", body).status_code == 201
    before = fingerprint(api.world.engine)
    problem(api.post("/people", "b-admin", body | {"login": "other"}), 404)
    assert fingerprint(api.world.engine) == before
