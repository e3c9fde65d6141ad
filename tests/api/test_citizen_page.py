"""The citizen's page: opened by its link alone, it tells how far things are and nothing of anybody; evaluation and objection, once each."""

import re
from typing import Any

import pytest
import segno
from sqlalchemy import text

from api.quiet import masked
from tests.api.conftest import Api
from tests.api.tables import dump
from tests.api.test_lists import ALL_OK

PHONE = "13900000001"


def token(api: Api, number: str, login: str = "agent", **order: Any) -> str:
    answer = api.post(f"/tickets/{number}/link", login, order)
    assert answer.status_code == 200, answer.text
    link = str(answer.json()["url"])
    whole = segno.make(f"http://testserver{link}", error="m")  # a phone needs the whole address
    assert answer.json()["qr_svg"] == whole.svg_inline(scale=4, omitsize=True)
    return link.removeprefix("/q/")


def page(api: Api, link: str) -> Any:
    answer = api.client.get(f"/api/v1/public/tickets/{link}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()


def say(api: Api, link: str, what: str, body: Any, **headers: str) -> Any:
    return api.client.post(f"/api/v1/public/tickets/{link}/{what}", json=body, headers=headers)


def verified(api: Api, **changes: Any) -> str:
    number = api.at("2026-03-02 09:00").take("help", **changes)
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ", {"signed_by": "测试经办乙"})
    api.act(
        number,
        "reply",
        "ZJJ",
        {"content": f"已与来电人{PHONE}联系，更换阀门。", "citizen_answered_at": "2026-03-02T09:00:00+08:00"},
    )
    api.act(number, "review_pass", "reviewer", ALL_OK)
    return number


def closed(api: Api) -> str:
    number = verified(api)
    api.act(number, "record_callback", "callback", {"outcome": "satisfied", "solved": True})
    return number


def test_it_tells_how_far_things_are_and_until_when(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take("help")
    link = token(api, number)
    first = page(api, link)
    assert (first["state"], first["unit"], first["answer"]) == ("已受理，正在转交承办单位", None, None)
    assert "期限证明" in first["promise"]["certificate"]
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["CGJ"]})
    api.act(number, "sign", "CGJ")
    api.act(number, "sign", "ZJJ")
    told = page(api, link)
    assert (told["state"], told["unit"]) == ("承办单位正在办理", "测试市住建局")
    assert [step["text"] for step in told["steps"]] == [
        "收到您的诉求",
        "热线平台受理",
        "转交承办单位",
        "承办单位签收",
    ]
    assert told["promise"]["due_at"] == "2026-03-04T16:00:00Z"
    promise = told["promise"]
    assert "第 2 个工作日" in promise["certificate"]
    assert (promise["due_on"], promise["length"], promise["opened_by"]) == ("2026-03-04", 2, "派单")
    assert "第十四条" in promise["basis"]
    assert [(day["day"], day["index"]) for day in promise["days"]] == [("2026-03-03", 1), ("2026-03-04", 2)]
    assert promise["extension"] == []
    assert not told["may_evaluate"]
    assert not told["may_appeal"]


def test_it_holds_no_personal_data_and_the_answer_masked(api: Api) -> None:
    number = verified(
        api, title=f"暖气不热 {PHONE}", caller={"name": "测试甲", "phone": PHONE, "address": "测试路1号"}
    )
    link = token(api, number)
    told = page(api, link)
    assert told["answer"] == "已与来电人139****0001联系，更换阀门。"
    assert told["promise"] is None
    body = api.client.get(f"/api/v1/public/tickets/{link}").text
    for secret in (PHONE, "测试甲", "测试路", "测试经办乙", "测试话务员", "测试审核员"):
        assert secret not in body


