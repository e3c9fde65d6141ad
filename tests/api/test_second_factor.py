"""The second factor as a browser meets it: bound, asked for, guessed at, replaced."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pyotp

from tests.api.browser import NEW, SECRET, Browser, credential_of
from tests.api.conftest import Api
from tests.api.refusals import problem
from tests.api.tables import dump


def test_a_supervisor_binds_a_second_factor_before_anything_else(api: Api, browser: Browser) -> None:
    assert browser.sign_in("supervisor").json()["owed"] == "enrolment"
    problem(browser.get("/tickets"), 403, "sign_in_unfinished")
    told = browser.post("/session/totp").json()
    assert told["uri"].startswith("otpauth://totp/")
    assert told["qr_svg"].lstrip().startswith("<svg")
    totp, before = pyotp.TOTP(told["secret"]), browser.cookie
    problem(browser.post("/session/totp/confirm", {"code": "000000"}), 401, "sign_in_failed")
    done = browser.post("/session/totp/confirm", {"code": totp.at(api.now)}).json()
    assert done["session"]["owed"] is None
    assert len(set(done["recovery_codes"])) == 10
    assert browser.cookie != before
    assert browser.get("/tickets").status_code == 200
    kept = dump(api.world.engine)
    assert told["secret"] not in kept
    assert told["secret"].encode() not in (credential_of(api, "supervisor").totp_secret or b"")
    assert not any(code in kept or code.replace("-", "") in kept for code in done["recovery_codes"])


def test_a_code_finishes_a_sign_in_once_and_under_a_new_cookie(api: Api, browser: Browser) -> None:
    browser.sign_in("supervisor")
    totp, _ = browser.enrol()
    api.at("2026-03-02 10:00")
    later = Browser(api)
    assert later.sign_in("supervisor").json()["owed"] == "second_factor"
    before = later.cookie
    for path, body in (
        ("/session/password", {"current": SECRET, "new": NEW}),
        ("/session/totp", {"code": totp.at(api.now)}),
    ):
        problem(later.post(path, body), 409, "out_of_turn")
    problem(later.get("/tickets"), 403, "sign_in_unfinished")
    done = later.post("/session/second-factor", {"code": totp.at(api.now)})
    assert done.json()["owed"] is None
    assert done.json()["second_factor"] is True
    assert later.cookie != before
    stolen = Browser(api)
    stolen.client.cookies.set("hotline", before or "")
    problem(stolen.get("/session"), 401)
    assert stolen.sign_in("supervisor", code=totp.at(api.now)).status_code == 401  # spent
    problem(later.post("/session/second-factor", {"code": totp.at(api.now)}), 409, "out_of_turn")
    api.at("2026-03-02 10:01")
    assert stolen.sign_in("supervisor", code=totp.at(api.now)).json()["owed"] is None


def test_a_code_is_good_a_step_early_or_late_but_not_two(api: Api, browser: Browser) -> None:
    browser.sign_in("supervisor")
    totp, _ = browser.enrol()
    api.at("2026-03-02 11:00")
    for steps, good in ((-2, False), (2, False), (-1, True), (1, True)):
        code = totp.at(api.now + timedelta(seconds=30 * steps))
        assert (Browser(api).sign_in("supervisor", code=code).status_code == 200) is good, steps
        api.now = api.now.replace(minute=api.now.minute + 10)


def test_a_recovery_code_is_good_once_however_it_is_written(api: Api, browser: Browser) -> None:
    browser.sign_in("supervisor")
    _, codes = browser.enrol()
    assert Browser(api).sign_in("supervisor", code=codes[0].lower().replace("-", "")).json()["owed"] is None
    assert Browser(api).sign_in("supervisor", code=codes[0]).status_code == 401
    other = Browser(api)
    other.sign_in("supervisor")
    assert other.post("/session/second-factor", {"code": codes[9]}).json()["owed"] is None
    assert len(credential_of(api, "supervisor").recovery_digests) == 8


def test_codes_cannot_be_guessed_by_somebody_who_knows_the_password(api: Api, browser: Browser) -> None:
    browser.sign_in("supervisor")
    browser.enrol()
    thief = Browser(api)
    for turn in range(5):
        if turn % 2:
            problem(thief.sign_in("supervisor", code="000000"), 401, "sign_in_failed")
        else:
            assert thief.sign_in("supervisor").json()["owed"] == "second_factor"
            problem(thief.post("/session/second-factor", {"code": "000000"}), 401, "sign_in_failed")
    problem(thief.sign_in("supervisor"), 429, "locked_out")


def test_two_browsers_with_one_code_are_one_sign_in(api: Api, browser: Browser) -> None:
    browser.sign_in("supervisor")
    totp, _ = browser.enrol()
    api.at("2026-03-02 12:00")
    both = [Browser(api), Browser(api)]
    for each in both:
        each.sign_in("supervisor")
    with ThreadPoolExecutor(2) as pool:
        answers = list(
            pool.map(lambda b: b.post("/session/second-factor", {"code": totp.at(api.now)}).status_code, both)
        )
    assert sorted(answers) == [200, 401]


def test_another_phone_is_bound_with_a_code_of_the_first(api: Api, browser: Browser) -> None:
    browser.sign_in("supervisor")
    _, codes = browser.enrol()
    problem(browser.post("/session/totp"), 409, "out_of_turn")
    problem(browser.post("/session/totp", {"code": "000000"}), 401)
    assert browser.post("/session/totp", {"code": codes[3]}).status_code == 200
    assert (
        browser.get("/session").json()["owed"] == "enrolment"
    )  # the first is gone until the second is confirmed
