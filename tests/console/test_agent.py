"""话务台: from a ringing call to a dispatched ticket by keyboard, the article told with one key, and nothing typed ever lost."""

import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, Route, expect
from sqlalchemy import text
from sqlmodel import Session

from hotline.organisation import Platform
from hotline.people import accounts
from tests import world as w
from tests.console.conftest import Desks
from tests.knowledge_base import shelf
from workflow.vocabulary import Role, Scope

Check = Callable[[Page], None]
CONTENT = "来电人反映湟中区多巴镇示例小区3号楼整栋暖气不热，室温只有14度，请求尽快处理。"
QUESTION, ANSWER = "公积金异地提取需要哪些材料？", "凭**身份证**和购房合同办理，3个工作日内办结。"


class Telephony:
    """The telephony platform: reports calls by its own machine token."""

    def __init__(self, desks: Desks) -> None:
        self._desks = desks
        with Session(desks.world.engine) as session:
            platform = session.get_one(Platform, desks.world.platforms["01"])
            self._token = accounts.issue_token(
                session,
                label="话务平台",
                at=w.BORN,
                platform=platform,
                roles=[Role.AGENT],
                scopes=[Scope.TELEPHONY],
            )
            session.commit()

    def ring(self, call_id: str, agent: str = "agent", **more: Any) -> None:
        """A call rings at this agent, or is told of again."""
        answer = httpx.post(
            f"{self._desks.address}/api/v1/calls",
            headers={"Authorization": f"Bearer {self._token}"},
            json={"call_id": call_id, "number": "13900000001", "agent": agent} | more,
        )
        assert answer.status_code == 201, answer.text


@pytest.fixture(scope="module")
def telephony(desks: Desks) -> Telephony:
    return Telephony(desks)


@pytest.fixture
def agent(desks: Desks) -> Page:
    """The agent's desk, without what an earlier test left on it."""
    for window in desks.windows:
        window.close()
    desks.windows.clear()
    with desks.world.engine.begin() as connection:
        connection.execute(text("DELETE FROM form_drafts"))
        connection.execute(text("DELETE FROM calls"))
    return at_desk(desks)


def at_desk(desks: Desks, login: str = "agent", **options: Any) -> Page:
    page = desks.page_of(login, **options)
    page.goto("/console/agent")
    expect(page.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    return page


def fill(page: Page, content: str = CONTENT, category: str = "swbdb", area: str = "hzdb") -> None:
    """A whole demand, by keyboard, from the focused content on."""
    page.keyboard.insert_text(content)
    for key in ("Tab", "Tab", "2", "Tab"):
        page.keyboard.press(key)
    page.keyboard.type(category)
    page.keyboard.press("Tab")
    page.keyboard.type(area)
    page.keyboard.press("Tab")


def ticket(page: Page, number: str) -> Any:
    """The ticket as its agent reads it."""
    return page.evaluate(
        "async (number) => (await fetch(`/api/v1/tickets/${number}`)).json()", number.replace(" ", "")
    )


def until_found(desks: Desks, question: str) -> None:
    """Return once the index has caught up with a new article."""
    deadline = time.monotonic() + 30
    while True:
        answer = httpx.get(
            f"{desks.address}/api/v1/knowledge/search",
            params={"q": question},
            headers={"Authorization": f"Bearer {desks.world.tokens['agent']}"},
        )
        if answer.json()["items"]:
            return
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.1)


def number_on(page: Page) -> str:
    """The number that is read out after saving."""
    return " ".join(page.locator(".aloud span").all_inner_texts())


# --- from the call to the ticket ------------------------------------------------------------------------------------------


def test_a_ringing_call_becomes_a_dispatched_ticket_by_keyboard_alone(
    desks: Desks, telephony: Telephony, agent: Page, no_serious_fault: Check
) -> None:
    telephony.ring("c-flow")
    expect(agent.get_by_text("139****0001").first).to_be_visible()
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    began = time.monotonic()
    fill(agent)
    expect(agent.get_by_role("combobox", name="所在地区", exact=True)).to_have_value("西宁市湟中区多巴镇")
    expect(agent.get_by_role("combobox", name="诉求分类", exact=True)).to_have_value(
        "公用事业与城乡建设 / 供热 / 室温不达标"
    )
    agent.keyboard.insert_text("测试甲")
    desks.shot(agent, "agent-form")
    no_serious_fault(agent)
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("status").filter(has_text="已登记")).to_be_attached()
    number = number_on(agent)
    desks.shot(agent, "agent-saved")
    no_serious_fault(agent)
    expect(
        agent.get_by_role("combobox", name="派给的单位", exact=True)
    ).to_be_focused()  # nothing to suggest yet
    agent.keyboard.type("cszj")
    agent.keyboard.press("Enter")
    expect(agent.get_by_role("combobox", name="派给的单位", exact=True)).to_have_value("测试市住建局")
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("button", name="下一个")).to_be_focused()
    assert time.monotonic() - began < 60
    seen = ticket(agent, number)
    assert (seen["state"], seen["matter"], seen["area"], seen["parts"][0]["unit"]) == (
        "dispatched",
        "help",
        "630106105000",
        "ZJJ",
    )
    assert seen["title"] == "湟中区多巴镇示例小区3号楼整栋暖气不热，室温只有14度，请求尽快处理"
    assert seen["caller"]["phone"] == "139****0001"
    assert "13900000001" not in agent.content()
    agent.keyboard.press("Enter")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value("")


