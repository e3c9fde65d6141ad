"""事件流: the outbox put in one order that no late commit can slip behind, fanned out to subscriptions, and read by cursor.

An outbox row's id says when its transaction began to write, not when it was committed: whoever asks for what lies behind an id loses
what commits later under a smaller one. So a row is given its `position` only once it is committed, by one sorter at a time. Of one
ticket, whose row every act locks, ids and commits come in the same order: `position` keeps it. A transaction that stays open holds
nobody up; what it wrote stands behind what was sorted before it ended.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.exchange.envelopes import Fact, kinds_for
from hotline.exchange.tables import FeedHorizon
from hotline.models import OutboxEvent
from hotline.organisation import OrgUnit, Platform
from hotline.storage.constant import Constant
from workflow.errors import OrderInvalid, RuleBroken

MOST: Final = 500
"""Events in one page at most."""
_SORTING: Final = 12345_005
BATCH: Final = 1000


def sort(session: Session, at: datetime, *, batch: int = BATCH) -> int:
    """Give up to `batch` committed events their positions and put them into the lanes of whoever subscribed; returns how many.

    Where somebody else is sorting there is nothing to do. The caller commits at once: the positions of one sorter must be seen
    before those of the next.
    """
    session.flush()
    if not _LOCK.first(session, {"key": _SORTING}).locked:
        return 0
    # a new statement, and so a snapshot from after the lock: what the last sorter did is seen
    placed = _PLACE.ask(session, {"batch": batch})
    if any(row.subscribed for row in placed):
        kinds = {"kinds": kinds_for(unit=False), "unit_kinds": kinds_for(unit=True)}
        session.execute(text(_FAN_OUT), {"ids": [row.id for row in placed], "at": at} | kinds)
    return len(placed)


_LOCK: Final = Constant(text("SELECT pg_try_advisory_xact_lock(CAST(:key AS bigint)) AS locked"))
_PLACE: Final = Constant(
    text("""
UPDATE outbox SET position = placed.position
FROM (SELECT id, nextval('outbox_positions') AS position
      FROM (SELECT id FROM outbox WHERE position IS NULL ORDER BY id LIMIT CAST(:batch AS bigint)) ordered) placed
WHERE outbox.id = placed.id
RETURNING outbox.id, EXISTS (SELECT FROM subscriptions) AS subscribed
""")
)
_FAN_OUT: Final = """
WITH told AS (
    SELECT s.id AS subscription_id, o.id AS event_id, coalesce(o.ticket_id, -o.id) AS lane
    FROM outbox o JOIN subscriptions s ON s.unit_id = o.unit_id
    WHERE o.type = ANY(CAST(:unit_kinds AS text[])) AND o.id = ANY(CAST(:ids AS bigint[])) AND s.state <> 'disabled' AND s.created_at <= o.occurred_at
        AND (s.types = '[]' OR s.types @> to_jsonb(CAST(o.type AS text)))
    UNION ALL
    SELECT s.id, o.id, coalesce(o.ticket_id, -o.id)
    FROM outbox o JOIN subscriptions s ON s.platform_id = o.platform_id
    WHERE s.unit_id IS NULL AND NOT o.echo AND o.type = ANY(CAST(:kinds AS text[])) AND o.id = ANY(CAST(:ids AS bigint[])) AND s.state <> 'disabled' AND s.created_at <= o.occurred_at
        AND (s.types = '[]' OR s.types @> to_jsonb(CAST(o.type AS text)))
), made AS (
    INSERT INTO deliveries (subscription_id, event_id, lane, state, tries, created_at)
    SELECT subscription_id, event_id, lane, 'waiting', '[]', :at FROM told ORDER BY event_id, subscription_id
    RETURNING subscription_id, lane
)
INSERT INTO lanes (subscription_id, lane, next_at, claim, failures)
SELECT DISTINCT subscription_id, lane, CAST(:at AS timestamptz), 0, 0 FROM made ORDER BY subscription_id, lane
ON CONFLICT (subscription_id, lane) DO UPDATE SET next_at = lanes.next_at
"""
# the idle update locks the lane: whoever is about to end it sees the new delivery, or has ended it, and a new one is made


def newest(session: Session) -> int:
    """The position of the newest event that was sorted, 0 before the first. Quick: the end of an index."""
    return int(session.execute(select(func.coalesce(func.max(col(OutboxEvent.position)), 0))).scalar_one())


# --- reading -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Events in order, and the cursor behind the last of them."""

    facts: list[Fact]
    next: int


class CursorTooOld(RuleBroken):
    """What stood behind this cursor has been dropped in part; `extra.oldest` is the first cursor that skips nothing."""

    code = "cursor_too_old"


def horizon(session: Session) -> int:
    """The position up to which events have been dropped, 0 where none has."""
    return session.execute(select(col(FeedHorizon.position))).scalar_one_or_none() or 0


def page(
    session: Session, actor: Actor, after: int | None, limit: int, kinds: Collection[str] | None = None
) -> Page:
    """What stands behind `after` for this actor: a unit's own, or the platforms' it sees; None: from the oldest kept. Never skips one.

    Raises `OrderInvalid` (field `after`) for a cursor that was never given out, `CursorTooOld` for one whose events are not all kept.
    """
    started, after = after, after or 0
    head = newest(session)
    if after > max(head, last_given(session)):
        raise OrderInvalid("游标 after 无效：请使用上次返回的 next；首次读取请省略。", field="after")
    wanted = set(kinds_for(unit=actor.is_unit))
    if kinds:
        wanted &= set(kinds)
    statement = (
        facts_query()
        .where(
            col(OutboxEvent.position) > after,
            col(OutboxEvent.position) <= head,
            col(OutboxEvent.type).in_(sorted(wanted)),
            _of(actor),
        )
        .order_by(col(OutboxEvent.position))
        .limit(limit)
    )
    rows = session.execute(statement).all()
    oldest = horizon(session)  # asked last: what was dropped while this read is noticed
    if started is not None and started < oldest:
        raise CursorTooOld(
            "游标 after 之后的部分事件已超过保留期限而清理。请省略 after 从最早保留的事件读起，并以工单列表（GET /tickets）核对现状。",
            field="after",
            extra={"oldest": str(oldest)},
        )
    facts = facts_of(rows)
    # a full page goes on behind its last event; else everything up to the head was looked at
    return Page(facts, rows[-1][0].position if len(rows) == limit else max(head, after))


def last_given(session: Session) -> int:
    """The highest position that was ever given: events may have been swept away since."""
    value: int = session.execute(
        text("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM outbox_positions")
    ).scalar_one()
    return value


def _of(actor: Actor) -> Any:
    if actor.is_unit:
        return col(OutboxEvent.unit_id) == actor.unit_id
    return col(OutboxEvent.platform_id).in_(sorted(actor.platform_ids)) & ~col(OutboxEvent.echo)


def facts_query() -> Any:
    """Outbox rows with the codes of their platform and unit; give the rows to `facts_of`."""
    return (
        select(OutboxEvent, col(Platform.code), col(OrgUnit.code))
        .join(Platform, col(Platform.id) == col(OutboxEvent.platform_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(OutboxEvent.unit_id))
    )


def facts_of(rows: Sequence[Any]) -> list[Fact]:
    """The facts of `facts_query`'s rows, in the same order."""
    return [
        Fact(
            event.id,
            event.type,
            event.ticket_seq,
            event.data,
            event.occurred_at,
            platform,
            unit,
        )
        for event, platform, unit in rows
    ]
