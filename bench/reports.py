"""What a month's report costs over 1,000,000 tickets, beside one plain SQL over the same rows in the same run.

python -m bench.reports [--quick | --full] [--json]

An embedded PostgreSQL in a temporary folder, with its ordinary settings, holds the tickets of one month (--full: 10,000,000 of one year,
some hours; --quick: 40,000), written in bulk by SQL: each with its ledger's first entries, a unit's part, its clocks (transfer, citizen, reply,
callback, for inquiries knowledge), a review and a callback, spread over 9 platforms, 900 units, every leaf category and county. They are
counted as `hotline reports rebuild` counts, then

* the full regular report (every indicator by platform, unit, level, matter, category and area at each level, channel) is read from the cube;
* replies in time and due of each unit are read from the cube, and by one plain SQL over the clocks; and every indicator of each unit;
* 500 tickets are answered, and counted as the ticker does.

Exits 1 where the full report takes more than 0.3 s at best (a year's: 3 s), unit × month more than a quarter of the plain SQL (not asked of
--quick: reading the cube costs the same however few tickets there are), or where a figure of the cube is not that of the plain SQL.
"""

import argparse
import json
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, make_url, select, text
from sqlmodel import Session, col

from hotline import reference
from hotline.case import Office
from hotline.organisation import Platform
from hotline.people import accounts
from hotline.privacy.keyring import in_memory
from hotline.privacy.sealing import Sealer
from hotline.reporting import figures, periods, refresh
from hotline.reporting.indicators import BY_KEY, INDICATORS, Indicator
from hotline.reporting.periods import Period
from hotline.reporting.slices import Slice
from hotline.reporting.tables import CountState
from hotline.storage import embedded
from hotline.storage.blobs import BlobStore
from hotline.storage.store import make_engine, migrate
from workflow.deadlines import CHINA
from workflow.vocabulary import Level

MUST_MONTH, MUST_YEAR, MUST_RATIO = 0.3, 3.0, 0.25
MONTH, YEAR = periods.month(2026, 3), periods.year(2026)
SIZES = {"quick": 40_000, "month": 1_000_000, "full": 10_000_000}
PLATFORMS, UNITS = 9, 900
CHANGED = 500
NOW = datetime(2027, 2, 1, 9, 0, tzinfo=CHINA)
TODAY = NOW.date()
REPLIES = (BY_KEY["reply_timely"],)


