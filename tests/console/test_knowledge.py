"""知识库: written with a preview, through its four eyes to publication, found, worded anew with the difference shown."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.console.conftest import Desks

Check = Callable[[Page], None]
QUESTION = "测试卡丢失后怎么补办"


def step(page: Page, name: str, reason: str = "") -> None:
    """Take one step of the article on the page."""
    page.get_by_role("toolbar", name="可进行的步骤").get_by_role("button", name=name).click()
    dialog = page.get_by_role("dialog")
    if reason:
        dialog.get_by_label("理由").fill(reason)
    dialog.get_by_role("button", name=name).click()
    expect(dialog).to_have_count(0)


@pytest.fixture(scope="module")
def article(desks: Desks) -> str:
    """A published article's number, written by the editor, published by the supervisor."""
    page = desks.page_of("editor", "/knowledge/write")
    page.get_by_label(re.compile("^标题")).fill(QUESTION)
    page.get_by_label(re.compile("^答复口径")).fill("持**身份证**到窗口补办，3 个工作日内办结。")
    expect(page.get_by_label("预览").locator("strong", has_text="身份证")).to_be_visible()
    page.reload()
    expect(page.get_by_label(re.compile("^标题"))).to_have_value(QUESTION)  # nothing typed is lost
    page.keyboard.press("Control+s")
    expect(page).to_have_url(re.compile(r"/knowledge/articles/\d+@1$"))
    name = page.url.rsplit("/", 1)[1]
    step(page, "提交审核")
    expect(page.get_by_text("平台核验中").first).to_be_visible()
    second = desks.page_of("supervisor", f"/knowledge/articles/{name}")
    step(second, "平台核验并发布")
    expect(second.get_by_text("已发布").first).to_be_visible()
    return name.split("@")[0]


def test_what_was_published_is_found(desks: Desks, article: str, no_serious_fault: Check) -> None:
    page = desks.page_of("agent", "/knowledge/find")
    expect(page.get_by_label("检索知识", exact=True)).to_be_focused()
    found = page.get_by_label("检索结果").get_by_role("button", name=re.compile(QUESTION))
    for _ in range(20):  # found after the index's next round
        page.get_by_label("检索知识", exact=True).fill("")
        page.keyboard.type("测试卡 补办")
        page.wait_for_timeout(300)
        if found.count():
            break
    expect(found).to_be_visible()
    expect(page.get_by_label("知识条目").locator("strong", has_text="身份证")).to_be_visible()
    expect(page.get_by_label("知识条目").get_by_text(f"{article}@1")).to_be_visible()
    no_serious_fault(page)
    desks.shot(page, "knowledge-find")


def test_a_new_wording_shows_what_changed(desks: Desks, article: str, no_serious_fault: Check) -> None:
    page = desks.page_of("editor", f"/knowledge/write?article={article}")
    box = page.get_by_label(re.compile("^答复口径"))
    expect(box).to_have_value("持**身份证**到窗口补办，3 个工作日内办结。")
    box.fill("持**身份证**到窗口补办，5 个工作日内办结。")
    no_serious_fault(page)
    desks.shot(page, "knowledge-write")
    page.get_by_role("button", name="保存草稿").click()
    expect(page).to_have_url(re.compile(rf"/knowledge/articles/{article}@2$"))
    expect(page.locator("ins", has_text="5")).to_be_visible()
    expect(page.locator("del", has_text="3")).to_be_visible()
    no_serious_fault(page)


