"""The audit trail over HTTP and on the command line: who reads it, what it holds, alerts, looks at one ticket, recordings and their end."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlmodel import Session, col

from api import scheduler
from api.main import create_app
from api.wiring import Runtime
from hotline import recordings
from hotline.auditing import audit, daily_heads
from hotline.auditing.chain import Algorithm
from hotline.auditing.policy import Policy
from hotline.auditing.proof import prove
from hotline.auditing.trail import AuditEntry
from hotline.models import Attachment, LedgerEntry
from hotline.office import policy_of
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import Api
from tests.api.refusals import problem
from tests.api.test_cli import Shell, hotline  # noqa: F401 - a fixture
from tests.api.test_files import WAV, archived_with, kept
from workflow.vocabulary import AuditKind


def trail(api: Api, login: str = "auditor", **query: Any) -> list[dict[str, Any]]:
    response = api.get("/audit", login, params=query)
    assert response.status_code == 200, response.text
    return list(response.json()["items"])


def kinds(api: Api, login: str = "auditor", **query: Any) -> list[str]:
    return [item["kind"] for item in trail(api, login, **query)]


def entries(api: Api, kind: AuditKind | None = None) -> list[AuditEntry]:
    with Session(api.world.engine, expire_on_commit=False) as session:
        statement = select(AuditEntry).order_by(
            col(AuditEntry.platform_id), col(AuditEntry.day), col(AuditEntry.seq)
        )
        if kind is not None:
            statement = statement.where(col(AuditEntry.kind) == kind)
        return list(session.execute(statement).scalars())


# --- what is recorded --------------------------------------------------------------------------------------------------


def test_a_download_is_recorded_and_a_list_is_not(api: Api) -> None:
    number = api.take()
    file = kept(api, number, WAV, "通话.wav", file_class="recording")
    api.get("/tickets", "agent")
    api.get(f"/tickets/{number}", "agent")
    assert entries(api) == []
    assert api.get(f"/tickets/{number}/attachments/{file['id']}", "reviewer").status_code == 200
    (entry,) = entries(api)
    assert (entry.kind, entry.actor_name) == (AuditKind.FILE_READ, "测试审核员reviewer")
    assert entry.what == {"attachment": file["id"], "class": "recording", "sha256": file["sha256"]}
    assert entry.platform_id == api.world.platforms["01"]


def test_a_refusal_names_who_what_and_which_ticket(api: Api) -> None:
    number = api.take()
    assert problem(api.get(f"/tickets/{number}", "b-agent"), 404)
    assert problem(api.post(f"/tickets/{number}/dispatch", "callback", {"lead": "ZJJ"}), 403)
    told = [(e.actor_name, e.what["operation"], e.what["code"], e.what["number"]) for e in entries(api)]
    assert told == [
        ("测试回访员callback", "dispatch", "act_not_granted", number),
        ("测试话务员b-agent", "get_ticket", "not_found", number),
    ]
    assert len({e.ticket_id for e in entries(api)} - {None}) == 1
    assert [i["ticket"] for i in trail(api, ticket=number, kind="refused")] == [number]


def test_no_credentials_leave_no_entry_and_bad_ones_few(api: Api) -> None:
    for _ in range(5):
        assert api.client.get("/api/v1/tickets").status_code == 401
    assert entries(api) == []
    for i in range(40):
        headers = {"Authorization": f"Bearer guess-{i}"}
        assert api.client.get("/api/v1/tickets", headers=headers).status_code in (401, 429)
    assert len(entries(api)) == 10
    api.now += timedelta(minutes=1)
    with Session(api.world.engine) as session:
        api.world.office.unknown.record(session, api.now)
        session.commit()
    last = entries(api)[-1]
    assert (len(entries(api)), last.platform_id, last.actor_kind) == (11, audit.NOWHERE, "anonymous")
    assert last.what["count"] == 30
    assert "guess" not in json.dumps([e.what for e in entries(api)])


def test_what_was_counted_is_recorded_when_the_process_ends(world: w.World, tmp_path: Path) -> None:
    runtime = Runtime(
        Settings(data_dir=tmp_path), world.engine, world.office, lambda: w.china("2026-03-02 09:00")
    )
    url = world.engine.url
    with TestClient(create_app(runtime)) as client:
        for _ in range(15):
            client.get("/api/v1/tickets", headers={"Authorization": "Bearer guess"})
    from hotline.storage.store import make_engine

    engine = make_engine(url.render_as_string(hide_password=False), pool_size=1)
    with Session(engine) as session:
        counts = [e.what.get("count") for e in session.execute(select(AuditEntry)).scalars()]
    engine.dispose()
    assert counts == [None] * 10 + [5]


def test_many_refusals_reach_the_auditor_as_an_alert(api: Api) -> None:
    for _ in range(11):
        api.get("/audit", "agent")
    (alert,) = api.get("/audit/alerts", "auditor").json()["items"]
    assert (alert["kind"], alert["actor"], alert["count"]) == ("many_refusals", "测试话务员agent", 2)


# --- who reads it --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("login", ["agent", "supervisor", "reviewer", "editor", "admin", "ZJJ", "ZJJ-lead"])
@pytest.mark.parametrize("path", ["/audit", "/audit/alerts"])
def test_only_auditors_read_the_trail(api: Api, login: str, path: str) -> None:
    assert problem(api.get(path, login), 403)


def test_an_auditor_reads_their_own_tree(api: Api) -> None:
    for login in ("agent", "b-agent", "p-agent"):
        api.get("/audit", login)
    api.client.get("/api/v1/tickets", headers={"Authorization": "Bearer guess"})
    assert {i["platform"] for i in trail(api, kind="refused")} == {"01"}
    assert {i["platform"] for i in trail(api, "b-auditor", kind="refused")} == {"02"}
    assert {i["platform"] for i in trail(api, "p-auditor", kind="refused")} == {"00", "01", "02", None}
    assert {i["platform"] for i in trail(api, "p-auditor", kind="refused", platform="02")} == {"02"}
    assert trail(api, "b-auditor", platform="01") == []


def test_reading_the_trail_is_itself_recorded_once_a_query(api: Api) -> None:
    assert trail(api, kind="refused") == []
    (entry,) = trail(api)
    assert (entry["kind"], entry["label"], entry["actor"]) == (
        "audit_read",
        "查阅审计记录",
        "测试审计员auditor",
    )
    assert entry["what"] == {"asked": {"kind": ["refused"]}, "rows": 0}
    assert kinds(api) == ["audit_read", "audit_read"]


def test_the_trail_is_filtered(api: Api) -> None:
    number = api.take()
    api.get(f"/tickets/{number}", "b-agent")
    api.at("2026-03-03 09:00").get("/audit", "agent")
    api.at("2026-03-04 09:00").get("/audit", "agent2")
    assert len(trail(api, kind="refused")) == 2
    assert [i["actor"] for i in trail(api, who="agent2")] == ["测试话务员agent2"]
    assert [i["actor"] for i in trail(api, who="测试话务员agent")] == ["测试话务员agent"]
    assert [i["day"] for i in trail(api, since="2026-03-03", until="2026-03-03")] == ["2026-03-03"]
    assert trail(api, until="2026-03-02", kind="refused") == []
    assert [i["ticket"] for i in trail(api, "b-auditor", ticket=number)] == [number]
    assert len(trail(api, address="testclient", kind="refused")) == 2
    assert trail(api, address="192.0.2.1") == []
    assert problem(api.get("/audit?ticket=123", "auditor"), 404)
    assert problem(api.get("/audit?cursor=x", "auditor"), 422)["field"] == "cursor"
    assert problem(api.get("/audit?kin=refused", "auditor"), 422)


def test_the_pages_hold_every_entry_once_newest_first(api: Api) -> None:
    for day in ("2026-03-02", "2026-03-03"):
        api.at(f"{day} 09:00")
        for login in ("agent", "p-agent", "b-agent"):
            for _ in range(3):
                api.get("/audit", login)
    seen: list[tuple[str, str, int]] = []
    cursor: str | None = None
    while True:
        query = {"kind": "refused", "limit": 4} | ({"cursor": cursor} if cursor else {})
        page = api.get("/audit", "p-auditor", params=query).json()
        seen += [(i["day"], i["platform"], i["seq"]) for i in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 18
    assert [day for day, _, _ in seen] == ["2026-03-03"] * 9 + ["2026-03-02"] * 9


# --- looks at one ticket -----------------------------------------------------------------------------------------------------


def test_who_looked_at_a_tickets_caller_is_told_to_auditor_and_supervisor(api: Api) -> None:
    number = api.take()
    file = kept(api, number, WAV, "通话.wav", file_class="recording")
    api.get(f"/tickets/{number}/attachments/{file['id']}", "callback")
    key = api.post(
        "/exports",
        "dispatcher",
        {"purpose": "verify", "explanation": "核实。", "unmasked": ["phone"], "format": "csv"},
    ).json()["id"]
    api.at("2026-03-02 10:00").post(f"/exports/{key}/approve", "supervisor", {"reason": "同意。"})
    for login in ("auditor", "supervisor", "p-auditor"):
        looks = api.get(f"/tickets/{number}/reads", login).json()["looks"]
        told = [(look["label"], look["by"], look["field"], look["export"], look["file"]) for look in looks]
        assert told == [
            ("下载导出文件", "测试派单员dispatcher", "phone", key, None),
            ("下载附件", "测试回访员callback", None, None, file["id"]),
        ]
    assert problem(api.get(f"/tickets/{number}/reads", "b-auditor"), 404)
    assert problem(api.get(f"/tickets/{number}/reads", "agent"), 403)
    assert [e.ticket_id is not None for e in entries(api, AuditKind.AUDIT_READ)] == [True] * 3


# --- alerts --------------------------------------------------------------------------------------------------------------------


def test_an_alert_is_concluded_by_an_auditor_once(api: Api) -> None:
    for _ in range(10):
        api.get("/audit", "agent")
    (alert,) = api.get("/audit/alerts?open=true", "auditor").json()["items"]
    body = {"conclusion": "已约谈，为误操作。"}
    path = f"/audit/alerts/{alert['id']}/conclude"
    assert problem(api.post(path, "supervisor", body), 403)
    assert problem(api.post(path, "b-auditor", body), 404)
    assert problem(api.post(path, "auditor", {"conclusion": ""}), 422)
    done = api.post(path, "auditor", body)
    assert (done.status_code, done.json()["handled_by"]) == (200, "测试审计员auditor")
    assert problem(api.post(path, "p-auditor", body), 422)
    assert api.get("/audit/alerts?open=true", "auditor").json()["items"] == []
    assert kinds(api, kind="alert_handled") == ["alert_handled"]


# --- recordings (art. 14(9)) -----------------------------------------------------------------------------------------------------


@pytest.fixture
def destroy(api: Api) -> Callable[[datetime], int]:
    def run(as_of: datetime) -> int:
        with Session(api.world.engine) as session:
            count = recordings.destroy_expired_recordings(session, api.world.office, as_of)
            session.commit()
            return count

    return run


def standing(api: Api, login: str = "auditor", **query: Any) -> dict[int, str]:
    response = api.get("/recordings", login, params=query)
    assert response.status_code == 200, response.text
    return {item["id"]: item["standing"] for item in response.json()["items"]}


def test_recordings_are_listed_by_where_they_stand(api: Api, destroy: Callable[[datetime], int]) -> None:
    number, [first, second, third] = archived_with(api, WAV, WAV + b"1", WAV + b"2")
    fresh = api.take()
    unarchived = kept(api, fresh, WAV + b"3", "通话.wav", file_class="recording")["id"]
    api.act(number, "hold_recording", "supervisor", {"attachment": second, "held": True, "reason": "纠纷。"})
    assert standing(api) == {first: "kept", second: "held", third: "kept", unarchived: "kept"}
    api.at("2027-03-03 00:00")
    assert standing(api) == {first: "due", second: "held", third: "due", unarchived: "kept"}
    assert destroy(api.now) == 2
    assert standing(api, standing="destroyed") == {first: "destroyed", third: "destroyed"}
    assert standing(api, standing="held") == {second: "held"}
    assert standing(api, standing="due") == {}
    assert standing(api, ticket=fresh) == {unarchived: "kept"}
    assert standing(api, "b-supervisor") == {}
    assert len(standing(api, "p-supervisor", limit=2)) == 2
    assert problem(api.get("/recordings", "agent"), 403)


def test_a_destruction_is_in_ledger_and_trail_once(api: Api, destroy: Callable[[datetime], int]) -> None:
    _, [recording] = archived_with(api, WAV)
    at = w.china("2027-03-03 00:00")
    assert (destroy(at), destroy(at)) == (1, 0)
    (entry,) = entries(api, AuditKind.RECORDING_DESTROYED)
    assert (entry.actor_kind, entry.what["attachment"]) == ("system", recording)
    assert entry.what["retained_until"] == "2027-03-02"
    assert prove(api.world.engine).flaws == []


def _destructions(api: Api) -> tuple[int, int]:
    with Session(api.world.engine) as session:
        acts = select(LedgerEntry).where(col(LedgerEntry.act) == "destroy_recording")
        return len(session.execute(acts).all()), len(entries(api, AuditKind.RECORDING_DESTROYED))


def test_a_destruction_that_ended_halfway_is_done_again_and_recorded_once(
    api: Api, destroy: Callable[[datetime], int]
) -> None:
    archived_with(api, WAV, WAV + b"1")
    at = w.china("2027-03-03 00:00")
    with Session(api.world.engine) as session:
        assert recordings.destroy_expired_recordings(session, api.world.office, at) == 2
        session.rollback()  # killed after the files, before the rows
    assert _destructions(api) == (0, 0)
    assert destroy(at) == 2
    assert destroy(at) == 0
    assert _destructions(api) == (2, 2)


def test_a_disk_error_keeps_no_other_recording_back(api: Api, destroy: Callable[[datetime], int]) -> None:
    _, ids = archived_with(api, WAV, WAV + b"1", WAV + b"2")
    with Session(api.world.engine) as session:
        sha256 = session.get_one(Attachment, ids[1]).sha256
    blobs = api.world.office.blobs
    path = blobs.folder / sha256[:2] / sha256[2:]
    path.unlink()
    path.mkdir()  # what cannot be unlinked
    at = w.china("2027-03-03 00:00")
    assert destroy(at) == 2
    assert destroy(at) == 0
    api.at("2027-03-03 00:00")
    assert standing(api) == {ids[0]: "destroyed", ids[1]: "due", ids[2]: "destroyed"}
    path.rmdir()
    assert destroy(at) == 1
    assert _destructions(api) == (3, 3)


def test_bytes_two_recordings_share_go_with_the_last_of_them(
    api: Api, destroy: Callable[[datetime], int]
) -> None:
    first, [a] = archived_with(api, WAV)
    archived_with(api, WAV)
    api.act(first, "hold_recording", "supervisor", {"attachment": a, "held": True, "reason": "纠纷。"})
    at = w.china("2027-03-03 00:00")
    assert destroy(at) == 1
    assert api.get(f"/tickets/{first}/attachments/{a}", "agent").content == WAV
    api.act(first, "hold_recording", "supervisor", {"attachment": a, "held": False, "reason": "结束。"})
    assert destroy(at) == 1
    assert not [p for p in api.world.office.blobs.folder.rglob("*") if p.is_file()]


# --- the command line ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def audited(api: Api, hotline: Shell, database_url: str, tmp_path: Path) -> Shell:  # noqa: F811
    """A database with a ticket and two days of entries, and the command line on it."""
    api.take()
    for day in ("2026-03-02", "2026-03-03"):
        api.at(f"{day} 09:00")
        for _ in range(3):
            api.get("/audit", "agent")
    hotline.where(HOTLINE_DATABASE_URL=database_url, HOTLINE_DATA_DIR=str(tmp_path))
    return hotline


def _sql(api: Api, statement: str) -> None:
    with Session(api.world.engine) as session:
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))
        session.execute(text(statement))
        session.commit()


def test_verify_names_what_was_done_and_ends_with_1(api: Api, audited: Shell) -> None:
    shown = audited("audit", "verify")
    assert "审计记录 6 条、1 个工单的台账 1 条完整" in shown
    _sql(api, "UPDATE audit SET actor_name = '别人' WHERE day = '2026-03-03' AND seq = 2")
    shown = audited("audit", "verify", status=1)
    assert "审计 平台 01 2026-03-03 第 2 条：内容与其哈希不符" in shown
    _sql(api, "UPDATE ledger SET actor_name = '别人'")
    data = json.loads(audited("audit", "verify", "--json", status=1))
    assert [(b["chain"], b["fault"], b["seq"]) for b in data["breaks"]] == [
        ("audit", "changed", 2),
        ("ledger", "changed", 1),
    ]
    ledgers = json.loads(audited("verify", "--json", status=1))
    assert [b["chain"] for b in ledgers["breaks"]] == ["ledger"]


def test_heads_kept_elsewhere_prove_the_database(api: Api, audited: Shell, tmp_path: Path) -> None:
    kept_elsewhere = tmp_path / "heads.json"
    told = json.loads(audited("audit", "head", "--output", str(kept_elsewhere), "--json"))
    assert (told["from"], told["heads"] > 2) == ("2026-03-02", True)
    key = audited("audit", "key").strip()
    assert len(bytes.fromhex(key)) == 32
    assert "个签名日头相符" in audited("audit", "verify", "--head", str(kept_elsewhere), "--key", key)
    heads = daily_heads.from_text(kept_elsewhere.read_text("utf-8"))
    assert {head.public_key.hex() for head in heads} == {key}
    only = tmp_path / "one.json"
    audited("audit", "head", "--day", "2026-03-02", "--platform", "01", "--output", str(only))
    assert [(str(h.day), h.seq) for h in daily_heads.from_text(only.read_text("utf-8"))] == [
        ("2026-03-02", 3)
    ]
    _sql(api, "TRUNCATE audit_days")
    _sql(api, "TRUNCATE audit, audit_heads")
    assert "完整" in audited("audit", "verify")
    shown = audited("audit", "verify", "--head", str(kept_elsewhere), status=1)
    assert "日头 平台 01 2026-03-02：整日 3 条审计记录已被删除" in shown
    assert "不是用本系统的密钥签名的" in audited(
        "audit", "verify", "--head", str(only), "--key", "00" * 32, status=1
    )
    assert "公钥应为 64 位" in audited("audit", "verify", "--key", "xyz", status=1)
    (tmp_path / "no.json").write_text("{}", "utf-8")
    assert "不是本系统导出的日头" in audited("audit", "verify", "--head", str(tmp_path / "no.json"), status=1)
    assert "没有符合条件" in audited("audit", "head", "--day", "2020-01-01", "--output", str(only), status=1)


def test_recordings_on_the_command_line(api: Api, audited: Shell, destroy: Callable[[datetime], int]) -> None:
    assert "没有符合条件的录音" in audited("recordings")
    number, [first, second] = archived_with(api, WAV, WAV + b"1")
    api.act(number, "hold_recording", "supervisor", {"attachment": second, "held": True, "reason": "纠纷。"})
    destroy(w.china("2027-03-03 00:00"))
    assert [r["id"] for r in json.loads(audited("recordings", "--held", "--json"))] == [second]
    shown = audited("recordings", "--destroyed")
    assert f"{number}  第 {first} 号  已销毁  保存至 2027-03-02  2027-03-03 销毁" in shown
    assert "只能选一个" in audited("recordings", "--held", "--due", status=2)


# --- settings ------------------------------------------------------------------------------------------------------------------


def test_the_settings_reach_the_office(tmp_path: Path) -> None:
    told = Settings(
        data_dir=tmp_path,
        cipher="sm",
        unseal_minutes=5,
        alert_unseals_per_hour=7,
        shift="08:00-18:00",
        export_hours=9,
    )
    assert policy_of(told) == Policy(Algorithm.SM3, 5, 7, "08:00-18:00", 9)
    assert policy_of(Settings(data_dir=tmp_path)) == Policy()


def test_every_duty_has_its_job() -> None:
    names = {job.name for job in scheduler.JOBS}
    assert {
        "sign_daily_heads",
        "count_refusals",
        "make_exports",
        "destroy_expired_exports",
        "destroy_expired_recordings",
    } <= names
