"""审计: sign-ins, refusals, look-ups and exports, hash-chained per platform and day. A row changed, removed or inserted is found."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.trail import AuditEntry, AuditHead
from workflow.deadlines import local_day
from workflow.vocabulary import AuditKind

NOWHERE = 0
"""The chain of what belongs to no platform."""

_HASHED = ("seq", "kind", "actor_kind", "actor_id", "actor_name", "unit_id", "address", "ticket_id", "what")


def digest(previous: bytes, row: Mapping[str, Any]) -> bytes:
    """The hash of one entry: SHA-256 over the hash before it and the entry's own content in canonical JSON."""
    content = {
        "platform": row["platform_id"],
        "day": row["day"].isoformat(),
        "at": row["at"].astimezone(UTC).isoformat(),
    }
    content |= {name: row[name] for name in _HASHED}
    canonical = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(previous + canonical.encode()).digest()


def record(
    session: Session,
    kind: AuditKind,
    *,
    at: datetime,
    actor: Actor | None,
    platform_id: int | None = None,
    ticket_id: int | None = None,
    what: Mapping[str, Any] | None = None,
    address: str | None = None,
) -> None:
    """Chain one entry to the platform's trail, in this transaction. `what` must hold no personal data of a caller.

    The chain is the given platform's (a ticket's), else the actor's own, else the one of nowhere. It stays locked until the
    transaction ends: record last.
    """
    home = platform_id or (actor.home_id if actor else None) or NOWHERE
    head = _locked_head(session, home, at)
    row: dict[str, Any] = {
        "platform_id": home,
        "day": head.day,
        "seq": head.seq + 1,
        "at": at.astimezone(UTC),
        "kind": kind.value,
        "actor_kind": actor.kind if actor else "anonymous",
        "actor_id": actor.id if actor else None,
        "actor_name": actor.name if actor else "未登录",
        "unit_id": actor.unit_id if actor else None,
        "address": address or (actor.address if actor else None),
        "ticket_id": ticket_id,
        "what": dict(what or {}),
        "prev_hash": head.head,
    }
    row["hash"] = digest(head.head, row)
    head.seq, head.head = row["seq"], row["hash"]
    session.add(head)
    session.flush()
    session.execute(insert(AuditEntry.__table__).values(**row))  # type: ignore[attr-defined]


def _locked_head(session: Session, platform_id: int, at: datetime) -> AuditHead:
    today = local_day(at)
    found = session.get(AuditHead, platform_id, with_for_update=True, populate_existing=True)
    if found is None:
        session.execute(
            upsert(AuditHead.__table__)  # type: ignore[attr-defined]
            .values(platform_id=platform_id, day=today, seq=0, head=b"")
            .on_conflict_do_nothing(index_elements=[col(AuditHead.platform_id)])
        )
        found = session.get_one(AuditHead, platform_id, with_for_update=True, populate_existing=True)
    if found.day < today:  # never back: another replica's clock may run behind
        found.day, found.seq = today, 0
    return found
