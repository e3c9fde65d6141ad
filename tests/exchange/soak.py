"""`python -m tests.exchange.soak --tickets 10000 --kills 50`: nothing is lost between a hotline that is killed and a unit that fails.

A PostgreSQL of its own with durable settings, one real `hotline serve` (which delivers too), two real `hotline deliver`, and a real
receiver that fails 30 % of the time. Tickets are taken and worked on over HTTP, each act repeated under its Idempotency-Key until it
is acknowledged, while one of the three processes after the other is killed (kill -9) at random and started again. At the end every
event that is due to a subscription must have been taken by its receiver, of each ticket in order, rightly signed; every
acknowledged act must have its event; what came twice must have come under the same id with the same bytes.

Back-off waits are cut to a second, so that the run need not wait hours for the unlucky; leases are not: what a killed deliverer held
waits until its lease is over. Exits 1 where anything is missing, out of order or wrongly signed.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from hotline.access import SYSTEM
from hotline.case import Desk
from hotline.exchange import subscriptions
from hotline.exchange.envelopes import kinds_for
from hotline.exchange.wire import Lines, SendFailed
from hotline.organisation import OrgUnit, Platform
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from tests import world as w
from tests.processes.hotlines import Process, free_port, start

ROOT = Path(__file__).parents[2]
UNITS = ("ZJJ", "JTJ", "CGJ", "HZQ")
TO_PLATFORM = ("ticket.accepted", "ticket.withdrawn")
FAILING = 0.3
CLIENTS = 8
ALLOWED = {
    "HOTLINE_ALLOW_PRIVATE_TARGETS": "true",
    "HOTLINE_LOG_LEVEL": "WARNING",
    "HOTLINE_REQUESTS_PER_MINUTE": "1000000",
}


@dataclass
class Soak:
    """One run: the world, its processes, what was acknowledged, and what went wrong in the driving itself."""

    world: w.World
    folder: Path
    tickets: int
    kills: int
    end: float
    port: int = field(default_factory=free_port)
    receiver: str = ""
    running: dict[str, Process] = field(default_factory=dict)
    killed: Counter[str] = field(default_factory=Counter)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    say: Callable[[str], None] = lambda _: None

    @property
    def url(self) -> str:
        return self.world.engine.url.render_as_string(hide_password=False)

    def rows(self, statement: str, **values: Any) -> list[Any]:
        with self.world.engine.connect() as connection:
            return list(connection.execute(text(statement), values))

    def out_of_time(self) -> bool:
        return time.monotonic() > self.end


def run(soak: Soak) -> dict[str, Any]:
    """The whole of it; the figures."""
    office = soak.world.office
    office.policy = replace(office.policy, allow_private_targets=True)
    began = time.monotonic()
    receiver = _receive(soak)
    threads: list[threading.Thread] = []
    try:
        _subscribe(soak)
        for name in ("serve", "deliver 1", "deliver 2"):
            _start(soak, name)
        threads = [
            threading.Thread(target=_hurry, args=(soak,)),
            threading.Thread(target=_kill, args=(soak,)),
        ]
        for thread in threads:
            thread.start()
        _drive(soak)
        soak.say(f"acts done after {time.monotonic() - began:.0f} s")
        threads[1].join()
        _wait_until_delivered(soak)
        return _found(soak, time.monotonic() - began)
    finally:
        soak.stopping.set()
        for thread in threads:
            thread.join()
        for process in soak.running.values():
            process.kill()
        with suppress(ProcessLookupError):
            os.killpg(receiver.pid, signal.SIGKILL)
        receiver.wait()


# --- the stage -----------------------------------------------------------------------------------------------------------


def _receive(soak: Soak) -> subprocess.Popen[bytes]:
    port = free_port()
    soak.receiver = f"http://127.0.0.1:{port}"
    command = [
        sys.executable,
        "-m",
        "tests.exchange.flaky_receiver",
        str(port),
        str(soak.folder),
        str(FAILING),
    ]
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    for _ in range(400):
        with suppress(SendFailed):
            _flush(soak)
            break
        time.sleep(0.05)
    return process


def _flush(soak: Soak) -> dict[str, int]:
    lines = Lines(allow_private=True)
    try:
        told: dict[str, int] = json.loads(lines.send("POST", f"{soak.receiver}/flush", headers={}).body)
    finally:
        lines.close()
    return told


def _subscribe(soak: Soak) -> None:
    """Four units' systems, told everything, and the platform's, told of some kinds; each under a secret of its own."""
    made = {}
    with Session(soak.world.engine, expire_on_commit=False) as session:
        desk = Desk(session, SYSTEM, datetime.now(UTC), soak.world.office)
        for code in UNITS:
            unit = session.get_one(OrgUnit, soak.world.units[code])
            url = f"{soak.receiver}/{code}"
            _, made[f"/{code}"] = subscriptions.add(desk, label="测试系统", url=url, unit=unit)
        platform = session.get_one(Platform, soak.world.platforms["01"])
        _, made["/platform"] = subscriptions.add(
            desk, label="测试平台", url=f"{soak.receiver}/platform", platform=platform, types=TO_PLATFORM
        )
        session.commit()
    (soak.folder / "secrets.json").write_text(json.dumps(made))


def _start(soak: Soak, name: str) -> None:
    arguments = ("serve", "--port", str(soak.port)) if name == "serve" else ("deliver",)
    soak.running[name] = start(soak.folder / "data", soak.url, *arguments, **ALLOWED)


# --- what is done --------------------------------------------------------------------------------------------------------


def _drive(soak: Soak) -> None:
    """Every ticket's acts, each repeated until it is acknowledged."""
    numbers = iter(range(soak.tickets))
    lock = threading.Lock()

    def work() -> None:
        lines = Lines(allow_private=True)
        while not soak.out_of_time():
            with lock:
                n = next(numbers, None)
            if n is None:
                break
            try:
                _ticket(soak, lines, n)
            except Exception as error:
                soak.wrong.append(f"ticket {n}: {type(error).__name__} {error}")
        lines.close()

    workers = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _ticket(soak: Soak, lines: Lines, n: int) -> None:
    unit = UNITS[n % len(UNITS)]
    demand = w.demand().model_dump(mode="json", exclude_none=True)
    taken = _done(soak, lines, n, "dispatcher", "/tickets", {"demand": demand, "decision": {"act": "accept"}})
    path = f"/tickets/{taken['number']}"
    _done(soak, lines, n, "dispatcher", f"{path}/dispatch", {"lead": unit})
    _done(soak, lines, n, unit, f"{path}/sign", {})
    if n % 4 == 0:
        for turn in range(2):
            _done(soak, lines, n, unit, f"{path}/report_progress", {"content": f"进展{turn}。"})
    if n % 10 == 0:
        _done(soak, lines, n, "agent", f"{path}/withdraw", {"reason": "来电人撤回。"})


