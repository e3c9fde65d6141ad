"""投递记录: what went out, what did not and why; sent again one by one or as a range, at the end of what already waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import exists, select, text
from sqlmodel import Session, col

from hotline.auditing import audit
from hotline.case import Desk
from hotline.exchange.deliveries import facts_by_id
from hotline.exchange.envelopes import TESTED, Fact, kinds_for
from hotline.exchange.subscriptions import find, forget_failures
from hotline.exchange.tables import Delivery, Subscription
from hotline.models import OutboxEvent
from workflow.errors import OrderInvalid, OutOfSight
from workflow.vocabulary import AuditKind, DeliveryState, SubscriptionState

MOST_REPLAYED: Final = 10_000
"""Events one replay sends again."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A delivery and the event it carries."""

    delivery: Delivery
    fact: Fact


def listed(
    desk: Desk, subscription_id: int, *, state: DeliveryState | None, before: int | None, limit: int
) -> list[Posted]:
    """A subscription's deliveries, newest first, behind `before`. Raises `OutOfSight`."""
    find(desk, subscription_id, lock=False)
    statement = select(Delivery).where(col(Delivery.subscription_id) == subscription_id)
    if state is not None:
        statement = statement.where(col(Delivery.state) == state)
    if before is not None:
        statement = statement.where(col(Delivery.id) < before)
    rows = list(desk.session.execute(statement.order_by(col(Delivery.id).desc()).limit(limit)).scalars())
    return _posted(desk.session, rows)


def one(desk: Desk, delivery_id: int) -> Posted:
    """One delivery whole. Raises `OutOfSight`."""
    posted = _posted(desk.session, [_find(desk, delivery_id)])
    if not posted:
        raise _nowhere()
    return posted[0]


def _nowhere() -> OutOfSight:
    return OutOfSight("没有这条投递记录，或不在您的管理范围内。", field="delivery")


def _find(desk: Desk, delivery_id: int) -> Delivery:
    found = desk.session.get(Delivery, delivery_id, populate_existing=True)
    if found is None:
        raise _nowhere()
    try:
        find(desk, found.subscription_id, lock=False)
    except OutOfSight:
        raise _nowhere() from None
    return found


def _posted(session: Session, rows: Sequence[Delivery]) -> list[Posted]:
    facts = facts_by_id(session, {row.event_id for row in rows})
    # what was dropped between the two statements is gone with its event
    return [Posted(row, facts[row.event_id]) for row in rows if row.event_id in facts]


# --- again -------------------------------------------------------------------------------------------------------------


def replay(desk: Desk, delivery_id: int) -> Posted:
    """Send one event again, whatever became of it; it waits behind what its ticket has waiting. Raises `OutOfSight`, `OrderInvalid`."""
    old = _find(desk, delivery_id)
    subscription = _ready(desk, old.subscription_id)
    made = _enqueue(desk, subscription, [old.event_id])
    if not made:
        raise OrderInvalid("该事件正在等待投递，不必重发。", field="delivery")
    _record(desk, subscription, 1, delivery=old.id)
    return _posted(desk.session, [desk.session.get_one(Delivery, made[0])])[0]


def replay_range(
    desk: Desk,
    subscription_id: int,
    *,
    since: datetime,
    until: datetime,
    dead_only: bool = True,
    types: Sequence[str] = (),
) -> int:
    """Send again what happened in `since` <= time < `until`: what is dead, or everything of the subscription; returns how many.

    Raises `OutOfSight`, `OrderInvalid` (also for more than 10,000: choose a shorter time).
    """
    subscription = _ready(desk, subscription_id)
    if until <= since:
        raise OrderInvalid("结束时间须晚于开始时间。", field="until")
    events = _events(desk.session, subscription, since, until, dead_only=dead_only, types=types)
    if len(events) > MOST_REPLAYED:
        raise OrderInvalid(f"一次至多重发 {MOST_REPLAYED} 个事件，请缩短时间范围。", field="until")
    made = _enqueue(desk, subscription, events) if events else []
    _record(desk, subscription, len(made), since=since.isoformat(), until=until.isoformat())
    return len(made)


