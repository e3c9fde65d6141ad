"""督办看板: what is owed today and soon, by whom, what is late, what waits for the platform; counted by unit and by day.

Every figure is the number of tickets its own list finds (`hotline.queues`), and carries the words that ask for that list.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Date,
    and_,
    cast,
    func,
    literal,
    null,
    or_,
    select,
    true,
    tuple_,
    union_all,
)
from sqlmodel import Session, col

from calendar_cn.working_days import WorkCalendar
from hotline.access import Actor, visible_to
from hotline.models import (
    AccountabilityNotice,
    Assignment,
    Clock,
    Extension,
    Reminder,
    ReturnProposal,
    Ticket,
)
from hotline.organisation import Emergency, OrgUnit, Platform
from hotline.queues import OF_PLATFORM
from workflow.deadlines import CHINA, local_day
from workflow.lifecycle import OPEN_STATES
from workflow.vocabulary import ClockKind

DAYS_AHEAD, DAYS_BACK, REMINDED_DAYS = 14, 14, 30
WRITTEN: Final = 3
"""The rung of the ladder from which a reminder is a written one, or somebody comes (art. 14(8))."""

Query = dict[str, str | list[str]]
"""What `GET /tickets` is asked with for the tickets behind a figure."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number, and the list behind it; without a query there is none of tickets."""

    key: str
    label: str
    count: int
    query: Query | None


@dataclass(frozen=True, slots=True)
class Column:
    """One figure told for every unit: `query` together with the row's own opens a cell."""

    key: str
    label: str
    query: Query | None


@dataclass(frozen=True, slots=True)
class Row:
    """One unit, or the platform itself, and its figures by the columns' keys."""

    code: str
    name: str
    query: Query
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Day:
    """A coming day and what is due on it, or a past day and what was received."""

    day: date
    working: bool
    query: Query
    unit: int = 0
    platform: int = 0
    received: int = 0


@dataclass(frozen=True, slots=True)
class Board:
    """The whole board as of one instant."""

    at: datetime
    figures: list[Figure]
    columns: list[Column]
    rows: list[Row]
    coming: list[Day]
    received: list[Day]


@dataclass(slots=True)
class _Counted:
    """What the two statements found: by unit (None: the platform itself), in all, and by day."""

    units: dict[int | None, dict[str, int]] = field(default_factory=lambda: defaultdict(dict))
    whole: dict[str, int] = field(default_factory=dict)
    due: dict[tuple[date, bool], int] = field(default_factory=dict)
    received: dict[date, int] = field(default_factory=dict)


def board(session: Session, actor: Actor, calendar: WorkCalendar, at: datetime) -> Board:
    """The board of what `actor` sees, as of `at`; working days are those of `calendar`.

    A duty counts as overdue from its due instant on, whether or not a sweep has come since; «due today» goes by the day it is due.
    """
    today = local_day(at)
    following = calendar.add(today, 1)
    counted = _Counted()
    _count_duties(session, actor, at, today, following, counted)
    _count_others(session, actor, at, today, counted)
    columns = _columns(today, following)
    return Board(
        at=at,
        figures=_figures(counted, columns, today),
        columns=columns,
        rows=_rows(session, counted),
        coming=[
            Day(
                day,
                calendar.is_working_day(day),
                _due(day, day),
                counted.due.get((day, True), 0),
                counted.due.get((day, False), 0),
            )
            for day in (today + timedelta(days=n) for n in range(DAYS_AHEAD))
        ],
        received=[
            Day(day, calendar.is_working_day(day), _received(day), received=counted.received.get(day, 0))
            for day in (today - timedelta(days=n) for n in reversed(range(DAYS_BACK)))
        ],
    )


# --- the two statements ------------------------------------------------------------------------------------------------


