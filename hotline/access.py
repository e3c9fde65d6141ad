"""Actor: who asks. `visible_to`: the one place that says which tickets somebody sees; `OPENS`: who may open a caller's data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, exists, or_, select, true
from sqlmodel import col

from hotline.models import Assignment, Attachment, Ticket
from workflow.vocabulary import (
    PLATFORM_STAFF,
    UNIT_STAFF,
    AssignmentRole,
    AssignmentStatus,
    Audience,
    FileClass,
    Matter,
    PersonalField,
    Role,
    Scope,
)


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


class Part(Protocol):
    """What of a unit's part decides who sees it; an `Assignment` is one."""

    @property
    def unit_id(self) -> int: ...

    @property
    def role(self) -> AssignmentRole: ...

    @property
    def status(self) -> AssignmentStatus: ...


def sees(actor: Actor, ticket: Ticket, assignments: Iterable[Part]) -> bool:
    """The same rule as `visible_to`, for a ticket already at hand."""
    return sees_placed(actor, ticket.platform_id, assignments)


def sees_placed(actor: Actor, platform_id: int, assignments: Iterable[Part]) -> bool:
    """The same rule, for a ticket of which only the platform and the units' parts are at hand."""
    if actor.kind == "system":
        return True
    if actor.is_unit:
        return any(a.unit_id == actor.unit_id for a in assignments)
    return platform_id in actor.platform_ids


_OUT = frozenset({AssignmentStatus.RETURNED, AssignmentStatus.RELEASED})


def sees_every_part(actor: Actor, assignments: Iterable[Part]) -> bool:
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


# --- the caller's own data (art. 15, 34(2)) ----------------------------------------------------------------------------

_F = PersonalField
OPENS: Final[Mapping[Role, frozenset[PersonalField]]] = {
    Role.AGENT: frozenset({_F.NAME, _F.PHONE, _F.ADDRESS, _F.ORIGINAL}),
    Role.DISPATCHER: frozenset({_F.NAME, _F.PHONE, _F.ADDRESS, _F.ORIGINAL}),
    Role.CALLBACK: frozenset({_F.NAME, _F.PHONE, _F.ADDRESS, _F.ORIGINAL}),
    Role.SUPERVISOR: frozenset(PersonalField),
    Role.HANDLER: frozenset({_F.NAME, _F.PHONE, _F.ADDRESS}),
    Role.UNIT_LEAD: frozenset({_F.NAME, _F.PHONE, _F.ADDRESS}),
}
"""Which of the caller's fields a role may open; what has no row opens nothing. Whoever first took a demand may open all of it."""

_TIPOFF_ROLES: Final = frozenset({Role.CALLBACK, Role.SUPERVISOR})
_WORKING: Final = frozenset({AssignmentStatus.OPEN, AssignmentStatus.RETURN_PROPOSED})


def is_first_receiver(actor: Actor, ticket: Ticket) -> bool:
    """Whether the actor in person took the demand, or had it handed over (art. 14(1))."""
    return actor.kind == "person" and actor.id is not None and ticket.first_receiver_id == actor.id


def may_open(
    actor: Actor, ticket: Ticket, assignments: Iterable[Assignment], personal: PersonalField
) -> bool:
    """Whether this actor may open one of the caller's fields, on a ticket they see.

    A unit: while it owes a part, to answer the caller; never on a tip-off or a confidential ticket. A tip-off (举报): only its
    first receiver, callback staff and supervisors.
    """
    if actor.is_unit:
        owes = any(a.unit_id == actor.unit_id and a.status in _WORKING for a in assignments)
        return owes and not caller_is_sealed(ticket) and _opens(actor.roles & UNIT_STAFF, personal)
    if ticket.platform_id not in actor.platform_ids:
        return False
    if is_first_receiver(actor, ticket) and Role.AGENT in actor.roles:
        return True
    roles = actor.roles & _TIPOFF_ROLES if ticket.matter is Matter.TIPOFF else actor.roles
    return _opens(roles & PLATFORM_STAFF, personal)


def _opens(roles: Iterable[Role], personal: PersonalField) -> bool:
    return any(personal in OPENS.get(role, frozenset()) for role in roles)


def found_by_caller(actor: Actor) -> ColumnElement[bool]:
    """The condition on `tickets` under which a search by phone may find one: not a tip-off that the actor may not open."""
    if actor.roles & _TIPOFF_ROLES:
        return true()
    return or_(col(Ticket.matter) != Matter.TIPOFF, col(Ticket.first_receiver_id) == actor.id)


# --- files (art. 14(9), 15) --------------------------------------------------------------------------------------------


def sees_file(actor: Actor, ticket: Ticket, assignments: Sequence[Assignment], file: Attachment) -> bool:
    """Whether this actor, who sees the ticket, may know of a file of it.

    A unit sees what it added; while it is in the ticket also the platform's files meant for units, the lead unit those of
    co-units too. A sealed caller's recordings are for no unit.
    """
    if not actor.is_unit or file.unit_id == actor.unit_id:
        return True
    if file.audience is not Audience.ALL or (
        file.file_class is FileClass.RECORDING and caller_is_sealed(ticket)
    ):
        return False
    if file.unit_id is not None:
        return sees_every_part(actor, assignments)
    return any(a.unit_id == actor.unit_id and a.status not in _OUT for a in assignments)
