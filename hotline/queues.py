"""Lists of tickets: filters, two orders, keyset pages. What an actor does not see is not there."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    exists,
    func,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from hotline.access import Actor, visible_to
from hotline.desks import text_search
from hotline.fields import Code, Instant, Line, Order
from hotline.models import Assignment, Clock, Extension, ReturnProposal, Ticket
from hotline.organisation import OrgUnit
from hotline.queue_rows import Row, rows_of, running_duty
from hotline.reference import area_prefix
from workflow.errors import OrderInvalid
from workflow.lifecycle import OPEN_STATES
from workflow.vocabulary import Channel, ClockKind, Matter, State

MAX_PAGE = 200
OF_PLATFORM: Final = "platform"
"""`Filters.owed_by` for the clocks that run against the platform itself."""


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed by. `area` and `category` are code prefixes; `due_before` and `overdue` speak of duties' clocks,
    overdue at `as_of`; `due_from`, `due_to` (both inclusive), `clock`, `rung` and `owed_by` of one and the same running duty."""

    states: tuple[State, ...] = ()
    open_only: bool = False
    unit: str | None = None
    matter: Matter | None = None
    channel: Channel | None = None
    area: str | None = None
    category: str | None = None
    due_before: datetime | None = None
    overdue: bool | None = None
    as_of: datetime | None = None
    text: str | None = None
    mine: bool = False
    received_from: datetime | None = None
    received_to: datetime | None = None
    due_from: date | None = None
    due_to: date | None = None
    clock: ClockKind | None = None
    owed_by: str | None = None
    awaiting: Literal["return", "extension"] | None = None
    rung: int | None = None


class FilterWords(Order):
    """How people write those filters: as a list's query and as an export's scope."""

    state: list[State] = Field(default=[], description="一个或多个状态")
    open: bool = Field(default=False, description="只列未办结的")
    unit: Code | None = Field(default=None, description="承办单位代码")
    matter: Matter | None = None
    channel: Channel | None = None
    area: str | None = Field(default=None, pattern=r"^[0-9]{2,12}$", description="行政区划代码，含下级")
    category: str | None = Field(default=None, pattern=r"^[0-9]{2,6}$", description="诉求分类代码，含下级")
    due_before: Instant | None = None
    overdue: bool | None = None
    text: Line | None = Field(default=None, description="标题或内容包含的文字")
    mine: bool = Field(default=False, description="只列本人首接的")
    received_from: Instant | None = None
    received_to: Instant | None = None
    due_from: date | None = Field(default=None, description="届满日不早于该日的时限")
    due_to: date | None = Field(default=None, description="届满日不晚于该日的时限，含当日")
    clock: ClockKind | None = Field(default=None, description="正在计时的时限种类")
    owed_by: Code | None = Field(
        default=None, description="时限的责任单位代码，platform 为热线平台；与到期、逾期条件针对同一时限"
    )
    awaiting: Literal["return", "extension"] | None = Field(
        default=None, description="等待平台审批的：return 退单、extension 延期"
    )
    rung: int | None = Field(
        default=None,
        ge=1,
        le=4,
        description="督办提醒至少发到第几级：1 网络、2 电话短信、3 书面通知、4 现场督办",
    )


