"""What the database tells of the work under way, as numbers to watch: counts by platform and state, never a person or a ticket."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from hotline import calendars
from hotline.storage.replica import Fitness, Standing
from workflow.lifecycle import OPEN_STATES

_WEEK: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Gauge:
    """One number to watch by the values of its labels. `told` says in one sentence what it counts."""

    name: str
    told: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Counted:
    """A gauge read by one query: its labels' columns first, the number last."""

    name: str
    told: str
    labels: tuple[str, ...]
    query: str


_COUNTED: Final = (
    _Counted(
        "hotline_tickets_open",
        "Tickets that are not ended, by platform and state.",
        ("platform", "state"),
        "SELECT p.code, t.state, count(*) FROM tickets t JOIN platforms p ON p.id = t.platform_id"
        " WHERE t.state = ANY(:open) GROUP BY 1, 2",
    ),
    _Counted(
        "hotline_clocks_overdue",
        "Legal periods that lapsed and are still not met, by platform and party.",
        ("platform", "party"),
        "SELECT p.code, c.party, count(*) FROM clocks c JOIN platforms p ON p.id = c.platform_id"
        " WHERE c.lapsed_at IS NOT NULL AND c.duty AND c.met_at IS NULL AND c.voided_at IS NULL GROUP BY 1, 2",
    ),
    _Counted(
        "hotline_clocks_unstamped",
        "Legal periods that are over and that no ticker has stamped yet.",
        (),
        "SELECT count(*) FROM clocks WHERE due_at < :at AND lapsed_at IS NULL AND met_at IS NULL AND voided_at IS NULL",
    ),
    _Counted(
        "hotline_events_unsorted",
        "Events committed and not yet given their place in the feed.",
        (),
        "SELECT count(*) FROM outbox WHERE position IS NULL",
    ),
    _Counted(
        "hotline_deliveries_waiting",
        "Deliveries to systems of units and platforms that wait, by the state of their subscription.",
        ("subscription",),
        "SELECT s.state, count(*) FROM deliveries d JOIN subscriptions s ON s.id = d.subscription_id"
        " WHERE d.state = 'waiting' GROUP BY 1",
    ),
    _Counted(
        "hotline_delivery_oldest_seconds",
        "Age of the oldest delivery that waits for an active subscription.",
        (),
        "SELECT coalesce(extract(epoch FROM :at - min(d.created_at)), 0) FROM deliveries d"
        " JOIN subscriptions s ON s.id = d.subscription_id WHERE d.state = 'waiting' AND s.state = 'active'",
    ),
    _Counted(
        "hotline_deliveries_dead",
        "Deliveries given up within the last seven days.",
        (),
        "SELECT count(*) FROM deliveries WHERE state = 'dead' AND settled_at > :week",
    ),
    _Counted(
        "hotline_notices_waiting",
        "E-mails and text messages that wait to be sent, by means.",
        ("means",),
        "SELECT means, count(*) FROM notifications WHERE next_at IS NOT NULL GROUP BY 1",
    ),
    _Counted(
        "hotline_notices_failed",
        "E-mails and text messages that failed within the last seven days.",
        (),
        "SELECT count(*) FROM notifications WHERE state IN ('failed', 'given_up') AND created_at > :week",
    ),
    _Counted(
        "hotline_database_bytes", "Size of the database.", (), "SELECT pg_database_size(current_database())"
    ),
)


def read(session: Session, folder: Path, at: datetime) -> Iterator[Gauge]:
    """Every gauge as of `at` (aware); `folder` is the one whose disk is watched. A label nobody has yet has no value."""
    values = {"at": at, "week": at - _WEEK, "open": sorted(OPEN_STATES)}
    for counted in _COUNTED:
        yield _read(session, counted, values)
    known, _ = calendars.read(session)
    yield Gauge(
        "hotline_calendar_last_year",
        "The last year whose State Council notice is loaded.",
        values={(): max(known)},
    )
    yield Gauge(
        "hotline_disk_free_bytes",
        "Free space where attachments and keys are kept.",
        values={(): shutil.disk_usage(folder).free},
    )


def of_replica(standing: Standing) -> Iterator[Gauge]:
    """Whether reports are read at the replica, and how far it is behind."""
    yield Gauge(
        "hotline_replica_fit",
        "Whether reports are read at the replica (1), or at the primary because it is unfit (0).",
        values={(): float(standing.fitness is Fitness.FIT)},
    )
    if standing.behind is not None:
        yield Gauge(
            "hotline_replica_behind_seconds",
            "How far the replica is behind the primary at most.",
            values={(): standing.behind.total_seconds()},
        )


def _read(session: Session, counted: _Counted, values: dict[str, Any]) -> Gauge:
    bound = {name: value for name, value in values.items() if f":{name}" in counted.query}
    rows = session.execute(text(counted.query), bound).all()
    found = {tuple(str(part) for part in row[:-1]): float(row[-1]) for row in rows}
    return Gauge(counted.name, counted.told, counted.labels, found)
