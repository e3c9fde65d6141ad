"""知识维护: what has to be looked at, and by whom: review dates, expiry, dead links, like and contradicting articles, what nobody uses
and what nobody finds. Art. 20, 23, 28.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Final

from pydantic import Field
from sqlalchemy import Select, func, or_, select, update
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.case import Desk
from hotline.fields import Line, Order, pick
from knowledge_base import articles
from knowledge_base.library import published
from knowledge_base.models import Article, ArticlePair, ArticleUse, ArticleVersion, MissedSearch, SourceLink
from workflow.deadlines import local_day
from workflow.errors import NotFound
from workflow.vocabulary import Upkeep

EXPIRING_DAYS: Final = 30
UNUSED_DAYS: Final = 90
OFTEN_OPENED: Final = 20
RARELY_TOLD: Final = 0.02
MISSING_DAYS: Final = 90


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to look at: the article (or the words looked for), why in Chinese, and who should act: a unit's code, None: the platform."""

    kind: Upkeep
    detail: str
    name: str | None = None
    question: str | None = None
    other: str | None = None
    unit: str | None = None
    since: date | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def upkeep(
    session: Session,
    actor: Actor,
    at: datetime,
    *,
    kind: Upkeep | None = None,
    days: int = EXPIRING_DAYS,
    limit: int = 100,
) -> list[Item]:
    """What of the articles the actor maintains has to be looked at on the day of `at`; at most `limit` of each kind.

    `days` is how far ahead expiry is told. A unit sees its own articles; the platform's checkers all of theirs, and what is missing.
    """
    found: list[Item] = []
    for each, listing in _LISTINGS.items():
        if kind in (None, each):
            found += listing(session, actor, local_day(at), days, limit)
    return found


_Listing = Callable[[Session, Actor, date, int, int], list[Item]]


def _mine(actor: Actor) -> Select[Article, ArticleVersion, str, str]:
    return published().where(articles.maintained_by(actor))


def _item(kind: Upkeep, row: Any, detail: str, since: date | None = None, **facts: Any) -> Item:
    _, version, unit, _ = row
    return Item(kind, detail, articles.reference(version), version.question, None, unit, since, facts)


# --- dates -------------------------------------------------------------------------------------------------------------


def _review_due(session: Session, actor: Actor, on: date, _days: int, limit: int) -> list[Item]:
    rows = session.execute(
        _mine(actor)
        .where(col(Article.review_on) <= on)
        .order_by(col(Article.review_on), col(Article.id))
        .limit(limit)
    )
    return [
        _item(
            Upkeep.REVIEW_DUE,
            row,
            f"应于 {row[0].review_on} 前复核，请核对后更新，或确认内容无变化。",
            row[0].review_on,
        )
        for row in rows
    ]


def _expiring(session: Session, actor: Actor, on: date, days: int, limit: int) -> list[Item]:
    until = col(ArticleVersion.valid_until)
    rows = session.execute(
        _mine(actor)
        .where(until >= on, until <= on + timedelta(days=days))
        .order_by(until, col(Article.id))
        .limit(limit)
    )
    return [
        _item(
            Upkeep.EXPIRING,
            row,
            f"有效期至 {row[1].valid_until}，请核实是否续期或更新口径。",
            row[1].valid_until,
        )
        for row in rows
    ]


def _expired(session: Session, actor: Actor, on: date, _days: int, limit: int) -> list[Item]:
    until = col(ArticleVersion.valid_until)
    rows = session.execute(_mine(actor).where(until < on).order_by(until, col(Article.id)).limit(limit))
    return [
        _item(
            Upkeep.EXPIRED,
            row,
            f"有效期已于 {row[1].valid_until} 届满，已不能用于答复，请更新或撤下。",
            row[1].valid_until,
        )
        for row in rows
    ]


# --- links -------------------------------------------------------------------------------------------------------------


def _dead_links(session: Session, actor: Actor, _on: date, _days: int, limit: int) -> list[Item]:
    rows = session.execute(
        _mine(actor)
        .add_columns(col(SourceLink.problem), col(SourceLink.failing_since))
        .join(SourceLink, col(SourceLink.url) == col(ArticleVersion.source_url))
        .where(col(SourceLink.failing_since).is_not(None))
        .order_by(col(SourceLink.failing_since), col(Article.id))
        .limit(limit)
    )
    return [
        _item(
            Upkeep.DEAD_LINK,
            row[:4],
            f"来源网页无法打开（{row[4]}），请核实口径是否仍然有效并更正链接。",
            local_day(row[5]),
            url=row[1].source_url,
        )
        for row in rows
    ]


# --- like and contradicting articles -----------------------------------------------------------------------------------


def _pairs(kind: Upkeep) -> _Listing:
    def listing(session: Session, actor: Actor, _on: date, _days: int, limit: int) -> list[Item]:
        return list(_paired(session, actor, kind, limit))

    return listing


