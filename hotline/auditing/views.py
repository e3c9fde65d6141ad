"""The audit trail as auditors read it: filtered, newest day first, in keyset pages; and who looked at one ticket's personal data."""

import base64
import binascii
import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, tuple_
from sqlmodel import Session, col

from hotline import numbers
from hotline.access import Actor
from hotline.auditing import audit
from hotline.auditing.trail import AuditAlert, AuditEntry, Unsealing
from hotline.models import Ticket
from hotline.organisation import Person, Platform
from workflow.errors import OrderInvalid
from workflow.vocabulary import AlertKind, AuditKind, PersonalField, Purpose

# --- the trail ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the trail is asked for. Days are whole, in Asia/Shanghai, `until` included."""

    since: date | None = None
    until: date | None = None
    kinds: tuple[AuditKind, ...] = ()
    who: str | None = None
    number: str | None = None
    address: str | None = None
    platform: str | None = None


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Entries, newest day first and within a platform newest first; each with its ticket's number. The next page's cursor."""

    rows: list[tuple[AuditEntry, str | None]]
    next: str | None


def platforms_of(session: Session, actor: Actor) -> set[int]:
    """The chains an auditor may read: the platforms they see; whoever sees the uppermost one also what belongs to none."""
    seen = set(actor.platform_ids)
    above = select(col(Platform.parent_id)).where(col(Platform.id) == actor.platform_id)
    row = session.execute(above).first()
    return seen | {audit.NOWHERE} if row is not None and row[0] is None else seen


def entries(session: Session, actor: Actor, wanted: Wanted, *, cursor: str | None, limit: int) -> AuditPage:
    """A page of the trail. Raises `OrderInvalid` for a cursor that is not one, `NotFound` for a ticket number with a wrong digit."""
    e = AuditEntry
    key = (col(e.day), col(e.platform_id), col(e.seq))
    tests: list[ColumnElement[bool]] = [
        col(e.platform_id).in_(sorted(_asked(session, actor, wanted.platform)))
    ]
    if wanted.since is not None:
        tests.append(col(e.day) >= wanted.since)
    if wanted.until is not None:
        tests.append(col(e.day) <= wanted.until)
    if wanted.kinds:
        tests.append(col(e.kind).in_(wanted.kinds))
    if wanted.address is not None:
        tests.append(col(e.address) == wanted.address)
    if wanted.who is not None:
        tests.append(_is(wanted.who))
    if wanted.number is not None:
        ticket = select(col(Ticket.id)).where(col(Ticket.number) == numbers.parse(wanted.number))
        tests.append(col(e.ticket_id) == ticket.scalar_subquery())
    if cursor is not None:
        tests.append(tuple_(*key) < tuple_(*_decode(cursor)))
    statement = (
        select(AuditEntry, col(Ticket.number))
        .outerjoin(Ticket, col(Ticket.id) == col(e.ticket_id))
        .where(*tests)
        .order_by(*(column.desc() for column in key))
        .limit(limit + 1)
    )
    found = [(entry, number) for entry, number in session.execute(statement)]
    page = found[:limit]
    return AuditPage(page, _encode(page[-1][0]) if len(found) > limit else None)


def _asked(session: Session, actor: Actor, code: str | None) -> set[int]:
    seen = platforms_of(session, actor)
    if code is None:
        return seen
    return seen & set(session.execute(select(col(Platform.id)).where(col(Platform.code) == code)).scalars())


def _is(who: str) -> Any:
    """Somebody by login, or by the name the entry holds."""
    person = select(col(Person.id)).where(col(Person.login) == who).scalar_subquery()
    by_login = and_(col(AuditEntry.actor_kind) == "person", col(AuditEntry.actor_id) == person)
    return or_(by_login, col(AuditEntry.actor_name) == who)


def _encode(entry: AuditEntry) -> str:
    content = json.dumps([entry.day.isoformat(), entry.platform_id, entry.seq])
    return base64.urlsafe_b64encode(content.encode()).decode().rstrip("=")


def _decode(cursor: str) -> tuple[date, int, int]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        day, platform_id, seq = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        valid = type(platform_id) is int and type(seq) is int and 0 <= platform_id < 2**62 and 0 < seq < 2**31
        parsed = date.fromisoformat(day)
    except (ValueError, TypeError, binascii.Error, UnicodeEncodeError, RecursionError):
        valid = False
    if not valid:
        raise OrderInvalid("翻页游标无效，请从第一页重新开始。", field="cursor")
    return parsed, platform_id, seq


# --- alerts ------------------------------------------------------------------------------------------------------------


def alerts(
    session: Session,
    platforms: Collection[int],
    *,
    open_only: bool,
    kind: AlertKind | None,
    before: int | None,
    limit: int,
) -> list[tuple[AuditAlert, str | None]]:
    """Alerts of these platforms, newest first, with keys below `before`; each with its ticket's number."""
    a = AuditAlert
    statement = (
        select(AuditAlert, col(Ticket.number))
        .outerjoin(Ticket, col(Ticket.id) == col(a.ticket_id))
        .where(col(a.platform_id).in_(sorted(platforms)))
        .order_by(col(a.id).desc())
        .limit(limit)
    )
    if open_only:
        statement = statement.where(col(a.handled_at).is_(None))
    if kind is not None:
        statement = statement.where(col(a.kind) == kind)
    if before is not None:
        statement = statement.where(col(a.id) < before)
    return [(alert, number) for alert, number in session.execute(statement)]


# --- one ticket --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Look:
    """Somebody looked at personal data of one ticket: which field, for what; or downloaded a file; or holds it in an export."""

    kind: AuditKind
    at: datetime
    by: str
    field: PersonalField | None = None
    purpose: Purpose | None = None
    explanation: str | None = None
    export: int | None = None
    file: int | None = None


def looks(session: Session, ticket_id: int, *, limit: int = 500) -> list[Look]:
    """Who looked at this ticket's personal data, newest first; at most `limit`."""
    opened = session.execute(
        select(Unsealing)
        .where(col(Unsealing.ticket_id) == ticket_id)
        .order_by(col(Unsealing.opened_at).desc(), col(Unsealing.id).desc())
        .limit(limit)
    ).scalars()
    noted = session.execute(
        select(AuditEntry)
        .where(
            col(AuditEntry.ticket_id) == ticket_id,
            col(AuditEntry.kind).in_((AuditKind.FILE_READ, AuditKind.UNSEALED_READ)),
        )
        .order_by(col(AuditEntry.at).desc(), col(AuditEntry.seq).desc())
        .limit(limit)
    ).scalars()
    found = [
        Look(
            AuditKind.EXPORT_READ if u.export_id is not None else AuditKind.UNSEALED,
            u.opened_at,
            u.actor_name,
            u.field,
            u.purpose,
            u.explanation,
            u.export_id,
        )
        for u in opened
    ]
    found += [
        Look(e.kind, e.at, e.actor_name, _field(e.what.get("field")), file=e.what.get("attachment"))
        for e in noted
    ]
    return sorted(found, key=lambda look: look.at, reverse=True)[:limit]


def _field(name: Any) -> PersonalField | None:
    return PersonalField(name) if name in {field.value for field in PersonalField} else None
