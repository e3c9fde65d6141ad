"""What an act costs as the tables grow: lives lived at 10,000 tickets, at 1,000,000 and with --full at 5,000,000, by turns in one run.

python -m bench.growth [--quick] [--full] [--json]

One embedded PostgreSQL in a temporary folder with its ordinary settings, in it one database for each size, each with a `hotline serve`
of one worker without its ticker. The rows are true: some lives are lived over HTTP first, most to their archive, some left open, with
the demo's demands; then they are multiplied in SQL (new keys, numbers and callers, received over the last year), with their parts, clocks, replies and
pairs of characters; of each ledger and of each ticket's events the first entry only, which halves the writing. Vacuumed, analysed. Then one client
lives whole lives, one at the one size, one at the other. Each act is weighed: ms until it is answered, ms of the processor in the
server and in PostgreSQL; medians and 95th percentiles. --quick takes 2,000 and 40,000.

Exits 1 where creating, dispatching or replying costs more than 1.3 times the processor time at the largest size of what it costs at the smallest.
"""

import argparse
import json
import logging
import random
import statistics
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from bench import proc
from bench.clients import Client, Script, play
from bench.lives import STEPS, Life
from bench.servers import Server, Stage, serve_hotline, staged
from bench.weighing import Seen, walk
from hotline.demo.corpus import load_corpus
from hotline.privacy.concealment import CALLER_COLUMNS

MUST_TIMES = 1.3
SIZES, SIZES_QUICK, SIZES_FULL = (10_000, 1_000_000), (2_000, 40_000), (10_000, 1_000_000, 5_000_000)
LIVED, OPEN = 100, 10
"""Lives that are lived to be multiplied, and how many of them are left open after their dispatch."""
TURNS, TURNS_QUICK, WARM_UP = 60, 14, 3
JUDGED = ("create", "dispatch", "reply")
MULTIPLIED = {
    "tickets": "true",
    "assignments": "true",
    "clocks": "true",
    "likeness": "true",
    "replies": "true",
    "ledger": "seq = 1",
    "outbox": "id IN (SELECT min(id) FROM outbox GROUP BY ticket_id)",
}
"""Tables and which of a life's rows are multiplied."""
_KEYS = {"ticket_id": "tickets", "assignment_id": "assignments"}
_SHIFTED = ("received_at", "created_at", "ended_at", "archived_at")


@dataclass
class Hall:
    """One database, its server, and what was weighed there."""

    size: int
    database: str
    server: Server
    seen: Seen = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="2,000 and 40,000 tickets")
    size.add_argument("--full", action="store_true", help="5,000,000 tickets too")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    sizes = SIZES_QUICK if options.quick else SIZES_FULL if options.full else SIZES
    figures = measured(sizes, TURNS_QUICK if options.quick else TURNS, silent=options.json)
    if not options.json:
        print_table(figures)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def measured(sizes: tuple[int, ...], turns: int, *, silent: bool) -> dict[str, Any]:
    """Everything, on one stage."""
    load = proc.load()
    with staged() as stage:
        lived(stage)
        stage.engine.dispose()
        halls, written = [], {}
        for size in sizes:
            began = time.perf_counter()
            halls.append(hall(stage, size))
            written[size] = round(time.perf_counter() - began)
            if not silent:
                print(f"{size:,} tickets written in {written[size]} s", file=sys.stderr)
        life = Life(stage.tokens)
        for turn in range(WARM_UP + turns):
            for each in halls if turn % 2 else halls[::-1]:
                seen: Seen = defaultdict(lambda: defaultdict(list)) if turn < WARM_UP else each.seen
                walk(stage, each.server, Client(each.server.port, life.living(1)), seen)
    return summed_up(halls, written) | {"turns": turns, "load_average_before": round(load, 1)}


# --- what lies there -----------------------------------------------------------------------------------------------------


