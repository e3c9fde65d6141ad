"""Acts and lifecycles a second over HTTP, beside django-helpdesk and beside a bare FastAPI with one INSERT, on one PostgreSQL.

python -m bench.acts [--quick] [--json]

One embedded PostgreSQL in a temporary folder with its ordinary, durable settings. On it, at once: `hotline serve --workers 2` with its
ticker, django-helpdesk under gunicorn with two workers, FastAPI with two uvicorn workers that runs one INSERT. One load
(`bench/clients.py`: raw keep-alive connections, one thread) is put on one of them after the other, in short rounds by turns: creating
tickets, acts on tickets made before, whole lifecycles, by 1, 4, 16 and 50 clients. Every answer must be 2xx. What counts is the median of
the rounds; the best stands beside it.

A lifecycle of the hotline is seven calls: take and accept (登记受理), dispatch (派单), sign (签收), reply (办结反馈), review (审核通过), callback
(回访), archive (归档); each is one transaction with state, clocks, ledger and events, sent with Idempotency-Key and If-Match as the console sends
them. Of django-helpdesk it is seven calls too: the ticket, then six follow-ups, the third of which resolves it and the last closes it;
its other way to change a ticket (PUT on the ticket) reads every ticket of the table first and would do it no favour. The bare INSERT has no acts: it is the limit.

Afterwards, one client: what each act costs of the processor, the server's and PostgreSQL's, and how many statements it sends; then
the memory of each worker.

Exits 1 where, at 16 clients, creating is under 4 times the peer's or acts under 5 times, or where a worker holds more than 200 MB.
--quick: short rounds, 1 and 16 clients.
"""

import argparse
import json
import logging
import statistics
import sys
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any

from bench import proc
from bench.clients import Client, Round, Script, play
from bench.lives import STEPS, Life, PeersLife, inserting
from bench.servers import (
    Desk,
    Server,
    Stage,
    peers_python,
    peers_versions,
    serve_bare,
    serve_desk,
    serve_hotline,
    staged,
)
from bench.weighing import weighed

