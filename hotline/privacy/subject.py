"""知情权: everything held about one caller, in their own words, and who looked at it, when and why. Other people's data stay masked."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.auditing.trail import AuditEntry, Unsealing
from hotline.case import Office
from hotline.desks.tables import Call
from hotline.models import (
    Assignment,
    Attachment,
    CallbackAttempt,
    LedgerEntry,
    Reply,
    Ticket,
)
from hotline.numbers import spoken
from hotline.organisation import OrgUnit, Person, Platform
from hotline.privacy.concealment import CALLER_COLUMNS, known_of, originals_of
from hotline.privacy.masking import Known, mask_text
from hotline.privacy.sealing import Sealer
from workflow.deadlines import CHINA
from workflow.errors import OrderInvalid
from workflow.vocabulary import AuditKind, FileClass

_LABELS = {
    "caller_name": "姓名",
    "caller_phone": "电话",
    "caller_address": "地址",
    "caller_id_number": "身份证号",
}


def report(
    session: Session, office: Office, phone: str, purpose: str, *, by: Actor, at: datetime
) -> dict[str, Any]:
    """Everything held about the caller with this phone, on every platform; recorded. The caller commits.

    Raises `OrderInvalid` for what is no phone number.
    """
    digits = "".join(c for c in phone if c.isascii() and c.isdigit())
    if len(digits) < 5:
        raise OrderInvalid("请给出完整的电话号码。", field="phone")
    tickets = list(
        session.execute(
            select(Ticket)
            .where(col(Ticket.phone_index).in_(office.sealer.indexes(phone)))
            .order_by(col(Ticket.received_at), col(Ticket.id))
        ).scalars()
    )
    told = [_ticket(session, office, ticket, digits) for ticket in tickets]
    audit.record(
        session,
        AuditKind.SUBJECT_REPORTED,
        at=at,
        actor=by,
        what={
            "purpose": mask_text(purpose),
            "tickets": len(tickets),
            "numbers": [t.number for t in tickets[:50]],
        },
        algorithm=office.policy.algorithm,
    )
    calls = _calls(session, office.sealer, phone)
    return {"phone": phone, "made_at": at, "purpose": purpose, "tickets": told, "calls": calls}


def _calls(session: Session, sealer: Sealer, phone: str) -> list[dict[str, Any]]:
    """The calls from this number that still have it."""
    rows = session.execute(
        select(Call, col(Platform.name))
        .join(Platform, col(Platform.id) == col(Call.platform_id))
        .where(col(Call.phone_index).in_(sealer.indexes(phone)))
        .order_by(col(Call.ringing_at), col(Call.id))
    )
    return [
        {
            "platform": platform,
            "ringing_at": call.ringing_at,
            "answered_at": call.answered_at,
            "ended_at": call.ended_at,
        }
        for call, platform in rows
    ]


def _ticket(session: Session, office: Office, ticket: Ticket, digits: str) -> dict[str, Any]:
    known = known_of(office.sealer, ticket)
    spared = frozenset(filter(None, (digits, digits[-11:], known.id_number)))
    others = Known(spared=spared)
    originals = originals_of(session, office.sealer, ticket)

    def own(path: str, stored: str) -> str:
        typed = originals.get(1, {}).get(f"demand.{path}", stored)
        return mask_text(typed, others)

    receiver = session.get(Person, ticket.first_receiver_id) if ticket.first_receiver_id else None
    return {
        "number": ticket.number,
        "platform": session.get_one(Platform, ticket.platform_id).name,
        "received_at": ticket.received_at,
        "state": ticket.state.label,
        "matter": ticket.matter.label,
        "channel": ticket.channel.label,
        "confidential": ticket.confidential,
        "caller": _fields(office.sealer, ticket),
        "title": own("title", ticket.title),
        "content": own("content", ticket.content),
        "outcome": ticket.outcome,
        "ended_at": ticket.ended_at,
        "archived_at": ticket.archived_at,
        "first_receiver": receiver.name if receiver else None,
        "units": _units(session, ticket),
        "replies": _replies(session, ticket),
        "callbacks": _callbacks(session, ticket),
        "history": _history(session, ticket),
        "files": _files(session, ticket),
        "looked_at": _looked(session, ticket),
    }


def _fields(sealer: Sealer, ticket: Ticket) -> dict[str, str]:
    known = known_of(sealer, ticket)
    values = zip(CALLER_COLUMNS, (known.name, known.phone, known.address, known.id_number), strict=True)
    return {_LABELS[column]: value for column, value in values if value is not None}


def _rows(session: Session, table: Any, ticket: Ticket) -> list[Any]:
    statement = select(table).where(col(table.ticket_id) == ticket.id).order_by(col(table.id))
    return list(session.execute(statement).scalars())


def _units(session: Session, ticket: Ticket) -> list[dict[str, Any]]:
    return [
        {
            "unit": session.get_one(OrgUnit, part.unit_id).name,
            "role": part.role.label,
            "dispatched_at": part.dispatched_at,
            "signed_by": part.signed_by,
        }
        for part in _rows(session, Assignment, ticket)
    ]


def _replies(session: Session, ticket: Ticket) -> list[dict[str, Any]]:
    return [
        {"reported_at": r.reported_at, "handled_by": r.handled_by, "content": r.content}
        for r in _rows(session, Reply, ticket)
    ]


def _callbacks(session: Session, ticket: Ticket) -> list[dict[str, Any]]:
    return [
        {
            "attempted_at": c.attempted_at,
            "by": c.attempted_by,
            "outcome": c.outcome.label,
            "solved": c.solved,
            "remark": c.remark,
        }
        for c in _rows(session, CallbackAttempt, ticket)
    ]


def _history(session: Session, ticket: Ticket) -> list[dict[str, Any]]:
    entries = session.execute(
        select(LedgerEntry).where(col(LedgerEntry.ticket_id) == ticket.id).order_by(col(LedgerEntry.seq))
    ).scalars()
    return [{"at": e.effective_at, "act": e.act, "by": e.actor_name, "state": e.to_state} for e in entries]


def _files(session: Session, ticket: Ticket) -> list[dict[str, Any]]:
    return [
        {
            "class": f.file_class.label,
            "name": f.name,
            "added_at": f.added_at,
            "recorded_at": f.recorded_at if f.file_class is FileClass.RECORDING else None,
            "kept_until": f.retain_until,
            "held": f.held,
            "destroyed_at": f.destroyed_at,
        }
        for f in _rows(session, Attachment, ticket)
    ]


def _looked(session: Session, ticket: Ticket) -> list[dict[str, Any]]:
    """Who opened the caller's fields (on the screen, in an export), read them again, or downloaded a file."""
    opened = [
        {
            "at": row.opened_at,
            "by": row.actor_name,
            "what": row.field.label,
            "purpose": row.purpose.label,
            "explanation": row.explanation,
            "export": row.export_id,
        }
        for row in _rows(session, Unsealing, ticket)
    ]
    entries = session.execute(
        select(AuditEntry)
        .where(
            col(AuditEntry.ticket_id) == ticket.id,
            col(AuditEntry.kind).in_([AuditKind.UNSEALED_READ, AuditKind.FILE_READ]),
        )
        .order_by(col(AuditEntry.at), col(AuditEntry.seq))
    ).scalars()
    again = [
        {
            "at": entry.at,
            "by": entry.actor_name,
            "what": entry.kind.label,
            "purpose": None,
            "explanation": None,
            "export": None,
        }
        for entry in entries
    ]
    return sorted(opened + again, key=lambda each: each["at"])


