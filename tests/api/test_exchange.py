"""Subscriptions, pulling and batches over HTTP, and what the OpenAPI document says of the callbacks."""

import threading
import time
from typing import Any

import pytest
from sqlmodel import Session

from api.webhooks import MEDIA_TYPE
from hotline.exchange import envelopes, outbox, retention
from hotline.organisation import OrgUnit
from hotline.people import accounts
from knowledge_base import questions
from tests import world as w
from tests.api.conftest import Api
from workflow.vocabulary import Role, Scope

URL = "https://8.8.8.8/hotline"


def add(api: Api, login: str = "ZJJ-lead", status: int = 201, **changes: Any) -> Any:
    body = {"unit": "ZJJ", "label": "测试系统", "url": URL} | changes
    answer = api.post("/subscriptions", login, {k: v for k, v in body.items() if v is not None})
    assert answer.status_code == status, answer.text
    return answer.json()


def machine(api: Api, unit: str = "ZJJ", scopes: tuple[Scope, ...] = (Scope.TICKETS_READ,)) -> str:
    with Session(api.world.engine) as session:
        token = accounts.issue_token(
            session,
            label="测试接口",
            at=w.BORN,
            unit=session.get_one(OrgUnit, api.world.units[unit]),
            roles=[Role.HANDLER],
            scopes=scopes,
        )
        session.commit()
    api.world.tokens[f"{unit}-machine"] = token
    return f"{unit}-machine"


# --- subscriptions -----------------------------------------------------------------------------------------------------


def test_a_unit_lead_manages_the_own_unit_and_an_administrator_those_below(api: Api) -> None:
    made = add(api)
    assert made["secret"].startswith("whsec_")
    assert add(api, "admin", unit="JTJ")["unit"] == "JTJ"
    assert add(api, "admin", unit=None, platform="01")["platform"] == "01"
    add(api, "p-admin", unit="ZJJ")
    add(api, "b-admin", 404)
    add(api, "ZJJ-lead", 404, unit="JTJ")
    add(api, "ZJJ-lead", 404, unit=None, platform="01")
    seen = api.get("/subscriptions", "ZJJ-lead").json()
    assert [each["unit"] for each in seen] == ["ZJJ", "ZJJ"]
    assert all("secret" not in each for each in seen)
    assert len(api.get("/subscriptions", "admin").json()) == 4
    assert api.get("/subscriptions", "b-admin").json() == []
    for path in ("change", "state", "rotate", "test", "replay"):
        body = {
            "state": {"state": "paused"},
            "replay": {"since": "2026-03-02T00:00:00+08:00", "until": "2026-03-03T00:00:00+08:00"},
        }.get(path, {})
        assert api.post(f"/subscriptions/{made['id']}/{path}", "JTJ-lead", body).status_code == 404
    assert api.get(f"/subscriptions/{made['id']}/deliveries", "JTJ-lead").status_code == 404


def test_what_is_wrong_with_an_order_is_named(api: Api) -> None:
    for url in ("http://8.8.8.8/x", "https://127.1/x", "https://10.0.0.1/x", "https://localhost/x"):
        problem = add(api, status=422, url=url)
        assert problem["field"] == "url"
        assert "https" in problem["detail"] or "内部网络" in problem["detail"]
    assert add(api, status=422, types=["ticket.nothing"])["field"] == "types"
    assert add(api, status=422, types=["ticket.accepted"])["detail"].startswith("承办单位没有")
    assert add(api, "admin", unit=None, platform="01", types=["ticket.accepted"])
    assert add(api, status=422, secret="whsec_" + "A" * 31 + "*")["field"] == "secret"
    for _ in range(10):
        add(api)
    assert "至多 10 个" in add(api, status=422)["detail"]


def test_a_secret_is_told_once_and_changed_with_an_overlap(api: Api) -> None:
    key = {"Idempotency-Key": "one"}
    body = {"unit": "ZJJ", "label": "测试系统", "url": URL}
    first = api.post("/subscriptions", "ZJJ-lead", body, headers=key)
    assert first.status_code == 201
    again = api.post("/subscriptions", "ZJJ-lead", body, headers=key)
    assert again.status_code == 409
    assert first.json()["secret"] not in again.text
    number = first.json()["id"]
    turned = api.post(f"/subscriptions/{number}/rotate", "ZJJ-lead", {"overlap_hours": 2}).json()
    assert turned["secret"] != first.json()["secret"]
    assert turned["older_secret_until"].startswith("2026-03-02T11:00")
    own = outbox.make_secret()
    assert api.post(f"/subscriptions/{number}/rotate", "ZJJ-lead", {"secret": own}).json()["secret"] == own


