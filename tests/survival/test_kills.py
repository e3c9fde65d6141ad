"""kill -9 of server, worker, ticker and database, at random, under load: nothing acknowledged is lost, nothing is half done.

A real `hotline serve --workers 2` with the product's own embedded PostgreSQL, a real `hotline schedule` beside it, a receiver of
events. What is killed is started again as a service manager would; the database is started again by the product itself.
"""

import contextlib
import random
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline import ledger
from hotline.models import Ticket
from tests.exchange.receiver import Receiver, receiving
from tests.processes.hotlines import PATIENCE
from tests.processes.test_sweep import settled, taken
from tests.survival.afterwards import all_is_well
from tests.survival.installation import Installation
from tests.survival.lapses import each_lapse_once, each_reminder_once
from tests.survival.log import Log, rounds
from tests.survival.patience import ACTS, Clients
from tests.survival.telling import each_delivered, subscribe, verifying, wait_until_delivered
from tests.world import World

pytestmark = [pytest.mark.processes, pytest.mark.postgres]
KILLS = rounds(8)
OVERDUE = 200
"""Demands whose time runs out meanwhile."""
VICTIMS = ("server", "worker", "ticker", "database")


def _registered(world: World) -> datetime:
    """Register demands of almost 24 hours ago, none dispatched: their time for that (art. 14(2)) ends one after the other while
    processes die. When the last one ends. They are all there before a ticker signs that day."""
    first = datetime.now(UTC) - timedelta(hours=24) + timedelta(seconds=30)
    apart = timedelta(seconds=max(2.0, 6.0 * KILLS / 25) / 8)
    with Session(world.engine) as session:
        for k in range(OVERDUE):
            taken(world, session, k, first + k * apart, dispatched=False)
        session.commit()
    return first + OVERDUE * apart + timedelta(hours=24)


@pytest.mark.timeout(300 + 40 * KILLS)
def test_whatever_is_killed_nothing_acknowledged_is_lost_and_nothing_half_done(
    installation: Installation, survival_log: Log
) -> None:
    began = time.monotonic()
    world = installation.world
    last, since = _registered(world), datetime.now(UTC)
    secrets: dict[str, str] = {}
    with receiving(verifying(secrets, "ZJJ")) as receiver:
        secrets |= subscribe(world, {"ZJJ": receiver.url})
        for name in ("server", "ticker"):
            installation.start(name)
        installation.ready()
        clients = Clients(installation.address, world.tokens)
        finish = clients.start(4)
        _kill_at_random(installation, clients)
        installation.ready()
        finish()
        world.engine.dispose()  # its connections are to a database that died
        time.sleep(max(0.0, (last - datetime.now(UTC)).total_seconds()))
        settled(world.engine)
        wait_until_delivered(world.engine)
        counts = _nothing_lost(installation, clients, receiver, since)
        all_is_well(installation.home, world.engine.url.render_as_string(hide_password=False))
    survival_log(
        "killed at random under load",
        kills=sum(installation.killed.values()),
        of_them=dict(sorted(installation.killed.items())),
        ended_while_starting=installation.ended_early,
        acts_acknowledged=len(clients.acknowledged),
        acts_sent_again=sum(clients.repeated.values()),
        **counts,
        seconds=round(time.monotonic() - began),
    )


def _kill_at_random(installation: Installation, clients: Clients) -> None:
    chance = random.Random(12345)
    for turn in range(KILLS):
        victim = VICTIMS[turn % 4] if turn < 8 else chance.choice(VICTIMS)
        if victim != "ticker" or chance.random() < 0.5:
            installation.ready()  # else it may be killed while it is only starting
            _await_acts(clients, chance.randint(2, 20))
            time.sleep(chance.random() * 0.2)
        assert not clients.wrong, (clients.wrong[:3], installation.logs())
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, IndexError):  # it is dead already
            installation.kill(victim)


def _await_acts(clients: Clients, count: int) -> None:
    """Until so many more acts are acknowledged: what is killed is killed under load."""
    wanted, end = len(clients.acknowledged) + count, time.monotonic() + PATIENCE
    while len(clients.acknowledged) < wanted and not clients.wrong:
        assert time.monotonic() < end, "a server that is ready does nothing"
        time.sleep(0.01)


def _nothing_lost(
    installation: Installation, clients: Clients, receiver: Receiver, since: datetime
) -> dict[str, int]:
    assert not clients.wrong, clients.wrong[:3]
    assert clients.repeated.total(), "no act was under way when something died"
    world = installation.world
    told = Counter(number for number, _, _ in clients.acknowledged)
    with Session(world.engine) as session:
        tickets = session.execute(select(Ticket).where(col(Ticket.received_at) > since))
        lived = {ticket.number: ticket for ticket in tickets.scalars()}
        assert set(lived) == set(told), "a demand was registered twice, or lost"
        for number, ticket in lived.items():
            entries = ledger.entries_of(session, ticket.id)
            assert tuple(entry.act for entry in entries) == ACTS, number
            assert (ticket.version, told[number]) == (len(ACTS), len(ACTS))
    assert sorted(clients.acknowledged) == sorted(
        (number, version, act) for number in lived for version, act in enumerate(ACTS, 1)
    )
    lapses = each_lapse_once(world.engine, as_of=datetime.now(UTC))
    reminders = each_reminder_once(world.engine, rung=0)
    assert lapses == reminders == OVERDUE
    return {"tickets": len(lived), "lapses": lapses, "reminders": reminders} | each_delivered(
        world, "ZJJ", receiver
    )
