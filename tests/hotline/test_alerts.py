"""Unusual look-ups raise an alert in the look-up's own transaction: too many, off shift, outside one's area, many refusals."""

import threading
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline import intake
from hotline.access import Actor
from hotline.auditing import alerts, audit
from hotline.auditing.policy import Policy
from hotline.auditing.proof import prove
from hotline.auditing.trail import AuditAlert, AuditEntry
from hotline.models import OutboxEvent, Ticket
from hotline.orders import AcceptOrder
from hotline.organisation import OrgUnit, Person
from tests.world import World, china, demand
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import Act, AlertKind, AuditKind, Level, Role, UnitKind

POLICY = Policy(alert_unseals_per_hour=3)
NOON = china("2026-03-02 12:00")


@pytest.fixture
def ticket(world: World) -> int:
    """A ticket of platform 01 in its own area."""
    with Session(world.engine) as session:
        case = intake.take(world.desk(session, "agent", NOON), demand(), Act.ACCEPT, AcceptOrder())
        session.commit()
        return case.ticket.id


def look(
    world: World,
    ticket_id: int,
    login: str = "supervisor",
    at: datetime = NOON,
    kind: AuditKind = AuditKind.UNSEALED,
) -> list[AlertKind]:
    """One look-up, recorded and judged as an unsealing is."""
    with Session(world.engine) as session:
        actor = world.actor(session, login)
        ticket = session.get_one(Ticket, ticket_id)
        audit.record(session, kind, at=at, actor=actor, platform_id=ticket.platform_id, ticket_id=ticket_id)
        found = alerts.look_at(session, actor, ticket, at, POLICY)
        session.commit()
        return found


def raised(world: World) -> list[tuple[AlertKind, int]]:
    with Session(world.engine) as session:
        rows = session.execute(select(AuditAlert).order_by(col(AuditAlert.id))).scalars()
        return [(alert.kind, alert.what["count"]) for alert in rows]


def test_an_ordinary_look_up_raises_nothing(world: World, ticket: int) -> None:
    assert look(world, ticket) == []
    assert raised(world) == []


def test_more_than_so_many_within_an_hour_are_one_alert_with_their_count(world: World, ticket: int) -> None:
    for minute in range(3):
        assert look(world, ticket, at=NOON + timedelta(minutes=minute)) == []
    for minute in range(3, 6):
        assert look(world, ticket, at=NOON + timedelta(minutes=minute)) == [AlertKind.MANY_UNSEALS]
    assert raised(world) == [(AlertKind.MANY_UNSEALS, 3)]
    assert (
        look(world, ticket, login="agent", at=NOON + timedelta(minutes=6)) == []
    )  # counted for each by themselves
    assert look(world, ticket, at=NOON + timedelta(hours=2)) == []


def test_searches_count_and_reading_again_what_is_open_does_not(world: World, ticket: int) -> None:
    for _ in range(5):
        assert look(world, ticket, kind=AuditKind.UNSEALED_READ) == []
    for _ in range(3):
        look(world, ticket, kind=AuditKind.CALLER_SEARCHED)
    assert look(world, ticket, kind=AuditKind.CALLER_SEARCHED) == [AlertKind.MANY_UNSEALS]


def test_the_next_hour_is_an_alert_of_its_own(world: World, ticket: int) -> None:
    at = china("2026-03-02 22:00")
    look(world, ticket, at=at)
    look(world, ticket, at=at + timedelta(minutes=59))
    look(world, ticket, at=at + timedelta(minutes=60))
    assert raised(world) == [(AlertKind.OFF_SHIFT, 2), (AlertKind.OFF_SHIFT, 1)]


@pytest.mark.parametrize(
    ("shift", "clock", "on"),
    [
        ("07:00-21:00", "07:00:00", True),
        ("07:00-21:00", "20:59:59", True),
        ("07:00-21:00", "21:00:00", False),
        ("07:00-21:00", "06:59:59", False),
        ("20:00-08:00", "20:00:00", True),
        ("20:00-08:00", "23:59:59", True),
        ("20:00-08:00", "00:00:00", True),
        ("20:00-08:00", "07:59:59", True),
        ("20:00-08:00", "08:00:00", False),
        ("20:00-08:00", "19:59:59", False),
        ("00:00-00:00", "03:00:00", True),
    ],
)
def test_shifts_may_run_over_midnight(shift: str, clock: str, on: bool) -> None:
    assert alerts.on_shift(shift, china(f"2026-03-02 {clock}")) is on


def test_a_persons_own_shift_counts_before_the_usual_hours(world: World, ticket: int) -> None:
    night = china("2026-03-02 23:00")
    assert look(world, ticket, at=night) == [AlertKind.OFF_SHIFT]
    with Session(world.engine) as session:
        session.get_one(Person, world.people["agent"]).shift = "20:00-08:00"
        session.commit()
    assert look(world, ticket, "agent", night) == []
    assert look(world, ticket, "agent", NOON) == [AlertKind.OFF_SHIFT]


