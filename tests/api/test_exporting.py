"""Exports: asked for, approved by another person, made from what the asker sees, watermarked, sealed at rest, gone when their time is over."""

import threading
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlmodel import Session

from hotline.auditing.proof import prove
from hotline.auditing.trail import ExportRequest
from hotline.exporting import exports
from hotline.organisation import Person, Platform
from hotline.people import accounts
from hotline.people.clients import create
from tests import world as w
from tests.api.conftest import Api
from tests.api.exports import ASK, YES, approve, ask, csv_rows, fetch, folder, noted, run
from tests.api.refusals import problem
from workflow.vocabulary import AuditKind, ExportState, Role, Scope

# --- the course of one -------------------------------------------------------------------------------------------------


def test_an_export_is_asked_approved_downloaded_and_destroyed_each_on_record(api: Api) -> None:
    numbers = {api.take(), api.take("complaint")}
    asked = ask(api, format="csv")
    assert (asked["state"], asked["rows"], asked["mine"], asked["may_decide"]) == ("asked", 2, True, False)
    assert problem(api.get(f"/exports/{asked['id']}/file", "dispatcher"), 409)["code"] == "export_not_ready"
    seen = api.get(f"/exports/{asked['id']}", "supervisor").json()
    assert (seen["mine"], seen["may_decide"]) == (False, True)

    api.at("2026-03-02 10:00")
    done = approve(api, asked["id"], hours=24)
    assert (done["state"], done["rows"], done["decided_by"]) == ("approved", 2, "测试督办主管supervisor")
    assert datetime.fromisoformat(done["expires_at"]) == w.china("2026-03-03 10:00")

    content = fetch(api, asked["id"])
    assert {row["工单编号"].strip() for row in csv_rows(content)} == numbers
    fetch(api, asked["id"])
    assert api.get(f"/exports/{asked['id']}", "dispatcher").json()["downloads"] == 2

    api.at("2026-03-03 09:59")
    assert run(api, exports.destroy_expired) == 0
    api.at("2026-03-03 10:00")
    assert problem(api.get(f"/exports/{asked['id']}/file", "dispatcher"), 404)
    assert run(api, exports.destroy_expired) == 1
    assert run(api, exports.destroy_expired) == 0
    assert list(folder(api).iterdir()) == []
    view = api.get(f"/exports/{asked['id']}", "dispatcher").json()
    assert (view["state"], view["destroyed_at"] is not None) == ("expired", True)
    assert problem(api.get(f"/exports/{asked['id']}/file", "dispatcher"), 404)

    assert [n["export"] for n in noted(api, AuditKind.EXPORT_ASKED)] == [asked["id"]]
    (decided,) = noted(api, AuditKind.EXPORT_DECIDED)
    assert (decided["approved"], decided["rows"], decided["callers_opened"]) == (True, 2, 0)
    assert [n["downloads"] for n in noted(api, AuditKind.EXPORT_READ)] == [1, 2]
    assert len(noted(api, AuditKind.EXPORT_DESTROYED)) == 1
    assert prove(api.world.engine).flaws == []


def test_nothing_of_it_lies_in_clear(api: Api) -> None:
    api.take(title="很特别的标题文字")
    key = ask(api, format="csv", unmasked=["phone"])["id"]
    approve(api, key)
    (file,) = folder(api).iterdir()
    kept = file.read_bytes()
    assert "很特别的标题文字".encode() not in kept
    assert b"13900000001" not in kept
    assert file.stat().st_mode & 0o777 == 0o600
    assert folder(api).stat().st_mode & 0o777 == 0o700
    assert b"13900000001" in fetch(api, key)
    for damaged in (kept[:-1], kept[:40], b"", kept[:-20] + bytes(20)):
        file.write_bytes(damaged)
        assert problem(api.get(f"/exports/{key}/file", "dispatcher"), 404)
    assert len(noted(api, AuditKind.EXPORT_READ)) == 1


def test_two_exports_files_cannot_be_exchanged(api: Api) -> None:
    api.take()
    first, second = (ask(api, format="csv")["id"] for _ in range(2))
    for key in (first, second):
        approve(api, key)
    a, b = folder(api) / f"{first}.csv.sealed", folder(api) / f"{second}.csv.sealed"
    a.write_bytes(b.read_bytes())
    assert problem(api.get(f"/exports/{first}/file", "dispatcher"), 404)
    fetch(api, second)


