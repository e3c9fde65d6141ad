"""Signing in and out as a browser does: passwords, cookies, forged pages, and what an attacker would try."""

import hashlib
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlmodel import Session, col

from hotline.auditing.trail import AuditEntry
from hotline.organisation import OrgUnit, Person
from hotline.people.identity import Credential, LoginSession
from tests.api.browser import NEW, SECRET, Browser, credential_of, give_password
from tests.api.conftest import Api
from tests.api.refusals import problem
from tests.api.tables import dump, fingerprint
from workflow.vocabulary import AuditKind


def audited(api: Api, kind: AuditKind) -> list[dict[str, Any]]:
    with Session(api.world.engine) as session:
        rows = session.execute(
            select(AuditEntry).where(col(AuditEntry.kind) == kind).order_by(col(AuditEntry.at))
        )
        return [row.what | {"actor": row.actor_name} for row in rows.scalars()]


# --- in and out --------------------------------------------------------------------------------------------------------


def test_a_password_opens_a_session_and_leaving_ends_it(api: Api, browser: Browser) -> None:
    told = browser.sign_in("agent")
    assert told.status_code == 200
    assert {k: told.json()[k] for k in ("login", "roles", "platform", "unit", "owed")} == {
        "login": "agent",
        "roles": ["agent"],
        "platform": "01",
        "unit": None,
        "owed": None,
    }
    assert told.headers["cache-control"] == "no-store"
    assert browser.get("/tickets").status_code == 200
    assert browser.get("/session").json() == told.json()
    cookie = browser.cookie
    assert browser.delete("/session").status_code == 204
    assert browser.cookie is None
    browser.client.cookies.set("hotline", cookie or "")
    problem(browser.get("/tickets"), 401, "unauthenticated")
    assert [row["login"] for row in audited(api, AuditKind.SIGNED_IN)] == ["agent"]
    assert len(audited(api, AuditKind.SIGNED_OUT)) == 1


def test_the_cookie_is_closed_to_scripts_and_other_sites_and_bound_to_the_host(
    api: Api, browser: Browser
) -> None:
    flags = browser.sign_in("agent").headers["set-cookie"]
    assert flags.startswith("hotline=")
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Max-Age=43200"} <= set(flags.split("; "))
    browser.client.base_url = "https://12345.example.gov.cn"
    flags = browser.sign_in("agent").headers["set-cookie"]
    assert flags.startswith("__Host-hotline=")
    assert {"HttpOnly", "Secure", "Path=/", "SameSite=lax"} <= set(flags.split("; "))
    assert "Domain" not in flags


def test_the_database_keeps_of_cookie_and_password_only_digests(api: Api, browser: Browser) -> None:
    browser.sign_in("agent")
    assert browser.cookie
    kept = dump(api.world.engine)
    assert browser.cookie not in kept
    assert SECRET not in kept
    assert (browser.csrf or "?") not in kept
    with Session(api.world.engine) as session:
        row = session.execute(select(LoginSession)).scalar_one()
    assert row.digest == hashlib.sha256(browser.cookie.encode()).digest()
    assert (credential_of(api, "agent").password_hash or "").startswith("$argon2id$")


def test_an_unknown_login_a_wrong_password_and_somebody_who_left_hear_the_same(
    api: Api, browser: Browser
) -> None:
    with Session(api.world.engine) as session:
        session.execute(update(Person).where(col(Person.login) == "ZJJ").values(active=False))
        session.commit()
    answers = [
        browser.sign_in("nobody"),
        browser.sign_in("agent", "Wrong-password-1"),
        browser.sign_in("dispatcher"),  # has no password at all
        browser.sign_in("ZJJ"),  # the right one, but gone
    ]
    assert len({answer.text for answer in answers}) == 1
    problem(answers[0], 401, "sign_in_failed")
    reasons = audited(api, AuditKind.SIGN_IN_FAILED)
    assert [row["reason"] for row in reasons] == ["password", "password", "password", "inactive"]
    assert "nobody" not in str(reasons)
    assert "Wrong-password-1" not in dump(api.world.engine)


