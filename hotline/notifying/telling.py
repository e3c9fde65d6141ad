"""«Who was told what, when, with what result»: the notices and webhook deliveries of one ticket, for its timeline."""

from collections import defaultdict
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.exchange.envelopes import CATALOGUE
from hotline.exchange.tables import Delivery, Subscription
from hotline.models import OutboxEvent
from hotline.notifying.tables import Notification
from hotline.organisation import OrgUnit
from hotline.shapes import ToldView


def told_of(session: Session, actor: Actor, ticket_id: int) -> dict[int, list[ToldView]]:
    """By ledger entry, the oldest first: who was told of it. A unit sees what it was told itself, and nothing of others."""
    told: dict[int, list[ToldView]] = defaultdict(list)
    for seq, view in [*_notices(session, actor, ticket_id), *_deliveries(session, actor, ticket_id)]:
        told[seq].append(view)
    return {seq: sorted(views, key=lambda view: view.at) for seq, views in told.items()}


def _notices(session: Session, actor: Actor, ticket_id: int) -> list[tuple[int, ToldView]]:
    statement = (
        select(Notification, col(OrgUnit.code))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Notification.unit_id))
        .where(col(Notification.ticket_id) == ticket_id, *_own(actor, Notification.unit_id))
        .order_by(col(Notification.id))
    )
    return [
        (
            notice.ticket_seq or 0,
            ToldView(
                kind=notice.kind,
                label=_label(notice.kind),
                means=notice.means.value,
                means_label=notice.means.label,
                unit=unit,
                to=notice.recipient,
                address=notice.shown,
                content=notice.content,
                state=notice.state.value,
                state_label=notice.state.label,
                at=notice.created_at,
                settled_at=notice.reported_at or notice.settled_at,
                attempts=len(notice.tries),
                problem=notice.problem,
            ),
        )
        for notice, unit in session.execute(statement)
    ]


def _deliveries(session: Session, actor: Actor, ticket_id: int) -> list[tuple[int, ToldView]]:
    """What went to units' and platforms' systems, as long as deliveries are kept."""
    statement = (
        select(Delivery, OutboxEvent.ticket_seq, OutboxEvent.type, Subscription.label, col(OrgUnit.code))  # type: ignore[call-overload]
        .join(OutboxEvent, col(OutboxEvent.id) == col(Delivery.event_id))
        .join(Subscription, col(Subscription.id) == col(Delivery.subscription_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Subscription.unit_id))
        .where(col(OutboxEvent.ticket_id) == ticket_id, *_own(actor, Subscription.unit_id))
        .order_by(col(Delivery.id))
    )
    return [
        (
            seq or 0,
            ToldView(
                kind=kind,
                label=_label(kind),
                means="system",
                means_label="对接系统",
                unit=unit,
                to=label,
                address=None,
                content=None,
                state=delivery.state.value,
                state_label=delivery.state.label,
                at=delivery.created_at,
                settled_at=delivery.settled_at,
                attempts=len(delivery.tries),
                problem=delivery.problem,
            ),
        )
        for delivery, seq, kind, label, unit in session.execute(statement)
    ]


def _label(kind: str) -> str:
    known = CATALOGUE.get(kind)
    return known.label if known is not None else kind


def _own(actor: Actor, of: Any) -> list[Any]:
    """A unit: what its own contacts and systems were told; platform staff, who see the ticket, see all of it."""
    return [col(of) == actor.unit_id] if actor.is_unit else []
