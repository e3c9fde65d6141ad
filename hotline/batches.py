"""Many tickets at once: locked in order, changed, and written in a few statements. For sweeps and calendar changes."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import BigInteger, any_, bindparam, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Session, col

from hotline.case import Case, Desk, Home, write
from hotline.models import Clock, Ticket
from hotline.organisation import Platform
from workflow.statute import load as load_pack


def lock(session: Session, ids: Iterable[int], *, skip_locked: bool) -> dict[int, Case]:
    """Lock these tickets in order of their keys; with `skip_locked`, those somebody acts on are left out.

    Their running clocks come with them; their units' parts do not.
    """
    rows = session.execute(
        select(Ticket, col(Platform.pack), col(Platform.level), col(Platform.parent_id))
        .join(Platform, col(Platform.id) == col(Ticket.platform_id))
        .where(col(Ticket.id) == among(ids))
        .order_by(col(Ticket.id))
        .with_for_update(of=Ticket.__table__, skip_locked=skip_locked)  # type: ignore[attr-defined]
        .execution_options(populate_existing=True)
    )
    cases = {
        ticket.id: Case(ticket, Home(ticket.platform_id, pack, level, parent_id), load_pack(pack), [], [])
        for ticket, pack, level, parent_id in rows
    }
    clocks = session.execute(
        select(Clock)
        .where(
            col(Clock.ticket_id) == among(cases), col(Clock.met_at).is_(None), col(Clock.voided_at).is_(None)
        )
        .order_by(col(Clock.id))
        .execution_options(populate_existing=True)
    )
    for clock in clocks.scalars():
        cases[clock.ticket_id].clocks.append(clock)
    return cases


def among(ids: Iterable[int]) -> Any:
    """What a key equals that is one of these, as one parameter: a calendar change may touch more tickets than a statement has parameters."""
    return any_(bindparam(None, sorted(set(ids)), type_=ARRAY(BigInteger)))


def write_all(desk: Desk, cases: Sequence[Case]) -> None:
    """`desk.write` for many cases, in three statements rather than three a case."""
    if not cases:
        return
    first, *rest = cases
    for case in rest:
        first.entries += case.entries
        first.events += case.events
        first.sealed += case.sealed
        first.fresh += case.fresh
        case.entries, case.events, case.sealed, case.fresh = [], [], [], []
    write(desk, first)