def test_an_unknown_login_takes_as_long_as_a_wrong_password(api: Api, browser: Browser) -> None:
    def seconds(login: str) -> float:
        began = time.perf_counter()
        browser.sign_in(login, "Wrong-password-1")
        return time.perf_counter() - began

    seconds("warm")
    known, unknown = [], []
    for turn in range(4):
        known.append(seconds(("agent", "supervisor", "ZJJ", "agent")[turn]))
        unknown.append(seconds(f"nobody{turn}"))
    assert statistics.median(unknown) > 0.5 * statistics.median(known)
    assert min(unknown) > 0.01  # a hash was computed


def test_a_unit_that_is_closed_has_no_sign_ins_and_no_sessions(api: Api, browser: Browser) -> None:
    assert browser.sign_in("ZJJ").status_code == 200
    with Session(api.world.engine) as session:
        session.execute(update(OrgUnit).where(col(OrgUnit.code) == "ZJJ").values(active=False))
        session.commit()
    problem(browser.get("/session"), 401, "unauthenticated")
    problem(Browser(api).sign_in("ZJJ"), 401, "sign_in_failed")


def test_a_session_ends_by_idling_by_age_and_when_its_person_leaves(api: Api, browser: Browser) -> None:
    browser.sign_in("agent")
    api.at("2026-03-02 09:29")
    assert browser.get("/session").status_code == 200
    api.at("2026-03-02 09:58")
    assert browser.get("/session").status_code == 200
    api.at("2026-03-02 10:28")
    problem(browser.get("/session"), 401)
    browser.sign_in("agent")
    for _ in range(28):
        api.now += timedelta(minutes=25)
        assert browser.get("/session").status_code == 200
    api.at("2026-03-02 22:27")
    assert browser.get("/session").status_code == 200
    api.at("2026-03-02 22:28")
    problem(browser.get("/session"), 401)
    browser.sign_in("agent")
    with Session(api.world.engine) as session:
        session.execute(update(Person).where(col(Person.login) == "agent").values(active=False))
        session.commit()
    problem(browser.get("/session"), 401)


def test_signing_in_again_ends_the_session_the_browser_had(api: Api, browser: Browser) -> None:
    browser.sign_in("agent")
    first = browser.cookie
    browser.sign_in("agent")
    assert browser.cookie != first
    thief = Browser(api)
    thief.client.cookies.set("hotline", first or "")
    problem(thief.get("/session"), 401)


def test_a_planted_cookie_never_becomes_a_session(api: Api, browser: Browser) -> None:
    browser.client.cookies.set("hotline", "planted-by-an-attacker", domain="testserver.local", path="/")
    assert browser.sign_in("agent").status_code == 200
    assert browser.cookie != "planted-by-an-attacker"
    attacker = Browser(api)
    attacker.client.cookies.set("hotline", "planted-by-an-attacker")
    problem(attacker.get("/session"), 401)


def test_own_sessions_are_listed_and_ended_one_by_one_but_not_anothers(api: Api, browser: Browser) -> None:
    browser.sign_in("agent")
    other = Browser(api)
    other.client.headers["user-agent"] = "another desk"
    other.sign_in("agent")
    stranger = Browser(api)
    stranger.sign_in("ZJJ")
    lines = browser.get("/sessions").json()
    assert [(line["user_agent"], line["current"]) for line in lines] == [
        ("another desk", False),
        ("testclient", True),
    ]
    problem(stranger.delete(f"/sessions/{lines[0]['id']}"), 404, "not_found")
    assert other.get("/session").status_code == 200
    assert browser.delete(f"/sessions/{lines[0]['id']}").status_code == 204
    problem(other.get("/session"), 401)
    problem(browser.delete(f"/sessions/{lines[0]['id']}"), 404)


def test_a_token_is_no_session(api: Api) -> None:
    for method, path, body in (
        ("GET", "/session", None),
        ("DELETE", "/session", None),
        ("GET", "/sessions", None),
        ("POST", "/session/totp", {}),
        ("POST", "/session/password", {"current": SECRET, "new": NEW}),
    ):
        answer = api.client.request(method, f"/api/v1{path}", headers=api.headers("agent"), json=body)
        problem(answer, 409, "session_needed")


