"""Printed reports: every figure out of what was filed, the same bytes for ever, nobody to be known by the cases told in them."""

import csv
import io
import json
from pathlib import Path
from string import Formatter
from typing import Any

import docx
import pytest
from python_calamine import CalamineWorkbook
from sqlalchemy import text
from sqlmodel import Session

from hotline.printing import rendering
from hotline.printing.documents import written
from hotline.reporting import exhibits, filing, wording
from hotline.reporting.indicators import BY_KEY
from tests.api.conftest import Api
from tests.reporting.conftest import count
from tests.reporting.test_filing import of_march, second_supervisor, step, tick

ALL_OK = {"elements": dict.fromkeys(("quality", "process", "content", "completeness"), True)}
FORMS = ("pdf", "docx", "xlsx", "csv")
SAID = "测试甲来电反映测试路1号暖气不热，请拨13900000001联系。"


def handled(api: Api, day: int, matter: str = "help", **changes: Any) -> str:
    """A ticket of that day of March, answered in time; the caller says it is solved."""
    number = api.at(f"2026-03-{day:02d} 09:00").take(matter, content=SAID, **changes)
    api.at(f"2026-03-{day:02d} 10:00").act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.act(number, "sign", "ZJJ")
    api.act(number, "answer_citizen", "ZJJ")
    api.act(
        number, "reply", "ZJJ", {"content": "已为测试甲（13900000001）修好供热管道，维修的是马测试师傅。"}
    )
    api.act(number, "review_pass", "reviewer", ALL_OK)
    called = {"outcome": "satisfied", "solved": True}
    api.at(f"2026-03-{day:02d} 15:00").act(number, "record_callback", "callback", called)
    return number


@pytest.fixture
def told(worked: Api) -> tuple[Api, list[str]]:
    """March with two good cases, a tip-off and a confidential demand handled as well; now it is the 1st of April."""
    numbers = [handled(worked, day) for day in (10, 11)]
    handled(worked, 12, "tipoff")
    handled(worked, 13, caller={"name": "测试乙", "phone": "13900000002", "confidential": True})
    worked.at("2026-04-01 09:00")
    count(worked)
    tick(worked)
    return worked, numbers


def download(api: Api, report: int, form: str, login: str = "supervisor", status: int = 200) -> Any:
    answer = api.get(f"/reports/{report}/document", login, params={"format": form})
    assert answer.status_code == status, answer.text
    return answer


def words_of(content: bytes) -> str:
    """Everything a Word file says, in its text, tables and footer."""
    paper = docx.Document(io.BytesIO(content))
    texts = [each.text for each in paper.paragraphs]
    texts += [cell.text for table in paper.tables for row in table.rows for cell in row.cells]
    return "\n".join([*texts, *(each.text for each in paper.sections[0].footer.paragraphs)])


