"""The calendars in force: the shipped notices, those loaded since, and each platform's local days off.

A notice is loaded at run time: `preview` says which open clocks move, `load_notice` moves them and keeps «due as then known».
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Lock
from typing import Any

from sqlalchemy import func, select, text
from sqlmodel import Session, col

from calendar_cn.arrangements import Arrangement, parse_arrangement, shipped
from calendar_cn.working_days import WorkCalendar
from hotline.models import CalendarVersion, Clock, ClockMove, OrgUnit, Platform
from workflow.deadlines import Due, citizen_due, due_of, extended
from workflow.errors import OrderInvalid
from workflow.statute import load as load_pack
from workflow.vocabulary import ClockKind, Party

_LOAD_LOCK = 12345_002


class Calendars:
    """One process's cache of the calendars at one version (the newest `calendar_versions` row's id)."""

    def __init__(self) -> None:
        self._version = -1
        self._by_platform: dict[int | None, WorkCalendar] = {}
        self._overlays: dict[int, dict[date, str]] = {}
        self._arrangements: dict[int, Arrangement] = {}
        self._lock = Lock()

    def at(self, session: Session, version: int) -> None:
        """Make this cache hold `version`, reading the database only if it is newer than what is held."""
        if version <= self._version:
            return
        arrangements, overlays = _read(session)
        with self._lock:
            if version > self._version:
                self._arrangements, self._overlays = arrangements, overlays
                self._by_platform = {}
                self._version = version

    @property
    def version(self) -> int:
        """The version held: 0 for the shipped notices alone."""
        return max(self._version, 0)

    def of(self, platform_id: int | None) -> WorkCalendar:
        """The calendar of a platform's area: the notices and its local days off."""
        calendar = self._by_platform.get(platform_id)
        if calendar is None:
            overlay = self._overlays.get(platform_id or 0)
            calendar = WorkCalendar(self._arrangements or shipped(), overlay)
            self._by_platform[platform_id] = calendar
        return calendar


def as_of(session: Session, version: int, platform_id: int | None) -> WorkCalendar:
    """The calendar of a platform as it stood at `version`, for a certificate of a date counted then."""
    arrangements, overlays = _read(session, version)
    return WorkCalendar(arrangements, overlays.get(platform_id or 0))


def _read(
    session: Session, version: int | None = None
) -> tuple[dict[int, Arrangement], dict[int, dict[date, str]]]:
    arrangements = dict(shipped())
    overlays: dict[int, dict[date, str]] = {}
    for row in session.execute(_newest_last()).scalars():
        if version is not None and row.id > version:
            break
        if row.year is not None:
            arrangements[row.year] = parse_arrangement(row.content)
        elif row.platform_id is not None:
            overlays[row.platform_id] = {date.fromisoformat(day): why for day, why in row.content.items()}
    return arrangements, overlays


def _newest_last() -> Any:
    return select(CalendarVersion).order_by(col(CalendarVersion.id))


def newest_version(session: Session) -> int:
    """The newest calendar version in the database, 0 when only the shipped notices are known."""
    return int(session.execute(select(func.coalesce(func.max(col(CalendarVersion.id)), 0))).scalar_one())


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


def parse_notice(content: Mapping[str, Any] | str | bytes) -> Arrangement:
    """A notice in the shipped JSON format. Raises calendar_cn's `ArrangementInvalid`."""
    return parse_arrangement(content)


def preview(session: Session, arrangement: Arrangement) -> list[MovedDue]:
    """Which open clocks loading `arrangement` would move. Changes nothing."""
    arrangements, overlays = _read(session)
    arrangements[arrangement.year] = arrangement
    return [moved for moved, _, _ in _moves(session, arrangements, overlays)]


def load_notice(
    session: Session, arrangement: Arrangement, content: Mapping[str, Any], *, by: str, at: datetime
) -> list[MovedDue]:
    """Load a year's notice and move the open clocks it changes, in the caller's transaction.

    A clock already met or lapsed is never re-judged. Raises `OrderInvalid` if the very same notice is already in force.
    """
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
    arrangements, overlays = _read(session)
    if arrangements.get(arrangement.year) == arrangement:
        raise OrderInvalid(f"{arrangement.year} 年的这份放假安排已在使用，无需重复加载。", field="year")
    arrangements[arrangement.year] = arrangement
    row = CalendarVersion(year=arrangement.year, content=dict(content), loaded_at=at, loaded_by=by)
    session.add(row)
    session.flush()
    return _apply(session, _moves(session, arrangements, overlays), row.id, at)