def _done(soak: Soak, lines: Lines, n: int, login: str, path: str, order: Any) -> Any:
    key = f"{n}-{path.rpartition('/')[2]}-{len(json.dumps(order))}-{order.get('content', '')[2:3]}"
    headers = {
        "authorization": f"Bearer {soak.world.tokens[login]}",
        "content-type": "application/json",
        "idempotency-key": key,
    }
    body = json.dumps(order).encode()
    while not soak.out_of_time():
        try:
            answer = lines.send(
                "POST", f"http://127.0.0.1:{soak.port}/api/v1{path}", headers=headers, body=body, seconds=20
            )
        except SendFailed:
            soak.repeated += 1
            time.sleep(0.2)
            continue
        if answer.status in (200, 201):
            told = json.loads(answer.body)
            soak.acknowledged.append((told["number"], told["version"]))
            return told
        if answer.status != 503:
            raise AssertionError(f"{path}: {answer.status} {answer.body.decode()[:300]}")
        soak.repeated += 1
        time.sleep(0.2)
    raise TimeoutError("out of time")


def _kill(soak: Soak) -> None:
    """Kill at random, spread over the acts and what is left to deliver after them."""
    chance = random.Random(50)
    for turn in range(soak.kills):
        while _progress(soak) < (turn + chance.random()) / (soak.kills + 1):
            if soak.stopping.wait(0.1) or soak.out_of_time() or _ended_early(soak):
                return
        name = chance.choice(list(soak.running))
        if name == "serve" and not _is_ready(soak):
            name = "deliver 1"
        soak.running[name].kill()
        soak.killed[name] += 1
        _start(soak, name)
        if soak.stopping.wait(0.5 + chance.random() * 2):
            return
        if (turn + 1) % 10 == 0:
            soak.say(f"{turn + 1} kills, {len(soak.acknowledged)} acts, {_delivered(soak)} deliveries")