def _paired(session: Session, actor: Actor, kind: Upkeep, limit: int) -> Iterator[Item]:
    mine = select(col(Article.id)).where(
        articles.maintained_by(actor), col(Article.published_version).is_not(None)
    )
    pairs = session.execute(
        select(ArticlePair)
        .where(
            col(ArticlePair.kind) == kind,
            col(ArticlePair.settled_at).is_(None),
            or_(col(ArticlePair.article_id).in_(mine), col(ArticlePair.other_id).in_(mine)),
        )
        .order_by(col(ArticlePair.found_at).desc(), col(ArticlePair.article_id), col(ArticlePair.other_id))
        .limit(limit)
    ).scalars()
    listed = list(pairs)
    keys = {pair.article_id for pair in listed} | {pair.other_id for pair in listed}
    rows = {row[0].id: row for row in session.execute(published().where(col(Article.id).in_(keys)))}
    for pair in listed:
        one, other = rows.get(pair.article_id), rows.get(pair.other_id)
        if one is None or other is None:
            continue
        yield Item(
            kind,
            _said(kind, pair, other[1].question),
            articles.reference(one[1]),
            one[1].question,
            articles.reference(other[1]),
            one[2] if one[2] == other[2] else None,
            local_day(pair.found_at),
            pair.detail | {"pair": [pair.article_id, pair.other_id]},
        )


def _said(kind: Upkeep, pair: ArticlePair, question: str) -> str:
    if kind is Upkeep.DUPLICATE:
        return f"与“{question[:60]}”疑似重复，请合并或说明区别。"
    told = "；".join(
        f"{d['what']}：{'、'.join(d['one'])} 与 {'、'.join(d['other'])}"
        for d in pair.detail.get("differs", [])
    )
    return f"与“{question[:60]}”所述不一致（{told}），请核实以哪一条为准。"


# --- used and missed ---------------------------------------------------------------------------------------------------


def _unused(session: Session, actor: Actor, on: date, _days: int, limit: int) -> list[Item]:
    opened, told = func.sum(col(ArticleUse.opened)), func.sum(col(ArticleUse.told))
    uses = (
        select(col(ArticleUse.article_id).label("key"), opened.label("opened"), told.label("told"))
        .where(col(ArticleUse.day) > on - timedelta(days=UNUSED_DAYS), col(ArticleUse.day) <= on)
        .group_by(col(ArticleUse.article_id))
        .having(opened >= OFTEN_OPENED, told <= RARELY_TOLD * opened)
        .subquery()
    )
    rows = session.execute(
        _mine(actor)
        .add_columns(uses.c.opened, uses.c.told)
        .join(uses, uses.c.key == col(Article.id))
        .order_by(uses.c.opened.desc(), col(Article.id))
        .limit(limit)
    )
    return [
        _item(
            Upkeep.UNUSED,
            row[:4],
            f"近 {UNUSED_DAYS} 天被查看 {int(row[4])} 次，用于答复 {int(row[5])} 次，请看口径是否不清或不全。",
            opened=int(row[4]),
            told=int(row[5]),
        )
        for row in rows
    ]


def _missing(session: Session, actor: Actor, on: date, _days: int, limit: int) -> list[Item]:
    if not actor.roles & articles.CHECKERS or actor.is_unit:
        return []
    times = func.sum(col(MissedSearch.times))
    rows = session.execute(
        select(col(MissedSearch.query), times, func.min(col(MissedSearch.day)))
        .where(
            col(MissedSearch.platform_id).in_(sorted(actor.platform_ids)),
            col(MissedSearch.settled_at).is_(None),
            col(MissedSearch.day) > on - timedelta(days=MISSING_DAYS),
        )
        .group_by(col(MissedSearch.query))
        .order_by(times.desc(), col(MissedSearch.query))
        .limit(limit)
    )
    return [
        Item(
            Upkeep.MISSING,
            f"近 {MISSING_DAYS} 天搜索“{query}”无结果 {int(count)} 次，请组织采集或向承办单位提问。",
            question=query,
            since=first,
            facts={"times": int(count)},
        )
        for query, count, first in rows
    ]


class SettleMiss(Order):
    """采集需求已处理: the words looked for, and the article that answers them now, where there is one."""

    query: Line = Field(title="检索词")
    article: Line | None = Field(
        title="现在可以答复的知识条目",
        json_schema_extra=pick("article"),
        default=None,
        description="现在可以答复的知识条目版本，如 12@3",
    )


def settle_miss(desk: Desk, order: SettleMiss) -> int:
    """What was looked for in vain is dealt with, on the actor's platforms. How many days' rows. Raises `NotFound`."""
    article_id = (
        articles.find(desk.session, desk.actor, order.article).article_id
        if order.article is not None
        else None
    )
    found = desk.session.execute(
        update(MissedSearch)
        .where(
            col(MissedSearch.platform_id).in_(sorted(desk.actor.platform_ids)),
            col(MissedSearch.query) == order.query,
            col(MissedSearch.settled_at).is_(None),
        )
        .values(settled_at=desk.at, settled_by=desk.actor.name, article_id=article_id)
        .returning(col(MissedSearch.day))
    ).all()
    if not found:
        raise NotFound("没有这条待处理的采集需求。", field="query")
    return len(found)


_LISTINGS: Final[dict[Upkeep, _Listing]] = {
    Upkeep.EXPIRED: _expired,
    Upkeep.EXPIRING: _expiring,
    Upkeep.REVIEW_DUE: _review_due,
    Upkeep.DEAD_LINK: _dead_links,
    Upkeep.CONTRADICTION: _pairs(Upkeep.CONTRADICTION),
    Upkeep.DUPLICATE: _pairs(Upkeep.DUPLICATE),
    Upkeep.UNUSED: _unused,
    Upkeep.MISSING: _missing,
}