MUST_CREATE, MUST_ACT, MUST_MB = 4.0, 5.0, 200.0
AIM_CREATE, AIM_ACT_OF_LIMIT, AIM_MB = 10.0, 0.5, 120.0
CLIENTS, CLIENTS_QUICK, JUDGED = (1, 4, 16, 50), (1, 16), 16
ROUNDS, ROUND_S, ROUNDS_QUICK, ROUND_S_QUICK = 5, 3.0, 2, 0.4
WARM_UP_S, WARM_UP_S_QUICK = 2.0, 0.3
PAUSE_S = 0.2
"""Between rounds: what one left behind is not the next one's."""
REST_S, REST_S_QUICK = 5.0, 2.0
LIVES, LIVES_QUICK = 40, 10
"""Lifecycles whose acts are weighed one by one."""
Path = tuple[str, str]
"""A system and what is asked of it."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="short rounds, 1 and 16 clients")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    figures = measured(quick=options.quick)
    if not options.json:
        print_table(figures)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def measured(*, quick: bool) -> dict[str, Any]:
    """Everything, on one stage."""
    python = peers_python()
    load_before = proc.load()
    with staged() as stage:
        hotline, desk, bare = serve_hotline(stage), serve_desk(stage, python), serve_bare(stage, python)
        plays = scripts(stage, hotline, desk, bare)
        for way in plays.values():
            play(way(4), WARM_UP_S_QUICK if quick else WARM_UP_S)
        resting = at_rest(stage, hotline, REST_S_QUICK if quick else REST_S)
        servers = {"hotline": hotline, "desk": desk.server, "bare": bare}
        rounds = by_turns(stage, plays, servers, resting, quick=quick)
        workers = workers_memory(hotline)
        costs = weighed(stage, hotline, LIVES_QUICK if quick else LIVES)
        peer = workers_memory(desk.server)
    figures = summed_up(rounds)
    figures |= {
        "costs": costs,
        "at_rest": resting,
        "workers_mb": workers,
        "peer_workers_mb": peer,
        "load_average_before": round(load_before, 1),
        "versions": peers_versions(python),
        "quick": quick,
    }
    return judged(figures)


# --- who asks ------------------------------------------------------------------------------------------------------------

Way = Callable[[int], list[Client]]


def scripts(stage: Stage, hotline: Server, desk: Desk, bare: Server) -> dict[Path, Way]:
    """For each system and kind of work so many clients, the same ones each time."""
    ours, theirs = Life(stage.tokens), PeersLife(desk)
    made: deque[tuple[str, str | None]] = deque()
    their_made: deque[int] = deque()
    known: dict[tuple[Path, int], list[Client]] = {}

    def way(path: Path, port: int, script: Callable[[], Script]) -> Way:
        def clients(number: int) -> list[Client]:
            here = known.get((path, number))
            if here is None or any(client.due is None for client in here):
                here = known[path, number] = [Client(port, script()) for _ in range(number)]
            return here

        return clients

    ways: dict[Path, tuple[int, Callable[[], Script]]] = {
        ("hotline", "create"): (hotline.port, lambda: ours.creating(made)),
        ("desk", "create"): (desk.server.port, lambda: theirs.creating(their_made)),
        ("bare", "create"): (bare.port, inserting),
        ("hotline", "act"): (hotline.port, lambda: ours.acting(made)),
        ("desk", "act"): (desk.server.port, lambda: theirs.acting(their_made)),
        ("hotline", "lifecycle"): (hotline.port, ours.living),
        ("desk", "lifecycle"): (desk.server.port, theirs.living),
    }
    return {path: way(path, port, script) for path, (port, script) in ways.items()}


# --- rounds by turns -----------------------------------------------------------------------------------------------------


class Measured:
    """The rounds of one system, kind of work and number of clients: calls a second, seconds a call, the processor's share."""

    def __init__(self) -> None:
        self.per_second: list[float] = []
        self.seconds: list[float] = []
        self.server_ms: list[float] = []
        self.postgres_ms: list[float] = []
        self.load_ms: list[float] = []

    def add(self, came: Round, server_s: float, postgres_s: float, *, calls_each: int) -> None:
        """One round of what is `calls_each` calls, with what the server and PostgreSQL used of the processor meanwhile."""
        calls = len(came.answers)
        self.per_second.append(came.per_second / calls_each)
        self.seconds += [seconds for _, seconds in came.answers]
        for each, used in (
            (self.server_ms, server_s),
            (self.postgres_ms, postgres_s),
            (self.load_ms, came.own_cpu_s),
        ):
            each.append(1000 * used / calls)

    def told(self) -> dict[str, float]:
        """The medians, the best round, the latencies."""
        cuts = statistics.quantiles(self.seconds, n=100)
        return {
            "per_second": round(statistics.median(self.per_second), 1),
            "best": round(max(self.per_second), 1),
            "p50_ms": round(1000 * cuts[49], 1),
            "p95_ms": round(1000 * cuts[94], 1),
            "server_cpu_ms": round(statistics.median(self.server_ms), 2),
            "postgres_cpu_ms": round(statistics.median(self.postgres_ms), 2),
            "load_cpu_ms": round(statistics.median(self.load_ms), 2),
        }


def by_turns(
    stage: Stage,
    plays: dict[Path, Way],
    servers: dict[str, Server],
    resting: dict[str, float],
    *,
    quick: bool,
) -> dict[str, Measured]:
    """Rounds of every system, kind and number of clients, interleaved; every second turn backwards.

    What the hotline's server and PostgreSQL use at rest is taken off the processor's time of every round.
    """
    rounds, seconds = (ROUNDS_QUICK, ROUND_S_QUICK) if quick else (ROUNDS, ROUND_S)
    found: dict[str, Measured] = defaultdict(Measured)
    for number in range(rounds):
        for clients in CLIENTS_QUICK if quick else CLIENTS:
            order = sorted(plays, key=lambda path: ("create", "act", "lifecycle").index(path[1]))
            order.sort(key=lambda path: path[0] == "hotline", reverse=bool(number % 2))
            for path in order:
                pids = proc.of_session(servers[path[0]].pid)
                postgres = proc.of_postgres(stage.postmaster)
                before = proc.cpu_s(pids), proc.cpu_s(postgres)
                came = play(plays[path](clients), seconds)
                after = proc.cpu_s(pids), proc.cpu_s(proc.of_postgres(stage.postmaster))
                rest = came.seconds / 1000
                server_s = after[0] - before[0]
                if path[0] == "hotline":
                    server_s -= rest * resting["server_cpu_ms_a_second"]
                postgres_s = after[1] - before[1] - rest * resting["postgres_cpu_ms_a_second"]
                measured = found[f"{path[0]} {path[1]} {clients}"]
                each = len(STEPS) + 1 if path[1] == "lifecycle" else 1
                measured.add(came, max(0.0, server_s), max(0.0, postgres_s), calls_each=each)
                time.sleep(PAUSE_S)
    return found