def filters_of(words: FilterWords, as_of: datetime) -> Filters:
    """The filters these words mean at `as_of`."""
    return Filters(
        states=tuple(words.state),
        open_only=words.open,
        unit=words.unit,
        matter=words.matter,
        channel=words.channel,
        area=words.area,
        category=words.category,
        due_before=words.due_before,
        overdue=words.overdue,
        as_of=as_of,
        text=words.text,
        mine=words.mine,
        received_from=words.received_from,
        received_to=words.received_to,
        due_from=words.due_from,
        due_to=words.due_to,
        clock=words.clock,
        owed_by=words.owed_by,
        awaiting=words.awaiting,
        rung=words.rung,
    )


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order, and the cursor of the next page, None at the end."""

    rows: list[Row]
    next: str | None


def listed(
    session: Session,
    actor: Actor,
    filters: Filters,
    *,
    sort: Literal["received", "due"] = "received",
    limit: int = 50,
    cursor: str | None = None,
    also: Iterable[ColumnElement[bool]] = (),
) -> Page:
    """A page of the tickets `actor` sees, newest first or by the earliest running duty; `also` narrows it to a queue's.

    Raises `OrderInvalid` for a cursor that is not one of this list's.
    """
    size = max(1, min(limit, MAX_PAGE))
    narrowed = tuple(also)
    statement = select(Ticket).where(visible_to(actor), *_conditions(actor, filters), *narrowed)
    if sort == "received":
        found = _newest(session, statement, filters, cursor, size + 1)
    else:
        whole = not narrowed and _is_whole(filters)
        found = _soonest(session, statement, actor, filters, cursor, size + 1, whole=whole)
    page = found[:size]
    rows = rows_of(session, actor, page)
    more = len(found) > size
    return Page(rows, _cursor(sort, rows[-1]) if more and rows else None)


def matching(actor: Actor, filters: Filters) -> list[ColumnElement[bool]]:
    """The conditions on `tickets` of the list `actor` sees under `filters`, whole: for an export."""
    return [visible_to(actor), *_conditions(actor, filters), *_saying(filters)]


def _newest(
    session: Session, statement: Select[Any], filters: Filters, cursor: str | None, size: int
) -> list[Ticket]:
    before = filters.received_to
    if cursor is not None:
        at, ticket_id = _decode(cursor, "received")
        statement = statement.where(tuple_(col(Ticket.received_at), col(Ticket.id)) < tuple_(at, ticket_id))
        before = at if before is None else min(before, at)
    statement = statement.order_by(col(Ticket.received_at).desc(), col(Ticket.id).desc()).limit(size)
    if filters.text:
        return text_search.newest(session, statement, filters.text, size, before=before)
    return list(session.execute(statement).scalars())


def _soonest(
    session: Session,
    statement: Select[Any],
    actor: Actor,
    filters: Filters,
    cursor: str | None,
    size: int,
    *,
    whole: bool,
) -> list[Ticket]:
    statement = statement.where(*_saying(filters)).limit(size)
    after = None if cursor is None else _decode(cursor, "due")
    if actor.is_unit:
        return _soonest_of_unit(session, statement, actor, after, size)
    if filters.unit and whole:
        duties = _earliest_duties(filters.unit, after)
        return _in_steps(session, statement, duties, size, lambda _: true())
    statement, due = _by_due_of_each(statement) if filters.unit else _by_due(statement, actor)
    if after is not None:
        statement = statement.where(tuple_(due, col(Ticket.id)) > tuple_(*after))
    return list(session.execute(statement.order_by(due, col(Ticket.id))).scalars())


_EARLIER: Any = aliased(Clock)
_STEPS: Final = (200, 3_200, 51_200, None)
"""How many of a unit's running duties are looked through for a page, until it is full."""


def _soonest_of_unit(
    session: Session, statement: Select[Any], actor: Actor, after: tuple[datetime, int] | None, size: int
) -> list[Ticket]:
    """By the unit's own earliest running duty: its periods are read in the order of their index, as far as a page needs."""
    own: Any = select(col(Clock.id), col(Clock.ticket_id), col(Clock.due_at)).where(
        col(Clock.unit_id) == actor.unit_id, *running_duty(Clock)
    )
    if after is not None:
        own = own.where(tuple_(col(Clock.due_at), col(Clock.ticket_id)) > tuple_(*after))
    own = own.order_by(col(Clock.due_at), col(Clock.ticket_id))
    return _in_steps(session, statement, own, size, lambda clock: _is_first(clock, actor))


def _in_steps(
    session: Session,
    statement: Select[Any],
    duties: Select[Any],
    size: int,
    test: Callable[[Any], ColumnElement[bool]],
) -> list[Ticket]:
    """The tickets of the statement in the order of these `duties`, which are looked through as far as a page needs.

    In one statement the planner would read all the tickets and sort them, for it takes them for few.
    """
    rows: list[Any] = []
    for most in _STEPS:
        soon = duties.limit(most).cte("soon").prefix_with("MATERIALIZED")
        page = (
            statement.add_columns(select(func.count()).select_from(soon).scalar_subquery())
            .join(soon, soon.c.ticket_id == col(Ticket.id))
            .where(test(soon.c))
            .order_by(soon.c.due_at, col(Ticket.id))
        )
        rows = list(session.execute(page))
        if len(rows) >= size or most is None:
            break
        there = select(func.count()).select_from(duties.limit(most).subquery())
        if (rows[0][1] if rows else session.execute(there).scalar_one()) < most:
            break
    return [ticket for ticket, _ in rows]


