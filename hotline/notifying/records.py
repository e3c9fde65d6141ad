"""通知记录: what was sent to whom and how it went; sent anew by a person; what a gateway reports of delivery (状态报告)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import Desk
from hotline.models import Ticket
from hotline.notifying.deriving import KEPT
from hotline.notifying.sending import id_of
from hotline.notifying.tables import Contact, Notification
from workflow.errors import OrderInvalid, OutOfSight
from workflow.vocabulary import AuditKind, Means, NoticeState, Role


@dataclass(frozen=True, slots=True)
class Noted:
    """A notification and the number of the ticket it is about, if it is about one."""

    notification: Notification
    number: str | None


def listed(
    desk: Desk,
    *,
    state: NoticeState | None = None,
    means: Means | None = None,
    contact: int | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[Noted]:
    """The notices within reach, the newest first, behind `before`."""
    statement = select(Notification, col(Ticket.number)).outerjoin(
        Ticket, col(Ticket.id) == col(Notification.ticket_id)
    )
    wanted = [
        (state, col(Notification.state) == state),
        (means, col(Notification.means) == means),
        (contact, col(Notification.contact_id) == contact),
        (before, col(Notification.id) < (before or 0)),
    ]
    for given, condition in wanted:
        if given is not None:
            statement = statement.where(condition)
    statement = statement.where(*_within(desk.actor)).order_by(col(Notification.id).desc()).limit(limit)
    return [Noted(*row) for row in desk.session.execute(statement)]


def one(desk: Desk, notification_id: int, *, lock: bool = False) -> Noted:
    """One notice. Raises `OutOfSight`."""
    statement = (
        select(Notification, col(Ticket.number))
        .outerjoin(Ticket, col(Ticket.id) == col(Notification.ticket_id))
        .where(col(Notification.id) == notification_id, *_within(desk.actor))
        .execution_options(populate_existing=True)
    )
    if lock:
        statement = statement.with_for_update(of=Notification.__table__, key_share=True)  # type: ignore[attr-defined]
    found = desk.session.execute(statement).first()
    if found is None:
        raise OutOfSight("没有这条通知记录，或不在您的管理范围内。", field="notification")
    return Noted(*found)


def _within(actor: Actor) -> list[Any]:
    if actor.kind == "system":
        return []
    if actor.is_unit:
        own = col(Notification.unit_id) == actor.unit_id
        return [own] if Role.UNIT_LEAD in actor.roles else [col(Notification.id).is_(None)]
    return [col(Notification.platform_id).in_(sorted(actor.platform_ids))]


def retry(desk: Desk, notification_id: int) -> Noted:
    """重发: what failed or was given up is tried anew, under a new id and to the contact's address of today.

    Raises `OutOfSight`, `OrderInvalid` for what waits or has gone out, or where the contact is told nothing any more.
    """
    noted = one(desk, notification_id, lock=True)
    found = noted.notification
    if found.state not in (NoticeState.FAILED, NoticeState.GIVEN_UP, NoticeState.RECORDED):
        raise OrderInvalid(f"该通知{found.state.label}，不必重发。", field="notification")
    contact = desk.session.get_one(Contact, found.contact_id)
    if contact.address is None or not contact.active:
        raise OrderInvalid("联系人已停用或删除，不能重发。", field="notification")
    found.state, found.round, found.retried_by = NoticeState.WAITING, found.round + 1, desk.actor.name
    found.next_at, found.give_up_at = desk.at, desk.at + KEPT
    found.settled_at = found.problem = found.provider_id = found.reported_at = None
    found.shown, found.recipient = contact.shown, contact.label
    desk.session.add(found)
    desk.session.flush()
    audit.record(
        desk.session,
        AuditKind.ACCOUNT_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=found.platform_id,
        ticket_id=found.ticket_id,
        what={"change": "notification_retried", "notification": found.id, "round": found.round},
    )
    return noted


# --- delivery reports --------------------------------------------------------------------------------------------------

_ID: Final = re.compile(r"ntf-([0-9]{1,18})-[0-9]{1,12}-[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Report:
    """状态报告 of one message, by the id it was handed in under: whether it arrived, and the gateway's code."""

    id: str
    delivered: bool
    code: str | None = None


def take_reports(session: Session, at: datetime, reports: Sequence[Report]) -> int:
    """Note what a gateway says of texts; how many of them are known. Only the newest round counts; a second report changes nothing."""
    keys = {int(match[1]): each for each in reports if (match := _ID.fullmatch(each.id))}
    known = 0
    for key in sorted(keys):
        found = session.get(Notification, key, with_for_update={"key_share": True}, populate_existing=True)
        if found is None or found.means is not Means.SMS or id_of(found) != keys[key].id:
            continue
        known += 1
        _note(session, at, found, keys[key])
    session.flush()
    return known


def _note(session: Session, at: datetime, found: Notification, report: Report) -> None:
    if found.reported_at is not None or found.state not in (NoticeState.WAITING, NoticeState.SENT):
        return
    found.reported_at = at
    found.settled_at = found.settled_at or at
    found.next_at = None
    if report.delivered:
        found.state, found.problem = NoticeState.DELIVERED, None
    else:
        found.state = NoticeState.FAILED
        found.problem = f"运营商未送达（{report.code}）" if report.code else "运营商未送达"
    session.add(found)
