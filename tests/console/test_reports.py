"""统计报告: a figure opens what it counts; a report is reviewed, a case struck out, filed and taken away as a file."""

import re
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import Session

from hotline import intake
from hotline.orders import AcceptOrder
from hotline.reporting import duties, refresh
from tests import world as w
from tests.console.conftest import Desks
from tests.statute.course import COMMANDS, DEFAULTS
from workflow.vocabulary import Act, Matter

Check = Callable[[Page], None]
COURSE: tuple[tuple[Act, str, dict[str, Any]], ...] = (
    (Act.DISPATCH, "dispatcher", {"lead": "ZJJ"}),
    (Act.SIGN, "ZJJ", {}),
    (Act.ANSWER_CITIZEN, "ZJJ", {}),
    (Act.REPLY, "ZJJ", {"content": "测试：已修好供热管道。"}),
    (Act.REVIEW_PASS, "reviewer", {}),
    (Act.RECORD_CALLBACK, "callback", {"outcome": "satisfied", "solved": True}),
)


def last_month() -> date:
    """The last day of the month that is over."""
    return datetime.now(w.CHINA).date().replace(day=1) - timedelta(days=1)


def solved(world: w.World, at: datetime) -> str:
    """A ticket that goes its usual way within the hour, and the caller is pleased."""
    with Session(world.engine, expire_on_commit=False) as session:
        demand = w.demand(Matter.HELP, received_at=at)
        number = intake.take(
            world.desk(session, "agent", at), demand, Act.ACCEPT, AcceptOrder()
        ).ticket.number
        for act, login, more in COURSE:
            at += timedelta(minutes=5)
            command, order = COMMANDS[act]
            command(
                world.desk(session, login, at), number, order.model_validate(DEFAULTS.get(act, {}) | more)
            )
        session.commit()
    return number


@pytest.fixture(scope="module")
def numbers(desks: Desks) -> list[str]:
    """Two tickets of the middle of last month, counted; that month's reports are drafted."""
    day = datetime.combine(last_month().replace(day=10), datetime.min.time(), w.CHINA)
    found = [solved(desks.world, day + timedelta(hours=hour)) for hour in (10, 14)]
    with Session(desks.world.engine, expire_on_commit=False) as session:
        for _ in range(300):  # the server's own ticker counts too: whoever comes second finds it taken
            refresh.count_all(session, desks.world.office, datetime.now(UTC))
            session.commit()
            if not refresh.behind(session):
                break
            time.sleep(0.1)
        else:
            pytest.fail("nothing was counted")
        duties.draft_due(session, desks.world.office, datetime.now(UTC))
        session.commit()
    return found


def test_a_figure_opens_what_it_counts(desks: Desks, numbers: list[str], no_serious_fault: Check) -> None:
    page = desks.page_of("supervisor", "/reports/figures")
    expect(page.get_by_label("统计期")).to_have_value(f"{last_month():%Y-%m}")
    card = page.locator("[data-key=timely]")
    expect(card).to_contain_text("100.00%")
    card.get_by_text("口径", exact=True).click()
    expect(card.get_by_text("按期完成的办理时限")).to_be_visible()
    no_serious_fault(page)
    desks.shot(page, "report-figures")
    card.get_by_role("link", name="及时率的分母，2 件").click()
    for number in numbers:
        expect(page.get_by_role("link", name=number)).to_be_visible()
    no_serious_fault(page)
    page.get_by_role("button", name="返回").click()
    page.get_by_label("分组").select_option("unit")
    row = page.get_by_role("row", name=re.compile("测试市住建局"))
    row.get_by_role("link", name="2", exact=True).click()
    expect(page).to_have_url(re.compile("unit=ZJJ"))
    expect(page.get_by_role("link", name=numbers[1])).to_be_visible()


def test_a_report_is_reviewed_filed_and_taken_away(
    desks: Desks, numbers: list[str], no_serious_fault: Check, tmp_path: Path
) -> None:
    page = desks.page_of("supervisor", "/reports/filed")
    month = last_month()
    title = re.compile(f"测试市.+{month.year}年{month.month}月运行情况报告")
    no_serious_fault(page)
    page.get_by_role("link", name=title).click()
    page.get_by_role("button", name="审核通过").click()
    cases = page.locator("section", has=page.get_by_role("heading", name="典型案例"))
    expect(cases.get_by_role("link", name=numbers[0])).to_be_visible()
    cases.get_by_role("button", name="撤换").first.click()
    dialog = page.get_by_role("dialog", name="撤换典型案例")
    dialog.get_by_role("textbox").fill("测试：正在调查")
    dialog.get_by_role("button", name="撤换典型案例").click()
    expect(cases.get_by_role("link", name=numbers[1])).to_be_visible()
    expect(cases.get_by_role("link", name=numbers[0])).to_have_count(0)
    page.get_by_role("button", name="报送", exact=True).click()
    expect(page.get_by_text("第 1 号")).to_be_visible()
    no_serious_fault(page)
    desks.shot(page, "report-filed")
    for form, begins in (("PDF", b"%PDF-"), ("Excel", b"PK")):
        with page.expect_download() as download:
            page.get_by_role("link", name=form, exact=True).click()
        download.value.save_as(tmp_path / form)
        assert (tmp_path / form).read_bytes().startswith(begins)
    month_of = page.locator("[data-key=received]")
    expect(month_of.get_by_role("link", name="诉求总量的清单")).to_have_attribute(
        "href", re.compile("platform=01")
    )
    page.get_by_role("button", name="与现在的数据比较").click()
    expect(page.get_by_text("没有变化")).to_be_visible()
