"""Whether credentials shown some time ago are still good, many at once, and still say the same of who showed them."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select
from sqlmodel import Session, col

from hotline.organisation import AccessToken, OrgUnit, Person
from hotline.people.identity import LoginSession, MachineClient
from hotline.settings import Settings


@dataclass(frozen=True, slots=True)
class Shown:
    """A session's cookie or a bearer token, as its SHA-256."""

    cookie: bool
    digest: bytes


def shown(credential: str, *, cookie: bool) -> Shown:
    """What is remembered of a credential."""
    return Shown(cookie, hashlib.sha256(credential.encode("utf-8", "surrogatepass")).digest())


def standings(
    session: Session, credentials: Collection[Shown], at: datetime, settings: Settings
) -> dict[Shown, str]:
    """Of these credentials those in force at `at` (aware), each with what it says of roles, unit and platform: compare it with before.

    The rules are those of `sessions.resume` and `accounts.actor_of`; being asked here keeps no session from idling.
    """
    found: dict[Shown, str] = {}
    if cookies := [each.digest for each in credentials if each.cookie]:
        idle = at - timedelta(minutes=settings.session_idle_minutes)
        for digest, *said in session.execute(_of_sessions(cookies, at, idle)):
            found[Shown(True, digest)] = repr(said)
    if tokens := [each.digest for each in credentials if not each.cookie]:
        for digest, *said in session.execute(_of_tokens(tokens, at)):
            found[Shown(False, digest)] = repr(said)
    return found


def _of_sessions(digests: Collection[bytes], at: datetime, idle: datetime) -> Any:
    return (
        select(
            col(LoginSession.digest),
            col(Person.id),
            col(Person.roles),
            col(Person.platform_id),
            col(Person.unit_id),
            col(LoginSession.second_factor_at),
        )
        .join(Person, col(Person.id) == col(LoginSession.person_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(Person.unit_id))
        .where(
            col(LoginSession.digest).in_(digests),
            col(LoginSession.ended_at).is_(None),
            col(LoginSession.expires_at) > at,
            col(LoginSession.seen_at) > idle,
            col(Person.active),
            or_(col(OrgUnit.id).is_(None), col(OrgUnit.active)),
        )
    )


def _of_tokens(digests: Collection[bytes], at: datetime) -> Any:
    token = AccessToken
    return (
        select(
            col(token.digest),
            col(token.roles),
            col(token.scopes),
            col(token.platform_id),
            col(token.unit_id),
            col(Person.roles),
            col(Person.platform_id),
            col(Person.unit_id),
        )
        .outerjoin(Person, col(Person.id) == col(token.person_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == func.coalesce(col(token.unit_id), col(Person.unit_id)))
        .outerjoin(MachineClient, col(MachineClient.id) == col(token.client_id))
        .where(
            col(token.digest).in_(digests),
            col(token.revoked_at).is_(None),
            or_(col(token.expires_at).is_(None), col(token.expires_at) > at),
            or_(col(Person.id).is_(None), col(Person.active)),
            or_(col(OrgUnit.id).is_(None), col(OrgUnit.active)),
            col(MachineClient.revoked_at).is_(None),
        )
    )
