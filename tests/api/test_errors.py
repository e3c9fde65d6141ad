"""Every refusal is an RFC 9457 problem in Chinese that names the article or the field, and leaves nothing behind."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session

from api.grants import PUBLIC
from api.main import create_app
from api.wiring import Runtime
from hotline.organisation import Platform
from hotline.people import accounts
from hotline.settings import Settings
from hotline.storage.store import make_engine
from tests import world as w
from tests.api.conftest import UNHURRIED, Api
from tests.api.tables import fingerprint
from workflow.vocabulary import Role

if TYPE_CHECKING:
    from tests.postgres_server import Server

CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def house(postgres_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """One app and one database for the whole module: hardly a test of it stores anything."""
    folder = tmp_path_factory.mktemp("house")
    name = postgres_server.clone()
    engine = make_engine(postgres_server.url_of(name))
    world = w.build(engine, folder)
    holder: list[Api] = []

    def clock() -> datetime:
        return holder[0].now

    app = create_app(Runtime(Settings(data_dir=folder, **UNHURRIED), engine, world.office, clock))
    with TestClient(app, raise_server_exceptions=False) as client:
        holder.append(Api(client, world))
        yield holder[0]
    engine.dispose()
    postgres_server.drop(name)


@pytest.fixture
def api(house: Api) -> Api:
    return house.at("2026-03-02 09:00")


@contextmanager
def nothing_stored(api: Api) -> Iterator[None]:
    """No table may differ afterwards."""
    before = fingerprint(api.world.engine)
    yield
    assert fingerprint(api.world.engine) == before


def problem(response: httpx2.Response, status: int, code: str | None = None) -> Any:
    """The body of a well-formed problem with this status and code."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert body["status"] == status
    assert body["type"] == f"urn:hotline12345:problem:{body['code']}"
    assert CHINESE.search(body["title"])
    assert CHINESE.search(body["detail"])
    if code is not None:
        assert body["code"] == code
    if "article" in body:
        assert body["article_cited"].startswith("第")
        assert CHINESE.search(body["article_text"])
    return body


def raw(api: Api, path: str, content: bytes, login: str = "agent", **headers: str | bytes) -> httpx2.Response:
    """A POST of these very bytes, called JSON."""
    sent: dict[str, Any] = api.headers(login) | {"Content-Type": "application/json"} | headers
    response: httpx2.Response = api.client.post(f"/api/v1{path}", headers=sent, content=content)
    return response


def new_ticket(**changes: Any) -> dict[str, Any]:
    return {"demand": w.demand().model_dump(mode="json", exclude_none=True) | changes}


# --- who asks ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer unknown"},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer \x7f" + "x" * 5000},
    ],
)
def test_without_a_known_token_everything_is_refused_with_401(api: Api, headers: dict[str, str]) -> None:
    number = api.take()
    with nothing_stored(api):
        for method, path in (
            ("GET", "/tickets"),
            ("GET", f"/tickets/{number}"),
            ("GET", "/vocabulary"),
            ("POST", f"/tickets/{number}/dispatch"),
            ("POST", "/tickets"),
        ):
            response = api.client.request(method, f"/api/v1{path}", headers=headers, json={"lead": "ZJJ"})
            assert problem(response, 401, "unauthenticated")
            assert response.headers["www-authenticate"] == "Bearer"


def test_no_route_of_the_api_is_open(api: Api) -> None:
    paths = api.client.get("/api/v1/openapi.json").json()["paths"]
    for path, methods in paths.items():
        address = re.sub(r"\{[^}]+\}", "1", path.replace("{number}", "012603020000015"))
        for method, operation in methods.items():
            if operation["operationId"] in PUBLIC:  # how one gets credentials; each has its tests
                continue
            response = api.client.request(method.upper(), address)
            assert response.status_code in (401, 422), (method, path, response.status_code)
            assert "items" not in response.text


