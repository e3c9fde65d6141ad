"""管理与设置: people come and go, machines get secrets, a year's notice is looked at before it is loaded, exports want two people."""

import json
import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.console.conftest import SECRET, Desks

Check = Callable[[Page], None]
PAGES = {
    "admin": ["people", "units", "catalogue", "clients", "subscriptions", "calendar", "rules", "account"],
    "auditor": ["audit", "alerts"],
    "supervisor": ["exports"],
}


@pytest.mark.parametrize(
    ("login", "path"), [(login, path) for login, paths in PAGES.items() for path in paths]
)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_page_stands(desks: Desks, login: str, path: str, scheme: str, no_serious_fault: Check) -> None:
    page = desks.page_of(login, f"/admin/{path}", color_scheme=scheme)
    expect(page.locator("main h1")).to_have_count(1)
    expect(page.get_by_text("正在读取").first).to_have_count(0)
    expect(page.get_by_role("alert")).to_have_count(0)
    no_serious_fault(page)
    if scheme == "light":
        desks.shot(page, f"admin-{path}")


def test_somebody_new_gets_a_password_once_and_leaves_again(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.page_of("admin", "/admin", reduced_motion="reduce")  # no colours in between
    expect(page).to_have_url(re.compile("/admin/people$"))
    page.get_by_role("button", name="新增人员").click()
    dialog = page.get_by_role("dialog", name="新增人员")
    dialog.get_by_label("登录名").fill("new-agent")
    dialog.get_by_label("姓名").fill("测试新人" * 10)
    dialog.get_by_role("combobox", name="所属平台").fill("测试市")
    page.get_by_role("option", name=re.compile("测试市")).first.click()
    dialog.get_by_label("话务员").check()
    for nobody in ("来电人", "系统"):  # roles that no person has
        expect(dialog.get_by_label(nobody, exact=True)).to_have_count(0)
    no_serious_fault(page)
    dialog.get_by_role("button", name="新增人员").click()
    told = page.get_by_role("dialog", name="一次性口令")
    password = told.locator(".secret").inner_text()
    assert len(password) >= 10
    told.get_by_role("button", name="已记下").click()
    page.get_by_label("登录名或姓名").fill("new-agent")
    page.get_by_role("button", name="new-agent").click()
    page.get_by_role("complementary", name=re.compile("测试新人")).get_by_role("button", name="停用").click()
    leaving = page.get_by_role("dialog", name="停用")
    leaving.get_by_label("理由").fill("测试离职")
    leaving.get_by_role("combobox", name="其首接工单移交给").fill("huawuyuanagent2")
    page.get_by_role("option", name=re.compile("agent2")).click()
    expect(leaving.get_by_role("combobox")).to_have_value("测试话务员agent2（agent2）")
    leaving.get_by_role("button", name="停用").click()
    page.get_by_label("在用").select_option(label="已停用")
    expect(page.get_by_role("button", name="new-agent")).to_be_visible()


def test_a_client_gets_its_secret_once(desks: Desks) -> None:
    page = desks.page_of("admin", "/admin/clients")
    page.get_by_role("button", name="新增客户端").click()
    dialog = page.get_by_role("dialog", name="新增接口客户端")
    dialog.get_by_label("客户端名称").fill("zjj-system")
    dialog.get_by_label("用途").fill("测试业务系统")
    dialog.get_by_role("combobox", name="所属承办单位").fill("测试市住建局")
    page.get_by_role("option", name=re.compile("测试市住建局")).first.click()
    dialog.get_by_label("承办经办人").check()
    dialog.get_by_label("查看工单").check()
    dialog.get_by_role("button", name="新增接口客户端").click()
    expect(page.get_by_role("dialog", name="客户端密钥").locator(".secret")).not_to_be_empty()
    page.get_by_role("button", name="已记下").click()
    expect(page.get_by_role("row", name=re.compile("zjj-system"))).to_contain_text("在用")


def test_a_notice_is_looked_at_before_it_is_loaded(desks: Desks) -> None:
    page = desks.page_of("admin", "/admin/calendar")
    load = page.get_by_role("button", name="确认加载")
    box = page.get_by_label("放假安排，JSON")
    box.fill("{不是")
    page.get_by_role("button", name="预览变动").click()
    expect(page.get_by_role("alert")).to_contain_text("不是有效的 JSON")
    expect(load).to_be_disabled()
    notice = {
        "year": 2027,
        "papers": ["https://www.gov.cn/zhengce/test"],
        "days": [{"name": "元旦", "date": "2027-01-01", "isOffDay": True}],
    }
    box.fill(json.dumps(notice, ensure_ascii=False))
    page.get_by_role("button", name="预览变动").click()
    expect(page.get_by_text(re.compile("2027 年预览（尚未加载）"))).to_be_visible()
    box.press_sequentially(" ")
    expect(load).to_be_disabled()  # what is loaded is what was looked at
    page.get_by_role("button", name="预览变动").click()
    load.click()
    expect(page.get_by_text(re.compile("2027 年已加载"))).to_be_visible()


def test_a_subscription_is_tested_and_its_delivery_seen(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.page_of("admin", "/admin/subscriptions")
    page.get_by_role("button", name="新增订阅").click()
    dialog = page.get_by_role("dialog", name="新增订阅")
    dialog.get_by_role("combobox", name="承办单位").fill("测试市住建局")
    page.get_by_role("option", name=re.compile("测试市住建局")).first.click()
    dialog.get_by_label("名称").fill("测试订阅")
    dialog.get_by_label("接收地址").fill("https://receiver.invalid/hotline")
    dialog.get_by_role("combobox", name="事件类型").fill("派单")
    page.get_by_role("option", name="派单", exact=True).click()
    dialog.get_by_label("名称").click()
    dialog.get_by_role("button", name="新增订阅").click()
    page.get_by_role("button", name="已记下").click()
    expect(page.locator("section.panel", has_text="测试订阅").get_by_text("派单", exact=True)).to_be_visible()
    page.get_by_role("button", name="连通测试").click()
    expect(
        page.get_by_role("cell", name="subscription.test")
        .or_(page.get_by_role("cell", name=re.compile("test")).first)
        .first
    ).to_be_visible()
    no_serious_fault(page)


def test_an_export_is_asked_for_and_decided_by_another(desks: Desks, no_serious_fault: Check) -> None:
    asker = desks.page_of("dispatcher", "/admin/exports")
    asker.get_by_role("button", name="申请导出").click()
    dialog = asker.get_by_role("dialog", name="申请导出")
    dialog.get_by_label("用途").select_option(label="统计分析")
    dialog.get_by_label("说明").fill("测试月度统计")
    no_serious_fault(asker)
    dialog.get_by_role("button", name="申请导出").click()
    expect(asker.get_by_text("测试月度统计")).to_be_visible()
    expect(asker.get_by_role("button", name="批准", exact=True)).to_have_count(0)  # not one's own
    decider = desks.page_of("supervisor", "/admin/exports")
    decider.get_by_role("button", name="批准", exact=True).click()
    decider.get_by_role("dialog", name="批准导出").get_by_label("理由").fill("同意")
    decider.get_by_role("dialog").get_by_role("button", name="批准导出").click()
    expect(decider.get_by_text(re.compile("同意"))).to_be_visible()


def test_everybody_has_an_account_and_only_their_pages(desks: Desks) -> None:
    page = desks.page_of("reviewer", "/admin/account")
    pages = page.get_by_role("navigation", name="管理")
    expect(pages.get_by_role("link", name="我的账号")).to_be_visible()
    expect(pages.get_by_role("link", name="人员")).to_have_count(0)
    expect(page.get_by_text("本次登录")).to_be_visible()
    page.get_by_label("原口令").fill(SECRET)
    page.get_by_label("新口令").fill("Another-Secret-2")
    page.get_by_label("再输一次").fill("Another-Secret-3")
    page.get_by_role("button", name="修改口令").click()
    expect(page.get_by_role("alert")).to_contain_text("两次输入的新口令不一致")
    expect(page.get_by_label("新口令")).to_have_value("Another-Secret-2")
