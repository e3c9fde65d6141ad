"""The invented platforms, units and people of the demo, and who of them may act: created once, then looked up by name."""

import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.organisation import AccessToken, OrgUnit, Person, Platform
from hotline.people import accounts, passwords
from hotline.people.identity import Credential
from workflow.vocabulary import Level, Role, UnitKind

PROVINCE: Final = "00"
LABEL: Final = "演示令牌"
_CODES: Final = {"QH": "00", "XN": "01"}
_UNIT_MACHINE: Final = ("xn-rsj-machine", "西宁市人社局业务系统接口", "XN-RSJ")
_SHOWN_UNITS: Final = ("QH-RSJ", "XN-RSJ", "XN-GYJ")


@cache
def tree() -> dict[str, Any]:
    """`organisation.json` as it stands."""
    content: dict[str, Any] = json.loads(
        files("hotline").joinpath("demo", "organisation.json").read_text("utf-8")
    )
    return content


# --- creating --------------------------------------------------------------------------------------------------------


def create(session: Session) -> None:
    """Add every platform, unit and person of the tree. The caller commits."""
    platforms: dict[str, Platform] = {}
    units: dict[str, OrgUnit] = {}
    for row in tree()["platforms"]:
        platforms[row["code"]] = accounts.add_platform(
            session,
            code=row["code"],
            name=row["name"],
            short_name=row["short_name"],
            level=Level(row["level"]),
            area_code=row["area"],
            parent=platforms.get(row["parent"]),
        )
        _add_units(session, row, platforms[row["code"]], units)
    session.flush()
    for row in tree()["platforms"]:
        platforms[row["code"]].fallback_unit_id = units[row["fallback"]].id
        for unit in row["units"]:
            _place(units, unit)
    session.flush()
    for row in tree()["platforms"]:
        _add_staff(session, row, platforms[row["code"]])
        for unit in row["units"]:
            _add_unit_staff(session, units[unit["code"]])
    session.flush()


def _add_units(session: Session, row: Mapping[str, Any], home: Platform, units: dict[str, OrgUnit]) -> None:
    for unit in row["units"]:
        units[unit["code"]] = OrgUnit(
            code=unit["code"],
            name=unit["name"],
            level=Level(unit["level"]),
            kind=UnitKind(unit["kind"]),
            duty=unit["unit_kind"],
            platform_id=home.id,
            area_code=unit["area"],
        )
        session.add(units[unit["code"]])


def _place(units: Mapping[str, OrgUnit], row: Mapping[str, Any]) -> None:
    unit = units[row["code"]]
    unit.parent_id = units[row["parent"]].id if row["parent"] else None
    unit.in_charge_id = units[row["in_charge"]].id if row["in_charge"] else None


def _add_staff(session: Session, row: Mapping[str, Any], home: Platform) -> None:
    people = tree()["people"]
    for role, count in row["people"].items():
        for number in range(1, count + 1):
            named = {"prefix": row["prefix"], "role": role, "place": row["place"], "number": number}
            accounts.add_person(
                session,
                login=people["staff_login"].format(**named).lower(),
                name=people["staff_name"].format(label=people["labels"][role], **named),
                roles=[Role(role)],
                platform=home,
            )


def _add_unit_staff(session: Session, unit: OrgUnit) -> None:
    people = tree()["people"]
    dice = Random(unit.code)  # noqa: S311  # invented names, not secrets
    handlers = 2 if unit.kind is UnitKind.DEPARTMENT else 1
    for role, count in ((Role.HANDLER, handlers), (Role.UNIT_LEAD, 1)):
        for number in range(1, count + 1):
            name = people["unit_name"].format(
                surname=dice.choice(people["surnames"]), given=dice.choice(people["given"])
            )
            login = people["unit_login"].format(unit=unit.code, role=role.value, number=number).lower()
            accounts.add_person(session, login=login, name=name, roles=[role], unit=unit)


# --- logins ----------------------------------------------------------------------------------------------------------


def token_of(key: bytes, login: str) -> str:
    """The demo token of a login: the same for the same installation key, another on every other installation."""
    return f"demo-{login}-{hmac.new(key, f'hotline12345/demo/{login}'.encode(), hashlib.sha256).hexdigest()[:32]}"