@dataclass
class Bench:
    """One database and what was measured on it, in seconds."""

    engine: Engine
    office: Office
    period: Period
    tickets: int
    cut: Slice
    took: dict[str, list[float]] = field(default_factory=dict)

    def time(self, name: str, run: Callable[[], Any], rounds: int) -> Any:
        """Run this so many times after once to warm up; the last result."""
        run()
        result = None
        for _ in range(rounds):
            start = time.perf_counter()
            result = run()
            self.took.setdefault(name, []).append(time.perf_counter() - start)
        return result


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick", action="store_const", const="quick", dest="size", help="40,000 tickets: under 45 s"
    )
    size.add_argument(
        "--full", action="store_const", const="full", dest="size", help="10,000,000 of one year"
    )
    parser.add_argument(
        "--tickets", type=int, help="another number of tickets of the month, or with --full of the year"
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    chosen = options.size or "month"
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    folder.chmod(0o755)
    try:
        told = measured(folder, chosen, options.tickets or SIZES[chosen], silent=options.json)
    finally:
        embedded.stop(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(told, ensure_ascii=False))
    return 0 if told["must_met"] else 1


def measured(folder: Path, size: str, tickets: int, *, silent: bool) -> dict[str, Any]:
    url = embedded.find_or_start(folder / "server")
    office = Office(Sealer(in_memory(b"k" * 32)), BlobStore(folder / "blobs", 1024))
    period = YEAR if size == "full" else MONTH
    began = time.perf_counter()
    bench = made(url, office, period, tickets)
    written = time.perf_counter() - began
    counted = rebuilt(bench)
    if not silent:
        print(f"{tickets:,} tickets written in {written:.0f} s, counted in {counted:.0f} s", file=sys.stderr)
    rounds = 5 if size == "quick" else 9
    with Session(bench.engine) as session:
        session.execute(text("SET statement_timeout = 0"))
        bench.time("full report", lambda: full_report(session, bench), rounds)
        bench.time("unit × period, everything", lambda: unit_report(session, bench, INDICATORS), rounds)
        by_unit = bench.time("unit × period, cube", lambda: unit_report(session, bench, REPLIES), rounds)
        plain = bench.time("unit × period, plain SQL", lambda: plain_sql(session, bench), 3)
    same = by_unit == plain
    change(bench)
    if not silent:
        print_table(bench, same=same)
    return summed_up(bench, size, counted, same=same)


# --- what lies there ---------------------------------------------------------------------------------------------------


def made(url: str, office: Office, period: Period, tickets: int) -> Bench:
    """A migrated database with these tickets, vacuumed and analysed."""
    with make_engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE bench_reports"))
    here = make_url(url).set(database="bench_reports").render_as_string(hide_password=False)
    migrate(here)
    engine = make_engine(here, pool_size=3)
    with Session(engine) as session:
        reference.load_shipped(session)
        province = accounts.add_platform(
            session,
            code="00",
            name="测试省12345热线",
            short_name="测试省热线",
            level=Level.PROVINCE,
            area_code="630000000000",
        )
        for number in range(1, PLATFORMS):
            accounts.add_platform(
                session,
                code=f"{number:02d}",
                name=f"测试{number}市12345热线",
                short_name=f"测试{number}热线",
                level=Level.PREFECTURE,
                area_code="630100000000",
                parent=province,
            )
        session.commit()
        session.execute(text("SET statement_timeout = 0"))
        session.execute(text("SET synchronous_commit = off"))
        session.execute(
            text("SET session_replication_role = replica")
        )  # the rows are made whole: no keys to look up
        days = (period.last - period.first).days + 1
        values = {"platforms": PLATFORMS, "units": UNITS, "n": tickets, "first": period.first, "days": days}
        for statement in (_UNITS, _TICKETS, _LEDGER, _ASSIGNMENTS, _CLOCKS, _REVIEWS, _CALLBACKS):
            session.execute(text(statement), values)
            session.commit()
        platforms = tuple(session.execute(select(col(Platform.id)).order_by(col(Platform.id))).scalars())
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE)"))
        connection.execute(text("CHECKPOINT"))
    return Bench(engine, office, period, tickets, Slice(platforms=platforms))