def test_a_test_event_is_waiting_to_be_looked_at(api: Api) -> None:
    made = add(api)
    sent = api.post(f"/subscriptions/{made['id']}/test", "ZJJ-lead", {})
    assert sent.status_code == 202
    whole = api.get(f"/deliveries/{sent.json()['id']}", "ZJJ-lead").json()
    assert whole["state"] == "waiting"
    assert whole["envelope"]["type"] == "subscription.tested"
    assert api.get(f"/deliveries/{sent.json()['id']}", "JTJ-lead").status_code == 404
    again = api.post(f"/deliveries/{sent.json()['id']}/replay", "ZJJ-lead", {})
    assert again.status_code == 422
    assert "不必重发" in again.json()["detail"]
    listed = api.get(f"/subscriptions/{made['id']}/deliveries?state=waiting", "ZJJ-lead").json()
    assert [each["id"] for each in listed["items"]] == [sent.json()["id"]]
    api.post(f"/subscriptions/{made['id']}/state", "ZJJ-lead", {"state": "disabled"})
    assert api.post(f"/subscriptions/{made['id']}/test", "ZJJ-lead", {}).status_code == 422


# --- pulling -----------------------------------------------------------------------------------------------------------


def test_a_unit_without_a_server_pulls_the_same_envelopes(api: Api) -> None:
    login = machine(api)
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    api.act(number, "sign", "ZJJ")
    first = api.get("/events?limit=1", login).json()
    assert [e["type"] for e in first["items"]] == ["ticket.dispatched"]
    event = envelopes.Envelope.model_validate(first["items"][0])
    assert event.subject == number == event.data.number
    assert event.data.unit == "ZJJ"
    assert {c.unit for c in event.data.clocks or []} == {"ZJJ"}
    rest = api.get(f"/events?after={first['next']}", login).json()
    assert [e["type"] for e in rest["items"]] == ["ticket.signed"]
    assert api.get(f"/events?after={rest['next']}", login).json() == {"items": [], "next": rest["next"]}
    whole = api.get("/events", "supervisor").json()["items"]
    assert [e["type"] for e in whole] == [
        "ticket.accepted",
        "ticket.dispatched",
        "ticket.dispatched",
        "ticket.signed",
    ]
    assert api.get("/events", "b-supervisor").json()["items"] == []
    assert [e["type"] for e in api.get("/events?types=ticket.signed", "supervisor").json()["items"]] == [
        "ticket.signed"
    ]


def test_a_cursor_nobody_gave_out_is_refused(api: Api) -> None:
    login = machine(api)
    assert api.get("/events?after=999999", login).json()["field"] == "after"
    assert api.get("/events?after=x", login).status_code == 422
    api.world.tokens["narrow"] = api.world.tokens[machine(api, scopes=(Scope.REFERENCE,))]
    assert api.get("/events", "narrow").status_code == 403


def test_waiting_ends_with_the_first_event_and_holds_no_connection(api: Api) -> None:
    login = machine(api)
    cursor = api.get("/events", login).json()["next"]
    began = time.monotonic()
    assert api.get(f"/events?after={cursor}&wait=1", login).json()["items"] == []
    assert 0.9 < time.monotonic() - began < 4
    told: list[Any] = []
    asking = [
        threading.Thread(target=lambda: told.append(api.get(f"/events?after={cursor}&wait=20", login).json()))
        for _ in range(60)  # twice the pool
    ]
    for thread in asking:
        thread.start()
    time.sleep(1.5)
    pool: Any = api.world.engine.pool
    while (
        pool.checkedout() > 0 and time.monotonic() - began < 12
    ):  # sixty questions at once take their time on a slow machine
        time.sleep(0.1)
    assert pool.checkedout() == 0
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    began = time.monotonic()
    for thread in asking:
        thread.join()
    assert time.monotonic() - began < 8
    assert [[e["type"] for e in each["items"]] for each in told] == [["ticket.dispatched"]] * 60


def test_a_sealed_callers_events_say_nothing_of_the_caller(api: Api) -> None:
    login = machine(api)
    caller = {"name": "测试举报人", "phone": "13977770001", "address": "测试东路77号"}
    said = "我是测试举报人，电话13977770001。"
    number = api.take("tipoff", caller=caller, title=said, content=said)
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "instruction": said})
    api.act(number, "sign", "ZJJ", {"signed_by": "测试经办"})
    api.act(number, "report_progress", "ZJJ", {"content": said})
    api.act(number, "remind", "supervisor", {"form": "network", "content": said})
    for who in (login, "supervisor"):
        whole = api.get("/events", who).text
        assert "ticket.reminded" in whole
        for secret in ("测试举报人", "13977770001", "139****0001", "测试东路"):
            assert secret not in whole


