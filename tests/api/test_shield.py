"""The shield: every answer's headers, whose name is answered, how large and slow a body may be, how often somebody may ask."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import select
from sqlmodel import Session, col
from starlette.responses import PlainTextResponse

from api import shield
from api.bodies import JSON_MOST, STRANGERS_MOST, BodyLimit
from api.main import create_app
from api.wiring import Runtime
from hotline.access import Actor
from hotline.auditing.trail import AuditEntry
from hotline.organisation import Person
from hotline.people import accounts, sessions
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import Api
from tests.api.test_errors import problem
from workflow.vocabulary import AuditKind, Role

NOW = w.china("2026-03-02 09:00")
Opened = Callable[..., Api]


@pytest.fixture
def opened(world: w.World, tmp_path: Path) -> Iterator[Opened]:
    """Opens the real app with these settings."""
    clients: list[TestClient] = []

    def open_with(
        *, base_url: str = "http://testserver", address: str = "198.51.100.1", **settings: Any
    ) -> Api:
        runtime = Runtime(Settings(data_dir=tmp_path, **settings), world.engine, world.office, lambda: NOW)
        client = TestClient(
            create_app(runtime), raise_server_exceptions=False, base_url=base_url, client=(address, 40000)
        )
        clients.append(client.__enter__())
        return Api(client, world)

    yield open_with
    for client in clients:
        client.__exit__(None, None, None)


def from_address(api: Api, address: str) -> Api:
    """The same app, asked from another address."""
    return Api(TestClient(api.client.app, raise_server_exceptions=False, client=(address, 40000)), api.world)


# --- headers -----------------------------------------------------------------------------------------------------------

EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


KEPT = {f"/api/v1/{words}": "no-" for words in ("areas", "categories", "units")} | {"/console/": "no-cache"}
"""What a browser may keep if it asks each time whether it is still so: public words, the console's page."""


def check_headers(answer: Any) -> None:
    headers = answer.headers
    for name, value in EVERYWHERE.items():
        assert headers.get_list(name) == [value], (answer.request.url, name)
    policy = headers["content-security-policy"]
    assert len(headers.get_list("content-security-policy")) == 1
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    if headers.get("content-type", "").startswith("text/html"):
        assert "default-src 'self'" in policy
        assert "fullscreen=(self)" in headers["permissions-policy"]  # the board on the wall
    else:
        assert "default-src 'none'" in policy
        assert "fullscreen=()" in headers["permissions-policy"]
    assert KEPT.get(answer.request.url.path, "no-store") in headers["cache-control"]
    for feature in ("microphone", "camera", "geolocation", "payment", "usb", "display-capture"):
        assert f"{feature}=()" in headers["permissions-policy"]
    assert not [name for name in headers if name.startswith("access-control-")]
    assert "server" not in headers
    assert "x-powered-by" not in headers


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
        cookie = sessions.open_session(session, person, method="oidc", at=NOW, settings=Settings())
        session.commit()
    own = api.client.get("/api/v1/me", headers={"Cookie": f"__Host-hotline={cookie}"})
    assert own.status_code == 200, own.text
    problem(api.client.get("/api/v1/me", headers={"Cookie": f"hotline={cookie}"}), 401)
    both = api.client.get("/api/v1/me", headers={"Cookie": f"hotline=planted; __Host-hotline={cookie}"})
    assert both.status_code == 200


# --- how often ---------------------------------------------------------------------------------------------------------


class Seconds:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def actor(number: int = 1, kind: str = "person") -> Actor:
    return Actor(kind, number, "测试", frozenset({Role.AGENT}))


def gate(clock: Seconds, most: int = 1000, **settings: Any) -> shield.Gate:
    return shield.Gate(Settings(**settings), clock, most)


def wait_of(ask: Callable[[], None]) -> int:
    with pytest.raises(shield.TooManyRequests) as caught:
        ask()
    assert str(caught.value.extra["retry_after"]) in caught.value.message
    return int(caught.value.extra["retry_after"])


