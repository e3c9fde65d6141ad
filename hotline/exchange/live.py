"""实时更新: what just happened to which ticket, as far as each viewer may know it, for screens that show it at once.

The facts are the outbox's, read in the order of the feed, so that no late commit is missed. A viewer learns of a ticket they see
(`visible_to`) that it changed, never more: kind, state and version, and of the units only those whose part they see. Nothing of a caller.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import Actor, sees_every_part, sees_placed
from hotline.batches import among
from hotline.case import Directory
from hotline.exchange import outbox
from hotline.exchange.envelopes import kinds_for
from hotline.models import Assignment, Ticket
from workflow.vocabulary import AssignmentRole, AssignmentStatus

CHANGED: Final = "ticket.changed"
"""What a viewer is told where the kind, or whose part it is about, is not for them: look again."""
_PLATFORM_KINDS: Final = frozenset(kinds_for(unit=False))
_UNIT_KINDS: Final = frozenset(kinds_for(unit=True))


@dataclass(frozen=True, slots=True)
class Viewer:
    """What decides what somebody sees: all who are alike in it are told the same."""

    unit_id: int | None
    platform_ids: frozenset[int]


def viewer_of(actor: Actor) -> Viewer:
    """Whom this actor is like."""
    return Viewer(actor.unit_id, frozenset() if actor.is_unit else actor.platform_ids)


@dataclass(frozen=True, slots=True)
class PartOf:
    """One unit's part in a ticket."""

    unit_id: int
    role: AssignmentRole
    status: AssignmentStatus


@dataclass(frozen=True, slots=True)
class Placed:
    """A ticket's number, its platform and the units' parts in it."""

    number: str
    platform_id: int
    parts: Sequence[PartOf]


@dataclass(frozen=True, slots=True)
class Happened:
    """One fact about one ticket, whose rows of the feed stood together; the last of them at `position`.

    `units` are those whose part it is about, `told` those it was written for too; `whole` says that it is not a mere copy.
    """

    position: int
    ticket_id: int
    kind: str
    state: str
    version: int
    at: datetime
    units: tuple[int, ...]
    told: frozenset[int]
    whole: bool


@dataclass(frozen=True, slots=True)
class Called:
    """A call (来电) at one person's seat began to ring, was answered or ended: theirs alone to know."""

    person_id: int
    kind: str
    call: int
    state: str


@dataclass(frozen=True, slots=True)
class Batch:
    """What happened behind a cursor, in order, where it happened, and the cursor behind it; `full`: there may be more."""

    facts: list[Happened]
    calls: list[Called]
    placed: dict[int, Placed]
    next: int
    full: bool


def read(session: Session, after: int, most: int, until: int | None = None) -> Batch:
    """Up to `most` rows of the feed behind `after`, at or before `until`."""
    rows = session.execute(
        text(_READ), {"after": after, "most": most, "until": until if until is not None else 2**62}
    ).all()
    facts = [
        _happened(list(group))
        for _, group in groupby((r for r in rows if r.ticket_id is not None), key=_same_fact)
    ]
    placed = place(session, {each.ticket_id for each in facts})
    calls = [
        Called(row.person_id, row.type, row.call, row.state)
        for row in rows
        if row.type in outbox.CALLS and row.person_id is not None
    ]
    return Batch(facts, calls, placed, rows[-1].position if rows else after, len(rows) == most)


_READ: Final = """
SELECT position, ticket_id, ticket_seq, type, unit_id, echo, occurred_at,
    data->>'state' AS state, CAST(data->>'version' AS int) AS version,
    CAST(data->>'person' AS bigint) AS person_id, CAST(data->>'call' AS bigint) AS call
FROM outbox WHERE position > :after AND position <= :until ORDER BY position LIMIT :most
"""


def _same_fact(row: Any) -> tuple[int, int | None, str]:
    return row.ticket_id, row.ticket_seq, row.type


def _happened(rows: Sequence[Any]) -> Happened:
    last = rows[-1]
    own = [row for row in rows if not row.echo]
    return Happened(
        last.position,
        last.ticket_id,
        last.type,
        last.state,
        last.version,
        last.occurred_at,
        tuple(dict.fromkeys(row.unit_id for row in own if row.unit_id is not None)),
        frozenset(row.unit_id for row in rows if row.unit_id is not None),
        bool(own),
    )


def place(session: Session, ticket_ids: Iterable[int]) -> dict[int, Placed]:
    """These tickets with what decides who sees them: two statements, however many ask."""
    wanted = sorted(ticket_ids)
    if not wanted:
        return {}
    parts: dict[int, list[PartOf]] = {}
    columns = (
        col(Assignment.ticket_id),
        col(Assignment.unit_id),
        col(Assignment.role),
        col(Assignment.status),
    )
    found = session.execute(select(*columns).where(columns[0] == among(wanted)).order_by(col(Assignment.id)))
    for ticket_id, unit_id, role, status in found:
        parts.setdefault(ticket_id, []).append(PartOf(unit_id, role, status))
    tickets = session.execute(
        select(col(Ticket.id), col(Ticket.number), col(Ticket.platform_id)).where(
            col(Ticket.id) == among(wanted)
        )
    )
    return {key: Placed(number, platform_id, parts.get(key, ())) for key, number, platform_id in tickets}


def sees(actor: Actor, placed: Placed | None) -> bool:
    """Whether this actor sees that ticket: the rule of `visible_to`."""
    return placed is not None and sees_placed(actor, placed.platform_id, placed.parts)


def told(
    session: Session, directory: Directory, actor: Actor, each: Happened, placed: Placed | None
) -> dict[str, Any] | None:
    """What this actor is told of a fact, None where it is not theirs to know."""
    if placed is None or not sees(actor, placed):
        return None
    kind, units = each.kind, each.units
    if actor.is_unit:
        whole = sees_every_part(actor, placed.parts)
        if not (kind in _UNIT_KINDS and (actor.unit_id in each.told or (whole and units))):
            kind, units = CHANGED, ()
        elif not whole:
            units = tuple(unit for unit in units if unit == actor.unit_id)
    elif not each.whole:
        return None  # a unit's copy of what its platform has in a row of its own
    elif kind not in _PLATFORM_KINDS:
        kind, units = CHANGED, ()
    return {
        "seq": each.position,
        "number": placed.number,
        "kind": kind,
        "state": each.state,
        "version": each.version,
        "units": [directory.code(session, unit) for unit in units],
        "at": each.at.isoformat(),
    }