_UNITS = """
INSERT INTO units (code, name, level, kind, duty, platform_id, area_code, active)
SELECT 'T' || u, '测试单位' || u, (ARRAY['province', 'prefecture', 'county', 'town', 'village'])[1 + u % 5], 'department', '',
    p.first + u % CAST(:platforms AS int), '630104000000', true
FROM generate_series(1, :units) u, (SELECT min(id) AS first FROM platforms) p
"""
_TICKETS = """
WITH leaf AS (SELECT array_agg(code ORDER BY code) AS codes FROM categories WHERE level = 3),
    county AS (SELECT array_agg(code ORDER BY code) AS codes FROM areas WHERE level = 'county')
INSERT INTO tickets (number, platform_id, state, version, matter, channel, category_code, area_code, title, content,
    received_at, created_at, confidential, complex, episode, episode_no, upheld_returns, ledger_seq, ledger_head)
SELECT lpad(i::text, 15, '0'), p.first + (i * 7919) % CAST(:platforms AS int), 'closed', 6,
    (ARRAY['inquiry', 'help', 'suggestion', 'complaint', 'tipoff'])[CAST(1 + i % 5 AS int)],
    (ARRAY['phone', 'phone', 'phone', 'web', 'wechat', 'app'])[CAST(1 + i % 6 AS int)],
    leaf.codes[CAST(1 + (i * 31) % array_length(leaf.codes, 1) AS int)],
    county.codes[CAST(1 + (i * 17) % array_length(county.codes, 1) AS int)],
    '暖气不热', '来电人反映家中暖气不热，请求尽快处理。', received.at, received.at, false, false, 'first', 0, 0, 2, ''
FROM generate_series(0, CAST(:n AS bigint) - 1) i, (SELECT min(id) AS first FROM platforms) p, leaf, county, LATERAL (
    SELECT (CAST(:first AS date) + make_interval(days => CAST(i * CAST(:days AS int) / CAST(:n AS bigint) AS int), secs => 28800 + (i * 7) % 36000))
        AT TIME ZONE 'Asia/Shanghai' AS at
) received ORDER BY i
"""
_LEDGER = """
INSERT INTO ledger (ticket_id, seq, version, act, actor_kind, actor_name, to_state, effective_at, recorded_at, payload, prev_hash, hash)
SELECT t.id, s.seq, s.seq, s.act, 'person', '测试', s.state, t.received_at, t.received_at, '{}', '', ''
FROM tickets t, (VALUES (1, 'accept', 'accepted'), (2, 'dispatch', 'dispatched')) s (seq, act, state)
"""
_ASSIGNMENTS = """
INSERT INTO assignments (ticket_id, unit_id, role, status, dispatched_at, signed_at, answered_at, reported_at)
SELECT t.id, u.first + (t.id * 104729) % CAST(:units AS int), 'lead', 'replied', t.received_at + interval '1 hour', t.received_at + interval '2 hours',
    t.received_at + interval '30 hours', t.received_at + interval '30 hours'
FROM tickets t, (SELECT min(id) AS first FROM units) u ORDER BY t.id
"""
# every kind of clock with its own due day; of replies one in nine is late, one in 20 is still owed
_CLOCKS = """
INSERT INTO clocks (ticket_id, assignment_id, platform_id, unit_id, kind, party, duty, episode, episode_no, limit_id, law_on, statute, article,
    length, opened_by, opened_at, original_due_on, original_due_at, due_on, due_at, provisional, calendar_version, extension_days, rung, met_at, lapsed_at)
SELECT a.ticket_id, CASE WHEN k.of_unit THEN a.id END, t.platform_id, CASE WHEN k.of_unit THEN a.unit_id END, k.kind,
    CASE WHEN k.of_unit THEN 'unit' ELSE 'platform' END, true, 'first', 0, k.kind, d.due_on, 'qinghai-2022', '14', 2, 'dispatch', d.opened_at,
    d.due_on, d.due_at, d.due_on, d.due_at, false, 0, 0, 0,
    CASE WHEN k.kind = 'reply' AND a.id % 20 = 0 THEN NULL WHEN k.kind = 'reply' AND a.id % 9 = 0 THEN d.due_at + interval '1 day'
        ELSE d.opened_at + (d.due_at - d.opened_at) * ((a.id % 89) / 90.0) END,
    CASE WHEN k.kind = 'reply' AND (a.id % 20 = 0 OR a.id % 9 = 0) THEN d.due_at END
FROM assignments a JOIN tickets t ON t.id = a.ticket_id
CROSS JOIN (VALUES ('form_and_transfer', false, 0, 1), ('citizen', false, 0, 4), ('reply', true, 1, 3), ('callback', false, 30, 8), ('knowledge_update', true, 31, 4))
    k (kind, of_unit, after, days)
CROSS JOIN LATERAL (
    SELECT t.received_at + make_interval(hours => k.after) AS opened_at,
        (t.received_at AT TIME ZONE 'Asia/Shanghai')::date + k.days AS due_on,
        ((t.received_at AT TIME ZONE 'Asia/Shanghai')::date + k.days + 1)::timestamp AT TIME ZONE 'Asia/Shanghai' AS due_at
) d
WHERE k.kind <> 'knowledge_update' OR t.matter = 'inquiry' ORDER BY a.id
"""
_REVIEWS = """
INSERT INTO reviews (ticket_id, episode, episode_no, passed, elements, reviewed_by, reviewed_at)
SELECT id, 'first', 0, true, '{}', '测试', received_at + interval '40 hours' FROM tickets ORDER BY id
"""
_CALLBACKS = """
INSERT INTO callback_attempts (ticket_id, episode_no, outcome, conclusive, solved, attempted_by, attempted_at)
SELECT id, 0, (ARRAY['satisfied', 'satisfied', 'basically_satisfied', 'dissatisfied', 'unreachable'])[1 + id % 5], true, id % 3 > 0, '测试',
    received_at + interval '50 hours'
FROM tickets ORDER BY id
"""


def rebuilt(bench: Bench) -> float:
    """Count everything as `hotline reports rebuild` does; the seconds that took."""
    start = time.perf_counter()
    with Session(bench.engine, expire_on_commit=False) as session:
        refresh.begin_anew(session)
        session.commit()
        while True:
            done = refresh.count(session, bench.office, NOW)
            session.commit()
            state = session.get_one(CountState, 1, populate_existing=True)
            if state.built and not done:
                break
    took = time.perf_counter() - start
    with bench.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE) report_facts, report_cube, report_spread"))
        connection.execute(text("CHECKPOINT"))
    return took


# --- what is timed -----------------------------------------------------------------------------------------------------


def full_report(session: Session, bench: Bench) -> Any:
    """Everything a regular report prints."""
    whole = figures.whole(session, bench.cut, bench.period, TODAY)
    return whole, figures.full(session, bench.cut, bench.period, TODAY)


