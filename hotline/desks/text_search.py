"""全文查找: tickets whose title or content contains some words, found by the pairs of characters kept beside every ticket.

The pairs narrow, an exact test of the text itself decides (`contains`). Newest first, a list looks through the newest day, then as
far back as may fill its page: a usual word fills it from a day or a week, a rare one has few tickets anywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, case, exists, false, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.desks.grams import SPANS, blocks, kept_of, wanted
from hotline.desks.tables import Likeness
from hotline.models import Ticket

# --- kept beside each ticket -----------------------------------------------------------------------------------------------


def kept_beside(ticket: Ticket) -> dict[str, Any]:
    """The row of `likeness` that goes with a ticket: the pairs of its masked words."""
    return {
        "ticket_id": ticket.id,
        "platform_id": ticket.platform_id,
        "received_at": ticket.received_at,
        "grams": kept_of(ticket.title, ticket.content, ticket.received_at),
        "whole": True,
    }


def note(session: Session, ticket: Ticket) -> None:
    """Keep the pairs of a ticket's masked words, anew where they changed. The caller commits."""
    kept = upsert(Likeness.__table__).values(**kept_beside(ticket))  # type: ignore[attr-defined]
    changed = {"grams": kept.excluded.grams, "whole": True}
    session.execute(kept.on_conflict_do_update(index_elements=["ticket_id"], set_=changed))


@contextmanager
def by_index(session: Session) -> Iterator[None]:
    """What is asked meanwhile goes by indexes: the planner takes comparing arrays, like reading texts, for much cheaper than it is."""
    session.execute(text("SET LOCAL enable_seqscan = off"))
    yield
    session.execute(text("SET LOCAL enable_seqscan TO DEFAULT"))


# --- found -----------------------------------------------------------------------------------------------------------------


def contains(words: str) -> ColumnElement[bool]:
    """The condition on `tickets` that its title or content contains `words`, capital letters or small."""
    return _saying(words, wanted(words))


def newest(
    session: Session, statement: Select[Any], words: str, size: int, *, before: datetime | None
) -> list[Ticket]:
    """Of a statement of tickets, newest first and limited to `size`, the rows that contain `words`.

    `before` is where the statement itself ends, None where it goes up to the newest ticket.
    """
    with by_index(session):
        return _newest(session, statement, words, size, before)


def _newest(
    session: Session, statement: Select[Any], words: str, size: int, before: datetime | None
) -> list[Ticket]:
    sought = wanted(words)
    until = before or session.execute(text(_NEWEST)).scalar()
    days: int | None = SPANS[0]
    while until is not None and days is not None:
        since = until - timedelta(days=days)
        recent = statement.where(
            col(Ticket.received_at) > since, _saying(words, sought, (since, until, days))
        )
        found = list(session.execute(recent).scalars())
        if len(found) >= size:
            return found
        days = _next(days, len(found), size)
    return list(session.execute(statement.where(_saying(words, sought))).scalars())


_NEWEST: Final = """
SELECT max(newest.received_at) FROM platforms p, LATERAL
    (SELECT received_at FROM tickets WHERE platform_id = p.id ORDER BY received_at DESC LIMIT 1) newest
"""


def _next(days: int, found: int, size: int) -> int | None:
    """The next span that may well fill a page, None for all there is. To find none tells no more than to find one in three times."""
    return next((span for span in SPANS if span > days and max(found, 0.3) * span > 2 * size * days), None)


def _saying(
    words: str, sought: list[int], lately: tuple[datetime, datetime, int] | None = None
) -> ColumnElement[bool]:
    """The text itself is read last, of what the pairs found: the planner takes reading it for much cheaper than it is."""
    exactly = or_(
        col(Ticket.title).icontains(words, autoescape=True),
        col(Ticket.content).icontains(words, autoescape=True),
    )
    if not sought:
        return exactly
    kept: Any = Likeness.__table__.c  # type: ignore[attr-defined]
    found = select(kept.ticket_id).where(kept.ticket_id == col(Ticket.id), kept.grams.contains(sought))
    if lately is not None:
        found = found.where(kept.grams.overlap(list(blocks(*lately))), kept.received_at > lately[0])
    return exists(found.where(case((kept.ticket_id > 0, exactly), else_=false())))