@pytest.mark.parametrize("start", [0.0, 1.0, 29.5, 59.9])
def test_after_the_wait_that_is_told_one_more_fits(start: float) -> None:
    clock = Seconds()
    clock.now = 1_000_020.0 + start
    doorman = gate(clock, requests_per_minute=100)
    for _ in range(100):
        doorman.check_actor(actor())
    wait = wait_of(lambda: doorman.check_actor(actor()))
    assert 1 <= wait <= 120
    clock.now += max(0, wait - 2)
    if wait > 2:
        wait_of(lambda: doorman.check_actor(actor()))
    clock.now += 2
    doorman.check_actor(actor())


def test_a_window_slides_and_does_not_let_twice_as_much_through_at_its_border() -> None:
    clock = Seconds()
    clock.now = 1_000_019.9  # a tenth of a second before a border
    doorman = gate(clock, requests_per_minute=100)
    through = 0
    for _ in range(40):
        clock.now += 0.05
        for _ in range(50):
            try:
                doorman.check_actor(actor())
            except shield.TooManyRequests:
                continue
            through += 1
    assert 100 <= through <= 106


def test_everybody_has_a_count_of_their_own() -> None:
    doorman = gate(Seconds(), requests_per_minute=10, machine_requests_per_minute=20)
    for _ in range(10):
        doorman.check_actor(actor(1))
        doorman.check_actor(actor(2))
    for who in (actor(1), actor(2)):
        wait_of(lambda who=who: doorman.check_actor(who))  # type: ignore[misc]
    for _ in range(20):
        doorman.check_actor(actor(1, "unit_machine"))
    wait_of(lambda: doorman.check_actor(actor(1, "unit_machine")))
    doorman.check_actor(actor(1, "platform_machine"))


def test_four_hundred_acts_a_second_of_one_machine_pass_by_default() -> None:
    clock = Seconds()
    doorman = gate(clock)
    for _ in range(5 * 60):
        for _ in range(400):
            doorman.check_actor(actor(1, "platform_machine"))
        clock.now += 1


def test_memory_has_an_end() -> None:
    doorman = gate(Seconds(), most=100, failures_per_address=5)
    for _ in range(5):
        doorman.failed("203.0.113.9")
    for n in range(5000):
        doorman.failed(f"198.51.{n // 250}.{n % 250}")
        doorman.passed(f"token {n}")
        doorman.failed(None, stale=f"token {n}")
    assert len(doorman._address.counters.windows) == 100
    assert len(doorman._stale.counters.windows) == 100
    assert len(doorman._known) <= shield.MOST_KNOWN
    doorman.check_address("203.0.113.9")  # forgotten: that is what a bound costs


def test_failures_of_an_ipv6_customer_count_together() -> None:
    assert shield.network_of("2001:db8:1:2:aaaa::1") == shield.network_of("2001:db8:1:2:bbbb::9")
    assert shield.network_of("2001:db8:1:2::1") != shield.network_of("2001:db8:1:3::1")
    assert shield.network_of("::ffff:198.51.100.1") == "198.51.100.1"
    assert shield.network_of("fe80::1%eth0") == shield.network_of("fe80::2")
    assert shield.network_of(None) == "unknown"
    assert shield.network_of("::x") == "::x"


def test_threads_together_get_no_more_than_one_alone() -> None:
    doorman = gate(Seconds(), requests_per_minute=1000, failures_per_address=50)

    def ask(_: int) -> int:
        through = 0
        for _ in range(500):
            try:
                doorman.check_actor(actor())
            except shield.TooManyRequests:
                continue
            through += 1
        return through

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(ask, range(16))) == 1000


def test_too_much_is_told_with_the_wait_and_recorded_once(opened: Opened) -> None:
    api = opened(requests_per_minute=10)
    answers = [api.get("/me", "agent") for _ in range(10)]
    while (
        answers[-1].status_code == 200 and len(answers) < 40
    ):  # on a slow machine the window slides meanwhile
        answers.append(api.get("/me", "agent"))
    assert [a.status_code for a in answers[:10]] == [200] * 10
    body = problem(answers[-1], 429, "too_many_requests")
    assert "秒" in body["detail"]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 120
    assert int(answers[-1].headers["retry-after"]) == body["retry_after"]
    check_headers(answers[-1])
    assert api.get("/me", "agent2").status_code == 200
    assert refusals(api, "too_many_requests") == 1