# --- who may -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["agent", "callback", "editor", "admin", "ZJJ"])
def test_other_roles_do_not_ask(api: Api, login: str) -> None:
    ask(api, login, status=403)


@pytest.mark.parametrize("login", ["agent", "dispatcher", "reviewer", "auditor", "admin", "ZJJ-lead"])
def test_only_a_supervisor_decides(api: Api, login: str) -> None:
    key = ask(api)["id"]
    approve(api, key, login, status=403)
    assert api.post(f"/exports/{key}/refuse", login, {"reason": "不同意。"}).status_code == 403


def test_nobody_approves_their_own(api: Api) -> None:
    key = ask(api, "supervisor")["id"]
    assert "本人" in approve(api, key, status=403)["detail"]
    assert api.post(f"/exports/{key}/refuse", "supervisor", {"reason": "撤回。"}).status_code == 403
    assert approve(api, key, "p-supervisor")["state"] == "approved"


def test_another_platforms_supervisor_learns_nothing_of_it(api: Api) -> None:
    key = ask(api)["id"]
    for response in (
        api.post(f"/exports/{key}/approve", "b-supervisor", YES),
        api.post(f"/exports/{key}/refuse", "b-supervisor", {"reason": "不同意。"}),
        api.get(f"/exports/{key}", "b-supervisor"),
        api.get(f"/exports/{key}/file", "b-supervisor"),
        api.get("/exports/999", "b-supervisor"),
    ):
        assert problem(response, 404)["detail"] == "没有这份导出申请，或不在您的权限范围内。"
    assert api.get("/exports", "b-supervisor").json()["items"] == []
    assert [n["code"] for n in noted(api, AuditKind.REFUSED)] == ["not_found"] * 4


def test_a_provinces_request_is_not_for_a_prefecture_to_decide(api: Api) -> None:
    key = ask(api, "p-dispatcher")["id"]
    approve(api, key, "supervisor", status=404)
    approve(api, key, "p-supervisor")


def test_another_persons_file_is_not_downloaded(api: Api) -> None:
    key = ask(api)["id"]
    approve(api, key)
    for login in ("supervisor", "p-supervisor", "auditor"):
        assert "本人" in problem(api.get(f"/exports/{key}/file", login), 403)["detail"]
    for login in ("reviewer", "ZJJ-lead", "b-dispatcher"):
        assert problem(api.get(f"/exports/{key}/file", login), 404)


def test_the_person_behind_a_machine_does_not_approve_what_it_asks(api: Api) -> None:
    world = api.world
    with Session(world.engine) as session:
        platform = session.get_one(Platform, world.platforms["01"])
        desk = world.desk(session, "supervisor", api.now)
        client, _ = create(
            desk,
            name="reporting",
            label="测试报表系统",
            roles=[Role.DISPATCHER],
            scopes=[Scope.EXPORTS],
            platform=platform,
        )
        session.flush()
        world.tokens["machine"] = accounts.issue_token(
            session,
            label=client.label,
            at=api.now,
            platform=platform,
            roles=[Role.DISPATCHER],
            scopes=[Scope.EXPORTS],
            client=client,
        )
        session.commit()
    api.take()
    key = ask(api, "machine", format="csv")["id"]
    assert "接口客户端" in approve(api, key, status=403)["detail"]
    approve(api, key, "p-supervisor")
    assert len(csv_rows(fetch(api, key, "machine"))) == 1
    with Session(world.engine) as session:
        session.execute(text("UPDATE machine_clients SET revoked_at = now()"))
        session.commit()
    assert api.get(f"/exports/{key}/file", "machine").status_code == 401


def test_a_token_without_the_scope_gets_no_export(api: Api) -> None:
    world = api.world
    with Session(world.engine) as session:
        person = session.get_one(Person, world.people["dispatcher"])
        world.tokens["narrow"] = accounts.issue_token(
            session, label="test", at=api.now, person=person, scopes=[Scope.TICKETS_READ]
        )
        session.commit()
    ask(api, "narrow", status=403)


# --- decided once --------------------------------------------------------------------------------------------------------


