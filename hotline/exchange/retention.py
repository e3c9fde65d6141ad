"""保存期限: which deliveries and events are kept how long, given up and dropped in batches by the ticker.

A delivery is kept 30 days once delivered, 180 once dead; an event `Policy.event_days`, and its settled deliveries no longer than it.
What still waits to be delivered stays, however old. Up to the `Horizon` the feed is no longer whole: whoever asks from before it
is told so.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, text, update
from sqlmodel import Session, col

from hotline.case import Office
from hotline.exchange.deliveries import GIVE_UP
from hotline.exchange.tables import Delivery
from hotline.storage import partitions
from workflow.vocabulary import DeliveryState

KEPT_DELIVERED, KEPT_DEAD = timedelta(days=30), timedelta(days=180)


def give_up(session: Session, office: Office, as_of: datetime, *, batch: int = 500) -> int:  # noqa: ARG001
    """Deliveries nobody could even try for three days (paused, breaker open) are dead; returns how many. The caller commits."""
    old = (
        select(col(Delivery.id))
        .where(
            col(Delivery.state) == DeliveryState.WAITING,
            col(Delivery.created_at) < as_of - GIVE_UP - timedelta(hours=1),
        )
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    ended = session.execute(
        update(Delivery)
        .where(col(Delivery.id).in_(old))
        .values(state=DeliveryState.DEAD, settled_at=as_of, problem="三天内未能送达")
        .execution_options(synchronize_session=False)
    )
    return int(ended.rowcount)  # type: ignore[attr-defined]


def forget_deliveries(session: Session, office: Office, as_of: datetime, *, batch: int = 5000) -> int:  # noqa: ARG001
    """Drop what was delivered 30 days ago, or is dead for 180; returns how many. The events stay. The caller commits."""
    settled, state = col(Delivery.settled_at), col(Delivery.state)
    old = (
        select(col(Delivery.id))
        .where(
            settled < as_of - KEPT_DELIVERED,
            (state == DeliveryState.DELIVERED) | (settled < as_of - KEPT_DEAD),
        )
        .limit(batch)
    )
    dropped = session.execute(
        delete(Delivery).where(col(Delivery.id).in_(old)).execution_options(synchronize_session=False)
    )
    return int(dropped.rowcount)  # type: ignore[attr-defined]


def forget_events(session: Session, office: Office, as_of: datetime, *, batch: int = 2000) -> int:
    """Drop up to `batch` events older than `Policy.event_days` with what was settled of them; returns how many. The caller commits.

    What is still to be delivered stays. Only the oldest `batch` of the feed are looked at: the cost grows with what goes. A whole
    partition that may go is dropped at once.
    """
    before = as_of - timedelta(days=office.policy.event_days)
    if dropped := partitions.drop_events(session, before, as_of):
        return dropped
    oldest = session.execute(text(_OLDEST), {"before": before, "batch": batch})
    ids = list(oldest.scalars())
    if not ids:
        return 0
    # a new statement: whatever was made of these events before they were locked is seen, and nothing new can be made of them
    session.execute(text(_SETTLED), {"ids": ids})
    gone: int = session.execute(text(_FORGET), {"ids": ids, "at": as_of}).scalar_one()
    return gone


_OLDEST: Final = """
SELECT id FROM outbox
WHERE position <= (SELECT max(position) FROM (SELECT position FROM outbox WHERE position IS NOT NULL ORDER BY position LIMIT :batch) head)
    AND occurred_at < :before
ORDER BY id FOR UPDATE SKIP LOCKED
"""
_SETTLED: Final = """
DELETE FROM deliveries d WHERE d.event_id = ANY(CAST(:ids AS bigint[])) AND NOT EXISTS (
    SELECT FROM deliveries other WHERE other.event_id = d.event_id AND other.state = 'waiting'
)
"""
_FORGET: Final = """
WITH gone AS (
    DELETE FROM outbox o WHERE o.id = ANY(CAST(:ids AS bigint[]))
        AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = o.id)
    RETURNING o.position
), moved AS (
    INSERT INTO feed_horizon (id, position, moved_at) SELECT 1, max(position), :at FROM gone HAVING count(*) > 0
    ON CONFLICT (id) DO UPDATE SET position = greatest(feed_horizon.position, excluded.position), moved_at = excluded.moved_at
)
SELECT count(*) FROM gone
"""
