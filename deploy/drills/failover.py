"""Fail-over (主备切换): the primary is killed under load, its synchronous standby is promoted, and every acknowledged act is there, once.

Two PostgreSQL servers, two `hotline serve` with their tickers, clients that repeat what was not acknowledged. Shown too: before, the
standby serves reports, and after, the primary does; the old primary, started again by mistake, acknowledges nothing; rewound, it follows
the new one and serves reports.
"""

import argparse
import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from deploy.drills.servers import PATIENCE, Server, both, free_port
from deploy.drills.stage import Load, Log, Machine, doctor, furnish, machines, main, prove

NOTICED_AFTER = 1.0
"""Seconds from the primary's death to the order to promote: whoever watches needs some."""


def drill(folder: Path, log: Log, options: argparse.Namespace) -> dict[str, Any]:
    """Play it; the figures, with what went `wrong`."""
    first = Server("east", folder)
    second = Server("west", folder, first.password)
    first.make()
    tokens = furnish(first.url, folder / "shared")
    environment = {
        "HOTLINE_DATABASE_URL": both(first, second, "read-write"),
        "HOTLINE_REPLICA_URL": both(second, first, "standby"),
        "HOTLINE_ALLOW_PRIVATE_TARGETS": "true",
    }
    with machines(folder, environment, ("api-1", "api-2")) as made:
        second.copy_of(first)
        second.start()
        _wait_for_each_other(first, "west")
        log.say("primary and synchronous standby are up")
        for machine in made:
            machine.wait()
        log.say("two machines serve")
        return _under_load(folder, log, options, environment, made, first, second, tokens)


def _under_load(
    folder: Path,
    log: Log,
    options: argparse.Namespace,
    environment: dict[str, str],
    made: list[Machine],
    first: Server,
    second: Server,
    tokens: Any,
) -> dict[str, Any]:
    wrong: list[str] = []
    load = Load([machine.address for machine in made], tokens, options.clients)
    load.start()
    acts = 40 if options.quick else 400
    try:
        load.wait_for(acts)
        at_standby = all(_reads_at_replica(machine, tokens["supervisor"]) for machine in made)
        if not at_standby:
            wrong.append("the board was not read at the standby")
        log.say(
            f"{len(load.told)} acts acknowledged; boards are read at the {'standby' if at_standby else 'PRIMARY'}"
        )
        first.kill()
        log.say("primary killed (kill -9)")
        time.sleep(NOTICED_AFTER)
        second.promote()
        log.say("standby promoted")
        load.wait_for(acts)
    finally:
        load.stop()
    gap = load.longest_silence()
    log.say(
        f"acts again; the longest time without an acknowledged act was {gap:.2f} s; answers: {dict(load.answers)}"
    )
    counts, lost = prove(second, load.told)
    log.say(
        f"{counts['acknowledged']} acts acknowledged, {counts['lost']} lost, {counts['done_twice']} done twice"
    )
    wrong += [
        f"{machine.name} still reads boards elsewhere than at the primary"
        for machine in made
        if _reads_at_replica(machine, tokens["supervisor"]) is not False
    ]
    unfenced = _acknowledges_alone(first)
    log.say(
        f"old primary started by mistake, alone: {'it ACKNOWLEDGED an act' if unfenced else 'it acknowledges nothing'}"
    )
    first.rejoin(second)
    _wait_for_each_other(second, "east")
    first.wait_for("SELECT pg_is_in_recovery()")
    log.say("old primary rewound; it follows the new one, synchronously")
    back = _until_replica(made[0], tokens["supervisor"])
    log.say(f"boards are read at the standby again {back:.1f} s later")
    found = doctor(folder / "shared", environment)
    log.say(f"doctor --chains: {'sound' if found['sound'] else found}")
    crashed = [machine.name for machine in made if "Traceback" in machine.log()]
    return {
        **counts,
        "gap_seconds": round(gap, 2),
        "noticed_after_seconds": NOTICED_AFTER,
        "answers": dict(load.answers),
        "old_primary_acknowledged": unfenced,
        "doctor_sound": found["sound"],
        "wrong": [
            *wrong,
            *lost,
            *load.wrong,
            *(["the old primary acknowledged an act"] if unfenced else []),
            *([] if found["sound"] else ["doctor finds faults"]),
            *(f"{name} logged a traceback" for name in crashed),
        ],
    }


def _wait_for_each_other(primary: Server, standby: str) -> None:
    """From now on an act is acknowledged once `standby` has it."""
    with primary.connected() as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{standby}'")
        connection.execute("SELECT pg_reload_conf()")
    primary.wait_for("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'")


def _reads_at_replica(machine: Machine, token: str) -> bool | None:
    """Whether the board is read at the standby now; None if it is not answered."""
    answer = httpx2.get(
        f"{machine.address}/api/v1/board", headers={"Authorization": f"Bearer {token}"}, timeout=20
    )
    return "X-As-Of" in answer.headers if answer.status_code == 200 else None


def _until_replica(machine: Machine, token: str) -> float:
    began = time.monotonic()
    while not _reads_at_replica(machine, token):
        if time.monotonic() - began > PATIENCE:
            told = httpx2.get(f"{machine.address}/readyz", timeout=20).text
            raise TimeoutError(f"boards are not read at the standby again: {told}\n{machine.log()[-3000:]}")
        time.sleep(0.2)
    return time.monotonic() - began


def _acknowledges_alone(server: Server) -> bool:
    """Whether a killed primary, started again at a port nobody else knows, acknowledges a change: it must wait for its standby."""
    known, server.port = server.port, free_port()
    server.configure()
    server.start()
    try:
        with (
            contextlib.closing(server.connected()) as connection,
            contextlib.closing(server.connected()) as other,
        ):
            me = connection.info.backend_pid
            ending = threading.Timer(2.0, lambda: other.execute("SELECT pg_terminate_backend(%s)", (me,)))
            ending.start()
            try:
                connection.execute("CREATE TABLE split_brain (n int)")
            except psycopg.OperationalError:
                return False
            finally:
                ending.join()
            return True
    finally:
        server.end()
        server.port = known
        server.configure()


if __name__ == "__main__":
    sys.exit(main("failover", __doc__ or "", drill))