# --- forged pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-CSRF-Token": "wrong"},
        {"X-CSRF-Token": "OWN", "Origin": "https://evil.example"},
        {"X-CSRF-Token": "OWN", "Origin": "null"},
        {"X-CSRF-Token": "OWN", "Sec-Fetch-Site": "cross-site"},
        {"X-CSRF-Token": "OWN", "Sec-Fetch-Site": "same-site"},
        {"X-CSRF-Token": "ANOTHERS"},
    ],
    ids=str,
)
def test_a_forged_request_changes_nothing(api: Api, browser: Browser, headers: dict[str, str]) -> None:
    browser.sign_in("agent")
    other = Browser(api)
    other.sign_in("ZJJ")
    tokens = {"OWN": browser.csrf or "", "ANOTHERS": other.csrf or ""}
    sent = {name: tokens.get(value, value) for name, value in headers.items()}
    before = fingerprint(api.world.engine)
    for method, path, body in (
        ("POST", "/session/password", {"current": SECRET, "new": NEW}),
        ("POST", "/tickets", {}),
        ("DELETE", "/session", None),
    ):
        answer = browser.client.request(method, f"/api/v1{path}", headers=sent, json=body)
        problem(answer, 403, "forged_request")
    assert fingerprint(api.world.engine) == before
    own = {"X-CSRF-Token": tokens["OWN"], "Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    body = {"current": SECRET, "new": NEW}
    assert browser.client.post("/api/v1/session/password", headers=own, json=body).status_code == 200


def test_a_page_elsewhere_cannot_sign_a_browser_in(api: Api, browser: Browser) -> None:
    body = {"login": "agent", "password": SECRET}
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        problem(browser.client.post("/api/v1/session", json=body, headers=headers), 403, "forged_request")
    form = browser.client.post("/api/v1/session", data=body)
    assert form.status_code == 422
    assert browser.cookie is None


# --- lock-out ----------------------------------------------------------------------------------------------------------


def fail(browser: Browser, login: str = "agent") -> Any:
    return browser.sign_in(login, "Wrong-password-1")


@pytest.mark.parametrize("login", ["agent", "nobody-at-all"])
def test_from_the_fifth_failure_on_one_waits_ever_longer(api: Api, browser: Browser, login: str) -> None:
    at = api.now
    for _ in range(4):
        problem(fail(browser, login), 401, "sign_in_failed")
    wait = 60
    for _ in range(9):
        assert "锁定" in problem(fail(browser, login), 401, "sign_in_failed")["detail"]
        told = problem(browser.sign_in(login), 429, "locked_out")
        assert told["retry_after"] == wait
        assert browser.sign_in(login).headers["retry-after"] == str(wait)
        at = api.now = at + timedelta(seconds=wait - 1)
        problem(browser.sign_in(login), 429, "locked_out")
        at = api.now = at + timedelta(seconds=1)
        wait = min(2 * wait, 3600)


def test_a_success_forgets_the_failures_and_so_does_a_day(api: Api, browser: Browser) -> None:
    for _ in range(4):
        fail(browser)
    assert browser.sign_in("agent").status_code == 200
    for _ in range(4):
        problem(fail(browser), 401)
    api.at("2026-03-03 09:01")
    for _ in range(4):
        problem(fail(browser), 401)
    assert browser.sign_in("agent").status_code == 200


def test_parallel_guesses_count_one_by_one(api: Api, browser: Browser) -> None:
    def guess(number: int) -> int:
        return int(Browser(api).sign_in("agent", f"Wrong-password-{number}").status_code)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(guess, range(12)))
    assert answers.count(401) == 5
    assert answers.count(429) == 7
    problem(browser.sign_in("agent"), 429, "locked_out")


def test_a_parallel_right_guess_does_not_slip_past_the_lock(api: Api, browser: Browser) -> None:
    for _ in range(5):
        fail(browser)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: Browser(api).sign_in("agent").status_code, range(4)))
    assert answers == [429] * 4


