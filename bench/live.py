"""How soon what happens is on other screens, and what waking them by LISTEN/NOTIFY would cost those who commit.

python -m bench.live [--quick] [--json]

One embedded PostgreSQL in a temporary folder with its ordinary, durable settings. First 16 writers (four processes of four
connections) each commit an outbox row at a time, by turns without and with a `pg_notify` in the transaction and one listener: what a
NOTIFY takes from the commits. Then a real `hotline serve` (which tails the feed, sweeps and delivers) has 50 streams of
`GET /api/v1/live` open, 30 of platforms' people and 20 of four units', read by one client process; real `desk.act` transactions are
committed at 100 a second for 30 s, and each event's arrival at each stream that may see it is compared with its commit, on one machine's
clock. Every event must arrive at every stream that may see it and at no other, in order. --quick commits for 8 s.

Exits 1 where p95 from commit to a screen is over 500 ms, or where anything is missing, out of order, or told to whom it is not for.
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
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import make_url
from sqlmodel import Session

from bench.outbox import HOTLINE, Stage, free_port, new_ticket, progress
from hotline import reference
from hotline.office import open_office
from hotline.organisation import OrgUnit, Platform
from hotline.people import accounts
from hotline.settings import Settings
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from workflow.vocabulary import Level, Role, UnitKind

MUST_P95_MS, AIM_P95_MS = 500, 200
RATE, SECONDS, SECONDS_QUICK = 100, 30, 8
ROUNDS, ROUND_SECONDS, ROUNDS_QUICK, ROUND_SECONDS_QUICK = 3, 4.0, 2, 1.2
UNITS, OF_PLATFORM, OF_EACH_UNIT, EACH = 4, 10, 5, 3
WRITER_PROCESSES, WRITER_THREADS = 4, 4


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="8 s of acts: under 45 s")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    folder.chmod(0o755)
    processes: list[subprocess.Popen[bytes]] = []
    try:
        stage, tokens = set_up(folder)
        notify = cost_of_notify(stage.url, quick=options.quick)
        pace = keep_pace(stage, tokens, processes, SECONDS_QUICK if options.quick else SECONDS)
        stage.engine.dispose()
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        embedded.stop(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)
    figures = summed_up(notify, pace, quick=options.quick)
    if not options.json:
        print_table(figures)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def set_up(folder: Path) -> tuple[Stage, dict[str, list[str]]]:
    """A migrated database with one platform, four units, and the tokens of those who watch, by unit's code (`` for the platform)."""
    server = embedded.find_or_start(folder / "server")
    migrate(server)
    settings = Settings(data_dir=folder / "data")
    engine, office = make_engine(server, pool_size=8), open_office(settings)
    with Session(engine, expire_on_commit=False) as session:
        reference.load_shipped(session)
        platform = accounts.add_platform(
            session, code="01", name="测试市12345热线", short_name="测试热线", level=Level.PREFECTURE,
            area_code="630100000000",
        )  # fmt: skip
        units = [
            OrgUnit(
                code=f"T{n}", name=f"测试单位{n}", level=Level.PREFECTURE, kind=UnitKind.DEPARTMENT,
                platform_id=platform.id, area_code="630104000000",
            )
            for n in range(UNITS)
        ]  # fmt: skip
        session.add_all(units)
        session.flush()
        tokens: dict[str, list[str]] = defaultdict(list)
        for n in range(OF_PLATFORM):
            tokens[""] += [_token(session, f"p{n}", Role.DISPATCHER, platform=platform)] * EACH
        for unit in units:
            for n in range(OF_EACH_UNIT):
                tokens[unit.code].append(_token(session, f"{unit.code}-{n}", Role.HANDLER, unit=unit))
        session.commit()
    return Stage(folder, server, engine, office, units, platform, folder / "arrivals", ""), tokens


def _token(
    session: Session, login: str, role: Role, *, platform: Platform | None = None, unit: OrgUnit | None = None
) -> str:
    person = accounts.add_person(
        session, login=login, name=f"测试{login}", roles=[role], platform=platform, unit=unit
    )
    return accounts.issue_token(session, label="测试", at=datetime.now(UTC), person=person)


# --- what a NOTIFY costs -------------------------------------------------------------------------------------------------


def cost_of_notify(url: str, *, quick: bool) -> dict[str, float]:
    """Commits a second of 16 writers, without and with a NOTIFY, by turns; the medians."""
    rounds, seconds = (ROUNDS_QUICK, ROUND_SECONDS_QUICK) if quick else (ROUNDS, ROUND_SECONDS)
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE bench_outbox (id bigserial PRIMARY KEY, at timestamptz, data jsonb)")
        connection.execute("LISTEN hotline")
        counted: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(rounds):
            for notifying in (False, True):
                counted[notifying].append(_commits_a_second(dsn, seconds, notifying=notifying))
        connection.execute("DROP TABLE bench_outbox")
    plain, told = statistics.median(counted[False]), statistics.median(counted[True])
    return {"commits_per_second": plain, "with_notify": told, "share_left": told / plain}


