"""Exports: asked for, approved by another person, made from what the asker sees, watermarked, sealed at rest, gone when their time is over."""

import csv
import io
import re
import threading
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.auditing.proof import prove
from hotline.auditing.trail import AuditEntry, ExportRequest, Unsealing
from hotline.case import Office
from hotline.exporting import exports
from hotline.exporting.rows import COLUMNS
from hotline.organisation import Person, Platform
from hotline.people import accounts
from hotline.people.clients import create
from tests import world as w
from tests.api.conftest import Api
from tests.api.test_errors import problem
from workflow.vocabulary import AuditKind, ExportState, Role, Scope

ASK = {"purpose": "report", "explanation": "三月份办理情况分析。"}
YES = {"reason": "用途明确，同意导出。"}
TITLES = [column.title for column in COLUMNS]
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def ask(api: Api, login: str = "dispatcher", *, status: int = 201, **more: Any) -> Any:
    response = api.post("/exports", login, ASK | more)
    assert response.status_code == status, response.text
    return response.json()


def approve(api: Api, key: int, login: str = "supervisor", *, status: int = 200, **more: Any) -> Any:
    response = api.post(f"/exports/{key}/approve", login, YES | more)
    assert response.status_code == status, response.text
    return response.json()


def fetch(api: Api, key: int, login: str = "dispatcher") -> bytes:
    response = api.get(f"/exports/{key}/file", login)
    assert response.status_code == 200, response.text
    assert "attachment" in response.headers["Content-Disposition"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    return bytes(response.content)


def exported(
    api: Api, login: str = "dispatcher", by: str = "supervisor", **more: Any
) -> list[dict[str, str]]:
    """Ask, approve, download as CSV; its rows by title."""
    key = ask(api, login, format="csv", **more)["id"]
    approve(api, key, by)
    return csv_rows(fetch(api, key, login))


def csv_rows(content: bytes) -> list[dict[str, str]]:
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert lines[1] == TITLES
    return [dict(zip(TITLES, line, strict=True)) for line in lines[2:-1]]


def noted(api: Api, kind: AuditKind) -> list[dict[str, Any]]:
    with Session(api.world.engine) as session:
        rows = session.execute(
            select(AuditEntry).where(col(AuditEntry.kind) == kind).order_by(col(AuditEntry.seq))
        ).scalars()
        return [row.what for row in rows]


def run(api: Api, job: Callable[[Session, Office, datetime], int]) -> int:
    with Session(api.world.engine) as session:
        done = job(session, api.world.office, api.now)
        session.commit()
        return done


def folder(api: Api) -> Path:
    return api.world.office.blobs.folder / "exports"


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


# --- what stands in it ---------------------------------------------------------------------------------------------------


def test_the_asker_gets_what_they_see_and_no_more(api: Api) -> None:
    own, other = api.take(), api.take()
    api.act(own, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(other, "dispatch", "dispatcher", {"lead": "JTJ"})
    elsewhere = api.take(login="b-agent")
    assert [r["工单编号"].strip() for r in exported(api, "ZJJ-lead")] == [own]
    assert {r["工单编号"].strip() for r in exported(api)} == {own, other}
    assert elsewhere in {r["工单编号"].strip() for r in exported(api, "p-auditor", "p-supervisor")}
    assert [r["工单编号"].strip() for r in exported(api, filters={"unit": "JTJ"})] == [other]


def test_the_scope_is_that_of_the_approval(api: Api) -> None:
    first = api.take()
    key = ask(api, format="csv")["id"]
    second = api.take()
    approve(api, key)
    api.at("2026-03-02 12:00").take()
    assert [r["工单编号"].strip() for r in csv_rows(fetch(api, key))] == [first, second]


def test_callers_are_masked_unless_opened_by_approval(api: Api) -> None:
    api.take()
    (masked,) = exported(api)
    assert (masked["来电人"], masked["来电人电话"]) == ("测**", "139****0001")
    assert "1号" not in masked["来电人地址"]
    (opened,) = exported(api, unmasked=["phone", "name"])
    assert (opened["来电人"], opened["来电人电话"]) == ("测试甲", "13900000001")
    assert opened["来电人地址"] == masked["来电人地址"]
    decided = noted(api, AuditKind.EXPORT_DECIDED)
    assert [d["callers_opened"] for d in decided] == [0, 1]
    with Session(api.world.engine) as session:
        rows = session.execute(select(Unsealing).order_by(col(Unsealing.id))).scalars().all()
    assert [(r.field.value, r.export_id, r.actor_name) for r in rows] == [
        ("name", decided[1]["export"], "测试派单员dispatcher"),
        ("phone", decided[1]["export"], "测试派单员dispatcher"),
    ]


@pytest.mark.parametrize("login", ["reviewer", "auditor", "ZJJ-lead"])
def test_who_may_not_read_callers_may_not_have_them_exported(api: Api, login: str) -> None:
    assert ask(api, login, status=403, unmasked=["phone"])["article"] == "15"


@pytest.mark.parametrize(("login", "by"), [("dispatcher", "supervisor"), ("supervisor", "p-supervisor")])
def test_a_sealed_caller_is_in_no_export(api: Api, login: str, by: str) -> None:
    tipoff = api.take("tipoff")
    confidential = api.take()
    api.act(confidential, "keep_confidential", "agent", {"reason": "来电人要求。"})
    fields = ["name", "phone", "address", "id_number"]
    rows = exported(api, login, by, unmasked=fields)
    assert {r["工单编号"].strip() for r in rows} == {tipoff, confidential}
    for row in rows:
        assert [row[title] for title in TITLES[-4:]] == ["（保密）"] * 4
        assert "13900000001" not in "".join(row.values())
        assert "测试甲" not in "".join(row.values())
    with Session(api.world.engine) as session:
        assert session.execute(select(Unsealing)).first() is None


def test_a_caller_who_asks_for_confidence_after_the_request_is_sealed_in_it(api: Api) -> None:
    number = api.take()
    key = ask(api, format="csv", unmasked=["phone"])["id"]
    api.act(number, "keep_confidential", "agent", {"reason": "来电人要求。"})
    approve(api, key)
    assert csv_rows(fetch(api, key))[0]["来电人电话"] == "（保密）"


def test_a_unit_sees_no_more_of_the_caller_in_a_file_than_on_the_screen(api: Api) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    for login in ("ZJJ-lead", "JTJ-lead"):
        (row,) = exported(api, login)
        assert row["来电人电话"] == "139****0001"


def test_dates_limits_and_outcomes_are_told(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take()
    api.at("2026-03-02 10:00").act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    (row,) = exported(api)
    assert (row["受理时间"], row["答复期限"], row["时效"]) == (
        "2026-03-02 09:00",
        "2026-03-05 00:00",
        "办理中",
    )
    assert (row["牵头单位"], row["状态"], row["诉求性质"]) == ("测试市住建局", "已派单(待签收)", "咨询")
    api.at("2026-03-05 00:00")
    assert exported(api)[0]["时效"] == "逾期未反馈"


# --- the file ------------------------------------------------------------------------------------------------------------

NASTY = [
    "=1+1",
    "+86",
    "-1",
    "@SUM(A1)",
    "＝1+1",
    " =cmd|' /C calc'!A0",
    "\t=1",
    "<r><t>x</t></r>",
    '<r></r><c r="A1"><f>1+1</f></c></r>',
    "&lt;b&gt; ]]> \x01\x0b",
    'http://example.invalid/"x"',
    "00123",
    "普通标题，带逗号",
]


def cells(content: bytes) -> list[dict[str, Any]]:
    """Every row of the sheet as column letters to (type, text)."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = ElementTree.fromstring(archive.read("xl/worksheets/sheet1.xml"))
    assert sheet.find(f".//{SHEET}f") is None  # not one formula
    rows = []
    for row in sheet.iter(f"{SHEET}row"):
        found = {}
        for cell in row.iter(f"{SHEET}c"):
            letter = re.sub(r"\d", "", cell.attrib["r"])
            found[letter] = (cell.attrib.get("t", "n"), "".join(cell.itertext()))
        rows.append(found)
    return rows


def test_text_stays_text_whatever_a_citizen_wrote(api: Api) -> None:
    for title in NASTY:
        api.take(title=title)
    key = ask(api)["id"]
    approve(api, key)
    content = fetch(api, key)
    told = [row["G"] for row in cells(content)[2:]]
    assert all(kind == "inlineStr" for kind, _ in told)
    texts = {text_.replace("_x0001_", "").strip() for _, text_ in told}
    assert {"=1+1", "@SUM(A1)", "<r><t>x</t></r>", "00123", "普通标题，带逗号"} <= texts
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert not [
            name for name in archive.namelist() if "external" in name.lower() or "_rels/sheet" in name
        ]
    for row in exported(api):
        assert not row["标题"].lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "＝"))
    assert {r["标题"] for r in exported(api)} >= {
        "'=1+1",
        "'+86",
        "'-1",
        "'@SUM(A1)",
        "'＝1+1",
        "普通标题，带逗号",
    }


def test_an_xlsx_has_real_dates_a_frozen_header_a_filter_and_its_watermark_everywhere(api: Api) -> None:
    api.take()
    key = ask(api)["id"]
    approve(api, key)
    content = fetch(api, key)
    mark, titles, row = cells(content)
    assert [title for _, title in titles.values()] == TITLES
    kind, serial = row["J"]
    assert kind == "n"
    assert datetime(1899, 12, 30, tzinfo=UTC) + timedelta(days=float(serial)) == datetime(
        2026, 3, 2, 9, tzinfo=UTC
    )
    assert row["A"][0] == "inlineStr"
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        core = archive.read("docProps/core.xml").decode()
    assert re.search(r'<pane xSplit="1" ySplit="2"[^>]*state="frozen"', sheet)
    assert '<autoFilter ref="A2:U3"' in sheet
    assert '<col min="8" max="8" width="60' in sheet
    for place in (mark["A"][1], core, re.findall("<oddHeader>(.*?)</oddHeader>", sheet, re.S)[0]):
        assert f"第 {key} 号" in place
        assert "测试派单员dispatcher" in place
    for words in ("测试派单员dispatcher", "测试督办主管supervisor", "2026-03-02 09:00", "统计分析：三月份"):
        assert words in mark["A"][1]
    assert f"第 {key} 号" in re.findall("<oddFooter>(.*?)</oddFooter>", sheet, re.S)[0]


def test_a_csv_opens_in_a_spreadsheet_and_is_marked_first_and_last(api: Api) -> None:
    number = api.take()
    key = ask(api, format="csv")["id"]
    approve(api, key)
    content = fetch(api, key)
    assert content.startswith(b"\xef\xbb\xbf")
    lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    assert lines[0] == lines[-1]
    assert f"导出申请第 {key} 号" in lines[0][0]
    assert lines[2][0] == "\t" + number  # a long number stays text


def test_an_export_of_nothing_is_a_file_all_the_same(api: Api) -> None:
    key = ask(api)["id"]
    approve(api, key)
    assert len(cells(fetch(api, key))) == 2


# --- many rows, and processes that end halfway ------------------------------------------------------------------------------


def test_a_large_export_is_made_by_the_ticker(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 2)
    for _ in range(3):
        api.take()
    key = ask(api, format="csv")["id"]
    assert approve(api, key)["state"] == "preparing"
    assert problem(api.get(f"/exports/{key}/file", "dispatcher"), 409)["code"] == "export_not_ready"
    api.at("2026-03-02 09:10")
    assert run(api, exports.make_due) == 1
    assert run(api, exports.make_due) == 0
    view = api.get(f"/exports/{key}", "dispatcher").json()
    assert (view["state"], view["rows"]) == ("approved", 3)
    assert datetime.fromisoformat(view["expires_at"]) == w.china("2026-03-05 09:10")
    assert len(csv_rows(fetch(api, key))) == 3


def test_two_tickers_make_a_file_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 0)
    api.take()
    key = ask(api)["id"]
    approve(api, key)
    done: list[int] = []
    threads = [threading.Thread(target=lambda: done.append(run(api, exports.make_due))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(done) == [0, 0, 0, 1]
    assert fetch(api, key)


def test_more_rows_than_a_file_may_have_are_refused(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "MOST_ROWS", 2)
    api.take(), api.take()
    key = ask(api)["id"]
    api.take()
    assert ask(api, status=422)["code"] == "limit_exceeded"
    assert approve(api, key, status=422)["code"] == "limit_exceeded"


@pytest.mark.parametrize("verb", ["approve", "refuse"])
def test_a_process_killed_between_file_and_row_leaves_nothing_behind(api: Api, verb: str) -> None:
    api.take()
    key = ask(api, format="csv", unmasked=["phone"])["id"]
    with Session(api.world.engine) as session:
        desk = api.world.desk(session, "supervisor", api.now)
        exports.approve(desk, key, exports.ApprovalOrder(reason="同意。"))
        session.rollback()  # as if killed: the file is written, the row is not
    assert len(list(folder(api).iterdir())) == 1
    assert api.get(f"/exports/{key}", "dispatcher").json()["state"] == "asked"
    assert problem(api.get(f"/exports/{key}/file", "dispatcher"), 409)
    api.at("2026-03-02 09:30")
    assert api.post(f"/exports/{key}/{verb}", "supervisor", {"reason": "意见。"}).status_code == 200
    if verb == "approve":
        assert "2026-03-02 09:30" in fetch(api, key).decode("utf-8-sig")
    else:
        assert list(folder(api).iterdir()) == []
    assert len(noted(api, AuditKind.EXPORT_DECIDED)) == 1


def test_a_destruction_undone_is_done_again_and_recorded_once(api: Api) -> None:
    key = ask(api)["id"]
    approve(api, key)
    api.at("2026-03-10 09:00")
    with Session(api.world.engine) as session:
        assert exports.destroy_expired(session, api.world.office, api.now) == 1
        session.rollback()
    assert list(folder(api).iterdir()) == []
    assert noted(api, AuditKind.EXPORT_DESTROYED) == []
    assert run(api, exports.destroy_expired) == 1
    assert run(api, exports.destroy_expired) == 0
    assert len(noted(api, AuditKind.EXPORT_DESTROYED)) == 1


def test_a_file_the_disk_will_not_give_up_keeps_no_other_back(api: Api) -> None:
    keys = [ask(api)["id"] for _ in range(2)]
    for key in keys:
        approve(api, key)
    stuck = folder(api) / f"{keys[0]}.xlsx.sealed"
    stuck.unlink()
    stuck.mkdir()  # cannot be unlinked
    api.at("2026-03-10 09:00")
    assert run(api, exports.destroy_expired) == 1
    states = {item["id"]: item["state"] for item in api.get("/exports", "dispatcher").json()["items"]}
    assert states == {keys[0]: "approved", keys[1]: "expired"}
    stuck.rmdir()
    assert run(api, exports.destroy_expired) == 1


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
