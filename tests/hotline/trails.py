"""Three days of audit entries, and what SQL may do to them."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine, text
from sqlmodel import Session

from hotline import intake
from hotline.auditing import audit, daily_heads
from hotline.auditing.chain import Algorithm
from hotline.auditing.daily_heads import Head
from hotline.auditing.proof import Flaw, prove
from hotline.case import Office
from hotline.ledger import Fault
from hotline.orders import AcceptOrder
from tests.world import World, china, demand
from workflow.vocabulary import Act, AuditKind

DAYS = ("2026-03-02", "2026-03-03", "2026-03-04")


def note(
    world: World, at: datetime, login: str = "supervisor", n: int = 1, algorithm: Algorithm | None = None
) -> None:
    for i in range(n):
        with Session(world.engine) as session:
            audit.record(
                session,
                AuditKind.FILE_READ,
                at=at + timedelta(seconds=i),
                actor=world.actor(session, login),
                what={"attachment": i},
                algorithm=algorithm,
            )
            session.commit()


def three_days(world: World) -> int:
    """Four entries on each of three days; the platform's key."""
    for day in DAYS:
        note(world, china(f"{day} 09:00"), n=4)
    return world.platforms["01"]


def tamper(engine: Engine, *statements: str, **values: Any) -> None:
    with Session(engine) as session:
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))
        for statement in statements:
            session.execute(text(statement), values)
        session.commit()


def named(flaws: list[Flaw]) -> list[tuple[str, str, int | None, Fault]]:
    return [(f.platform or "", str(f.day), f.seq, f.fault) for f in flaws]


def flaws(world: World, **more: Any) -> list[Flaw]:
    return prove(world.engine, **more).flaws


def a_ticket(world: World, at: str) -> str:
    with Session(world.engine) as session:
        case = intake.take(world.desk(session, "agent", china(at)), demand(), Act.ACCEPT, AcceptOrder())
        session.commit()
        return case.ticket.number


def sign(world: World, office: Office, at: str) -> list[Head]:
    """Sign whatever is over; the heads in the database as they are then."""
    with Session(world.engine) as session:
        while daily_heads.sign_days(session, office, china(at)):
            session.commit()
        session.commit()
        return list(daily_heads.stored(session))