def test_a_revoked_token_and_a_person_who_left_are_refused(api: Api) -> None:
    with Session(api.world.engine) as session:
        platform = session.get_one(Platform, api.world.platforms["01"])
        for login in ("revoked", "left"):
            person = accounts.add_person(
                session, login=login, name="测试戊", roles=[Role.AGENT], platform=platform
            )
            api.world.tokens[login] = accounts.issue_token(session, label="test", at=api.now, person=person)
        session.commit()
        assert [api.get("/tickets", login).status_code for login in ("revoked", "left")] == [200, 200]
        assert accounts.revoke(session, api.world.tokens["revoked"], api.now)
        person.active = False
        session.add(person)
        session.commit()
    for login in ("revoked", "left"):
        problem(api.get("/tickets", login), 401, "unauthenticated")


def test_a_role_that_may_not_do_the_act_is_told_who_may(api: Api) -> None:
    number = api.take()
    with nothing_stored(api):
        body = problem(
            api.post(f"/tickets/{number}/dispatch", "reviewer", {"lead": "ZJJ"}), 403, "act_not_granted"
        )
    assert "派单员" in body["detail"]
    assert "dispatcher" in body["roles"]
    with nothing_stored(api):
        for login in ("ZJJ", "reviewer", "auditor"):
            body = problem(api.post("/tickets", login, new_ticket()), 403, "access_refused")
            assert "话务员" in body["detail"]


def test_a_unit_not_assigned_and_another_platform_do_not_learn_that_the_ticket_exists(api: Api) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    absent = f"{number[:8]}99999"
    from stdnum.iso7064 import mod_11_10

    absent = absent + "9"
    absent += mod_11_10.calc_check_digit(absent)
    for login in ("JTJ", "HDJ", "b-agent", "b-supervisor", "p-agent"):
        with nothing_stored(api):
            for path in ("", "/timeline", "/clocks/1/certificate", "/unsealings/1", "/attachments/1"):
                seen = problem(api.get(f"/tickets/{number}{path}", login), 404, "not_found")
                unknown = problem(api.get(f"/tickets/{absent}{path}", login), 404, "not_found")
                assert set(seen) == set(unknown)
                assert seen["detail"].translate(_DIGITS) == unknown["detail"].translate(_DIGITS)
            signed, unknown = (api.post(f"/tickets/{n}/sign", login, {}) for n in (number, absent))
            if login in ("JTJ", "HDJ"):
                problem(signed, 404, "not_found")
            else:  # the role is refused before the ticket is looked for
                assert problem(signed, 403, "act_not_granted") == problem(unknown, 403, "act_not_granted")


_DIGITS = str.maketrans("0123456789", "##########")


def test_a_wrong_state_lists_what_this_person_can_do_instead(api: Api) -> None:
    number = api.take()
    checked = {"elements": {"quality": True, "process": True, "content": True, "completeness": True}}
    with nothing_stored(api):
        supervisor = problem(
            api.post(f"/tickets/{number}/review_pass", "supervisor", checked), 409, "illegal_move"
        )
        reviewer = problem(
            api.post(f"/tickets/{number}/review_pass", "reviewer", checked), 409, "illegal_move"
        )
    assert supervisor["state"] == reviewer["state"] == "accepted"
    assert "dispatch" in supervisor["open_acts"]
    assert "派单" in supervisor["detail"]
    assert "dispatch" not in reviewer["open_acts"]
    assert "派单、" not in reviewer["detail"]


