"""日头: each past day's end of every platform's audit chain, and a digest of the day's ledger entries, signed. Kept elsewhere, a head
proves what the database was: whoever rewrites a whole chain with its heads cannot sign it again."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.auditing import audit
from hotline.auditing.chain import Algorithm, Hasher, canonical
from hotline.auditing.signing import Signer, is_signed
from hotline.auditing.trail import AuditDay, AuditEntry
from hotline.case import Office
from hotline.models import LedgerEntry, Ticket
from hotline.organisation import Platform
from workflow.deadlines import CHINA, local_day
from workflow.errors import OrderInvalid

FORMAT: Final = "hotline12345-daily-heads/1"
GRACE: Final = timedelta(minutes=30)
"""How long after midnight a day is signed: what was begun before it has ended by then."""

_FIELDS = ("platform_id", "day", "seq", "head", "ledger_entries", "ledger_digest", "public_key", "signed_at")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Head:
    """One platform's signed end of one day. `seq` is how many audit entries the day has, `head` the newest hash then."""

    platform_id: int
    day: date
    seq: int
    head: bytes
    ledger_entries: int
    ledger_digest: bytes
    public_key: bytes
    signed_at: str
    signature: bytes = b""

    def content(self) -> bytes:
        """What is signed."""
        return canonical({"format": FORMAT} | {name: _plain(getattr(self, name)) for name in _FIELDS})

    def holds(self) -> bool:
        """Whether the signature is the named key's. Whose key that is, is another question."""
        return is_signed(self.public_key, self.content(), self.signature)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date) else value


# --- signing -----------------------------------------------------------------------------------------------------------


def sign_days(session: Session, office: Office, at: datetime) -> int:
    """Sign the oldest day that is over and not yet signed, for every platform; how many heads that made. The caller commits.

    The day is closed first: whatever is recorded later, by a replica whose clock runs behind, belongs to the day after.
    """
    if office.signer is None:
        return 0
    firsts = _unsigned_since(session)
    last = local_day(at - GRACE) - _DAY
    day = min(firsts.values(), default=last + _DAY)
    if day > last:
        return 0
    platforms = sorted(platform_id for platform_id, first in firsts.items() if first <= day)
    made = ledger_digests(session, day, platforms, office.policy.algorithm)
    for platform_id in platforms:
        session.add(audit.lock(session, platform_id, at))
        head = _head_of(session, platform_id, day, made[platform_id], office.signer, at)
        row = {name: getattr(head, name) for name in (*_FIELDS, "signature")} | {"signed_at": at}
        session.execute(upsert(AuditDay.__table__).values(**row).on_conflict_do_nothing())  # type: ignore[attr-defined]
    return len(platforms)


def _unsigned_since(session: Session) -> dict[int, date]:
    """Each platform's first day without a head: the one after its newest, else the first on which anything was recorded."""
    signed = dict(
        session.execute(
            select(col(AuditDay.platform_id), func.max(col(AuditDay.day))).group_by(col(AuditDay.platform_id))
        ).all()
    )
    found = {platform_id: day + _DAY for platform_id, day in signed.items()}
    for platform_id in [audit.NOWHERE, *session.execute(select(col(Platform.id))).scalars()]:
        if platform_id not in found and (first := _first_day(session, platform_id)) is not None:
            found[platform_id] = first
    return found


def _first_day(session: Session, platform_id: int) -> date | None:
    noted = select(func.min(col(AuditEntry.day))).where(col(AuditEntry.platform_id) == platform_id)
    acted = (
        select(func.min(col(LedgerEntry.recorded_at)))
        .join(Ticket, col(Ticket.id) == col(LedgerEntry.ticket_id))
        .where(col(Ticket.platform_id) == platform_id)
    )
    at: datetime | None = session.execute(acted).scalar_one()
    days = [session.execute(noted).scalar_one(), local_day(at) if at is not None else None]
    return min((day for day in days if day is not None), default=None)


