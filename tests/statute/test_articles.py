"""Every lawyer's case, one test each; every sentence of the articles concerned has one; and the runner can fail."""

import re
from typing import TYPE_CHECKING

import pytest

from tests.statute import casebook
from tests.statute.casebook import CaseInvalid, LegalCase, Unmet
from workflow.statute import articles

if TYPE_CHECKING:
    from tests.world import World

CASES, OUTSIDE = casebook.read_all()
PERIODS = [case for case in CASES if case.kind == "期限"]
COURSES = [case for case in CASES if case.kind == "经过"]
COVERED = ("10", "11", "12", "13", "14", "17", "18", "23", "27")


@pytest.mark.parametrize("case", PERIODS, ids=lambda case: case.id)
def test_period(case: LegalCase) -> None:
    casebook.run_period(case)


@pytest.mark.parametrize("case", COURSES, ids=lambda case: case.id)
def test_course(case: LegalCase, shared_world: "World") -> None:
    from tests.statute import scenario

    assert scenario.run(case, shared_world) > 0


@pytest.mark.parametrize("case", [*CASES, *OUTSIDE], ids=lambda case: f"{case.article}-{case.quote[:20]}")
def test_the_sentence_quoted_stands_in_the_article_word_for_word(
    case: LegalCase | casebook.Organisational,
) -> None:
    assert case.quote in articles()[case.article]


def sentences(article: str) -> list[str]:
    """The sentences of an article, without the headings of its items (（四）限时办结。)."""
    body = re.sub(r"（[一二三四五六七八九十]+）(\w{4}。)?", "", articles()[article])
    parts = re.split(r"[。；\n]", body)
    return [part.strip() for part in parts if part.strip()]


def _much_of(quote: str, sentence: str) -> bool:
    part = quote.rstrip("。；，：")
    return part in sentence and len(part) * 2 > len(sentence)


@pytest.mark.parametrize("article", COVERED)
def test_every_sentence_of_the_article_has_a_case(article: str) -> None:
    quoted: list[LegalCase | casebook.Organisational] = [*CASES, *OUTSIDE]
    quotes = [case.quote for case in quoted if case.article.split("(")[0] == article]
    bare = [s for s in sentences(article) if not any(s in quote or _much_of(quote, s) for quote in quotes)]
    assert bare == []


def test_no_two_cases_share_a_name() -> None:
    names = [(case.file, case.name) for case in CASES]
    assert sorted(set(names)) == sorted(names)


# --- the runner itself can fail -----------------------------------------------------------------------------------------

HEAD = 'article: "14(4)"\ncases:\n  - name: 试\n    依据: 意见建议类工单\n'
PERIOD = (
    HEAD + "    期限: {时限: 答复, 性质: 意见建议, 起算: 2026-03-02 09:00, 届满: 2026-03-09, 暂定: 否%s}\n"
)
COURSE = HEAD + (
    "    经过:\n"
    "      - 2026-03-02 09:00 话务员 受理: {性质: 意见建议}\n"
    "      - 2026-03-02 10:00 派单员 派单: {牵头: 住建局}\n"
    "      - %s\n"
)


def one(text: str) -> LegalCase:
    cases, _ = casebook.parse(text, "article_14.yaml")
    return cases[0]


def test_a_right_period_passes() -> None:
    assert casebook.run_period(one(PERIOD % "")) is not None


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (PERIOD.replace("2026-03-09", "2026-03-10") % "", Unmet),
        (PERIOD.replace("暂定: 否", "暂定: 是") % "", Unmet),
        (PERIOD % ", 不计: {2026-03-06: 周末}", Unmet),
        (PERIOD % ", 计入: [2026-03-03]", Unmet),
        (PERIOD % ", 不成: too_late", Unmet),
        (PERIOD % ", 延期: [11]", Unmet),
        (PERIOD.replace("届满: 2026-03-09", "不成: limit_exceeded") % "", Unmet),
        (PERIOD % ", 到期: 2026-03-09", CaseInvalid),
        (PERIOD.replace("意见建议, 起", "闲聊, 起") % "", CaseInvalid),
        (PERIOD.replace("暂定: 否", "暂定: true") % "", CaseInvalid),
        (PERIOD.replace("届满: 2026-03-09, ", "") % "", CaseInvalid),
        (PERIOD.replace("09:00", "") % "", CaseInvalid),
    ],
)
def test_a_wrong_period_is_found_out(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        casebook.run_period(one(text))


@pytest.mark.parametrize(
    "text",
    [
        HEAD.replace("依据", "根据") + "    期限: {}\n",
        HEAD + "    期限: {}\n    经过: []\n",
        HEAD,
        HEAD.replace("cases", "案例"),
        HEAD + "    期限: {时限: 答复, 时限: 退单}\n",
    ],
)
def test_a_case_with_unknown_or_repeated_words_is_not_read(text: str) -> None:
    with pytest.raises(CaseInvalid):
        casebook.parse(text, "article_14.yaml")


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("此时: {状态: 办理中}", Unmet),
        ("此时: {住建局答复: {届满: 2026-03-10}}", Unmet),
        ("此时: {住建局答复: {逾期: 是}}", Unmet),
        ("此时: {住建局答复: 已完成}", Unmet),
        ("此时: {住建局答复: {完成于: 2026-03-02 10:00}}", Unmet),
        ("此时: {住建局答复: 无}", Unmet),
        ("此时: {补办: 进行中}", Unmet),
        ("此时: {台账: [签收]}", Unmet),
        ("此时: {单位: {住建局: 已反馈}}", Unmet),
        ("2026-03-03 09:00 住建局 签收: {不成: illegal_move}", Unmet),
        ("2026-03-03 09:00 住建局 归档", Unmet),
        ("2026-03-03 09:00 住建局 归档: {不成: {代码: act_not_granted}}", Unmet),
        ("2026-03-03 09:00 住建局 归档: {不成: {代码: illegal_move, 含: 没有这样的话}}", Unmet),
        ("此时: {心情: 好}", CaseInvalid),
        ("此时: {住建局答复: {到期: 2026-03-09}}", CaseInvalid),
        ("此时: {状态: 忙}", CaseInvalid),
        ("2026-03-03 09:00 住建局 签收: {天数: 3}", CaseInvalid),
        ("2026-03-03 09:00 路人 签收", CaseInvalid),
        ("2026-03-03 09:00 住建局 喝茶", CaseInvalid),
        ("2026-03-01 09:00 住建局 签收", CaseInvalid),
        ("09:00 签收", CaseInvalid),
        ("2026-03-03 09:00 住建局 签收", CaseInvalid),
    ],
)
def test_a_wrong_course_is_found_out(step: str, error: type[Exception], shared_world: "World") -> None:
    from tests.statute import scenario

    with pytest.raises(error):
        scenario.run(one(COURSE % step), shared_world)


def test_a_course_leaves_nothing_behind(shared_world: "World") -> None:
    from sqlalchemy import func, select
    from sqlmodel import Session

    from hotline.models import LedgerEntry
    from tests.statute import scenario

    assert scenario.run(one(COURSE % "此时: {状态: 已派单}"), shared_world) == 1
    with Session(shared_world.engine) as session:
        assert session.execute(select(func.count()).select_from(LedgerEntry)).scalar_one() == 0


def test_a_broken_chain_is_found_out(shared_world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    from hotline import ledger
    from tests.statute import scenario

    monkeypatch.setattr(ledger, "entries_of", lambda _session, _ticket: [])
    with pytest.raises(Unmet, match="台账"):
        scenario.run(one(COURSE % "此时: {状态: 已派单}"), shared_world)
