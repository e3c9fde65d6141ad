"""The demo's knowledge went through the real steps, is told from and asked about, and stands as a knowledge base does."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlmodel import Session, col

from hotline import reference
from hotline.demo import driver, organisation
from hotline.models import Ticket
from hotline.settings import Settings
from hotline.storage.store import make_engine
from knowledge_base import freshness
from knowledge_base.demo import SHELF
from knowledge_base.models import Article, ArticleStep, ArticleVersion, Recall, Telling, UnitQuestion
from tests import world as w
from workflow.deadlines import local_day
from workflow.vocabulary import (
    ArticleKind,
    KnowledgeStep,
    QuestionState,
    RecallReason,
    Relation,
    Role,
    State,
    Upkeep,
    VersionState,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = w.china("2026-03-02 09:00")


def test_the_demo_has_articles_of_every_kind_with_every_step(engine: "Engine", tmp_path: Path) -> None:
    with Session(engine) as session:
        reference.load_shipped(session)
        organisation.create(session)
        organisation.issue_logins(session, b"k" * 32, NOW)
        count = SHELF.stock(session, organisation.roster(session, 1), NOW - timedelta(days=183), NOW)
        session.commit()
        rows = session.execute(
            select(Article, ArticleVersion).join(
                ArticleVersion, col(ArticleVersion.article_id) == col(Article.id)
            )
        ).all()
        states = Counter(version.state for _, version in rows)
        assert 60 <= states[VersionState.PUBLISHED] <= 100
        assert {VersionState.DRAFT, VersionState.UNIT_REVIEW, VersionState.PLATFORM_CHECK} <= set(states)
        assert states[VersionState.SUPERSEDED] >= 2
        assert count == len({article.id for article, _ in rows})
        assert {article.kind for article, _ in rows} == {ArticleKind.QA, ArticleKind.GUIDE}
        assert {article.relation for article, _ in rows} == {None, Relation.ADDS, Relation.OVERRIDES}
        assert all(version.categories for article, version in rows if article.kind is ArticleKind.QA and not article.source_id and version.state is VersionState.PUBLISHED)  # fmt: skip
        steps = session.execute(select(ArticleStep)).scalars().all()
        writers = {(s.article_id, s.version): s.actor for s in steps if s.step is KnowledgeStep.WRITE}
        publishers = [s for s in steps if s.step is KnowledgeStep.PUBLISH]
        assert len(publishers) == states[VersionState.PUBLISHED] + states[VersionState.SUPERSEDED]
        assert all(writers[s.article_id, s.version] != s.actor for s in publishers)
        assert max(s.at for s in steps) < NOW


END = w.china("2026-11-21 12:24")


def test_the_half_year_leaves_something_on_every_screen_of_the_knowledge_base(
    database_url: str, tmp_path: Path
) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    driver.reset_and_fill(database_url, settings, now=END, tickets=450, seed=7, progress=False, shelf=SHELF)
    with Session(make_engine(database_url, pool_size=1)) as session:
        _check_tellings(session)
        _check_recalls(session)
        _check_questions(session)
        _check_upkeep(session)


def _check_tellings(session: Session) -> None:
    rows = session.execute(
        select(Telling, ArticleVersion, Ticket)
        .join(
            ArticleVersion,
            (col(ArticleVersion.article_id) == col(Telling.article_id))
            & (col(ArticleVersion.version) == col(Telling.version)),
        )
        .join(Ticket, col(Ticket.id) == col(Telling.ticket_id))
    ).all()
    assert len(rows) > 90
    for telling, version, ticket in rows:
        assert version.published_at is not None
        assert version.published_at <= telling.told_at, "published when it was told"
        assert version.ended_at is None or telling.told_at <= version.ended_at, "and not replaced yet"
        assert version.valid_until is None or local_day(telling.told_at) <= version.valid_until
        assert ticket.state in (State.ANSWERED, State.ARCHIVED)


def _check_recalls(session: Session) -> None:
    owed = session.execute(select(Recall)).scalars().all()
    assert {recall.reason for recall in owed} >= {RecallReason.CORRECTED, RecallReason.WITHDRAWN}
    assert {recall.settled_at is not None for recall in owed} == {True, False}
    again = [t for t in session.execute(select(Telling)).scalars() if t.told_by.find("回访") >= 0]
    assert again, "some were told anew, by the callback staff"


def _check_questions(session: Session) -> None:
    asked = session.execute(select(UnitQuestion)).scalars().all()
    assert {q.state for q in asked} == {QuestionState.ASKED, QuestionState.ANSWERED, QuestionState.ADOPTED}
    assert {q.lapsed_at is not None for q in asked} == {True, False}


def _check_upkeep(session: Session) -> None:
    hotlines = organisation.roster(session, 7)
    kinds = set()
    for code in ("00", "01"):
        editor = hotlines[code].staff[Role.EDITOR][0]
        kinds |= {item.kind for item in freshness.upkeep(session, editor, END)}
    seen_once_the_server_runs = {Upkeep.DUPLICATE, Upkeep.CONTRADICTION, Upkeep.DEAD_LINK}
    assert kinds == set(Upkeep) - seen_once_the_server_runs