def _by_due(statement: Select[Any], actor: Actor) -> tuple[Select[Any], Any]:
    """By the platform's periods in the order of their index; and what is ordered by."""
    statement = statement.join(Clock, col(Clock.ticket_id) == col(Ticket.id)).where(
        *running_duty(Clock), col(Clock.platform_id).in_(sorted(actor.platform_ids)), _is_first(Clock, actor)
    )
    return statement, col(Clock.due_at)


def _is_whole(filters: Filters) -> bool:
    """Whether a unit's queue is asked for as it is, or all of its tickets: nearly every ticket that has a duty is on the page's way."""
    return replace(filters, open_only=False, unit=None, as_of=None) == Filters()


def _by_due_of_each(statement: Select[Any]) -> tuple[Select[Any], Any]:
    """By each ticket's own earliest duty, where few are listed."""
    duties = select(col(Clock.due_at)).where(col(Clock.ticket_id) == col(Ticket.id), *running_duty(Clock))
    soonest = duties.order_by(col(Clock.due_at)).limit(1).lateral("soonest")
    return statement.join(soonest, true()), soonest.c.due_at


def _earliest_duties(unit: str, after: tuple[datetime, int] | None) -> Select[Any]:
    """The earliest duty, anybody's, of each ticket a unit has a part in: these are a small part of the platform's."""
    parts = (
        select(col(Assignment.ticket_id))
        .distinct()
        .join(OrgUnit, col(OrgUnit.id) == col(Assignment.unit_id))
        .where(col(OrgUnit.code) == unit)
        .subquery("parts")
    )
    duties = select(col(Clock.due_at)).where(col(Clock.ticket_id) == parts.c.ticket_id, *running_duty(Clock))
    soonest = duties.order_by(col(Clock.due_at)).limit(1).lateral("soonest")
    due = select(parts.c.ticket_id, soonest.c.due_at).join(soonest, true())
    if after is not None:
        due = due.where(tuple_(soonest.c.due_at, parts.c.ticket_id) > tuple_(*after))
    return due.order_by(soonest.c.due_at, parts.c.ticket_id)


def _is_first(clock: Any, actor: Actor) -> ColumnElement[bool]:
    """Whether no running duty of the same ticket ends before this one."""
    return ~exists(
        select(_EARLIER.id).where(
            _EARLIER.ticket_id == clock.ticket_id,
            *running_duty(_EARLIER),
            *_whose(_EARLIER, actor),
            tuple_(_EARLIER.due_at, _EARLIER.id) < tuple_(clock.due_at, clock.id),
        )
    )


def _is_late(clock: Any, as_of: datetime | None) -> ColumnElement[bool]:
    """Late as of its due instant, whether or not a sweep has come since."""
    stamped: ColumnElement[bool] = clock.lapsed_at.is_not(None)
    return stamped if as_of is None else or_(stamped, clock.due_at <= as_of)


def _whose(clock: Any, actor: Actor) -> tuple[ColumnElement[bool], ...]:
    return (clock.unit_id == actor.unit_id,) if actor.is_unit else ()


def _conditions(actor: Actor, filters: Filters) -> list[ColumnElement[bool]]:
    tests: list[ColumnElement[bool]] = []
    if filters.states:
        tests.append(col(Ticket.state).in_(filters.states))
    if filters.open_only:
        tests.append(col(Ticket.state).in_(sorted(OPEN_STATES)))
    if filters.unit is not None:
        tests.append(_of_unit(filters.unit))
    tests += [
        col(getattr(Ticket, n)) == v
        for n, v in (("matter", filters.matter), ("channel", filters.channel))
        if v
    ]
    if filters.area is not None:
        tests.append(col(Ticket.area_code).startswith(area_prefix(filters.area), autoescape=True))
    if filters.category is not None:
        tests.append(col(Ticket.category_code).startswith(filters.category, autoescape=True))
    if filters.due_before is not None:
        tests.append(_has_clock(actor, lambda clock: clock.due_at < filters.due_before))
    if filters.overdue is False:
        tests.append(~_has_clock(actor, lambda clock: _is_late(clock, filters.as_of)))
    owed = filters.owed_by if filters.awaiting is None else None
    if filters.overdue or any((filters.due_from, filters.due_to, filters.clock, owed, filters.rung)):
        tests.append(_has_clock(actor, lambda clock: and_(true(), *_one_duty(clock, filters))))
    if filters.awaiting is not None:
        tests.append(_awaiting(actor, filters.awaiting, filters.owed_by))
    return tests + _taken(actor, filters)


