"""People, units, platforms and the tokens they come with. Simple tokens here: SHA-256 kept, the token shown once."""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, func, select
from sqlmodel import Session, col

from hotline import numbers
from hotline.access import Actor
from hotline.organisation import AccessToken, OrgUnit, Person, Platform
from hotline.people.identity import MachineClient
from hotline.storage.constant import Constant
from workflow.errors import OrderInvalid, RuleBroken
from workflow.statute import DEFAULT_PACK
from workflow.statute import load as load_pack
from workflow.vocabulary import STAFF, UNIT_STAFF, Level, PlatformKind, Role, Scope

_SEES_BELOW = frozenset({Role.SUPERVISOR, Role.AUDITOR, Role.ADMIN})


class NameTaken(RuleBroken):
    """A login, code or client name that somebody has already."""

    code = "name_taken"


def add_platform(
    session: Session,
    *,
    code: str,
    name: str,
    short_name: str,
    level: Level,
    area_code: str,
    parent: Platform | None = None,
    kind: PlatformKind | None = None,
    pack: str = DEFAULT_PACK,
) -> Platform:
    """A platform with its number sequence; a line beside the platforms (双号并行, 分中心) says so with `kind`.

    Raises `PackInvalid` if its rule pack is unknown.
    """
    load_pack(pack)
    platform = Platform(
        code=code,
        name=name,
        short_name=short_name,
        level=level,
        kind=kind or (PlatformKind.PROVINCE if level is Level.PROVINCE else PlatformKind.PREFECTURE),
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
    check_roles(granted, of_unit=unit is not None)
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


def check_roles(roles: frozenset[Role], *, of_unit: bool) -> None:
    """Whether one person may hold these roles there. Raises `OrderInvalid`: administrators and auditors are different people (三员分立)."""
    if not roles <= STAFF:
        raise OrderInvalid("人员不能担任来电人或系统角色。", field="roles")
    if of_unit and not roles <= UNIT_STAFF:
        raise OrderInvalid("承办单位人员只能是承办经办人或单位负责人。", field="roles")
    if not of_unit and roles & UNIT_STAFF:
        raise OrderInvalid("平台人员不能担任承办单位角色。", field="roles")
    if {Role.ADMIN, Role.AUDITOR} <= roles:
        raise OrderInvalid("管理员与审计员须由不同的人担任（三员分立）。", field="roles")


def issue_token(
    session: Session,
    *,
    label: str,
    at: datetime,
    person: Person | None = None,
    unit: OrgUnit | None = None,
    platform: Platform | None = None,
    roles: Iterable[Role] = (),
    scopes: Iterable[Scope] | None = None,
    client: MachineClient | None = None,
    expires_at: datetime | None = None,
    token: str | None = None,
) -> str:
    """A bearer token for a person, or for a unit's or a platform's machine with `roles`. It is shown only here.

    `scopes` narrow it, None is all; it is good until `expires_at`, None until revoked.
    """
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
            scopes=None if scopes is None else sorted(scope.value for scope in scopes),
            client_id=client.id if client else None,
            created_at=at,
            expires_at=expires_at,
        )
    )
    session.flush()
    return plain


_PRESENTED: Final = Constant(  # asked with every request
    select(
        *(col(name) for name in (AccessToken.id, AccessToken.label, AccessToken.roles, AccessToken.scopes)),
        *(col(name) for name in (AccessToken.unit_id, AccessToken.platform_id, AccessToken.expires_at)),
        col(AccessToken.client_id),
        col(MachineClient.revoked_at).label("client_revoked_at"),
        col(Person.id).label("person_id"),
        col(Person.name).label("person_name"),
        col(Person.roles).label("person_roles"),
        col(Person.platform_id).label("person_platform_id"),
        col(Person.active).label("person_active"),
        col(OrgUnit.id).label("home_unit_id"),
        col(OrgUnit.platform_id).label("home_platform_id"),
        col(OrgUnit.active).label("home_active"),
    )
    .select_from(AccessToken)
    .outerjoin(Person, col(Person.id) == col(AccessToken.person_id))
    .outerjoin(OrgUnit, col(OrgUnit.id) == func.coalesce(col(AccessToken.unit_id), col(Person.unit_id)))
    .outerjoin(MachineClient, col(MachineClient.id) == col(AccessToken.client_id))
    .where(col(AccessToken.digest) == bindparam("digest"), col(AccessToken.revoked_at).is_(None))
)


def actor_of(session: Session, token: str, at: datetime) -> Actor | None:
    """Who presents `token`, or None if it is unknown, expired, revoked, or its person, unit or client is no longer active."""
    found = _PRESENTED.first(session, {"digest": _digest(token)})
    if found is None:
        return None
    if (found.expires_at is not None and found.expires_at <= at) or found.client_revoked_at is not None:
        return None
    of_unit = found.home_unit_id is not None
    if of_unit and not found.home_active:
        return None
    scopes = None if found.scopes is None else frozenset(Scope(scope) for scope in found.scopes)
    if found.person_id is not None:
        return _presented_person(session, found, scopes) if found.person_active else None
    place, machine = (
        ("unit" if of_unit else "platform"),
        ("client" if found.client_id is not None else "machine"),
    )
    return Actor(
        kind=f"{place}_{machine}",
        id=found.client_id or found.id,
        name=found.label,
        roles=frozenset(Role(role) for role in found.roles),
        platform_id=found.platform_id,
        unit_id=found.unit_id,
        platform_ids=frozenset({found.platform_id} - {None}),
        home_id=found.home_platform_id if of_unit else found.platform_id,
        scopes=scopes,
    )


def was_issued(session: Session, token: str) -> bool:
    """Whether `token` was ever issued, though it may be revoked or over: showing it is no guess."""
    return bool(
        session.execute(select(func.count()).where(col(AccessToken.digest) == _digest(token))).scalar_one()
    )


def actor_for(session: Session, person: Person) -> Actor:
    """A person as an actor: supervisors, auditors and administrators also see the platforms below theirs."""
    unit = session.get(OrgUnit, person.unit_id) if person.unit_id is not None else None
    home_id = unit.platform_id if unit is not None else person.platform_id
    who = Actor(
        kind="person",
        id=person.id,
        name=person.name,
        roles=frozenset(Role(role) for role in person.roles),
        platform_id=person.platform_id,
        unit_id=person.unit_id,
        home_id=home_id,
    )
    return _seeing(session, who)


def _presented_person(session: Session, found: Any, scopes: frozenset[Scope] | None) -> Actor:
    who = Actor(
        kind="person",
        id=found.person_id,
        name=found.person_name,
        roles=frozenset(Role(role) for role in found.person_roles),
        platform_id=found.person_platform_id,
        unit_id=found.home_unit_id,
        home_id=found.person_platform_id if found.home_platform_id is None else found.home_platform_id,
        scopes=scopes,
    )
    return _seeing(session, who)


def _seeing(session: Session, who: Actor) -> Actor:
    below = bool(who.roles & _SEES_BELOW)
    return replace(who, platform_ids=_platforms(session, who.platform_id, below=below))


def _platforms(session: Session, platform_id: int | None, *, below: bool) -> frozenset[int]:
    if platform_id is None:
        return frozenset()
    if not below:
        return frozenset({platform_id})
    tree = select(col(Platform.id)).where(col(Platform.id) == platform_id).cte(recursive=True)
    tree = tree.union(select(col(Platform.id)).join(tree, col(Platform.parent_id) == tree.c.id))
    return frozenset(session.execute(select(tree.c.id)).scalars())


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