def test_a_cursor_older_than_what_is_kept_gets_410_and_the_way_on(api: Api, world: w.World) -> None:
    login = machine(api)
    start = api.get("/events", login).json()["next"]
    api.act(api.take(), "dispatch", "dispatcher", {"lead": "ZJJ"})
    assert len(api.get(f"/events?after={start}", login).json()["items"]) == 1
    api.at("2027-03-02 09:00")
    with Session(world.engine) as session:
        assert retention.forget_events(session, world.office, api.now) > 0
        session.commit()
    gone = api.get(f"/events?after={start}", login)
    assert gone.status_code == 410
    problem = gone.json()
    assert (problem["code"], problem["field"]) == ("cursor_too_old", "after")
    assert "省略 after" in problem["detail"]
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    for query in ("", f"?after={problem['oldest']}"):
        assert [e["subject"] for e in api.get(f"/events{query}", login).json()["items"]] == [number]


# --- what is told when -------------------------------------------------------------------------------------------------


def kinds(api: Api, login: str) -> list[str]:
    return [e["type"] for e in api.get("/events?limit=500", login).json()["items"]]


def test_every_event_a_unit_must_know_reaches_it(api: Api) -> None:
    from api import scheduler

    login = machine(api)
    runtime: Any = api.client.app.state.runtime  # type: ignore[attr-defined]

    def tick() -> None:
        for job in scheduler.JOBS:
            if job.name in ("lapse_due", "remind_overdue", "warn_due_soon"):
                scheduler.run(runtime, job)

    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    order = {"grounds": "不属我局。", "suggestion": "建议改派交通局。", "suggested_unit": "JTJ"}
    api.act(number, "propose_return", "ZJJ", order)
    api.act(number, "reject_return", "dispatcher", {"reason": "属于你单位职责。"})
    api.act(number, "sign", "ZJJ")
    asked = {"reason": "many_parties", "explanation": "须多方协调。", "days": 1}
    api.act(number, "request_extension", "ZJJ", asked)
    api.act(number, "approve_extension", "supervisor", {"days": 1})
    tick()
    assert "clock.due_soon" not in kinds(api, login)
    api.at("2026-03-05 08:59")
    tick()
    assert "clock.due_soon" not in kinds(api, login)
    api.at("2026-03-05 09:01")
    tick()
    tick()
    assert kinds(api, login).count("clock.due_soon") == 1
    api.at("2026-03-06 09:00")
    tick()
    assert {"clock.lapsed", "ticket.reminded"} <= set(kinds(api, login))
    reply = {"content": "已办结。", "citizen_answered_at": "2026-03-06T09:00:00+08:00"}
    api.act(number, "reply", "ZJJ", reply)
    api.act(number, "review_send_back", "reviewer", {"findings": {"content": "不具体。"}, "days": 2})
    api.act(number, "reply", "ZJJ", reply)
    passed = {"elements": {"quality": True, "process": True, "content": True, "completeness": True}}
    api.act(number, "review_pass", "reviewer", passed)
    api.act(
        number,
        "record_callback",
        "callback",
        {"outcome": "dissatisfied", "solved": False, "remark": "未解决。"},
    )
    api.act(number, "uphold_dissatisfaction", "reviewer", {"reason": "确未解决。", "days": 5})
    api.act(number, "reply", "ZJJ", reply)
    api.act(number, "review_pass", "reviewer", passed)
    api.act(number, "record_callback", "callback", {"outcome": "satisfied", "solved": True})
    api.act(number, "archive", "agent", {})
    told = kinds(api, login)
    for kind in (
        "ticket.dispatched", "return.rejected", "extension.approved", "clock.due_soon", "clock.lapsed",
        "ticket.reminded", "reply.sent_back", "knowledge.requested", "ticket.redo_ordered", "ticket.archived",
    ):  # fmt: skip
        assert kind in told, kind
    events = api.get("/events?limit=500", login).json()["items"]
    sequences = [e["sequence"] for e in events if e.get("subject") == number]
    assert sequences == sorted(set(sequences))
    by_kind = {e["type"]: e["data"] for e in events}
    assert {c["kind"] for c in by_kind["reply.sent_back"]["clocks"]} == {"supplement"}
    assert by_kind["extension.approved"]["clocks"][0]["due_on"] == "2026-03-05"
    assert by_kind["clock.due_soon"]["clock"]["due_on"] == "2026-03-05"
    for kind in (
        "clock.due_soon",
        "clock.lapsed",
        "ticket.reminded",
    ):  # what a sweep tells is as whole as what an act tells
        (running,) = by_kind[kind]["clocks"]
        assert (running["kind"], running["due_on"], running["unit"]) == ("reply", "2026-03-05", "ZJJ"), kind
        assert running["lapsed"] == (kind != "clock.due_soon"), kind
    assert {c["kind"] for c in by_kind["knowledge.requested"]["clocks"]} == {"knowledge_update"}
    platform = kinds(api, "supervisor")
    assert platform.count("ticket.archived") == 1, "a unit's copy is not the platform's"


