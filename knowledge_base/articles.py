"""Articles and their immutable versions. `12@3` names the third wording of article 12, readable for ever."""

import re
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.ledger import text_digest
from hotline.orders import Code, Order, Prose
from hotline.organisation import OrgUnit
from knowledge_base.models import Article, ArticleVersion
from workflow.errors import AccessRefused, NotFound
from workflow.vocabulary import UNIT_STAFF, ArticleKind, Role, VersionState

_WRITERS = UNIT_STAFF | {Role.EDITOR, Role.SUPERVISOR}


class ArticleOrder(Order):
    """One wording of an article: the question, the standard answer (答复口径), its legal basis."""

    question: Prose
    answer: Prose
    legal_basis: Prose | None = None
    category: Code | None = None


def reference(version: ArticleVersion) -> str:
    """The name a ticket records: `<article>@<version>`."""
    return f"{version.article_id}@{version.version}"


def write(
    session: Session, actor: Actor, order: ArticleOrder, *, at: datetime, article_id: int | None = None
) -> ArticleVersion:
    """A new article, or with `article_id` a new version of one. A unit writes its own, an editor the platform's.

    Raises `AccessRefused`, `NotFound`. The caller commits.
    """
    if not actor.roles & _WRITERS:
        raise AccessRefused("知识条目由承办单位或知识库管理员编写。", article="22")
    article = (
        _own_article(session, actor, article_id)
        if article_id is not None
        else _new_article(session, actor, order)
    )
    article.current_version += 1
    session.add(article)
    session.flush()
    version = ArticleVersion(
        article_id=article.id,
        version=article.current_version,
        state=VersionState.PUBLISHED,
        content_sha256=text_digest(order.question + "\n" + order.answer),
        question=order.question,
        answer=order.answer,
        legal_basis=order.legal_basis,
        written_by=actor.name,
        written_at=at,
    )
    session.add(version)
    session.flush()
    return version


def _new_article(session: Session, actor: Actor, order: ArticleOrder) -> Article:
    unit = session.get(OrgUnit, actor.unit_id) if actor.unit_id is not None else None
    platform_id = unit.platform_id if unit is not None else actor.platform_id
    if platform_id is None:
        raise AccessRefused("请以承办单位或热线平台的身份编写知识。", article="22")
    return Article(
        platform_id=platform_id, unit_id=actor.unit_id, kind=ArticleKind.QA, category_code=order.category
    )


def _own_article(session: Session, actor: Actor, article_id: int) -> Article:
    article = session.get(Article, article_id, with_for_update=True)
    mine = article is not None and (
        article.unit_id == actor.unit_id if actor.is_unit else article.platform_id in actor.platform_ids
    )
    if article is None or not mine:
        raise NotFound("没有这条知识，或不归您维护。", field="article")
    return article


def find(session: Session, actor: Actor, name: str) -> ArticleVersion:
    """The version called `name` (`12@3`). Raises `NotFound`. Knowledge is shared: everyone signed in may read it (art. 19)."""
    match = re.fullmatch(r"(\d{1,18})@(\d{1,9})", name)
    found: ArticleVersion | None = None
    if match is not None:
        found = session.execute(
            select(ArticleVersion).where(
                col(ArticleVersion.article_id) == int(match[1]), col(ArticleVersion.version) == int(match[2])
            )
        ).scalar_one_or_none()
    if found is None or not actor.roles:
        raise NotFound(f"没有知识条目版本 {name[:40]}；写法如 12@3。", field="knowledge_version")
    return found