def lived(stage: Stage) -> None:
    """LIVED lives over HTTP in the first database, all but OPEN of them to their archive."""
    server = serve_hotline(stage, workers=1)
    corpus, dice = load_corpus(), random.Random(12345)
    life = Life(stage.tokens)

    def living() -> Script:
        for number in range(LIVED):
            row, area = dice.choice(corpus.demands), dice.choice(sorted(corpus.areas))
            content = (
                row["text"]
                .replace("{area}", corpus.spoken(area))
                .replace("{days}", "5")
                .replace("{month}", "2")
            )
            caller = {"name": "测试甲", "phone": f"139{number:08d}", "address": "测试路1号"}
            answer = yield life.create(title=row["title"], content=content, caller=caller)
            ticket, etag = answer.json()["number"], answer.etag
            for step in range(1 if number < OPEN else len(STEPS)):
                answer = yield life.act(step, ticket, etag)
                etag = answer.etag

    play([Client(server.port, living())])
    stage.end(server)


def hall(stage: Stage, size: int) -> Hall:
    """A database of `size` tickets, vacuumed and analysed, and its server."""
    name = f"growth_{size}"
    with psycopg.connect(stage.libpq("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE hotline")
    with psycopg.connect(stage.libpq(name)) as connection:
        multiply(connection, size // LIVED - 1)
        connection.commit()
        connection.autocommit = True
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
        (there,) = connection.execute("SELECT count(*) FROM tickets").fetchone() or (0,)
    if there != size:
        raise AssertionError(f"{there} tickets where {size} were meant")
    return Hall(size, name, serve_hotline(stage, database=name, workers=1, ticking=False))


def multiply(connection: psycopg.Connection[Any], times: int) -> None:
    """So many copies of every life; the ordinary tables' plain indexes are made anew afterwards, which is sooner done."""
    connection.execute(
        "SET session_replication_role = replica"
    )  # neither triggers nor foreign keys: rows of one mould
    connection.execute("SET maintenance_work_mem = '512MB'")
    connection.execute("SET work_mem = '64MB'")
    indexes = connection.execute(_PLAIN_INDEXES, {"tables": list(MULTIPLIED)}).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    steps = {table: _step(connection, table) for table in MULTIPLIED}
    for table, numbers in (("ledger", "tickets"), ("outbox", "outbox")):
        _cut(connection, table, steps[numbers] * (times + 1))
    for table, which in MULTIPLIED.items():
        connection.execute(_copies(connection, table, which, steps), {"times": times})
    for table, step in steps.items():
        if step:
            connection.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {step} * %s)", (times + 2,)
            )
    for _, definition in indexes:
        connection.execute(definition)


def _cut(connection: psycopg.Connection[Any], table: str, last: int) -> None:
    """Twelve partitions up to the number `last` and two more, as the ticker would have made them month by month."""
    (top,) = connection.execute(_NEWEST_PARTITION, {"table": table}).fetchone() or (0,)
    width = max(1, -(-(last - top) // 12))
    for number in range(14):
        lower = top + number * width
        connection.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({})").format(
                sql.Identifier(f"{table}_from_{lower}"), sql.Identifier(table), lower, lower + width
            )
        )


_NEWEST_PARTITION = r"""
SELECT coalesce(max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \(''([0-9]+)''\)'))[1]::bigint), 0)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = %(table)s::regclass
"""
_PLAIN_INDEXES = """
SELECT i.relname, pg_get_indexdef(i.oid) FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
WHERE t.relname = ANY(%(tables)s) AND t.relkind = 'r' AND i.relkind = 'i' AND NOT x.indisunique
"""


def _step(connection: psycopg.Connection[Any], table: str) -> int:
    """What a copy's keys are higher by; 0 for a table without keys of its own."""
    if "id" not in _columns(connection, table):
        return 0
    (highest,) = connection.execute(f"SELECT max(id) FROM {table}").fetchone() or (0,)
    return int(highest)


def _columns(connection: psycopg.Connection[Any], table: str) -> list[str]:
    rows = connection.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s"
        " AND is_generated = 'NEVER' ORDER BY ordinal_position",
        (table,),
    )
    return [name for (name,) in rows]


