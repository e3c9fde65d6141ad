"""锁定: wrong passwords and codes are counted by login, known or not, and from the fifth on one has to wait ever longer."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline.people.identity import SignInFailures
from workflow.errors import RuleBroken

FREE: Final = 4
"""Failures without a wait."""

_FIRST: Final = timedelta(minutes=1)
_LONGEST: Final = timedelta(hours=1)
_FORGOTTEN: Final = timedelta(days=1)


class LockedOut(RuleBroken):
    """Too many failures; `extra.retry_after` says how many seconds to wait."""

    code = "locked_out"


@dataclass(frozen=True, slots=True)
class Count:
    """A login's failures so far. While it is held, no other try for the login goes on."""

    digest: bytes
    failures: int
    locked_until: datetime | None


def digest(login: str) -> bytes:
    """What a login is counted under."""
    return hashlib.sha256(f"hotline12345/login/{login}".encode("utf-8", "surrogatepass")).digest()


def take(session: Session, login: str, at: datetime) -> Count:
    """The count of a login, its row locked until the transaction ends: parallel tries come one after another."""
    found = session.execute(
        insert(SignInFailures)
        .values(login_digest=digest(login), failures=0, tried_at=at)
        .on_conflict_do_update(index_elements=["login_digest"], set_={"tried_at": at})
        .returning(
            col(SignInFailures.failures), col(SignInFailures.failed_at), col(SignInFailures.locked_until)
        )
    ).one()
    stale = found.failed_at is not None and found.failed_at + _FORGOTTEN <= at
    return Count(digest(login), 0 if stale else found.failures, found.locked_until)


def refusal(count: Count, at: datetime) -> LockedOut | None:
    """Why there may be no try now, or None."""
    if count.locked_until is None or count.locked_until <= at:
        return None
    seconds = max(1, int((count.locked_until - at).total_seconds() + 0.999))
    wait = f"{seconds} 秒" if seconds < 60 else f"{(seconds + 59) // 60} 分钟"
    return LockedOut(
        f"连续多次登录失败，该登录名已暂时锁定，请在 {wait}后重试，或请管理员解除。",
        extra={"retry_after": seconds},
    )


def failed(session: Session, count: Count, at: datetime) -> datetime | None:
    """Count one more failure; until when the login is locked now. The caller commits."""
    failures = count.failures + 1
    wait = min(_FIRST * 2 ** min(failures - FREE - 1, 20), _LONGEST) if failures > FREE else None
    until = at + wait if wait else None
    _set(session, count.digest, failures=failures, failed_at=at, locked_until=until)
    return until


def clear(session: Session, login: str) -> None:
    """Forget a login's failures: signed in, or unlocked by an administrator (解锁)."""
    _set(session, digest(login), failures=0, failed_at=None, locked_until=None)


def _set(session: Session, key: bytes, **values: Any) -> None:
    session.execute(update(SignInFailures).where(col(SignInFailures.login_digest) == key).values(**values))


def locks(session: Session, logins: Iterable[str], at: datetime) -> Mapping[str, datetime]:
    """Those of `logins` that are locked, and until when."""
    by_digest = {digest(login): login for login in logins}
    rows = session.execute(
        select(col(SignInFailures.login_digest), col(SignInFailures.locked_until)).where(
            col(SignInFailures.login_digest).in_(list(by_digest)), col(SignInFailures.locked_until) > at
        )
    )
    return {by_digest[bytes(key)]: until for key, until in rows if until is not None}


def forget_old(session: Session, as_of: datetime) -> int:
    """Drop counts of logins not tried for a day; returns how many. The caller commits."""
    dropped = session.execute(delete(SignInFailures).where(col(SignInFailures.tried_at) < as_of - _FORGOTTEN))
    return int(dropped.rowcount)  # type: ignore[attr-defined]
