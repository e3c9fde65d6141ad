"""接口客户端 and personal tokens: a machine earns short-lived tokens with its secret, a person is given long ones; both revocable."""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import Desk
from hotline.organisation import AccessToken, OrgUnit, Person, Platform
from hotline.people.accounts import NameTaken, issue_token
from hotline.people.identity import MachineClient
from workflow.errors import OrderInvalid, OutOfSight, RuleBroken
from workflow.vocabulary import AuditKind, Role, Scope

TOKEN_SECONDS: Final = 3600
"""How long a machine's token is good."""

_UNIT_ROLES: Final = frozenset({Role.HANDLER})
_PLATFORM_ROLES: Final = frozenset({Role.AGENT, Role.DISPATCHER, Role.REVIEWER, Role.CALLBACK, Role.EDITOR})
PERSONS_ONLY: Final = frozenset({Scope.ACCOUNTS, Scope.AUDIT, Scope.SESSION})
"""Scopes no machine is given: people, machines and the audit trail are managed by people."""


class ClientRefused(RuleBroken):
    """A token request that earns none; `extra.error` is the word of RFC 6749, 5.2."""

    code = "client_refused"

    def __init__(self, error: str, message: str) -> None:
        super().__init__(message, extra={"error": error})
        self.error = error


# --- managing clients ------------------------------------------------------------------------------------------------


def create(
    desk: Desk,
    *,
    name: str,
    label: str,
    roles: Iterable[Role],
    scopes: Iterable[Scope],
    unit: OrgUnit | None = None,
    platform: Platform | None = None,
) -> tuple[MachineClient, str]:
    """A new client of a unit or a platform, and its secret, told only here. Raises `OrderInvalid`, `NameTaken`, `OutOfSight`."""
    if (unit is None) == (platform is None):
        raise OrderInvalid("接口客户端须属于一个承办单位或一个热线平台。", field="platform")
    granted, allowed = frozenset(roles), frozenset(scopes)
    fitting = _UNIT_ROLES if unit is not None else _PLATFORM_ROLES
    if not granted or not granted <= fitting:
        names = "、".join(role.label for role in Role if role in fitting)
        raise OrderInvalid(f"该接口客户端的角色只能是{names}。", field="roles")
    if not allowed or allowed & PERSONS_ONLY:
        raise OrderInvalid("接口客户端须有令牌范围，且不能包含人员管理、审计和登录会话。", field="scopes")
    home = unit.platform_id if unit is not None else platform.id if platform is not None else 0
    _check_reach(desk.actor, home)
    secret = secrets.token_urlsafe(32)
    client = MachineClient(
        name=name,
        label=label,
        unit_id=unit.id if unit else None,
        platform_id=platform.id if platform else None,
        roles=sorted(role.value for role in granted),
        scopes=sorted(scope.value for scope in allowed),
        secret_digest=_digest(secret),
        created_by=desk.actor.name,
        created_at=desk.at,
    )
    desk.session.add(client)
    try:
        desk.session.flush()
    except IntegrityError:
        raise NameTaken(f"已有名为 {name} 的接口客户端。", field="name") from None
    _record(desk, client, home, "client_created", roles=client.roles, scopes=client.scopes)
    return client, secret


def rotate(desk: Desk, name: str, *, overlap: timedelta) -> tuple[MachineClient, str]:
    """A new secret, told only here; the old one stays good for `overlap`. Raises `OutOfSight`, `OrderInvalid` if revoked."""
    client, home = _within_reach(desk, name)
    if client.revoked_at is not None:
        raise OrderInvalid("该接口客户端已停用，不能更换密钥。", field="name")
    secret = secrets.token_urlsafe(32)
    client.older_digest, client.older_until = client.secret_digest, desk.at + overlap
    client.secret_digest = _digest(secret)
    desk.session.add(client)
    _record(desk, client, home, "client_rotated", older_until=client.older_until.isoformat())
    return client, secret


