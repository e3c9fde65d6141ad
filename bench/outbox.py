"""How fast and how soon events reach a subscriber: deliveries a second, and from a commit to the receiver at 100 acts a second.

python -m bench.outbox [--quick] [--json]

One embedded PostgreSQL in a temporary folder with its ordinary, durable settings; a receiver (a process of its own, uvicorn) that
reads each request whole and checks its signature with the standardwebhooks library; deliverers are real `hotline deliver`
processes. First a backlog of 20,000 events (2,000 tickets of ten) is written with nobody delivering, then one deliverer is started
and timed from the first arrival to the last. Then, with an empty queue, real `desk.act` transactions are committed at 100 a second
for 30 s (over HTTP they would only come slower) and each event's arrival is compared with its commit, on one machine's clock.
In both parts every event must arrive, in order of its ticket, rightly signed. `sender_alone_per_second` is what the same sender does to the same
receiver with no database behind it. --quick takes 4,000 events and 8 s.

Exits 1 under 500 deliveries a second, where p95 from commit to arrival is over 1 s, or where anything is lost or out of order.
"""

import argparse
import json
import logging
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text
from sqlmodel import Session

from hotline import casework, intake, reference
from hotline.access import SYSTEM, Actor
from hotline.case import Desk, Office
from hotline.exchange import subscriptions
from hotline.exchange.wire import Lines
from hotline.office import open_office
from hotline.orders import AcceptOrder, Demand, DispatchOrder, ProgressOrder
from hotline.organisation import OrgUnit, Platform
from hotline.people import accounts
from hotline.settings import Settings
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from workflow.vocabulary import Act, Level, Role, UnitKind

MUST_PER_SECOND, AIM_P95_MS, MUST_P95_MS = 500, 200, 1000
TICKETS, TICKETS_QUICK, EACH = 2_000, 400, 10
RATE, SECONDS, SECONDS_QUICK = 100, 30, 8
UNITS = 4
HOTLINE = Path(sys.executable).with_name("hotline")


