"""Coming in: by password, with a first password, with a second factor; what is not open stays shut."""

from collections.abc import Callable

import pyotp
from playwright.sync_api import Page, Route, expect
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.organisation import Person
from hotline.people.identity import Credential
from tests.console.conftest import SECRET, Desks

Check = Callable[[Page], None]


def test_the_address_alone_leads_to_the_form_and_a_password_in(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.window()
    page.goto("/")
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    expect(page.get_by_label("登录名")).to_be_focused()
    no_serious_fault(page)
    desks.shot(page, "sign-in")
    page.keyboard.type("dispatcher")
    page.keyboard.press("Tab")
    page.keyboard.type("wrong-Password-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("不正确")
    expect(page.get_by_label("口令")).to_be_focused()
    page.keyboard.type(SECRET)
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="工作台")).to_be_visible()


def test_what_arrives_late_leaves_the_caret_where_somebody_types(desks: Desks) -> None:
    page = desks.window()
    held: list[Route] = []
    page.route("**/session/options", lambda route: held.append(route))
    page.goto("/console/sign-in")
    page.get_by_label("登录名").fill("dispatcher")
    page.get_by_label("口令").focus()
    page.keyboard.type(SECRET[:4])
    with page.expect_response("**/session/options"):
        held.pop().continue_()
    page.evaluate("() => new Promise(done => setTimeout(done, 100))")
    page.keyboard.type(SECRET[4:])
    page.keyboard.press("Enter")
    page.wait_for_selector("nav.menu")
    page.route("**/api/v1/tickets?*", lambda route: held.append(route))
    page.goto("/console/tickets")
    words = page.get_by_label("标题或内容包含的文字")
    words.wait_for()
    page.keyboard.press("/")
    page.keyboard.type("暖")
    with page.expect_response("**/api/v1/tickets?*"):
        for one in held:
            one.continue_()
    page.evaluate("() => new Promise(done => setTimeout(done, 100))")
    page.keyboard.type("气")
    expect(words).to_have_value("暖气")


def test_the_page_asked_for_comes_after_signing_in(desks: Desks) -> None:
    page = desks.window()
    page.goto("/console/tickets?overdue=1")
    page.get_by_label("登录名").fill("agent")
    page.get_by_label("口令").fill(SECRET)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{desks.address}/console/tickets?overdue=1")


def test_a_first_password_is_changed_before_anything_else(desks: Desks) -> None:
    with Session(desks.world.engine) as session:
        person = session.execute(select(Person).where(col(Person.login) == "agent2")).scalar_one()
        session.get_one(Credential, person.id).must_change = True
        session.commit()
    page = desks.window()
    page.goto("/console/sign-in")
    page.get_by_label("登录名").fill("agent2")
    page.get_by_label("口令").fill(SECRET)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="请设置新口令")).to_be_visible()
    page.get_by_label("新口令").fill("short")
    page.get_by_label("再输一次").fill("other")
    page.get_by_label("新口令").fill("Bq4!zzWWtr99")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("不一致")
    page.get_by_label("再输一次").fill("Bq4!zzWWtr99")
    page.keyboard.press("Enter")
    expect(page.get_by_role("navigation", name="工作台")).to_be_visible()


def test_a_second_factor_once_bound_is_asked_for(desks: Desks) -> None:
    page = desks.page_of("supervisor")
    secret = page.evaluate(
        """async () => {
            const session = await (await fetch('/api/v1/session')).json();
            const answer = await fetch('/api/v1/session/totp', {method: 'POST', body: '{}',
                headers: {'Content-Type': 'application/json', 'X-CSRF-Token': session.csrf}});
            const enrolment = await answer.json();
            window.csrf = session.csrf;
            return enrolment.secret;
        }"""
    )
    page.evaluate(
        """async (code) => fetch('/api/v1/session/totp/confirm', {method: 'POST', body: JSON.stringify({code}),
            headers: {'Content-Type': 'application/json', 'X-CSRF-Token': window.csrf}})""",
        pyotp.TOTP(secret).now(),
    )
    other = desks.window()
    other.goto("/console/sign-in")
    other.get_by_label("登录名").fill("supervisor")
    other.get_by_label("口令").fill(SECRET)
    other.keyboard.press("Enter")
    expect(other.get_by_role("heading", name="输入动态验证码")).to_be_visible()
    with Session(desks.world.engine) as session:  # the code used to bind is not good a second time
        person = session.execute(select(Person).where(col(Person.login) == "supervisor")).scalar_one()
        session.get_one(Credential, person.id).totp_last_step = None
        session.commit()
    other.get_by_label("六位动态验证码").fill(pyotp.TOTP(secret).now())
    other.keyboard.press("Enter")
    expect(other.get_by_role("navigation", name="工作台")).to_be_visible()


def test_whoever_leaves_is_out(desks: Desks) -> None:
    page = desks.page_of("reviewer")
    page.get_by_role("button", name="退出").click()
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
    page.goto("/console/tickets")
    expect(page.get_by_role("heading", name="登录")).to_be_visible()