def _copies(
    connection: psycopg.Connection[Any], table: str, which: str, steps: dict[str, int]
) -> sql.Composed:
    told = {"id": f"p.id + k * {steps[table]}", "position": f"-(p.id + k * {steps[table]})"}
    told |= {key: f"p.{key} + k * {steps[of]}" for key, of in _KEYS.items()}
    if table == "tickets":
        told["number"] = f"'9' || lpad((p.id + k * {steps[table]})::text, 14, '0')"
        # sealed for the number they were given with: the newest copies, one of which a server tries its key on, have none
        told |= {name: f"CASE WHEN k < %(times)s THEN p.{name} END" for name in CALLER_COLUMNS}
        told["phone_index"] = "sha256(p.phone_index || k::text::bytea)"
        told |= {
            at: f"p.{at} - CASE WHEN p.archived_at IS NULL THEN interval '0' ELSE {_AGO} END"
            for at in _SHIFTED
        }
    columns = _columns(connection, table)
    return sql.SQL(
        "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {table} p, generate_series(1, %(times)s) k WHERE {which}"
    ).format(
        table=sql.Identifier(table),
        names=sql.SQL(", ").join(map(sql.Identifier, columns)),
        values=sql.SQL(", ").join(sql.SQL(told.get(name, f"p.{name}")) for name in columns),
        which=sql.SQL(which),
    )


_AGO = "k * interval '365 days' / %(times)s"


# --- the sum -------------------------------------------------------------------------------------------------------------


def summed_up(halls: list[Hall], written: dict[int, int]) -> dict[str, Any]:
    """Medians and p95 of each act at each size; ratios of the largest to the smallest."""
    told: dict[str, dict[str, dict[str, float]]] = {}
    for each in halls:
        for name, seen in each.seen.items():
            used = [a + b for a, b in zip(seen["server_cpu_ms"], seen["postgres_cpu_ms"], strict=True)]
            told.setdefault(name, {})[str(each.size)] = {
                "ms": round(statistics.median(seen["ms"]), 2),
                "p95_ms": round(statistics.quantiles(seen["ms"], n=20)[18], 2),
                "cpu_ms": round(statistics.median(used), 2),
                "cpu_p95_ms": round(statistics.quantiles(used, n=20)[18], 2),
                "postgres_cpu_ms": round(statistics.median(seen["postgres_cpu_ms"]), 2),
            }
    few, many = str(halls[0].size), str(halls[-1].size)
    ratios = {
        name: {
            what: round(cells[many][what] / cells[few][what], 3)
            for what in ("ms", "cpu_ms", "postgres_cpu_ms")
        }
        for name, cells in told.items()
    }
    rows = [
        {
            "what": f"{name}: ms of the processor, {halls[-1].size:,} beside {halls[0].size:,} tickets",
            "ours": told[name][many]["cpu_ms"],
            "peer": told[name][few]["cpu_ms"],
            "ratio": ratios[name]["cpu_ms"],
            "must": f"<= {MUST_TIMES:g} x",
            "aim": "flat",
            "met": ratios[name]["cpu_ms"] <= MUST_TIMES,
        }
        for name in JUDGED
    ]
    return {
        "bench": "growth",
        "sizes": [each.size for each in halls],
        "written_s": written,
        "acts": told,
        "ratios": ratios,
        "rows": rows,
        "must_met": all(row["met"] for row in rows),
    }


def print_table(figures: dict[str, Any]) -> None:
    """Each act at each size."""
    print(
        f"load average before {figures['load_average_before']}; {figures['turns']} lives at each size, by turns"
    )
    print(
        f"{'act':<18}{'tickets':>10}{'ms':>9}{'p95':>9}{'cpu ms':>9}{'p95':>9}{'of it postgres':>16}   ratio: ms, cpu, postgres"
    )
    for name, cells in figures["acts"].items():
        for size, cell in cells.items():
            last = size == str(figures["sizes"][-1])
            ratio = (
                "   {ms:.2f} {cpu_ms:.2f} {postgres_cpu_ms:.2f}".format(**figures["ratios"][name])
                if last
                else ""
            )
            print(
                f"{name:<18}{int(size):>10,}{cell['ms']:>9}{cell['p95_ms']:>9}{cell['cpu_ms']:>9}{cell['cpu_p95_ms']:>9}"
                f"{cell['postgres_cpu_ms']:>16}{ratio}"
            )
    for row in figures["rows"]:
        print(
            f"{row['what']:<62}{row['ratio']:>6} x   must {row['must']}: {'met' if row['met'] else 'MISSED'}"
        )


if __name__ == "__main__":
    sys.exit(main())
