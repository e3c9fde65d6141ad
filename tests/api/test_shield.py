"""The shield: every answer's headers, whose name is answered, how large and slow a body may be, how often somebody may ask."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlmodel import Session
from starlette.responses import PlainTextResponse

from api import shield
from api.bodies import JSON_MOST, STRANGERS_MOST, BodyLimit
from hotline.organisation import Person
from hotline.people import sessions
from hotline.settings import Settings
from tests.api.conftest import Api, Opened
from tests.api.refusals import problem
from tests.api.shielding import check_headers

# --- headers -----------------------------------------------------------------------------------------------------------


def every_route(api: Api) -> Iterator[tuple[str, str]]:
    for path, item in api.client.get("/api/v1/openapi.json").json()["paths"].items():
        for method in item:
            ended = "?seconds=0" if path.endswith("/live") else ""  # a stream that else goes on
            yield method.upper(), re.sub(r"\{[^}]+\}", "1", path) + ended


@pytest.mark.timeout(1200)  # every route, four times
def test_every_route_answers_everybody_with_the_headers(api: Api) -> None:
    asked = Counter[int]()
    for method, path in every_route(api):
        for login in (None, "agent", "supervisor", "ZJJ"):
            headers = api.headers(login) if login else {}
            answer = api.client.request(method, path, headers=headers, json={}, follow_redirects=False)
            asked[answer.status_code] += 1
            check_headers(answer)
    assert sum(asked.values()) > 200
    assert {200, 401, 403, 404, 422} <= set(asked)
    assert max(asked) < 500


def test_so_do_pages_probes_absent_addresses_wrong_methods_and_failures(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path, status in (
        ("/", 307),
        ("/console/", 200),
        ("/healthz", 200),
        ("/readyz", 200),
        ("/api/v1/openapi.json", 200),
        ("/nothing", 404),
        ("/api/v1/nothing", 404),
        ("/api/v1/tickets/", 404),
        ("//api/v1/me", 404),
        ("/api/v1/../v1/me%2e%2e", 404),
        ("/docs", 404),
        ("/redoc", 404),
    ):
        answer = api.client.get(path, follow_redirects=False)
        assert answer.status_code == status, path
        check_headers(answer)
    for link in ("/q/3kTMd0hC0b1uVZ0y8q2wXg", "/q/", "/q/a/b"):
        answer = api.client.get(link)
        assert answer.headers["content-type"].startswith("text/html"), link
        assert answer.headers["x-robots-tag"] == "noindex"
        check_headers(answer)  # a link's address goes to nobody, the page is kept nowhere
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "HEAD"):
        answer = api.client.request(method, "/api/v1/tickets", headers={"Origin": "https://evil.example"})
        assert answer.status_code == 405, method
        check_headers(answer)
    huge = api.client.post("/api/v1/tickets", headers={"Content-Length": str(10**12)}, content=b"x")
    assert problem(huge, 413, "too_large")
    check_headers(huge)
    monkeypatch.setattr("api.wiring.identify", lambda *_: 1 / 0)
    failed = api.get("/me", "agent")
    assert problem(failed, 500, "internal")
    check_headers(failed)


def test_a_routes_own_headers_win(api: Api) -> None:
    number = api.take()
    answer = api.get(f"/tickets/{number}", "agent")
    assert answer.headers["cache-control"] == "private, no-store"


def test_what_is_unchanged_keeps_the_policy_it_came_with(api: Api) -> None:
    whole = api.get("/areas", "agent")
    unchanged = api.get("/areas", "agent", headers={"If-None-Match": whole.headers["etag"]})
    assert unchanged.status_code == 304
    assert "content-security-policy" not in unchanged.headers
    assert unchanged.headers["x-content-type-options"] == "nosniff"


def test_a_page_may_not_hold_scripts_in_its_text(api: Api) -> None:
    for path in ("/", "/?error=state"):
        page = api.client.get(path)
        assert "'unsafe-inline'" not in page.headers["content-security-policy"]
        inline = r"<script(?![^>]*\ssrc=)|<style|\son\w+=|javascript:|style="
        assert not re.search(inline, page.text, re.IGNORECASE)


def test_the_page_repeats_nothing_of_the_request(api: Api) -> None:
    for path in ("/?evil<i>", "/?error=evil<i>"):
        answer = api.client.get(path, headers={"X-Forwarded-Host": "evil.example", "Referer": "evil.example"})
        assert "evil" not in answer.text + str(answer.url.host) + str(answer.headers)
        assert "<i>" not in answer.text


def behind(base_url: str = "http://testserver", **settings: Any) -> TestClient:
    """A client of the shield with nothing much behind it."""
    return TestClient(shield.Shield(PlainTextResponse("there"), Settings(**settings)), base_url=base_url)


@pytest.mark.parametrize(
    ("public_url", "base_url", "there"),
    [
        (None, "http://testserver", False),
        (None, "https://testserver", True),
        ("http://testserver", "http://testserver", False),
        ("https://testserver", "http://testserver", True),
    ],
)
def test_encryption_is_demanded_where_there_is_one(
    public_url: str | None, base_url: str, there: bool
) -> None:
    answer = behind(base_url, public_url=public_url).get("/")
    assert answer.text == "there"
    assert ("strict-transport-security" in answer.headers) is there
    if there:
        assert "max-age=31536000" in answer.headers["strict-transport-security"]


# --- whose name is answered --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        ("12345.example.gov.cn", True),
        ("12345.EXAMPLE.gov.cn:443", True),
        ("127.0.0.1:12345", True),
        ("localhost", True),
        ("[::1]:12345", True),
        ("evil.example", False),
        ("12345.example.gov.cn.evil.example", False),
        ("evil.example:12345.example.gov.cn", False),
        ("12345.example.gov.cn@evil.example", False),
        ("12345.example.gov.cn/..", False),
        ("", False),
        ("<script>", False),
    ],
)
def test_only_its_own_name_is_answered(host: str, answered: bool) -> None:
    client = behind(public_url="https://12345.example.gov.cn")
    answer = client.get("/api/v1/me", headers={"Host": host})
    if answered:
        assert answer.text == "there"
    else:
        assert problem(answer, 400, "bad_header")["field"] == "Host"
        check_headers(answer)
    assert client.get("/healthz", headers={"Host": host}).text == "there"


def test_two_hosts_are_none(api: Api) -> None:
    answer = api.client.get("/api/v1/me", headers=[("Host", "testserver"), ("Host", "evil.example")])
    assert problem(answer, 400, "bad_header")["field"] == "Host"


# --- bodies ------------------------------------------------------------------------------------------------------------


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def reads(_scope: Any, receive: Any, _send: Any) -> None:
        while (await receive()).get("more_body"):
            pass

    async def run(parts: list[float], **limits: float) -> list[Any]:
        sent: list[Any] = []

        async def receive() -> Any:
            if parts:
                await asyncio.sleep(parts.pop(0))
                return {"type": "http.request", "body": b"x", "more_body": True}
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"content-length", b"1000"), (b"cookie", b"x")]
        scope = {"type": "http", "method": "POST", "path": "/", "headers": headers}
        await BodyLimit(reads, 1000, **limits)(scope, receive, send)
        return sent

    paused = asyncio.run(run([0.0, 5.0], pause=0.05))
    assert paused[0]["status"] == 408
    dripping = asyncio.run(run([0.02] * 100, pause=1.0, within=0.2))
    assert dripping[0]["status"] == 408
    assert asyncio.run(run([0.0, 0.01], pause=1.0)) == []


def endless(most: int) -> Iterator[bytes]:
    for _ in range(most // 65536 + 2):
        yield b"x" * 65536


def test_a_body_without_a_length_is_counted(api: Api) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    most = Settings().attachment_max_bytes + 1024 * 1024
    for headers, limit, told in (
        ({}, STRANGERS_MOST, "64 KB"),
        (form, STRANGERS_MOST, "64 KB"),
        (api.headers("agent"), JSON_MOST, "4 MB"),
        (api.headers("agent") | form, most, "21 MB"),
    ):
        path = (
            "/api/v1/tickets/012603020000015/attachments" if "Content-Type" in headers else "/api/v1/tickets"
        )
        for content in (endless(limit), b"x" * (limit + 1)):
            answer = api.client.post(path, headers=headers, content=content)
            assert told in problem(answer, 413, "too_large")["detail"]
            check_headers(answer)
    problem(api.client.post("/api/v1/tickets", content=b"x" * STRANGERS_MOST), 401)


def test_a_cookie_a_neighbouring_host_may_have_planted_is_not_looked_at(opened: Opened) -> None:
    api = opened(base_url="https://12345.example.gov.cn")
    with Session(api.world.engine) as session:
        person = session.get_one(Person, api.world.people["agent"])
        cookie = sessions.open_session(session, person, method="oidc", at=api.now, settings=Settings())
        session.commit()
    own = api.client.get("/api/v1/me", headers={"Cookie": f"__Host-hotline={cookie}"})
    assert own.status_code == 200, own.text
    problem(api.client.get("/api/v1/me", headers={"Cookie": f"hotline={cookie}"}), 401)
    both = api.client.get("/api/v1/me", headers={"Cookie": f"hotline=planted; __Host-hotline={cookie}"})
    assert both.status_code == 200