# --- passwords ---------------------------------------------------------------------------------------------------------


def test_a_first_password_must_be_changed_before_anything_else(api: Api) -> None:
    give_password(api, "agent", must_change=True)
    browser, other = Browser(api), Browser(api)
    other.sign_in("agent")
    assert browser.sign_in("agent").json()["owed"] == "new_password"
    assert problem(browser.get("/tickets"), 403, "sign_in_unfinished")["owed"] == "new_password"
    problem(browser.post("/session/totp"), 409, "out_of_turn")
    before, csrf = browser.cookie, browser.csrf
    changed = browser.post("/session/password", {"current": SECRET, "new": NEW})
    assert changed.json()["owed"] is None
    assert (browser.cookie, browser.csrf) != (before, csrf)
    assert changed.json()["expires_at"] == browser.get("/session").json()["expires_at"]
    assert browser.get("/tickets").status_code == 200
    problem(other.get("/session"), 401)
    old = Browser(api)
    old.client.cookies.set("hotline", before or "")
    problem(old.get("/session"), 401)
    problem(old.sign_in("agent", SECRET), 401, "sign_in_failed")
    assert old.sign_in("agent", NEW).status_code == 200
    assert audited(api, AuditKind.PASSWORD_CHANGED)[0]["sessions_ended"] == 1


@pytest.mark.parametrize(
    ("new", "said"),
    [
        ("Short-1a", "10"),
        ("alllowercase123", "3 类"),
        ("xAgent-Passes-9", "登录名"),
        ("Admin@123456", "常见"),
        ("Hotline12345!", "常见"),
        (SECRET, "原口令"),
        ("Aa1!" * 60, "200"),
    ],
)
def test_a_new_password_obeys_the_rules(api: Api, browser: Browser, new: str, said: str) -> None:
    browser.sign_in("agent")
    before = fingerprint(api.world.engine)
    answer = browser.post("/session/password", {"current": SECRET, "new": new})
    told = problem(answer, 422)
    assert told["field"] == "new"
    assert new not in answer.text
    if len(new) <= 200:
        assert said in told["detail"]
    assert fingerprint(api.world.engine) == before


def test_a_wrong_current_password_counts_as_a_failure(api: Api, browser: Browser) -> None:
    browser.sign_in("agent")
    for _ in range(5):
        problem(browser.post("/session/password", {"current": "Wrong-password-1", "new": NEW}), 401)
    problem(browser.post("/session/password", {"current": SECRET, "new": NEW}), 429, "locked_out")
    problem(Browser(api).sign_in("agent"), 429, "locked_out")


def test_a_password_ages(api: Api, browser: Browser) -> None:
    api.at("2026-05-31 08:59")
    assert browser.sign_in("agent").json()["owed"] is None
    api.at("2026-05-31 09:00")
    assert browser.sign_in("agent").json()["owed"] == "new_password"


def test_a_hash_of_older_parameters_is_renewed_at_sign_in(api: Api, browser: Browser) -> None:
    from pwdlib.hashers.argon2 import Argon2Hasher

    with Session(api.world.engine) as session:
        row = session.get_one(Credential, api.world.people["agent"])
        row.password_hash = weak = Argon2Hasher(time_cost=1, memory_cost=8192).hash(SECRET)
        session.add(row)
        session.commit()
    assert browser.sign_in("agent").status_code == 200
    renewed = credential_of(api, "agent").password_hash
    assert renewed != weak
    assert "m=65536" in (renewed or "")
    assert browser.sign_in("agent").status_code == 200


# --- what is open to whom --------------------------------------------------------------------------------------------


def test_options_and_the_gate_for_whoever_owes_something(api: Api, browser: Browser) -> None:
    assert Browser(api).get("/session/options").json() == {"password": True, "oidc": None}
    problem(Browser(api).get("/oidc/begin"), 404, "not_found")
    problem(Browser(api).get("/oidc/callback"), 404, "not_found")
    with api.world.engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM sign_in_attempts")).scalar_one() == 0
