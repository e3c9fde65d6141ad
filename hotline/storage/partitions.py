"""分区: how the ledger, the events and the audit trail are cut, made ahead, dropped and put away cold (docs/decisions/0025-growth.md).

The ledger is cut by ticket: a ticket's whole history lies in one partition. The events are cut by number, the audit trail by month. A
partition by number is as wide as a month brought lately. What nobody made a partition for falls into the one called `rest`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, text
from sqlmodel import Session

from workflow.errors import OrderInvalid

_MAKING: Final = 12345_016
AHEAD: Final = 3
"""How many partitions stand ready, each about a month: the ticker may be away for that long."""

_MONTH: Final = timedelta(days=30)


class Cut(NamedTuple):
    """How a table is cut: by which column, and by number, whose numbers they are, when one was given, the least width of a partition."""

    table: str
    by: str
    numbers: str = ""
    given_at: str = ""
    least: int = 0
    guarded: bool = True


CUTS: Final = (
    Cut("ledger", "ticket_id", "tickets", "created_at", 20_000),
    Cut("outbox", "id", "outbox", "occurred_at", 200_000, guarded=False),
    Cut("audit", "day"),
)
NAMES: Final = re.compile(r"(ledger|outbox|audit)_(first|rest|from_[0-9]+|until_[0-9_]+|[0-9]{4}_[0-9]{2})")
"""What partitions are called; no other table is called so."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition: from `lower` (None: from the beginning) up to but without `upper`; both None for the rest.

    `rows` as the database last estimated, `size` in bytes with its indexes, `cold` what was noted when it was put away.
    """

    table: str
    name: str
    lower: int | date | None
    upper: int | date | None
    rows: int
    size: int
    tablespace: str | None
    cold: str | None

    @property
    def is_rest(self) -> bool:
        """Whether this is where falls what has no partition of its own."""
        return self.upper is None


def listed(session: Session) -> list[Partition]:
    """Every partition, each table's in order, the rest last."""
    found = [
        Partition(row.parent, row.name, *_bounds(row.bound), max(0, row.rows), row.size, row.space, row.cold)
        for row in session.execute(text(_LISTED))
    ]
    return sorted(found, key=lambda one: (one.table, one.is_rest, _placed(one.lower)))


_LISTED: Final = """
SELECT p.relname AS parent, c.relname AS name, pg_get_expr(c.relpartbound, c.oid) AS bound, c.reltuples::bigint AS rows,
    pg_total_relation_size(c.oid) AS size, s.spcname AS space, obj_description(c.oid, 'pg_class') AS cold
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent
LEFT JOIN pg_tablespace s ON s.oid = c.reltablespace
WHERE p.relkind = 'p' AND c.relkind = 'r' AND p.relnamespace = current_schema()::regnamespace
"""


def _bounds(bound: str) -> tuple[int | date | None, int | date | None]:
    told = re.fullmatch(r"FOR VALUES FROM \((.+)\) TO \((.+)\)", bound)
    if told is None:
        return None, None
    lower, upper = (_bound(one) for one in told.groups())
    return lower, upper


def _bound(told: str) -> int | date | None:
    if told == "MINVALUE":
        return None
    plain = told.strip("'")
    return date.fromisoformat(plain) if "-" in plain else int(plain)


def _placed(bound: int | date | None) -> int:
    return bound.toordinal() if isinstance(bound, date) else bound or 0


# --- made ahead ------------------------------------------------------------------------------------------------------------


def make(session: Session, as_of: datetime) -> int:
    """Make the partitions that are missing ahead; how many. What fell into the rest becomes a partition as it lies. The caller commits.

    Raises where somebody has used the tables for more than two seconds (lock_timeout): the next tick tries again.
    """
    if not session.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _MAKING}).scalar_one():
        return 0
    session.execute(text("SET LOCAL lock_timeout = '2s'"))
    return sum(_make(session, cut, as_of) for cut in CUTS)


def _make(session: Session, cut: Cut, as_of: datetime) -> int:
    fallen = has_rest(session, cut)
    if fallen:
        _keep_as_it_lies(session, cut)
    missing = list(_missing(session, cut, as_of))
    for name, lower, upper in missing:
        _attach(session, cut, name, f"FOR VALUES FROM ('{lower}') TO ('{upper}')")
    return len(missing) + fallen


def has_rest(session: Session, cut: Cut) -> bool:
    """Whether anything fell where nobody had made a partition for it."""
    return bool(session.execute(text(f"SELECT EXISTS (SELECT FROM {cut.table}_rest)")).scalar_one())  # noqa: S608 - a constant


def is_ready(session: Session, cut: Cut, as_of: datetime) -> bool:
    """Whether the coming month has its partition."""
    newest = _newest(session, cut)
    if isinstance(newest.upper, date):
        return newest.upper > months_on(as_of.date(), 1)
    return _placed(newest.upper) - _last(session, cut) > _wide(newest, cut)