def test_a_second_demand_of_the_same_caller_needs_no_number_either(
    desks: Desks, telephony: Telephony, agent: Page
) -> None:
    telephony.ring("c-twice")
    expect(agent.get_by_text("139****0001").first).to_be_visible()
    fill(agent)
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("status").filter(has_text="已登记")).to_be_attached()
    first = number_on(agent)
    agent.keyboard.press("Alt+g")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    expect(agent.get_by_role("tab", selected=True)).to_contain_text("139****0001")
    fill(agent, "来电人另反映示例小区路灯不亮。")
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("status").filter(has_text="已登记")).to_be_attached()
    assert number_on(agent) != first
    assert ticket(agent, number_on(agent))["caller"]["phone"] == "139****0001"


def test_a_second_call_takes_nobody_s_keyboard_and_waits_beside(
    desks: Desks, telephony: Telephony, agent: Page
) -> None:
    telephony.ring("c-one")
    expect(agent.get_by_role("tab", selected=True)).to_contain_text("139****0001")
    agent.keyboard.type("first")
    telephony.ring("c-one", ended_at=None)
    telephony.ring("c-two", number="13900000002")
    expect(agent.get_by_role("alert").get_by_text("139****0002")).to_be_visible()
    agent.keyboard.type(" caller")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value("first caller")
    agent.keyboard.press("Alt+l")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value("")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    agent.keyboard.type("second caller")
    agent.keyboard.press("Alt+j")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value("first caller")
    desks.shot(agent, "agent-parked")


def test_a_call_is_told_of_on_other_pages_too(telephony: Telephony, agent: Page) -> None:
    agent.goto("/console/tickets")
    telephony.ring("c-away")
    expect(agent.get_by_role("alert").get_by_text("139****0001")).to_be_visible()
    agent.keyboard.press("Alt+l")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    expect(agent.get_by_role("tab", selected=True)).to_contain_text("139****0001")


# --- answered, refused, transferred, merged -------------------------------------------------------------------------------


def test_knowledge_comes_while_typing_and_one_key_answers(desks: Desks, agent: Page) -> None:
    name = shelf.publish(desks.world, w.china("2026-03-01 09:00"), QUESTION, ANSWER)
    until_found(desks, QUESTION)
    asked: list[str] = []
    agent.on(
        "request", lambda request: asked.append(request.url) if "knowledge/search" in request.url else None
    )
    agent.keyboard.insert_text("公积金异地提取")
    expect(agent.locator(".sheet")).to_contain_text("凭身份证和购房合同办理", timeout=20_000)
    assert len(asked) < 12
    agent.keyboard.press("Alt+a")  # the article belongs to no category: that alone is asked for
    expect(agent.get_by_role("combobox", name="诉求分类", exact=True)).to_be_focused()
    agent.keyboard.type("swbdb")
    agent.keyboard.press("Alt+a")
    expect(agent.get_by_role("status").filter(has_text="已登记")).to_contain_text("即时答复")
    seen = ticket(agent, number_on(agent))
    assert (seen["state"], seen["matter"], seen["knowledge_told"], seen["area"]) == (
        "answered",
        "inquiry",
        name,
        "630100000000",
    )


def test_a_refusal_needs_its_ground_and_says_so_in_place(
    desks: Desks, agent: Page, no_serious_fault: Check
) -> None:
    fill(agent, "来电人要求撤销法院判决，并赔偿损失。")
    agent.keyboard.press("Alt+b")
    expect(agent.get_by_role("radiogroup", name="不予受理情形").get_by_role("radio")).to_have_count(7)
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("alert").filter(has_text="请填写").first).to_be_visible()
    agent.keyboard.press("5")
    agent.keyboard.press("Tab")
    agent.keyboard.type("属于审判机关职责。")
    agent.keyboard.press("Tab")
    agent.keyboard.type("请依法上诉或者申请再审。")
    expect(agent.get_by_text("请填写")).to_have_count(0)
    desks.shot(agent, "agent-refusal")
    no_serious_fault(agent)
    agent.keyboard.press("Control+Enter")
    expect(
        agent.get_by_role("alert").filter(has_text="转接").first
    ).to_be_visible()  # emergencies are transferred
    agent.get_by_role("radio", name="属其他机关职责").focus()
    agent.keyboard.press("4")
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("status").filter(has_text="不予受理")).to_be_attached()


def test_an_emergency_is_transferred(agent: Page) -> None:
    fill(agent, "来电人称家人突发疾病，需要急救。")
    agent.keyboard.press("Alt+z")
    agent.keyboard.press("3")
    agent.keyboard.press("Tab")
    expect(agent.get_by_label("转接的单位或热线名称")).to_be_focused()
    agent.keyboard.press("Tab")
    agent.keyboard.type("已三方通话转接。")
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("status").filter(has_text="已转接")).to_be_attached()


