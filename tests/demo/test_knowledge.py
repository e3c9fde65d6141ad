"""The demo's knowledge went through the real steps, and stands as a knowledge base does."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlmodel import Session, col

from hotline import reference
from hotline.demo import organisation
from knowledge_base import demo
from knowledge_base.models import Article, ArticleStep, ArticleVersion
from tests import world as w
from workflow.vocabulary import ArticleKind, KnowledgeStep, Relation, VersionState

if TYPE_CHECKING:
    from sqlalchemy import Engine

NOW = w.china("2026-03-02 09:00")


def test_the_demo_has_articles_of_every_kind_with_every_step(engine: "Engine", tmp_path: Path) -> None:
    with Session(engine) as session:
        reference.load_shipped(session)
        organisation.create(session)
        organisation.issue_logins(session, b"k" * 32, NOW)
        count = demo.stock(session, organisation.roster(session, 1), NOW - timedelta(days=183), NOW)
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