def at_rest(stage: Stage, hotline: Server, seconds: float) -> dict[str, float]:
    """What runs where nobody asks anything (ticker, feed, deliverer; beside them idle peers): ms of the processor a second."""
    ours, postgres = proc.of_session(hotline.pid), proc.of_postgres(stage.postmaster)
    before = proc.run_ms(ours), proc.run_ms(postgres)
    time.sleep(seconds)
    after = proc.run_ms(ours), proc.run_ms(postgres)
    return {
        "server_cpu_ms_a_second": round((after[0] - before[0]) / seconds, 1),
        "postgres_cpu_ms_a_second": round((after[1] - before[1]) / seconds, 1),
    }


# --- afterwards ----------------------------------------------------------------------------------------------------------


def workers_memory(server: Server) -> list[dict[str, float]]:
    """MB of each worker: the processes of the session but for its leader and what is smaller than a Python that serves."""
    found = [proc.memory(pid) for pid in proc.of_session(server.pid) if pid != server.pid]
    return [each._asdict() for each in found if each.rss > 30]


# --- the sum -------------------------------------------------------------------------------------------------------------


def summed_up(rounds: dict[str, Measured]) -> dict[str, Any]:
    """The figures, with the ratios of each number of clients."""
    told = {name: each.told() for name, each in rounds.items()}
    ratios: dict[str, dict[str, float]] = {}
    for name, each in told.items():
        system, what, clients = name.split()
        if system == "hotline":
            peer, limit = told[f"desk {what} {clients}"], told[f"bare create {clients}"]
            ratios[f"{what} {clients}"] = {
                "times_peer_by_processor": round(cost(peer) / cost(each), 2),
                "times_peer": round(each["per_second"] / peer["per_second"], 2),
                "times_peer_best": round(each["best"] / peer["best"], 2),
            }
            if what != "lifecycle":
                ratios[f"{what} {clients}"]["of_limit"] = round(each["per_second"] / limit["per_second"], 3)
    return {"bench": "acts", "rounds": told, "ratios": ratios, "clients": JUDGED}


def cost(cell: dict[str, float]) -> float:
    """Milliseconds of the processor one call costs: the server's and PostgreSQL's."""
    return cell["server_cpu_ms"] + cell["postgres_cpu_ms"]


