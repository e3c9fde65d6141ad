"""What a caller is told of everything held about them, and who looked: their own words whole, other people's data masked."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline.access import SYSTEM
from hotline.privacy import subject
from tests.api.conftest import Api, api  # noqa: F401 - the fixture
from tests.api.test_files import WAV, upload
from workflow.errors import OrderInvalid

NAME, PHONE, ADDRESS = "测试丁", "13987654321", "测试大街88号3单元"
SAID = f"我是{NAME}，电话{PHONE}，住{ADDRESS}，邻居电话13900000002。"


def told(api: Api, phone: str) -> dict[str, Any]:  # noqa: F811
    with Session(api.world.engine) as session:
        found = subject.report(session, api.world.office, phone, "本人查询", by=SYSTEM, at=api.now)
        session.commit()
    return found


def test_a_caller_learns_what_is_held_and_who_looked(api: Api) -> None:  # noqa: F811
    caller = {"name": NAME, "phone": PHONE, "address": ADDRESS}
    number = api.at("2026-03-02 09:00").take("complaint", content=SAID, caller=caller)
    upload(api, number, WAV, "通话.wav", file_class="recording")
    api.take("help", login="b-agent", caller={"phone": PHONE, "name": NAME})
    api.take("help", caller={"phone": "13987654322", "name": "测试戊"})
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ")
    opened = api.post(f"/tickets/{number}/unsealings", "ZJJ", {"field": "phone", "purpose": "contact"}).json()
    api.get(f"/tickets/{number}/unsealings/{opened['id']}", "ZJJ")
    api.act(
        number,
        "reply",
        "ZJJ",
        {"content": f"已告知{NAME}", "citizen_answered_at": "2026-03-02T09:00:00+08:00"},
    )
    report = told(api, "139-8765-4321")
    assert len(report["tickets"]) == 2
    first = report["tickets"][0]
    assert first["number"] == number
    assert first["caller"] == {"姓名": NAME, "电话": PHONE, "地址": ADDRESS}
    assert first["content"] == SAID.replace("13900000002", "139****0002")
    assert [(e["by"], e["purpose"]) for e in first["looked_at"]] == [
        ("测试经办ZJJ", "联系来电人办理"),
        ("测试经办ZJJ", None),
    ]
    assert first["files"][0]["class"] == "电话录音"
    shown = subject.as_text(report)
    for wanted in (NAME, PHONE, ADDRESS, "测试经办ZJJ 查看电话", "139****0002", "测试市住建局", "已告知测**"):
        assert wanted in shown, wanted
    assert "测试戊" not in shown
    assert json.dumps(report, default=str)
    with api.world.engine.connect() as connection:
        what = connection.execute(
            text("SELECT what::text FROM audit WHERE kind = 'subject_reported'")
        ).scalar_one()
    assert number in what
    assert PHONE not in what


def test_nobody_is_a_report_too_and_no_phone_is_refused(api: Api) -> None:  # noqa: F811
    assert told(api, "13900000009")["tickets"] == []
    for phone in ("", "123", "call me"):
        with pytest.raises(OrderInvalid):
            told(api, phone)