_WRITER = """
import sys, threading, time
import psycopg
dsn, seconds, notifying, threads = sys.argv[1], float(sys.argv[2]), sys.argv[3] == "1", int(sys.argv[4])
connections = [psycopg.connect(dsn) for _ in range(threads)]
counts = [0] * threads
print("ready", flush=True)
sys.stdin.readline()
end = time.monotonic() + seconds
def write(number):
    connection = connections[number]
    row = "INSERT INTO bench_outbox (at, data) VALUES (now(), %s)"
    while time.monotonic() < end:
        connection.execute(row, ('{"number": "012603020000019", "state": "handling", "version": 3}',))
        if notifying:
            connection.execute("SELECT pg_notify('hotline', '')")
        connection.commit()
        counts[number] += 1
writers = [threading.Thread(target=write, args=(n,)) for n in range(threads)]
for writer in writers: writer.start()
for writer in writers: writer.join()
print(sum(counts), flush=True)
"""


def _commits_a_second(dsn: str, seconds: float, *, notifying: bool) -> float:
    arguments = [dsn, str(seconds), "1" if notifying else "0", str(WRITER_THREADS)]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(WRITER_PROCESSES)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    told = []
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.stdout is not None
        told.append(int(writer.stdout.readline()))
        writer.wait()
    return sum(told) / seconds


# --- commit to screen ------------------------------------------------------------------------------------------------------

_CLIENTS = """
import asyncio, json, os, sys, time
told = []
async def watch(name, token, port):
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
    writer.write(f"GET /api/v1/live HTTP/1.1\\r\\nhost: 127.0.0.1\\r\\nauthorization: Bearer {token}\\r\\n\\r\\n".encode())
    kind = b""
    while line := await reader.readline():
        if line.startswith(b"event: "):
            kind = line
        elif line.startswith(b"data: "):
            if b"ready" in kind:
                ready.append(name)
            told.append((time.time(), name, line))
ready = []
async def main():
    watchers = json.load(open(os.environ["WATCHERS"]))
    tasks = [asyncio.create_task(watch(n, token, int(os.environ["PORT"]))) for n, token in enumerate(watchers)]
    while len(ready) < len(watchers):
        await asyncio.sleep(0.05)
    print("ready", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    with open(os.environ["ARRIVALS"], "w") as out:
        for at, name, line in told:
            out.write(f"{at} {name} {line[6:].decode()}")
    print("written", flush=True)
    os._exit(0)
asyncio.run(main())
"""


