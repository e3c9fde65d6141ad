"""更正回访: whoever was told an answer that was corrected, expired or withdrawn since is listed once, and called back. Art. 28."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field
from sqlalchemy import DateTime, Select, cast, func, literal, or_, select, union_all
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline import batches
from hotline.access import SYSTEM, Actor
from hotline.case import Case, Desk, Office, record, tell, write
from hotline.desk import take_up_id
from hotline.fields import Line, Order, Prose, pick
from hotline.models import Ticket
from hotline.organisation import Platform
from knowledge_base import articles, telling
from knowledge_base.models import ArticleVersion, Recall, Telling
from workflow.deadlines import local_day
from workflow.errors import NotFound, OrderInvalid
from workflow.statute import load as load_pack
from workflow.vocabulary import RecallReason, VersionState

LISTED = "recall_listed"
SETTLED = "recall_settled"
_SLACK = timedelta(days=90)
"""How long after a correction the lister still looks for whom it has not listed: longer than any outage."""


class SettleRecall(Order):
    """回访结果: whether the caller was reached, what was said, and which version they were told now."""

    reached: bool = Field(title="是否已联系上", description="是否已联系上来电人")
    remark: Prose = Field(title="回访情况")
    told: Line | None = Field(
        title="此次告知的知识条目",
        json_schema_extra=pick("article"),
        default=None,
        description="此次告知的现行知识条目版本，如 12@4",
    )


@dataclass(frozen=True, slots=True)
class RecallRow:
    """One call-back owed or made, with the ticket, what was told and what is to be told now (None: nothing valid)."""

    recall: Recall
    telling: Telling
    ticket: Ticket
    told: ArticleVersion
    now: ArticleVersion | None


# --- listing -----------------------------------------------------------------------------------------------------------


def list_due(session: Session, office: Office, as_of: datetime, *, batch: int = 200) -> int:
    """List up to `batch` callers who were told an answer that is wrong by `as_of` (aware); returns how many were listed.

    Wrong: a version that says it corrects was published after theirs, theirs or a later one expired or was withdrawn. How many
    days back is the rule pack's `recall_days`. Each telling is listed once a reason, whoever sweeps; tickets somebody is acting
    on wait for the next sweep. The caller commits.
    """
    listed = 0
    for days, platforms in _windows(session):
        rows = session.execute(_wrongly_told(platforms, days, as_of).limit(batch)).all()
        if not rows:
            continue
        cases = batches.lock(session, [row.ticket_id for row in rows], skip_locked=True)
        desk = Desk(session, SYSTEM, as_of, office)
        for row in rows:
            if row.ticket_id in cases:
                listed += _list(desk, cases[row.ticket_id], row)
        batches.write_all(desk, list(cases.values()))
    return listed


def _windows(session: Session) -> Iterator[tuple[int, list[int]]]:
    """The platforms by their rule packs' window in days."""
    by_days: dict[int, list[int]] = {}
    for platform_id, pack in session.execute(select(col(Platform.id), col(Platform.pack))):
        by_days.setdefault(load_pack(pack).number("recall_days"), []).append(platform_id)
    yield from sorted(by_days.items())


def _wrongly_told(platforms: Sequence[int], days: int, as_of: datetime) -> Select[Any]:
    oldest = as_of - timedelta(days=days) - _SLACK
    version, told = ArticleVersion, Telling
    today = local_day(as_of)
    lapse = func.timezone(
        "Asia/Shanghai",
        cast(col(version.valid_until) + 1, DateTime(timezone=False)),
        type_=DateTime(timezone=True),
    )
    cases: list[tuple[RecallReason, Any, list[Any]]] = [
        (
            RecallReason.CORRECTED,
            col(version.published_at),
            [
                col(version.corrects),
                col(version.published_at) > oldest,
                col(version.published_at) <= as_of,
                col(told.version) < col(version.version),
            ],
        ),
        (
            RecallReason.EXPIRED,
            lapse,
            [
                col(version.published_at).is_not(None),
                col(version.valid_until) >= local_day(oldest),
                col(version.valid_until) < today,
                col(version.published_at) < lapse,
                or_(col(version.ended_at).is_(None), col(version.ended_at) >= lapse),
                col(told.version) <= col(version.version),
            ],
        ),
        (
            RecallReason.WITHDRAWN,
            col(version.ended_at),
            [
                col(version.state) == VersionState.WITHDRAWN,
                col(version.published_at).is_not(None),
                col(version.ended_at) > oldest,
                col(version.ended_at) <= as_of,
                col(told.version) <= col(version.version),
            ],
        ),
    ]
    found = union_all(
        *(
            select(
                col(told.id).label("telling_id"),
                col(told.ticket_id).label("ticket_id"),
                col(told.platform_id).label("platform_id"),
                col(told.article_id).label("article_id"),
                col(told.version).label("version"),
                col(version.version).label("by_version"),
                moment.label("since"),
                literal(reason.value).label("reason"),
            )
            .join(version, col(version.article_id) == col(told.article_id))
            .where(
                *tests,
                col(told.platform_id).in_(platforms),
                col(told.told_at) < moment,
                col(told.told_at) >= moment - timedelta(days=days),
                ~select(col(Recall.id))
                .where(col(Recall.telling_id) == col(told.id), col(Recall.reason) == reason)
                .exists(),
            )
            for reason, moment, tests in cases
        )
    ).subquery()
    return select(found).order_by(found.c.since, found.c.telling_id, found.c.by_version)