def test_too_late_carries_the_article_and_the_due_instant(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    order = {"grounds": "不属于本单位职责。", "suggestion": "建议改派。"}
    with nothing_stored(api):
        body = problem(
            api.at("2026-03-04 00:00").post(f"/tickets/{number}/propose_return", "ZJJ", order),
            409,
            "too_late",
        )
    assert body["article"] == "14(4)"
    assert body["article_cited"] == "第十四条第（四）项"
    assert body["due_at"].startswith("2026-03-0")


# --- where -------------------------------------------------------------------------------------------------------------


def test_a_wrong_check_digit_is_noticed_before_any_look_up(api: Api) -> None:
    number = api.take()
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    swapped = number[:9] + number[10] + number[9] + number[11:]
    for said in {wrong, swapped} - {number}:
        body = problem(api.get(f"/tickets/{said}", "agent"), 404, "not_found")
        assert (body["field"], "校验位" in body["detail"]) == ("number", True)
        problem(api.post(f"/tickets/{said}/withdraw", "agent", {"reason": "测试"}), 404, "not_found")


@pytest.mark.parametrize("said", ["{} {} {} {}", "{}-{}-{}-{}"])
def test_a_number_may_be_typed_as_it_is_said(api: Api, said: str) -> None:
    number = api.take()
    typed = said.format(number[:2], number[2:8], number[8:14], number[14])
    assert api.get(f"/tickets/{typed}", "agent").json()["number"] == number


@pytest.mark.parametrize(
    "said",
    ["12", "x" * 15, "０１２６０３０２０００００１５", "1" * 400, "01260302000001%00", "%ED%A0%80" * 5],
)
def test_what_is_no_number_is_refused_politely(api: Api, said: str) -> None:
    with nothing_stored(api):
        response = api.get(f"/tickets/{said}", "agent")
        assert response.status_code in (404, 422)
        problem(response, response.status_code)


def test_unknown_addresses_and_methods(api: Api) -> None:
    problem(api.get("/nothing", "agent"), 404, "http_404")
    problem(api.client.get("/nothing"), 404, "http_404")
    problem(api.post(f"/tickets/{api.take()}/process", "agent", {}), 404, "http_404")
    refused = api.client.delete("/api/v1/tickets", headers=api.headers("agent"))
    problem(refused, 405, "http_405")
    assert set(refused.headers["allow"].replace(" ", "").split(",")) == {"GET", "POST"}
    problem(api.client.put("/api/v1/vocabulary", headers=api.headers("agent")), 405, "http_405")


# --- bodies that are not orders ----------------------------------------------------------------------------------------

MALFORMED: tuple[tuple[str, bytes], ...] = (
    ("nothing", b""),
    ("not json", b"{'a': 1}"),
    ("half an object", b'{"lead": "ZJJ"'),
    ("an array", b"[]"),
    ("a text", b'"ZJJ"'),
    ("a number", b"1"),
    ("null", b"null"),
    ("deep arrays", b"[" * 100_000 + b"]" * 100_000),
    ("deep objects", b'{"lead":' * 100_000 + b"1" + b"}" * 100_000),
    ("deep and open", b"[" * 100_000),
    ("invalid UTF-8", b'{"lead": "\xff\xfe"}'),
    ("cut UTF-8", '{"lead": "派'.encode()[:-1] + b'"}'),
    ("encoded surrogate", b'{"lead": "\xed\xa0\x80"}'),
    ("NUL between", b'{"lead":\x00"ZJJ"}'),
    ("NaN", b'{"lead": NaN}'),
    ("Infinity", b'{"lead": -Infinity}'),
    ("a number beyond all", b'{"lead": 1' + b"0" * 5000 + b"}"),
    ("a float beyond all", b'{"lead": 1e400}'),
    ("a key twice", b'{"lead": 1, "lead": 2}'),
)


@pytest.mark.parametrize(("name", "content"), MALFORMED, ids=[name for name, _ in MALFORMED])
def test_a_body_that_is_no_order_is_refused_and_nothing_is_stored(
    api: Api, name: str, content: bytes
) -> None:
    number = api.take()
    with nothing_stored(api):
        for path, login in (
            (f"/tickets/{number}/dispatch", "dispatcher"),
            ("/tickets", "agent"),
            ("/calendar/notices", "admin"),
        ):
            response = raw(api, path, content, login)
            assert response.status_code in (400, 422), (path, response.text[:300])
            body = problem(response, response.status_code)
            assert "field" in body or response.status_code == 400


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "", "x"]
)
def test_a_body_of_another_media_type_is_refused(api: Api, media_type: str) -> None:
    number = api.take()
    with nothing_stored(api):
        response = raw(
            api,
            f"/tickets/{number}/dispatch",
            b'{"lead": "ZJJ"}',
            "dispatcher",
            **{"Content-Type": media_type},
        )
        problem(response, 422, "validation")


