"""台账: append-only history, hash-chained per ticket. A row changed, removed or inserted by hand is found and named."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.auditing.chain import Algorithm, algorithm_of, link
from hotline.models import LedgerEntry, Ticket


def digest(
    previous: bytes, number: str, row: Mapping[str, Any], algorithm: Algorithm = Algorithm.SHA256
) -> bytes:
    """The hash of one entry: over the hash before it and the entry's own content in canonical JSON."""
    content = {
        "number": number,
        "effective_at": row["effective_at"].astimezone(UTC).isoformat(),
        "recorded_at": row["recorded_at"].astimezone(UTC).isoformat(),
    }
    for name in (
        "seq",
        "version",
        "act",
        "actor_kind",
        "actor_id",
        "actor_name",
        "from_state",
        "to_state",
        "article",
        "payload",
    ):
        content[name] = row[name]
    return link(previous, content, algorithm)


def text_digest(text: str) -> str:
    """SHA-256 of a text kept elsewhere, so that the chain also vouches for it."""
    return hashlib.sha256(text.encode()).hexdigest()


def append(ticket: Ticket, row: dict[str, Any], algorithm: Algorithm = Algorithm.SHA256) -> dict[str, Any]:
    """Chain `row` behind the ticket's last entry, moving its head, and return it complete for insertion."""
    ticket.ledger_seq += 1
    row |= {"seq": ticket.ledger_seq, "version": ticket.version, "prev_hash": ticket.ledger_head}
    row["hash"] = digest(ticket.ledger_head, ticket.number, row, algorithm)
    ticket.ledger_head = row["hash"]
    return row


class Fault(StrEnum):
    """What is wrong with a chain at a place."""

    CHANGED = "changed"
    REMOVED = "removed"
    INSERTED = "inserted"
    UNLINKED = "unlinked"
    TAIL_REMOVED = "tail_removed"
    HEAD_ALTERED = "head_altered"
    DAY_REMOVED = "day_removed"
    REWRITTEN = "rewritten"
    UNSIGNED = "unsigned"


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a ticket's chain does not hold: the ticket, the sequence number, what is wrong, and that in Chinese."""

    number: str
    seq: int
    what: str
    fault: Fault = Fault.CHANGED


Finding = tuple[int, Fault, str]
"""Where (`seq`; 0 is the last entry before the part walked), how, and that in Chinese."""


class Walk:
    """Walks one chain, entry by entry in order, and tells where it does not hold.

    An entry altered and hashed anew makes the next one not fit: then it is that next one's link that is told.
    """

    def __init__(self) -> None:
        self._before, self.last = b"", b""
        self._count, self.seq = 0, 0

    def step(self, seq: int, prev_hash: bytes, made: bytes, expected: bytes | None) -> list[Finding]:
        """Take in the entry `seq`; `expected` is the hash its content earns, None where nothing can. What is wrong here."""
        found: list[Finding] = []
        if seq != self.seq + 1:
            missing = f"第 {self.seq + 1} 条" + (f"至第 {seq - 1} 条" if seq > self.seq + 2 else "")
            found.append((self.seq + 1, Fault.REMOVED, f"缺少{missing}记录，已被删除"))
        elif prev_hash != self.last:
            if self._count > 0 and prev_hash == self._before:
                words = "其后一条不衔接该条而衔接其前一条，该条是插入的"
                found.append((self.seq, Fault.INSERTED, words))
            else:
                words = "与前一条记录不衔接：其间有删除或插入，或前一条被改动"
                found.append((seq, Fault.UNLINKED, words))
        if made != expected:
            found.append((seq, Fault.CHANGED, "内容与其哈希不符，已被改动或非系统写入"))
        self._before, self.last, self.seq = self.last, made, seq
        self._count += 1
        return found

    def end(self, seq: int, head: bytes) -> list[Finding]:
        """Compare with where the chain is said to stand."""
        if self.seq < seq:
            last = f"至第 {seq} 条" if seq > self.seq + 1 else ""
            words = f"末尾缺少第 {self.seq + 1} 条{last}记录，已被删除"
            return [(self.seq + 1, Fault.TAIL_REMOVED, words)]
        if self.seq > seq:
            words = f"链尾登记为第 {seq} 条，该条及其后的记录非系统写入，或链尾登记被改动"
            return [(seq + 1, Fault.INSERTED, words)]
        if self.last != head:
            return [(self.seq, Fault.HEAD_ALTERED, "链尾登记的哈希与末条记录不符")]
        return []


def verify(
    number: str, ticket_head: bytes, ticket_seq: int, entries: Iterable[LedgerEntry | Mapping[str, Any]]
) -> list[Break]:
    """Every break in one ticket's chain, whose entries are given in order of `seq`."""
    walk = Walk()
    found: list[Finding] = []
    for each in entries:
        entry = each.model_dump() if isinstance(each, LedgerEntry) else each
        found += walk.step(entry["seq"], entry["prev_hash"], entry["hash"], _earned(number, entry))
    found += walk.end(ticket_seq, ticket_head)
    return [Break(number, seq, what, fault) for seq, fault, what in found]


def _earned(number: str, entry: Mapping[str, Any]) -> bytes | None:
    if entry["effective_at"] is None or entry["recorded_at"] is None:  # an instant no calendar has
        return None
    return digest(entry["prev_hash"], number, entry, algorithm_of(entry["hash"]))


def entries_of(session: Session, ticket_id: int) -> list[LedgerEntry]:
    """One ticket's whole history in order."""
    statement = (
        select(LedgerEntry).where(col(LedgerEntry.ticket_id) == ticket_id).order_by(col(LedgerEntry.seq))
    )
    return list(session.execute(statement).scalars())


def changes_since(
    session: Session, ticket_id: int, version: int, shown: Callable[[Mapping[str, Any]], bool]
) -> list[dict[str, Any]]:
    """What happened to a ticket after `version`, for whoever acted on an older view of it; `shown` says by an entry's payload."""
    statement = (
        select(LedgerEntry)
        .where(col(LedgerEntry.ticket_id) == ticket_id, col(LedgerEntry.version) > version)
        .order_by(col(LedgerEntry.seq))
        .limit(50)
    )
    return [
        {"act": e.act, "by": e.actor_name, "at": _iso(e.recorded_at), "from": e.from_state, "to": e.to_state}
        for e in session.execute(statement).scalars()
        if shown(e.payload)
    ]


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()