@pytest.mark.parametrize(
    "sealed", [{"matter": "tipoff"}, {"matter": "help", "caller": {"confidential": True, "name": "测试甲"}}]
)
def test_of_a_sealed_ticket_only_the_progress(api: Api, sealed: Any) -> None:
    number = api.at("2026-03-02 09:00").take(
        title="举报住建局", content="测试：住建局的人收受好处。", **sealed
    )
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ")
    api.act(number, "reply", "ZJJ", {"content": "查实。", "citizen_answered_at": "2026-03-02T09:00:00+08:00"})
    api.act(number, "review_pass", "reviewer", ALL_OK)
    told = page(api, token(api, number))
    assert (told["title"], told["unit"]) == (None, None)
    assert told["answer"].startswith("为保护您的信息")
    assert told["state"] == "已办理并通过审核，等待回访"


def test_refused_answered_and_transferred_ones_say_why_and_where_to(api: Api) -> None:
    refusal = {
        "act": "refuse",
        "ground": "3",
        "explanation": "已进入信访渠道。",
        "guidance": "请向原信访机构查询。",
    }
    told = page(api, token(api, api.take(decision=refusal)))
    assert (told["answer"], told["guidance"]) == ("已进入信访渠道。", "请向原信访机构查询。")
    answered = page(
        api, token(api, api.take(decision={"act": "answer_at_once", "answer": "在任一窗口办理。"}))
    )
    assert (answered["state"], answered["answer"], answered["may_evaluate"]) == (
        "已答复",
        "在任一窗口办理。",
        True,
    )


def test_a_merged_caller_sees_nothing_of_the_main_ticket(api: Api) -> None:
    main = api.at("2026-03-02 09:00").take("help", title="主单标题")
    child = api.take("help", title="我的标题")
    api.act(child, "merge", "dispatcher", {"into": main, "reason": "测试"})
    api.act(main, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(main, "sign", "ZJJ")
    api.act(
        main,
        "reply",
        "ZJJ",
        {"content": "只给主单的话。", "citizen_answered_at": "2026-03-02T09:00:00+08:00"},
    )
    api.act(main, "review_pass", "reviewer", ALL_OK)
    link = token(api, child)
    api.act(child, "record_callback", "callback", {"outcome": "satisfied", "solved": True})
    body = api.client.get(f"/api/v1/public/tickets/{link}").text
    assert "我的标题" in body
    for foreign in ("主单标题", "只给主单的话", main):
        assert foreign not in body


# --- the link --------------------------------------------------------------------------------------------------------------


def test_a_link_is_the_same_until_renewed_and_kept_nowhere(api: Api) -> None:
    number, other = api.take(), api.take()
    link = token(api, number)
    assert re.fullmatch(r"[A-Za-z0-9_-]{22}", link)
    assert token(api, number, "callback") == link
    assert token(api, other) != link
    renewed = token(api, number, renew=True)
    assert renewed != link
    assert api.client.get(f"/api/v1/public/tickets/{link}").status_code == 404
    assert page(api, renewed)["number"].replace(" ", "") == number
    assert link not in dump(api.world.engine)
    assert renewed not in dump(api.world.engine)
    with api.world.engine.connect() as connection:
        read = connection.execute(text("SELECT count(*) FROM audit WHERE kind = 'link_read'")).scalar_one()
    assert read == 4
    assert masked(f"GET /q/{renewed} /api/v1/public/tickets/{renewed}/appeal").count(renewed) == 0


def test_who_may_read_a_link(api: Api) -> None:
    number = api.take()
    for login, status in (("b-agent", 404), ("ZJJ", 403), ("reviewer", 403), ("p-supervisor", 200)):
        assert api.post(f"/tickets/{number}/link", login, {}).status_code == status, login


def test_a_wrong_link_says_always_the_same(api: Api) -> None:
    token(api, api.take())
    wrong = [api.client.get(f"/api/v1/public/tickets/{'A' * 21}{c}").json() for c in "AB"]
    assert wrong[0] == wrong[1]
    assert wrong[0]["status"] == 404
    for what, body in (("evaluation", {"grade": "good"}), ("appeal", {"reason": "测试"})):
        assert say(api, "A" * 22, what, body).status_code == 404
    assert api.client.get("/api/v1/public/tickets/short").status_code == 422
    link = token(api, api.take())
    assert api.client.get(f"/api/v1/public/tickets/{link}?number=1").status_code == 422
    assert api.client.get(f"/api/v1/tickets/{link}").status_code == 401


# --- what the citizen says ---------------------------------------------------------------------------------------------------


def test_an_evaluation_is_taken_once_masked_and_on_the_timeline(api: Api) -> None:
    number = verified(api)
    link = token(api, number)
    before = api.get(f"/tickets/{number}", "agent").json()
    told = page(api, link)
    assert told["may_evaluate"]
    labels = {grade["value"]: grade["labels"] for grade in told["grades"]}
    assert "quick" in labels["good"]
    assert "slow" not in labels["good"]
    assert "slow" in labels["bad"]
    assert set(labels["fair"]) == {label["value"] for label in told["labels"]}
    assert say(api, link, "evaluation", {"grade": "wonderful"}).status_code == 422
    order = {"grade": "good", "labels": ["quick", "clear"], "remark": f"我的电话{PHONE}，很快。"}
    first = say(api, link, "evaluation", order, **{"Idempotency-Key": "e1"})
    assert first.status_code == 201, first.text
    assert (
        say(api, link, "evaluation", order, **{"Idempotency-Key": "e1"}).headers["idempotency-replayed"]
        == "true"
    )
    assert say(api, link, "evaluation", order).json()["code"] == "already_said"
    told = page(api, link)
    assert told["evaluated"]["grade"] == "good"
    assert told["evaluated"]["remark"] == "我的电话139****0001，很快。"
    entry = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]
    assert (entry["act"], entry["actor"], entry["payload"]["grade"]) == ("evaluated", "来电人", "good")
    after = api.get(f"/tickets/{number}", "agent").json()
    assert (after["version"], after["state"]) == (before["version"], "verified")


