"""解封查看: one of a caller's fields opened, for a purpose, for a limited time, and recorded. Art. 15, 34(2)."""

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Self

from pydantic import Field, model_validator
from sqlalchemy import select
from sqlmodel import col

from hotline.access import Actor, caller_is_sealed, found_by_caller, is_first_receiver, may_open, visible_to
from hotline.auditing import alerts, audit
from hotline.auditing.trail import Unsealing
from hotline.case import Desk
from hotline.fields import Order, Phone, Prose, Whole
from hotline.models import Assignment, Ticket
from hotline.privacy.concealment import known_of, original_of
from hotline.privacy.masking import mask_text
from hotline.privacy.sealing import of_caller
from hotline.queue_rows import Row, rows_of
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import AuditKind, Matter, PersonalField, Purpose

MOST_FOUND = 200
"""Tickets one search answers at most, the newest."""

_COLUMNS = {
    PersonalField.NAME: "caller_name",
    PersonalField.PHONE: "caller_phone",
    PersonalField.ADDRESS: "caller_address",
    PersonalField.ID_NUMBER: "caller_id_number",
}


class UnsealExpired(AccessRefused):
    """The time for which a field was opened is over."""

    code = "unseal_expired"


class UnsealOrder(Order):
    """解封查看: which field, what for; of an original, which ledger entry's."""

    field: PersonalField
    purpose: Purpose
    explanation: Prose | None = Field(default=None, description="说明；目的为其他，或工单为举报时必填")
    entry: Whole | None = Field(
        default=None, ge=1, le=2**31 - 1, description="原文所属的时间线序号；缺省为登记时的原文"
    )

    @model_validator(mode="after")
    def _explained(self) -> Self:
        if self.purpose is Purpose.OTHER and self.explanation is None:
            raise ValueError("查看目的为其他时须说明（explanation）")
        if self.entry is not None and self.field is not PersonalField.ORIGINAL:
            raise ValueError("只有查看原文时才填写时间线序号（entry）")
        return self


class SearchOrder(Order):
    """按来电人查找: by phone."""

    phone: Phone


@dataclass(frozen=True, slots=True)
class Opened:
    """One opened field, and until when."""

    row: Unsealing
    value: str | dict[str, str]


# --- one field ---------------------------------------------------------------------------------------------------------


def unseal(desk: Desk, ticket: Ticket, order: UnsealOrder) -> Opened:
    """Open one field of a ticket the actor sees, and record it. The caller commits.

    Raises `AccessRefused` (art. 15), `OrderInvalid` where a tip-off's explanation is missing, `NotFound` where nothing is sealed there.
    """
    _check(desk, ticket, order.field)
    if ticket.matter is Matter.TIPOFF and order.explanation is None:
        raise OrderInvalid("查看举报人信息须说明理由。", article="15", field="explanation")
    value = _value(desk, ticket, order.field, order.entry)
    known = known_of(desk.office.sealer, ticket)
    row = Unsealing(
        ticket_id=ticket.id,
        field=order.field,
        entry_seq=_entry(order.field, order.entry),
        actor=desk.actor.key,
        actor_name=desk.actor.name,
        purpose=order.purpose,
        explanation=mask_text(order.explanation, known, hide=caller_is_sealed(ticket))
        if order.explanation
        else None,
        opened_at=desk.at,
        expires_at=(desk.at + timedelta(minutes=desk.office.policy.unseal_minutes)).astimezone(UTC),
    )
    desk.session.add(row)
    desk.session.flush()
    _record(desk, AuditKind.UNSEALED, ticket, row)
    _after_look_up(desk, ticket)
    return Opened(row, value)


def read_again(desk: Desk, ticket: Ticket, unsealing_id: int) -> Opened:
    """The field again, for whoever opened it, until it expires. The caller commits.

    Raises `NotFound` for what somebody else opened, `UnsealExpired`, `AccessRefused` where it may not be read any more.
    """
    row = desk.session.get(Unsealing, unsealing_id)
    if row is None or row.ticket_id != ticket.id or row.actor != desk.actor.key:
        raise NotFound("该工单没有这次查看记录，或不是您本人的。", field="id")
    _check(desk, ticket, row.field)
    if desk.at >= row.expires_at:
        raise UnsealExpired("本次查看已到期；如仍有需要，请重新说明目的后查看。", article="15")
    value = _value(desk, ticket, row.field, row.entry_seq)
    _record(desk, AuditKind.UNSEALED_READ, ticket, row)
    return Opened(row, value)


