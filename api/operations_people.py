"""What `hotline user`, `client`, `token` and `platform` do: the API's own commands, with the operator of the machine as the actor."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from api.operations import database_url, now, prepare
from hotline.access import Actor
from hotline.case import Desk
from hotline.office import open_office
from hotline.organisation import Platform
from hotline.people import clients, personnel, structure
from hotline.settings import load_settings
from hotline.storage.store import make_engine
from workflow.errors import NotFound
from workflow.vocabulary import Level, PlatformKind, Role, Scope


@contextmanager
def _desk(*, fresh: bool = False) -> Iterator[Desk]:
    """A desk of the machine's operator, who reaches every platform; commits at its end. `fresh`: perhaps of an empty database."""
    settings = load_settings()
    engine = make_engine(prepare(settings) if fresh else database_url(settings), pool_size=2)
    try:
        with Session(engine, expire_on_commit=False) as session:
            every = frozenset(session.execute(select(col(Platform.id))).scalars())
            operator = Actor("system", None, "命令行", frozenset({Role.ADMIN}), platform_ids=every)
            yield Desk(session, operator, now(), open_office(settings))
            session.commit()
    finally:
        engine.dispose()


def create_user(login: str, name: str, roles: Iterable[Role], platform: str | None, unit: str | None) -> str:
    """A new person; their one-time password. Raises what `personnel.create` raises."""
    with _desk(fresh=True) as desk:
        if not desk.actor.platform_ids:
            raise NotFound("还没有热线平台，请先用 hotline platform add 建立省平台。", field="platform")
        _, password = personnel.create(
            desk, login=login, name=name, roles=roles, platform=platform, unit=unit
        )
    return password


def reset_password(login: str, reason: str) -> str:
    """A person's new one-time password."""
    with _desk() as desk:
        return personnel.reset_password(desk, login, reason=reason)[1]


def disable_user(login: str, reason: str, transfer_to: str | None) -> list[str]:
    """Disable a person; the numbers of the tickets handed over."""
    with _desk() as desk:
        return personnel.disable(desk, login, reason=reason, transfer_to=transfer_to)[1]


def enable_user(login: str, reason: str) -> None:
    """Enable a person again."""
    with _desk() as desk:
        personnel.enable(desk, login, reason=reason)


def grant_roles(login: str, roles: Iterable[Role]) -> list[str]:
    """A person's roles from now on."""
    with _desk() as desk:
        return personnel.grant(desk, login, roles).person.roles


def unlock_user(login: str, reason: str) -> None:
    """Forget a login's failures."""
    with _desk() as desk:
        personnel.unlock(desk, login, reason=reason)


def reset_second_factor(login: str, reason: str) -> None:
    """Forget a person's second factor."""
    with _desk() as desk:
        personnel.reset_second_factor(desk, login, reason=reason)


def list_users(
    platform: str | None, unit: str | None, role: Role | None, text: str | None
) -> list[dict[str, Any]]:
    """The people, as data."""
    roll = personnel.Roll(platform=platform, unit=unit, role=role, text=text, limit=100_000)
    with _desk() as desk:
        found = personnel.listed(desk.session, desk.actor, roll)
        standings = personnel.standings(desk.session, [each.person for each in found], desk.at)
    return [
        {
            "login": each.person.login,
            "name": each.person.name,
            "platform": each.platform,
            "unit": each.unit,
            "roles": each.person.roles,
            "active": each.person.active,
            "second_factor": standings[each.person.id].second_factor,
            "locked_until": standings[each.person.id].locked_until,
        }
        for each in found
    ]


def create_client(
    name: str,
    label: str,
    roles: Iterable[Role],
    scopes: Iterable[Scope],
    platform: str | None,
    unit: str | None,
) -> str:
    """A new client; its secret."""
    with _desk() as desk:
        home, of_unit = personnel.place(desk, platform, unit)
        return clients.create(
            desk,
            name=name,
            label=label,
            roles=roles,
            scopes=scopes,
            unit=of_unit,
            platform=home if of_unit is None else None,
        )[1]


def rotate_client(name: str, overlap_hours: int) -> str:
    """A client's new secret; the old one is good for `overlap_hours` more."""
    with _desk() as desk:
        return clients.rotate(desk, name, overlap=timedelta(hours=overlap_hours))[1]


def revoke_client(name: str) -> None:
    """A client and its tokens are worth nothing from now on."""
    with _desk() as desk:
        clients.revoke_client(desk, name)


def list_clients() -> list[dict[str, Any]]:
    """The clients, as data."""
    kept = ("name", "label", "roles", "scopes", "created_at", "revoked_at")
    with _desk() as desk:
        return [
            {name: getattr(client, name) for name in kept} | {"platform": platform, "unit": unit}
            for client, platform, unit in clients.listed(desk.session, desk.actor)
        ]


def issue_token(login: str, label: str, scopes: Iterable[Scope] | None, days: int | None) -> str:
    """A new token of a person; it is shown only here. Raises `NotFound`."""
    with _desk() as desk:
        found = personnel.find(desk.session, desk.actor, login)
        expires_at = desk.at + timedelta(days=days) if days is not None else None
        return clients.issue_personal(
            desk, found.person, label=label, scopes=scopes or None, expires_at=expires_at, home=found.home
        )[1]


def list_tokens(login: str) -> list[dict[str, Any]]:
    """A person's tokens in force, as data."""
    with _desk() as desk:
        found = personnel.find(desk.session, desk.actor, login)
        kept = ("id", "label", "scopes", "created_at", "expires_at")
        return [
            {name: getattr(row, name) for name in kept}
            for row in clients.tokens_of(desk.session, found.person, desk.at)
        ]


def revoke_token(login: str, token: int) -> None:
    """Revoke one of a person's tokens."""
    with _desk() as desk:
        found = personnel.find(desk.session, desk.actor, login)
        clients.revoke_personal(desk, found.person, token, home=found.home)


def add_platform(code: str, name: str, short_name: str, level: Level, area: str, parent: str | None) -> None:
    """A new platform; the province's has none above it. Raises what `structure.add_platform` raises."""
    with _desk(fresh=True) as desk:
        if parent is None:
            structure.found_province(
                desk, code=code, name=name, short_name=short_name, level=level, area=area
            )
        else:
            structure.add_platform(
                desk,
                code=code,
                name=name,
                short_name=short_name,
                level=level,
                kind=PlatformKind.PREFECTURE,
                area=area,
                parent=parent,
            )


def list_platforms() -> list[dict[str, Any]]:
    """The platforms, as data."""
    with _desk() as desk:
        return [
            {"code": row.code, "name": row.name, "kind": row.kind.value, "parent": parent}
            for row, parent in structure.platforms(desk.session, desk.actor)
        ]
