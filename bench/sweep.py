"""What the sweep costs: 1,000 due clocks among 1,000,000 open ones, beside 1,000 due among 10,000, in one run.

python -m bench.sweep [--quick] [--json]

Both stand in databases of one embedded PostgreSQL in a temporary folder, with its ordinary, durable settings. Each has one
open ticket with one running reply clock for every row, written in bulk by SQL (`generate_series`): these tickets have no ledger
yet and no units' parts, which the sweep does not read. Tickets lie in the order they were received; the clocks that fall due
together were dispatched at five different times, one for each matter's limit, as in life. After VACUUM, ANALYZE and a
CHECKPOINT the real `supervision.lapse_due` sweeps 1,000 clocks at a time in batches of 500 until it finds nothing, each batch
its own commit, in turn here and there; the median of the rounds' ratios counts. What all rounds sweep comes on top, so that never
fewer than 10,000 and 1,000,000 are open. --quick takes 200,000 open clocks in place of 1,000,000.

Exits 1 where a sweep among the many costs more than 1.2 times that among the few, where the due clocks are not found by an index
scan on ix_clocks_sweep, or where what was swept is wrong.
"""

import argparse
import json
import logging
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event, make_url, select, text
from sqlmodel import Session, col

from hotline.case import Office
from hotline.ledger import entries_of, verify
from hotline.models import Ticket
from hotline.people import accounts
from hotline.privacy.keyring import in_memory
from hotline.privacy.sealing import Sealer
from hotline.storage import embedded
from hotline.storage.blobs import BlobStore
from hotline.storage.store import make_engine, migrate
from hotline.supervision import lapse_due
from workflow.vocabulary import Level

MUST_TIMES_FEW = 1.2
FEW, MANY, MANY_QUICK = 10_000, 1_000_000, 200_000
DUE = 1_000
PLATFORMS, UNITS = 9, 900
ROUNDS, ROUNDS_QUICK = 20, 10
"""Even: each database goes first as often as second."""
WARM_UP = 2
FIRST_DUE = datetime(2026, 3, 2, 16, 0, tzinfo=UTC)
INDEX = "ix_clocks_sweep"