def unit_report(session: Session, bench: Bench, wanted: Sequence[Indicator]) -> dict[str, tuple[int, int]]:
    """Of each unit, replies in time and replies due."""
    table = figures.table(session, bench.cut, bench.period, "unit", TODAY, wanted)
    told = {row.key: row.figures["reply_timely"] for row in table.rows if row.key != figures.OF_PLATFORM}
    return {key: (each.numerator, each.denominator or 0) for key, each in told.items() if each.denominator}


def plain_sql(session: Session, bench: Bench) -> dict[str, tuple[int, int]]:
    """The same two numbers by one plain SQL over the clocks."""
    rows = session.execute(text(_PLAIN), {"first": bench.period.first, "last": bench.period.last})
    return {code: (met, due) for code, met, due in rows}


_PLAIN = """
SELECT u.code, count(*) FILTER (WHERE c.met_at < c.due_at), count(*)
FROM clocks c JOIN units u ON u.id = c.unit_id
WHERE c.kind = 'reply' AND c.due_on BETWEEN :first AND :last AND c.voided_at IS NULL
GROUP BY u.code
"""


def change(bench: Bench) -> None:
    """500 replies come in, and are counted as the ticker counts them; each in a round of its own."""
    for number in range(3):
        with bench.engine.begin() as connection:
            values = {"n": CHANGED, "at": NOW - timedelta(hours=3 - number), "skip": number * CHANGED}
            connection.execute(text(_ANSWERED), values)
        start = time.perf_counter()
        with Session(bench.engine, expire_on_commit=False) as session:
            looked = refresh.count(session, bench.office, NOW)
            session.commit()
        bench.took.setdefault(f"{CHANGED} changed tickets", []).append(time.perf_counter() - start)
        if looked != CHANGED:
            raise AssertionError(f"{looked} events were counted where {CHANGED} were written")


_ANSWERED = """
WITH answered AS (
    UPDATE clocks SET met_at = :at WHERE id IN (
        SELECT id FROM clocks WHERE kind = 'reply' AND met_at IS NULL ORDER BY id LIMIT :n
    ) RETURNING ticket_id, platform_id, unit_id
)
INSERT INTO outbox (ticket_id, type, platform_id, unit_id, data, occurred_at)
SELECT ticket_id, 'ticket.replied', platform_id, unit_id, '{}', :at FROM answered WHERE CAST(:skip AS int) >= 0
"""


# --- what is told ------------------------------------------------------------------------------------------------------


def summed_up(bench: Bench, size: str, counted: float, *, same: bool) -> dict[str, Any]:
    median = {name: statistics.median(took) for name, took in bench.took.items()}
    best = min(bench.took["full report"])
    must = MUST_YEAR if size == "full" else MUST_MONTH
    ratio = median["unit × period, cube"] / median["unit × period, plain SQL"]
    with bench.engine.connect() as connection:
        cells = connection.execute(text("SELECT count(*) FROM report_cube")).scalar_one()
        bytes_ = connection.execute(
            text(
                "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relname IN ('report_facts', 'report_cube', 'report_spread') AND relkind = 'r'"
            )
        ).scalar_one()
    bench.engine.dispose()
    return {
        "bench": "reports",
        "size": size,
        "tickets": bench.tickets,
        "seconds": {name: round(value, 4) for name, value in median.items()},
        "best_full_report": round(best, 4),
        "must_full_report": must,
        "ratio_to_plain_sql": round(ratio, 4),
        "must_ratio": MUST_RATIO,
        "ms_per_changed_ticket": round(1000 * median[f"{CHANGED} changed tickets"] / CHANGED, 2),
        "rebuild_seconds": round(counted, 1),
        "cells": cells,
        "bytes_per_ticket": round(int(bytes_) / bench.tickets),
        "same_figures": same,
        "must_met": best <= must and (ratio <= MUST_RATIO or size == "quick") and same,
    }


def print_table(bench: Bench, *, same: bool) -> None:
    print(f"{'tickets':>12}  {'what':<28}{'median s':>10}{'best s':>10}")
    for name, took in bench.took.items():
        print(f"{bench.tickets:>12,}  {name:<28}{statistics.median(took):>10.4f}{min(took):>10.4f}")
    print(f"figures of cube and plain SQL: {'the same' if same else 'NOT THE SAME'}")


if __name__ == "__main__":
    sys.exit(main())
