"""在场: who has a ticket open just now, so that two people on one ticket see each other. A courtesy: it is no record, and locks nothing.

Whoever has a ticket open says so again before `LASTS` is over; who says nothing more has left.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.exchange.tables import Present
from hotline.models import Ticket
from workflow.errors import AccessRefused
from workflow.vocabulary import Presence

LASTS: Final = timedelta(seconds=45)
"""How long one saying holds."""
AGAIN_SECONDS: Final = 20
"""How often a page should say it again."""
PLATFORM_STAFF: Final = "平台人员"
"""What units are told instead of the names of a platform's people."""


@dataclass(frozen=True, slots=True)
class Person:
    """One person on one ticket: of which unit (None: of a platform), what they do there, since when."""

    ticket_id: int
    person_id: int
    unit_id: int | None
    name: str
    doing: Presence
    since: datetime


def say(session: Session, actor: Actor, ticket: Ticket, doing: Presence, at: datetime) -> None:
    """Note what a person does with a ticket they see. The caller commits. Raises `AccessRefused` for a machine."""
    if actor.kind != "person" or actor.id is None:
        raise AccessRefused("在场状态只由人员在页面上报送，接口令牌不报送。")
    if doing is Presence.LEFT:
        gone = delete(Present).where(col(Present.ticket_id) == ticket.id, col(Present.person_id) == actor.id)
        session.execute(gone)
        return
    session.execute(
        _SAY,
        {
            "ticket": ticket.id,
            "person": actor.id,
            "unit": actor.unit_id,
            "name": actor.name,
            "doing": doing.value,
            "at": at,
            "until": at + LASTS,
        },
    )


_SAY: Final = text("""
INSERT INTO presence (ticket_id, person_id, unit_id, name, doing, since, until)
VALUES (:ticket, :person, :unit, :name, :doing, :at, :until)
ON CONFLICT (ticket_id, person_id) DO UPDATE SET unit_id = excluded.unit_id, name = excluded.name, until = excluded.until,
    since = CASE WHEN presence.doing = excluded.doing AND presence.until > excluded.since THEN presence.since ELSE excluded.since END,
    doing = excluded.doing
""")


def everybody(session: Session, at: datetime, ticket_id: int | None = None) -> list[Person]:
    """Who is on which ticket at `at`, or who on one; the first who came first."""
    columns: Any = (
        col(Present.ticket_id),
        col(Present.person_id),
        col(Present.unit_id),
        col(Present.name),
        col(Present.doing),
        col(Present.since),
    )
    statement = select(*columns).where(col(Present.until) > at)
    if ticket_id is not None:
        statement = statement.where(col(Present.ticket_id) == ticket_id)
    rows = session.execute(statement.order_by(col(Present.since), col(Present.person_id)))
    return [Person(*row) for row in rows]


def as_seen_by(actor: Actor, people: Iterable[Person], code_of: Callable[[int], str]) -> list[dict[str, Any]]:
    """The people on one ticket as this actor may know them: a platform's staff all of them; a unit its own people by name, of the
    platforms only that somebody is there, of other units nothing. `code_of` a unit's key."""
    told: list[dict[str, Any]] = []
    for each in people:
        if not actor.is_unit or each.unit_id == actor.unit_id:
            unit = code_of(each.unit_id) if each.unit_id is not None else None
            told.append(_told(each, each.name, unit, each.person_id))
        elif each.unit_id is None:
            told.append(_told(each, PLATFORM_STAFF, None, None))
    return told


def _told(each: Person, name: str, unit: str | None, person: int | None) -> dict[str, Any]:
    return {
        "person": person,
        "name": name,
        "unit": unit,
        "doing": each.doing.value,
        "since": each.since.isoformat(),
    }


def forget_old(session: Session, as_of: datetime) -> int:
    """Drop what is over; returns how much. The caller commits."""
    dropped = session.execute(delete(Present).where(col(Present.until) <= as_of))
    return int(dropped.rowcount)  # type: ignore[attr-defined]


def changed(before: Sequence[Person], now: Sequence[Person]) -> dict[int, list[Person]]:
    """The tickets on which somebody came, left or does something else, and who is on them now."""
    apart = set(before) ^ set(now)
    tickets: dict[int, list[Person]] = {each.ticket_id: [] for each in apart}
    for each in now:
        if each.ticket_id in tickets:
            tickets[each.ticket_id].append(each)
    return tickets