def password_of(key: bytes) -> str:
    """The one demo password of everybody of the demo, for the same installation key."""
    return f"Yan-{hmac.new(key, b'hotline12345/demo/password', hashlib.sha256).hexdigest()[:12]}-Shi"


def give_password(session: Session, key: bytes) -> None:
    """Everybody of the demo signs in with the demo password, but those who have changed it. Hashed once. The caller commits.

    Those still with it have no `password_changed_at`: it does not age.
    """
    demo = col(Credential.password_changed_at).is_(None), col(Credential.password_hash).is_not(None)
    kept = session.execute(select(col(Credential.password_hash)).where(*demo).limit(1)).scalar()
    password = password_of(key)
    if kept is None or not passwords.verify(password, kept)[0]:
        kept = passwords.hashed(password)
        session.execute(update(Credential).where(*demo).values(password_hash=kept))
    row: dict[str, Any] = {"password_hash": kept, "must_change": False, "recovery_digests": []}
    missing = select(col(Person.id)).where(
        col(Person.active), col(Person.id).not_in(select(col(Credential.person_id)))
    )
    rows = [row | {"person_id": person} for person in session.execute(missing).scalars()]
    if rows:
        session.execute(insert(Credential).on_conflict_do_nothing(), rows)


def issue_logins(session: Session, key: bytes, at: datetime) -> list[dict[str, str]]:
    """The shown logins with their tokens; tokens not yet known to the database are added. The caller commits."""
    known = set(session.execute(select(col(AccessToken.digest))).scalars())
    shown = []
    for person in session.execute(_shown_people()).scalars():
        token = token_of(key, person.login)
        if hashlib.sha256(token.encode()).digest() not in known:
            accounts.issue_token(session, label=LABEL, at=at, person=person, token=token)
        role = Role(person.roles[0])
        shown.append({"role": role.label, "name": person.name, "login": person.login, "token": token})
    for login, name, platform, unit in _machines(session):
        token = token_of(key, login)
        if hashlib.sha256(token.encode()).digest() not in known:
            roles = (Role.AGENT,) if platform else (Role.HANDLER,)
            accounts.issue_token(
                session, label=name, at=at, unit=unit, platform=platform, roles=roles, token=token
            )
        if platform is None or platform.code in _CODES.values():
            role_label = "平台接口" if platform else "单位接口"
            shown.append({"role": role_label, "name": name, "login": login, "token": token})
    return shown


def _shown_people() -> Any:
    heads = [f"{prefix.lower()}-{role.value}01" for prefix in _CODES for role in Role]
    staff = [
        f"{code.lower()}-{role.value}01" for code in _SHOWN_UNITS for role in (Role.HANDLER, Role.UNIT_LEAD)
    ]
    return select(Person).where(col(Person.login).in_([*heads, *staff])).order_by(col(Person.id))


def _machines(session: Session) -> Iterator[tuple[str, str, Platform | None, OrgUnit | None]]:
    """Each platform's own intake machine, and one unit's."""
    for row in tree()["platforms"]:
        platform = session.execute(select(Platform).where(col(Platform.code) == row["code"])).scalar_one()
        yield f"{row['prefix'].lower()}-machine", f"{row['place']}热线网上受理接口", platform, None
    login, name, code = _UNIT_MACHINE
    yield login, name, None, session.execute(select(OrgUnit).where(col(OrgUnit.code) == code)).scalar_one()


def has_demo_logins(session: Session) -> bool:
    """Whether this database was filled by the demo: only then may demo tokens be added to it."""
    found = session.execute(select(col(AccessToken.id)).where(col(AccessToken.label) == LABEL).limit(1))
    return found.first() is not None


# --- looking up ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Nature:
    """How a unit works: its share of late replies, how thorough and how polite it is (0-1)."""

    late: float
    careless: float
    resented: float


