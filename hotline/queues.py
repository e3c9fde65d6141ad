"""Lists of tickets: filters, two orders, keyset pages. What an actor does not see is not there."""

import base64
import binascii
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import ColumnElement, Select, and_, exists, or_, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from hotline.access import Actor, visible_to
from hotline.models import Assignment, Clock, Ticket
from hotline.orders import Code, Instant, Line, Order
from hotline.organisation import OrgUnit
from hotline.reference import area_prefix
from workflow.errors import OrderInvalid
from workflow.lifecycle import OPEN_STATES
from workflow.vocabulary import AssignmentRole, Channel, Matter, State

MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list is narrowed by. `area` and `category` are code prefixes; `due_before` and `overdue` speak of duties' clocks,
    overdue at `as_of`."""

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
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a queue: the ticket, its lead unit's name, and its earliest running duty."""

    ticket: Ticket
    lead: str | None
    due_at: datetime | None
    due_kind: str | None
    lapsed: bool


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
) -> Page:
    """A page of the tickets `actor` sees, newest first or by the earliest running duty.

    Raises `OrderInvalid` for a cursor that is not one of this list's.
    """
    size = max(1, min(limit, MAX_PAGE))
    statement = select(Ticket).where(visible_to(actor), *_conditions(actor, filters))
    statement = (
        _by_due(statement, actor, filters, cursor) if sort == "due" else _by_received(statement, cursor)
    )
    found = list(session.execute(statement.limit(size + 1)).scalars())
    page = found[:size]
    rows = rows_of(session, actor, page)
    more = len(found) > size
    return Page(rows, _cursor(sort, rows[-1]) if more and rows else None)


def matching(actor: Actor, filters: Filters) -> list[ColumnElement[bool]]:
    """The conditions on `tickets` of the list `actor` sees under `filters`, whole: for an export."""
    return [visible_to(actor), *_conditions(actor, filters)]


def leads(session: Session, ids: Iterable[int]) -> dict[int, str]:
    """The newest lead unit's name of each of these tickets that has one."""
    rows = session.execute(
        select(col(Assignment.ticket_id), col(OrgUnit.name))
        .join(OrgUnit, col(OrgUnit.id) == col(Assignment.unit_id))
        .where(col(Assignment.ticket_id).in_(list(ids)), col(Assignment.role) == AssignmentRole.LEAD)
        .order_by(col(Assignment.id))
    )
    return dict(rows.all())


def _by_received(statement: Select[Any], cursor: str | None) -> Select[Any]:
    if cursor is not None:
        at, ticket_id = _decode(cursor, "received")
        statement = statement.where(tuple_(col(Ticket.received_at), col(Ticket.id)) < tuple_(at, ticket_id))
    return statement.order_by(col(Ticket.received_at).desc(), col(Ticket.id).desc())


def _by_due(statement: Select[Any], actor: Actor, filters: Filters, cursor: str | None) -> Select[Any]:
    earlier = aliased(Clock)
    scope = _whose(Clock, actor)
    first = ~exists(
        select(earlier.id).where(  # type: ignore[call-overload]
            earlier.ticket_id == col(Clock.ticket_id),
            *_running(earlier),
            *_whose(earlier, actor),
            tuple_(earlier.due_at, earlier.id) < tuple_(col(Clock.due_at), col(Clock.id)),
        )
    )
    statement = statement.join(Clock, col(Clock.ticket_id) == col(Ticket.id)).where(
        *_running(Clock), *scope, first
    )
    if not actor.is_unit and not filters.unit:
        statement = statement.where(col(Clock.platform_id).in_(sorted(actor.platform_ids)))
    if cursor is not None:
        at, ticket_id = _decode(cursor, "due")
        statement = statement.where(tuple_(col(Clock.due_at), col(Ticket.id)) > tuple_(at, ticket_id))
    return statement.order_by(col(Clock.due_at), col(Ticket.id))


def _is_late(clock: Any, as_of: datetime | None) -> ColumnElement[bool]:
    """Late as of its due instant, whether or not a sweep has come since."""
    stamped: ColumnElement[bool] = clock.lapsed_at.is_not(None)
    return stamped if as_of is None else or_(stamped, clock.due_at <= as_of)


def _running(clock: Any) -> tuple[ColumnElement[bool], ...]:
    return (clock.met_at.is_(None), clock.voided_at.is_(None), clock.duty.is_(True))


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
    if filters.overdue is not None:
        late = _has_clock(actor, lambda clock: _is_late(clock, filters.as_of))
        tests.append(late if filters.overdue else ~late)
    return tests + _spoken_of(actor, filters)


def _spoken_of(actor: Actor, filters: Filters) -> list[ColumnElement[bool]]:
    tests: list[ColumnElement[bool]] = []
    if filters.text:
        either = or_(
            col(Ticket.title).icontains(filters.text, autoescape=True),
            col(Ticket.content).icontains(filters.text, autoescape=True),
        )
        tests.append(either)
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
    clock: Any = aliased(Clock)  # the order by due joins the clocks under their own name
    return exists(
        select(clock.id).where(
            and_(clock.ticket_id == col(Ticket.id), test(clock), *_running(clock), *_whose(clock, actor))
        )
    )


def rows_of(session: Session, actor: Actor, tickets: list[Ticket]) -> list[Row]:
    """These tickets as lines of a queue, in their order."""
    ids = [ticket.id for ticket in tickets]
    clocks = session.execute(
        select(Clock)
        .where(col(Clock.ticket_id).in_(ids), *_running(Clock), *_whose(Clock, actor))
        .order_by(col(Clock.due_at).desc(), col(Clock.id).desc())
    ).scalars()
    earliest = {clock.ticket_id: clock for clock in clocks}
    names = leads(session, ids)
    return [_row(ticket, names.get(ticket.id), earliest.get(ticket.id)) for ticket in tickets]


def _row(ticket: Ticket, lead: str | None, clock: Clock | None) -> Row:
    if clock is None:
        return Row(ticket, lead, None, None, lapsed=False)
    return Row(ticket, lead, clock.due_at, clock.kind.value, lapsed=clock.lapsed_at is not None)


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
