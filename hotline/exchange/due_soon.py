"""提前提醒: a courtesy before a period ends, once per clock. It moves no date and stands in no ledger. Art. 14(8).

How long before is the rule pack's `due_soon_hours` (15: at 9:00 of the last day for a period that ends with the day), for a short
period half of it.
"""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, DateTime, and_, false, literal, or_, select, update
from sqlmodel import Session, col

from hotline.access import SYSTEM
from hotline.batches import lock, write_all
from hotline.case import Desk, Office, due_facts, tell
from hotline.exchange import outbox
from hotline.models import Clock
from hotline.organisation import Platform
from workflow.statute import load as load_pack

_OPEN = (
    col(Clock.duty),
    col(Clock.warned_at).is_(None),
    col(Clock.met_at).is_(None),
    col(Clock.lapsed_at).is_(None),
    col(Clock.voided_at).is_(None),
)


def warn(session: Session, office: Office, as_of: datetime, *, batch: int = 500) -> int:
    """Tell whoever owes one of up to `batch` clocks that end soon after `as_of` (aware); returns how many were told.

    Tickets somebody is acting on wait for the next time; what is over already is the sweep's. The caller commits.
    """
    due, opened = col(Clock.due_at), col(Clock.opened_at)
    at = literal(as_of, DateTime(timezone=True))
    soon = (due > as_of, _within(session, as_of), due - at <= at - opened)
    found = session.execute(
        select(col(Clock.id), col(Clock.ticket_id)).where(*_OPEN, *soon).order_by(due).limit(batch)
    ).all()
    if not found:
        return 0
    cases = lock(session, [ticket_id for _, ticket_id in found], skip_locked=True)
    clocks = (
        session.execute(
            select(Clock)
            .where(
                col(Clock.id).in_([clock_id for clock_id, _ in found]),
                col(Clock.ticket_id).in_(list(cases)),
                *_OPEN,
                *soon,
            )
            .order_by(due, col(Clock.id))
            .execution_options(populate_existing=True)
        )
        .scalars()
        .all()
    )
    desk = Desk(session, SYSTEM, as_of, office)
    for clock in clocks:
        tell(desk, cases[clock.ticket_id], outbox.DUE_SOON, clock.unit_id, {"clock": due_facts(desk, clock)})
    session.execute(
        update(Clock)
        .where(col(Clock.id).in_([clock.id for clock in clocks]))
        .values(warned_at=as_of)
        .execution_options(synchronize_session=False)
    )
    write_all(desk, list(cases.values()))
    return len(clocks)


def _within(session: Session, as_of: datetime) -> ColumnElement[bool]:
    """That a clock ends within the hours its platform's rule pack says."""
    by_hours: dict[int, list[int]] = defaultdict(list)
    platforms: Any = session.execute(select(col(Platform.id), col(Platform.pack)))
    for platform_id, pack in platforms:
        by_hours[load_pack(pack).number("due_soon_hours")].append(platform_id)
    due, of = col(Clock.due_at), col(Clock.platform_id)
    if len(by_hours) == 1:
        return due <= as_of + timedelta(hours=next(iter(by_hours)))
    each = (and_(due <= as_of + timedelta(hours=hours), of.in_(ids)) for hours, ids in by_hours.items())
    return or_(false(), *each)
