"""The lines of a list: of each ticket its lead unit, its earliest running duty, and what a person must see of it at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import BigInteger, ColumnElement, any_, bindparam, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.models import Assignment, Clock, Ticket
from hotline.organisation import OrgUnit
from hotline.storage.constant import Constant
from workflow.vocabulary import AssignmentRole, AssignmentStatus


@dataclass(frozen=True, slots=True)
class Part:
    """One unit's part as a queue shows it: the lead's, or the acting unit's own."""

    unit: str
    name: str
    role: AssignmentRole
    status: AssignmentStatus
    signed_by: str | None
    signed: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a queue: the ticket, its lead unit, its earliest running duty, and what a person must see of it at once.

    `part` is the acting unit's own part. `reminded` counts reminders, `returned` and `extension_asked` as far as the actor may know.
    """

    ticket: Ticket
    lead: Part | None
    due_at: datetime | None
    due_on: date | None
    due_kind: str | None
    due_unit: int | None
    lapsed: bool
    part: Part | None
    area: str
    category: str
    receiver: str | None
    reminded: int
    returned: bool
    extension_asked: bool


def leads(session: Session, ids: Iterable[int]) -> dict[int, str]:
    """The newest lead unit's name of each of these tickets that has one."""
    rows = session.execute(
        select(col(Assignment.ticket_id), col(OrgUnit.name))
        .join(OrgUnit, col(OrgUnit.id) == col(Assignment.unit_id))
        .where(col(Assignment.ticket_id).in_(list(ids)), col(Assignment.role) == AssignmentRole.LEAD)
        .order_by(col(Assignment.id))
    )
    return dict(rows.all())


def rows_of(session: Session, actor: Actor, tickets: list[Ticket]) -> list[Row]:
    """These tickets as lines of a queue, in their order."""
    if not tickets:
        return []
    ids = [ticket.id for ticket in tickets]
    known = {"ids": ids, "unit": actor.unit_id}
    clocks = _DUTIES.ask(session, known)
    earliest = {clock.ticket_id: clock for clock in clocks}
    rungs = {clock.ticket_id: clock.rung for clock in sorted(clocks, key=lambda clock: clock.rung)}
    leading, own = _parts(session, known)
    about = {row.id: row for row in session.execute(text(_ABOUT), known)}
    return [
        _row(
            ticket,
            earliest.get(ticket.id),
            leading.get(ticket.id),
            own.get(ticket.id),
            about[ticket.id],
            rungs.get(ticket.id, 0),
        )
        for ticket in tickets
    ]


def running_duty(clock: Any) -> tuple[ColumnElement[bool], ...]:
    """That a clock, or an alias of the clocks, is a duty still running."""
    return (clock.met_at.is_(None), clock.voided_at.is_(None), clock.duty.is_(True))


_IDS: Any = any_(bindparam("ids", type_=ARRAY(BigInteger)))
_UNIT: Any = bindparam("unit", type_=BigInteger)
_DUTIES: Final = Constant(
    select(
        *(col(name) for name in (Clock.ticket_id, Clock.due_at, Clock.due_on, Clock.kind)),
        *(col(name) for name in (Clock.unit_id, Clock.lapsed_at, Clock.rung)),
    )
    .where(
        col(Clock.ticket_id) == _IDS,
        *running_duty(Clock),
        or_(_UNIT.is_(None), col(Clock.unit_id) == _UNIT),
    )
    .order_by(col(Clock.due_at).desc(), col(Clock.id).desc())
)
"""What a line shows of running duties: columns, for a page of entities takes longer to make than to find."""
_ABOUT: Final = """
SELECT t.id, coalesce(nullif(county.name, place.name), '') || coalesce(place.name, t.area_code) AS area,
    coalesce(category.name, t.category_code) AS category, receiver.name AS receiver,
    (SELECT count(*) FROM reminders r WHERE r.ticket_id = t.id AND (CAST(:unit AS bigint) IS NULL OR r.unit_id = :unit)) AS reminded,
    CAST(:unit AS bigint) IS NULL AND t.upheld_returns > 0 AS returned,
    EXISTS (SELECT 1 FROM extensions e JOIN assignments a ON a.id = e.assignment_id WHERE e.ticket_id = t.id
        AND e.approved IS NULL AND (CAST(:unit AS bigint) IS NULL OR a.unit_id = :unit)) AS extension_asked
FROM tickets t
LEFT JOIN areas place ON place.code = t.area_code
LEFT JOIN areas county ON county.code = left(t.area_code, 6) || '000000' AND right(t.area_code, 6) <> '000000'
LEFT JOIN categories category ON category.code = t.category_code
LEFT JOIN people receiver ON receiver.id = t.first_receiver_id
WHERE t.id = ANY(CAST(:ids AS bigint[]))
"""


def _parts(session: Session, known: dict[str, Any]) -> tuple[dict[int, Part], dict[int, Part]]:
    """The newest lead's part of each ticket, and the acting unit's own."""
    leading: dict[int, Part] = {}
    own: dict[int, Part] = {}
    for found in _PARTS.ask(session, known):
        role, status = AssignmentRole(found.role), AssignmentStatus(found.status)
        part = Part(found.code, found.name, role, status, found.signed_by, found.signed_at is not None)
        if role is AssignmentRole.LEAD:
            leading[found.ticket_id] = part
        if found.unit_id == known["unit"]:
            own[found.ticket_id] = part
    return leading, own


_PARTS: Final = Constant(
    select(
        *(
            col(name)
            for name in (Assignment.ticket_id, Assignment.unit_id, Assignment.role, Assignment.status)
        ),
        *(col(name) for name in (Assignment.signed_by, Assignment.signed_at, OrgUnit.code, OrgUnit.name)),
    )
    .join(OrgUnit, col(OrgUnit.id) == col(Assignment.unit_id))
    .where(
        col(Assignment.ticket_id) == _IDS,
        or_(col(Assignment.role) == AssignmentRole.LEAD, col(Assignment.unit_id) == _UNIT),
    )
    .order_by(col(Assignment.id))
)


def _row(ticket: Ticket, clock: Any, lead: Part | None, part: Part | None, about: Any, rung: int) -> Row:
    return Row(
        ticket=ticket,
        lead=lead,
        due_at=clock.due_at if clock else None,
        due_on=clock.due_on if clock else None,
        due_kind=clock.kind if clock else None,
        due_unit=clock.unit_id if clock else None,
        lapsed=clock is not None and clock.lapsed_at is not None,
        part=part,
        area=about.area,
        category=about.category,
        receiver=about.receiver,
        reminded=about.reminded + rung,
        returned=about.returned,
        extension_asked=about.extension_asked,
    )
