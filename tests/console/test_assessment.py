"""热点考核: a theme opens its tickets, a letter is sent from the board and taken away as a PDF, points say how they came about,
and a reviewer checks a sample without a mouse."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import Session

from hotline import intake
from hotline.assessing import samples
from hotline.orders import AcceptOrder, Caller
from hotline.reporting import refresh
from tests import world as w
from tests.console.conftest import Desks
from tests.statute.course import COMMANDS, DEFAULTS
from workflow.vocabulary import Act, Matter

Check = Callable[[Page], None]


@pytest.fixture(scope="module")
def worked(desks: Desks) -> str:
    """Two months ago six like demands at ZJJ: five answered, one never. Told is the month they lie in."""
    month = (datetime.now(w.CHINA).replace(day=1) - timedelta(days=40)).replace(day=1, hour=9, minute=0)
    with Session(desks.world.engine, expire_on_commit=False) as session:
        for number in range(6):
            at = month + timedelta(days=4, minutes=number)
            case = intake.take(
                desks.world.desk(session, "agent", at),
                w.demand(
                    Matter.INQUIRY,
                    title="整栋楼暖气不热",
                    caller=Caller(phone=f"1390000{2000 + number}"),
                    received_at=at,
                ),
                Act.ACCEPT,
                AcceptOrder(),
            )
            _acts(desks, session, case.ticket.number, at, answered=number < 5)
        refresh.count_all(session, desks.world.office, datetime.now(UTC))
        session.commit()
    return month.strftime("%Y-%m")


def _acts(desks: Desks, session: Session, number: str, at: datetime, *, answered: bool) -> None:
    steps: list[tuple[Act, str, dict[str, Any]]] = [(Act.DISPATCH, "dispatcher", {"lead": "ZJJ"})]
    if answered:
        steps += [(Act.SIGN, "ZJJ", {}), (Act.ANSWER_CITIZEN, "ZJJ", {})]
        steps += [(Act.REPLY, "ZJJ", {"content": "测试：已修好。"})]
    for hour, (act, login, content) in enumerate(steps, 1):
        command, order = COMMANDS[act]
        desk = desks.world.desk(session, login, at + timedelta(hours=hour))
        command(desk, number, order.model_validate(DEFAULTS.get(act, {}) | content))
    session.commit()


def test_a_theme_opens_its_tickets(desks: Desks, worked: str, no_serious_fault: Check) -> None:
    page = desks.page_of("supervisor", "/assessment")
    page.get_by_role("button", name="分析另一时段").click()
    page.get_by_label("起始日").fill(f"{worked}-01")
    page.get_by_label("截止日").fill(f"{worked}-28")
    page.get_by_role("dialog").get_by_role("button", name="热点分析").click()
    themes = page.get_by_role("region", name="诉求主题")
    expect(themes.get_by_role("button")).to_have_count(1)
    themes.get_by_role("button").click()
    expect(page.get_by_role("region", name="热点的工单").get_by_role("link")).to_have_count(6)
    no_serious_fault(page)
    desks.shot(page, "hotspots")


def test_a_letter_is_sent_from_the_board(desks: Desks, worked: str, no_serious_fault: Check) -> None:
    assert worked
    page = desks.page_of("supervisor", "/board")
    page.get_by_role("link", name="给测试市住建局发督办函").click()
    page.get_by_role("button", name="批量督办").click()
    expect(page.get_by_text("已发出 1 份函")).to_be_visible()
    with page.expect_download() as told:
        page.get_by_role("link", name="下载督办函").first.click()
    assert told.value.path().read_bytes().startswith(b"%PDF")
    no_serious_fault(page)
    desks.shot(page, "letters")


def test_points_say_how_they_came_about(desks: Desks, worked: str, no_serious_fault: Check) -> None:
    page = desks.page_of("supervisor", "/assessment/scores")
    page.get_by_role("button", name="起草考核").click()
    dialog = page.get_by_role("dialog")
    dialog.locator("#op-draft_assessment-title").fill("测试考核")
    dialog.locator("#op-draft_assessment-period").fill(worked)
    dialog.get_by_role("button", name="起草考核").click()
    page.get_by_role("button", name="测试市住建局").click()
    points = page.get_by_role("region", name="测试市住建局的得分")
    expect(points.get_by_text("（5/6）").first).to_be_visible()
    points.get_by_role("link", name="及时答复率：所计的工单").click()
    expect(page.locator("tbody tr")).to_have_count(6)
    page.go_back()
    page.get_by_role("button", name="公布").click()
    expect(page.get_by_text("公示中")).to_be_visible()
    no_serious_fault(page)
    desks.shot(page, "assessment")
    unit = desks.page_of("ZJJ-lead", page.url.split("/console")[1])
    unit.get_by_role("button", name="测试市住建局").click()
    unit.get_by_role("button", name="提出异议").first.click()
    unit.get_by_role("dialog").get_by_role("textbox").fill("测试：断路所致")
    unit.get_by_role("dialog").get_by_role("button", name="提出考核异议").click()
    expect(unit.get_by_role("region", name="异议")).to_contain_text("断路所致")


def test_a_reviewer_checks_a_sample_by_keyboard(desks: Desks, worked: str, no_serious_fault: Check) -> None:
    with Session(desks.world.engine, expire_on_commit=False) as session:
        desk = desks.world.desk(session, "supervisor", datetime.now(UTC))
        samples.draw(desk, samples.SampleOrder(period=worked, size=3))
        session.commit()
    page = desks.page_of("reviewer", "/assessment")
    expect(page.get_by_role("region", name="诉求", exact=True)).to_be_visible()
    page.keyboard.press("2")
    page.get_by_role("textbox", name="问题").fill("测试：答复时间与回访所述不符")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_role("heading", name="核对第 2 件")).to_be_visible()
    page.keyboard.press("Alt+ArrowDown")
    expect(page.get_by_role("heading", name="核对第 3 件")).to_be_visible()
    page.keyboard.press("1")
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("已核对 2 件，属实 1 件")).to_be_visible()
    no_serious_fault(page)
    desks.shot(page, "samples")
