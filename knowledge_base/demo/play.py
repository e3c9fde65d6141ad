"""The knowledge base in the demo's play: what agents tell, what units hand in after an inquiry, and the days that pass over it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from hotline import aftercare
from hotline.case import Case, Desk, Office
from hotline.demo.corpus import Saying
from hotline.demo.organisation import Hotline
from hotline.demo.shelf import Lesson, no_change
from hotline.fields import Order
from hotline.orders import AnswerOrder, Demand
from knowledge_base import articles, drafts, rendering, telling
from knowledge_base.demo import diary, stock
from knowledge_base.drafts import SubmitKnowledge
from knowledge_base.library import published
from knowledge_base.models import Article, ArticleVersion
from workflow.deadlines import local_day
from workflow.vocabulary import Act, KnowledgeOutcome, VersionState


def _on(desk: Desk, question: str) -> ArticleVersion | None:
    """The published wording of this very question, the platform's own before one above."""
    row = desk.session.execute(
        published()
        .where(articles.visible_articles(desk.actor), col(ArticleVersion.question) == question)
        .order_by(col(Article.platform_id) == desk.actor.home_id, col(Article.id))
    ).all()
    return row[-1][1] if row else None


def _own(desk: Desk, question: str) -> tuple[Article, ArticleVersion] | None:
    """The acting unit's article on this very question, with its newest version."""
    row = desk.session.execute(
        select(Article, ArticleVersion)
        .join(
            ArticleVersion,
            (col(ArticleVersion.article_id) == col(Article.id))
            & (col(ArticleVersion.version) == col(Article.current_version)),
        )
        .where(col(Article.unit_id) == desk.actor.unit_id, col(ArticleVersion.question) == question)
        .limit(1)
    ).first()
    return (row[0], row[1]) if row is not None else None


@dataclass(frozen=True, slots=True)
class KnowledgeBase:
    """The shelf of the play (`hotline.demo.shelf.Shelf`). It has no state of its own: everything is in the database."""

    def stock(
        self, session: Session, hotlines: Mapping[str, Hotline], opened: datetime, now: datetime
    ) -> int:
        """The articles of the first day; how many. The caller commits."""
        return stock.stock(session, hotlines, opened, now)

    def answer(self, desk: Desk, said: Saying) -> AnswerOrder | None:
        """The article on this very matter, of the platform itself or one above, if it may be told today."""
        found = _on(desk, stock.as_question(said.asked)) if said.asked else None
        if found is None or articles.why_not_told(found, local_day(desk.at)) is not None:
            return None
        words = rendering.told_text(found.answer, found.guide)
        return AnswerOrder(answer=words, knowledge_version=articles.reference(found))

    def take(self, desk: Desk, demand: Demand, verb: Act, decision: Order, platform_id: int | None) -> Case:
        """A contact, and what was told of it."""
        return telling.take(desk, demand, verb, decision, platform_id)

    def answer_at_once(self, desk: Desk, number: str, order: AnswerOrder) -> Case:
        """The same for one registered before."""
        return telling.answer_at_once(desk, number, order)

    def learn(self, desk: Desk, number: str, lesson: Lesson) -> Case:
        """A new draft, or a newer wording of the unit's article, submitted and tied to the ticket; else «no change» (art. 23)."""
        order = self._handed_in(desk, lesson)
        if order is None:
            return aftercare.update_knowledge(desk, number, no_change(lesson.unchanged))
        case, _ = drafts.submit(desk, number, order)
        return case

    def _handed_in(self, desk: Desk, lesson: Lesson) -> SubmitKnowledge | None:
        said, outcome = lesson.said, lesson.outcome
        if outcome is KnowledgeOutcome.NO_CHANGE or not said.asked:
            return None
        question = stock.as_question(said.asked)
        own = _own(desk, question)
        if outcome is KnowledgeOutcome.SUBMITTED and own is None:
            words = said.answer or drafts.as_answer(said.reply)
            return SubmitKnowledge(
                question=question, answer=words, categories=[said.category], reason=lesson.changed
            )
        if outcome is KnowledgeOutcome.UPDATED and own is not None:
            article, version = own
            if version.state is VersionState.PUBLISHED:
                content = articles.content_of(article, version).model_dump(exclude={"kind", "change_note"})
                content |= {"answer": stock.reworded(version.answer, local_day(desk.at))}
                return SubmitKnowledge(
                    **content, change_note=lesson.changed, reason=lesson.changed, article=article.id
                )
        return None

    def pass_time(
        self,
        session: Session,
        office: Office,
        hotlines: Mapping[str, Hotline],
        since: datetime,
        until: datetime,
        now: datetime,
    ) -> None:
        """Drafts are checked and published, some articles corrected or withdrawn, callers called back, units asked."""
        diary.pass_time(session, office, hotlines, since, until, now)