def _count_duties(
    session: Session, actor: Actor, at: datetime, today: date, following: date, counted: _Counted
) -> None:
    """Tickets with a running duty: in all, by who owes it, by the day it is due and whether a unit owes it."""
    unit, day, of_unit = col(Clock.unit_id), col(Clock.due_on), col(Clock.unit_id).is_not(None)
    tests: dict[str, ColumnElement[bool]] = {
        "owed": true(),
        "overdue": or_(col(Clock.lapsed_at).is_not(None), col(Clock.due_at) <= at),
        "due_today": day == today,
        "due_next": and_(day > today, day <= following),
        "callback": col(Clock.kind) == ClockKind.CALLBACK,
        "climbed": col(Clock.rung) >= WRITTEN,
    }
    tickets = func.count(func.distinct(col(Clock.ticket_id)))
    statement = (
        select(
            func.grouping(unit, day), unit, day, of_unit, *(tickets.filter(test) for test in tests.values())
        )
        .join(Ticket, col(Ticket.id) == col(Clock.ticket_id))
        .where(visible_to(actor), _mine(Clock, actor))
        .where(col(Clock.met_at).is_(None), col(Clock.voided_at).is_(None), col(Clock.duty).is_(True))
        .group_by(func.grouping_sets(tuple_(), tuple_(unit), tuple_(day, of_unit)))
    )
    for grouped, code, on, by_unit, *counts in session.execute(statement):
        told = dict(zip(tests, counts, strict=True))
        if grouped == 0b11:
            counted.whole |= told
        elif grouped == 0b01:
            counted.units[code] |= told
        elif today <= on < today + timedelta(days=DAYS_AHEAD):
            counted.due[on, by_unit] = told["owed"]


def _count_others(session: Session, actor: Actor, at: datetime, today: date, counted: _Counted) -> None:
    """What is no clock: returns and extensions to judge, reminders, notices without an answer, emergencies, open and received ones."""
    unit, no_unit, no_day = col(Assignment.unit_id), cast(null(), BigInteger), cast(null(), Date)

    def waiting(name: str, table: Any, undecided: ColumnElement[bool]) -> Any:
        parts = select(
            literal(name), func.grouping(unit), unit, no_day, func.count(func.distinct(table.ticket_id))
        )
        parts = parts.join(Assignment, col(Assignment.id) == table.assignment_id).join(
            Ticket, col(Ticket.id) == table.ticket_id
        )
        if actor.is_unit:
            parts = parts.where(unit == actor.unit_id)
        return parts.where(visible_to(actor), undecided).group_by(func.grouping_sets(tuple_(), tuple_(unit)))

    def told(name: str, table: Any, *tests: ColumnElement[bool]) -> Any:
        whose = col(table.unit_id)
        rows = select(literal(name), func.grouping(whose), whose, no_day, func.count(col(table.id)))
        return rows.where(_mine(table, actor), *tests).group_by(func.grouping_sets(tuple_(), tuple_(whose)))

    def whole(name: str, table: Any, *tests: ColumnElement[bool]) -> Any:
        return select(literal(name), literal(1), no_unit, no_day, func.count(col(table.id))).where(*tests)

    day = cast(func.timezone(CHINA.key, col(Ticket.received_at)), Date)
    received = (
        select(literal("received"), literal(0), no_unit, day, func.count(col(Ticket.id)))
        .where(visible_to(actor), col(Ticket.received_at) >= _midnight(today - timedelta(days=DAYS_BACK - 1)))
        .where(col(Ticket.received_at) < _midnight(today + timedelta(days=1)))
        .group_by(day)
    )
    above = select(col(Platform.parent_id)).where(col(Platform.id).in_(sorted(actor.platform_ids)))
    platform = col(Emergency.platform_id)
    declared = or_(platform.in_(sorted(actor.platform_ids)), platform.in_(above))
    statement: Any = union_all(
        waiting("return", ReturnProposal, col(ReturnProposal.upheld).is_(None)),
        waiting("extension", Extension, col(Extension.approved).is_(None)),
        told("reminders", Reminder, col(Reminder.created_at) > at - timedelta(days=REMINDED_DAYS)),
        told("notices", AccountabilityNotice, col(AccountabilityNotice.answered_at).is_(None)),
        whole(
            "emergencies", Emergency, declared, col(Emergency.ended_at).is_(None), col(Emergency.until) > at
        ),
        whole("open", Ticket, visible_to(actor), col(Ticket.state).in_(sorted(OPEN_STATES))),
        received,
    )
    for name, grouped, code, on, count in session.execute(statement):
        if name == "received":
            counted.received[on] = count
        elif grouped:
            counted.whole[name] = count
        else:
            counted.units[code][name] = count


