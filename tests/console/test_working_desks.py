"""The working queues: dispatch, unit, review and callback desks by keyboard, bulk acts, and what two people on one ticket see of each other."""

import re
from collections.abc import Callable
from itertools import count
from typing import Any, Final

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests import world as w
from tests.console.conftest import Desks

Check = Callable[[Page], None]
PASSED: Final = {"elements": dict.fromkeys(("quality", "process", "content", "completeness"), True)}
TOLD: Final = {"content": "已上门维修，室温恢复到20度。", "citizen_answered_at": None}
_names = count(1)


class Hands:
    """What others do meanwhile, over the API."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks

    def post(self, login: str, path: str, body: Any) -> Any:
        answer = httpx.post(
            f"{self._desks.address}/api/v1{path}",
            headers={"Authorization": f"Bearer {self._desks.world.tokens[login]}"},
            json=body,
            timeout=30,
        )
        assert answer.status_code < 300, answer.text
        return answer.json()

    def act(self, login: str, number: str, act: str, body: Any) -> Any:
        return self.post(login, f"/tickets/{number}/{act}", body)

    def accepted(self, title: str = "") -> tuple[str, str]:
        """A new ticket that waits to be dispatched: its number and its title."""
        title = title or f"测试工单{next(_names)}号"
        content = w.demand().model_dump(mode="json", exclude_none=True) | {
            "matter": "complaint",
            "title": title,
        }
        order = {"demand": content, "decision": {"act": "accept"}}
        return self.post("agent", "/tickets", order)["number"], title

    def dispatched(self) -> tuple[str, str]:
        number, title = self.accepted()
        self.act("dispatcher", number, "dispatch", {"lead": "ZJJ"})
        return number, title

    def replied(self) -> tuple[str, str]:
        number, title = self.dispatched()
        self.act("ZJJ", number, "sign", {})
        self.act("ZJJ", number, "answer_citizen", {})
        self.act("ZJJ", number, "reply", {"content": TOLD["content"]})
        return number, title

    def verified(self) -> tuple[str, str]:
        number, title = self.replied()
        self.act("reviewer", number, "review_pass", PASSED)
        return number, title

    def state(self, number: str) -> str:
        answer = httpx.get(
            f"{self._desks.address}/api/v1/tickets/{number}",
            headers={"Authorization": f"Bearer {self._desks.world.tokens['supervisor']}"},
            timeout=30,
        )
        return str(answer.json()["state"])


@pytest.fixture
def hands(desks: Desks) -> Hands:
    """Others at work; windows of the tests before are closed."""
    for window in desks.windows:
        window.close()
    desks.windows.clear()
    return Hands(desks)


def at_hand(page: Page, title: str) -> None:
    """The ticket of this title is the one at hand."""
    expect(page.locator(".context h2", has_text=title)).to_be_visible()


def take_up(page: Page, title: str) -> None:
    """Go to the ticket of this title in the queue."""
    page.get_by_role("option", name=re.compile(title)).click()
    at_hand(page, title)


def test_a_ticket_is_dispatched_by_keyboard_and_the_next_one_opens(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    (first, one), (_, two) = hands.accepted(), hands.accepted()
    page = desks.page_of("dispatcher", "/dispatch")
    take_up(page, one)
    no_serious_fault(page)
    page.keyboard.press("Alt+f")
    page.locator("#act-dispatch-lead").fill("住建")
    page.get_by_role("option", name=re.compile("测试市住建局")).click()
    page.locator("#act-dispatch-instruction").fill("请三日内上门查看。")
    desks.shot(page, "dispatch")
    page.keyboard.press("Control+Enter")
    at_hand(page, two)
    assert hands.state(first) == "dispatched"


def test_what_is_typed_outlives_other_tickets_a_reload_and_a_colleague(desks: Desks, hands: Hands) -> None:
    (number, one), _ = hands.accepted(), hands.accepted()
    page = desks.page_of("dispatcher", "/dispatch")
    take_up(page, one)
    page.locator("#act-dispatch-instruction").fill("先联系来电人。")
    page.keyboard.press("Alt+ArrowUp")
    expect(page.locator(".context h2", has_text=one)).to_have_count(0)
    page.keyboard.press("Alt+ArrowDown")
    expect(page.locator("#act-dispatch-instruction")).to_have_value("先联系来电人。")
    page.reload()
    at_hand(page, one)
    expect(page.locator("#act-dispatch-instruction")).to_have_value("先联系来电人。")
    hands.act("supervisor", number, "dispatch", {"lead": "JTJ"})
    expect(page.get_by_text("这件工单已不在此队列")).to_be_visible()
    at_hand(page, one)  # nothing is taken away beneath somebody's hands
    expect(page.locator("#act-dispatch-instruction")).to_have_value("先联系来电人。")


def test_a_return_is_judged_with_its_grounds_in_sight(desks: Desks, hands: Hands) -> None:
    number, title = hands.dispatched()
    hands.act("ZJJ", number, "propose_return", {"grounds": "不属住建职责", "suggestion": "建议派城管局"})
    page = desks.page_of("dispatcher", "/dispatch?queue=returns")
    take_up(page, title)
    expect(page.locator(".work").get_by_text("不属住建职责")).to_be_visible()
    page.keyboard.press("Alt+2")
    page.locator("#act-reject_return-reason").fill("供热属住建职责。")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("option", name=re.compile(title))).to_have_count(0)
    assert hands.state(number) == "dispatched"


def test_a_unit_signs_and_replies_with_a_file(desks: Desks, hands: Hands, no_serious_fault: Check) -> None:
    number, title = hands.dispatched()
    page = desks.page_of("ZJJ", "/unit?queue=to_sign")
    take_up(page, title)
    no_serious_fault(page)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("option", name=re.compile(title))).to_have_count(0)
    page.get_by_role("tab", name=re.compile("牵头办理")).click()
    take_up(page, title)
    page.get_by_role("tab", name=re.compile("反馈办理结果")).click()
    page.locator("#act-reply-content").fill("已更换阀门。")
    page.locator("#file").set_input_files(
        files={"name": "现场照片.txt", "mimeType": "text/plain", "buffer": "测试".encode()}
    )
    page.get_by_role("button", name="添加", exact=True).click()
    expect(page.get_by_role("link", name="现场照片.txt")).to_be_visible()
    expect(page.locator("#act-reply-content")).to_have_value("已更换阀门。")
    desks.shot(page, "unit")
    page.locator("#act-reply-content").press("Control+Enter")
    expect(page.locator(".context blockquote", has_text="已更换阀门。")).to_be_visible()
    page.keyboard.press("Alt+1")  # to be told still: that the citizen was answered
    expect(page.locator("#tab-answer_citizen")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("option", name=re.compile(title))).to_have_count(0)
    assert hands.state(number) == "replied"


def test_a_reviewer_sends_back_one_element_and_passes_another_ticket_with_one_key(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    (bad, one), (good, two) = hands.replied(), hands.replied()
    page = desks.page_of("reviewer", "/review?queue=to_review")
    take_up(page, one)
    expect(page.get_by_role("region", name="办理结果")).to_contain_text(str(TOLD["content"]))
    no_serious_fault(page)
    page.get_by_role("listbox").focus()
    for key in "134":
        page.keyboard.press(key)
        page.keyboard.press("Escape")
        page.keyboard.press(key)  # there and back: it passes
    page.keyboard.press("2")
    page.keyboard.type("缺少上门记录")
    desks.shot(page, "review")
    page.get_by_label("补办的工作日数").fill("2")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("option", name=re.compile(one))).to_have_count(0)
    assert hands.state(bad) == "supplementing"
    take_up(page, two)
    page.keyboard.press("Alt+p")
    expect(page.get_by_role("option", name=re.compile(two))).to_have_count(0)
    assert hands.state(good) == "verified"


def test_a_callback_is_recorded_by_keys_and_dissatisfaction_asks_for_words(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    (happy, one), (sad, two) = hands.verified(), hands.verified()
    page = desks.page_of("callback", "/callback?queue=to_call_back")
    take_up(page, one)
    expect(page.get_by_role("region", name="回访话术")).to_contain_text(one)
    expect(page.locator(".phone")).to_have_text("139****0001")
    page.keyboard.press("Alt+u")
    expect(page.locator(".phone")).to_have_text("13900000001")
    no_serious_fault(page)
    page.keyboard.press("y")
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("option", name=re.compile(one))).to_have_count(0)
    assert hands.state(happy) == "closed"
    take_up(page, two)
    expect(page.locator(".phone")).to_have_text("139****0001")
    page.keyboard.press("n")
    page.keyboard.press("3")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("不满意须记录来电人的意见").first).to_be_visible()
    page.locator(".remark textarea").fill("没有人上门。")
    desks.shot(page, "callback")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("option", name=re.compile(two))).to_have_count(0)
    assert hands.state(sad) == "dissatisfied"
    judge = desks.page_of("reviewer", "/review?queue=dissatisfied")
    take_up(judge, two)
    expect(judge.locator(".work .said", has_text="没有人上门。")).to_be_visible()


def test_two_people_on_one_ticket_see_each_other_and_its_changes(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    number, _ = hands.accepted()
    one = desks.page_of("dispatcher", f"/tickets/{number}")
    two = desks.page_of("supervisor", f"/tickets/{number}")
    expect(one.get_by_text("测试督办主管supervisor 也在看")).to_be_visible()
    expect(two.get_by_text("测试派单员dispatcher 也在看")).to_be_visible()
    no_serious_fault(one)
    hands.act("agent", number, "keep_confidential", {"reason": "来电人要求保密。"})
    expect(one.get_by_text("有新变化")).to_be_visible()
    expect(one.get_by_text("要求保密", exact=True)).to_have_count(0)
    one.get_by_role("button", name="点此更新").click()
    expect(one.get_by_text("要求保密", exact=True)).to_be_visible()
    expect(one.get_by_text("有新变化")).to_have_count(0)
    one.get_by_role("tab", name="来电人的账").click()
    expect(one.get_by_text("还在等，已等")).to_be_visible()
    desks.shot(one, "ticket")


def test_a_new_ticket_comes_to_the_queue_by_itself(desks: Desks, hands: Hands) -> None:
    page = desks.page_of("dispatcher", "/tickets?queue=to_dispatch")
    expect(page.get_by_role("status").filter(has_text="实时")).to_be_visible()
    number, _ = hands.accepted()
    expect(page.get_by_role("link", name=number)).to_be_visible(timeout=8_000)


def test_many_are_dispatched_at_once_and_what_was_refused_says_why(
    desks: Desks, hands: Hands, no_serious_fault: Check
) -> None:
    (good, one), (late, two) = hands.accepted("批量甲"), hands.accepted("批量乙")
    page = desks.page_of("dispatcher", "/tickets?queue=to_dispatch&text=批量")
    for title in (one, two):
        page.get_by_role("row", name=re.compile(title)).get_by_role("checkbox").check()
    page.get_by_role("region", name="批量办理").get_by_role("button", name="派单").click()
    page.locator("#bulk-dispatch-lead").fill("住建")
    page.get_by_role("option", name=re.compile("测试市住建局")).click()
    page.evaluate("Promise.all(document.getAnimations().map(one => one.finished.catch(() => null)))")
    no_serious_fault(page)
    page.route(
        "**/api/v1/batch",
        lambda route: (hands.act("supervisor", late, "dispatch", {"lead": "JTJ"}), route.continue_()),
    )
    page.get_by_role("button", name="派单 2 件").click()
    expect(page.get_by_text("已办 1 件，1 件未办")).to_be_visible()
    expect(page.locator(".answers").get_by_role("link", name=late)).to_be_visible()
    assert hands.state(good) == "dispatched"


def test_a_filter_gets_a_name_and_is_found_again(desks: Desks, hands: Hands) -> None:
    hands.accepted("阀门漏水")
    hands.accepted()
    page = desks.page_of("dispatcher", "/tickets?queue=to_dispatch")
    page.get_by_label("标题或内容包含的文字").fill("阀门")
    expect(page.get_by_text("阀门漏水")).to_be_visible()
    page.get_by_role("button", name="保存当前筛选").click()
    page.get_by_label("筛选的名称").fill("漏水的")
    page.get_by_label("筛选的名称").press("Enter")
    saved = page.get_by_role("button", name="漏水的", exact=True)
    expect(saved).to_have_attribute("aria-current", "true")
    page.get_by_role("button", name="全部工单").click()
    saved.click()
    expect(page.get_by_label("标题或内容包含的文字")).to_have_value("阀门")
    expect(page.get_by_role("row")).to_have_count(2)  # the head and the one
    page.get_by_role("button", name="删除常用筛选 漏水的").click()
    expect(saved).to_have_count(0)