def test_an_act_without_required_content_may_come_without_a_body(api: Api) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    assert raw(api, f"/tickets/{number}/sign", b"", "ZJJ").status_code == 200


def test_a_body_beyond_the_limit_is_refused_declared_or_not(api: Api) -> None:
    most = api.client.app.state.runtime.settings.attachment_max_bytes + 1024 * 1024  # type: ignore[attr-defined]
    number = api.take()

    def endless() -> Iterator[bytes]:
        for _ in range(most // 65536 + 2):
            yield b" " * 65536

    with nothing_stored(api):
        declared = raw(api, f"/tickets/{number}/dispatch", b"{}", **{"Content-Length": str(most + 1)})
        assert "MB" in problem(declared, 413, "too_large")["detail"]
        chunked = api.client.post(
            f"/api/v1/tickets/{number}/dispatch",
            headers=api.headers("dispatcher") | {"Content-Type": "application/json"},
            content=endless(),
        )
        problem(chunked, 413, "too_large")


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


# --- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["3", "abc", '"x"', '"-1"', '"1", "2"', '"99999999999999999999"', "", '"１"']
)
def test_an_unreadable_if_match_is_refused(api: Api, value: str) -> None:
    number = api.take()
    with nothing_stored(api):
        headers: dict[str, str | bytes] = {"If-Match": value.encode()}
        response = raw(api, f"/tickets/{number}/withdraw", '{"reason": "测试"}'.encode(), "agent", **headers)
        assert problem(response, 400, "bad_header")["field"] == "If-Match"


@pytest.mark.parametrize("value", ["", "two words", "键", "x" * 256, "x" * 5000])
def test_an_unreadable_idempotency_key_is_refused(api: Api, value: str) -> None:
    number = api.take()
    with nothing_stored(api):
        headers: dict[str, str | bytes] = {"Idempotency-Key": value.encode()}
        response = raw(api, f"/tickets/{number}/withdraw", '{"reason": "测试"}'.encode(), "agent", **headers)
        assert problem(response, 400, "bad_header")["field"] == "Idempotency-Key"


def test_an_unforeseen_failure_says_nothing_of_its_cause(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    number = api.take()
    monkeypatch.setattr("hotline.desk.outbox.row", lambda *_a, **_k: 1 / 0)
    with nothing_stored(api):
        body = problem(api.post(f"/tickets/{number}/withdraw", "agent", {"reason": "测试"}), 500, "internal")
    assert "Zero" not in json.dumps(body)
    monkeypatch.undo()
    api.act(number, "withdraw", "agent", {"reason": "测试"})


@pytest.mark.parametrize(
    "path", ["/tickets?stat=x", "/reminders?limt=5", "/vocabulary?x=1", "/due?matters=help", "/me?"]
)
def test_a_misspelt_query_parameter_is_not_silently_lost(api: Api, path: str) -> None:
    if path.endswith("?"):
        assert api.get(path, "agent").status_code == 200
        return
    body = problem(api.get(path, "agent"), 422, "validation")
    assert path.split("?")[1].split("=")[0] in [error["field"] for error in body["errors"]]


def test_a_misspelt_preview_does_not_load_a_notice(api: Api) -> None:
    notice = {"year": 2027, "papers": ["https://www.gov.cn/zhengce/x.htm"], "days": []}
    with nothing_stored(api):
        assert (
            problem(api.post("/calendar/notices?previev=false", "admin", notice), 422)["field"] == "previev"
        )
