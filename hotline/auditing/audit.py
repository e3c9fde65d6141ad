"""审计: sign-ins, refusals, look-ups and exports, hash-chained per platform and day. A row changed, removed or inserted is found."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, Final

from sqlalchemy import insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing.chain import Algorithm, algorithm_of, link
from hotline.auditing.trail import AuditEntry, AuditHead
from workflow.deadlines import local_day
from workflow.vocabulary import AuditKind

NOWHERE = 0
"""The chain of what belongs to no platform."""

_HASHED = ("seq", "kind", "actor_kind", "actor_id", "actor_name", "unit_id", "address", "ticket_id", "what")


def digest(previous: bytes, row: Mapping[str, Any], algorithm: Algorithm = Algorithm.SHA256) -> bytes:
    """The hash of one entry: over the hash before it and the entry's own content in canonical JSON."""
    content = {
        "platform": row["platform_id"],
        "day": row["day"].isoformat(),
        "at": row["at"].astimezone(UTC).isoformat(),
    }
    content |= {name: row[name] for name in _HASHED}
    return link(previous, content, algorithm)


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
    algorithm: Algorithm | None = None,
) -> None:
    """Chain one entry to the platform's trail, in this transaction. `what` must hold no personal data of a caller.

    The chain is the given platform's (a ticket's), else the actor's own, else the one of nowhere. It stays locked until the
    transaction ends: record last, and in one platform's chain only. `algorithm` None goes on as the chain was made so far.
    """
    head = lock(session, home_of(actor, platform_id), at)
    row: dict[str, Any] = {
        "platform_id": head.platform_id,
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
    row["hash"] = digest(head.head, row, algorithm_of(head.head) if algorithm is None else algorithm)
    head.seq, head.head = row["seq"], row["hash"]
    session.add(head)
    session.flush()
    session.execute(insert(AuditEntry.__table__).values(**row))  # type: ignore[attr-defined]


def home_of(actor: Actor | None, platform_id: int | None = None) -> int:
    """Whose chain speaks of this: the given platform's, else the actor's own, else the one of nowhere."""
    return platform_id or (actor.home_id if actor else None) or NOWHERE


def lock(session: Session, platform_id: int, at: datetime) -> AuditHead:
    """The platform's chain, locked until this transaction ends, on the day it stands at: that of `at`, or a later one already begun
    (another replica's clock may run ahead)."""
    today = local_day(at)
    found = session.get(AuditHead, platform_id, with_for_update=True, populate_existing=True)
    if found is None:
        session.execute(
            upsert(AuditHead.__table__)  # type: ignore[attr-defined]
            .values(platform_id=platform_id, day=today, seq=0, head=b"")
            .on_conflict_do_nothing(index_elements=[col(AuditHead.platform_id)])
        )
        found = session.get_one(AuditHead, platform_id, with_for_update=True, populate_existing=True)
    if found.day < today:
        found.day, found.seq = today, 0
    return found


def count_of(session: Session, actor: Actor, kinds: tuple[AuditKind, ...], since: datetime, most: int) -> int:
    """How many entries of these kinds speak of this actor after `since`, counted up to `most`."""
    rows = session.execute(
        select(col(AuditEntry.seq))
        .where(
            col(AuditEntry.actor_kind) == actor.kind,
            col(AuditEntry.actor_id) == actor.id,
            col(AuditEntry.at) > since,
            col(AuditEntry.kind).in_(kinds),
        )
        .limit(most)
    )
    return len(rows.all())


# --- refusals of nobody known ------------------------------------------------------------------------------------------

_MINUTE: Final = timedelta(minutes=1)
_ELSEWHERE: Final = "其他地址"


class Unknown:
    """Refusals of whoever shows no valid credentials, per address and minute: the first `most` are entries of their own, the rest
    are one entry with their count. A flood of bad tokens does not fill the trail. Counted per process; of 10,000 addresses at once,
    those beyond together."""

    def __init__(self, most: int = 10, addresses: int = 10_000) -> None:
        self._most, self._addresses = most, addresses
        self._seen: dict[tuple[str, datetime], int] = {}
        self._lock = Lock()

    def admit(self, address: str | None, at: datetime) -> bool:
        """Count one refusal; whether it is an entry of its own."""
        minute = at.astimezone(UTC).replace(second=0, microsecond=0)
        with self._lock:
            key = (address or _ELSEWHERE, minute)
            if key not in self._seen and len(self._seen) >= self._addresses:
                key = (_ELSEWHERE, minute)
            self._seen[key] = self._seen.get(key, 0) + 1
            return self._seen[key] <= self._most

    def settled(self, as_of: datetime, *, all_of_them: bool = False) -> list[tuple[str, datetime, int]]:
        """Take out the minutes that are over: address, minute, how many had no entry of their own."""
        with self._lock:
            over = [key for key in self._seen if all_of_them or key[1] + _MINUTE <= as_of]
            counts = [(address, minute, self._seen.pop((address, minute))) for address, minute in over]
        return [(address, minute, n - self._most) for address, minute, n in counts if n > self._most]

    def record(self, session: Session, as_of: datetime, *, all_of_them: bool = False) -> int:
        """One entry for each address and minute whose refusals were too many to stand alone; how many. The caller commits."""
        rest = self.settled(as_of, all_of_them=all_of_them)
        for address, minute, count in rest:
            what = {"code": "unauthenticated", "count": count, "minute": minute.isoformat()}
            record(session, AuditKind.REFUSED, at=as_of, actor=None, address=address, what=what)
        return len(rest)
