"""Analyses made daily and on demand, listed, and the tickets behind each finding as far as the asker sees them."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from pydantic import Field
from sqlalchemy import delete, select, text
from sqlmodel import Session, col

from hotline.access import SYSTEM, Actor, visible_to
from hotline.batches import among
from hotline.case import Desk, Office
from hotline.fields import Order
from hotline.hotspots.analysis import Window, analyse, window_of
from hotline.hotspots.tables import Hotspot, HotspotRun
from hotline.models import Ticket
from hotline.organisation import Platform
from hotline.queue_rows import Row, rows_of
from workflow.deadlines import local_day
from workflow.errors import AccessRefused, NotFound
from workflow.vocabulary import HotspotKind, Role

WINDOWS: Final = (7, 30)
"""The windows analysed every day, in days ending yesterday."""

KEPT: Final = timedelta(days=100)
"""How long a daily analysis is kept; those somebody asked for stay."""

_RUNNING: Final = 12345_010


class HotspotOrder(Order):
    """热点分析 of any days of the actor's own platform and those below it."""

    starts: date = Field(title="起始日", examples=["2026-10-01"])
    ends: date = Field(title="截止日", examples=["2026-10-31"])


def make_due(session: Session, office: Office, as_of: datetime) -> int:
    """Make one analysis of yesterday's windows that is lacking, if any, and drop old ones; returns how much. The caller commits."""
    if not session.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _RUNNING}).scalar_one():
        return 0
    yesterday = local_day(as_of) - timedelta(days=1)
    for platform_id in session.execute(select(col(Platform.id)).order_by(col(Platform.id))).scalars().all():
        for days in WINDOWS:
            window = Window(yesterday - timedelta(days=days - 1), yesterday)
            made = select(col(HotspotRun.id)).where(
                col(HotspotRun.platform_id) == platform_id,
                col(HotspotRun.starts) == window.first,
                col(HotspotRun.ends) == window.last,
            )
            if session.execute(made.limit(1)).first() is None:
                session.execute(text("SET LOCAL statement_timeout = 0"))
                analyse(session, office, platform_id, window, by=SYSTEM.name, at=as_of)
                return 1
    return _forget(session, as_of)


def _forget(session: Session, as_of: datetime) -> int:
    old = select(col(HotspotRun.id)).where(
        col(HotspotRun.made_by) == SYSTEM.name, col(HotspotRun.made_at) < as_of - KEPT
    )
    ids = list(session.execute(old.limit(100)).scalars())
    if ids:
        session.execute(delete(Hotspot).where(col(Hotspot.run_id).in_(ids)))
        session.execute(delete(HotspotRun).where(col(HotspotRun.id).in_(ids)))
    return len(ids)


def ask(desk: Desk, order: HotspotOrder) -> HotspotRun:
    """热点分析 on demand. Raises `OrderInvalid`, `LimitExceeded`, `AccessRefused`. The caller commits."""
    if desk.actor.platform_id is None:
        raise AccessRefused("热点分析由热线平台进行。", article="25")
    window = window_of(order.starts, order.ends)
    return analyse(desk.session, desk.office, desk.actor.platform_id, window, by=desk.actor.name, at=desk.at)


def listed(
    session: Session, actor: Actor, *, limit: int, before: int | None
) -> tuple[list[tuple[HotspotRun, str]], int | None]:
    """The newest analyses of the platforms the actor sees with the platforms' codes, and the key the next page is asked with."""
    found = select(HotspotRun, col(Platform.code)).join(
        Platform, col(Platform.id) == col(HotspotRun.platform_id)
    )
    found = found.where(col(HotspotRun.platform_id).in_(sorted(actor.platform_ids)))
    if before is not None:
        found = found.where(col(HotspotRun.id) < before)
    rows = session.execute(found.order_by(col(HotspotRun.id).desc()).limit(limit + 1)).all()
    page = [(run, code) for run, code in rows[:limit]]
    return page, page[-1][0].id if len(rows) > limit else None


def found(session: Session, actor: Actor, run_id: int) -> HotspotRun:
    """One analysis. Raises `NotFound`."""
    run = session.get(HotspotRun, run_id)
    if run is None or run.platform_id not in actor.platform_ids:
        raise NotFound("没有这份热点分析，或不在您的权限范围内。", field="run")
    return run


def hotspots_of(session: Session, actor: Actor, run: HotspotRun) -> Sequence[Hotspot]:
    """What an analysis found, by kind and rank; which tickets are one caller's is told to supervisors alone."""
    statement = select(Hotspot).where(col(Hotspot.run_id) == run.id)
    if not _may_group_callers(actor):
        statement = statement.where(col(Hotspot.kind) != HotspotKind.CALLER)
    return session.execute(statement.order_by(col(Hotspot.kind), col(Hotspot.rank))).scalars().all()


def _may_group_callers(actor: Actor) -> bool:
    return Role.SUPERVISOR in actor.roles or actor.kind == "system"


def tickets_of(
    session: Session, actor: Actor, hotspot_id: int, *, limit: int, before: int | None
) -> tuple[list[Row], int | None]:
    """The tickets behind a finding that the actor sees, the newest first, and the key the next page is asked with. Raises `NotFound`."""
    hotspot = session.get(Hotspot, hotspot_id)
    if hotspot is None or (hotspot.kind is HotspotKind.CALLER and not _may_group_callers(actor)):
        raise NotFound("没有这个热点，或不在您的权限范围内。", field="hotspot")
    found(session, actor, hotspot.run_id)
    wanted = [key for key in hotspot.tickets if before is None or key < before]
    statement = select(Ticket).where(col(Ticket.id) == among(wanted), visible_to(actor))
    tickets = list(session.execute(statement.order_by(col(Ticket.id).desc()).limit(limit + 1)).scalars())
    page = tickets[:limit]
    return rows_of(session, actor, page), page[-1].id if len(tickets) > limit else None
