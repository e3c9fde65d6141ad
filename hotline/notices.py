"""A year's notice (放假安排) or a platform's local days off, loaded at run time.

`preview` says which open clocks move; loading moves them, keeps «due as then known» in `clock_moves` and says so in each
ticket's ledger. A clock met or lapsed is never re-judged, and no clock is moved into the past.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlmodel import Session, col

from calendar_cn.arrangements import Arrangement
from calendar_cn.working_days import WorkCalendar
from hotline import calendars
from hotline.access import SYSTEM, Actor
from hotline.batches import among, lock, write_all
from hotline.case import Desk, Office, note, record, tell
from hotline.exchange import outbox
from hotline.models import Clock, ClockMove
from hotline.organisation import CalendarVersion, OrgUnit, Platform
from workflow.deadlines import Due, citizen_due, due_of, extended
from workflow.errors import OrderInvalid
from workflow.statute import load as load_pack
from workflow.vocabulary import ClockKind, Party

_LOAD_LOCK = 12345_002
MOVED = "calendar_move"


@dataclass(frozen=True, slots=True)
class MovedDue:
    """One open clock that a calendar change moves, from the day it was due to the day it will be."""

    clock_id: int
    ticket_id: int
    kind: str
    from_due_on: date
    to_due_on: date
    was_provisional: bool
    provisional: bool


@dataclass(frozen=True, slots=True)
class _Recount:
    """A clock with its due counted anew: without its extensions, and with them."""

    clock: Clock
    first: Due
    due: Due

    @property
    def moved(self) -> MovedDue:
        clock, due = self.clock, self.due
        return MovedDue(
            clock.id, clock.ticket_id, clock.kind, clock.due_on, due.on, clock.provisional, due.provisional
        )


def preview(session: Session, arrangement: Arrangement, at: datetime) -> list[MovedDue]:
    """Which open clocks loading `arrangement` at `at` would move. Changes nothing."""
    arrangements, overlays = calendars.read(session)
    arrangements[arrangement.year] = arrangement
    return [r.moved for r in _Counter(session, arrangements, overlays, at).recount(_open_clocks(session))]


def load_notice(
    session: Session,
    office: Office,
    arrangement: Arrangement,
    content: Mapping[str, Any],
    *,
    by: Actor,
    at: datetime,
) -> list[MovedDue]:
    """Load a year's notice and move the open clocks it changes, in the caller's transaction.

    Raises `OrderInvalid` if the very same notice is already in force.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
    arrangements, _ = calendars.read(session)
    if arrangements.get(arrangement.year) == arrangement:
        raise OrderInvalid(f"{arrangement.year} 年的这份放假安排已在使用，无需重复加载。", field="year")
    session.add(
        CalendarVersion(year=arrangement.year, content=dict(content), loaded_at=at, loaded_by=by.name)
    )
    session.flush()
    return _move_open_clocks(session, office, by, at)


