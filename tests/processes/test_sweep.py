"""`hotline schedule` as several real processes that are killed at random: each lapse once, each reminder once, no storm."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select, text
from sqlmodel import Session, col

from hotline import casework, intake, supervision
from hotline.models import Clock, LedgerEntry
from hotline.orders import AcceptOrder, DispatchOrder
from tests.processes.hotlines import PATIENCE, Process, start
from tests.survival.lapses import chains_hold, each_lapse_once, each_reminder_once, notices_about_tickets
from tests.survival.log import Log
from tests.world import World, china, demand
from workflow.vocabulary import Act, ClockKind, Matter

pytestmark = pytest.mark.processes
SWEEPERS = 3
LEADS = ("ZJJ", "JTJ", "CGJ", "HZQ")
MATTERS = tuple(Matter)
LONG_AGO = china("2026-03-02 09:00")


def taken(world: World, session: Session, k: int, at: datetime, *, dispatched: bool) -> None:
    """One demand taken and, if so, dispatched a minute later, by the real acts at that time."""
    case = intake.take(world.desk(session, "agent", at), demand(MATTERS[k % 5]), Act.ACCEPT, AcceptOrder())
    if dispatched:
        desk = world.desk(session, "dispatcher", at + timedelta(minutes=1))
        casework.dispatch(desk, case.ticket.number, DispatchOrder(lead=LEADS[k % len(LEADS)]))


def fill(world: World, count: int, *, commit_every: int) -> None:
    """`count` demands of long ago; four in five were dispatched and never answered."""
    for first in range(0, count, commit_every):
        with Session(world.engine) as session:
            for k in range(first, min(first + commit_every, count)):
                taken(world, session, k, LONG_AGO + timedelta(minutes=k), dispatched=k % 5 != 0)
            session.commit()


def sweeper(folder: Path, url: str) -> Process:
    return start(folder, url, "schedule", HOTLINE_SWEEP_SECONDS="0.2", HOTLINE_LOG_LEVEL="WARNING")


@contextmanager
def sweeping_and_dying(folder: Path, url: str, engine: Engine) -> Iterator[list[int]]:
    """Sweepers run and die while the block runs, every other time all of them amid a transaction; then the last ones finish.

    Yields the kills, each 1 where a transaction was under way.
    """
    chance = random.Random(12345)
    running = [sweeper(folder, url) for _ in range(SWEEPERS)]
    kills: list[int] = []
    stop = threading.Event()

    def kill() -> None:
        while not stop.wait(1.5 + chance.random()):
            amid = _await_transaction(engine, stop) if len(kills) % 2 else 0
            victims = running if amid else [chance.choice(running)]
            for victim in list(victims):
                running.remove(victim)
                victim.kill()
                running.append(sweeper(folder, url))
            kills.append(amid)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield kills
        stop.set()
        killer.join()
        settled(engine)
    finally:
        stop.set()
        killer.join()
        for process in running:
            process.kill()


def _await_transaction(engine: Engine, stop: threading.Event) -> int:
    """Wait until a sweeper is amid a change; 1 then, 0 if none was seen within seconds."""
    amid = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_xid IS NOT NULL"
        " AND application_name = 'hotline' AND query ~ '(lapsed_at|next_rung_at)'"
    )
    end = time.monotonic() + 6
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while time.monotonic() < end and not stop.is_set():
            if connection.execute(amid).scalar_one():
                return 1
            time.sleep(0.002)
    return 0


def settled(engine: Engine, seconds: float = 60) -> None:
    """Wait until no clock is due and no reminder is."""
    now = datetime.now(LONG_AGO.tzinfo)
    running = (col(Clock.met_at).is_(None), col(Clock.voided_at).is_(None))
    left = select(func.count()).where(
        *running,
        (col(Clock.lapsed_at).is_(None) & (col(Clock.due_at) <= now)) | (col(Clock.next_rung_at) <= now),
    )
    end = time.monotonic() + seconds
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        while connection.execute(left).scalar_one():
            assert time.monotonic() < end, "the sweep does not come to an end"
            time.sleep(0.1)


def test_killed_sweepers_stamp_each_lapse_once_and_remind_once(
    engine: Engine, database_url: str, world: World, tmp_path: Path, survival_log: Log
) -> None:
    fill(world, 600, commit_every=100)
    with sweeping_and_dying(tmp_path / "data", database_url, engine) as kills:
        end = time.monotonic() + 20
        for k in range(600, 3000):
            with Session(engine) as session:
                taken(world, session, k, LONG_AGO + timedelta(minutes=k), dispatched=k % 5 != 0)
                session.commit()
            if time.monotonic() > end:
                break
    assert len(kills) >= 3
    assert sum(kills) >= 1, "no sweeper died amid a transaction"
    lapsed = each_lapse_once(engine)
    assert lapsed > 1000
    each_reminder_once(engine)
    chains_hold(engine)
    survival_log("sweepers killed", kills=len(kills), amid_a_transaction=sum(kills), lapses=lapsed)


def test_after_an_outage_of_months_each_unit_gets_one_notice_not_a_storm(
    engine: Engine, database_url: str, world: World, tmp_path: Path
) -> None:
    fill(world, 400, commit_every=100)
    together = [
        start(tmp_path / "data", database_url, "schedule", "--once", "--json") for _ in range(SWEEPERS)
    ]
    assert [p.popen.wait(PATIENCE) for p in together] == [0] * SWEEPERS
    again = start(tmp_path / "data", database_url, "schedule", "--once")
    assert again.popen.wait(PATIENCE) == 0
    with Session(engine) as session:
        notices = notices_about_tickets(session)
        units = {n.unit_id for n in notices}
        lapsed = session.execute(
            select(func.count()).where(col(Clock.lapsed_at).is_not(None), col(Clock.duty))
        ).scalar_one()
    assert units == {None, *(world.units[code] for code in LEADS)}
    assert len(notices) <= 2 * len(units)
    assert sum(len(n.clocks) for n in notices) == lapsed == 400
    each_reminder_once(engine)
    chains_hold(engine)


def test_each_rung_of_the_ladder_is_climbed_once_however_many_sweep(world: World, engine: Engine) -> None:
    with Session(engine) as session:
        for k in range(12):
            taken(world, session, 4 * k, LONG_AGO, dispatched=True)  # all to one unit
        session.commit()

    def sweep(at: datetime) -> int:
        with Session(engine) as session:
            supervision.lapse_due(session, world.office, at)
            session.commit()
            count = supervision.remind_overdue(session, world.office, at)
            session.commit()
            return count

    with ThreadPoolExecutor(4) as pool:
        for hour in range(0, 24 * 60, 6):  # two months in steps of six hours, four sweepers at each
            list(pool.map(sweep, [LONG_AGO + timedelta(hours=hour)] * 4))
    with Session(engine) as session:
        clocks = session.execute(select(Clock).where(col(Clock.kind) == ClockKind.REPLY)).scalars().all()
        assert len(clocks) == 12
        rungs = Counter(
            (e.ticket_id, e.payload["rung"])
            for e in session.execute(
                select(LedgerEntry).where(col(LedgerEntry.act) == Act.REMIND.value)
            ).scalars()
            if e.payload["kind"] == "reply"
        )
        assert rungs == Counter((c.ticket_id, rung) for c in clocks for rung in range(4))
        assert all(c.next_rung_at is None and c.due_at == c.original_due_at for c in clocks)
    chains_hold(engine)
