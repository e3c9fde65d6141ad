"""来电人查询页 on a phone: the link from the ticket's page, the promised day explained, evaluation and objection, nothing lost, nothing told on."""

import re
from collections.abc import Callable
from typing import Final

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.console.conftest import Desks
from tests.console.test_working_desks import Hands

Check = Callable[[Page], None]
PHONE: Final = {"width": 390, "height": 844}
MOST: Final = 40 * 1024
"""Bytes a phone loads before the page stands, as compressed as they are sent."""
LEAST_TARGET: Final = 44
"""CSS pixels of whatever a finger must hit."""


@pytest.fixture
def hands(desks: Desks) -> Hands:
    """Others at work; windows of the tests before are closed."""
    for window in desks.windows:
        window.close()
    desks.windows.clear()
    return Hands(desks)


def link_of(desks: Desks, hands: Hands, number: str) -> str:
    """The path of a ticket's public page."""
    return str(hands.post("agent", f"/tickets/{number}/link", {})["url"]).removeprefix(desks.address)


def on_phone(desks: Desks, path: str, **options: object) -> Page:
    page = desks.window(**({"viewport": PHONE} | options))
    page.goto(path)
    return page


def too_wide(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_the_link_is_read_on_the_tickets_page_and_explains_the_promised_day(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    number, title = hands.dispatched()
    agent = desks.page_of("agent", f"/tickets/{number}")
    panel = agent.get_by_role("region", name="来电人查询链接")
    panel.get_by_role("button", name="显示链接和二维码").click()
    expect(panel.get_by_role("img", name="查询链接的二维码")).to_have_js_property("complete", True)
    assert panel.get_by_role("img").evaluate("image => image.naturalWidth") > 0
    address = panel.get_by_role("textbox", name="链接").input_value()
    assert re.fullmatch(re.escape(desks.address) + r"/q/[\w-]{22}", address)
    no_serious_fault(agent)
    desks.shot(agent, "ticket-link")

    asked: list[Request] = []
    phone = desks.window(viewport=PHONE)
    phone.on("request", lambda request: asked.append(request))
    phone.goto(address)
    expect(phone.get_by_role("heading", level=1)).to_have_text("已转交承办单位")
    expect(phone.locator("main")).to_contain_text(title)
    phone.get_by_text(re.compile(r"^为什么是 \d+ 月 \d+ 日？$")).click()
    days = phone.get_by_role("region", name="最迟答复").get_by_role("listitem")
    expect(days.last).to_contain_text("第 10 个工作日")  # a complaint's
    assert days.filter(has_text=re.compile("第 \\d+ 个工作日")).count() == 10
    assert days.filter(has_text="不计").count() >= 2
    no_serious_fault(phone)
    desks.shot(phone, "citizen-promise")
    token = address.rpartition("/")[2]
    assert {request.url.removeprefix(desks.address).split("/")[1] for request in asked} <= {
        "q",
        "console",
        "api",
    }
    assert not [request for request in asked if token in request.headers.get("referer", "")]
    loaded = phone.evaluate(
        "performance.getEntriesByType('resource').filter(one => one.name.includes('/console/'))"
        ".reduce((sum, one) => sum + one.encodedBodySize, 0)"
    )
    assert 10_000 < loaded <= MOST, loaded
    assert "element-plus" not in phone.content()


def test_a_citizen_reads_the_answer_evaluates_once_and_objects(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    number, _ = hands.verified()
    phone = on_phone(desks, link_of(desks, hands, number))
    expect(phone.get_by_role("region", name="答复")).to_contain_text("已上门维修")
    form = phone.get_by_role("region", name="请您评价")
    form.get_by_role("button", name="提交评价").click()
    expect(form.get_by_role("alert")).to_have_text("请先选一个满意程度。")
    form.get_by_role("radio", name="非常满意").check()
    expect(form.get_by_role("checkbox", name="态度差")).to_have_count(0)
    form.get_by_role("checkbox", name="办理快").check()
    form.get_by_role("textbox").fill("第二天就有人上门。")
    small = phone.evaluate(
        f"[...document.querySelectorAll('button, summary, .choice, .chip, .button')].filter(one =>"
        f" one.offsetParent && one.getBoundingClientRect().height < {LEAST_TARGET}).map(one => one.textContent)"
    )
    assert small == []
    no_serious_fault(phone)
    phone.reload()
    expect(form.get_by_role("radio", name="非常满意")).to_be_checked()
    expect(form.get_by_role("textbox")).to_have_value("第二天就有人上门。")

    lost: list[str] = []

    def cut(route: Route) -> None:
        """The request arrives, its answer does not."""
        lost.append(route.request.headers["idempotency-key"])
        route.fetch()
        route.abort()

    phone.route("**/evaluation", cut)
    form.get_by_role("button", name="提交评价").click()
    expect(form.get_by_role("alert")).to_contain_text("连接不上")
    expect(form.get_by_role("textbox")).to_have_value("第二天就有人上门。")
    phone.unroute("**/evaluation")
    with phone.expect_request("**/evaluation") as again:
        form.get_by_role("button", name="提交评价").click()
    assert [again.value.headers["idempotency-key"]] == lost
    expect(phone.get_by_role("status")).to_have_text("感谢您的评价。")
    expect(phone.get_by_role("region", name="您的评价")).to_contain_text("非常满意：办理快")
    assert phone.evaluate("sessionStorage.length") == 0

    phone.get_by_text("问题没有解决？提出异议").click()
    phone.get_by_role("textbox", name="哪里没有解决").fill("又不热了。")
    phone.get_by_role("button", name="提交异议").click()
    expect(phone.get_by_role("heading", level=1)).to_have_text("已收到您的不满意意见，正在审核是否重新办理")
    expect(phone.get_by_text("您已对本次办理提出异议")).to_be_visible()
    assert hands.state(number) == "dissatisfied"
    desks.shot(phone, "citizen-objected")


def test_it_holds_in_the_dark_enlarged_without_a_line_and_for_a_wrong_link(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    number, _ = hands.verified()
    link = link_of(desks, hands, number)
    dark = on_phone(desks, link, color_scheme="dark", viewport={"width": 360, "height": 740})
    dark.get_by_role("radio", name="非常不满意").check()
    no_serious_fault(dark)
    assert too_wide(dark) <= 0
    dark.evaluate("document.documentElement.style.fontSize = '200%'")
    assert too_wide(dark) <= 0
    desks.shot(dark, "citizen-dark-200")

    dark.context.set_offline(True)
    dark.get_by_role("button", name="查看最新进度").click()
    expect(dark.get_by_role("alert")).to_contain_text("网络不通")
    expect(dark.get_by_role("region", name="答复")).to_be_visible()
    dark.context.set_offline(False)  # it asks again by itself
    expect(dark.get_by_role("alert")).to_have_count(0)

    wrong = on_phone(desks, "/q/" + "A" * 22)
    expect(wrong.get_by_role("heading", level=1)).to_have_text("这个链接打不开")
    expect(wrong.get_by_role("link", name="拨打 12345")).to_be_visible()
    no_serious_fault(wrong)
    renewed = hands.post("agent", f"/tickets/{number}/link", {"renew": True})["url"]
    dark.get_by_role("button", name="查看最新进度").click()
    expect(dark.get_by_role("heading", level=1)).to_have_text("这个链接打不开")
    assert link not in renewed
