"""台账: append-only history, hash-chained per ticket. A row changed, removed or inserted by hand is found and named."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from hotline.models import LedgerEntry, Ticket


def digest(previous: bytes, number: str, row: Mapping[str, Any]) -> bytes:
    """The hash of one entry: SHA-256 over the hash before it and the entry's own content in canonical JSON."""
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
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(previous + canonical.encode()).digest()


def text_digest(text: str) -> str:
    """SHA-256 of a text kept elsewhere, so that the chain also vouches for it."""
    return hashlib.sha256(text.encode()).hexdigest()


def append(ticket: Ticket, row: dict[str, Any]) -> dict[str, Any]:
    """Chain `row` behind the ticket's last entry, moving its head, and return it complete for insertion."""
    ticket.ledger_seq += 1
    row |= {"seq": ticket.ledger_seq, "version": ticket.version, "prev_hash": ticket.ledger_head}
    row["hash"] = digest(ticket.ledger_head, ticket.number, row)
    ticket.ledger_head = row["hash"]
    return row


@dataclass(frozen=True, slots=True)
class Break:
    """A place where a chain does not hold: the ticket, the sequence number, and what is wrong, in Chinese."""

    number: str
    seq: int
    what: str


def verify(number: str, ticket_head: bytes, ticket_seq: int, entries: Iterable[LedgerEntry]) -> list[Break]:
    """Every break in one ticket's chain, whose entries are given in order of `seq`."""
    breaks: list[Break] = []
    previous, expected, last = b"", 1, 0
    for entry in entries:
        if entry.seq != expected:
            breaks.append(Break(number, expected, "缺少该条记录"))
            expected = entry.seq
        if entry.prev_hash != previous and not breaks:
            breaks.append(Break(number, entry.seq, "与前一条记录不衔接"))
        if digest(entry.prev_hash, number, entry.model_dump()) != entry.hash:
            breaks.append(Break(number, entry.seq, "内容与其哈希不符，已被改动或非系统写入"))
        previous, expected, last = entry.hash, expected + 1, entry.seq
    if last != ticket_seq or previous != ticket_head:
        breaks.append(Break(number, last, f"链尾与工单记载不符（工单记 {ticket_seq} 条）"))
    return breaks


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