@dataclass
class Hall:
    """One database with `open` running clocks, one falling due each second from FIRST_DUE on."""

    name: str
    open: int
    engine: Engine
    swept: int = 0
    seconds: list[float] = field(default_factory=list)

    def sweep(self, office: Office) -> float:
        """Sweep the next DUE clocks; the seconds that took."""
        as_of = FIRST_DUE + timedelta(seconds=self.swept + DUE - 1)
        found, start = 0, time.perf_counter()
        while True:
            with Session(self.engine, expire_on_commit=False) as session:
                count = lapse_due(session, office, as_of)
                session.commit()
            found += count
            if count == 0:
                break
        took = time.perf_counter() - start
        if found != DUE:
            raise AssertionError(f"{found} clocks were swept where {DUE} were due")
        self.swept += DUE
        return took


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="200,000 open clocks, fewer rounds: under 45 s")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    logging.getLogger("alembic").setLevel(logging.WARNING)

    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    folder.chmod(0o755)
    try:
        figures = measured(folder, quick=options.quick, silent=options.json)
    finally:
        embedded.stop(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def measured(folder: Path, *, quick: bool, silent: bool) -> dict[str, Any]:
    url = embedded.find_or_start(folder / "server")
    office = Office(Sealer(in_memory(b"k" * 32)), BlobStore(folder / "blobs", 1024))
    rounds = ROUNDS_QUICK if quick else ROUNDS
    swept = (WARM_UP + rounds) * DUE
    halls = [
        hall(url, "few", FEW + swept, silent=silent),
        hall(url, "many", (MANY_QUICK if quick else MANY) + swept, silent=silent),
    ]
    plans = {each.name: plan(each) for each in halls}
    with halls[0].engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CHECKPOINT"))
    for number in range(WARM_UP + rounds):
        for each in halls if number % 2 else halls[::-1]:
            took = each.sweep(office)
            if number >= WARM_UP:
                each.seconds.append(took)
    sound = {each.name: is_sound(each) for each in halls}
    for each in halls:
        each.engine.dispose()
    if not silent:
        print_table(halls, plans, sound)
    return summed_up(halls, plans, sound, quick=quick)


# --- what lies there ---------------------------------------------------------------------------------------------------


def hall(url: str, name: str, count: int, *, silent: bool) -> Hall:
    """A migrated database with `count` open tickets, vacuumed and analysed."""
    began = time.perf_counter()
    with make_engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE bench_{name}"))
    here = make_url(url).set(database=f"bench_{name}").render_as_string(hide_password=False)
    migrate(here)
    engine = make_engine(here, pool_size=2)
    with Session(engine) as session:
        for number in range(PLATFORMS):
            accounts.add_platform(
                session,
                code=f"{number:02d}",
                name=f"测试{number}市12345热线",
                short_name=f"测试{number}热线",
                level=Level.PREFECTURE,
                area_code="630100000000",
            )
        session.execute(text("SET LOCAL statement_timeout = 0"))
        values = {"platforms": PLATFORMS, "n": count, "units": UNITS, "first": FIRST_DUE}
        for statement in (_UNITS, _TICKETS, _CLOCKS):
            session.execute(text(statement), values)
        session.commit()
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("VACUUM (ANALYZE)"))
    engine.dispose()
    if not silent:
        print(f"{count:,} open tickets written in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    return Hall(name, count, engine)


_UNITS = """
INSERT INTO units (code, name, level, kind, duty, platform_id, area_code, active)
SELECT 'T' || u, '测试单位' || u, 'prefecture', 'department', '', p.first + u % :platforms, '630104000000', true
FROM generate_series(1, :units) u, (SELECT min(id) AS first FROM platforms) p
"""
_TICKETS = """
INSERT INTO tickets (number, platform_id, state, version, matter, channel, category_code, area_code, title, content,
    received_at, created_at, confidential, complex, episode, episode_no, upheld_returns, ledger_seq, ledger_head)
SELECT lpad(i::text, 15, '0'), p.first + (i * 7919) % :platforms, 'handling', 2,
    (ARRAY['inquiry', 'help', 'suggestion', 'complaint', 'tipoff'])[CAST(1 + i % 5 AS int)], 'phone', '010101', '630104000000',
    '暖气不热，室温只有14度',
    repeat('来电人反映家中暖气自供暖以来一直不热，请求尽快处理。', CAST(1 + i % 5 AS int)),
    CAST(:first AS timestamptz) - make_interval(days => 20) + make_interval(secs => i),
    CAST(:first AS timestamptz) - make_interval(days => 20) + make_interval(secs => i),
    false, false, 'first', 0, 0, 0, ''
FROM generate_series(0, CAST(:n AS bigint) - 1) i, (SELECT min(id) AS first FROM platforms) p
ORDER BY i
"""
# the clock due k seconds after FIRST_DUE is that of one ticket; neighbours in k come from five places in the table
_CLOCKS = """
INSERT INTO clocks (ticket_id, platform_id, unit_id, kind, party, duty, episode, episode_no, limit_id, law_on, statute,
    article, length, opened_by, opened_at, original_due_on, original_due_at, due_on, due_at, provisional,
    calendar_version, extension_days, rung)
SELECT t.id, t.platform_id, u.first + (t.id * 104729) % CAST(:units AS bigint), 'reply', 'unit', true, 'first', 0, 'reply.' || t.matter,
    '2026-02-10', 'qinghai-2022', '14(4)', 2, 'dispatch', t.received_at, due.at::date, due.at, due.at::date, due.at,
    false, 0, 0, 0
FROM tickets t, (SELECT min(id) AS first FROM units) u, LATERAL (
    SELECT CAST(:first AS timestamptz)
        + make_interval(secs => (t.number::int + (t.number::int % 5) * CAST(:n AS int) / 5) % CAST(:n AS int)) AS at
) due
ORDER BY t.id
"""


def plan(hall: Hall) -> str:
    """How PostgreSQL finds the due clocks: the plan of the sweep's own first query."""
    asked: list[tuple[str, Any]] = []

    def note(_conn: Any, _cursor: Any, statement: str, parameters: Any, *_rest: Any) -> None:
        asked.append((statement, parameters))

    event.listen(hall.engine, "before_cursor_execute", note)
    with Session(hall.engine) as session:
        office = Office(Sealer(in_memory(b"k" * 32)), BlobStore(Path("nowhere"), 1))
        lapse_due(session, office, FIRST_DUE + timedelta(seconds=DUE - 1))
        session.rollback()
        event.remove(hall.engine, "before_cursor_execute", note)
        statement, parameters = next(each for each in asked if "FROM clocks" in each[0])
        lines = session.connection().exec_driver_sql("EXPLAIN " + statement, parameters).scalars().all()
    return "\n".join(lines)


def node(plan: str) -> str:
    """The plan's node that reads the clocks, without its costs."""
    scans = [line.split("  (")[0].strip(" ->") for line in plan.splitlines() if "Scan" in line]
    return scans[-1] if scans else "?"


def is_sound(hall: Hall) -> bool:
    """Whether exactly what was due is stamped, each with its own instant, once, and the chains hold."""
    with Session(hall.engine) as session:
        stamped, due = session.execute(
            text(
                "SELECT count(*) FILTER (WHERE lapsed_at = due_at), count(*) FILTER (WHERE due_at < :until) FROM clocks"
                " WHERE lapsed_at IS NOT NULL OR due_at < :until"
            ),
            {"until": FIRST_DUE + timedelta(seconds=hall.swept)},
        ).one()
        entries = session.execute(text("SELECT count(*), count(DISTINCT ticket_id) FROM ledger")).one()
        some = session.execute(select(Ticket).where(col(Ticket.ledger_seq) > 0).limit(200)).scalars().all()
        broken = [verify(t.number, t.ledger_head, t.ledger_seq, entries_of(session, t.id)) for t in some]
    return (stamped, due, *entries) == (hall.swept,) * 4 and len(some) == 200 and not any(broken)


# --- what is told ------------------------------------------------------------------------------------------------------


def summed_up(
    halls: list[Hall], plans: dict[str, str], sound: dict[str, bool], *, quick: bool
) -> dict[str, Any]:
    few, many = halls
    ratio = statistics.median(m / f for m, f in zip(many.seconds, few.seconds, strict=True))
    nodes = {each.name: node(plans[each.name]) for each in halls}
    indexed = all("Index" in each and INDEX in each for each in nodes.values())
    return {
        "bench": "sweep",
        "quick": quick,
        "due": DUE,
        "open": {each.name: each.open - each.swept for each in halls},
        "seconds": {each.name: [round(took, 3) for took in each.seconds] for each in halls},
        "ms_per_lapsed_clock": {
            each.name: round(1000 * statistics.median(each.seconds) / DUE, 3) for each in halls
        },
        "ratio": round(ratio, 3),
        "must_ratio": MUST_TIMES_FEW,
        "due_query": nodes,
        "sound": all(sound.values()),
        "must_met": ratio <= MUST_TIMES_FEW and indexed and all(sound.values()),
    }


def print_table(halls: list[Hall], plans: dict[str, str], sound: dict[str, bool]) -> None:
    print(f"{'open':>12}{'due':>8}{'median s':>11}{'best s':>9}{'ms/clock':>10}{'sound':>7}  due query")
    for each in halls:
        median = statistics.median(each.seconds)
        print(
            f"{each.open - each.swept:>12,}{DUE:>8,}{median:>11.3f}{min(each.seconds):>9.3f}{1000 * median / DUE:>10.3f}"
            f"{'yes' if sound[each.name] else 'NO':>7}  {node(plans[each.name])}"
        )


if __name__ == "__main__":
    sys.exit(main())
