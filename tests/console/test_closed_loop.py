"""The closed loop of art. 14 in the browser alone: six roles and the citizen, each in a window of their own, who see each other's acts come."""

import re
import time
from collections.abc import Callable
from typing import Final

from playwright.sync_api import Page, expect

from tests.console.conftest import Desks
from tests.console.test_agent import CONTENT, Telephony, at_desk, fill, number_on
from tests.console.test_working_desks import take_up

Check = Callable[[Page], None]
TITLE: Final = "湟中区多巴镇示例小区3号楼整栋暖气不热"
ANSWER: Final = "已更换楼前阀门，室温恢复到20度。"


def waiting(page: Page) -> None:
    """This desk shows that it hears of changes by itself, and has nothing to do yet."""
    expect(page.locator("nav.menu")).to_be_visible()
    expect(page.get_by_role("option", name=re.compile(TITLE))).to_have_count(0)


def figure(board: Page, label: str) -> int:
    """A figure of the board."""
    return int(board.locator(".figures li", has_text=label).locator("b").inner_text())


def test_one_call_goes_round_six_roles_to_the_citizens_evaluation_and_the_archive(
    desks: Desks, no_serious_fault: Check
) -> None:
    dispatcher = desks.page_of("dispatcher", "/dispatch")
    unit = desks.page_of("ZJJ", "/unit?queue=to_sign")
    reviewer = desks.page_of("reviewer", "/review?queue=to_review")
    callback = desks.page_of("callback", "/callback?queue=to_call_back")
    board = desks.page_of("supervisor", "/board")
    agent = at_desk(desks)
    for page in (dispatcher, unit, reviewer, callback):
        waiting(page)
    before = figure(board, "未办结")

    # 话务员: a call rings, the demand is registered without the mouse
    began = time.monotonic()
    Telephony(desks).ring("c-loop")
    expect(agent.get_by_text("139****0001").first).to_be_visible()
    fill(agent)
    agent.keyboard.insert_text("测试甲")
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("status").filter(has_text="已登记")).to_be_attached()
    number = number_on(agent).replace(" ", "")
    assert time.monotonic() - began < 60

    # 督办主管 opens it and watches; the board counts it
    board.get_by_role("button", name="刷新").click()
    expect(board.locator(".figures li", has_text="未办结").locator("b")).to_have_text(str(before + 1))
    watcher = board.context.new_page()
    watcher.goto(f"/console/tickets/{number}")
    expect(watcher.get_by_role("heading", level=1)).to_contain_text(TITLE)

    # 派单员: it came by itself
    take_up(dispatcher, TITLE)
    expect(dispatcher.locator(".context")).to_contain_text(CONTENT[:20])
    dispatcher.locator("#act-dispatch-lead").fill("住建")
    dispatcher.get_by_role("option", name=re.compile("测试市住建局")).click()
    dispatcher.locator("#act-dispatch-instruction").fill("请尽快上门。")
    dispatcher.keyboard.press("Control+Enter")
    expect(dispatcher.get_by_role("option", name=re.compile(TITLE))).to_have_count(0)

    # 承办单位: signs, tells the citizen, replies; the caller's number is not shown
    take_up(unit, TITLE)
    assert "13900000001" not in unit.content()
    unit.keyboard.press("Control+Enter")
    expect(unit.get_by_role("option", name=re.compile(TITLE))).to_have_count(0)
    unit.get_by_role("tab", name=re.compile("牵头办理")).click()
    take_up(unit, TITLE)
    unit.locator("#tab-answer_citizen").click()
    unit.keyboard.press("Control+Enter")
    expect(unit.locator(".context").get_by_text(re.compile("答复来电人 \\d"))).to_be_visible()
    unit.locator("#tab-reply").click()
    unit.locator("#act-reply-content").fill(ANSWER)
    unit.keyboard.press("Control+Enter")
    expect(unit.get_by_role("option", name=re.compile(TITLE))).to_have_count(0)

    # the watcher is told of what changed, and the citizen has no answer before the review
    expect(watcher.get_by_text("有新变化")).to_be_visible()
    watcher.get_by_role("button", name="点此更新").click()
    panel = agent_links(agent, number)
    citizen = desks.window(viewport={"width": 390, "height": 844})
    citizen.goto(panel)
    expect(citizen.get_by_role("heading", level=1)).to_have_text("承办单位已反馈结果，正在审核")
    expect(citizen.get_by_text(ANSWER)).to_have_count(0)

    # 审核员
    take_up(reviewer, TITLE)
    expect(reviewer.get_by_role("region", name="办理结果")).to_contain_text(ANSWER)
    reviewer.keyboard.press("Alt+p")
    expect(reviewer.get_by_role("option", name=re.compile(TITLE))).to_have_count(0)

    # 来电人 reads the answer and evaluates
    citizen.get_by_role("button", name="查看最新进度").click()
    expect(citizen.get_by_role("region", name="答复")).to_contain_text(ANSWER)
    citizen.get_by_role("radio", name="满意", exact=True).check()
    citizen.get_by_role("checkbox", name="问题已解决").check()
    citizen.get_by_role("button", name="提交评价").click()
    expect(citizen.get_by_role("region", name="您的评价")).to_contain_text("满意：问题已解决")

    # 回访员
    take_up(callback, TITLE)
    callback.keyboard.press("y")
    callback.keyboard.press("1")
    callback.keyboard.press("Control+Enter")
    expect(callback.get_by_role("option", name=re.compile(TITLE))).to_have_count(0)

    # 首接话务员 files it (art. 14(1), 14(9))
    agent.get_by_role("button", name="点此更新").click()
    agent.get_by_role("toolbar", name="可进行的操作").get_by_role("button", name="归档").click()
    agent.get_by_role("dialog").get_by_role("button", name="归档", exact=True).click()
    expect(agent.get_by_text("已归档", exact=True).first).to_be_visible()

    # 督办主管: who did what, both ledgers, and why it was due when it was
    expect(watcher.get_by_text("有新变化")).to_be_visible()
    watcher.get_by_role("button", name="点此更新").click()
    expect(watcher.get_by_text("已归档", exact=True).first).to_be_visible()
    way = watcher.locator("section.panel", has_text="经过").get_by_role("listitem")
    expect(way).to_have_count(9)
    expect(way.filter(has_text="来电人评价")).to_contain_text("满意、问题已解决")
    watcher.get_by_text(re.compile("已结束的期限")).click()
    kept = watcher.get_by_role("tabpanel", name="办理的账")
    expect(kept.get_by_text("按期完成").first).to_be_visible()
    expect(kept.get_by_text("超期后完成")).to_have_count(0)
    kept.get_by_role("listitem").filter(has_text="测试市住建局").filter(has_text="按期完成").get_by_role(
        "button", name="期限证明"
    ).click()
    proof = watcher.get_by_role("dialog", name="期限证明")
    expect(proof).to_contain_text("第 2 个工作日")
    expect(proof).to_contain_text("第十四条第（四）项")
    expect(proof.get_by_text("不一致")).to_have_count(0)
    watcher.keyboard.press("Escape")
    watcher.get_by_role("tab", name="来电人的账").click()
    expect(watcher.get_by_role("tabpanel", name="来电人的账")).to_contain_text("得到答复，共等")
    no_serious_fault(watcher)
    desks.shot(watcher, "closed-loop")
    board.get_by_role("button", name="刷新").click()
    expect(board.locator(".figures li", has_text="未办结").locator("b")).to_have_text(str(before))
    citizen.get_by_role("button", name="查看最新进度").click()
    expect(citizen.get_by_role("heading", level=1)).to_have_text("已办结")


def agent_links(agent: Page, number: str) -> str:
    """The citizen's link, read by the agent on the ticket's page, which stays open."""
    agent.goto(f"/console/tickets/{number}")
    panel = agent.get_by_role("region", name="来电人查询链接")
    panel.get_by_role("button", name="显示链接和二维码").click()
    return panel.get_by_role("textbox", name="链接").input_value()
