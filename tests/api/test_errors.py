"""Every refusal is an RFC 9457 problem in Chinese that names the article or the field, and leaves nothing behind."""

import json
import re
from collections.abc import Iterator

import pytest
from sqlmodel import Session

from api.grants import PUBLIC
from hotline.organisation import Platform
from hotline.people import accounts
from tests.api.conftest import Api
from tests.api.refusals import new_ticket, nothing_stored, problem, raw
from workflow.vocabulary import Role


@pytest.fixture
def api(house: Api) -> Api:
    return house.at("2026-03-02 09:00")


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