# --- as text -----------------------------------------------------------------------------------------------------------


def _at(at: datetime | None) -> str:
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M}" if at else "—"


def as_text(found: dict[str, Any]) -> str:
    """The report in Chinese, to print and hand over."""
    lines = [
        "个人信息查询报告",
        f"电话：{found['phone']}    出具时间：{_at(found['made_at'])}    目的：{found['purpose']}",
        f"共有 {len(found['tickets'])} 个工单，{len(found['calls'])} 次来电记录。",
    ]
    lines += [
        f"来电：{_at(call['ringing_at'])}，{call['platform']}，{'已接通' if call['answered_at'] else '未接通'}"
        for call in found["calls"]
    ]
    for ticket in found["tickets"]:
        lines += ["", *_ticket_lines(ticket)]
    return "\n".join(lines)


def _ticket_lines(ticket: dict[str, Any]) -> list[str]:
    lines = [
        f"工单 {spoken(ticket['number'])}（{ticket['platform']}，{ticket['matter']}，{ticket['state']}）"
        + ("，已保密" if ticket["confidential"] else ""),
        f"  受理：{_at(ticket['received_at'])}，{ticket['channel']}，首接 {ticket['first_receiver'] or '—'}",
        "  您的信息：" + "；".join(f"{label} {value}" for label, value in ticket["caller"].items()),
        f"  标题：{ticket['title']}",
        f"  内容：{ticket['content']}",
    ]
    if ticket["outcome"]:
        lines.append(f"  结果：{ticket['outcome']}")
    lines += [f"  承办：{u['unit']}（{u['role']}），{_at(u['dispatched_at'])} 派单" for u in ticket["units"]]
    lines += [f"  反馈：{_at(r['reported_at'])} {r['handled_by']}：{r['content']}" for r in ticket["replies"]]
    lines += [
        f"  回访：{_at(c['attempted_at'])} {c['by']}，{c['outcome']}"
        + (f"，{c['remark']}" if c["remark"] else "")
        for c in ticket["callbacks"]
    ]
    lines += [f"  文件：{f['class']} {f['name']}，{_kept(f)}" for f in ticket["files"]]
    lines += [
        f"  查看：{_at(each['at'])} {each['by']} 查看{each['what']}"
        + (f"，目的：{each['purpose']}" if each["purpose"] else "")
        + (f"，{each['explanation']}" if each["explanation"] else "")
        + (f"，导出 {each['export']}" if each["export"] else "")
        for each in ticket["looked_at"]
    ] or ["  查看：没有人查看过您的信息。"]
    return lines


def _kept(file: dict[str, Any]) -> str:
    if file["destroyed_at"]:
        return f"已于 {_at(file['destroyed_at'])} 销毁"
    return f"保存至 {file['kept_until']}" if file["kept_until"] else "归档后起算保存期限"
