"""Every field of an order: what it may not hold is refused with its name, what it may hold is kept as it came."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.conftest import Api
from tests.api.refusals import new_ticket, nothing_stored, problem, raw


@pytest.fixture
def api(house: Api) -> Api:
    return house.at("2026-03-02 09:00")


# --- fields ------------------------------------------------------------------------------------------------------------

TEXTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    # field as the problem names it, act, order with the text in place of TEXT
    ("reason", "withdraw", {"reason": "TEXT"}),
    ("note", "coordinate", {"note": "TEXT"}),
    ("participants.0", "coordinate", {"note": "测试", "participants": ["TEXT"]}),
    ("lead", "dispatch", {"lead": "TEXT"}),
    ("co_units.0", "dispatch", {"lead": "ZJJ", "co_units": ["TEXT"]}),
    ("instruction", "dispatch", {"lead": "ZJJ", "instruction": "TEXT"}),
    ("legal_basis", "dispatch", {"lead": "ZJJ", "legal_basis": "TEXT"}),
    ("into", "merge", {"into": "TEXT", "reason": "测试"}),
    ("to", "hand_over", {"to": "TEXT", "reason": "测试"}),
    ("answer", "answer_at_once", {"answer": "TEXT"}),
    ("knowledge_version", "answer_at_once", {"answer": "测试", "knowledge_version": "TEXT"}),
    ("target_name", "transfer", {"target": "unit", "target_name": "TEXT", "explanation": "测试"}),
    ("ground", "refuse", {"ground": "TEXT", "explanation": "测试", "guidance": "测试"}),
    ("guidance", "refuse", {"ground": "3", "explanation": "测试", "guidance": "TEXT"}),
    ("refuse.guidance", "decide", {"outcome": "refuse", "reason": "测试", "refuse": {"ground": "3", "explanation": "测试", "guidance": "TEXT"}}),
    ("content", "remind", {"form": "network", "content": "TEXT"}),
    ("explanation", "flag", {"flag": "overdue", "explanation": "TEXT"}),
    ("remark", "record_callback", {"outcome": "satisfied", "solved": True, "remark": "TEXT"}),
)  # fmt: skip
DEMAND_TEXTS = ("title", "content", "call_id", "external_ref", "category", "area", "caller.name", "caller.phone", "caller.address")  # fmt: skip
UNKEEPABLE = ("甲\x00乙", "\ud800", "甲\udfff乙", "\x00")


def _with_text(order: dict[str, Any], text: str) -> bytes:
    return json.dumps(order).replace('"TEXT"', json.dumps(text)).encode()


@pytest.mark.parametrize("text", UNKEEPABLE, ids=["NUL", "lone high", "lone low", "only NUL"])
def test_characters_postgresql_cannot_keep_are_refused_with_the_field_named(api: Api, text: str) -> None:
    number = api.take()
    with nothing_stored(api):
        for field, act, order in TEXTS:
            response = raw(api, f"/tickets/{number}/{act}", _with_text(order, text), "supervisor")
            assert problem(response, 422)["field"] == field, (act, response.text)
        for field in DEMAND_TEXTS:
            outer, _, inner = field.partition(".")
            changes: dict[str, Any] = {outer: {inner: "TEXT"}} if inner else {outer: "TEXT"}
            response = raw(api, "/tickets", _with_text(new_ticket(**changes), text))
            assert problem(response, 422)["field"] == f"demand.{field}"
        article = {"question": "TEXT", "answer": "测试"}
        response = raw(api, "/knowledge", _with_text(article, text), "editor")
        assert problem(response, 422)["field"] == "question"
        emergency = {"title": "TEXT", "basis": "x", "area": "630104000000", "until": "2027-01-01T00:00:00Z"}
        response = raw(api, "/emergencies", _with_text(emergency, text), "supervisor")
        assert problem(response, 422)["field"] == "title"


@pytest.mark.parametrize("text", ["甲%00乙", "%ED%A0%80", "%FF%FE"])
def test_such_characters_in_an_address_are_no_server_error(api: Api, text: str) -> None:
    api.take()
    for path in (
        f"/tickets?text={text}",
        f"/tickets?cursor={text}",
        f"/tickets?unit={text}",
        f"/tickets?area={text}",
        f"/knowledge/{text}",
        f"/areas?parent={text}",
        f"/due?matter={text}&dispatched={text}",
    ):
        response = api.get(path, "agent")
        assert response.status_code < 500, (path, response.text)


KEPT = (
    "𠮷野家的𫟹𬉼问题😀👨‍👩‍👧",
    "\u202eزمرد\u202c العربية עברית",
    "  前后空格  \n\t\r\n制表与换行\n",
    "ａ１！全角 ①Ⅳ㍿ é e\u0301 ﷺ",
    "<script>alert('x')</script>'; DROP TABLE tickets; -- %s {0} \\u0000 \\",
    "\ufeff\u200b零宽\u200d",
    "\x01\x7f控制\x1b[31m",
)


@pytest.mark.parametrize("text", KEPT)
def test_text_is_kept_as_it_came(api: Api, text: str) -> None:
    number = api.take(title=text, content=text, caller={"name": "测试丙"})
    view = api.get(f"/tickets/{number}", "agent").json()
    assert (view["title"], view["content"]) == (text, text)
    named = api.take(title=text, content=text, caller={"name": text, "address": text})
    opened = {
        field: api.post(
            f"/tickets/{named}/unsealings", "agent", {"field": field, "purpose": "other", "explanation": text}
        ).json()["value"]
        for field in ("name", "address", "original")
    }
    assert (opened["name"], opened["address"]) == (text, text)
    assert opened["original"] == {
        "demand.title": text,
        "demand.content": text,
    }  # the caller's name stood in both
    api.act(number, "withdraw", "agent", {"reason": text})
    entry = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"][-1]
    assert entry["payload"]["reason"] == text


def test_long_text_is_kept_to_its_limit_and_refused_beyond(api: Api) -> None:
    longest = "暖" * 100_000
    assert api.get(f"/tickets/{api.take(content=longest)}", "agent").json()["content"] == longest
    number = api.take()
    with nothing_stored(api):
        for text in ("暖" * 100_001, "x" * 1_000_000):
            body = problem(api.post("/tickets", "agent", new_ticket(content=text)), 422, "validation")
            assert (body["field"], "100000" in body["detail"]) == ("demand.content", True)
        body = problem(api.post(f"/tickets/{number}/withdraw", "agent", {"reason": "x" * 1_000_000}), 422)
        assert body["field"] == "reason"
        assert len(body["detail"]) < 1000


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u3000"])
def test_blank_text_is_not_text(api: Api, text: str) -> None:
    with nothing_stored(api):
        for field in ("title", "content"):
            body = problem(api.post("/tickets", "agent", new_ticket(**{field: text})), 422, "validation")
            assert body["field"] == f"demand.{field}"


WRONG_FIELDS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("demand.matter", {"matter": "gossip"}),
    ("demand.matter", {"matter": 1}),
    ("demand.matter", {"matter": None}),
    ("demand.channel", {"channel": "pigeon"}),
    ("demand.category", {"category": "999999"}),
    ("demand.category", {"category": "01"}),
    ("demand.area", {"area": "999999999999"}),
    ("demand.area", {"area": "西宁"}),
    ("demand.titel", {"titel": "错字"}),
    ("demand.title", {"title": ["标题"]}),
    ("demand.title", {"title": 1}),
    ("demand.content", {"content": {"a": 1}}),
    ("demand.caller", {"caller": "测试甲"}),
    ("demand.caller.phone", {"caller": {"phone": 13900000001}}),
    ("demand.caller.phone", {"caller": {"phone": "call me"}}),
    ("demand.caller.confidential", {"caller": {"confidential": "perhaps"}}),
    ("demand.received_at", {"received_at": "2026-03-01T10:00:00"}),
    ("demand.received_at", {"received_at": "昨天"}),
    ("demand.received_at", {"received_at": "2026-02-30T10:00:00+08:00"}),
    ("demand.received_at", {"received_at": "0001-01-01T00:00:00Z"}),
    ("demand.received_at", {"received_at": "0001-01-01T00:00:00+14:00"}),
    ("demand.received_at", {"received_at": "9999-12-31T23:59:59Z"}),
    ("demand.received_at", {"received_at": "9999-12-31T23:59:59-12:00"}),
    ("demand.received_at", {"received_at": 10**30}),
    ("demand.received_at", {"received_at": -(10**12)}),
    ("demand.received_at", {"received_at": 1.5e300}),
)


@pytest.mark.parametrize(
    ("field", "changes"), WRONG_FIELDS, ids=[f"{f}={next(iter(c.values()))}" for f, c in WRONG_FIELDS]
)
def test_a_wrong_field_is_named(api: Api, field: str, changes: dict[str, Any]) -> None:
    with nothing_stored(api):
        named = problem(api.post("/tickets", "agent", new_ticket(**changes)), 422)["field"]
    assert named.removeprefix("demand.") == field.removeprefix("demand.")


WRONG_ORDERS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("days", "approve_extension", {"days": False}),
    ("emergency", "dispatch", {"lead": "ZJJ", "emergency": True}),
    ("decision", "", new_ticket() | {"decision": {"act": "dance"}}),
    ("decision", "", new_ticket() | {"decision": {}}),
    ("decision.refuse.guidance", "", new_ticket() | {"decision": {"act": "refuse", "ground": "3", "explanation": "测试"}}),
    ("platform", "", new_ticket() | {"platform": "1"}),
    ("platform", "", new_ticket() | {"platform": "02"}),
    ("platform", "", new_ticket() | {"platform": "77"}),
    ("lead", "dispatch", {}),
    ("leed", "dispatch", {"lead": "ZJJ", "leed": "ZJJ"}),
    ("lead", "dispatch", {"lead": "NOBODY"}),
    ("emergency", "dispatch", {"lead": "ZJJ", "emergency": 10**30}),
    ("emergency", "dispatch", {"lead": "ZJJ", "emergency": -1}),
    ("emergency", "dispatch", {"lead": "ZJJ", "emergency": 2**62}),
    ("emergency", "dispatch", {"lead": "ZJJ", "emergency": 1.5}),
    ("co_units", "dispatch", {"lead": "ZJJ", "co_units": ["JTJ"] * 51}),
    ("co_units", "dispatch", {"lead": "ZJJ", "co_units": "JTJ"}),
    ("complex", "dispatch", {"lead": "ZJJ", "complex": "maybe"}),
    ("into", "merge", {"into": "x", "reason": "测试"}),
    ("to", "hand_over", {"to": "nobody", "reason": "测试"}),
    ("ground", "refuse", {"ground": "99", "explanation": "测试", "guidance": "测试"}),
)  # fmt: skip


@pytest.mark.parametrize(
    ("field", "act", "order"),
    WRONG_ORDERS,
    ids=[f"{a or 'take'} {f} {i}" for i, (f, a, _) in enumerate(WRONG_ORDERS)],
)
def test_a_wrong_order_is_refused_with_its_field(
    api: Api, field: str, act: str, order: dict[str, Any]
) -> None:
    number = api.at("2026-03-02 09:00").take(decision={"act": "register"} if act == "refuse" else None)
    path = f"/tickets/{number}/{act}" if act else "/tickets"
    with nothing_stored(api):
        response = api.post(path, "supervisor", order)
        assert response.status_code in (404, 422), response.text
        assert problem(response, response.status_code)["field"] == field


@pytest.mark.parametrize(
    "instant",
    [
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-12:00",
        "9999-12-31T23:59:59Z",
        "2006-12-31T00:00:00Z",
        "2300-01-01T00:00:00Z",
    ],
)
def test_instants_at_the_ends_of_time_are_no_server_error(api: Api, instant: str) -> None:
    api.take()
    for path in (
        f"/due?matter=inquiry&dispatched={instant}",
        f"/tickets?due_before={instant}",
        f"/tickets?received_from={instant}&received_to={instant}",
    ):
        response = api.get(path, "agent")
        assert response.status_code in (200, 422), (path, response.text)
        if response.status_code == 422:
            problem(response, 422)
    until = instant.replace("%2B", "+")
    order = {"title": "测试", "basis": "测试", "area": "630104000000", "until": until}
    response = api.post("/emergencies", "supervisor", order)
    assert response.status_code in (201, 422), response.text
    assert api.get("/emergencies", "supervisor").status_code == 200


def whole_numbers(api: Api) -> Iterator[tuple[str, str, dict[str, Any], str]]:
    """Each route with an example, and each whole number its JSON body may have at the top."""
    document = api.client.get("/api/v1/openapi.json").json()
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body is None or "$ref" not in body["schema"]:
                continue
            told = schemas[body["schema"]["$ref"].rpartition("/")[2]].get("properties", {})
            for name, schema in told.items():
                if any(one.get("type") == "integer" for one in (schema, *schema.get("anyOf", ()))):
                    yield method, path, body["example"], name


def test_true_is_no_number(api: Api) -> None:
    """JSON's `true` would pass for 1 in Python."""
    asked = 0
    for method, path, example, name in whole_numbers(api):
        address = re.sub(r"\{[^}]+\}", "1", path.replace("{number}", "012603020000015"))
        for truth in (True, False):
            answer = api.client.request(
                method, address, headers=api.headers("supervisor"), json=example | {name: truth}
            )
            assert answer.status_code in (401, 403, 422), (path, name, answer.text)
            if answer.status_code == 422:
                assert problem(answer, 422)["field"] == name, (path, name)
                asked += 1
    assert asked > 15