def _missing(
    session: Session, cut: Cut, as_of: datetime
) -> Iterator[tuple[str, int, int] | tuple[str, date, date]]:
    """Names, lower and upper bounds of the partitions to be made."""
    newest = _newest(session, cut)
    if isinstance(newest.upper, date):
        month = newest.upper
        while month <= months_on(as_of.date(), AHEAD):
            yield f"{month:%Y_%m}", month, months_on(month, 1)
            month = months_on(month, 1)
        return
    top, last = _placed(newest.upper), _last(session, cut)
    if top - last > AHEAD * _wide(newest, cut):
        return
    width = _month_of(session, cut, last, as_of)
    while top - last <= AHEAD * width:
        yield f"from_{top}", top, top + width
        top += width


def _newest(session: Session, cut: Cut) -> Partition:
    return max((one for one in listed(session) if one.table == cut.table), key=lambda one: _placed(one.upper))


def _wide(newest: Partition, cut: Cut) -> int:
    return _placed(newest.upper) - _placed(newest.lower) if newest.lower is not None else cut.least


def _last(session: Session, cut: Cut) -> int:
    return int(session.execute(text(f"SELECT coalesce(max(id), 0) FROM {cut.numbers}")).scalar_one())  # noqa: S608 - a constant


def _month_of(session: Session, cut: Cut, last: int, as_of: datetime) -> int:
    """How many numbers the last month took, rounded up."""
    before = session.execute(
        text(f"SELECT id FROM {cut.numbers} WHERE {cut.given_at} < :since ORDER BY id DESC LIMIT 1"),  # noqa: S608 - constants
        {"since": as_of - _MONTH},
    ).scalar()
    return max(cut.least, -(-(last - (before or 0)) // 10_000) * 10_000)


def months_on(day: date, months: int) -> date:
    """The first day of the month that many months after this day's."""
    count = day.year * 12 + day.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def _attach(session: Session, cut: Cut, name: str, where: str) -> None:
    """Made beside the table and attached: acts go on meanwhile, which creating it in place would not let them."""
    partition = f"{cut.table}_{name}"
    session.execute(text(f"CREATE TABLE {partition} (LIKE {cut.table} INCLUDING DEFAULTS)"))
    _guard(session, cut, partition)
    session.execute(text(f"ALTER TABLE {cut.table} ATTACH PARTITION {partition} {where}"))


def _guard(session: Session, cut: Cut, partition: str) -> None:
    """What a partition does not have from its table: that nobody may empty it."""
    if cut.guarded:
        session.execute(
            text(
                f"CREATE TRIGGER {cut.table}_no_truncate BEFORE TRUNCATE ON {partition}"
                " FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
            )
        )


def _keep_as_it_lies(session: Session, cut: Cut) -> None:
    """What fell into the rest becomes a partition, without moving a row, and there is a new, empty rest."""
    rest, newest = f"{cut.table}_rest", _newest(session, cut)
    largest = session.execute(text(f"SELECT max({cut.by}) FROM {rest}")).scalar_one()  # noqa: S608 - constants
    upper = months_on(largest, 1) if isinstance(largest, date) else (largest // cut.least + 1) * cut.least + 1
    name = f"{cut.table}_until_{str(upper).replace('-', '_')}"
    if cut.table == "outbox":
        session.execute(text("ALTER TABLE deliveries DROP CONSTRAINT deliveries_event_id_fkey"))
    session.execute(text(f"ALTER TABLE {cut.table} DETACH PARTITION {rest}"))
    session.execute(text(f"ALTER TABLE {rest} RENAME TO {name}"))
    bounds = f"FROM ('{newest.upper}') TO ('{upper}')"
    session.execute(text(f"ALTER TABLE {cut.table} ATTACH PARTITION {name} FOR VALUES {bounds}"))
    _attach(session, cut, "rest", "DEFAULT")
    if cut.table == "outbox":
        session.execute(
            text(
                "ALTER TABLE deliveries ADD CONSTRAINT deliveries_event_id_fkey FOREIGN KEY (event_id) REFERENCES outbox (id)"
            )
        )


# --- dropped ---------------------------------------------------------------------------------------------------------------


def drop_events(session: Session, before: datetime, at: datetime) -> int:
    """Drop the oldest partition of events if all of it is from before, placed, and nothing waits to be delivered; how many events.

    What was settled of them goes too, and the feed's horizon moves on. The partition that was there first stays, and is emptied by row.
    """
    oldest = next((one for one in listed(session) if one.table == "outbox" and one.lower is not None), None)
    if oldest is None or _placed(oldest.upper) > _last(session, CUTS[1]):
        return 0
    values: dict[str, Any] = {"lower": oldest.lower, "upper": oldest.upper, "before": before, "at": at}
    if not session.execute(text(_MAY_GO), values).scalar_one():
        return 0
    session.execute(text("SET LOCAL lock_timeout = '2s'"))
    session.execute(
        text("DELETE FROM deliveries WHERE event_id >= :lower AND event_id < :upper AND state <> 'waiting'"),
        values,
    )
    gone: int = session.execute(text(_HORIZON), values).scalar_one()
    session.execute(text(f"ALTER TABLE outbox DETACH PARTITION {oldest.name}"))
    session.execute(text(f"DROP TABLE {oldest.name}"))
    return gone


_MAY_GO: Final = """
SELECT NOT EXISTS (SELECT FROM outbox WHERE id < :lower)
    AND NOT EXISTS (SELECT FROM (SELECT occurred_at FROM outbox WHERE id >= :lower AND id < :upper ORDER BY id DESC LIMIT 1) last
                    WHERE occurred_at >= :before)
    AND NOT EXISTS (SELECT FROM outbox WHERE id >= :lower AND id < :upper AND (position IS NULL OR occurred_at >= :before))
    AND NOT EXISTS (SELECT FROM deliveries WHERE event_id >= :lower AND event_id < :upper AND state = 'waiting')
"""
_HORIZON: Final = """
WITH gone AS (SELECT count(*) AS many, max(position) AS position FROM outbox WHERE id >= :lower AND id < :upper), moved AS (
    INSERT INTO feed_horizon (id, position, moved_at) SELECT 1, position, :at FROM gone WHERE many > 0
    ON CONFLICT (id) DO UPDATE SET position = greatest(feed_horizon.position, excluded.position), moved_at = excluded.moved_at
)
SELECT many FROM gone
"""


# --- put away cold ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Cooled:
    """One partition looked at: put away, or the reason in Chinese why it was not."""

    name: str
    refused: str | None


def cool(connection: Connection, before: date, tablespace: str | None, at: datetime) -> list[Cooled]:
    """归档冷存: put away the partitions of the ledger and the audit trail that end before `before`, each by itself.

    Frozen and analysed, moved to `tablespace` if one is named, then left alone by autovacuum. `connection` must commit by itself.
    Raises `OrderInvalid` (field `before`, `tablespace`).
    """
    if before > at.astimezone(UTC).date().replace(day=1):
        raise OrderInvalid("只能归档本月以前的分区。", field="before")
    known = connection.execute(text("SELECT spcname FROM pg_tablespace")).scalars().all()
    if tablespace is not None and tablespace not in known:
        raise OrderInvalid("没有这个表空间；请先由数据库管理员执行 CREATE TABLESPACE。", field="tablespace")
    with Session(connection) as session:
        there = [one for one in listed(session) if one.table != "outbox" and not (one.is_rest or one.cold)]
        judged = [(one, _why_not(session, one, before)) for one in there]
    for one, reason in judged:
        if reason is None:
            _put_away(connection, one.name, tablespace, at)
    return [Cooled(one.name, reason) for one, reason in judged]


def _why_not(session: Session, one: Partition, before: date) -> str | None:
    if isinstance(one.upper, date):
        return None if one.upper <= before else f"含 {before:%Y-%m} 及以后的记录"
    newest = session.execute(text(f"SELECT max(recorded_at) FROM {one.name}")).scalar()  # noqa: S608 - a partition's name
    values = {"lower": one.lower or 0, "upper": one.upper}
    if newest is None:
        return "还没有记录"
    if newest.date() >= before:
        return f"含 {before:%Y-%m} 及以后的记录"
    live = session.execute(text(_LIVE), values).scalar_one()
    return f"还有 {live} 件工单未归档" if live else None


_LIVE: Final = (
    "SELECT count(*) FROM tickets WHERE id >= :lower AND id < :upper AND state NOT IN ('archived', 'merged')"
)


def _put_away(connection: Connection, name: str, tablespace: str | None, at: datetime) -> None:
    connection.execute(text(f"VACUUM (FREEZE, ANALYZE) {name}"))
    if tablespace is not None:
        space = connection.dialect.identifier_preparer.quote(tablespace)
        indexes = connection.execute(
            text(
                "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND tablename = :name"
            ),
            {"name": name},
        )
        for index in indexes.scalars().all():
            connection.execute(text(f"ALTER INDEX {index} SET TABLESPACE {space}"))
        connection.execute(text(f"ALTER TABLE {name} SET TABLESPACE {space}"))
    connection.execute(text(f"ALTER TABLE {name} SET (autovacuum_enabled = false)"))
    connection.execute(text(f"COMMENT ON TABLE {name} IS '{at.astimezone(UTC):%Y-%m-%d}'"))


# --- told ------------------------------------------------------------------------------------------------------------------


def spans(session: Session) -> list[tuple[Partition, date | None, date | None]]:
    """Every partition with the days (UTC) of the first and last of what lies in it, as near as its numbers tell."""
    cuts = {cut.table: cut for cut in CUTS}
    return [(one, *_span(session, cuts[one.table], one)) for one in listed(session)]


def _span(session: Session, cut: Cut, one: Partition) -> tuple[date | None, date | None]:
    if not cut.numbers or one.is_rest:
        lower = one.lower if isinstance(one.lower, date) else None
        return lower, one.upper - timedelta(days=1) if isinstance(one.upper, date) else None
    within = f"FROM {cut.numbers} WHERE id >= :lower AND id < :upper ORDER BY id"
    ends = [
        session.execute(
            text(f"SELECT {cut.given_at} {within} {order} LIMIT 1"),
            {"lower": one.lower or 0, "upper": one.upper},
        ).scalar()
        for order in ("", "DESC")
    ]
    first, last = (end.date() if end is not None else None for end in ends)
    return first, last
