"""Actor: who asks. `visible_to`: the one place that says which tickets somebody sees."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, exists, select
from sqlmodel import col

from hotline.models import Assignment, Ticket
from workflow.vocabulary import AssignmentRole, AssignmentStatus, Matter, Role, Scope


@dataclass(frozen=True, slots=True)
class Actor:
    """A person, a unit's or platform's machine, the citizen, or the system itself.

    `platform_ids` are the platforms whose tickets this actor sees: their own, and for a supervisor all below it. `home_id` is the
    platform whose audit trail speaks of this actor, for a unit the one it belongs to. `scopes` narrow a machine's token; None is all.
    `address` is where the request came from, where there was one.
    """

    kind: str
    id: int | None
    name: str
    roles: frozenset[Role]
    platform_id: int | None = None
    unit_id: int | None = None
    platform_ids: frozenset[int] = field(default_factory=frozenset)
    home_id: int | None = None
    scopes: frozenset[Scope] | None = None
    address: str | None = None

    @property
    def key(self) -> str:
        """A stable name for idempotency keys and records of who did something."""
        return f"{self.kind}:{self.id}"

    @property
    def is_unit(self) -> bool:
        """Whether this actor acts for a handling unit (承办单位)."""
        return self.unit_id is not None


SYSTEM = Actor(kind="system", id=None, name="系统", roles=frozenset({Role.SYSTEM}))


def visible_to(actor: Actor) -> ColumnElement[bool]:
    """The SQL condition on `tickets`: a unit sees its own assignments, a platform its tickets, a province those below."""
    if actor.is_unit:
        return exists(
            select(Assignment.id).where(  # type: ignore[call-overload]
                col(Assignment.ticket_id) == col(Ticket.id), col(Assignment.unit_id) == actor.unit_id
            )
        )
    return col(Ticket.platform_id).in_(sorted(actor.platform_ids))


def sees(actor: Actor, ticket: Ticket, assignments: Iterable[Assignment]) -> bool:
    """The same rule as `visible_to`, for a ticket already at hand."""
    if actor.kind == "system":
        return True
    if actor.is_unit:
        return any(a.unit_id == actor.unit_id for a in assignments)
    return ticket.platform_id in actor.platform_ids


_OUT = frozenset({AssignmentStatus.RETURNED, AssignmentStatus.RELEASED})


def sees_every_part(actor: Actor, assignments: Iterable[Assignment]) -> bool:
    """Whether nothing of the ticket is hidden: platform staff and the lead unit; a co-unit sees its own part only."""
    return not actor.is_unit or any(
        a.unit_id == actor.unit_id and a.role is AssignmentRole.LEAD and a.status not in _OUT
        for a in assignments
    )


def concerns(payload: Mapping[str, Any], unit_id: int | None) -> bool:
    """Whether a ledger entry speaks of the ticket as a whole or of this unit's part, not of another unit's."""
    unit = payload.get("unit", payload.get("clock", {}).get("unit"))
    return unit is None or unit == unit_id


def caller_is_sealed(ticket: Ticket) -> bool:
    """Whether units learn nothing of who the caller is: a tip-off (举报), or a caller who asked for it (art. 15, 34(2))."""
    return ticket.matter is Matter.TIPOFF or ticket.confidential


def may_read_caller(actor: Actor, ticket: Ticket, assignments: Iterable[Assignment]) -> bool:
    """Whether the caller's own data may be unmasked (art. 15, 34(2)).

    Never to a unit for a tip-off or a confidential ticket, nor to a unit that is out of the ticket (returned, released).
    """
    if actor.is_unit:
        working = any(a.unit_id == actor.unit_id and a.status not in _OUT for a in assignments)
        return working and not caller_is_sealed(ticket)
    return bool(actor.roles & {Role.AGENT, Role.CALLBACK, Role.SUPERVISOR, Role.DISPATCHER})
