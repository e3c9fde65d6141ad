"""What stands in an exported file, and files through large numbers, deaths of processes and disks that will not."""

import csv
import io
import re
import threading
import zipfile
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.auditing.trail import Unsealing
from hotline.exporting import exports
from tests import world as w
from tests.api.conftest import Api
from tests.api.exports import (
    SHEET,
    TITLES,
    approve,
    ask,
    csv_rows,
    exported,
    fetch,
    folder,
    noted,
    run,
)
from tests.api.refusals import problem
from workflow.vocabulary import AuditKind

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
