"""Machines: client credentials as RFC 6749 has them, scopes, rotation, revocation; and people's own tokens."""

import base64
from datetime import timedelta
from typing import Any

import pytest
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.auditing.trail import AuditEntry
from hotline.organisation import AccessToken
from hotline.people import clients
from tests.api.conftest import Api
from tests.api.refusals import nothing_stored, problem
from tests.api.tables import dump
from workflow.vocabulary import AuditKind

CLIENT = {
    "name": "zjj-system",
    "label": "测试住建局系统",
    "unit": "ZJJ",
    "roles": ["handler"],
    "scopes": ["tickets:read", "tickets:write"],
}


def secret_of(api: Api, **more: Any) -> str:
    made = api.post("/clients", "admin", CLIENT | more)
    assert made.status_code == 201, made.text
    return str(made.json()["client_secret"])


def ask(api: Api, secret: str, *, basic: bool = False, name: str = "zjj-system", **form: str) -> Any:
    body = {"grant_type": "client_credentials"} | form
    headers = {}
    if basic:
        headers["Authorization"] = "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()
    else:
        body |= {"client_id": name, "client_secret": secret}
    return api.client.post("/api/v1/oauth/token", data=body, headers=headers)


def as_machine(api: Api, answer: Any) -> str:
    """The machine's token under a name of its own in the small world."""
    assert answer.status_code == 200, answer.text
    api.world.tokens["machine"] = answer.json()["access_token"]
    return "machine"


# --- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("basic", [False, True])
def test_a_client_earns_a_token_for_an_hour(api: Api, basic: bool) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    secret = secret_of(api)
    answer = ask(api, secret, basic=basic)
    machine = as_machine(api, answer)
    told = answer.json()
    assert (told["token_type"], told["expires_in"], told["scope"]) == (
        "Bearer",
        3600,
        "tickets:read tickets:write",
    )
    assert answer.headers["cache-control"] == "no-store"
    assert api.act(number, "sign", machine, {"signed_by": "测试系统"})["state"] == "handling"
    assert secret not in dump(api.world.engine)
    assert told["access_token"] not in dump(api.world.engine)
    api.now += timedelta(seconds=3599)
    assert api.get("/tickets", machine).status_code == 200
    api.now += timedelta(seconds=1)
    problem(api.get("/tickets", machine), 401, "unauthenticated")


def test_a_standard_client_library_understands_it(api: Api) -> None:
    secret = secret_of(api)
    for way in ("client_secret_basic", "client_secret_post"):
        with OAuth2Client(
            "zjj-system", secret, token_endpoint_auth_method=way, transport=api.client._transport
        ) as library:
            token = library.fetch_token(
                "http://testserver/api/v1/oauth/token", grant_type="client_credentials", scope="tickets:read"
            )
        assert token["scope"] == "tickets:read"


def test_a_scope_narrows_and_never_widens(api: Api) -> None:
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    secret = secret_of(api)
    machine = as_machine(api, ask(api, secret, scope="tickets:read"))
    assert api.get(f"/tickets/{number}", machine).status_code == 200
    told = problem(api.post(f"/tickets/{number}/sign", machine, {"signed_by": "x"}), 403, "access_refused")
    assert told["scope"] == "tickets:write"
    assert problem(ask(api, secret, scope="tickets:read accounts"), 400)["error"] == "invalid_scope"
    assert problem(ask(api, secret, scope="nonsense"), 400)["error"] == "invalid_scope"


@pytest.mark.parametrize(
    ("form", "headers", "status", "error"),
    [
        ({}, {}, 400, "invalid_request"),
        ({"grant_type": "password", "username": "a", "password": "b"}, {}, 400, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, {}, 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_id": "zjj-system", "client_secret": "wrong"},
            {},
            401,
            "invalid_client",
        ),
        (
            {"grant_type": "client_credentials", "client_id": "nobody", "client_secret": "wrong"},
            {},
            401,
            "invalid_client",
        ),
        ({"grant_type": "client_credentials"}, {"Authorization": "Basic !!"}, 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_secret": "x"},
            {"Authorization": "Basic " + base64.b64encode(b"zjj-system:x").decode()},
            400,
            "invalid_request",
        ),
    ],
)
def test_whoever_asks_wrongly_is_told_in_the_words_of_the_rfc(
    api: Api, form: dict[str, str], headers: dict[str, str], status: int, error: str
) -> None:
    secret_of(api)
    answer = api.client.post("/api/v1/oauth/token", data=form, headers=headers)
    assert problem(answer, status, "client_refused")["error"] == error
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Basic" if headers else "Bearer")
    with Session(api.world.engine) as session:
        assert (
            session.execute(select(AccessToken).where(col(AccessToken.client_id).is_not(None))).first()
            is None
        )


def test_wrong_secrets_are_on_record_without_the_secret(api: Api) -> None:
    secret_of(api)
    ask(api, "a-guessed-secret")
    ask(api, "a-guessed-secret", name="nobody-system")
    with Session(api.world.engine) as session:
        rows = session.execute(
            select(AuditEntry).where(col(AuditEntry.kind) == AuditKind.SIGN_IN_FAILED)
        ).scalars()
        assert [row.what.get("client") for row in rows] == ["zjj-system", None]
    kept = dump(api.world.engine)
    assert "a-guessed-secret" not in kept
    assert "nobody-system" not in kept


# --- managing clients --------------------------------------------------------------------------------------------------


def test_a_secret_is_changed_without_a_gap(api: Api) -> None:
    old = secret_of(api)
    new = api.post("/clients/zjj-system/rotate", "admin", {"overlap_hours": 2}).json()["client_secret"]
    assert ask(api, old).status_code == ask(api, new).status_code == 200
    api.now += timedelta(hours=2)
    assert ask(api, old).status_code == 401
    assert ask(api, new).status_code == 200
    newest = api.post("/clients/zjj-system/rotate", "admin", {"overlap_hours": 0}).json()["client_secret"]
    assert ask(api, new).status_code == 401
    assert ask(api, newest).status_code == 200