def test_an_objection_before_the_callback_goes_to_the_reviewer(api: Api) -> None:
    number = verified(api)
    link = token(api, number)
    assert say(api, link, "appeal", {"reason": "还是不热。"}).status_code == 201
    ticket = api.get(f"/tickets/{number}", "reviewer").json()
    assert ticket["state"] == "dissatisfied"
    assert ticket["callbacks"][0]["remark"] == "还是不热。"
    assert "uphold_dissatisfaction" in ticket["acts"]
    assert page(api, link)["state"] == "已收到您的不满意意见，正在审核是否重新办理"
    assert say(api, link, "appeal", {"reason": "再说一次"}).json()["code"] == "already_said"
    api.act(number, "uphold_dissatisfaction", "reviewer", {"reason": "测试", "days": 3})
    told = page(api, link)
    assert (told["state"], told["appealed"]) == ("正在重新办理", False)
    assert told["promise"]["due_at"] == "2026-03-05T16:00:00Z"


def test_an_objection_after_the_end_opens_a_new_demand(api: Api) -> None:
    number = closed(api)
    link = token(api, number)
    assert page(api, link)["may_appeal"]
    assert say(api, link, "appeal", {"reason": f"又不热了，{PHONE}"}).status_code == 201
    entry = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]
    opened = entry["payload"]["led_to"]
    ticket = api.get(f"/tickets/{opened}", "supervisor").json()
    assert (ticket["state"], ticket["channel"], ticket["caller"]["phone"]) == (
        "pending_decision",
        "web",
        "139****0001",
    )
    assert number in ticket["title"]
    assert ticket["content"].endswith("又不热了，139****0001")
    assert "decide" in ticket["acts"]
    assert api.get(f"/tickets/{number}", "agent").json()["state"] == "closed"
    assert say(api, link, "appeal", {"reason": "再说"}).status_code == 409
    numbers = [
        row["number"]
        for row in api.get("/tickets", "supervisor", params={"queue": "to_decide"}).json()["items"]
    ]
    assert numbers == [opened]


def test_an_objection_too_early_or_too_late_is_told_where_to_go(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take("help")
    early = say(api, token(api, number), "appeal", {"reason": "太慢"})
    assert early.status_code == 422
    assert "12345" in early.json()["detail"]
    link = token(api, closed(api))
    late = say(api.at("2026-04-02 10:00"), link, "appeal", {"reason": "又坏了"})
    assert late.status_code == 422
    assert "30 天" in late.json()["detail"]
