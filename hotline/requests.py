"""Idempotency-Key: a repeated request earns the first one's answer, kept in the same transaction as the act."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline.models import RequestKey
from hotline.storage.constant import Constant
from workflow.errors import RuleBroken

KEPT_FOR = timedelta(days=7)


class KeyReused(RuleBroken):
    """The same Idempotency-Key came with another request."""

    code = "idempotency_key_reused"


@dataclass(frozen=True, slots=True)
class Kept:
    """The answer a key earned."""

    status: int
    body: str
    etag: str | None


_KEYS: Any = RequestKey.__table__  # type: ignore[attr-defined]
_CLAIM: Final = Constant(
    insert(_KEYS)
    .values({name: bindparam(name) for name in ("actor", "key", "request_digest", "created_at")})
    .on_conflict_do_nothing()
    .returning(_KEYS.c.key)
)
_CLAIM_AND_KEEP: Final = Constant(
    insert(_KEYS)
    .values(
        {
            name: bindparam(name)
            for name in ("actor", "key", "request_digest", "created_at", "status", "body", "etag")
        }
    )
    .on_conflict_do_nothing()
    .returning(_KEYS.c.key)
)
_KEEP: Final = Constant(
    update(_KEYS)
    .where(_KEYS.c.actor == bindparam("of_actor"), _KEYS.c.key == bindparam("of_key"))
    .values({name: bindparam(name) for name in ("status", "body", "etag")})
)


def begin(session: Session, actor: str, key: str, fingerprint: str, at: datetime) -> Kept | None:
    """Claim `key` for this transaction, or return what it already earned. Waits for a request with the key under way.

    Raises `KeyReused` if the key came with another fingerprint before.
    """
    values = {"actor": actor, "key": key, "request_digest": _digest(fingerprint), "created_at": at}
    claimed = _CLAIM.first(session, values)
    return None if claimed is not None else earned(session, actor, key, fingerprint)


def keep(session: Session, actor: str, key: str, kept: Kept) -> None:
    """Keep what the claimed key earned."""
    _KEEP.ask(
        session,
        {"of_actor": actor, "of_key": key, "status": kept.status, "body": kept.body, "etag": kept.etag},
    )


def keep_unclaimed(
    session: Session, actor: str, key: str, fingerprint: str, at: datetime, kept: Kept
) -> bool:
    """Claim `key` and keep what it earned, once it was earned; False where another request with the key was first, whose answer
    `earned` tells after this transaction is rolled back. Waits for one under way."""
    values = {"actor": actor, "key": key, "request_digest": _digest(fingerprint), "created_at": at}
    values |= {"status": kept.status, "body": kept.body, "etag": kept.etag}
    return bool(_CLAIM_AND_KEEP.ask(session, values))


def earned(session: Session, actor: str, key: str, fingerprint: str) -> Kept | None:
    """What `key` earned, None where nobody used it. Raises `KeyReused` if it came with another fingerprint."""
    row = session.execute(
        select(RequestKey).where(col(RequestKey.actor) == actor, col(RequestKey.key) == key)
    ).scalar_one_or_none()
    if row is None:
        return None
    if row.request_digest != _digest(fingerprint):
        raise KeyReused(
            "该 Idempotency-Key 已用于另一个请求；请为新请求换用新的键。", field="Idempotency-Key"
        )
    return Kept(row.status or 200, row.body or "", row.etag)


def _digest(fingerprint: str) -> bytes:
    return hashlib.sha256(fingerprint.encode("utf-8", "surrogatepass")).digest()


def forget_old(session: Session, as_of: datetime) -> int:
    """Drop keys older than a week; returns how many. The caller commits."""
    dropped = session.execute(delete(RequestKey).where(col(RequestKey.created_at) < as_of - KEPT_FOR))
    return int(dropped.rowcount)  # type: ignore[attr-defined]