def refusals(api: Api, code: str) -> int:
    with Session(api.world.engine) as session:
        refused = session.execute(select(AuditEntry).where(col(AuditEntry.kind) == AuditKind.REFUSED))
        return sum(entry.what["code"] == code for entry in refused.scalars())


def guess(api: Api, number: int) -> Any:
    return api.client.get("/api/v1/me", headers={"Authorization": f"Bearer guess-{number}"})


def test_an_address_that_guesses_is_refused_without_asking_the_database(
    opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = opened(failures_per_address=5)
    assert api.get("/me", "agent").status_code == 200
    assert [guess(api, n).status_code for n in range(7)] == [401] * 5 + [429] * 2
    assert refusals(api, "unauthenticated") == 5
    assert refusals(api, "too_many_requests") == 1
    # who was at work here goes on; who is correct elsewhere too; a stranger's token from here must wait
    assert api.get("/me", "agent").status_code == 200
    assert from_address(api, "203.0.113.7").get("/me", "reviewer").status_code == 200
    problem(api.get("/me", "dispatcher"), 429)
    monkeypatch.setattr("api.wiring.identify", lambda *_: 1 / 0)
    problem(guess(api, 8), 429)


def test_requests_without_credentials_are_no_guesses(opened: Opened) -> None:
    api = opened(failures_per_address=5)
    assert {api.client.get("/api/v1/me").status_code for _ in range(20)} == {401}
    assert api.get("/me", "agent").status_code == 200


def test_a_hundred_expired_sessions_behind_one_address_shut_nobody_out(opened: Opened) -> None:
    """08:30: every agent's browser still shows yesterday's cookie."""
    api = opened(failures_per_address=5)
    with Session(api.world.engine) as session:
        person = session.get_one(Person, api.world.people["agent"])
        long_ago = w.china("2026-03-01 08:30")
        cookies = [
            sessions.open_session(session, person, method="password", at=long_ago, settings=Settings())
            for _ in range(100)
        ]
        token = accounts.issue_token(session, label="old", at=long_ago, person=person, expires_at=long_ago)
        session.commit()
    for cookie in cookies:
        problem(api.client.get("/api/v1/me", headers={"Cookie": f"hotline={cookie}"}), 401)
    assert api.get("/me", "agent2").status_code == 200
    # but one and the same worthless credential does not ask for ever
    answers = [api.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"}) for _ in range(8)]
    assert [a.status_code for a in answers] == [401] * 5 + [429] * 3
    assert api.get("/me", "reviewer").status_code == 200


def test_failures_from_many_threads_are_all_counted(opened: Opened) -> None:
    api = opened(failures_per_address=20)
    with ThreadPoolExecutor(8) as pool:
        answers = Counter(a.status_code for a in pool.map(lambda n: guess(api, n), range(60)))
    assert set(answers) == {401, 429}
    assert 20 <= answers[401] <= 20 + 8  # those already past the gate when the last one fell
    problem(guess(api, 61), 429)


def test_every_operation_says_that_it_may_refuse_so(api: Api) -> None:
    for item in api.client.get("/api/v1/openapi.json").json()["paths"].values():
        for operation in item.values():
            assert "429" in operation["responses"], operation["operationId"]


def test_the_counters_serve_the_librarys_fixed_windows_too() -> None:
    clock = [100.0]
    counters = shield._Counters(lambda: clock[0], most=2)
    fixed = FixedWindowRateLimiter(counters)
    item = RateLimitItemPerMinute(2)
    assert [fixed.hit(item, "one") for _ in range(3)] == [True, True, False]
    assert counters.get_expiry(item.key_for("one")) == 120.0
    clock[0] = 121.0
    assert fixed.hit(item, "one")
    for name in ("two", "three"):
        fixed.hit(item, name)
    assert counters.get(item.key_for("one")) == 0, "the least used key made room"
