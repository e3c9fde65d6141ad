"""清单: the tickets (of one indicator: the calls) behind a figure's numerator or denominator, one line for each fact counted."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

from sqlalchemy import and_, select, text
from sqlmodel import Session, col

from hotline.access import Actor, visible_to
from hotline.models import Ticket
from hotline.organisation import OrgUnit
from hotline.reporting import facts
from hotline.reporting.cube import conditions
from hotline.reporting.indicators import Indicator
from hotline.reporting.periods import Period
from hotline.reporting.slices import Slice
from hotline.reporting.tables import FACTS
from workflow.errors import OrderInvalid
from workflow.vocabulary import Matter, State

Side = Literal["numerator", "denominator"]
MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One fact that counts: of which ticket (None: a call), as what, when, for which unit, with which marks; of a reply how long it took."""

    ref: int
    what: str
    day: date
    marks: tuple[str, ...]
    number: str | None
    state: State | None
    matter: Matter | None
    unit: str | None
    unit_name: str | None
    hours: float | None
    workdays: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Lines in the order of their days, and the cursor of the next page."""

    lines: list[Line]
    next: str | None


def listed(
    session: Session,
    actor: Actor,
    cut: Slice,
    period: Period,
    indicator: Indicator,
    side: Side,
    today: date,
    *,
    limit: int = 50,
    cursor: str | None = None,
) -> Page:
    """A page of what stands behind one side of a figure, as far as `actor` sees the tickets. Raises `OrderInvalid` for a strange cursor."""
    part = period.until(today - timedelta(days=1)) if indicator.by_due_day else period
    if part is None:
        return Page([], None)
    mark = _mark(indicator, side)
    tests, values = conditions(cut, part.first, part.last)
    if mark is not None:
        tests += " AND f.marks & :bit <> 0"
        values["bit"] = facts.bit(indicator.whats[0], mark)
    if cursor is not None:
        tests += " AND (f.day, f.ticket_id, f.ref_id, f.what) > (:day, :ticket, :ref, :what)"
        values |= _decoded(cursor)
    f = FACTS.alias("f")
    wait = indicator.sums is not None and indicator.sums.startswith("wait_")
    about_calls = indicator.whats == (facts.CALL,)
    statement = (
        select(
            f.c.ticket_id,
            f.c.ref_id,
            f.c.what,
            f.c.day,
            f.c.marks,
            f.c.wait_seconds if wait else f.c.seconds,
            f.c.wait_workdays if wait else f.c.workdays,
            col(Ticket.number),
            col(Ticket.state),
            col(Ticket.matter),
            col(OrgUnit.code),
            col(OrgUnit.name),
        )
        .select_from(f)
        .outerjoin(OrgUnit, col(OrgUnit.id) == f.c.unit_id)
        .where(f.c.what.in_(indicator.whats), text(tests).bindparams(**values))
        .order_by(f.c.day, f.c.ticket_id, f.c.ref_id, f.c.what)
        .limit(limit + 1)
    )
    of = col(Ticket.id) == f.c.ticket_id
    statement = (
        statement.outerjoin(Ticket, of)
        if about_calls
        else statement.join(Ticket, and_(of, visible_to(actor)))
    )
    rows = session.execute(statement).all()
    page = rows[:limit]
    return Page([_line(row) for row in page], _encoded(page[-1]) if len(rows) > limit else None)


def _mark(indicator: Indicator, side: Side) -> str | None:
    """The mark of the facts on this side; a mean's numerator is the sum over its denominator, a count has but one side."""
    if side == "numerator" and indicator.sums is None:
        return indicator.top
    if indicator.unit == "count":
        return indicator.top
    return indicator.bottom


def _line(row: Any) -> Line:
    ticket_id, ref, what, day, marks, seconds, workdays, number, state, matter, code, name = row
    return Line(
        ref=ref or ticket_id,
        what=what,
        day=day,
        marks=tuple(mark for mark in facts.MARKS[what] if marks & facts.bit(what, mark)),
        number=number,
        state=state,
        matter=matter,
        unit=code,
        unit_name=name,
        hours=None if seconds is None else round(seconds / 3600, 2),
        workdays=workdays,
    )


def _encoded(row: Any) -> str:
    content = json.dumps([row.day.isoformat(), row.ticket_id, row.ref_id, row.what])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> dict[str, Any]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        day, ticket, ref, what = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        valid = what in facts.MARKS and all(type(key) is int and 0 <= key < 2**62 for key in (ticket, ref))
        found = {"day": date.fromisoformat(day), "ticket": ticket, "ref": ref, "what": what}
    except (ValueError, TypeError, binascii.Error, UnicodeEncodeError, RecursionError):
        valid = False
    if not valid:
        raise OrderInvalid("翻页游标无效，请从第一页重新开始。", field="cursor")
    return found
