"""One article's life over HTTP: drafted, reviewed, published, found by three words, told, corrected, called back. Art. 14(2), 22-24, 28."""

from typing import Any

from api import scheduler
from api.wiring import Runtime
from tests import world as w
from tests.api.conftest import Api

WRITTEN = {
    "question": "公积金异地购房提取需要哪些材料？",
    "answer": "凭身份证和购房合同办理，**3个工作日**内办结。",
    "categories": ["010101"],
}
DEMAND = w.demand().model_dump(mode="json", exclude_none=True)


def tick(api: Api) -> None:
    """What the ticker does, once."""
    runtime: Runtime = api.client.app.state.runtime  # type: ignore[attr-defined]
    for name in ("follow_knowledge", "list_recalls"):
        scheduler.run(runtime, next(job for job in scheduler.JOBS if job.name == name))


def done(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def find(api: Api, typed: str) -> Any:
    return done(api.get("/knowledge/search", "agent", params={"q": typed}))["items"]


def published(api: Api, name: str) -> None:
    """The unit's submission, its lead's review, the platform's check."""
    article = name.partition("@")[0]
    done(api.post(f"/knowledge/{article}/submit", "ZJJ", {}))
    done(api.post(f"/knowledge/{article}/unit_approve", "ZJJ-lead", {}))
    done(api.post(f"/knowledge/{article}/publish", "editor", {}))
    tick(api)


def test_from_draft_to_call_back(api: Api) -> None:
    name = done(api.at("2026-03-02 09:00").post("/knowledge", "ZJJ", WRITTEN), 201)["name"]
    tick(api)
    assert find(api, "公积金 异地 材料") == []
    refused = api.post(f"/knowledge/{name}/tell", "agent", {"demand": DEMAND})
    assert refused.status_code == 404  # a draft is its writers' alone

    published(api, name)
    found = find(api, "公积金 异地 材料")[0]
    assert (found["name"], found["unit"], found["validity"]) == (name, "ZJJ", "valid")
    done(api.post(f"/knowledge/{name}/opened", "agent"))
    ticket = done(api.post(f"/knowledge/{name}/tell", "agent", {"demand": DEMAND}), 201)
    assert ticket["state"] == "answered"

    api.at("2026-03-10 09:00")
    article = name.partition("@")[0]
    wording = WRITTEN | {
        "answer": "另须公积金联名卡，**5个工作日**内办结。",
        "corrects": True,
        "change_note": "办结时限有误",
    }
    newer = done(api.post(f"/knowledge/{article}/versions", "ZJJ", wording), 201)["name"]
    tick(api)
    assert done(api.get("/knowledge/recalls", "callback")) == []  # not before it is published
    published(api, newer)
    assert find(api, "公积金 异地 材料")[0]["name"] == newer
    told_old = api.post(f"/knowledge/{name}/tell", "agent", {"demand": DEMAND})
    assert (told_old.status_code, told_old.json()["use"]) == (422, newer)

    (recall,) = done(api.get("/knowledge/recalls", "callback"))
    assert (recall["number"], recall["told"], recall["now"]) == (ticket["number"], name, newer)
    assert "3个工作日" in recall["told_answer"]
    assert "5个工作日" in recall["now_answer"]
    body = {"reached": True, "remark": "已电话更正办结时限。", "told": newer}
    done(api.post(f"/knowledge/recalls/{recall['id']}/settle", "callback", body))
    assert done(api.get("/knowledge/recalls", "callback")) == []

    acts = [e["act"] for e in done(api.get(f"/tickets/{ticket['number']}/timeline", "agent"))["entries"]]
    assert acts == ["answer_at_once", "recall_listed", "recall_settled"]
    assert done(api.get(f"/knowledge/{name}", "agent"))["answer"] == WRITTEN["answer"]  # readable for ever
