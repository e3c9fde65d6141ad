"""Articles for tests, put through the real steps of their life."""

from datetime import datetime
from typing import Any

from sqlmodel import Session

from knowledge_base import articles, lifecycle
from knowledge_base.orders import ArticleOrder, StepOrder
from tests.world import World
from workflow.vocabulary import KnowledgeStep

K = KnowledgeStep


def order(question: str, answer: str, **more: Any) -> ArticleOrder:
    """What is written of an article."""
    return ArticleOrder.model_validate({"question": question, "answer": answer} | more)


def publish(
    world: World,
    at: datetime,
    question: str,
    answer: str,
    *,
    article: int | None = None,
    unit: str | None = None,
    prefix: str = "",
    **more: Any,
) -> str:
    """Write, review, check and publish one version; its name. A unit's passes its lead, the platform's a second person."""
    written = order(question, answer, **more)
    writer, lead = (unit, f"{unit}-lead") if unit else (f"{prefix}editor", None)
    with Session(world.engine, expire_on_commit=False) as session:
        version = articles.write(
            session, world.actor(session, writer or ""), written, at=at, article_id=article
        )
        name = articles.reference(version)
        session.commit()
    key = int(name.partition("@")[0])
    step(world, at, key, K.SUBMIT, writer or "")
    if lead is not None:
        step(world, at, key, K.UNIT_APPROVE, lead)
    step(world, at, key, K.PUBLISH, f"{prefix}supervisor")
    return name


def step(world: World, at: datetime, article: int, which: KnowledgeStep, login: str, **more: Any) -> None:
    """One step by one person."""
    with Session(world.engine) as session:
        lifecycle.take_step(session, world.actor(session, login), article, which, StepOrder(**more), at=at)
        session.commit()


def withdraw(world: World, at: datetime, name: str, *, prefix: str = "") -> None:
    """Take the published version back."""
    step(world, at, int(name.partition("@")[0]), K.WITHDRAW, f"{prefix}editor", reason="口径有误，撤下核实。")
