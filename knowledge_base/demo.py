"""The demo's knowledge: invented questions, answers and guides, each put through the real steps of an article's life.

Sums, limits and dates in them are examples, not policy (`hotline/data/README.md`).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from importlib.resources import files
from typing import Any, Final

from sqlmodel import Session

from hotline.access import Actor
from hotline.demo.organisation import PROVINCE, Hotline
from hotline.demo.pace import at_time
from knowledge_base import articles, lifecycle
from knowledge_base.models import ArticleVersion
from knowledge_base.orders import ArticleOrder, StepOrder
from workflow.deadlines import CHINA, local_day
from workflow.vocabulary import KnowledgeStep, Relation, Role

K = KnowledgeStep
MOST: Final = 84
"""Questions and answers taken from the demo's demands; the guides come on top."""

_LOCAL: Final = ("西宁市", "01")
_EXPIRES, _REVIEW = timedelta(days=100), timedelta(days=150)


@dataclass(frozen=True, slots=True)
class Entry:
    """One article to be: on which platform, for which duty, what it says."""

    platform: str
    duty: str
    order: ArticleOrder


def stock(session: Session, hotlines: Mapping[str, Hotline], opened: datetime, now: datetime) -> int:
    """Fill the knowledge base of the demo's platforms as of `opened`, and leave a few drafts on their way as of `now`; how many
    articles. The caller commits."""
    made: dict[str, int] = {}
    for number, entry in enumerate(_entries(local_day(opened))):
        home = hotlines[entry.platform]
        at = _moment(opened, days=40 - number // 4, minutes=7 * (number % 4))
        version = _publish(session, home, entry, at)
        if number % 29 == 3:
            _correct(session, home, entry, version, at + timedelta(days=1))
        made[entry.order.question] = version.article_id
    return len(made) + _local_ones(session, hotlines, made, opened) + _on_their_way(session, hotlines, now)


def _moment(opened: datetime, *, days: int, minutes: int) -> datetime:
    day = (opened - timedelta(days=days)).astimezone(CHINA).date()
    return at_time(day, time(9)) + timedelta(minutes=minutes)


def _entries(today: date) -> Iterator[Entry]:
    """The guides, then the questions of the demands that have a standard answer."""
    for guide in GUIDES:
        yield Entry(guide["platform"], guide["duty"], ArticleOrder.model_validate(guide["order"]))
    demands = json.loads(files("hotline").joinpath("demo", "demands.json").read_text("utf-8"))
    answered = [demand for demand in demands if demand.get("answer")]
    for number, demand in enumerate(answered[:MOST]):
        everywhere = "any" in demand["places"]
        if not everywhere and _LOCAL[0] not in demand["places"]:
            continue
        question = demand["title"] if demand["title"].endswith("？") else f"{demand['title']}？"
        content: dict[str, Any] = {
            "question": question,
            "answer": demand["answer"],
            "categories": [demand["category"]],
            "change_note": "演示数据",
        }
        if number % 20 == 7:
            content["valid_until"] = today + _EXPIRES
        if number % 12 == 5:
            content["review_on"] = today + _REVIEW
        yield Entry(PROVINCE if everywhere else _LOCAL[1], demand["unit_kind"], ArticleOrder(**content))


# --- through the real steps --------------------------------------------------------------------------------------------


def _publish(session: Session, home: Hotline, entry: Entry, at: datetime) -> ArticleVersion:
    unit = home.department(entry.duty)
    version = articles.write(session, unit.handlers[0], entry.order, at=at)
    return _carry(session, home, version, unit.handlers[0], unit.lead, at)


def _carry(
    session: Session, home: Hotline, version: ArticleVersion, handler: Actor, lead: Actor | None, at: datetime
) -> ArticleVersion:
    """From the draft to publication, within two hours: the unit's lead if there is one, then the platform's editor."""
    steps = [(K.SUBMIT, handler, 10), (K.PUBLISH, home.staff[Role.EDITOR][0], 120)]
    if lead is not None:
        steps.insert(1, (K.UNIT_APPROVE, lead, 60))
    else:
        steps[-1] = (K.PUBLISH, home.staff[Role.SUPERVISOR][0], 120)
    for step, actor, minutes in steps:
        lifecycle.take_step(
            session, actor, version.article_id, step, StepOrder(), at=at + timedelta(minutes=minutes)
        )
    return version


def _correct(session: Session, home: Hotline, entry: Entry, version: ArticleVersion, at: datetime) -> None:
    """A second version: the same answer, with where to ask added."""
    unit = home.department(entry.duty)
    words = entry.order.model_dump(exclude={"change_note", "source", "relation"})
    words["answer"] += "\n\n详情可拨打 12345 咨询。"
    order = ArticleOrder(**words, change_note="补充咨询电话（演示数据）")
    again = articles.write(session, unit.handlers[0], order, at=at, article_id=version.article_id)
    _carry(session, home, again, unit.handlers[0], unit.lead, at)


def _local_ones(
    session: Session, hotlines: Mapping[str, Hotline], made: Mapping[str, int], opened: datetime
) -> int:
    """A prefecture's article in place of a province's, and one beside it, both by the prefecture's editor."""
    home = hotlines[_LOCAL[1]]
    editor = home.staff[Role.EDITOR][0]
    for number, (source, relation, question, answer) in enumerate(LOCAL):
        at = _moment(opened, days=5, minutes=number * 9)
        order = ArticleOrder(
            question=question, answer=answer, source=made[source], relation=relation, change_note="演示数据"
        )
        version = articles.write(session, editor, order, at=at)
        _carry(session, home, version, editor, None, at)
    return len(LOCAL)


def _on_their_way(session: Session, hotlines: Mapping[str, Hotline], now: datetime) -> int:
    """A draft, one with the unit's lead, one with the platform."""
    home = hotlines[_LOCAL[1]]
    for number, (duty, question, answer) in enumerate(DRAFTS):
        unit = home.department(duty)
        at = now - timedelta(hours=20 - number)
        order = ArticleOrder(question=question, answer=answer, change_note="演示数据")
        version = articles.write(session, unit.handlers[0], order, at=at)
        todo = ((K.SUBMIT, unit.handlers[0]), (K.UNIT_APPROVE, unit.lead))[:number]
        for step, actor in todo:
            lifecycle.take_step(session, actor, version.article_id, step, StepOrder(), at=at)
    return len(DRAFTS)


# --- what they say -----------------------------------------------------------------------------------------------------


def _guide(platform: str, duty: str, question: str, answer: str, **guide: Any) -> dict[str, Any]:
    category = guide.pop("category", None)
    order: dict[str, Any] = {
        "question": question,
        "answer": answer,
        "kind": "guide",
        "synonyms": guide.pop("synonyms", []),
        "guide": {"phone": "12345", "visits": 1} | guide,
        "change_note": "演示数据",
    }
    if category is not None:
        order["categories"] = [category]
    return {"platform": platform, "duty": duty, "order": order}


GUIDES: Final = (
    _guide(
        "00",
        "labour",
        "社会保障卡怎么申领",
        "本人持身份证到**任一合作银行网点**或社保经办窗口申领，可当场制卡。",
        conditions="在本省参加社会保险的人员",
        materials="身份证原件\n近期免冠照片（可现场拍摄）",
        steps="1. 填写申领表\n2. 核验身份\n3. 制卡、激活",
        limit="当场办结",
        statutory_limit="15个工作日",
        fee="首次申领不收费",
        synonyms=["办社保卡", "社保卡申请"],
    ),
    _guide(
        "00",
        "labour",
        "社会保障卡丢失后怎么补办",
        "先拨打发卡银行电话**临时挂失**，再持身份证到银行网点补卡。",
        materials="身份证原件",
        limit="3个工作日",
        synonyms=["社保卡丢了", "社保卡挂失"],
    ),
    _guide(
        "00",
        "public_security",
        "居民身份证到期换领",
        "有效期满前**三个月**内，可在任一户籍派出所换领，异地也可办理。",
        materials="原身份证\n户口簿",
        limit="20个工作日",
        statutory_limit="60个自然日",
        fee="工本费20元（示例）",
        synonyms=["换身份证", "身份证过期"],
    ),
    _guide(
        "00",
        "public_security",
        "普通护照申请",
        "可在全省任一出入境窗口申请，线上可预约。",
        materials="身份证原件\n照片回执",
        limit="7(工作日)",
        fee="120元（示例）",
        synonyms=["办护照"],
    ),
    _guide(
        "00",
        "insurance",
        "基本医疗保险异地就医备案",
        "通过国家医保服务平台 App 或参保地窗口备案，**备案后即时生效**。",
        materials="身份证或医保电子凭证",
        limit="当场办结",
        visits=0,
        synonyms=["异地医保", "跨省看病备案"],
    ),
    _guide(
        "00",
        "civil_affairs",
        "婚姻登记预约与办理",
        "双方持身份证到**任一**婚姻登记处办理，不再限户籍地。",
        materials="双方身份证\n双方合影照片",
        limit="当场办结",
        fee="不收费",
        synonyms=["领结婚证", "结婚登记"],
    ),
    _guide(
        "00",
        "market",
        "企业开办一网通办",
        "营业执照、刻章、税务、社保开户**一次提交、一并办理**。",
        materials="登记申请书\n住所证明\n股东身份证明",
        limit="1个工作日",
        statutory_limit="3个工作日",
        visits=0,
        synonyms=["注册公司", "办营业执照"],
    ),
    _guide(
        "01",
        "housing",
        "商品房预售合同网签备案",
        "由开发企业在网签系统提交，购房人可在线查询结果。",
        materials="购房合同\n身份证\n购房资格承诺",
        limit="3(工作日)",
        synonyms=["网签", "购房合同备案"],
    ),
    _guide(
        "01",
        "housing",
        "住房公积金提取（租房）",
        "无房职工可按规定限额提取，小程序提交，系统核验无房信息。",
        materials="身份证\n无房承诺",
        limit="3个工作日",
        visits=0,
        synonyms=["公积金租房提取"],
    ),
    _guide(
        "01",
        "education",
        "外来务工人员随迁子女入学",
        "每年七月在入学服务平台登记，由居住地统筹安排公办学位。",
        materials="居住证\n就业证明\n租房凭证",
        limit="15个工作日",
        synonyms=["外地孩子上学", "随迁子女"],
    ),
)

LOCAL: Final = (
    (
        "社会保障卡丢失后怎么补办",
        Relation.ADDS,
        "社会保障卡补办（西宁市便民点）",
        "西宁市另在各区政务服务大厅设有**即时补卡点**，周六上午也可办理。",
    ),
    (
        "居民身份证到期换领",
        Relation.OVERRIDES,
        "居民身份证到期换领（西宁市）",
        "西宁市户籍派出所和各政务服务大厅均可换领，市内制证**10个工作日**，可邮寄到家。",
    ),
)

DRAFTS: Final = (
    ("transport", "冬季公交末班车时间怎么调整", "十一月起部分线路末班车提前半小时，以站牌公布为准。"),
    ("utilities", "供热费可以分期交吗", "符合条件的困难家庭可向供热单位申请分期。"),
    ("environment", "散煤回收在哪里登记", "向村（居）委会登记，由街道统一回收。"),
)
