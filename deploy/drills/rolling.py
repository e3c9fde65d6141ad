"""Rolling upgrade (滚动升级): two machines are ended and started again, one after the other, under load; nobody is answered 5xx.

Before, the schema is expanded as a newer release would do it, its revision one this program does not know: the older program goes on
beside it, and starts beside it. A client whose connection is refused or cut asks the other machine, as a balancer does, with the same
Idempotency-Key. The second machine serves with two workers.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from deploy.drills.servers import Server
from deploy.drills.stage import Load, Log, Machine, doctor, furnish, machines, main, prove


def drill(folder: Path, log: Log, options: argparse.Namespace) -> dict[str, Any]:
    """Play it; the figures, with what went `wrong`."""
    server = Server("main", folder)
    server.make()
    tokens = furnish(server.url, folder / "shared")
    environment = {"HOTLINE_DATABASE_URL": server.url, "HOTLINE_ALLOW_PRIVATE_TARGETS": "true"}
    with machines(folder, environment, ("api-1", "api-2"), workers=(1, 2)) as made:
        for machine in made:
            machine.wait()
        log.say("two machines serve, the second with two workers")
        return _under_load(folder, log, options, environment, made, server, tokens)


def _under_load(
    folder: Path,
    log: Log,
    options: argparse.Namespace,
    environment: dict[str, str],
    made: list[Machine],
    server: Server,
    tokens: Any,
) -> dict[str, Any]:
    wrong: list[str] = []
    load = Load([machine.address for machine in made], tokens, options.clients, kept_alive=False)
    load.start()
    acts = 20 if options.quick else 200
    ended = []
    try:
        load.wait_for(acts)
        with server.connected() as connection:
            connection.execute("ALTER TABLE tickets ADD COLUMN of_a_newer_release text")
            was = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        log.say("schema expanded, its revision newer than the program's")
        load.wait_for(acts)
        for machine in made:
            seconds, code = machine.terminate()
            ended.append(round(seconds, 2))
            log.say(f"{machine.name} ended {seconds:.2f} s after SIGTERM (exit code {code})")
            if code:
                wrong.append(f"{machine.name} ended with {code}")
            load.wait_for(acts)
            machine.start()
            machine.wait()
            log.say(f"{machine.name} serves again")
            load.wait_for(acts)
    finally:
        load.stop()
    with server.connected() as connection:
        connection.execute("ALTER TABLE tickets DROP COLUMN of_a_newer_release")
        connection.execute("UPDATE alembic_version SET version_num = %s", was)
    counts, lost = prove(server, load.told)
    log.say(
        f"{counts['acknowledged']} acts acknowledged, {counts['lost']} lost, {counts['done_twice']} done twice"
    )
    log.say(
        f"the longest time without an acknowledged act was {load.longest_silence():.2f} s; answers: {dict(load.answers)}"
    )
    failed = {answer: count for answer, count in load.answers.items() if answer.startswith("5")}
    found = doctor(folder / "shared", environment)
    log.say(f"doctor --chains: {'sound' if found['sound'] else found}")
    return {
        **counts,
        "ended_after_seconds": ended,
        "gap_seconds": round(load.longest_silence(), 2),
        "answers": dict(load.answers),
        "doctor_sound": found["sound"],
        "wrong": [
            *wrong,
            *lost,
            *load.wrong,
            *([f"answered {failed}"] if failed else []),
            *([] if found["sound"] else ["doctor finds faults"]),
            *(f"{machine.name} logged a traceback" for machine in made if "Traceback" in machine.log()),
        ],
    }


if __name__ == "__main__":
    sys.exit(main("rolling", __doc__ or "", drill))