def keep_pace(
    stage: Stage,
    tokens: dict[str, list[str]],
    processes: list[subprocess.Popen[bytes]],
    seconds: int,
    writers: int = 8,
) -> dict[str, Any]:
    """Commit RATE acts a second and compare each event's arrival at each stream with its commit."""
    watchers = [(unit, token) for unit, each in tokens.items() for token in each]
    port = serve(stage, processes)
    tickets = [(new_ticket(stage, stage.units[n % UNITS]), stage.units[n % UNITS]) for n in range(64)]
    clients = open_streams(stage, processes, watchers, port)
    acts = seconds * RATE
    committed: list[dict[tuple[str, int], float]] = [{} for _ in range(writers)]
    began = time.monotonic()

    def write(writer: int) -> None:
        for n in range(writer, acts, writers):
            time.sleep(max(0.0, began + n / RATE - time.monotonic()))
            number, unit = tickets[n % len(tickets)]  # of one ticket it is always the same writer
            version = progress(stage, number, unit)
            committed[writer][number, version] = time.time()

    threads = [threading.Thread(target=write, args=(n,)) for n in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    time.sleep(2)
    assert clients.stdin is not None
    assert clients.stdout is not None
    clients.stdin.write(b"\n")
    clients.stdin.flush()
    assert clients.stdout.readline() == b"written\n"
    at = {name: when for each in committed for name, when in each.items()}
    return {"acts": acts, "acts_per_second": acts / took} | compared(stage, watchers, dict(tickets), at)


def serve(stage: Stage, processes: list[subprocess.Popen[bytes]]) -> int:
    """A real `hotline serve`; its port."""
    port = free_port()
    own = {
        "HOTLINE_DATABASE_URL": stage.url,
        "HOTLINE_DATA_DIR": str(stage.folder / "data"),
        "HOTLINE_LOG_LEVEL": "WARNING",
    }
    command = [str(HOTLINE), "serve", "--port", str(port)]
    processes.append(
        subprocess.Popen(command, env=os.environ | own, start_new_session=True, stdout=subprocess.DEVNULL)
    )
    return port


def open_streams(
    stage: Stage, processes: list[subprocess.Popen[bytes]], watchers: list[tuple[str, str]], port: int
) -> subprocess.Popen[bytes]:
    """The client process, once all its streams are open."""
    (stage.folder / "watchers.json").write_text(json.dumps([token for _, token in watchers]))
    (stage.folder / "bench_clients.py").write_text(_CLIENTS)
    own = {
        "WATCHERS": str(stage.folder / "watchers.json"),
        "ARRIVALS": str(stage.arrivals),
        "PORT": str(port),
    }
    wait_until_up(port)
    clients = subprocess.Popen(
        [sys.executable, stage.folder / "bench_clients.py"],
        env=os.environ | own,
        start_new_session=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    processes.append(clients)
    assert clients.stdout is not None
    if clients.stdout.readline() != b"ready\n":
        raise RuntimeError("the streams did not open")
    return clients


def wait_until_up(port: int) -> None:
    """Until the server listens."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        with suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.2)
    raise TimeoutError("the server did not come up")


def compared(
    stage: Stage,
    watchers: list[tuple[str, str]],
    units: dict[str, OrgUnit],
    committed: dict[tuple[str, int], float],
) -> dict[str, Any]:
    """Arrivals against commits: how late, what is missing, what was not for that stream, what is out of order."""
    late: list[float] = []
    missing = strange = 0
    disorder = 0
    came: dict[int, dict[tuple[str, int], float]] = defaultdict(dict)
    last: dict[tuple[int, str], int] = {}
    for line in stage.arrivals.read_text().splitlines():
        at, name, told = line.split(" ", 2)
        data = json.loads(told)
        if "version" not in data:
            continue
        watcher, number, version = int(name), data["number"], data["version"]
        came[watcher].setdefault((number, version), float(at))
        disorder += version < last.get((watcher, number), 0)
        last[watcher, number] = version
        unit = watchers[watcher][0]
        strange += bool(unit) and units[number].code != unit
    for watcher, (unit, _) in enumerate(watchers):
        for (number, version), at_commit in committed.items():
            if unit and units[number].code != unit:
                continue
            arrived = came[watcher].get((number, version))
            if arrived is None:
                missing += 1
            else:
                late.append(max(0.0, 1000 * (arrived - at_commit)))
    return {
        "streams": len(watchers),
        "arrivals": len(late),
        "missing": missing,
        "not_for_them": strange,
        "out_of_order": disorder,
        "p50_ms": statistics.median(late),
        "p95_ms": statistics.quantiles(late, n=20)[18],
        "p99_ms": statistics.quantiles(late, n=100)[98],
        "most_ms": max(late),
    }


# --- what is told ------------------------------------------------------------------------------------------------------


def summed_up(notify: dict[str, float], pace: dict[str, Any], *, quick: bool) -> dict[str, Any]:
    rounded = {name: round(value, 1) if isinstance(value, float) else value for name, value in pace.items()}
    whole = not (pace["missing"] or pace["not_for_them"] or pace["out_of_order"])
    return {
        "bench": "live",
        "quick": quick,
        "commits_per_second": round(notify["commits_per_second"]),
        "commits_per_second_with_notify": round(notify["with_notify"]),
        "share_left_by_notify": round(notify["share_left"], 2),
        "pace": rounded,
        "must_p95_ms": MUST_P95_MS,
        "aim_p95_ms": AIM_P95_MS,
        "aim_met": pace["p95_ms"] <= AIM_P95_MS,
        "nothing_missing_or_strange": whole,
        "must_met": whole and pace["p95_ms"] <= MUST_P95_MS,
    }


def print_table(figures: dict[str, Any]) -> None:
    pace = figures["pace"]
    print(f"{'commits a second, 16 writers':<36}{figures['commits_per_second']:>10,}")
    print(
        f"{'the same, each with a NOTIFY':<36}{figures['commits_per_second_with_notify']:>10,}   {figures['share_left_by_notify']:.0%} left"
    )
    print(f"{'acts a second':<36}{pace['acts_per_second']:>10,}")
    print(f"{'streams, arrivals':<36}{pace['streams']:>10,}   {pace['arrivals']:,}")
    for name in ("p50_ms", "p95_ms", "p99_ms", "most_ms"):
        must = f"   must {MUST_P95_MS}" if name == "p95_ms" else ""
        print(f"{'commit to screen, ' + name.replace('_ms', '') + ' (ms)':<36}{pace[name]:>10,}{must}")
    print(
        f"missing: {pace['missing']}   not for them: {pace['not_for_them']}   out of order: {pace['out_of_order']}"
    )


if __name__ == "__main__":
    sys.exit(main())