_NATURES: Final = (
    (0.52, Nature(late=0.015, careless=0.03, resented=0.05)),
    (0.84, Nature(late=0.06, careless=0.07, resented=0.08)),
    (0.95, Nature(late=0.18, careless=0.12, resented=0.14)),
    (1.00, Nature(late=0.38, careless=0.22, resented=0.24)),
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A handling unit and its people, as actors."""

    id: int
    code: str
    name: str
    level: Level
    kind: UnitKind
    duty: str
    platform: str
    area: str
    in_charge: str | None
    nature: Nature
    handlers: tuple[Actor, ...]
    lead: Actor


@dataclass(slots=True)
class Hotline:
    """A platform, its staff by role, as actors, and its units by code."""

    id: int
    code: str
    place: str
    level: Level
    area: str
    fallback: str
    parent: str | None
    staff: dict[Role, tuple[Actor, ...]]
    machine: Actor
    units: dict[str, Unit] = field(default_factory=dict)

    def one(self, role: Role, dice: Random) -> Actor:
        """Somebody of this platform with `role`."""
        return dice.choice(self.staff[role])

    def department(self, duty: str) -> Unit:
        """The platform's own department for `duty`, or its fallback unit where there is none."""
        for unit in self.units.values():
            if unit.duty == duty and unit.kind is UnitKind.DEPARTMENT and unit.level is self.level:
                return unit
        return self.units[self.fallback]

    def locals_of(self, duty: str, area: str) -> list[Unit]:
        """County departments of this duty, and county, town and village governments, in whose area `area` lies."""
        return [
            unit
            for unit in self.units.values()
            if unit.level in (Level.COUNTY, Level.TOWN, Level.VILLAGE)
            and (unit.duty == duty or unit.kind is UnitKind.GOVERNMENT)
            and area.startswith(unit.area.rstrip("0"))
        ]

    def under(self, lead: Unit) -> list[Unit]:
        """The enterprises, schools and institutions that `lead` is in charge of (art. 13(4))."""
        return [unit for unit in self.units.values() if unit.in_charge == lead.code]


def roster(session: Session, seed: int) -> dict[str, Hotline]:
    """Every platform by its code, from the database."""
    people: dict[tuple[str, int], list[Person]] = {}
    for person in session.execute(
        select(Person).where(col(Person.active)).order_by(col(Person.id))
    ).scalars():
        home = ("unit", person.unit_id) if person.unit_id else ("platform", person.platform_id or 0)
        people.setdefault(home, []).append(person)
    ids = {p.code: p.id for p in session.execute(select(Platform)).scalars()}
    unit_ids = {u.code: u.id for u in session.execute(select(OrgUnit)).scalars()}
    found: dict[str, Hotline] = {}
    for row in tree()["platforms"]:
        staff: dict[Role, tuple[Actor, ...]] = {}
        for person in people[("platform", ids[row["code"]])]:
            role = Role(person.roles[0])
            staff[role] = (*staff.get(role, ()), accounts.actor_for(session, person))
        found[row["code"]] = Hotline(
            ids[row["code"]],
            row["code"],
            row["place"],
            Level(row["level"]),
            row["area"],
            row["fallback"],
            row["parent"],
            staff,
            _machine(session, ids[row["code"]]),
            {
                unit["code"]: _unit(
                    session, row["code"], unit, unit_ids, people[("unit", unit_ids[unit["code"]])], seed
                )
                for unit in row["units"]
            },
        )
    return found


def _machine(session: Session, platform_id: int) -> Actor:
    token = session.execute(
        select(AccessToken).where(col(AccessToken.platform_id) == platform_id)
    ).scalar_one()
    return Actor(
        "platform_machine",
        token.id,
        token.label,
        frozenset({Role.AGENT}),
        platform_id,
        None,
        frozenset({platform_id}),
    )


def _unit(
    session: Session,
    platform: str,
    row: Mapping[str, Any],
    ids: Mapping[str, int],
    people: list[Person],
    seed: int,
) -> Unit:
    actors = [accounts.actor_for(session, person) for person in people]
    draw = Random(f"{seed}/{row['code']}").random()  # noqa: S311
    nature = next(nature for share, nature in _NATURES if draw <= share)
    return Unit(
        ids[row["code"]],
        row["code"],
        row["name"],
        Level(row["level"]),
        UnitKind(row["kind"]),
        row["unit_kind"],
        platform,
        row["area"],
        row["in_charge"],
        nature,
        tuple(actor for actor in actors if Role.HANDLER in actor.roles),
        next(actor for actor in actors if Role.UNIT_LEAD in actor.roles),
    )