def _one_duty(clock: Any, filters: Filters) -> Iterable[ColumnElement[bool]]:
    """What all must be true of one and the same running duty."""
    if filters.overdue:
        yield _is_late(clock, filters.as_of)
    if filters.due_from is not None:
        yield clock.due_on >= filters.due_from
    if filters.due_to is not None:
        yield clock.due_on <= filters.due_to
    if filters.clock is not None:
        yield clock.kind == filters.clock
    if filters.rung is not None:
        yield clock.rung >= filters.rung
    if filters.owed_by == OF_PLATFORM:
        yield clock.unit_id.is_(None)
    elif filters.owed_by is not None:
        yield clock.unit_id.in_(select(col(OrgUnit.id)).where(col(OrgUnit.code) == filters.owed_by))


def _awaiting(actor: Actor, what: str, unit: str | None) -> ColumnElement[bool]:
    """A return or an extension asked for by a unit's part and not decided yet; a unit learns of its own only."""
    asked: Any = ReturnProposal if what == "return" else Extension
    undecided = asked.upheld.is_(None) if what == "return" else asked.approved.is_(None)
    parts = (
        select(asked.id)
        .join(Assignment, col(Assignment.id) == asked.assignment_id)
        .where(asked.ticket_id == col(Ticket.id), undecided)
    )
    if actor.is_unit:
        parts = parts.where(col(Assignment.unit_id) == actor.unit_id)
    if unit is not None:
        parts = parts.join(OrgUnit, col(OrgUnit.id) == col(Assignment.unit_id)).where(
            col(OrgUnit.code) == unit
        )
    return exists(parts)


def _saying(filters: Filters) -> list[ColumnElement[bool]]:
    return [text_search.contains(filters.text)] if filters.text else []


def _taken(actor: Actor, filters: Filters) -> list[ColumnElement[bool]]:
    tests: list[ColumnElement[bool]] = []
    if filters.mine:
        tests.append(col(Ticket.first_receiver_id) == actor.id)
    if filters.received_from is not None:
        tests.append(col(Ticket.received_at) >= filters.received_from)
    if filters.received_to is not None:
        tests.append(col(Ticket.received_at) < filters.received_to)
    return tests


def _of_unit(code: str) -> ColumnElement[bool]:
    return exists(
        select(Assignment.id)  # type: ignore[call-overload]
        .join(OrgUnit, col(OrgUnit.id) == col(Assignment.unit_id))
        .where(col(Assignment.ticket_id) == col(Ticket.id), col(OrgUnit.code) == code)
    )


def _has_clock(actor: Actor, test: Callable[[Any], ColumnElement[bool]]) -> ColumnElement[bool]:
    return exists(
        select(_DUTY.id).where(
            and_(_DUTY.ticket_id == col(Ticket.id), test(_DUTY), *running_duty(_DUTY), *_whose(_DUTY, actor))
        )
    )


_DUTY: Any = aliased(Clock)
"""The order by due joins the clocks under their own name."""


def _cursor(sort: str, row: Row) -> str | None:
    at = row.ticket.received_at if sort == "received" else row.due_at
    if at is None:
        return None
    content = json.dumps([sort, at.astimezone(UTC).isoformat(), row.ticket.id])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _decode(cursor: str, sort: str) -> tuple[datetime, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        kind, at, ticket_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        instant = datetime.fromisoformat(at)
        valid = (
            kind == sort
            and type(ticket_id) is int
            and instant.tzinfo is not None
            and 1900 < instant.year < 9000
            and 0 < ticket_id < 2**62
        )
    except (ValueError, TypeError, binascii.Error, UnicodeEncodeError, RecursionError):
        valid = False
    if not valid:
        raise OrderInvalid("翻页游标无效，请从第一页重新开始。", field="cursor")
    return instant, ticket_id