def revoke_client(desk: Desk, name: str) -> MachineClient:
    """停用: the client's secrets and every token it holds are worth nothing from now on. Raises `OutOfSight`."""
    client, home = _within_reach(desk, name)
    if client.revoked_at is None:
        client.revoked_at = desk.at
        desk.session.add(client)
        ended = desk.session.execute(
            update(AccessToken)
            .where(col(AccessToken.client_id) == client.id, col(AccessToken.revoked_at).is_(None))
            .values(revoked_at=desk.at)
        )
        _record(desk, client, home, "client_revoked", tokens=int(ended.rowcount))  # type: ignore[attr-defined]
    return client


def listed(session: Session, actor: Actor) -> list[tuple[MachineClient, str | None, str | None]]:
    """The clients within the actor's reach, each with its platform's and its unit's code."""
    rows = session.execute(
        select(MachineClient, col(Platform.code), col(OrgUnit.code))
        .outerjoin(Platform, col(Platform.id) == col(MachineClient.platform_id))
        .outerjoin(OrgUnit, col(OrgUnit.id) == col(MachineClient.unit_id))
        .where(
            col(MachineClient.platform_id).in_(sorted(actor.platform_ids))
            | col(OrgUnit.platform_id).in_(sorted(actor.platform_ids))
        )
        .order_by(col(MachineClient.id))
    )
    return [(client, platform, unit) for client, platform, unit in rows]


def _within_reach(desk: Desk, name: str) -> tuple[MachineClient, int]:
    client = desk.session.execute(
        select(MachineClient).where(col(MachineClient.name) == name).with_for_update()
    ).scalar_one_or_none()
    home = _home(desk.session, client) if client is not None else None
    if client is None or home is None or home not in desk.actor.platform_ids:
        raise OutOfSight(f"没有名为 {name} 的接口客户端，或不在您的管理范围内。", field="name")
    return client, home


def _home(session: Session, client: MachineClient) -> int | None:
    unit = session.get(OrgUnit, client.unit_id) if client.unit_id is not None else None
    return unit.platform_id if unit is not None else client.platform_id


def _check_reach(actor: Actor, platform_id: int) -> None:
    if platform_id not in actor.platform_ids:
        raise OutOfSight("该平台或单位不在您的管理范围内。", field="platform")


def _record(desk: Desk, client: MachineClient, home: int, change: str, **more: object) -> None:
    desk.session.flush()
    audit.record(
        desk.session,
        AuditKind.ACCOUNT_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=home,
        what={"change": change, "client": client.name} | more,
    )


# --- a client's tokens (RFC 6749, 4.4) -------------------------------------------------------------------------------


def earn_token(
    session: Session, *, name: str, secret: str, scope: str | None, at: datetime, address: str | None
) -> tuple[str, frozenset[Scope]] | ClientRefused:
    """A token good for an hour and its scopes, or why there is none; either is recorded. The caller commits either way.

    `scope` narrows: words separated by blanks, each of them the client's. None is all of them.
    """
    client = session.execute(
        select(MachineClient).where(col(MachineClient.name) == name)
    ).scalar_one_or_none()
    if client is None or not _proves(client, secret, at) or not _may_work(session, client):
        home = _home(session, client) if client is not None else None
        known = {"client": client.name} if client is not None else {"client_sha256": _digest(name).hex()[:12]}
        audit.record(
            session,
            AuditKind.SIGN_IN_FAILED,
            at=at,
            actor=None,
            platform_id=home,
            address=address,
            what={"reason": "client"} | known,
        )
        return ClientRefused("invalid_client", "客户端标识或密钥不正确，或该客户端已停用。")
    owned = frozenset(Scope(word) for word in client.scopes)
    asked = owned if scope is None or not scope.strip() else frozenset(scope.split())
    if not asked <= owned:
        return ClientRefused("invalid_scope", "申请的范围超出该客户端的范围。")
    granted = frozenset(Scope(word) for word in asked)
    unit = session.get(OrgUnit, client.unit_id) if client.unit_id is not None else None
    platform = session.get(Platform, client.platform_id) if client.platform_id is not None else None
    token = issue_token(
        session,
        label=client.label,
        at=at,
        unit=unit,
        platform=platform,
        roles=[Role(role) for role in client.roles],
        scopes=granted,
        client=client,
        expires_at=at + timedelta(seconds=TOKEN_SECONDS),
    )
    audit.record(
        session,
        AuditKind.TOKEN_ISSUED,
        at=at,
        actor=None,
        platform_id=_home(session, client),
        address=address,
        what={"client": client.name, "scopes": sorted(granted)},
    )
    return token, granted


