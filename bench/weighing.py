"""What each act of a life costs, one client at a time: until it is answered, of the processor, in statements."""

import re
import statistics
import time
from collections import Counter, defaultdict

import psycopg

from bench import proc
from bench.clients import Client
from bench.lives import Life
from bench.servers import Server, Stage

Seen = dict[str, dict[str, list[float]]]
"""By act, then by what was measured."""
_SENT = re.compile(r"\[(\d+)\] LOG:  (?:execute|statement)")


def weighed(stage: Stage, hotline: Server, lives: int) -> dict[str, dict[str, float]]:
    """Of each act of a life, with one client: ms until answered, ms of the processor, statements; the medians."""
    life = Life(stage.tokens)
    seen: Seen = defaultdict(lambda: defaultdict(list))
    walk(stage, hotline, Client(hotline.port, life.living(lives)), seen, statements=False)
    with psycopg.connect(stage.libpq(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        connection.execute("SELECT pg_reload_conf()")
        time.sleep(0.5)
        walk(stage, hotline, Client(hotline.port, life.living(min(lives, 5))), seen, statements=True)
        connection.execute("ALTER SYSTEM RESET log_statement")
        connection.execute("SELECT pg_reload_conf()")
    return {
        name: {what: round(statistics.median(each), 2) for what, each in measures.items()}
        for name, measures in seen.items()
    }


def walk(
    stage: Stage,
    hotline: Server,
    client: Client,
    seen: Seen,
    *,
    statements: bool = False,
) -> None:
    """Let one client's script run to its end, each call weighed into `seen`: ms, ms of the processor; or its statements alone."""
    while client.due is not None:
        name = client.asked.rpartition("/")[2].replace("tickets", "create")
        start = stage.journal.stat().st_size if statements else 0
        ours, postgres = proc.of_session(hotline.pid), proc.of_postgres(stage.postmaster)
        before = proc.run_ms(ours), proc.run_ms(postgres)
        came = play_one(client)
        after = proc.run_ms(ours), proc.run_ms(postgres)
        if statements:
            seen[name]["statements"].append(_statements(stage, start))
            continue
        seen[name]["ms"].append(1000 * came)
        seen[name]["server_cpu_ms"].append(after[0] - before[0])
        seen[name]["postgres_cpu_ms"].append(after[1] - before[1])
    client.close()


def play_one(client: Client) -> float:
    """One request and its answer; the seconds between."""
    client.send()
    while (answer := client.receive()) is None:
        pass
    took = time.perf_counter() - client.sent_at
    client.go_on(answer)
    return took


def _statements(stage: Stage, start: int) -> float:
    """What the one connection that said most has sent: the request's; the ticker's and the feed's are others."""
    with stage.journal.open("rb") as log:
        log.seek(start)
        written = log.read().decode(errors="replace")
    return float(max(Counter(_SENT.findall(written)).values(), default=0))