def test_every_kind_that_is_written_is_in_the_catalogue() -> None:
    written = {*outbox.EVENTS.values(), *outbox.KNOWLEDGE.values(), questions.ASKED, questions.DUE}
    written |= {questions.ANSWERED, questions.ADOPTED, outbox.LAPSED, outbox.DUE_SOON, outbox.CLOCK_MOVED}
    written |= {outbox.MERGED_IN, outbox.MAIN_REPLIED, outbox.RECORDING_DESTROYED, outbox.KNOWLEDGE_REQUESTED}
    written |= {outbox.ACCOUNTABILITY_ISSUED}
    written |= {outbox.REPORT_DRAFTED, outbox.REPORT_DUE_SOON, outbox.REPORT_LAPSED, outbox.REPORT_FILED}
    written |= {
        outbox.CALL_RINGING,
        outbox.CALL_ANSWERED,
        outbox.CALL_ENDED,
        outbox.EVALUATED,
        outbox.APPEALED,
        questions.MOVED,
    }
    assert written == set(envelopes.CATALOGUE) - {envelopes.TESTED}
    assert outbox.ALERT_RAISED not in envelopes.CATALOGUE, "alerts stay in the house"


# --- batches -----------------------------------------------------------------------------------------------------------


def test_each_item_of_a_batch_stands_alone(api: Api) -> None:
    login = machine(api, scopes=(Scope.TICKETS_READ, Scope.TICKETS_WRITE))
    numbers = [api.take() for _ in range(3)]
    for number in numbers[:2]:
        api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    items = [
        {"number": numbers[0], "act": "sign", "order": {"signed_by": "测试经办"}, "key": "a"},
        {"number": numbers[0], "act": "sign", "key": "b"},
        {"number": numbers[1], "act": "propose_return", "order": {"grounds": "不属我局。"}},
        {"number": numbers[2], "act": "sign"},
        {"number": numbers[1], "act": "dispatch", "order": {"lead": "JTJ"}},
        {"number": numbers[1], "act": "sign", "if_match": '"1"'},
        {"number": numbers[1], "act": "attach"},
        {"number": numbers[1], "act": "sign", "key": "c"},
    ]
    answer = api.post("/batch", login, {"items": items})
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert [each["status"] for each in told["results"]] == [200, 422, 422, 404, 403, 412, 422, 200]
    assert (told["done"], told["failed"]) == (2, 6)
    assert told["results"][0]["result"]["state"] == "handling"
    assert told["results"][2]["problem"]["field"] == "suggestion"
    assert told["results"][2]["problem"]["errors"]
    assert told["results"][5]["problem"]["version"] == 2
    again = api.post("/batch", login, {"items": items[:1] + items[-1:]}).json()
    assert [(each["status"], each["replayed"]) for each in again["results"]] == [(200, True), (200, True)]
    assert [each["result"] for each in again["results"]] == [
        told["results"][0]["result"],
        told["results"][-1]["result"],
    ]
    with api.world.engine.connect() as connection:
        refused = connection.exec_driver_sql(
            "SELECT what->>'operation' AS o, what->>'number' AS n FROM audit WHERE kind = 'refused'"
        ).all()
    assert sorted((row.o, row.n) for row in refused) == [("dispatch", numbers[1]), ("sign", numbers[2])]


def test_a_batch_as_a_whole_can_be_sent_again(api: Api) -> None:
    numbers = [api.take() for _ in range(2)]
    for number in numbers:
        api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    items = [{"number": number, "act": "sign"} for number in numbers]
    key = {"Idempotency-Key": "whole"}
    first = api.post("/batch", "ZJJ", {"items": items}, headers=key).json()
    again = api.post("/batch", "ZJJ", {"items": items}, headers=key).json()
    assert first["done"] == again["done"] == 2
    assert all(each["replayed"] for each in again["results"])
    assert api.post("/batch", "ZJJ", {"items": []}).status_code == 422
    assert api.post("/batch", "ZJJ", {"items": items * 51}).status_code == 422


# --- the document ------------------------------------------------------------------------------------------------------


@pytest.fixture
def document(api: Api) -> Any:
    return api.client.get("/api/v1/openapi.json").json()


def test_the_document_describes_every_callback_with_an_example(document: Any) -> None:
    assert set(document["webhooks"]) == set(envelopes.CATALOGUE)
    for kind, item in document["webhooks"].items():
        content = item["post"]["requestBody"]["content"][MEDIA_TYPE]
        assert content["schema"] == {"$ref": "#/components/schemas/Envelope"}
        assert content["example"]["type"] == kind
        envelopes.Envelope.model_validate(content["example"])
        assert item["post"]["summary"] == envelopes.CATALOGUE[kind].label
        headers = {p["name"] for p in item["post"]["parameters"]}
        assert headers == {"webhook-id", "webhook-timestamp", "webhook-signature"}
