"""The demo's first articles: invented questions, answers and guides, each put through the real steps of an article's life.

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
from hotline.demo.plan import SPAN
from knowledge_base import articles, lifecycle
from knowledge_base.demo.guides import DRAFTS, GUIDES, LOCAL
from knowledge_base.models import ArticleVersion
from knowledge_base.orders import ArticleOrder, StepOrder
from workflow.deadlines import CHINA, local_day
from workflow.vocabulary import KnowledgeStep, Role

K = KnowledgeStep
MOST: Final = 84
"""Questions and answers taken from the demo's demands; the guides come on top."""

_LOCAL: Final = ("西宁市", "01")
_EXPIRES, _REVIEW = timedelta(days=100), timedelta(days=150)
_EXPIRES_SOON = timedelta(days=20)
"""After the half year: at its end these are about to expire. The others expired in it, or are due for a review."""


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


def as_question(matter: str) -> str:
    """A matter of the corpus as an article asks it."""
    return matter if matter.endswith("？") else f"{matter}？"


def reworded(answer: str, day: date) -> str:
    """The same answer, looked through on `day`."""
    plain = answer.partition("\n\n（")[0]
    return f"{plain}\n\n（{day.year}年{day.month}月{day.day}日核对。详情可拨打 12345 咨询。）"


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
        content: dict[str, Any] = {
            "question": as_question(demand["title"]),
            "answer": demand["answer"],
            "categories": [demand["category"]],
            "change_note": "演示数据",
        }
        if number % 20 == 7:
            content["valid_until"] = today + _EXPIRES
        if number % 20 == 13:
            content["valid_until"] = today + SPAN + _EXPIRES_SOON
        if number % 20 == 17:
            content["source_url"] = f"https://policy.invalid/{demand['id']}"
        if number % 12 == 5:
            content["review_on"] = today + _REVIEW
        yield Entry(PROVINCE if everywhere else _LOCAL[1], demand["unit_kind"], ArticleOrder(**content))


# --- through the real steps --------------------------------------------------------------------------------------------


def _publish(session: Session, home: Hotline, entry: Entry, at: datetime) -> ArticleVersion:
    unit = home.department(entry.duty)
    version = articles.write(session, unit.handlers[0], entry.order, at=at)
    return carry(session, home, version, unit.handlers[0], unit.lead, at)


def carry(
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
    carry(session, home, again, unit.handlers[0], unit.lead, at)


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
        carry(session, home, version, editor, None, at)
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