def _check(desk: Desk, ticket: Ticket, field: PersonalField) -> None:
    parts = desk.session.execute(select(Assignment).where(col(Assignment.ticket_id) == ticket.id)).scalars()
    if not may_open(desk.actor, ticket, list(parts), field):
        raise AccessRefused(_why_not(desk.actor, ticket, field), article="15")


def _why_not(actor: Actor, ticket: Ticket, field: PersonalField) -> str:
    if actor.is_unit and caller_is_sealed(ticket):
        return "该工单来电人信息已保密，承办单位不能查看；如需联系来电人，请通过热线平台。"
    if actor.is_unit:
        return f"您的单位不能查看来电人的{field.label}；办理期间只能查看姓名、电话和地址。"
    if ticket.matter is Matter.TIPOFF and not is_first_receiver(actor, ticket):
        return "举报人信息只有首接人员、回访员和督办主管可以查看。"
    return f"您的角色不能查看来电人的{field.label}。"


def _entry(field: PersonalField, entry: int | None) -> int | None:
    return (entry or 1) if field is PersonalField.ORIGINAL else None


def _value(desk: Desk, ticket: Ticket, field: PersonalField, entry: int | None) -> str | dict[str, str]:
    sealer = desk.office.sealer
    if field is PersonalField.ORIGINAL:
        original = original_of(desk.session, sealer, ticket, entry or 1)
        if original is None:
            raise NotFound("该记录没有隐去任何内容，现有文字即为原文。", field="entry" if entry else "field")
        return original
    column = _COLUMNS[field]
    sealed: bytes | None = getattr(ticket, column)
    value = sealer.open(sealed, of_caller(column, ticket.number))
    if value is None:
        raise NotFound(f"来电人没有留下{field.label}。", field="field")
    return value


def _record(desk: Desk, kind: AuditKind, ticket: Ticket, row: Unsealing) -> None:
    what: dict[str, Any] = {
        "unsealing": row.id,
        "number": ticket.number,
        "field": row.field.value,
        "purpose": row.purpose.value,
    }
    if row.entry_seq is not None:
        what["entry"] = row.entry_seq
    audit.record(
        desk.session,
        kind,
        at=desk.at,
        actor=desk.actor,
        platform_id=ticket.platform_id,
        ticket_id=ticket.id,
        what=what,
        algorithm=desk.office.policy.algorithm,
    )


def _after_look_up(desk: Desk, ticket: Ticket | None) -> None:
    """Let an unusual look-up raise its alert; `ticket` is None for a search."""
    alerts.look_at(desk.session, desk.actor, ticket, desk.at, desk.office.policy)


# --- by phone ----------------------------------------------------------------------------------------------------------


def search_caller(desk: Desk, order: SearchOrder) -> list[Row]:
    """The newest tickets of whoever called from this number, of those the actor sees, by the blind index; recorded without the number.

    A tip-off is found only by who may open its caller's data. The caller commits.
    """
    indexes = desk.office.sealer.indexes(order.phone)
    found = list(
        desk.session.execute(
            select(Ticket)
            .where(col(Ticket.phone_index).in_(indexes), visible_to(desk.actor), found_by_caller(desk.actor))
            .order_by(col(Ticket.received_at).desc(), col(Ticket.id).desc())
            .limit(MOST_FOUND)
        ).scalars()
    )
    audit.record(
        desk.session,
        AuditKind.CALLER_SEARCHED,
        at=desk.at,
        actor=desk.actor,
        what={"found": len(found)},
        algorithm=desk.office.policy.algorithm,
    )
    _after_look_up(desk, None)
    return rows_of(desk.session, desk.actor, found)
