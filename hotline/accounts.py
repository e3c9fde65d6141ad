"""People, units, platforms and the tokens they come with. Simple tokens here: SHA-256 kept, the token shown once."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select
from sqlmodel import Session, col

from hotline import numbers
from hotline.access import Actor
from hotline.organisation import AccessToken, OrgUnit, Person, Platform
from workflow.errors import OrderInvalid
from workflow.statute import DEFAULT_PACK
from workflow.statute import load as load_pack
from workflow.vocabulary import UNIT_STAFF, Level, Role

_SEES_BELOW = frozenset({Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN})


def add_platform(
    session: Session,
    *,
    code: str,
    name: str,
    short_name: str,
    level: Level,
    area_code: str,
    parent: Platform | None = None,
    pack: str = DEFAULT_PACK,
) -> Platform:
    """A platform with its number sequence. Raises `PackInvalid` if its rule pack is unknown."""
    load_pack(pack)
    platform = Platform(
        code=code,
        name=name,
        short_name=short_name,
        level=level,
        area_code=area_code,
        parent_id=parent.id if parent else None,
        pack=pack,
    )
    session.add(platform)
    session.flush()
    numbers.create_sequence(session, code)
    return platform


def add_person(
    session: Session,
    *,
    login: str,
    name: str,
    roles: Iterable[Role],
    platform: Platform | None = None,
    unit: OrgUnit | None = None,
) -> Person:
    """A member of a platform's or a unit's staff. Raises `OrderInvalid` if the roles do not fit the place."""
    granted = frozenset(roles)
    if (platform is None) == (unit is None):
        raise OrderInvalid("人员须属于一个热线平台或一个承办单位。", field="platform")
    if unit is not None and not granted <= UNIT_STAFF:
        raise OrderInvalid("承办单位人员只能是承办经办人或单位负责人。", field="roles")
    if unit is None and granted & UNIT_STAFF:
        raise OrderInvalid("平台人员不能担任承办单位角色。", field="roles")
    person = Person(
        login=login,
        name=name,
        platform_id=platform.id if platform else None,
        unit_id=unit.id if unit else None,
        roles=sorted(role.value for role in granted),
    )
    session.add(person)
    session.flush()
    return person


def issue_token(
    session: Session,
    *,
    label: str,
    at: datetime,
    person: Person | None = None,
    unit: OrgUnit | None = None,
    platform: Platform | None = None,
    roles: Iterable[Role] = (),
    token: str | None = None,
) -> str:
    """A bearer token for a person, or for a unit's or a platform's machine with `roles`. It is shown only here."""
    if [person, unit, platform].count(None) != 2:
        raise OrderInvalid("令牌须属于一个人员、一个承办单位或一个热线平台。")
    plain = token or secrets.token_urlsafe(32)
    session.add(
        AccessToken(
            digest=_digest(plain),
            label=label,
            person_id=person.id if person else None,
            unit_id=unit.id if unit else None,
            platform_id=platform.id if platform else None,
            roles=sorted(role.value for role in roles),
            created_at=at,
        )
    )
    session.flush()
    return plain


def actor_of(session: Session, token: str) -> Actor | None:
    """Who presents `token`, or None if it is unknown, revoked, or its person is no longer active."""
    row = session.execute(
        select(AccessToken, Person)
        .outerjoin(Person, col(Person.id) == col(AccessToken.person_id))
        .where(col(AccessToken.digest) == _digest(token), col(AccessToken.revoked_at).is_(None))
    ).first()
    if row is None:
        return None
    found: AccessToken = row[0]
    person: Person | None = row[1]
    if person is not None:
        return actor_for(session, person) if person.active else None
    kind = "unit_machine" if found.unit_id is not None else "platform_machine"
    return Actor(
        kind=kind,
        id=found.id,
        name=found.label,
        roles=frozenset(Role(role) for role in found.roles),
        platform_id=found.platform_id,
        unit_id=found.unit_id,
        platform_ids=frozenset({found.platform_id} - {None}),  # type: ignore[arg-type]
    )


def actor_for(session: Session, person: Person) -> Actor:
    """A person as an actor: supervisors, auditors and administrators also see the platforms below theirs."""
    roles = frozenset(Role(role) for role in person.roles)
    return Actor(
        kind="person",
        id=person.id,
        name=person.name,
        roles=roles,
        platform_id=person.platform_id,
        unit_id=person.unit_id,
        platform_ids=_platforms(session, person.platform_id, below=bool(roles & _SEES_BELOW)),
    )


def _platforms(session: Session, platform_id: int | None, *, below: bool) -> frozenset[int]:
    if platform_id is None:
        return frozenset()
    if not below:
        return frozenset({platform_id})
    children = session.execute(
        select(col(Platform.id)).where(col(Platform.parent_id) == platform_id)
    ).scalars()
    return frozenset({platform_id, *children})


def revoke(session: Session, token: str, at: datetime) -> bool:
    """Revoke a token; whether it was in force."""
    found = session.execute(
        select(AccessToken).where(
            col(AccessToken.digest) == _digest(token), col(AccessToken.revoked_at).is_(None)
        )
    ).scalar_one_or_none()
    if found is None:
        return False
    found.revoked_at = at
    session.add(found)
    return True


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
