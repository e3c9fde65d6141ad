"""帮助: the manual opens at the page of the desk, the tour comes once and by keyboard, and both hold in the dark and at twice the size."""

from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.console.conftest import Desks

Check = Callable[[Page], None]


def test_the_tour_comes_once_and_is_gone_through_by_keyboard(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.page_of("agent", toured=False)
    card = page.locator(".tour [role=dialog]")
    expect(card).to_contain_text("1 / 9")  # every step's thing is on the agent's desk
    expect(page.get_by_role("button", name="下一步")).to_be_focused()
    no_serious_fault(page)
    for step in range(2, 10):
        page.keyboard.press("Enter" if step % 2 else "ArrowRight")
        expect(card).to_contain_text(f"{step} / 9")
    box, screen = card.bounding_box(), page.viewport_size
    assert box is not None
    assert screen is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= screen["width"]
    desks.shot(page, "tour")
    page.keyboard.press("Enter")
    expect(card).to_have_count(0)
    expect(page.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    page.reload()
    expect(page.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    page.wait_for_function("() => performance.now() > 1500")  # it would have begun by now
    expect(card).to_have_count(0)


def test_escape_ends_it_for_good_and_help_begins_it_again(desks: Desks) -> None:
    page = desks.page_of("dispatcher", toured=False)
    card = page.locator(".tour [role=dialog]")
    expect(card).to_be_visible()
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    page.get_by_role("link", name="工单队列").click()
    expect(page.get_by_role("grid", name="工单")).to_be_visible()
    page.keyboard.press("?")
    page.get_by_role("button", name="看本页的引导").click()
    expect(card).to_contain_text("工单队列")
    page.keyboard.press("Escape")
    page.keyboard.press("F4")
    expect(page.get_by_role("tablist", name="派单台的队列")).to_be_visible()
    expect(card).to_have_count(0)


def test_the_manual_opens_at_the_desks_own_page(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.page_of("reviewer", "/review")
    page.keyboard.press("?")
    help_ = page.get_by_role("dialog", name="帮助")
    no_serious_fault(page)
    help_.get_by_role("tab", name="快捷键").press("ArrowRight")
    manual = help_.get_by_role("article", name="使用手册")
    expect(manual.get_by_role("heading", name="审核台")).to_be_visible()
    picture = manual.get_by_role("img").first
    expect(picture).to_be_visible()
    page.wait_for_function(
        "image => image.complete && image.naturalWidth === 1366", arg=picture.element_handle()
    )
    no_serious_fault(page)
    desks.shot(page, "manual")
    help_.get_by_label("页面").select_option(label="承办台")
    expect(manual.get_by_role("heading", name="办不完怎么办")).to_be_visible()
    expect(manual.get_by_role("table")).to_contain_text("10 个工作日")


def test_help_holds_in_the_dark_and_at_twice_the_size(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.page_of(
        "supervisor", "/board", toured=False, color_scheme="dark", viewport={"width": 683, "height": 384}
    )
    card = page.locator(".tour [role=dialog]")
    expect(card).to_be_visible()
    for _ in range(4):
        page.get_by_role("button", name="下一步").click()
        box = card.bounding_box()
        assert box is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= 384
    no_serious_fault(page)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("tab", name="使用手册").click()
    expect(
        page.get_by_role("article", name="使用手册").get_by_role("heading", name="督办看板")
    ).to_be_visible()
    no_serious_fault(page)
    desks.shot(page, "manual-dark-200")