def _ended_early(soak: Soak) -> bool:
    """Whether a process ended that nobody killed: then there is nothing more to wait for."""
    for name, process in soak.running.items():
        if process.popen.poll() is not None:
            soak.wrong.append(f"{name} ended by itself: {process.log.read_text()[-2000:]}")
            soak.end = 0
            return True
    return False


def _progress(soak: Soak) -> float:
    """The share done of acts and deliveries together."""
    acts, deliveries = 3.6 * soak.tickets, 3.8 * soak.tickets
    return (len(soak.acknowledged) + _delivered(soak)) / (acts + deliveries)


def _delivered(soak: Soak) -> int:
    return int(soak.rows("SELECT count(*) AS n FROM deliveries WHERE state = 'delivered'")[0].n)


def _is_ready(soak: Soak) -> bool:
    lines = Lines(allow_private=True)
    try:
        return lines.send("GET", f"http://127.0.0.1:{soak.port}/readyz", headers={}, seconds=2).status == 200
    except SendFailed:
        return False
    finally:
        lines.close()


def _hurry(soak: Soak) -> None:
    """Cut the waits after failures, which are longer than any lease, to a second; those of open breakers too."""
    while not soak.stopping.wait(1):
        with soak.world.engine.begin() as connection:
            connection.execute(text(SOON))
            connection.execute(text(BREAKERS))


SOON = "UPDATE lanes SET next_at = now() + interval '1 s' WHERE next_at > now() + interval '13 s'"
BREAKERS = "UPDATE subscriptions SET closed_until = now() + interval '1 s' WHERE closed_until > now() + interval '5 s'"


def _wait_until_delivered(soak: Soak) -> None:
    """Until nothing waits any more."""
    left = (
        "SELECT (SELECT count(*) FROM deliveries WHERE state = 'waiting')"
        " + (SELECT count(*) FROM outbox WHERE position IS NULL) AS n"
    )
    while not soak.out_of_time() and not _ended_early(soak) and soak.rows(left)[0].n:
        time.sleep(0.5)


# --- what is found ---------------------------------------------------------------------------------------------------------


