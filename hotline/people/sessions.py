"""Sessions of people in a browser: opened by a sign-in, resumed by a cookie, ended by leaving, idling or time."""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.organisation import OrgUnit, Person
from hotline.people.accounts import actor_for
from hotline.people.identity import Credential, LoginSession
from hotline.settings import Settings
from workflow.vocabulary import Role

SECOND_FACTOR_ROLES = frozenset({Role.SUPERVISOR, Role.ADMIN, Role.AUDITOR})
_SEEN_EVERY = timedelta(minutes=1)
_KEPT = timedelta(days=90)


class Owed(StrEnum):
    """What a session still owes before anything else is open to it."""

    NEW_PASSWORD = "new_password"  # noqa: S105 - a word, no secret
    SECOND_FACTOR = "second_factor"
    ENROLMENT = "enrolment"


@dataclass(frozen=True, slots=True)
class Resumed:
    """A live session: its row, its person as an actor, and what it still owes."""

    row: LoginSession
    actor: Actor
    owed: Owed | None


def open_session(
    session: Session,
    person: Person,
    *,
    method: str,
    at: datetime,
    settings: Settings,
    address: str | None = None,
    user_agent: str | None = None,
    second_factor: bool = False,
) -> str:
    """A new session of `person`; the cookie's content is returned only here. The caller commits."""
    cookie = secrets.token_urlsafe(32)
    session.add(
        LoginSession(
            digest=_digest(cookie),
            person_id=person.id,
            method=method,
            address=address,
            user_agent=(user_agent or "")[:300] or None,
            created_at=at,
            seen_at=at,
            expires_at=at + timedelta(hours=settings.session_hours),
            second_factor_at=at if second_factor else None,
        )
    )
    session.flush()
    return cookie


def renew(session: Session, row: LoginSession, at: datetime, *, second_factor: bool = False) -> str:
    """The session under a new cookie, after a rise of what it may do: an older cookie is worth nothing. It ends when it would have.

    The caller commits.
    """
    cookie = secrets.token_urlsafe(32)
    session.add(
        LoginSession(
            digest=_digest(cookie),
            person_id=row.person_id,
            method=row.method,
            address=row.address,
            user_agent=row.user_agent,
            created_at=row.created_at,
            seen_at=at,
            expires_at=row.expires_at,
            second_factor_at=at if second_factor else row.second_factor_at,
        )
    )
    row.ended_at = at
    session.add(row)
    session.flush()
    return cookie


def live(session: Session, person_id: int, at: datetime, settings: Settings) -> list[LoginSession]:
    """A person's sessions still in force, newest first."""
    idle = at - timedelta(minutes=settings.session_idle_minutes)
    return list(
        session.execute(
            select(LoginSession)
            .where(
                col(LoginSession.person_id) == person_id,
                col(LoginSession.ended_at).is_(None),
                col(LoginSession.expires_at) > at,
                col(LoginSession.seen_at) > idle,
            )
            .order_by(col(LoginSession.id).desc())
        ).scalars()
    )


def resume(session: Session, cookie: str, at: datetime, settings: Settings) -> Resumed | None:
    """The live session behind a cookie, or None: unknown, ended, idle too long, too old, or its person no longer active."""
    row = session.execute(
        select(LoginSession, Person, Credential)
        .join(Person, col(Person.id) == col(LoginSession.person_id))
        .outerjoin(Credential, col(Credential.person_id) == col(Person.id))
        .where(col(LoginSession.digest) == _digest(cookie), col(LoginSession.ended_at).is_(None))
    ).first()
    if row is None:
        return None
    found, person, credential = row
    idle = timedelta(minutes=settings.session_idle_minutes)
    if not person.active or found.expires_at <= at or found.seen_at + idle <= at:
        return None
    if person.unit_id is not None and not session.get_one(OrgUnit, person.unit_id).active:
        return None
    return Resumed(found, actor_for(session, person), _owed(person, credential, found, at, settings))


def was_opened(session: Session, cookie: str) -> bool:
    """Whether `cookie` was ever a session's, though it may have ended: showing it is no guess."""
    return bool(
        session.execute(select(func.count()).where(col(LoginSession.digest) == _digest(cookie))).scalar_one()
    )


def touch(row: LoginSession, at: datetime) -> bool:
    """Note that the session is in use, at most once a minute; whether there is something to commit."""
    if at - row.seen_at < _SEEN_EVERY:
        return False
    row.seen_at = at
    return True


def _owed(
    person: Person, credential: Credential | None, row: LoginSession, at: datetime, settings: Settings
) -> Owed | None:
    by_provider = row.method == "oidc"
    enrolled = credential is not None and credential.totp_confirmed_at is not None
    if enrolled and row.second_factor_at is None:
        return Owed.SECOND_FACTOR
    if not by_provider and (credential is None or credential.must_change or _aged(credential, at, settings)):
        return Owed.NEW_PASSWORD
    must = (
        settings.second_factor == "required" and {Role(role) for role in person.roles} & SECOND_FACTOR_ROLES
    )
    proved = (
        by_provider and row.second_factor_at is not None
    )  # the provider asked for one of its own (amr mfa)
    return Owed.ENROLMENT if must and not enrolled and not proved else None


def _aged(credential: Credential, at: datetime, settings: Settings) -> bool:
    changed = credential.password_changed_at
    days = settings.password_max_days
    return bool(days) and changed is not None and changed + timedelta(days=days) <= at


def csrf_of(cookie: str) -> str:
    """The token a page of this session sends back with every change, X-CSRF-Token."""
    return base64.urlsafe_b64encode(
        hmac.new(cookie.encode(), b"hotline12345/csrf", hashlib.sha256).digest()
    ).decode()


def is_csrf(cookie: str, token: str | None) -> bool:
    """Whether `token` is this session's, compared in constant time."""
    return token is not None and hmac.compare_digest(
        csrf_of(cookie).encode(), token.encode("utf-8", "replace")
    )


def end_all(session: Session, person_id: int, at: datetime, *, but: int | None = None) -> int:
    """End every live session of a person, but the one with key `but`; returns how many. The caller commits."""
    live = session.execute(
        select(LoginSession).where(
            col(LoginSession.person_id) == person_id, col(LoginSession.ended_at).is_(None)
        )
    ).scalars()
    ended = [row for row in live if row.id != but]
    for row in ended:
        row.ended_at = at
        session.add(row)
    return len(ended)


def forget_old(session: Session, as_of: datetime) -> int:
    """Drop sessions over for 90 days; returns how many. Who signed in when stays in the audit trail. The caller commits."""
    dropped = session.execute(delete(LoginSession).where(col(LoginSession.expires_at) < as_of - _KEPT))
    return int(dropped.rowcount)  # type: ignore[attr-defined]


def _digest(cookie: str) -> bytes:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()