def test_a_machine_has_no_hours(world: World, ticket: int) -> None:
    machine = Actor(
        "platform_client",
        9,
        "测试系统",
        frozenset({Role.AGENT}),
        world.platforms["01"],
        home_id=world.platforms["01"],
    )
    with Session(world.engine) as session:
        row = session.get_one(Ticket, ticket)
        assert alerts.look_at(session, machine, row, china("2026-03-02 03:00"), POLICY) == []


def test_outside_ones_area_is_noticed_but_below_a_province_nothing_is(world: World, ticket: int) -> None:
    assert look(world, ticket, "b-supervisor") == [AlertKind.OUTSIDE_AREA]
    assert look(world, ticket, "p-supervisor") == []
    assert look(world, ticket, "ZJJ") == []
    with Session(world.engine) as session:
        unit = OrgUnit(
            code="ELSEWHERE",
            name="测试外县人民政府",
            level=Level.COUNTY,
            kind=UnitKind.GOVERNMENT,
            platform_id=world.platforms["01"],
            area_code="630121000000",
        )
        session.add(unit)
        session.flush()
        actor = Actor(
            "person", world.people["ZJJ"], "测试", frozenset({Role.HANDLER}), unit_id=unit.id, home_id=1
        )
        row = session.get_one(Ticket, ticket)
        assert alerts.look_at(session, actor, row, NOON, POLICY) == [AlertKind.OUTSIDE_AREA]


def test_many_refusals_raise_one_alert(world: World) -> None:
    for minute in range(12):
        with Session(world.engine) as session:
            actor = world.actor(session, "agent")
            at = NOON + timedelta(minutes=minute)
            audit.record(session, AuditKind.REFUSED, at=at, actor=actor)
            alerts.look_at_refusal(session, actor, at)
            session.commit()
    assert raised(world) == [(AlertKind.MANY_REFUSALS, 3)]


def test_an_alert_is_in_the_trail_and_in_the_outbox_of_its_platform_only(world: World, ticket: int) -> None:
    look(world, ticket, at=china("2026-03-02 22:00"))
    with Session(world.engine) as session:
        (alert,) = session.execute(select(AuditAlert)).scalars()
        kinds = [e.kind for e in session.execute(select(AuditEntry).order_by(col(AuditEntry.seq))).scalars()]
        (event,) = session.execute(
            select(OutboxEvent).where(col(OutboxEvent.type) == "audit.alert_raised")
        ).scalars()
    assert kinds == [AuditKind.UNSEALED, AuditKind.ALERT_RAISED]
    assert (event.platform_id, event.unit_id, event.ticket_id) == (world.platforms["01"], None, None)
    assert event.data == {"alert": alert.id, "kind": "off_shift"}
    assert prove(world.engine).flaws == []


def test_looks_at_once_make_one_alert(world: World, ticket: int) -> None:
    at = china("2026-03-02 22:00")
    threads = [threading.Thread(target=look, args=(world, ticket, "supervisor", at)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = dict(raised(world))
    assert found[AlertKind.OFF_SHIFT] == 8
    assert len(raised(world)) == len(found)
    assert prove(world.engine).flaws == []


def test_a_look_up_undone_raises_nothing(world: World, ticket: int) -> None:
    with Session(world.engine) as session:
        actor = world.actor(session, "supervisor")
        alerts.look_at(session, actor, session.get_one(Ticket, ticket), china("2026-03-02 22:00"), POLICY)
        session.rollback()
    assert raised(world) == []


# --- settled -----------------------------------------------------------------------------------------------------------


def conclude(world: World, login: str, alert: int = 1) -> AuditAlert:
    with Session(world.engine, expire_on_commit=False) as session:
        done = alerts.conclude(
            world.desk(session, login, NOON + timedelta(days=1)), alert, "经核实有正当用途。"
        )
        session.commit()
        return done


def test_an_alert_is_concluded_once_by_another_person(world: World, ticket: int) -> None:
    look(world, ticket, login="auditor", at=china("2026-03-02 22:00"))
    with pytest.raises(AccessRefused, match="以外的人员"):
        conclude(world, "auditor")
    with pytest.raises(NotFound):
        conclude(world, "b-auditor")
    assert conclude(world, "p-auditor").handled_by == "测试审计员p-auditor"
    with pytest.raises(OrderInvalid, match="已经处置"):
        conclude(world, "p-auditor")
    with Session(world.engine) as session:
        last = session.execute(
            select(AuditEntry).where(col(AuditEntry.kind) == AuditKind.ALERT_HANDLED)
        ).scalar_one()
    assert last.what == {"alert": 1, "kind": "off_shift"}


def test_once_concluded_the_next_look_up_is_a_new_alert(world: World, ticket: int) -> None:
    at = china("2026-03-02 22:00")
    look(world, ticket, at=at)
    conclude(world, "auditor")
    look(world, ticket, at=at + timedelta(minutes=1))
    assert raised(world) == [(AlertKind.OFF_SHIFT, 1), (AlertKind.OFF_SHIFT, 1)]