def _events(
    session: Session,
    subscription: Subscription,
    since: datetime,
    until: datetime,
    *,
    dead_only: bool,
    types: Sequence[str],
) -> list[int]:
    kinds = set(kinds_for(unit=subscription.unit_id is not None))
    kinds &= set(types) if types else kinds
    kinds &= set(subscription.types) if subscription.types and not dead_only else kinds
    statement = select(col(OutboxEvent.id)).where(
        col(OutboxEvent.position).is_not(None),
        col(OutboxEvent.type).in_(sorted(kinds)),
        col(OutboxEvent.occurred_at) >= since,
        col(OutboxEvent.occurred_at) < until,
    )
    if subscription.unit_id is not None:
        statement = statement.where(col(OutboxEvent.unit_id) == subscription.unit_id)
    else:
        statement = statement.where(
            col(OutboxEvent.platform_id) == subscription.platform_id, ~col(OutboxEvent.echo)
        )
    if dead_only:
        of_it = (col(Delivery.event_id) == col(OutboxEvent.id)) & (
            col(Delivery.subscription_id) == subscription.id
        )
        statement = statement.where(
            exists().where(of_it, col(Delivery.state) == DeliveryState.DEAD),
            ~exists().where(of_it, col(Delivery.state) == DeliveryState.DELIVERED),
        )
    return list(
        session.execute(statement.order_by(col(OutboxEvent.position)).limit(MOST_REPLAYED + 1)).scalars()
    )


def probe(desk: Desk, subscription_id: int) -> Posted:
    """连通测试: an event about no ticket, to this subscription alone; read how it went by its number. Raises `OutOfSight`, `OrderInvalid`."""
    subscription = _ready(desk, subscription_id)
    event = OutboxEvent(
        type=TESTED,
        platform_id=subscription.platform_id,
        unit_id=subscription.unit_id,
        data={},
        occurred_at=desk.at,
        echo=True,
    )
    forget_failures(subscription)
    desk.session.add_all((event, subscription))
    desk.session.flush()
    made = _enqueue(desk, subscription, [event.id])
    return _posted(desk.session, [desk.session.get_one(Delivery, made[0])])[0]


def _ready(desk: Desk, subscription_id: int) -> Subscription:
    subscription = find(desk, subscription_id)
    if subscription.state is SubscriptionState.DISABLED:
        raise OrderInvalid("订阅已停用，请先启用。", field="subscription")
    return subscription


def _enqueue(desk: Desk, subscription: Subscription, event_ids: Sequence[int]) -> list[int]:
    """New deliveries of these events in this order, but for those already waiting; their ids."""
    rows = desk.session.execute(
        text(_ENQUEUE),
        {"subscription": subscription.id, "events": list(event_ids), "by": desk.actor.name, "at": desk.at},
    ).all()
    desk.session.execute(
        text(_LANES),
        {"subscription": subscription.id, "lanes": sorted({row.lane for row in rows}), "at": desk.at},
    )
    return [row.id for row in rows]


_ENQUEUE: Final = """
INSERT INTO deliveries (subscription_id, event_id, lane, state, replayed_by, tries, created_at)
SELECT :subscription, o.id, coalesce(o.ticket_id, -o.id), 'waiting', :by, '[]', :at
FROM unnest(CAST(:events AS bigint[])) WITH ORDINALITY AS e(id, place) JOIN outbox o ON o.id = e.id
WHERE NOT EXISTS (
    SELECT FROM deliveries d WHERE d.event_id = o.id AND d.subscription_id = :subscription AND d.state = 'waiting'
)
ORDER BY e.place FOR KEY SHARE OF o
RETURNING id, lane
"""
# locked, so that an event is not dropped meanwhile: one that was is left out
_LANES: Final = """
INSERT INTO lanes (subscription_id, lane, next_at, claim, failures)
SELECT :subscription, lane, :at, 0, 0 FROM unnest(CAST(:lanes AS bigint[])) AS lane ORDER BY lane
ON CONFLICT (subscription_id, lane) DO UPDATE SET next_at = lanes.next_at
"""


def _record(desk: Desk, subscription: Subscription, count: int, **more: Any) -> None:
    audit.record(
        desk.session,
        AuditKind.ACCOUNT_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=subscription.platform_id,
        what={"change": "events_replayed", "subscription": subscription.id, "count": count} | more,
    )