def _found(soak: Soak, seconds: float) -> dict[str, Any]:
    """Compare what was to be told, by the outbox and the subscriptions alone, with what the receiver has taken."""
    counts = _flush(soak)
    came = [tuple(json.loads(line)) for line in (soak.folder / "taken").read_text().splitlines()]
    due = {
        (row.path, f"evt-{row.id}")
        for row in soak.rows(
            _DUE, unit_kinds=kinds_for(unit=True), kinds=list(TO_PLATFORM), base=f"{soak.receiver}"
        )
    }
    taken = {(path, event) for path, event, *_ in came}
    told = {(row.number, row.version) for row in soak.rows(_TOLD)}
    bytes_of: dict[tuple[str, str], set[str]] = defaultdict(set)
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for path, event, _, sequence, digest, _ in came:
        bytes_of[path, event].add(digest)
        names[path, sequence].add(event)
    states = {
        row.state: row.n for row in soak.rows("SELECT state, count(*) AS n FROM deliveries GROUP BY state")
    }
    failed = counts["requests"] - counts["taken"]
    figures: dict[str, Any] = {
        "tickets": soak.tickets,
        "kills": dict(sorted(soak.killed.items())),
        "acts_acknowledged": len(soak.acknowledged),
        "acts_sent_again": soak.repeated,
        "events_due": len(due),
        "requests_to_the_receiver": counts["requests"],
        "failed_by_the_receiver": {
            name: n for name, n in sorted(counts.items()) if name not in ("requests", "taken")
        },
        "failing_share": round(failed / max(1, counts["requests"]), 3),
        "taken_twice_or_more": len(came) - len(taken),
        "deliveries": states,
        "seconds": round(seconds),
        "lost": len(due - taken),
        "never_due": len(taken - due),
        "acknowledged_without_event": len(set(soak.acknowledged) - told),
        "tickets_out_of_order": _out_of_order(came),
        "wrongly_signed": counts.get("wrongly signed", 0) + counts.get("id unlike the envelope's", 0),
        "duplicates_under_another_id": sum(len(each) > 1 for each in names.values()),
        "duplicates_with_other_bytes": sum(len(each) > 1 for each in bytes_of.values()),
        "driving_went_wrong": soak.wrong[:5],
        "killed_as_asked": soak.killed.total() == soak.kills,
    }
    must_be_none = (
        "lost", "never_due", "acknowledged_without_event", "tickets_out_of_order", "wrongly_signed",
        "duplicates_under_another_id", "duplicates_with_other_bytes", "driving_went_wrong",
    )  # fmt: skip
    figures["must_met"] = figures["killed_as_asked"] and not any(figures[name] for name in must_be_none)
    return figures


_DUE = """
SELECT substr(s.url, length(:base) + 1) AS path, o.id
FROM outbox o JOIN subscriptions s ON
    (s.unit_id IS NOT NULL AND s.unit_id = o.unit_id AND o.type = ANY(:unit_kinds))
    OR (s.unit_id IS NULL AND s.platform_id = o.platform_id AND NOT o.echo AND o.type = ANY(:kinds))
"""
_TOLD = "SELECT data->>'number' AS number, CAST(data->>'version' AS int) AS version FROM outbox WHERE ticket_id IS NOT NULL"


def _out_of_order(came: list[tuple[Any, ...]]) -> int:
    """Tickets whose events were first taken in another order than that of their sequence."""
    first: dict[tuple[str, str], list[str]] = defaultdict(list)
    seen: set[tuple[str, str]] = set()
    for path, event, subject, sequence, *_ in came:
        if (path, event) not in seen:
            seen.add((path, event))
            first[path, subject].append(sequence)
    return sum(sequences != sorted(sequences) for sequences in first.values())


# --- by hand ---------------------------------------------------------------------------------------------------------------


def main() -> int:
    """Run it on a PostgreSQL of its own; 0 where nothing was lost."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tickets", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=60, help="give up after so long")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended
    with tempfile.TemporaryDirectory(prefix="hotline-soak-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        url = embedded.find_or_start(folder / "server")
        migrate(url)
        engine = make_engine(url)
        try:
            end = time.monotonic() + options.minutes * 60
            soak = Soak(w.build(engine, folder), folder, options.tickets, options.kills, end)
            if not options.json:
                soak.say = lambda told: print(told, flush=True)  # noqa: T201 - a program's output
            figures = run(soak)
        finally:
            engine.dispose()
            embedded.stop(folder / "server")
    print(json.dumps(figures, ensure_ascii=False, indent=None if options.json else 1))  # noqa: T201
    return 0 if figures["must_met"] else 1


if __name__ == "__main__":
    sys.exit(main())
