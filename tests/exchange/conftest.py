"""The small world with private targets allowed, subscriptions, acts, and deliverers of this process."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline import casework, intake
from hotline.access import SYSTEM
from hotline.case import Desk
from hotline.exchange import feed, subscriptions
from hotline.exchange.deliverer import Deliverer
from hotline.exchange.tables import Subscription
from hotline.orders import AcceptOrder, DispatchOrder, ProgressOrder, SignOrder
from hotline.organisation import OrgUnit, Platform
from tests import world as w
from tests.exchange.receiver import Receiver
from workflow.vocabulary import Act, Matter


def now() -> datetime:
    """The time of a real machine."""
    return datetime.now(UTC)


class Exchange:
    """The small world's tickets and subscribers, at the time of a clock that can be moved."""

    def __init__(self, world: w.World) -> None:
        self.world = world
        self.engine = world.engine
        world.office.policy = replace(world.office.policy, allow_private_targets=True)
        self.office = world.office
        self.ahead = timedelta()
        self.deliverers: list[Deliverer] = []

    def clock(self) -> datetime:
        """Now, as far ahead as the test has gone."""
        return now() + self.ahead

    def desk(self, session: Session, login: str) -> Desk:
        """A desk for this person now."""
        return self.world.desk(session, login, self.clock())

    @contextmanager
    def operator(self) -> Iterator[Desk]:
        """A desk of the machine's operator; commits at the end."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield Desk(session, SYSTEM, self.clock(), self.office)
            session.commit()

    def subscribe(
        self, to: Receiver | str, unit: str | None = "ZJJ", platform: str | None = None, **more: Any
    ) -> tuple[int, str]:
        """A subscription of a unit or a platform; its key and its secret."""
        url = to if isinstance(to, str) else to.url
        with self.operator() as desk:
            session = desk.session
            of_unit = session.get_one(OrgUnit, self.world.units[unit]) if unit and not platform else None
            of_platform = session.get_one(Platform, self.world.platforms[platform]) if platform else None
            made, secret = subscriptions.add(
                desk, label="测试系统", url=url, unit=of_unit, platform=of_platform, **more
            )
            return made.id, secret

    def subscription(self, key: int) -> Subscription:
        """A subscription as it stands."""
        with Session(self.engine, expire_on_commit=False) as session:
            return session.get_one(Subscription, key)

    def dispatched(self, lead: str = "ZJJ", co_units: tuple[str, ...] = (), **changes: Any) -> str:
        """A ticket accepted and dispatched in one transaction; its number."""
        with Session(self.engine, expire_on_commit=False) as session:
            desk = self.desk(session, "dispatcher")
            demand = w.demand(changes.pop("matter", Matter.INQUIRY), **changes)
            number = intake.take(desk, demand, Act.ACCEPT, AcceptOrder()).ticket.number
            casework.dispatch(desk, number, DispatchOrder(lead=lead, co_units=list(co_units)))
            session.commit()
        return number

    def sign(self, number: str, unit: str = "ZJJ") -> None:
        """The unit signs."""
        self.do(unit, lambda desk: casework.sign(desk, number, SignOrder()))

    def progress(self, number: str, times: int = 1, unit: str = "ZJJ") -> None:
        """The unit reports progress that often, each in a transaction of its own."""
        for n in range(times):
            order = ProgressOrder(content=f"进展{n}")
            self.do(unit, partial(casework.report_progress, number=number, order=order))

    def do(self, login: str, command: Callable[[Desk], Any]) -> Any:
        """One command in one transaction."""
        with Session(self.engine, expire_on_commit=False) as session:
            done = command(self.desk(session, login))
            session.commit()
            return done

    def deliverer(self, threads: int = 8) -> Deliverer:
        """Another deliverer, at work until the test ends."""
        made = Deliverer(self.engine, self.office, self.clock, threads=threads).start()
        self.deliverers.append(made)
        return made

    def sort(self) -> int:
        """Sort what is new, without a deliverer."""
        placed = 0
        while True:
            with Session(self.engine) as session:
                count = feed.sort(session, self.clock())
                session.commit()
            placed += count
            if not count:
                return placed

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """What an SQL query gives."""
        with self.engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def rows_written(self, statement: str) -> None:
        """Change rows by SQL, behind everybody's back."""
        with self.engine.begin() as connection:
            connection.execute(text(statement))

    def tried(self, times: int) -> bool:
        """Whether some delivery has been tried that often, and that is written down."""
        rows = self.rows("SELECT 1 FROM deliveries WHERE jsonb_array_length(tries) >= :n", n=times)
        return len(rows) > 0

    def states(self, subscription: int) -> dict[str, int]:
        """How many deliveries of a subscription stand in each state."""
        rows = self.rows(
            "SELECT state, count(*) FROM deliveries WHERE subscription_id = :s GROUP BY state", s=subscription
        )
        return {row.state: row.count for row in rows}


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until it has happened."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.05)


@pytest.fixture
def exchange(world: w.World) -> Iterator[Exchange]:
    """The small world, its deliverers stopped at the end."""
    made = Exchange(world)
    yield made
    for deliverer in made.deliverers:
        deliverer.stop()