def _proves(client: MachineClient, secret: str, at: datetime) -> bool:
    offered = _digest(secret)
    older = client.older_digest is not None and client.older_until is not None and at < client.older_until
    newest = hmac.compare_digest(offered, client.secret_digest)
    return newest or (older and hmac.compare_digest(offered, client.older_digest or b""))


def _may_work(session: Session, client: MachineClient) -> bool:
    unit = session.get(OrgUnit, client.unit_id) if client.unit_id is not None else None
    return client.revoked_at is None and (unit is None or unit.active)


def forget_old(session: Session, as_of: datetime) -> int:
    """Drop machines' tokens a day past their end; returns how many. The caller commits."""
    dropped = session.execute(
        delete(AccessToken).where(
            col(AccessToken.client_id).is_not(None),
            col(AccessToken.expires_at) < as_of - timedelta(days=1),
        )
    )
    return int(dropped.rowcount)  # type: ignore[attr-defined]


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


# --- people's tokens -------------------------------------------------------------------------------------------------


def issue_personal(
    desk: Desk,
    person: Person,
    *,
    label: str,
    scopes: Iterable[Scope] | None,
    expires_at: datetime | None,
    home: int,
) -> tuple[AccessToken, str]:
    """A token with which `person`'s programs act for them, told only here. `scopes` None is all; never more than the asker has."""
    allowed = None if scopes is None else frozenset(scopes)
    own = desk.actor.scopes
    if own is not None and (allowed is None or not allowed <= own):
        raise OrderInvalid("新令牌的范围不能超出当前令牌的范围。", field="scopes")
    if expires_at is not None and expires_at <= desk.at:
        raise OrderInvalid("令牌的到期时间须在将来。", field="expires_at")
    plain = issue_token(
        desk.session, label=label, at=desk.at, person=person, scopes=allowed, expires_at=expires_at
    )
    row = desk.session.execute(
        select(AccessToken).where(col(AccessToken.digest) == _digest(plain))
    ).scalar_one()
    audit.record(
        desk.session,
        AuditKind.TOKEN_ISSUED,
        at=desk.at,
        actor=desk.actor,
        platform_id=home,
        what={"login": person.login, "token": row.id, "label": label}
        | {"scopes": row.scopes, "expires_at": expires_at.isoformat() if expires_at else None},
    )
    return row, plain


def tokens_of(session: Session, person: Person, at: datetime) -> list[AccessToken]:
    """A person's tokens in force, newest first."""
    return list(
        session.execute(
            select(AccessToken)
            .where(
                col(AccessToken.person_id) == person.id,
                col(AccessToken.revoked_at).is_(None),
                col(AccessToken.expires_at).is_(None) | (col(AccessToken.expires_at) > at),
            )
            .order_by(col(AccessToken.id).desc())
        ).scalars()
    )


def revoke_personal(desk: Desk, person: Person, token_id: int, *, home: int) -> AccessToken:
    """A person's token is worth nothing from now on. Raises `OutOfSight`."""
    row = desk.session.get(AccessToken, token_id, with_for_update=True)
    if row is None or row.person_id != person.id:
        raise OutOfSight("没有这个令牌，或不在您的管理范围内。", field="token")
    if row.revoked_at is None:
        row.revoked_at = desk.at
        desk.session.add(row)
        desk.session.flush()
        audit.record(
            desk.session,
            AuditKind.ACCOUNT_CHANGED,
            at=desk.at,
            actor=desk.actor,
            platform_id=home,
            what={"change": "token_revoked", "login": person.login, "token": row.id},
        )
    return row


def revoke_all(session: Session, person_id: int, at: datetime) -> int:
    """Revoke every token of a person; returns how many. The caller commits."""
    ended = session.execute(
        update(AccessToken)
        .where(col(AccessToken.person_id) == person_id, col(AccessToken.revoked_at).is_(None))
        .values(revoked_at=at)
    )
    return int(ended.rowcount)  # type: ignore[attr-defined]