def set_local_days(
    session: Session, office: Office, platform_id: int, days: Mapping[date, str], *, by: Actor, at: datetime
) -> list[MovedDue]:
    """Replace a platform's local days off (放假办法 art. 4) and move the open clocks they change."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
    content = {day.isoformat(): why for day, why in days.items()}
    session.add(CalendarVersion(platform_id=platform_id, content=content, loaded_at=at, loaded_by=by.name))
    session.flush()
    return _move_open_clocks(session, office, by, at)


def settle(session: Session, office: Office, as_of: datetime) -> int:
    """Move clocks that an act opened by the older calendar while a newer one was being loaded; returns how many.

    Looks only within ten minutes of a load; finds nothing otherwise, or a second time. The caller commits.
    """
    newest = select(CalendarVersion).order_by(col(CalendarVersion.id).desc()).limit(1)
    row = session.execute(newest).scalar_one_or_none()
    if row is None or as_of - row.loaded_at > timedelta(minutes=10):
        return 0
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
    return len(_move_open_clocks(session, office, SYSTEM, as_of))


def _move_open_clocks(session: Session, office: Office, by: Actor, at: datetime) -> list[MovedDue]:
    office.calendars.at(session, calendars.newest_version(session))
    arrangements, overlays = calendars.read(session)
    counter = _Counter(session, arrangements, overlays, at)
    candidates = counter.recount(_open_clocks(session))
    cases = lock(session, [r.clock.ticket_id for r in candidates], skip_locked=False)
    desk = Desk(session, by, at, office)
    moves = counter.recount(_open_clocks(session, [r.clock.id for r in candidates]))
    told: dict[int, MovedDue] = {}
    for move in moves:
        told[move.clock.id] = move.moved
        case = cases[move.clock.ticket_id]
        before = move.clock.due_at
        _supersede(desk, move)
        note(case, "moved", move.clock, reason="calendar", from_due_at=before.astimezone(UTC).isoformat())
    for case in cases.values():
        if case.turned:
            units = dict.fromkeys(
                facts["unit"] for facts in case.turned["moved"] if facts["unit"] is not None
            )
            record(desk, case, MOVED, before=case.ticket.state, article=None, payload={})
            tell(desk, case, outbox.CLOCK_MOVED, None, {"reason": "calendar"})
            for unit_id in units:
                tell(desk, case, outbox.CLOCK_MOVED, unit_id, {"reason": "calendar"}, echo=True)
    write_all(desk, list(cases.values()))
    return list(told.values())


def _supersede(desk: Desk, move: _Recount) -> None:
    clock, due = move.clock, move.due
    desk.session.add(
        ClockMove(
            clock_id=clock.id,
            moved_at=desk.at,
            reason="calendar",
            from_due_on=clock.due_on,
            from_due_at=clock.due_at,
            to_due_on=due.on,
            to_due_at=due.at,
            calendar_version=desk.office.calendars.version,
        )
    )
    clock.original_due_on, clock.original_due_at = move.first.on, move.first.at
    clock.due_on, clock.due_at, clock.provisional = due.on, due.at, due.provisional
    clock.calendar_version = desk.office.calendars.version
    desk.session.add(clock)


def _open_clocks(session: Session, ids: list[int] | None = None) -> list[Clock]:
    statement = (
        select(Clock)
        .where(
            col(Clock.met_at).is_(None),
            col(Clock.lapsed_at).is_(None),
            col(Clock.voided_at).is_(None),
            col(Clock.kind).not_in([ClockKind.FORM_AND_TRANSFER, ClockKind.REPORT_UP]),
        )
        .order_by(col(Clock.id))
        .execution_options(populate_existing=True)
    )
    if ids is not None:
        statement = statement.where(col(Clock.id) == among(ids))
    return list(session.execute(statement).scalars())


class _Counter:
    """Counts due dates anew by given arrangements and local days off."""

    def __init__(
        self,
        session: Session,
        arrangements: Mapping[int, Arrangement],
        overlays: Mapping[int, Mapping[date, str]],
        at: datetime,
    ) -> None:
        self._arrangements, self._overlays, self._at = arrangements, overlays, at
        self._calendars: dict[int, WorkCalendar] = {}
        units = session.execute(select(col(OrgUnit.id), col(OrgUnit.platform_id))).all()
        self._homes: dict[int, int] = {unit_id: platform_id for unit_id, platform_id in units}  # noqa: C416
        packs = session.execute(select(col(Platform.id), col(Platform.pack))).all()
        self._packs: dict[int, str] = {platform_id: pack for platform_id, pack in packs}  # noqa: C416

    def recount(self, clocks: list[Clock]) -> list[_Recount]:
        """The clocks whose due date differs by these calendars and still lies ahead."""
        counted = [self._count(clock) for clock in clocks]
        return [
            r
            for r in counted
            if (r.due.on, r.due.provisional) != (r.clock.due_on, r.clock.provisional) and r.due.at > self._at
        ]

    def _count(self, clock: Clock) -> _Recount:
        statute = load_pack(self._packs[clock.platform_id])
        calendar = self._calendar(clock)
        day_end = statute.word("day_end")
        limit = statute.limit_by_id(clock.limit_id, clock.law_on)
        if clock.kind is ClockKind.CITIZEN and limit.matter is not None:
            due = citizen_due(statute, limit.matter, clock.opened_at, calendar)
            return _Recount(clock, due, due)
        length = clock.length if limit.chosen else None
        first = due_of(limit, clock.opened_at, calendar, day_end=day_end, length=length)
        if not clock.extension_days:
            return _Recount(clock, first, first)
        longer = extended(first.on, clock.extension_days, calendar, day_end=day_end)
        return _Recount(clock, first, Due(longer.on, longer.at, first.provisional or longer.provisional))

    def _calendar(self, clock: Clock) -> WorkCalendar:
        home = (
            self._homes[clock.unit_id] if clock.party is Party.UNIT and clock.unit_id else clock.platform_id
        )
        if home not in self._calendars:
            self._calendars[home] = WorkCalendar(self._arrangements, self._overlays.get(home))
        return self._calendars[home]
