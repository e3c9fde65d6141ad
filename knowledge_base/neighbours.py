"""Published articles held against their neighbours in the index: duplicates and contradictions, each pair found once. Art. 28."""

from datetime import datetime
from typing import Any, Final

from pydantic import Field
from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.case import Desk
from hotline.fields import Order, Prose
from hotline.reference import area_prefix
from knowledge_base import articles, comparing
from knowledge_base.library import Library, published
from knowledge_base.models import Article, ArticlePair, ArticleVersion
from knowledge_base.search.entry import Filters
from workflow.deadlines import local_day
from workflow.errors import NotFound, OrderInvalid
from workflow.vocabulary import Upkeep

_COMPARED: Final = 50
_NEIGHBOURS: Final = 8


def compare(session: Session, library: Library, as_of: datetime) -> int:
    """Compare up to 50 newly published articles with their neighbours in the index; returns how many. The caller commits.

    Compared are articles of the same platform and those above, in one area; a local article is not held against the one it adds to
    or overrides. Any number of replicas may do it.
    """
    if not library.is_current(session):
        return 0
    waiting = session.execute(
        select(Article)
        .where(
            col(Article.published_version).is_not(None),
            col(Article.compared_version).is_distinct_from(col(Article.published_version)),
        )
        .order_by(col(Article.id))
        .limit(_COMPARED)
        .with_for_update(skip_locked=True, key_share=True)
    ).scalars()
    done = 0
    for article in list(waiting):
        _compare(session, library, article, as_of)
        article.compared_version = article.published_version
        session.add(article)
        done += 1
    session.flush()
    return done


def _compare(session: Session, library: Library, article: Article, as_of: datetime) -> None:
    row = session.execute(published().where(col(Article.id) == article.id)).first()
    if row is None:
        return
    version, area = row[1], row[3]
    hits = library.search(
        version.question,
        local_day(as_of),
        Filters(platforms=_above(session, article.platform_id)),
        _NEIGHBOURS,
    ).hits
    one, two = col(ArticlePair.article_id), col(ArticlePair.other_id)
    known = {
        pair.other_id if pair.article_id == article.id else pair.article_id: pair
        for pair in session.execute(
            select(ArticlePair).where(
                or_(one == article.id, two == article.id), col(ArticlePair.settled_at).is_(None)
            )
        ).scalars()
    }
    keys = ({int(hit.key) for hit in hits} | set(known)) - {article.id}
    found: set[int] = set()
    for other in session.execute(published().where(col(Article.id).in_(keys))):
        kind = _likeness(article, version, area, other)
        if kind is not None:
            found.add(other[0].id)
            _keep(session, version, other[1], *kind, as_of)
    for key, pair in known.items():
        if key not in found:
            session.delete(pair)


def _above(session: Session, platform_id: int) -> tuple[int, ...]:
    system = Actor(
        "platform_machine", None, "", frozenset(), platform_id, platform_ids=frozenset({platform_id})
    )
    return tuple(session.execute(articles.platforms_read(system)).scalars())


def _likeness(
    article: Article, version: ArticleVersion, area: str, other: Any
) -> tuple[Upkeep, dict[str, Any]] | None:
    neighbour, wording, _, its_area = other
    related = neighbour.source_id == article.id or article.source_id == neighbour.id
    if related or not _meet(version.areas or [area], wording.areas or [its_area]):
        return None
    alike = comparing.same_matter(version.question, wording.question)
    if alike < comparing.ALIKE:
        return None
    differs = comparing.differences(
        comparing.facts(version.answer, version.guide), comparing.facts(wording.answer, wording.guide)
    )
    detail: dict[str, Any] = {"alike": round(alike, 2)}
    if differs:
        ordered = [
            {"what": d.what, "one": list(d.one), "other": list(d.other)}
            if version.article_id < wording.article_id
            else {"what": d.what, "one": list(d.other), "other": list(d.one)}
            for d in differs
        ]
        return Upkeep.CONTRADICTION, detail | {"differs": ordered}
    same = comparing.likeness(version.answer, wording.answer)
    if alike >= comparing.SAME_QUESTION and same >= comparing.SAME_ANSWER:
        return Upkeep.DUPLICATE, detail | {"answers_alike": round(same, 2)}
    return None


def _meet(one: list[str], other: list[str]) -> bool:
    """Whether two lists of areas have a place in common."""
    a, b = [area_prefix(code) for code in one], [area_prefix(code) for code in other]
    return any(x.startswith(y) or y.startswith(x) for x in a for y in b)


def _keep(
    session: Session,
    one: ArticleVersion,
    other: ArticleVersion,
    kind: Upkeep,
    detail: dict[str, Any],
    as_of: datetime,
) -> None:
    first, second = sorted((one, other), key=lambda version: version.article_id)
    row = insert(ArticlePair).values(
        article_id=first.article_id,
        other_id=second.article_id,
        kind=kind,
        version=first.version,
        other_version=second.version,
        detail=detail,
        found_at=as_of,
    )
    told = row.excluded
    session.execute(
        row.on_conflict_do_update(
            index_elements=["article_id", "other_id"],
            set_={
                "kind": told.kind,
                "version": told.version,
                "other_version": told.other_version,
                "detail": told.detail,
                "found_at": told.found_at,
                "settled_at": None,
                "settled_by": None,
                "remark": None,
            },
            where=or_(
                col(ArticlePair.version) != told.version, col(ArticlePair.other_version) != told.other_version
            ),
        )
    )


class SettlePair(Order):
    """核对结果: why two articles stand as they are."""

    remark: Prose = Field(title="核对结论")


def settle_pair(desk: Desk, article_id: int, other_id: int, order: SettlePair) -> ArticlePair:
    """Two articles were looked at and stay as they are. Comes back when one is worded anew. Raises `NotFound`, `OrderInvalid`."""
    keys = sorted((article_id, other_id))
    pair = desk.session.get(ArticlePair, tuple(keys), with_for_update=True)
    mine = (
        desk.session.execute(
            select(col(Article.id)).where(col(Article.id).in_(keys), articles.maintained_by(desk.actor))
        ).first()
        if pair is not None
        else None
    )
    if pair is None or mine is None:
        raise NotFound("没有这一对疑似重复或矛盾的知识，或不归您维护。", field="article")
    if pair.settled_at is not None:
        raise OrderInvalid(f"已由{pair.settled_by}核对。")
    pair.settled_at, pair.settled_by, pair.remark = desk.at, desk.actor.name, order.remark
    desk.session.add(pair)
    return pair