def _head_of(
    session: Session, platform_id: int, day: date, made: tuple[int, bytes], signer: Signer, at: datetime
) -> Head:
    last = session.execute(
        select(col(AuditEntry.day), col(AuditEntry.seq), col(AuditEntry.hash))
        .where(col(AuditEntry.platform_id) == platform_id, col(AuditEntry.day) <= day)
        .order_by(col(AuditEntry.day).desc(), col(AuditEntry.seq).desc())
        .limit(1)
    ).first()
    found_day, seq, head = last if last is not None else (None, 0, b"")
    unsigned = Head(
        platform_id,
        day,
        seq if found_day == day else 0,
        head,
        *made,
        signer.public_key(),
        _instant(at),
    )
    return Head(
        **{name: getattr(unsigned, name) for name in _FIELDS}, signature=signer.sign(unsigned.content())
    )


def _instant(at: datetime) -> str:
    return at.astimezone(CHINA).isoformat()


class LedgerDigest:
    """A digest over one platform's ledger entries of one day, taken in by ticket key and sequence number."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._hasher = Hasher(algorithm)
        self.entries = 0

    def take(self, number: str, seq: int, made: bytes) -> None:
        """One more entry: its ticket's number, its place and its hash."""
        self._hasher.update(f"{number}:{seq}:{made.hex()}\n".encode())
        self.entries += 1

    def finish(self) -> tuple[int, bytes]:
        """How many there were, and the digest."""
        return self.entries, self._hasher.finish()


def ledger_digests(
    session: Session, day: date, platforms: Iterable[int], algorithm: Algorithm
) -> dict[int, tuple[int, bytes]]:
    """Each platform's digest of what the ledgers recorded on `day`, from midnight to midnight in Asia/Shanghai."""
    made = {platform_id: LedgerDigest(algorithm) for platform_id in platforms}
    start = datetime.combine(day, time(0), CHINA)
    rows = session.execute(
        select(col(Ticket.platform_id), col(Ticket.number), col(LedgerEntry.seq), col(LedgerEntry.hash))
        .join(Ticket, col(Ticket.id) == col(LedgerEntry.ticket_id))
        .where(col(LedgerEntry.recorded_at) >= start, col(LedgerEntry.recorded_at) < start + _DAY)
        .order_by(col(LedgerEntry.ticket_id), col(LedgerEntry.seq))
        .execution_options(yield_per=5000)
    )
    for platform_id, number, seq, hashed in rows:
        if platform_id in made:
            made[platform_id].take(number, seq, hashed)
    return {platform_id: each.finish() for platform_id, each in made.items()}


# --- kept elsewhere ----------------------------------------------------------------------------------------------------


def stored(session: Any, *, day: date | None = None, platform_id: int | None = None) -> Iterator[Head]:
    """The signed heads in the database, in order of platform and day. `session` may be a connection."""
    table: Any = AuditDay.__table__  # type: ignore[attr-defined]
    statement = select(table).order_by(table.c.platform_id, table.c.day)
    if day is not None:
        statement = statement.where(table.c.day == day)
    if platform_id is not None:
        statement = statement.where(table.c.platform_id == platform_id)
    for row in session.execute(statement).mappings():
        yield Head(
            **{name: row[name] for name in (*_FIELDS, "signature") if name != "signed_at"},
            signed_at=_instant(row["signed_at"]),
        )


def to_text(heads: Iterable[Head]) -> str:
    """Heads as a JSON document to be kept elsewhere."""
    rows = [{name: _plain(getattr(head, name)) for name in (*_FIELDS, "signature")} for head in heads]
    return json.dumps({"format": FORMAT, "heads": rows}, ensure_ascii=False, indent=1) + "\n"


def from_text(text: str) -> list[Head]:
    """The heads of such a document. Raises `OrderInvalid` (field `head`) for anything else."""
    try:
        document = json.loads(text)
        heads = [_from_row(row) for row in document["heads"]]
        known = document["format"] == FORMAT and bool(heads)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        known = False
    if not known:
        raise OrderInvalid("文件不是本系统导出的日头（hotline audit head），或已损坏。", field="head")
    return heads


def _from_row(row: dict[str, Any]) -> Head:
    return Head(
        platform_id=int(row["platform_id"]),
        day=date.fromisoformat(row["day"]),
        seq=int(row["seq"]),
        head=bytes.fromhex(row["head"]),
        ledger_entries=int(row["ledger_entries"]),
        ledger_digest=bytes.fromhex(row["ledger_digest"]),
        public_key=bytes.fromhex(row["public_key"]),
        signed_at=str(row["signed_at"]),
        signature=bytes.fromhex(row["signature"]),
    )