def set_local_days(
    session: Session, platform_id: int, days: Mapping[date, str], *, by: str, at: datetime
) -> list[MovedDue]:
    """Replace a platform's local days off (放假办法 art. 4) and move its open clocks."""
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
    arrangements, overlays = _read(session)
    overlays[platform_id] = dict(days)
    content = {day.isoformat(): why for day, why in days.items()}
    row = CalendarVersion(platform_id=platform_id, content=content, loaded_at=at, loaded_by=by)
    session.add(row)
    session.flush()
    return _apply(session, _moves(session, arrangements, overlays), row.id, at)


def _apply(
    session: Session, moves: Sequence[tuple[MovedDue, Clock, Due]], version: int, at: datetime
) -> list[MovedDue]:
    for moved, clock, due in moves:
        session.add(
            ClockMove(
                clock_id=clock.id,
                moved_at=at,
                reason="calendar",
                from_due_on=clock.due_on,
                from_due_at=clock.due_at,
                to_due_on=due.on,
                to_due_at=due.at,
                calendar_version=version,
            )
        )
        clock.due_on, clock.due_at, clock.provisional = due.on, due.at, moved.provisional
        clock.calendar_version = version
        session.add(clock)
    session.flush()
    return [moved for moved, _, _ in moves]


def _moves(
    session: Session, arrangements: Mapping[int, Arrangement], overlays: Mapping[int, Mapping[date, str]]
) -> list[tuple[MovedDue, Clock, Due]]:
    calendars: dict[int, WorkCalendar] = {}
    found: list[tuple[MovedDue, Clock, Due]] = []
    homes: dict[int, int] = dict(session.execute(select(col(OrgUnit.id), col(OrgUnit.platform_id))).all())
    packs: dict[int, str] = dict(session.execute(select(col(Platform.id), col(Platform.pack))).all())
    for clock in session.execute(_open_clocks()).scalars():
        home = homes[clock.unit_id] if clock.party is Party.UNIT and clock.unit_id else clock.platform_id
        calendar = calendars.get(home)
        if calendar is None:
            calendar = calendars[home] = WorkCalendar(arrangements, overlays.get(home))
        due = recount(clock, packs[clock.platform_id], calendar)
        if (due.on, due.provisional) != (clock.due_on, clock.provisional):
            moved = MovedDue(
                clock.id,
                clock.ticket_id,
                clock.kind,
                clock.due_on,
                due.on,
                clock.provisional,
                due.provisional,
            )
            found.append((moved, clock, due))
    return found


def _open_clocks() -> Any:
    return (
        select(Clock)
        .where(
            col(Clock.met_at).is_(None),
            col(Clock.lapsed_at).is_(None),
            col(Clock.voided_at).is_(None),
            col(Clock.kind).not_in(["form_and_transfer", "report_up"]),
        )
        .order_by(col(Clock.id))
        .with_for_update()
        .execution_options(populate_existing=True)
    )


def recount(clock: Clock, pack: str, calendar: WorkCalendar) -> Due:
    """When `clock` is due by `calendar`, from its own opening, length and extensions."""
    statute = load_pack(pack)
    day_end = statute.word("day_end")
    limit = statute.limit_by_id(clock.limit_id, clock.law_on)
    if clock.kind is ClockKind.CITIZEN and limit.matter is not None:
        return citizen_due(statute, limit.matter, clock.opened_at, calendar)
    length = clock.length if limit.chosen else None
    due = due_of(limit, clock.opened_at, calendar, day_end=day_end, length=length)
    if clock.extension_days:
        longer = extended(due.on, clock.extension_days, calendar, day_end=day_end)
        return Due(longer.on, longer.at, due.provisional or longer.provisional)
    return due


def settle(session: Session, as_of: datetime) -> list[MovedDue]:
    """Move clocks that an act opened by the older calendar while a newer one was being loaded.

    Looks only within ten minutes of a load; finds nothing otherwise, or a second time.
    """
    newest = session.execute(_newest_last()).scalars().all()[-1:]
    if not newest or as_of - newest[0].loaded_at > timedelta(minutes=10):
        return []
    session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOAD_LOCK})
    arrangements, overlays = _read(session)
    return _apply(session, _moves(session, arrangements, overlays), newest[0].id, as_of)


__all__ = [
    "Calendars",
    "MovedDue",
    "as_of",
    "load_notice",
    "newest_version",
    "parse_notice",
    "preview",
    "recount",
    "set_local_days",
    "settle",
]
