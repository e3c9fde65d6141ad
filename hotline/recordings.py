"""录音: kept at least a year after the archiving, longer while held, then destroyed with a record (art. 14(9))."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import ColumnElement, select, text
from sqlmodel import Session, col

from hotline.access import SYSTEM
from hotline.auditing import audit
from hotline.batches import lock
from hotline.case import Case, Desk, Office, record, tell, write
from hotline.exchange import outbox
from hotline.models import Attachment, Ticket
from workflow.deadlines import CHINA, local_day
from workflow.vocabulary import AuditKind, FileClass, Retention

log = logging.getLogger("hotline.recordings")

# --- what is kept, and until when --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kept:
    """A recording, its ticket's number, and where it stands."""

    file: Attachment
    number: str
    standing: Retention


def standing_of(file: Attachment, today: date) -> Retention:
    """Where a recording stands on `today` (Asia/Shanghai)."""
    if file.destroyed_at is not None:
        return Retention.DESTROYED
    if file.held:
        return Retention.HELD
    if file.retain_until is not None and file.retain_until < today:
        return Retention.DUE
    return Retention.KEPT


def listed(
    session: Session,
    platforms: Collection[int] | None,
    at: datetime,
    *,
    standing: Retention | None = None,
    number: str | None = None,
    after: int = 0,
    limit: int = 50,
) -> list[Kept]:
    """Recordings of these platforms' tickets (None: of all), by key beyond `after`; at most `limit`."""
    today = local_day(at)
    statement = (
        select(Attachment, col(Ticket.number))
        .join(Ticket, col(Ticket.id) == col(Attachment.ticket_id))
        .where(col(Attachment.file_class) == FileClass.RECORDING, col(Attachment.id) > after)
        .order_by(col(Attachment.id))
        .limit(limit)
    )
    if platforms is not None:
        statement = statement.where(col(Ticket.platform_id).in_(sorted(platforms)))
    if standing is not None:
        statement = statement.where(*_STANDING[standing](today))
    if number is not None:
        statement = statement.where(col(Ticket.number) == number)
    rows = session.execute(statement).all()
    return [Kept(file, its_number, standing_of(file, today)) for file, its_number in rows]


def _due(today: date) -> tuple[ColumnElement[bool], ...]:
    return (
        col(Attachment.retain_until) < today,
        col(Attachment.held).is_(False),
        col(Attachment.destroyed_at).is_(None),
    )


def _kept(today: date) -> tuple[ColumnElement[bool], ...]:
    until = col(Attachment.retain_until)
    return (
        until.is_(None) | (until >= today),
        col(Attachment.held).is_(False),
        col(Attachment.destroyed_at).is_(None),
    )


def _held(_today: date) -> tuple[ColumnElement[bool], ...]:
    return (col(Attachment.held).is_(True), col(Attachment.destroyed_at).is_(None))


def _destroyed(_today: date) -> tuple[ColumnElement[bool], ...]:
    return (col(Attachment.destroyed_at).is_not(None),)


_STANDING: Final = {
    Retention.DUE: _due,
    Retention.KEPT: _kept,
    Retention.HELD: _held,
    Retention.DESTROYED: _destroyed,
}

# --- destroyed ---------------------------------------------------------------------------------------------------------


def destroy_expired_recordings(session: Session, office: Office, as_of: datetime, *, batch: int = 100) -> int:
    """Destroy recordings kept long enough and not held, each with an entry in its ticket's ledger and in the audit trail.

    Bytes another file shares are kept. Returns how many were destroyed. The caller commits; a file is removed before that, so
    that a crash never leaves a record of a destruction that did not happen: the next run finds the file gone and records it. One
    whose bytes cannot be removed is left for a later run and keeps none of the others back.
    """
    today = as_of.astimezone(CHINA).date()
    desk = Desk(session, SYSTEM, as_of, office)
    destroyed: list[Attachment] = []
    homes: dict[int, int] = {}
    after = 0
    while not destroyed:
        due = session.execute(
            select(col(Attachment.id), col(Attachment.ticket_id))
            .where(
                col(Attachment.file_class) == FileClass.RECORDING, col(Attachment.id) > after, *_due(today)
            )
            .order_by(col(Attachment.id))
            .limit(batch)
        ).all()
        if not due:
            break
        after = due[-1][0]
        cases = lock(session, [ticket_id for _, ticket_id in due], skip_locked=True)
        homes |= {ticket_id: case.ticket.platform_id for ticket_id, case in cases.items()}
        files = [
            session.get_one(Attachment, i, populate_existing=True) for i, ticket in due if ticket in cases
        ]
        destroyed += [
            file
            for file in sorted(files, key=lambda file: file.sha256)  # all take the bytes' locks in this order
            if not file.held and file.destroyed_at is None and _destroy(desk, cases[file.ticket_id], file)
        ]
    for file in sorted(destroyed, key=lambda file: (homes[file.ticket_id], file.id)):
        audit.record(
            session,
            AuditKind.RECORDING_DESTROYED,
            at=as_of,
            actor=SYSTEM,
            platform_id=homes[file.ticket_id],
            ticket_id=file.ticket_id,
            what={
                "attachment": file.id,
                "sha256": file.sha256,
                "retained_until": file.retain_until.isoformat() if file.retain_until else None,
            },
            algorithm=office.policy.algorithm,
        )
    return len(destroyed)


def _destroy(desk: Desk, case: Case, file: Attachment) -> bool:
    """Remove one recording's bytes, unless another file shares them, and record it; False if the disk would not."""
    lock_bytes(desk.session, file.sha256)
    if not _named_elsewhere(desk.session, file):
        try:
            desk.office.blobs.destroy(file.sha256)
        except OSError as error:
            log.warning("recording %d could not be destroyed: %s", file.id, type(error).__name__)
            return False
    file.destroyed_at = desk.at
    desk.session.add(file)
    payload = {"attachment": file.id, "sha256": file.sha256, "retained_until": str(file.retain_until)}
    record(desk, case, "destroy_recording", before=case.ticket.state, article="14(9)", payload=payload)
    tell(desk, case, outbox.RECORDING_DESTROYED, None, {"attachment": file.id})
    write(desk, case)
    return True


NAMED_BY: Final = ("attachments", "knowledge_files")
"""The tables whose `sha256` names bytes of the one store of files. The second is a package above this one, which imports nothing of it."""


def _named_elsewhere(session: Session, file: Attachment) -> bool:
    """Whether another ticket's file, or a knowledge article's, is made of the same bytes."""
    shared = select(col(Attachment.id)).where(
        col(Attachment.sha256) == file.sha256,
        col(Attachment.id) != file.id,
        col(Attachment.destroyed_at).is_(None),
    )
    others = "SELECT 1 FROM knowledge_files WHERE sha256 = :sha256 LIMIT 1"
    return (
        session.execute(shared.limit(1)).first() is not None
        or session.execute(text(others), {"sha256": file.sha256}).first() is not None
    )


def lock_bytes(session: Session, sha256: str) -> None:
    """Until this transaction ends nobody else files or destroys these bytes: of two who share them the later one decides."""
    session.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:sha256, 12345))"), {"sha256": sha256}
    )