def test_somebody_who_saved_meanwhile_costs_no_word(desks: Desks, article: str) -> None:
    first = desks.page_of("editor", f"/knowledge/write?article={article}")
    expect(first.get_by_label(re.compile("^答复口径"))).not_to_have_value("")
    second = desks.page_of("supervisor", f"/knowledge/write?article={article}")
    second.get_by_label("法律依据").fill("测试条例第一条")
    second.get_by_role("button", name="保存草稿").click()
    expect(second).to_have_url(re.compile("articles"))
    first.get_by_label("来源网址").fill("https://example.gov.cn/test")
    first.get_by_role("button", name="保存草稿").click()
    expect(first.get_by_role("button", name="保留我写的，在最新版上继续")).to_be_visible()
    expect(first.get_by_label("来源网址")).to_have_value("https://example.gov.cn/test")
    first.get_by_role("button", name="保留我写的，在最新版上继续").click()
    expect(first.get_by_role("button", name="保留我写的，在最新版上继续")).to_have_count(0)
    first.get_by_role("button", name="保存草稿").click()
    expect(first).to_have_url(re.compile("articles"))


def test_a_batch_goes_through_one_step_and_says_how_each_went(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.page_of("editor", "/knowledge/write")
    page.get_by_label(re.compile("^标题")).fill("成批提交的测试知识")
    page.get_by_label(re.compile("^答复口径")).fill("测试")
    page.get_by_role("button", name="保存草稿").click()
    expect(page).to_have_url(re.compile("articles"))
    page.goto("/console/knowledge/drafts")
    row = page.get_by_role("row", name=re.compile("成批提交的测试知识"))
    row.get_by_role("checkbox").check()
    page.get_by_label("步骤").select_option(label="提交审核")
    page.get_by_role("button", name="办理").click()
    expect(page.get_by_text("已办理 1 条，未办理 0 条。")).to_be_visible()
    no_serious_fault(page)


def test_a_unit_is_asked_and_answers(desks: Desks, no_serious_fault: Check) -> None:
    page = desks.page_of("editor", "/knowledge/questions")
    page.get_by_role("button", name="向承办单位提问").click()
    dialog = page.get_by_role("dialog", name="向承办单位提问")
    dialog.get_by_role("combobox", name="向哪个单位").fill("测试市住建局")
    page.get_by_role("option", name=re.compile("测试市住建局")).first.click()
    dialog.get_by_label("问题").fill("测试供暖从哪天开始？")
    dialog.get_by_role("button", name="向承办单位提问").click()
    expect(page.get_by_role("heading", name="测试供暖从哪天开始？")).to_be_visible()
    no_serious_fault(page)
    unit = desks.page_of("ZJJ", "/knowledge/questions")
    unit.get_by_role("button", name="答复").click()
    unit.get_by_role("dialog").get_by_role("textbox", name="答复", exact=True).fill("十月十五日。")
    unit.get_by_role("dialog").get_by_role("button", name="答复知识提问").click()
    expect(unit.get_by_role("dialog")).to_be_hidden()
    page.get_by_label("状态").select_option(label="已答复")
    expect(page.get_by_text("十月十五日。")).to_be_visible()


def test_a_table_is_checked_row_by_row_before_it_is_kept(desks: Desks) -> None:
    page = desks.page_of("editor", "/knowledge/import")
    table = "标题（问题）,答复口径\n导入的测试知识,测试答复\n,没有标题\n"
    file = FilePayload(name="matters.csv", mimeType="text/csv", buffer=("\ufeff" + table).encode())
    page.get_by_label("CSV 或 Excel 文件").set_input_files(file)
    page.get_by_role("button", name="检查").click()
    expect(page.get_by_text("检查结果（尚未导入）")).to_be_visible()
    expect(page.get_by_role("button", name="导入为草稿")).to_be_disabled()
    page.get_by_label("跳过有误的行").check()
    page.get_by_role("button", name="导入为草稿").click()
    expect(page.get_by_text("已导入")).to_be_visible()


@pytest.mark.parametrize("path", ["duties", "recalls", "upkeep", "import"])
def test_each_page_stands_in_the_dark(desks: Desks, path: str, no_serious_fault: Check) -> None:
    page = desks.page_of("editor", f"/knowledge/{path}", color_scheme="dark")
    expect(page.get_by_role("navigation", name="知识库")).to_be_visible()
    expect(page.locator("main h1")).to_have_count(1)
    no_serious_fault(page)
