"""Counting as it happens: the tickets that changed are counted anew and the cube moved by the difference, in one transaction with the cursor.

What changed is told by the feed in the order of positions (decision 0017), so nothing that commits late is missed; a few changes the
feed does not tell of stand in `report_waiting`. Whoever holds the row of `report_state` counts; the others find it taken.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import add
from typing import Any, Final

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.case import Office
from hotline.exchange import feed
from hotline.models import OutboxEvent
from hotline.reporting import facts, filling, workdays
from hotline.reporting.cube import COLUMNS
from hotline.reporting.indicators import HOURS, MOST_DAYS
from hotline.reporting.slices import COUNTY, DIMS
from hotline.reporting.tables import CUBE, FACTS, MARKS, SPREAD, CountState, Waiting
from hotline.storage.together import write_together
from workflow.errors import RuleBroken

BATCH: Final = 500
_MAKING: Final = 12345_015
"""Events, or waiting tickets, counted in one transaction."""


class StillCounting(RuleBroken):
    """The figures are being counted anew from the first ticket on; `extra` says how far that is."""

    code = "still_counting"


def count(session: Session, office: Office, at: datetime, *, batch: int = BATCH) -> int:
    """Count what changed since the last time, up to `batch` events; returns how much was looked at. The caller commits.

    Safe in any number of replicas and after any crash: cursor and cube move together. Sorting the feed commits by itself.
    """
    feed.sort(session, at)
    session.commit()
    state = _take(session)
    if state is None:
        return 0
    if workdays.keep(session, office, state, at) and state.built:
        return 1
    if not state.built:
        return filling.fill(session, state, at)
    looked = _count_batch(session, state, batch)
    if looked or state.counted_at is None or (at - state.counted_at).total_seconds() >= 60:
        state.counted_at = at
        session.add(state)
    return looked


def drained(session: Session, looked: int) -> bool:
    """Whether a batch of `count` that looked at so many has taken all there was.

    What came while it was counted waits for the next tick, and is counted together: event by event it would cost more than the acts.
    """
    if looked <= 1:  # one may also stand for a step of another kind
        return looked == 0
    state = session.get(CountState, 1)
    return state is not None and state.built and looked < BATCH


def count_all(session: Session, office: Office, at: datetime, *, most: int = 400) -> None:
    """Count until nothing is left, committing on the way. Raises `StillCounting` where there is more than can be waited for."""
    for _ in range(most):
        if count(session, office, at) == 0:
            session.commit()
            break
        session.commit()
    check_current(session)


def settle(session: Session, office: Office, at: datetime, *, most: int = 20) -> None:
    """Count what is left within the caller's own transaction, for figures that are about to be kept. Raises `StillCounting` for too much."""
    check_current(session)
    _take(session)  # made where there was none
    state = session.execute(
        select(CountState).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
    if state.built:
        workdays.keep(session, office, state, at)
        for _ in range(most):
            feed.sort(session, at)
            if not _count_batch(session, state, BATCH):
                break
        else:
            raise StillCounting(
                "还有许多办理情况正在汇总，请稍后再审核。", extra={"position": state.position}
            )
        state.counted_at = at
        session.add(state)
        session.flush()
    check_current(session)


def check_current(session: Session) -> CountState:
    """The state, if figures can be told at all. Raises `StillCounting` while they are counted anew."""
    session.flush()
    state = session.get(CountState, 1, populate_existing=True)
    if state is None:
        return CountState()
    if not state.built:
        done = f"{state.filled_to} / {state.fill_until}"
        raise StillCounting(
            f"统计正在重新汇总（{done}），请稍后再取。",
            extra={"done": state.filled_to, "of": state.fill_until},
        )
    return state


def begin_anew(session: Session) -> None:
    """Throw the figures away, to be counted anew by `count` from the first ticket on. Waits for whoever counts. The caller commits."""
    _take(session, waiting=True)
    state = session.execute(
        select(CountState).with_for_update().execution_options(populate_existing=True)
    ).scalar_one()
    filling.start(session, state)


def behind(session: Session) -> int:
    """How many events and waiting tickets have not been counted yet."""
    state = check_current(session)
    return int(session.execute(text(_BEHIND), {"position": state.position}).scalar_one())


_BEHIND: Final = """
SELECT (SELECT count(*) FROM outbox WHERE position > :position OR position IS NULL) + (SELECT count(*) FROM report_waiting)
"""


def _take(session: Session, *, waiting: bool = False) -> CountState | None:
    """The state, locked, for whoever comes first; None where somebody else has it. Made where there is none, to be counted from the start.

    Who makes it counts in the same transaction, for as long as that takes: the others do not wait for the row, or only if `waiting`.
    """
    found = select(CountState).with_for_update(skip_locked=True).execution_options(populate_existing=True)
    state = session.execute(found).scalar_one_or_none()
    if state is None and session.execute(select(col(CountState.id))).first() is None:
        lock = "pg_advisory_xact_lock" if waiting else "pg_try_advisory_xact_lock"
        if session.execute(text(f"SELECT {lock}(:key)"), {"key": _MAKING}).scalar_one() is False:
            return None
        session.execute(
            upsert(CountState).values(id=1, **filling.from_the_start(session)).on_conflict_do_nothing()
        )
        state = session.execute(found).scalar_one_or_none()
    return state


def _count_batch(session: Session, state: CountState, batch: int) -> int:
    position = state.position
    events = session.execute(
        select(col(OutboxEvent.position), col(OutboxEvent.ticket_id))
        .where(col(OutboxEvent.position) > position)
        .order_by(col(OutboxEvent.position))
        .limit(batch)
    ).all()
    waiting = session.execute(select(Waiting).order_by(col(Waiting.id)).limit(batch)).scalars().all()
    if not events and not waiting:
        return 0
    if feed.horizon(session) > position:  # events were dropped that nobody counted: start anew
        filling.start(session, state)
        return 1
    tickets = {ticket_id for _, ticket_id in events if ticket_id is not None}
    tickets |= {each.ref_id for each in waiting if each.what == "ticket"}
    calls = {each.ref_id for each in waiting if each.what == "call"}
    _move(session, tickets, calls)
    if waiting:
        session.execute(delete(Waiting).where(col(Waiting.id).in_([each.id for each in waiting])))
    if events:
        state.position = events[-1][0]
        session.add(state)
    return len(events) + len(waiting)


# --- the difference ------------------------------------------------------------------------------------------------------

_MERGED: Final = "SELECT id FROM tickets WHERE merged_into_id = ANY(CAST(:ids AS bigint[]))"
_OF: Final = facts.of_tickets(lambda ticket: f"{ticket} = ANY(CAST(:ids AS bigint[]))")
_OF_CALLS: Final = facts.of_calls("k.id = ANY(CAST(:ids AS bigint[]))")
_KEPT: Final = (
    f"SELECT {', '.join(facts.COLUMNS)} FROM report_facts WHERE ticket_id = ANY(CAST(:ids AS bigint[]))"  # noqa: S608 - words of this module
)
_KEPT_CALLS: Final = f"SELECT {', '.join(facts.COLUMNS)} FROM report_facts WHERE ticket_id = 0 AND what = 'call' AND ref_id = ANY(CAST(:ids AS bigint[]))"  # noqa: S608 - words of this module
_FORGET: Final = """
DELETE FROM report_facts f USING unnest(CAST(:tickets AS bigint[]), CAST(:whats AS text[]), CAST(:refs AS bigint[])) AS g (ticket_id, what, ref_id)
WHERE f.ticket_id = g.ticket_id AND f.what = g.what AND f.ref_id = g.ref_id
"""
_TICKET, _WHAT, _REF, _DAY, _PLATFORM, _UNIT, _MATTER, _CATEGORY, _AREA, _CHANNEL, _AGENT, _MARKS = range(12)
Fact = tuple[Any, ...]


def _move(session: Session, tickets: set[int], calls: set[int]) -> None:
    """Bring facts, cube and spread of these tickets, and of those merged into them, and of these calls to what the raw tables say now."""
    gone: list[Fact] = []
    come: list[Fact] = []
    if tickets:
        ids = sorted(tickets | set(session.execute(text(_MERGED), {"ids": sorted(tickets)}).scalars()))
        _compare(session, _KEPT, _OF, ids, gone, come)
    if calls:
        _compare(session, _KEPT_CALLS, _OF_CALLS, sorted(calls), gone, come)
    if not gone and not come:
        return
    if gone:
        named = zip(*((fact[_TICKET], fact[_WHAT], fact[_REF]) for fact in gone), strict=True)
        session.execute(text(_FORGET), dict(zip(("tickets", "whats", "refs"), map(list, named), strict=True)))
    if come:
        rows = [dict(zip(facts.COLUMNS, fact, strict=True)) for fact in come]
        write_together(session, frozenset(), [(FACTS, rows)])
    difference = Difference()
    difference.take(gone, -1)
    difference.take(come, 1)
    difference.write(session)


def _compare(
    session: Session, kept: str, now: str, ids: Sequence[int], gone: list[Fact], come: list[Fact]
) -> None:
    before = {tuple(row) for row in session.execute(text(kept), {"ids": list(ids)})}
    after = {tuple(row) for row in session.execute(text(now), {"ids": list(ids)})}
    gone += before - after
    come += after - before


@dataclass(slots=True)
class Difference:
    """What is to be added to the cube and the spread, by cell."""

    cells: dict[tuple[Any, ...], list[int]]
    buckets: dict[tuple[Any, ...], int]

    def __init__(self) -> None:
        self.cells = defaultdict(lambda: [0] * len(COLUMNS))
        self.buckets = defaultdict(int)

    def take(self, taken: Iterable[Fact], sign: int) -> None:
        """Add (1) or take away (-1) these facts."""
        for fact in taken:
            marks = fact[_MARKS]
            values = [sign, *(sign * (marks >> bit & 1) for bit in range(MARKS))]
            values += [sign * (each or 0) for each in fact[_MARKS + 1 :]]
            day: date = fact[_DAY]
            month = day.replace(day=1)
            for dim, key in keys_of(fact).items():
                for grain, starts in (("day", day), ("month", month)):
                    cell = (grain, dim, fact[_PLATFORM], starts, key, fact[_WHAT])
                    self.cells[cell] = list(map(add, self.cells[cell], values))
                if dim != "agent":
                    for measure, bucket in buckets_of(fact):
                        self.buckets[dim, fact[_PLATFORM], month, key, measure, bucket] += sign

    def write(self, session: Session) -> None:
        """Move the cells that change, in the order of their keys."""
        named = ("grain", "dim", "platform_id", "starts", "key", "what")
        rows = [
            dict(zip(named, cell, strict=True)) | dict(zip(COLUMNS, values, strict=True))
            for cell, values in sorted(self.cells.items())
            if any(values)
        ]
        _add(session, CUBE, rows, named, COLUMNS)
        named = ("dim", "platform_id", "starts", "key", "measure", "bucket")
        rows = [
            dict(zip(named, bucket, strict=True)) | {"n": n}
            for bucket, n in sorted(self.buckets.items())
            if n
        ]
        _add(session, SPREAD, rows, named, ("n",))


def _add(session: Session, table: Any, rows: list[Any], named: Sequence[str], sums: Sequence[str]) -> None:
    if not rows:
        return
    statement = upsert(table)
    moved = {name: table.c[name] + statement.excluded[name] for name in sums}
    session.execute(statement.on_conflict_do_update(index_elements=list(named), set_=moved), rows)


def keys_of(fact: Fact) -> Mapping[str, str]:
    """A fact's key in each dimension of the cube."""
    keys = (
        "",
        str(fact[_UNIT]),
        fact[_MATTER],
        fact[_CATEGORY],
        fact[_AREA][:COUNTY],
        fact[_CHANNEL],
        str(fact[_AGENT]),
    )
    return dict(zip(DIMS, keys, strict=True))


def buckets_of(fact: Fact) -> Iterable[tuple[str, int]]:
    """The buckets of the spread that an answered reply's times fall into."""
    seconds, days, wait_seconds, wait_days = fact[_MARKS + 1 :]
    if fact[_WHAT] != "reply":
        return
    for measure, value in (("work_hours", seconds), ("wait_hours", wait_seconds)):
        if value is not None:
            yield measure, bisect_right(_ENDS, value)
    for measure, value in (("work_days", days), ("wait_days", wait_days)):
        if value is not None:
            yield measure, min(value, MOST_DAYS)


_ENDS: Final = [3600 * hours for hours in HOURS]