def test_a_filed_report_prints_what_was_filed_and_the_same_for_ever(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    report = of_march(api)
    assert "草稿" in words_of(download(api, report, "docx").content)
    step(api, report, "review", "supervisor")
    assert "送审稿" in words_of(download(api, report, "docx").content)
    filed = step(api, report, "file", "supervisor")
    before = {form: download(api, report, form).content for form in FORMS}
    handled(
        api.at("2026-04-02 09:00"), 31
    )  # it was received in March, and nobody knew when the report was filed
    api.at("2026-04-07 09:00")
    count(api)
    after = {form: download(api, report, form) for form in FORMS}
    for form in FORMS:
        assert after[form].content == before[form], form
        assert f".{form}" in after[form].headers["content-disposition"]
    assert before["pdf"].startswith(b"%PDF-")

    whole = filed["content"]["figures"]["whole"]
    said = words_of(before["docx"])
    timely = whole["timely"]
    rate = written(exhibits.exact(timely, "percent"), "percent")
    assert f"按期完成{timely['numerator']}件，及时率{rate}" in said
    assert f"共收到诉求{whole['received']['numerator']}件" in said
    assert filed["hash"] in said
    assert "第 1 号" in said
    assert "签发：测试督办主管supervisor" in said
    paper = docx.Document(io.BytesIO(before["docx"]))
    assert [p.text for p in paper.paragraphs if p.style and p.style.name == "Heading 1"][:2] == [
        "一、受理情况",
        "二、办理情况",
    ]
    longest = max(paper.tables, key=lambda table: len(table.rows))
    assert "tblHeader" in longest.rows[0]._tr.xml

    with api.world.engine.connect() as connection:
        rows = connection.execute(
            text("SELECT what FROM audit WHERE kind = 'report_printed' ORDER BY at, seq")
        )
        recorded = [row.what for row in rows]
    assert len(recorded) == 10
    assert recorded[-1] == {"report": report, "format": "csv", "filed": True}


def test_a_workbook_holds_numbers_and_the_csv_no_formulas(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    with api.world.engine.begin() as connection:
        connection.execute(text("UPDATE units SET name = '=HYPERLINK(\"http://x\")' WHERE code = 'JTJ'"))
    report = of_march(api)
    content = api.get(f"/reports/{report}", "supervisor").json()["content"]
    book = CalamineWorkbook.from_filelike(io.BytesIO(download(api, report, "xlsx").content))
    assert {"总体", "各承办单位情况", "趋势", "指标口径", "典型案例"} <= set(book.sheet_names)
    lines = {row[0]: row for row in book.get_sheet_by_name("总体").to_python()}
    for key in ("timely", "satisfied", "handling_hours", "received"):
        figure, row = content["figures"]["whole"][key], lines[BY_KEY[key].name]
        assert row[1] == pytest.approx(float(exhibits.exact(figure, BY_KEY[key].unit) or 0)), key
        scale = 3600 if key == "handling_hours" else 1
        assert row[3] == pytest.approx(figure["numerator"] / scale), key
    units = book.get_sheet_by_name("各承办单位情况").to_python()
    assert '=HYPERLINK("http://x")' in {row[0] for row in units}, "text, as it is"

    told_csv = download(api, report, "csv").content
    assert told_csv.startswith(b"\xef\xbb\xbf")
    table = list(csv.DictReader(io.StringIO(told_csv.decode("utf-8-sig"))))
    assert not [row for row in table for value in row.values() if value.startswith(("=", "+", "@"))]
    (received,) = [row for row in table if row["表"] == "总体" and row["指标"] == "received"]
    assert int(received["分子"]) == content["figures"]["whole"]["received"]["numerator"]


def test_cases_tell_of_nobody_and_may_be_struck_out(told: tuple[Api, list[str]]) -> None:
    api, numbers = told
    other, report = second_supervisor(api), of_march(api)
    step(api, report, "strike", "supervisor", {"number": numbers[0], "reason": "测试"}, status=409)
    reviewed = step(api, report, "review", "supervisor")
    (case,) = [each for each in reviewed["content"]["cases"] if each["kind"] == "good"]
    assert (case["number"], case["units"]) == (numbers[0], ["测试市住建局"])
    assert "暖气不热" in case["demand"]
    assert "修好供热管道" in case["result"]
    printed = json.dumps(reviewed["content"], ensure_ascii=False)
    for personal in ("测试甲", "测试乙", "13900000001", "139****", "测试路1号"):
        assert personal not in printed, personal

    wrong = step(api, report, "strike", other, {"number": "010000000000000", "reason": "测试"}, status=422)
    assert wrong["field"] == "number"
    struck = step(api, report, "strike", other, {"number": numbers[0], "reason": "在查，13900000001"})
    assert numbers[1] in {each["number"] for each in struck["content"]["cases"]}
    assert numbers[0] not in {each["number"] for each in struck["content"]["cases"]}
    assert struck["content"]["figures"] == reviewed["content"]["figures"]
    assert struck["reviewed_by"] == "测试督办乙"
    step(api, report, "file", other, status=403)  # who changed it has reviewed it
    assert "马测试师傅" not in json.dumps(covered(api, report, other, numbers[1]), ensure_ascii=False)
    again = step(api, report, "review", other)
    assert numbers[0] not in {each["number"] for each in again["content"]["cases"]}, "struck out once for all"
    filed = step(api, report, "file", "supervisor")
    assert "13900000001" not in filed["content"]["cases_struck"][0]["reason"]
    step(api, report, "strike", other, {"number": numbers[1], "reason": "测试"}, status=409)
    said = words_of(download(api, report, "docx").content)
    assert "撤换案例1个" in said
    assert "隐去涉及他人的文字1处" in said
    assert "马测试师傅" not in said
    assert "马测试师傅" not in json.dumps(filed, ensure_ascii=False)


def covered(api: Api, report: int, login: str, number: str) -> Any:
    """The cases once the name in this one, which was marked and is in it, was hidden."""
    marked = api.get(f"/reports/{report}", login).json()
    assert marked["likely"][number] == ["马测试师傅"]
    assert "马测试师傅" in json.dumps(marked["content"]["cases"], ensure_ascii=False)
    wrong = {"number": number, "words": ["李测试师傅"]}
    assert step(api, report, "cover", login, wrong, status=422)["field"] == "words"
    told = step(api, report, "cover", login, wrong | {"words": ["马测试师傅"]})
    assert told["likely"] == {}
    return told["content"]["cases"]


def test_a_special_report_says_only_what_it_was_asked_for(worked: Api) -> None:
    view = {"slice": {"unit": "ZJJ"}, "by": ["matter"], "indicators": ["timely", "assigned"]}
    body = {"title": "住建专题", "period": "2026-03-02..2026-03-20", "view": view}
    report = worked.post("/reports", "supervisor", body).json()["id"]
    said = words_of(download(worked, report, "docx").content)
    assert "2026年3月2日至2026年3月20日" in said
    assert "及时率" in said
    assert "满意率" not in said
    assert download(worked, report, "pdf").content.startswith(b"%PDF-")
    download(worked, report, "pdf", "agent", status=403)
    download(worked, report, "pdf", "b-supervisor", status=404)
    download(worked, report, "doc", status=422)


def test_without_chinese_fonts_it_says_what_to_install(worked: Api, tmp_path: Path) -> None:
    tick(worked)
    report = of_march(worked)
    runtime = worked.client.app.state.runtime  # type: ignore[attr-defined]
    runtime.settings = runtime.settings.model_copy(update={"font_dir": tmp_path})
    refused = download(worked, report, "pdf", status=503).json()
    assert refused["code"] == "fonts_missing"
    assert "fonts-noto-cjk" in refused["detail"]
    assert "HOTLINE_FONT_DIR" in refused["detail"]
    download(worked, report, "xlsx")


def test_few_documents_are_made_at_a_time() -> None:
    with rendering.turn(), rendering.turn(), pytest.raises(rendering.PrintingBusy), rendering.turn(0.01):
        pass
    with rendering.turn(0.01):
        pass


def test_sentences_name_figures_there_are() -> None:
    rows = [
        sentence
        for section in wording.words()["section"]
        for part in (section, *section.get("part", ()))
        for sentence in part.get("sentences", ())
    ]
    assert len(rows) > 20
    for row in rows:
        assert set(row["needs"]) <= set(BY_KEY), row
        for sentence in (row["text"], row.get("none", "")):
            for _, name, _, _ in Formatter().parse(sentence):
                key = (name or "").split(".")[0].split("[")[0]
                assert not key or key == "period" or key in row["needs"], (key, sentence)
                if name and "[" in name:
                    label = name.split("[")[1].rstrip("]")
                    assert label in {each.label for each in BY_KEY[key].beside}, sentence


def test_chains_still_hold_with_cases_in_them(told: tuple[Api, list[str]]) -> None:
    api, _ = told
    report = of_march(api)
    step(api, report, "review", "supervisor")
    step(api, report, "file", "supervisor")
    with Session(api.world.engine) as session:
        assert filing.verify(session) == []