def test_a_request_is_decided_once(api: Api) -> None:
    key = ask(api)["id"]
    assert (
        api.post(f"/exports/{key}/refuse", "supervisor", {"reason": "用途不明。"}).json()["state"]
        == "refused"
    )
    assert approve(api, key, "p-supervisor", status=409)["code"] == "already_decided"
    assert problem(api.get(f"/exports/{key}/file", "dispatcher"), 409)["code"] == "export_not_ready"
    assert [n["approved"] for n in noted(api, AuditKind.EXPORT_DECIDED)] == [False]


def test_of_two_who_decide_at_once_one_wins(api: Api) -> None:
    for _ in range(20):
        api.take()
    key = ask(api)["id"]
    statuses: list[int] = []

    def decide(login: str, verb: str) -> None:
        statuses.append(api.post(f"/exports/{key}/{verb}", login, {"reason": "意见。"}).status_code)

    threads = [
        threading.Thread(target=decide, args=each)
        for each in (("supervisor", "approve"), ("p-supervisor", "refuse"), ("p-supervisor", "approve"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(statuses) == [200, 409, 409]
    assert len(noted(api, AuditKind.EXPORT_DECIDED)) == 1


def test_the_same_request_sent_twice_asks_once(api: Api) -> None:
    headers = {"Idempotency-Key": "export-1"}
    first = api.post("/exports", "dispatcher", ASK, headers=headers)
    again = api.post("/exports", "dispatcher", ASK, headers=headers)
    assert first.json() == again.json()
    assert len(api.get("/exports", "dispatcher").json()["items"]) == 1


def test_a_request_nobody_decides_lapses(api: Api) -> None:
    key = ask(api)["id"]
    api.at("2026-04-01 08:59")
    assert run(api, exports.destroy_expired) == 0
    api.at("2026-04-01 09:00")
    assert run(api, exports.destroy_expired) == 1
    approve(api, key, status=409)
    assert noted(api, AuditKind.EXPORT_DESTROYED) == []


def test_an_asker_who_left_gets_nothing(api: Api) -> None:
    key = ask(api)["id"]
    with Session(api.world.engine) as session:
        session.get_one(Person, api.world.people["dispatcher"]).active = False
        session.commit()
    assert "离岗" in approve(api, key, status=422)["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"hours": 0}, "hours"),
        ({"hours": 73}, "hours"),
        ({"reason": " "}, "reason"),
    ],
)
def test_an_approval_says_why_and_for_how_long(api: Api, body: dict[str, Any], field: str) -> None:
    key = ask(api)["id"]
    assert approve(api, key, status=422, **body)["field"] == field


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"purpose": "curiosity"}, "purpose"),
        ({"explanation": ""}, "explanation"),
        ({"unmasked": ["original"]}, "unmasked.0"),
        ({"format": "pdf"}, "format"),
        ({"filters": {"cursor": "x"}}, "filters.cursor"),
        ({"filters": {"text": "13900000001"}}, "filters.text"),
    ],
)
def test_a_request_says_what_for_and_what(api: Api, body: dict[str, Any], field: str) -> None:
    assert ask(api, status=422, **body)["field"] == field


# --- the list --------------------------------------------------------------------------------------------------------------


def test_the_list_holds_ones_own_and_those_to_decide_in_pages(api: Api) -> None:
    mine = [ask(api)["id"] for _ in range(3)]
    others = ask(api, "reviewer")["id"]
    assert [i["id"] for i in api.get("/exports", "dispatcher").json()["items"]] == mine[::-1]
    page = api.get("/exports?limit=3", "supervisor").json()
    assert [i["id"] for i in page["items"]] == [others, *mine[:0:-1]]
    rest = api.get(f"/exports?limit=3&before={page['next']}", "supervisor").json()
    assert ([i["id"] for i in rest["items"]], rest["next"]) == ([mine[0]], None)
    approve(api, others)
    approved = api.get("/exports?state=approved", "p-supervisor").json()["items"]
    assert [i["id"] for i in approved] == [others]
    with Session(api.world.engine) as session:
        states = {e.state for e in session.execute(select(ExportRequest)).scalars()}
    assert states == {ExportState.ASKED, ExportState.APPROVED}