def _mine(table: Any, actor: Actor) -> ColumnElement[bool]:
    if actor.is_unit:
        return col(table.unit_id) == actor.unit_id
    return col(table.platform_id).in_(sorted(actor.platform_ids))


# --- how they are told ---------------------------------------------------------------------------------------------------


_LATEST: Final[Query] = {"sort": "received"}
"""In the order of their receipt: a list by due date leaves out what no duty runs for."""


def _due(first: date, last: date) -> Query:
    return {"due_from": first.isoformat(), "due_to": last.isoformat()}


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), CHINA)


def _received(day: date) -> Query:
    following = day + timedelta(days=1)
    return _LATEST | {
        "received_from": _midnight(day).isoformat(),
        "received_to": _midnight(following).isoformat(),
    }


def _columns(today: date, following: date) -> list[Column]:
    """The figures told for every unit; the following working day is named where it is not tomorrow."""
    tomorrow = today + timedelta(days=1)
    soon = "明日到期" if following == tomorrow else f"{following.day}日前到期"
    return [
        Column("overdue", "超期", {"overdue": "true"}),
        Column("due_today", "今日到期", _due(today, today)),
        Column("due_next", soon, _due(tomorrow, following)),
        Column("owed", "在办", {}),
        Column("return", "退单待审", _LATEST | {"awaiting": "return"}),
        Column("extension", "延期待审", _LATEST | {"awaiting": "extension"}),
        Column("climbed", "书面督办以上", {"rung": str(WRITTEN)}),
        Column("reminders", f"近 {REMINDED_DAYS} 日督办", None),
        Column("notices", "通报待说明", None),
    ]


def _figures(counted: _Counted, columns: list[Column], today: date) -> list[Figure]:
    def figure(key: str, label: str, query: Query | None) -> Figure:
        return Figure(key, label, counted.whole.get(key, 0), query)

    by_key = {column.key: figure(column.key, column.label, column.query) for column in columns}
    return [
        *(by_key[key] for key in ("overdue", "due_today", "due_next", "return", "extension")),
        figure("callback", "待回访", {"clock": ClockKind.CALLBACK.value}),
        Figure("received", "今日受理", counted.received.get(today, 0), _received(today)),
        figure("open", "未办结", _LATEST | {"open": "true"}),
        by_key["climbed"],
        by_key["reminders"],
        by_key["notices"],
        figure("emergencies", "应急中", None),
    ]


def _rows(session: Session, counted: _Counted) -> list[Row]:
    """The platform's own row first, then the units, whoever is furthest behind first."""
    found = session.execute(
        select(col(OrgUnit.id), col(OrgUnit.code), col(OrgUnit.name)).where(
            col(OrgUnit.id).in_([unit for unit in counted.units if unit is not None])
        )
    )
    units = [Row(code, name, {"owed_by": code}, counted.units[key]) for key, code, name in found]
    weight = ("overdue", "due_today", "due_next", "owed")
    units.sort(key=lambda row: ([-row.counts.get(key, 0) for key in weight], row.code))
    own = counted.units.get(None)
    return [Row(OF_PLATFORM, "热线平台", {"owed_by": OF_PLATFORM}, own), *units] if own else units