@dataclass
class Stage:
    """The database, the units' subscriptions and the receiver."""

    folder: Path
    url: str
    engine: Engine
    office: Office
    units: list[OrgUnit]
    platform: Platform
    arrivals: Path
    address: str


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="4,000 events, 8 s: under 45 s")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    folder.chmod(0o755)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        figures = measured(folder, processes, quick=options.quick, silent=options.json)
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        embedded.stop(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def measured(
    folder: Path, processes: list[subprocess.Popen[bytes]], *, quick: bool, silent: bool
) -> dict[str, Any]:
    stage = set_up(folder, processes)
    limit = sender_alone(stage)
    backlog = drain(stage, processes, TICKETS_QUICK if quick else TICKETS)
    pace = keep_pace(stage, SECONDS_QUICK if quick else SECONDS)
    stage.engine.dispose()
    figures = summed_up(limit, backlog, pace, quick=quick)
    if not silent:
        print_table(figures)
    return figures


# --- the stage ---------------------------------------------------------------------------------------------------------

_RECEIVER = """
import json, os, time
from standardwebhooks import Webhook
hook = Webhook(os.environ["SECRET"])
out = open(os.environ["ARRIVALS"], "a", buffering=1 << 16)
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    at = time.time()
    if scope["path"] == "/flush":
        out.flush()
    elif scope["path"] == "/hotline":
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        event = hook.verify(body, headers)
        out.write(f"{at} {event['id']} {event['subject']} {event['sequence']} {event['data']['version']}\\n")
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
"""


def set_up(folder: Path, processes: list[subprocess.Popen[bytes]]) -> Stage:
    """A migrated database with one platform, four units subscribed under one secret, and a receiver that answers."""
    server = embedded.find_or_start(folder / "server")
    migrate(server)
    settings = Settings(data_dir=folder / "data", allow_private_targets=True)
    engine, office = make_engine(server, pool_size=8), open_office(settings)
    (folder / "bench_receiver.py").write_text(_RECEIVER)
    arrivals, port = folder / "arrivals", free_port()
    address = f"http://127.0.0.1:{port}"
    with Session(engine, expire_on_commit=False) as session:
        reference.load_shipped(session)
        platform = accounts.add_platform(
            session,
            code="01",
            name="测试市12345热线",
            short_name="测试热线",
            level=Level.PREFECTURE,
            area_code="630100000000",
        )
        units = [
            OrgUnit(
                code=f"T{n}", name=f"测试单位{n}", level=Level.PREFECTURE, kind=UnitKind.DEPARTMENT,
                platform_id=platform.id, area_code="630104000000",
            )
            for n in range(UNITS)
        ]  # fmt: skip
        session.add_all(units)
        session.flush()
        desk = Desk(session, SYSTEM, datetime.now(UTC), office)
        secret = None
        for unit in units:
            _, secret = subscriptions.add(
                desk, label="测试系统", url=f"{address}/hotline", unit=unit, secret=secret
            )
        session.commit()
    assert secret is not None
    environment = os.environ | {"SECRET": secret, "ARRIVALS": str(arrivals)}
    command = [sys.executable, "-m", "uvicorn", "bench_receiver:app", "--port", str(port), "--no-access-log"]
    processes.append(
        subprocess.Popen(
            [*command, "--log-level", "warning"], cwd=folder, env=environment, start_new_session=True
        )
    )
    stage = Stage(folder, server, engine, office, units, platform, arrivals, address)
    for _ in range(200):
        with suppress(Exception):
            flush(stage)
            break
        time.sleep(0.05)
    return stage


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def flush(stage: Stage) -> None:
    """Have the receiver write down what came."""
    lines = Lines(allow_private=True)
    lines.send("POST", f"{stage.address}/flush", headers={})
    lines.close()


def deliverer(stage: Stage) -> subprocess.Popen[bytes]:
    """A real `hotline deliver`."""
    own = {
        "HOTLINE_DATABASE_URL": stage.url,
        "HOTLINE_DATA_DIR": str(stage.folder / "data"),
        "HOTLINE_ALLOW_PRIVATE_TARGETS": "true",
        "HOTLINE_LOG_LEVEL": "WARNING",
    }
    return subprocess.Popen(
        [HOTLINE, "deliver"], env=os.environ | own, start_new_session=True, stdout=subprocess.DEVNULL
    )


# --- what is done ------------------------------------------------------------------------------------------------------


def desk_of(stage: Stage, session: Session, unit: OrgUnit | None = None) -> Desk:
    """A desk of the platform's dispatcher, or of a unit's handler."""
    if unit is not None:
        actor = Actor("unit_machine", 1, "测试接口", frozenset({Role.HANDLER}), unit_id=unit.id)
    else:
        own = frozenset({stage.platform.id})
        roles = frozenset({Role.AGENT, Role.DISPATCHER})
        actor = Actor("person", None, "测试派单", roles, stage.platform.id, platform_ids=own)
    return Desk(session, actor, datetime.now(UTC), stage.office)


def demand() -> Demand:
    return Demand.model_validate(
        {
            "channel": "phone",
            "matter": "help",
            "category": "010101",
            "area": "630104000000",
            "title": "暖气不热",
            "content": "测试来电：家中暖气不热，室温只有14度。",
        }
    )


def new_ticket(stage: Stage, unit: OrgUnit) -> str:
    """A ticket dispatched to a unit."""
    with Session(stage.engine, expire_on_commit=False) as session:
        desk = desk_of(stage, session)
        number = intake.take(desk, demand(), Act.ACCEPT, AcceptOrder()).ticket.number
        casework.dispatch(desk, number, DispatchOrder(lead=unit.code))
        session.commit()
    return number


def progress(stage: Stage, number: str, unit: OrgUnit) -> int:
    """One act, committed; the ticket's version."""
    with Session(stage.engine, expire_on_commit=False) as session:
        order = ProgressOrder(content="进展。")
        case = casework.report_progress(desk_of(stage, session, unit), number, order)
        session.commit()
        return case.ticket.version


# --- the sender alone --------------------------------------------------------------------------------------------------


def sender_alone(stage: Stage, count: int = 2000, threads: int = 16) -> float:
    """Requests a second with no database: what this machine and its receiver allow."""
    body = b"x" * 800
    left = [count // threads] * threads

    def send(number: int) -> None:
        lines = Lines(allow_private=True)
        for _ in range(left[number]):
            lines.send("POST", f"{stage.address}/nothing", headers={}, body=body, whole=False)
        lines.close()

    began = time.perf_counter()
    workers = [threading.Thread(target=send, args=(n,)) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(left) / (time.perf_counter() - began)


# --- a backlog ---------------------------------------------------------------------------------------------------------


def drain(stage: Stage, processes: list[subprocess.Popen[bytes]], tickets: int) -> dict[str, Any]:
    """Write a backlog, start one deliverer, and time it. The events are copies of a real ticket's, under each ticket's number."""
    for number in range(tickets):
        unit = stage.units[number % UNITS]
        if number < UNITS:
            new_ticket(stage, unit)
    with stage.engine.begin() as connection:
        columns = [
            name
            for name in connection.execute(text(_COLUMNS)).scalars()
            if name not in ("id", "number", "ledger_head")
        ]
        listed = ", ".join(columns)
        connection.execute(text(_TICKETS.format(columns=listed)), {"tickets": tickets, "units": UNITS})
        connection.execute(text(_BACKLOG), {"each": EACH, "units": UNITS})
        expected = connection.execute(text(_EXPECTED)).scalar_one()
    processes.append(deliverer(stage))
    wait_until_done(stage, expected, 240)
    told = arrivals(stage)
    at = sorted(each[0] for each in told.values())
    cut = len(at) // 20  # starting up and the last few do not count
    rate = (len(at) - 2 * cut) / (at[-cut - 1] - at[cut])
    return {"events": expected, "arrived": len(told), "per_second": rate, "in_order": in_order(stage)}


_COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = 'tickets'"
_TICKETS = """
INSERT INTO tickets (number, ledger_head, {columns})
SELECT lpad(k::text, 15, '0'), '', {columns}
FROM generate_series(1, CAST(:tickets AS int)) k, (SELECT * FROM tickets ORDER BY id LIMIT 1) t
"""
_BACKLOG = """
INSERT INTO outbox (ticket_id, ticket_seq, type, platform_id, unit_id, data, occurred_at, echo)
SELECT t.id, n, o.type, o.platform_id, o.unit_id, o.data || jsonb_build_object('number', t.number), o.occurred_at, false
FROM generate_series(1, CAST(:each AS int)) n, tickets t,
    (SELECT *, row_number() OVER (ORDER BY id) AS place FROM outbox WHERE type = 'ticket.dispatched') o
WHERE t.ledger_head = '' AND o.place = 1 + t.id % CAST(:units AS int)
ORDER BY n, t.id
"""
_EXPECTED = "SELECT count(*) FROM outbox WHERE unit_id IS NOT NULL"


def wait_until_done(stage: Stage, expected: int, seconds: float) -> None:
    """Until nothing waits any more."""
    end = time.monotonic() + seconds
    done = "SELECT count(*) FROM deliveries WHERE state = 'delivered'"
    while time.monotonic() < end:
        with stage.engine.connect() as connection:
            if connection.execute(text(done)).scalar_one() >= expected:
                break
        time.sleep(0.1)
    flush(stage)


def arrivals(stage: Stage) -> dict[str, tuple[float, str, str, str]]:
    """Each event's first arrival: when, its ticket, its sequence, the ticket's version."""
    told: dict[str, tuple[float, str, str, str]] = {}
    for line in stage.arrivals.read_text().splitlines():
        at, event, subject, sequence, version = line.split(" ")
        told.setdefault(event, (float(at), subject, sequence, version))
    return told


def in_order(stage: Stage) -> bool:
    """Whether of each ticket the events came in the order of their sequence."""
    by_ticket: dict[str, list[str]] = defaultdict(list)
    for _, subject, sequence, _ in arrivals(stage).values():
        by_ticket[subject].append(sequence)
    return all(sequences == sorted(sequences) for sequences in by_ticket.values())


# --- at the pace of acts -----------------------------------------------------------------------------------------------


def keep_pace(stage: Stage, seconds: int, writers: int = 8) -> dict[str, Any]:
    """Commit RATE acts a second and compare each event's arrival with its commit."""
    tickets = [(new_ticket(stage, stage.units[n % UNITS]), stage.units[n % UNITS]) for n in range(64)]
    with stage.engine.connect() as connection:
        expected = connection.execute(text(_EXPECTED)).scalar_one()
    wait_until_done(stage, expected, 60)
    acts = seconds * RATE
    committed: list[dict[tuple[str, str], float]] = [{} for _ in range(writers)]
    began = time.monotonic()

    def write(writer: int) -> None:
        for n in range(writer, acts, writers):
            time.sleep(max(0.0, began + n / RATE - time.monotonic()))
            number, unit = tickets[n % len(tickets)]  # of one ticket it is always the same writer
            version = progress(stage, number, unit)
            committed[writer][number, str(version)] = time.time()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    wait_until_done(stage, expected + acts, 60)
    arrived = {(subject, version): at for at, subject, _, version in arrivals(stage).values()}
    late = [
        max(0.0, 1000 * (arrived[name] - at))
        for each in committed
        for name, at in each.items()
        if name in arrived
    ]
    return {
        "acts": acts,
        "acts_per_second": acts / took,
        "arrived": len(late),
        "p50_ms": statistics.median(late),
        "p95_ms": statistics.quantiles(late, n=20)[18],
        "p99_ms": statistics.quantiles(late, n=100)[98],
        "most_ms": max(late),
        "in_order": in_order(stage),
    }


# --- what is told ------------------------------------------------------------------------------------------------------


def summed_up(limit: float, backlog: dict[str, Any], pace: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    whole = backlog["arrived"] == backlog["events"] and pace["arrived"] == pace["acts"]
    orderly = backlog["in_order"] and pace["in_order"]
    fast = backlog["per_second"] >= MUST_PER_SECOND and pace["p95_ms"] <= MUST_P95_MS
    rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in pace.items()}
    return {
        "bench": "outbox",
        "quick": quick,
        "deliveries_per_second": round(backlog["per_second"]),
        "must_per_second": MUST_PER_SECOND,
        "sender_alone_per_second": round(limit),
        "share_of_sender_alone": round(backlog["per_second"] / limit, 2),
        "backlog": backlog["events"],
        "pace": rounded,
        "must_p95_ms": MUST_P95_MS,
        "aim_p95_ms": AIM_P95_MS,
        "aim_met": pace["p95_ms"] <= AIM_P95_MS,
        "nothing_lost": whole,
        "in_order": orderly,
        "must_met": whole and orderly and fast,
    }


def print_table(figures: dict[str, Any]) -> None:
    pace = figures["pace"]
    print(f"{'deliveries a second':<34}{figures['deliveries_per_second']:>10,}   must {MUST_PER_SECOND}")
    print(f"{'the sender alone':<34}{figures['sender_alone_per_second']:>10,}")
    print(f"{'acts a second':<34}{pace['acts_per_second']:>10,}")
    for name in ("p50_ms", "p95_ms", "p99_ms", "most_ms"):
        print(f"{'commit to arrival, ' + name.replace('_ms', '') + ' (ms)':<34}{pace[name]:>10,}")
    print(f"nothing lost: {figures['nothing_lost']}   in order: {figures['in_order']}")


if __name__ == "__main__":
    sys.exit(main())