def test_a_revoked_client_is_out_at_once_with_its_tokens(api: Api) -> None:
    secret = secret_of(api)
    machine = as_machine(api, ask(api, secret))
    assert api.get("/tickets", machine).status_code == 200
    assert api.post("/clients/zjj-system/revoke", "admin", {}).json()["revoked_at"] is not None
    problem(api.get("/tickets", machine), 401)
    assert ask(api, secret).status_code == 401
    problem(api.post("/clients/zjj-system/rotate", "admin", {}), 422)
    assert [row["name"] for row in api.get("/clients", "auditor").json()] == ["zjj-system"]
    assert api.get("/clients", "b-admin").json() == []


def test_a_closed_units_client_is_out_too(api: Api) -> None:
    secret = secret_of(api)
    machine = as_machine(api, ask(api, secret))
    api.post("/units/ZJJ", "admin", {"active": False})
    problem(api.get("/tickets", machine), 401)
    assert ask(api, secret).status_code == 401


@pytest.mark.parametrize(
    ("login", "change", "status"),
    [
        ("admin", {"roles": ["unit_lead"]}, 422),
        ("admin", {"roles": ["agent"]}, 422),
        ("admin", {"unit": None, "platform": "01", "roles": ["supervisor"]}, 422),
        ("admin", {"unit": None, "platform": "01", "roles": ["admin"]}, 422),
        ("admin", {"platform": "01"}, 422),
        ("admin", {"unit": None}, 422),
        ("admin", {"unit": "HDJ"}, 404),
        ("admin", {"scopes": []}, 422),
        ("admin", {"scopes": ["accounts"]}, 422),
        ("admin", {"scopes": ["audit"]}, 422),
        ("supervisor", {}, 403),
        ("ZJJ-lead", {}, 403),
    ],
)
def test_which_clients_may_not_be_made(api: Api, login: str, change: dict[str, Any], status: int) -> None:
    with nothing_stored(api):
        problem(api.post("/clients", login, CLIENT | change), status)


def test_a_name_is_taken_once_and_others_clients_are_out_of_sight(api: Api) -> None:
    secret_of(api)
    problem(api.post("/clients", "p-admin", CLIENT), 409, "name_taken")
    for path in ("rotate", "revoke"):
        problem(api.post(f"/clients/zjj-system/{path}", "b-admin", {}), 404, "not_found")


def test_two_machines_may_use_the_same_idempotency_key(api: Api) -> None:
    """A key is its machine's own: another machine's request with it is another request."""
    number = api.take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ", "co_units": ["JTJ"]})
    said = {}
    for name, unit in (("zjj-system", "ZJJ"), ("jtj-system", "JTJ")):
        as_machine(api, ask(api, secret_of(api, name=name, unit=unit), name=name))
        answer = api.post(
            f"/tickets/{number}/report_progress",
            "machine",
            {"content": "已安排。"},
            headers={"Idempotency-Key": "one-and-the-same"},
        )
        said[name] = (answer.status_code, answer.headers.get("Idempotency-Replayed"))
    assert {replayed for _, replayed in said.values()} == {None}
    assert {status for status, _ in said.values()} == {200}


def test_old_machine_tokens_are_swept(api: Api) -> None:
    as_machine(api, ask(api, secret_of(api)))
    with Session(api.world.engine) as session:
        assert clients.forget_old(session, api.now + timedelta(hours=24)) == 0
        assert clients.forget_old(session, api.now + timedelta(hours=26)) == 1


# --- people's own tokens -----------------------------------------------------------------------------------------------

TOKEN = {"label": "测试看板", "scopes": ["tickets:read", "accounts"], "days": 30}


def test_a_person_issues_sees_and_revokes_their_own_token(api: Api) -> None:
    made = api.post("/tokens", "agent", TOKEN)
    assert made.status_code == 201
    api.world.tokens["mine"] = made.json()["token"]
    assert api.get("/tickets", "mine").status_code == 200
    problem(api.get("/vocabulary", "mine"), 403)
    assert made.json()["token"] not in api.get("/tokens", "agent").text
    assert [row["label"] for row in api.get("/tokens", "agent").json()] == ["测试看板", "test"]
    problem(api.post("/tokens", "mine", TOKEN | {"scopes": ["tickets:write"]}), 422, "order_invalid")
    problem(api.post(f"/tokens/{made.json()['id']}/revoke", "agent2", {}), 404, "not_found")
    assert api.post(f"/tokens/{made.json()['id']}/revoke", "agent", {}).json()["revoked_at"] is not None
    problem(api.get("/tickets", "mine"), 401)


def test_a_token_ends_on_its_day(api: Api) -> None:
    api.world.tokens["mine"] = api.post("/tokens", "agent", TOKEN).json()["token"]
    api.now += timedelta(days=30)
    problem(api.get("/tickets", "mine"), 401)


def test_whose_tokens_an_administrator_may_issue(api: Api) -> None:
    assert api.post("/tokens", "admin", TOKEN | {"login": "agent"}).json()["login"] == "agent"
    with nothing_stored(api):
        for login in ("supervisor", "auditor"):
            problem(api.post("/tokens", "admin", TOKEN | {"login": login}), 403, "access_refused")
        problem(api.post("/tokens", "admin", TOKEN | {"login": "b-agent"}), 404, "not_found")
        problem(api.post("/tokens", "agent", TOKEN | {"login": "agent2"}), 403, "access_refused")
        problem(api.get("/tokens?login=agent2", "agent"), 403, "access_refused")
