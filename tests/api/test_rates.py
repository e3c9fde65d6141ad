"""How often somebody may ask: windows per person and machine, guesses per address, and what those who ask too much are told."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from limits import RateLimitItemPerMinute
from limits.strategies import FixedWindowRateLimiter
from sqlalchemy import select
from sqlmodel import Session, col

from api import shield
from hotline.access import Actor
from hotline.auditing.trail import AuditEntry
from hotline.organisation import Person
from hotline.people import accounts, sessions
from hotline.settings import Settings
from tests import world as w
from tests.api.conftest import Api, Opened
from tests.api.refusals import problem
from tests.api.shielding import check_headers, from_address
from workflow.vocabulary import AuditKind, Role

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
