"""异常查阅: look-ups an auditor should see, raised in the transaction of the look-up and settled by another person."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.auditing.policy import Policy
from hotline.auditing.trail import AuditAlert
from hotline.case import Desk
from hotline.exchange import outbox
from hotline.models import OutboxEvent, Ticket
from hotline.organisation import OrgUnit, Person, Platform
from hotline.reference import area_prefix
from workflow.deadlines import CHINA
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import AlertKind, AuditKind

LOOK_UPS = (AuditKind.UNSEALED, AuditKind.CALLER_SEARCHED)
MOST_REFUSALS = 10
"""Refusals of one actor within an hour that are no alert yet, plus one."""

_HOUR = timedelta(hours=1)

# --- raised ------------------------------------------------------------------------------------------------------------


def look_at(
    session: Session, actor: Actor, ticket: Ticket | None, at: datetime, policy: Policy | None = None
) -> list[AlertKind]:
    """Judge a look-up that was just recorded: one unsealed field of `ticket`, or a search for a caller (`ticket` None).

    Raises alerts for too many within an hour, outside the actor's shift (Asia/Shanghai), outside their area; returns which kinds.
    Call it after `audit.record`, in the same transaction, which the caller commits.
    """
    settled = policy or Policy()
    platform_id = ticket.platform_id if ticket is not None else None
    found: list[AlertKind] = []
    most = settled.alert_unseals_per_hour
    if audit.count_of(session, actor, LOOK_UPS, at - _HOUR, most + 1) > most:
        found.append(AlertKind.MANY_UNSEALS)
    if _off_shift(session, actor, at, settled.shift):
        found.append(AlertKind.OFF_SHIFT)
    if ticket is not None and _outside(session, actor, ticket):
        found.append(AlertKind.OUTSIDE_AREA)
    for kind in found:
        _raise(session, kind, actor, at, platform_id, ticket.id if ticket is not None else None)
    return found


def look_at_refusal(session: Session, actor: Actor, at: datetime) -> None:
    """Raise an alert if this actor, just refused, was refused too often within an hour."""
    if actor.home_id is None:
        return
    if audit.count_of(session, actor, (AuditKind.REFUSED,), at - _HOUR, MOST_REFUSALS) >= MOST_REFUSALS:
        _raise(session, AlertKind.MANY_REFUSALS, actor, at, None, None)


def on_shift(shift: str, at: datetime) -> bool:
    """Whether `at` lies within `HH:MM-HH:MM` (Asia/Shanghai, the end excluded); a shift may run over midnight, equal ends are always."""
    start, end = (time.fromisoformat(part) for part in shift.split("-"))
    now = at.astimezone(CHINA).time()
    if start == end:
        return True
    return start <= now < end if start < end else now >= start or now < end


def _off_shift(session: Session, actor: Actor, at: datetime, usual: str) -> bool:
    if actor.kind != "person":  # machines have no hours
        return False
    own = session.execute(select(col(Person.shift)).where(col(Person.id) == actor.id)).scalar_one_or_none()
    return not on_shift(own or usual, at)


def _outside(session: Session, actor: Actor, ticket: Ticket) -> bool:
    if actor.unit_id is not None:
        where = select(col(OrgUnit.area_code)).where(col(OrgUnit.id) == actor.unit_id)
    else:
        where = select(col(Platform.area_code)).where(col(Platform.id) == actor.platform_id)
    own = session.execute(where).scalar_one_or_none()
    return own is not None and not ticket.area_code.startswith(area_prefix(own))


def _raise(
    session: Session,
    kind: AlertKind,
    actor: Actor,
    at: datetime,
    platform_id: int | None,
    ticket_id: int | None,
) -> None:
    """One alert a kind, actor and hour as long as it is open; what comes meanwhile adds to its count.

    The platform's chain is locked first: of two look-ups at once, one raises and the other adds.
    """
    home = audit.home_of(actor, platform_id)
    if home == audit.NOWHERE:
        return
    audit.lock(session, home, at)
    alert = session.execute(
        select(AuditAlert)
        .where(
            col(AuditAlert.platform_id) == home,
            col(AuditAlert.kind) == kind,
            col(AuditAlert.actor_kind) == actor.kind,
            col(AuditAlert.actor_id).is_not_distinct_from(actor.id),
            col(AuditAlert.handled_at).is_(None),
            col(AuditAlert.raised_at) > at - _HOUR,
        )
        .order_by(col(AuditAlert.id).desc())
        .limit(1)
    ).scalar_one_or_none()
    if alert is not None:
        last = {"last_at": at.astimezone(UTC).isoformat(), "count": alert.what["count"] + 1}
        alert.what = alert.what | last
        session.add(alert)
        session.flush()
        return
    alert = AuditAlert(
        platform_id=home,
        kind=kind,
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_name=actor.name,
        ticket_id=ticket_id,
        what={"count": 1},
        raised_at=at,
    )
    session.add(alert)
    session.flush()
    told = {"alert": alert.id, "kind": kind.value}
    audit.record(
        session,
        AuditKind.ALERT_RAISED,
        at=at,
        actor=actor,
        platform_id=home,
        ticket_id=ticket_id,
        what=told,
    )
    session.execute(insert(OutboxEvent.__table__).values(_event(home, told, at)))  # type: ignore[attr-defined]


def _event(platform_id: int, told: dict[str, Any], at: datetime) -> dict[str, Any]:
    """The outbox row, without the ticket: only auditors learn which one it was."""
    return {
        "ticket_id": None,
        "ticket_seq": None,
        "type": outbox.ALERT_RAISED,
        "platform_id": platform_id,
        "unit_id": None,
        "data": told,
        "occurred_at": at.astimezone(UTC),
    }


# --- settled -----------------------------------------------------------------------------------------------------------


def conclude(desk: Desk, alert_id: int, conclusion: str) -> AuditAlert:
    """处置预警, once, by an auditor who is not the one it speaks of. Raises `NotFound`, `AccessRefused`, `OrderInvalid`."""
    alert = desk.session.get(AuditAlert, alert_id, with_for_update=True)
    if alert is None or alert.platform_id not in desk.actor.platform_ids:
        raise NotFound("没有这条预警，或不在您的权限范围内。")
    if (alert.actor_kind, alert.actor_id) == (desk.actor.kind, desk.actor.id):
        raise AccessRefused("预警须由被预警者以外的人员处置。")
    if alert.handled_at is not None:
        raise OrderInvalid("该预警已经处置。")
    alert.conclusion, alert.handled_by, alert.handled_at = conclusion, desk.actor.name, desk.at
    desk.session.add(alert)
    audit.record(
        desk.session,
        AuditKind.ALERT_HANDLED,
        at=desk.at,
        actor=desk.actor,
        platform_id=alert.platform_id,
        ticket_id=alert.ticket_id,
        what={"alert": alert.id, "kind": alert.kind.value},
        algorithm=desk.office.policy.algorithm,
    )
    return alert
