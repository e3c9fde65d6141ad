"""A small invented world for tests: one province, two prefectures, units on several levels, people for every role."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select
from sqlmodel import Session, col

from hotline import reference
from hotline.access import Actor
from hotline.case import Desk, Office
from hotline.orders import Caller, Demand
from hotline.organisation import OrgUnit, Person, Platform
from hotline.people import accounts
from hotline.privacy.keyring import in_memory
from hotline.privacy.sealing import Sealer
from hotline.storage.blobs import BlobStore
from workflow.vocabulary import Channel, Level, Matter, Role, UnitKind

CHINA = ZoneInfo("Asia/Shanghai")
AREA = "630104000000"
CATEGORY = "010101"


def china(text: str) -> datetime:
    """`2026-02-13 10:00` (or with seconds) in Asia/Shanghai, as an aware instant."""
    return datetime.fromisoformat(text).replace(tzinfo=CHINA)


@dataclass
class World:
    """The people and units of the small world, by short names, and a desk for any of them at any time."""

    engine: Engine
    office: Office
    platforms: dict[str, int] = field(default_factory=dict)
    units: dict[str, int] = field(default_factory=dict)
    people: dict[str, int] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def names(self) -> dict[str, dict[str, Any]]:
        """Who is there under which key and token; see `found`."""
        return {one: getattr(self, one) for one in ("platforms", "units", "people", "tokens")}

    def actor(self, session: Session, login: str) -> Actor:
        """The person with this login, as an actor."""
        person = session.execute(select(Person).where(col(Person.login) == login)).scalar_one()
        return accounts.actor_for(session, person)

    def desk(self, session: Session, login: str, at: datetime, *, version: int | None = None) -> Desk:
        """A desk for this person at this instant."""
        return Desk(session, self.actor(session, login), at, self.office, version)


UNITS: tuple[tuple[str, str, str, Level, UnitKind, str | None], ...] = (
    # code, name, platform, level, kind, department in charge
    ("SJT", "测试省交通厅", "00", Level.PROVINCE, UnitKind.DEPARTMENT, None),
    ("ZJJ", "测试市住建局", "01", Level.PREFECTURE, UnitKind.DEPARTMENT, None),
    ("JTJ", "测试市交通局", "01", Level.PREFECTURE, UnitKind.DEPARTMENT, None),
    ("CGJ", "测试市城管局", "01", Level.PREFECTURE, UnitKind.DEPARTMENT, None),
    ("HZQ", "测试县人民政府", "01", Level.COUNTY, UnitKind.GOVERNMENT, None),
    ("DBZ", "测试镇人民政府", "01", Level.TOWN, UnitKind.GOVERNMENT, None),
    ("HEAT", "测试供热公司", "01", Level.PREFECTURE, UnitKind.ENTERPRISE, "ZJJ"),
    ("SCHOOL", "测试学院", "01", Level.PREFECTURE, UnitKind.SCHOOL, "JTJ"),
    ("HDJ", "测试二市住建局", "02", Level.PREFECTURE, UnitKind.DEPARTMENT, None),
)
STAFF: tuple[tuple[str, Role], ...] = (
    ("agent", Role.AGENT),
    ("agent2", Role.AGENT),
    ("dispatcher", Role.DISPATCHER),
    ("reviewer", Role.REVIEWER),
    ("callback", Role.CALLBACK),
    ("supervisor", Role.SUPERVISOR),
    ("editor", Role.EDITOR),
    ("auditor", Role.AUDITOR),
    ("admin", Role.ADMIN),
)
BORN = datetime(2022, 8, 2, tzinfo=UTC)


def found(engine: Engine, folder: Path, names: dict[str, dict[str, Any]]) -> World:
    """The small world in a database that holds it already: a copy of one that `build` filled."""
    office = Office(Sealer(in_memory(b"k" * 32)), BlobStore(folder / "blobs", 1024 * 1024))
    return World(engine, office, **names)


def build(engine: Engine, folder: Path) -> World:
    """Fill an empty migrated database with the small world."""
    world = found(engine, folder, {})
    with Session(engine) as session:
        reference.load_shipped(session)
        _platforms(session, world)
        _units(session, world)
        _people(session, world)
        session.commit()
    return world


def _platforms(session: Session, world: World) -> None:
    province = accounts.add_platform(
        session,
        code="00",
        name="测试省12345热线",
        short_name="省热线",
        level=Level.PROVINCE,
        area_code="630000000000",
    )
    world.platforms["00"] = province.id
    for code, name in (("01", "测试市"), ("02", "测试二市")):
        platform = accounts.add_platform(
            session,
            code=code,
            name=f"{name}12345政务服务便民热线",
            short_name=f"{name}12345热线",
            level=Level.PREFECTURE,
            area_code="630100000000" if code == "01" else "630200000000",
            parent=province,
        )
        world.platforms[code] = platform.id


def _units(session: Session, world: World) -> None:
    for code, name, platform, level, kind, in_charge in UNITS:
        unit = OrgUnit(
            code=code,
            name=name,
            level=level,
            kind=kind,
            platform_id=world.platforms[platform],
            area_code=AREA,
            in_charge_id=world.units[in_charge] if in_charge else None,
        )
        session.add(unit)
        session.flush()
        world.units[code] = unit.id


def _people(session: Session, world: World) -> None:
    for prefix, code in (("", "01"), ("p-", "00"), ("b-", "02")):
        platform = session.get_one(Platform, world.platforms[code])
        for name, role in STAFF:
            person = accounts.add_person(
                session,
                login=prefix + name,
                name=f"测试{role.label}{prefix}{name}",
                roles=[role],
                platform=platform,
            )
            _token(session, world, person)
    for code, unit_id in world.units.items():
        unit = session.get_one(OrgUnit, unit_id)
        for suffix, role in (("", Role.HANDLER), ("-lead", Role.UNIT_LEAD)):
            person = accounts.add_person(
                session, login=code + suffix, name=f"测试经办{code}", roles=[role], unit=unit
            )
            _token(session, world, person)


def _token(session: Session, world: World, person: Person) -> None:
    world.people[person.login] = person.id
    world.tokens[person.login] = accounts.issue_token(session, label="test", at=BORN, person=person)


def demand(matter: Matter = Matter.INQUIRY, **changes: object) -> Demand:
    """An invented demand."""
    content: dict[str, object] = {
        "channel": Channel.PHONE,
        "matter": matter,
        "category": CATEGORY,
        "area": AREA,
        "title": "暖气不热",
        "content": "测试来电：家中暖气不热，室温只有14度。",
        "caller": Caller(name="测试甲", phone="13900000001", address="测试路1号"),
    }
    return Demand.model_validate(content | changes)
