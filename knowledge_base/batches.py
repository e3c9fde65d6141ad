"""One step for many articles at once, after an import for instance: all of them, or none and each row says why. Art. 22."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from pydantic import Field, model_validator
from sqlmodel import Session

from hotline.access import Actor
from hotline.fields import Order, Prose
from knowledge_base import articles, lifecycle
from knowledge_base.feed import Key, VersionNumber
from knowledge_base.orders import StepOrder
from workflow.errors import RuleBroken
from workflow.vocabulary import KnowledgeStep, VersionState

MOST: Final = 500


class Stepped(Order):
    """One article of a batch; `version` as in a single step."""

    article: Key
    version: VersionNumber | None = None


class StepBatch(Order):
    """批量流转: one step for these articles, with one reason where one is owed."""

    step: KnowledgeStep = Field(description="提交、单位审核、核验发布等，与单条办理相同；不能为编写")
    articles: list[Stepped] = Field(min_length=1, max_length=MOST)
    reason: Prose | None = None
    review_on: date | None = Field(default=None, description="复核无变化时的下次复核日期")
    skip_refused: bool = Field(
        default=False, description="跳过不能办理的，办理其余的；缺省为一条不能即全部不办"
    )

    @model_validator(mode="after")
    def _each_once(self) -> "StepBatch":
        if self.step not in lifecycle.BY_ROUTE:
            raise ValueError("编写不能批量进行")
        if len({each.article for each in self.articles}) != len(self.articles):
            raise ValueError("同一条知识在一批中只能出现一次")
        return self


@dataclass(frozen=True, slots=True)
class Row:
    """What became, or would become, of one article: its version's name and state, or why it could not be."""

    article: int
    name: str | None = None
    state: VersionState | None = None
    refused: RuleBroken | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The rows in the order they were asked for; `done` is how many took the step: all, none, or with `skip_refused` some."""

    done: int
    rows: tuple[Row, ...]


def take_steps(session: Session, actor: Actor, order: StepBatch, *, at: datetime) -> Outcome:
    """Take one step with every article of the batch, or, where one is refused, with none. Raises nothing of its own.

    Articles are locked in the order of their keys, so that two batches never wait in a circle. The caller commits.
    """
    if order.step in (KnowledgeStep.PUBLISH, KnowledgeStep.WITHDRAW):
        lifecycle.lock_feed(session)
    whole = session.begin_nested()
    rows = {
        each.article: _one(session, actor, order, each, at)
        for each in sorted(order.articles, key=lambda each: each.article)
    }
    done = sum(row.refused is None for row in rows.values())
    if done < len(rows) and not order.skip_refused:
        whole.rollback()
        done = 0
    else:
        whole.commit()
    return Outcome(done, tuple(rows[each.article] for each in order.articles))


def _one(session: Session, actor: Actor, order: StepBatch, each: Stepped, at: datetime) -> Row:
    step = StepOrder(version=each.version, reason=order.reason, review_on=order.review_on)
    try:
        with session.begin_nested():
            version = lifecycle.take_step(session, actor, each.article, order.step, step, at=at)
    except RuleBroken as refused:
        return Row(each.article, refused=refused)
    return Row(each.article, articles.reference(version), version.state)
