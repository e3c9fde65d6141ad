"""The closed loop of art. 14 over HTTP: a return, an extension, a supplement and a redo, to the archive."""

from tests.api.conftest import Api

ALL_OK = {"elements": {"quality": True, "process": True, "content": True, "completeness": True}}


def test_a_complaint_goes_the_whole_way_with_a_return_an_extension_a_supplement_and_a_redo(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take("complaint")
    api.at("2026-03-02 10:00").act(number, "dispatch", "dispatcher", {"lead": "JTJ"})
    returned = {
        "grounds": "该问题不属于交通部门职责。",
        "suggestion": "建议改派住建部门。",
        "suggested_unit": "ZJJ",
    }
    api.at("2026-03-03 09:00").act(number, "propose_return", "JTJ", returned)
    assert (
        api.at("2026-03-03 11:00").act(number, "uphold_return", "dispatcher", {"reason": "依据充分。"})[
            "state"
        ]
        == "accepted"
    )
    dispatched = api.at("2026-03-03 15:00").act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    reply_clock = next(c for c in dispatched["clocks"] if c["kind"] == "reply" and c["unit"] == "ZJJ")
    assert reply_clock["due_on"] == "2026-03-17"
    api.at("2026-03-04 09:00").act(number, "sign", "ZJJ")
    extension = {"reason": "many_parties", "explanation": "涉及三家产权单位。", "days": 5}
    api.at("2026-03-17 23:00").act(number, "request_extension", "ZJJ", extension)
    approved = api.at("2026-03-18 09:00").act(number, "approve_extension", "supervisor", {})
    extended = next(c for c in approved["clocks"] if c["id"] == reply_clock["id"])
    assert (extended["due_on"], extended["lapsed_at"]) == ("2026-03-24", None)
    api.act(number, "notify_extension", "agent", {"reached": True, "remark": "已告知延期原因。"})
    reply = {"content": "已协调更换阀门。", "citizen_answered_at": "2026-03-23T10:00:00+08:00"}
    assert api.at("2026-03-23 11:00").act(number, "reply", "ZJJ", reply)["state"] == "replied"
    back = {"findings": {"content": "未说明措施。"}, "days": 2}
    assert (
        api.at("2026-03-24 09:00").act(number, "review_send_back", "reviewer", back)["state"]
        == "supplementing"
    )
    reply = {
        "content": "补充：已更换阀门三处，室温20度。",
        "citizen_answered_at": "2026-03-25T10:00:00+08:00",
    }
    api.at("2026-03-25 11:00").act(number, "reply", "ZJJ", reply)
    assert api.at("2026-03-26 09:00").act(number, "review_pass", "reviewer", ALL_OK)["state"] == "verified"
    unhappy = {"outcome": "dissatisfied", "solved": False, "remark": "仍不热。"}
    assert (
        api.at("2026-03-27 09:00").act(number, "record_callback", "callback", unhappy)["state"]
        == "dissatisfied"
    )
    redo = {"reason": "确未解决。", "days": 5}
    assert (
        api.at("2026-03-27 15:00").act(number, "uphold_dissatisfaction", "reviewer", redo)["state"]
        == "redoing"
    )
    reply = {"content": "重新清洗管道，室温21度。", "citizen_answered_at": "2026-04-02T10:00:00+08:00"}
    api.at("2026-04-02 11:00").act(number, "reply", "ZJJ", reply)
    api.at("2026-04-03 09:00").act(number, "review_pass", "reviewer", ALL_OK)
    happy = {"outcome": "satisfied", "solved": True}
    assert api.at("2026-04-03 10:00").act(number, "record_callback", "callback", happy)["state"] == "closed"
    assert api.at("2026-04-07 10:00").act(number, "archive", "agent")["state"] == "archived"

    view = api.get(f"/tickets/{number}", "supervisor").json()
    late = [c["kind"] for c in view["clocks"] if c["lapsed_at"] and c["duty"]]
    assert late == []
    assert [r["episode"] for r in view["replies"]] == ["first", "supplement", "redo"]
    entries = api.get(f"/tickets/{number}/timeline", "supervisor").json()["entries"]
    assert [e["seq"] for e in entries] == list(range(1, len(entries) + 1))
    certificate = api.get(f"/tickets/{number}/clocks/{reply_clock['id']}/certificate", "supervisor").json()
    assert certificate["matches"] is True
    assert "延期：自原届满日 2026-03-17 起延长 5 个工作日" in certificate["text"]