def _list(desk: Desk, case: Case, row: Any) -> int:
    listing = insert(Recall).values(
        telling_id=row.telling_id,
        platform_id=row.platform_id,
        reason=RecallReason(row.reason),
        by_version=row.by_version,
        listed_at=desk.at,
    )
    found = desk.session.execute(
        listing.on_conflict_do_nothing(index_elements=["telling_id", "reason"]).returning(col(Recall.id))
    ).scalar_one_or_none()
    if found is None:
        return 0
    facts = {
        "recall": found,
        "reason": row.reason,
        "told": f"{row.article_id}@{row.version}",
        "by": f"{row.article_id}@{row.by_version}",
    }
    record(
        desk,
        case,
        LISTED,
        before=case.ticket.state,
        article="28",
        payload=facts,
        effective_at=row.since,
    )
    tell(desk, case, "knowledge.recall_listed", None, facts)
    return 1


# --- calling back ------------------------------------------------------------------------------------------------------


def owed(
    session: Session, actor: Actor, *, settled: bool = False, after: int = 0, limit: int = 50
) -> list[RecallRow]:
    """The call-backs of the actor's platforms still owed (or `settled`), oldest first, those listed after key `after`."""
    if actor.is_unit:
        return []
    rows = session.execute(
        select(Recall, Telling, Ticket, ArticleVersion)
        .join(Telling, col(Telling.id) == col(Recall.telling_id))
        .join(Ticket, col(Ticket.id) == col(Telling.ticket_id))
        .join(
            ArticleVersion,
            (col(ArticleVersion.article_id) == col(Telling.article_id))
            & (col(ArticleVersion.version) == col(Telling.version)),
        )
        .where(
            col(Recall.platform_id).in_(sorted(actor.platform_ids)),
            col(Recall.settled_at).is_not(None) if settled else col(Recall.settled_at).is_(None),
            col(Recall.id) > after,
        )
        .order_by(col(Recall.id))
        .limit(limit)
    ).all()
    return [
        RecallRow(recall, told_to, ticket, version, telling.current(session, told_to.article_id))
        for recall, told_to, ticket, version in rows
    ]


def settle(desk: Desk, recall_id: int, order: SettleRecall) -> RecallRow:
    """A call-back made: reached or not, what was said; with `told` the caller has been told that version now.

    Raises `NotFound`, `OrderInvalid` for one settled before or a version that may not be told.
    """
    session = desk.session
    seen = session.execute(
        select(Telling)
        .join(Recall, col(Recall.telling_id) == col(Telling.id))
        .where(col(Recall.id) == recall_id, col(Recall.platform_id).in_(sorted(desk.actor.platform_ids)))
    ).scalar_one_or_none()
    if seen is None or desk.actor.is_unit:
        raise NotFound("没有这条更正回访，或不在您的权限范围内。", field="recall")
    version = _told_anew(desk, seen, order) if order.told is not None else None
    case = take_up_id(desk, seen.ticket_id)  # the ticket is locked before any of its rows
    recall = session.get_one(Recall, recall_id, with_for_update=True, populate_existing=True)
    if recall.settled_at is not None:
        raise OrderInvalid(f"该更正回访已由{recall.settled_by}处理。", article="28")
    if version is not None:
        telling.note_telling(desk, case, version)
    recall.settled_by, recall.settled_at = desk.actor.name, desk.at
    recall.reached, recall.remark = order.reached, order.remark
    session.add(recall)
    facts = {
        "recall": recall.id,
        "reached": order.reached,
        "told": articles.reference(version) if version is not None else None,
    }
    record(desk, case, SETTLED, before=case.ticket.state, article="28", payload=facts)
    tell(desk, case, "knowledge.recall_settled", None, facts)
    write(desk, case)
    told = session.execute(
        select(ArticleVersion).where(
            col(ArticleVersion.article_id) == seen.article_id, col(ArticleVersion.version) == seen.version
        )
    ).scalar_one()
    return RecallRow(recall, seen, case.ticket, told, telling.current(session, seen.article_id))


def _told_anew(desk: Desk, before: Telling, order: SettleRecall) -> ArticleVersion:
    if not order.reached:
        raise OrderInvalid("未联系上来电人，不能记为已告知新口径。", field="told")
    assert order.told is not None
    version = telling.tellable(desk.session, desk.actor, order.told, desk.at)
    if (version.article_id, version.version) == (before.article_id, before.version):
        raise OrderInvalid("应告知更正后的版本，而不是原来的版本。", field="told")
    return version
