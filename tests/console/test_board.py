"""督办看板: every figure opens its tickets, the charts are tables too, the wall is filled, an emergency is declared and ended."""

import re
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests import world as w
from tests.console.conftest import Desks

Check = Callable[[Page], None]


def post(desks: Desks, login: str, path: str, body: Any) -> Any:
    """POST as this person."""
    answer = httpx.post(
        f"{desks.address}/api/v1{path}",
        headers={"Authorization": f"Bearer {desks.world.tokens[login]}"},
        json=body,
    )
    assert answer.status_code < 300, answer.text
    return answer.json()


@pytest.fixture(scope="module")
def numbers(desks: Desks) -> list[str]:
    """Three tickets of today: two dispatched, one of them returned, one nobody's yet."""
    content = w.demand().model_dump(mode="json", exclude_none=True) | {"matter": "complaint"}
    taken = [
        post(
            desks,
            "agent",
            "/tickets",
            {"demand": content | {"title": f"测试工单{n}"}, "decision": {"act": "accept"}},
        )
        for n in range(3)
    ]
    found = [ticket["number"] for ticket in taken]
    for number in found[:2]:
        post(desks, "dispatcher", f"/tickets/{number}/dispatch", {"lead": "ZJJ"})
    grounds = {"grounds": "测试", "suggestion": "测试"}
    post(desks, "ZJJ", f"/tickets/{found[0]}/propose_return", grounds)
    return found


@pytest.fixture
def board(desks: Desks, numbers: list[str]) -> Page:
    assert len(numbers) == 3
    return desks.page_of("supervisor", "/board")


def test_a_figure_opens_exactly_its_tickets(board: Page, numbers: list[str], no_serious_fault: Check) -> None:
    expect(board.get_by_role("heading", name="督办看板")).to_be_visible()
    expect(board.get_by_role("link", name="1 退单待审")).to_be_visible()
    no_serious_fault(board)
    board.get_by_role("link", name="1 退单待审").click()
    expect(board).to_have_url(re.compile("awaiting=return"))
    expect(board.get_by_role("link", name=numbers[0])).to_be_visible()
    expect(board.get_by_role("link", name=numbers[1])).to_have_count(0)
    board.go_back()
    board.get_by_role("link", name="3 今日受理").click()
    for number in numbers:
        expect(board.get_by_role("link", name=number)).to_be_visible()


def test_a_units_cell_opens_its_tickets(board: Page, numbers: list[str]) -> None:
    row = board.get_by_role("row", name=re.compile("测试市住建局"))
    row.get_by_role("link", name="2", exact=True).click()
    expect(board).to_have_url(re.compile("owed_by=ZJJ"))
    expect(board.get_by_role("link", name=numbers[1])).to_be_visible()
    expect(board.get_by_role("link", name=numbers[2])).to_have_count(0)


def test_a_chart_is_a_table_whose_numbers_open_tickets(desks: Desks, board: Page, numbers: list[str]) -> None:
    panel = board.locator("section", has=board.get_by_role("heading", name="近两周受理"))
    expect(panel.get_by_role("img", name=re.compile("近两周受理：.+3 件"))).to_be_visible()
    expect(panel.locator("canvas")).to_be_visible()
    desks.shot(board, "board")
    panel.get_by_role("button", name="看数字").click()
    panel.get_by_role("link", name="3", exact=True).click()
    expect(board.get_by_role("link", name=numbers[2])).to_be_visible()


def test_a_chart_opens_the_day_that_is_clicked(board: Page, numbers: list[str]) -> None:
    canvas = board.locator("section", has=board.get_by_role("heading", name="近两周受理")).locator("canvas")
    box = canvas.bounding_box()
    assert box is not None
    board.mouse.click(box["x"] + box["width"] - 25, box["y"] + box["height"] / 2)  # the last day: today
    expect(board).to_have_url(re.compile("received_from="))
    expect(board.get_by_role("link", name=numbers[0])).to_be_visible()


def test_it_fills_the_wall(board: Page) -> None:
    board.get_by_role("button", name="全屏", exact=True).click()
    board.wait_for_function("document.fullscreenElement !== null")
    expect(board.get_by_role("button", name="退出全屏")).to_be_visible()
    board.keyboard.press("Alt+F")
    board.wait_for_function("document.fullscreenElement === null")


def test_an_emergency_is_declared_and_ended(board: Page, no_serious_fault: Check) -> None:
    board.get_by_role("button", name="宣布应急").click()
    dialog = board.get_by_role("dialog", name="宣布应急")
    dialog.get_by_label("名称").fill("测试暴雪")
    dialog.get_by_label("依据").fill("测试启动暴雪应急响应")
    dialog.get_by_role("combobox", name="地区").fill("城西")
    board.get_by_role("option", name=re.compile("城西区")).first.click()
    dialog.get_by_label("截止时间").fill("2030-01-01 08:00")
    dialog.get_by_label("截止时间").press("Tab")
    no_serious_fault(board)
    dialog.get_by_role("button", name="宣布应急").click()
    expect(board.get_by_text("测试暴雪")).to_be_visible()
    expect(board.get_by_role("button", name="1 应急中")).to_be_visible()
    board.get_by_role("button", name="结束应急").click()
    board.get_by_role("dialog", name="结束应急").get_by_role("button", name="结束应急").click()
    expect(board.get_by_text("目前没有应急事件")).to_be_visible()


def test_it_holds_in_the_dark_and_at_twice_the_size(
    desks: Desks, numbers: list[str], no_serious_fault: Check
) -> None:
    assert numbers
    page = desks.page_of(
        "supervisor", "/board", color_scheme="dark", viewport={"width": 683, "height": 384}
    )  # 1366×768 at 200 %
    expect(page.get_by_role("heading", name="督办看板")).to_be_visible()
    no_serious_fault(page)
    assert page.evaluate(
        "document.querySelector('main').scrollWidth <= document.querySelector('main').clientWidth"
    )
    desks.shot(page, "board-dark-200")