def judged(figures: dict[str, Any]) -> dict[str, Any]:
    """The figures with one row for each must: what, ours, the peer's or the limit, ratio, must, aim, met."""
    told, judged_at = figures["rounds"], figures["clients"]
    worker = max(each["pss"] for each in figures["workers_mb"])
    peers = max(each["pss"] for each in figures["peer_workers_mb"])
    rows = []
    for what, must, aim in (
        ("create", MUST_CREATE, f">= {AIM_CREATE:g} x"),
        ("act", MUST_ACT, "half the limit"),
    ):
        ratio = figures["ratios"][f"{what} {judged_at}"]
        aim_met = (
            ratio["times_peer"] >= AIM_CREATE if what == "create" else ratio["of_limit"] >= AIM_ACT_OF_LIMIT
        )
        rows.append(
            {
                "what": f"{what} over HTTP, {judged_at} clients, a second",
                "ours": told[f"hotline {what} {judged_at}"]["per_second"],
                "peer": told[f"desk {what} {judged_at}"]["per_second"],
                "ratio": ratio["times_peer"],
                "must": f">= {must:g} x",
                "aim": aim,
                "met": ratio["times_peer"] >= must,
                "aim_met": aim_met,
            }
        )
        rows.append(
            {
                "what": f"{what}: ms of the processor a call, both servers' and PostgreSQL's",
                "ours": round(cost(told[f"hotline {what} {judged_at}"]), 2),
                "peer": round(cost(told[f"desk {what} {judged_at}"]), 2),
                "ratio": ratio["times_peer_by_processor"],
                "must": "",
                "aim": "",
                "met": None,
                "aim_met": None,
            }
        )
    memory = {"what": "worker memory, MB", "ours": worker, "peer": peers, "ratio": round(worker / peers, 2)}
    rows.append(
        memory
        | {
            "must": f"<= {MUST_MB:g}",
            "aim": f"<= {AIM_MB:g}",
            "met": worker <= MUST_MB,
            "aim_met": worker <= AIM_MB,
        }
    )
    return figures | {"rows": rows, "must_met": all(row["met"] is not False for row in rows)}


def print_table(figures: dict[str, Any]) -> None:
    """The rounds, the ratios, the costs, the musts."""
    told = figures["rounds"]
    print(f"load average before: {figures['load_average_before']}; peers: {figures['versions']}\n")
    print(
        f"{'a second, median (best)':<30}{'hotline':>18}{'django-helpdesk':>20}{'bare INSERT':>18}   ratio, of the limit"
    )
    for name, ratio in figures["ratios"].items():
        what, clients = name.split()
        cells = [told.get(f"{system} {what} {clients}") for system in ("hotline", "desk", "bare")]
        shown = [f"{cell['per_second']:.1f} ({cell['best']:.1f})" if cell else "" for cell in cells]
        limit = f", {ratio['of_limit']:.1%}" if "of_limit" in ratio else ""
        print(
            f"{what + ', ' + clients + ' clients':<30}{shown[0]:>18}{shown[1]:>20}{shown[2]:>18}"
            f"   {ratio['times_peer']:.2f} x{limit}; by processor time {ratio['times_peer_by_processor']:.2f} x"
        )
    print()
    print(f"{'a call, ms':<30}{'p50':>8}{'p95':>8}{'server cpu':>12}{'postgres cpu':>14}{'load cpu':>10}")
    for name, cell in told.items():
        print(
            f"{name:<30}{cell['p50_ms']:>8}{cell['p95_ms']:>8}{cell['server_cpu_ms']:>12}"
            f"{cell['postgres_cpu_ms']:>14}{cell['load_cpu_ms']:>10}"
        )
    print(f"\n{'one act, one client':<30}{'ms':>8}{'server cpu':>12}{'postgres cpu':>14}{'statements':>12}")
    for name, cost in figures["costs"].items():
        print(
            f"{name:<30}{cost['ms']:>8}{cost['server_cpu_ms']:>12}{cost['postgres_cpu_ms']:>14}{cost['statements']:>12.0f}"
        )
    rest = figures["at_rest"]
    print(
        f"at rest, ms of the processor a second: server {rest['server_cpu_ms_a_second']},"
        f" postgres {rest['postgres_cpu_ms_a_second']}"
    )
    for whose, workers in (
        ("hotline", figures["workers_mb"]),
        ("django-helpdesk", figures["peer_workers_mb"]),
    ):
        held = (f"{each['uss']:.0f} / {each['pss']:.0f} / {each['rss']:.0f}" for each in workers)
        print(f"{whose} workers, MB (own / shared out / resident): " + ", ".join(held))
    print()
    for row in figures["rows"]:
        if row["met"] is None:
            continue
        met = "met" if row["met"] else "MISSED"
        also = "aim met" if row["aim_met"] else "aim not met"
        print(
            f"{row['what']:<42}{row['ours']:>8} beside {row['peer']:<8} {row['ratio']:>6} x   must {row['must']:<8} {met};"
            f" aim {row['aim']}: {also}"
        )


if __name__ == "__main__":
    sys.exit(main())
