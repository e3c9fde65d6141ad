"""One caller of every kind: each role of a platform and of a unit, machines with and without a scope, and nobody."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlmodel import Session

from hotline.organisation import OrgUnit, Platform
from hotline.people import accounts
from tests import world as w
from workflow.vocabulary import PLATFORM_STAFF, STAFF, UNIT_STAFF, Role, Scope


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: a name for reports, the token (None: nobody), the roles and the token's scopes (None: all)."""

    name: str
    token: str | None
    roles: frozenset[Role]
    scopes: frozenset[Scope] | None = None


def everyone(world: w.World) -> list[Caller]:
    """The callers of the matrix, in platform 01 and unit ZJJ."""
    people = [
        Caller(role.value, world.tokens[role.value], frozenset({role}))
        for role in Role
        if role.value in world.tokens
    ]
    people += [
        Caller("handler", world.tokens["ZJJ"], frozenset({Role.HANDLER})),
        Caller("unit_lead", world.tokens["ZJJ-lead"], frozenset({Role.UNIT_LEAD})),
    ]
    assert {role for caller in people for role in caller.roles} == STAFF
    return [*people, *machines(world), Caller("nobody", None, frozenset())]


def machines(world: w.World) -> Iterator[Caller]:
    """A unit's and a platform's machine with every scope, and with each one alone."""
    with Session(world.engine) as session:
        unit = session.get_one(OrgUnit, world.units["ZJJ"])
        platform = session.get_one(Platform, world.platforms["01"])
        for narrow in (None, *Scope):
            scopes = None if narrow is None else frozenset({narrow})
            said = "all" if narrow is None else narrow.value
            for kind, roles in (("unit", UNIT_STAFF), ("platform", PLATFORM_STAFF)):
                token = accounts.issue_token(
                    session,
                    label="测试接口",
                    at=w.BORN,
                    unit=unit if kind == "unit" else None,
                    platform=platform if kind == "platform" else None,
                    roles=roles,
                    scopes=scopes,
                )
                yield Caller(f"{kind} machine [{said}]", token, frozenset(roles), scopes)
        session.commit()