def test_what_was_asked_before_is_found_and_merged_with_one_key(desks: Desks, agent: Page) -> None:
    place = "示例路与测试街口东北角井盖丢失，夜间行人有危险"
    fill(agent, f"来电人反映{place}，请尽快处理。")
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("status").filter(has_text="已登记")).to_be_attached()
    main = number_on(agent).replace(" ", "")
    agent.keyboard.press("Alt+n")
    fill(agent, f"另一位市民反映{place}。")
    panel = agent.get_by_role("region", name="疑似重复")
    expect(panel).to_contain_text("井盖丢失")
    agent.keyboard.press("Alt+m")
    expect(agent.get_by_role("status").filter(has_text="已并单")).to_be_attached()
    assert ticket(agent, number_on(agent))["merged_into"] == main


# --- nothing is lost ------------------------------------------------------------------------------------------------------


def test_what_is_typed_outlasts_a_reload_and_is_there_at_another_seat(desks: Desks, agent: Page) -> None:
    agent.keyboard.insert_text(CONTENT)
    agent.keyboard.press("Alt+n")
    agent.keyboard.insert_text("第二个表单")
    agent.reload()
    expect(agent.get_by_role("tab")).to_have_count(2)
    agent.get_by_role("tab").filter(has_text="湟中区").click()
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value(CONTENT)
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_be_focused()
    with agent.expect_response(lambda answer: "/drafts/contact-" in answer.url and answer.ok):
        agent.keyboard.press("Control+End")
        agent.keyboard.type("!")
    other = desks.page_of("agent")
    other.goto("/console/agent")
    expect(other.get_by_role("tab").filter(has_text="湟中区")).to_be_visible()
    stored = desks.world.engine.connect().execute(text("SELECT sealed FROM form_drafts")).scalars().all()
    assert stored
    assert all("湟中区".encode() not in bytes(one) for one in stored)


def test_a_lost_connection_loses_no_word_and_registers_once(agent: Page) -> None:
    lost: list[str] = []

    def cut(route: Route) -> None:
        """The request arrives, its answer does not."""
        lost.append(route.request.headers["idempotency-key"])
        route.fetch()
        route.abort()

    fill(agent, "来电人反映示例公园路灯不亮已有三天。")
    agent.route("**/api/v1/tickets", cut)
    agent.keyboard.press("Control+Enter")
    expect(agent.get_by_role("alert").filter(has_text="连接不上")).to_be_visible()
    agent.unroute("**/api/v1/tickets")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value(
        "来电人反映示例公园路灯不亮已有三天。"
    )
    with agent.expect_request(
        lambda request: request.method == "POST" and request.url.endswith("/tickets")
    ) as again:
        agent.keyboard.press("Control+Enter")
    assert [again.value.headers["idempotency-key"]] == lost
    expect(agent.get_by_role("status").filter(has_text="已登记")).to_be_attached()
    found = agent.evaluate(
        "async () => (await (await fetch('/api/v1/tickets?text=' + encodeURIComponent('示例公园路灯不亮'))).json()).items.length"
    )
    assert found == 1


def test_a_form_put_away_can_be_had_back(agent: Page) -> None:
    agent.keyboard.insert_text("误收起的内容")
    agent.keyboard.press("Alt+x")
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value("")
    agent.get_by_role("button", name="恢复").click()
    expect(agent.get_by_role("textbox", name="诉求内容", exact=True)).to_have_value("误收起的内容")


# --- how it looks ---------------------------------------------------------------------------------------------------------


def test_long_texts_dark_theme_and_a_zoomed_window_hold(
    desks: Desks, agent: Page, no_serious_fault: Check
) -> None:
    looks: dict[str, dict[str, Any]] = {
        "agent-dark": {"color_scheme": "dark"},
        "agent-zoomed": {"viewport": {"width": 683, "height": 384}},
    }
    for name, options in looks.items():
        page = at_desk(desks, "agent2", **options)
        page.keyboard.insert_text("长诉求" * 1600)
        page.get_by_label("来电人姓名").fill("测" * 40)
        no_serious_fault(page)
        desks.shot(page, name)
        wide = page.evaluate(
            "document.querySelector('main').scrollWidth - document.querySelector('main').clientWidth"
        )
        assert wide <= 0, f"{name}: {wide} px too wide"


def test_whoever_leaves_leaves_nothing_of_a_caller_in_the_browser(agent: Page) -> None:
    agent.keyboard.insert_text("来电人反映示例内容")
    agent.get_by_label("联系电话").fill("13900000009")
    assert "13900000009" in agent.evaluate("JSON.stringify(localStorage)")
    agent.get_by_role("button", name="退出").click()
    expect(agent.get_by_role("heading", name="登录")).to_be_visible()
    left = agent.evaluate("JSON.stringify(localStorage) + JSON.stringify(sessionStorage)")
    assert "13900000009" not in left
    assert "示例内容" not in left
