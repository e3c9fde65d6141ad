"""What finding hot spots costs: one analysis of a window of 100,000 tickets, with the windows it is compared with.

python -m bench.hotspots [--quick] [--tickets N] [--json]

An embedded PostgreSQL in a temporary folder holds four months of demands of the demo's corpus, told by many callers in 43 counties, a window of
30 days with N tickets (100,000; --quick: 10,000) and as many in each window before; skewed as in life: one demand in five is about one of ten matters.
Exits 1 where the analysis takes more than 8 s at best, or more than 80 times one plain SQL that groups the same window by category and county.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any, Final

from sqlalchemy import Engine, make_url, text
from sqlmodel import Session

from hotline import reference
from hotline.case import Office
from hotline.demo.corpus import load_corpus
from hotline.hotspots.analysis import Window, analyse
from hotline.people import accounts
from hotline.privacy.keyring import in_memory
from hotline.privacy.sealing import Sealer
from hotline.storage import embedded
from hotline.storage.blobs import BlobStore
from hotline.storage.store import make_engine, migrate
from workflow.deadlines import CHINA
from workflow.vocabulary import Level

MUST_SECONDS, MUST_RATIO = 8.0, 80.0
DAYS, WINDOWS = 30, 4
LAST: Final = date(2026, 10, 31)
NOW: Final = datetime(2026, 11, 1, 9, 0, tzinfo=CHINA)
_PLAIN: Final = """
SELECT category_code, left(area_code, 6), count(*) FROM tickets
WHERE platform_id = 1 AND received_at >= CAST(:first AS date) AND received_at < CAST(:last AS date) + 1 GROUP BY 1, 2
"""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="10,000 tickets a window: under 30 s")
    parser.add_argument("--tickets", type=int, help="another number of tickets a window")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    tickets = options.tickets or (10_000 if options.quick else 100_000)
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    folder.chmod(0o755)
    try:
        told = measured(folder, tickets)
    finally:
        embedded.stop(folder / "server")
        shutil.rmtree(folder, ignore_errors=True)
    if not options.json:
        print(
            f"{tickets:,} tickets a window: {told['seconds']:.2f} s (limit {MUST_SECONDS:g} s), {told['ratio']:.0f} times the plain SQL"
            f" (limit {MUST_RATIO:g}), {told['memory_mb']:.0f} MB at most, {told['themes']} themes, load {told['load']:.1f}",
            file=sys.stderr,
        )
    print(json.dumps(told, ensure_ascii=False))
    return 0 if told["must_met"] else 1


def measured(folder: Path, tickets: int) -> dict[str, Any]:
    url = embedded.find_or_start(folder / "server")
    office = Office(Sealer(in_memory(b"k" * 32)), BlobStore(folder / "blobs", 1024))
    engine = filled(url, tickets)
    window = Window(LAST - timedelta(days=DAYS - 1), LAST)
    themes = 0

    def once() -> None:
        nonlocal themes
        with Session(engine) as session:
            session.execute(text("SET statement_timeout = 0"))
            run = analyse(session, office, 1, window, by="bench", at=NOW)
            counted = "SELECT count(*) FROM hotspots WHERE run_id = :run AND kind = 'theme'"
            themes = session.execute(text(counted), {"run": run.id}).scalar_one()
            session.rollback()

    def plain() -> None:
        with Session(engine) as session:
            session.execute(text(_PLAIN), {"first": window.first, "last": window.last}).all()

    best, usual = min(_timed(once) for _ in range(3)), min(_timed(plain) for _ in range(5))
    tracemalloc.start()
    once()
    memory = tracemalloc.get_traced_memory()[1] / 1e6
    engine.dispose()
    return {
        "tickets": tickets,
        "seconds": round(best, 3),
        "plain_sql_seconds": round(usual, 4),
        "ratio": round(best / usual, 1),
        "memory_mb": round(memory, 1),
        "themes": themes,
        "load": os.getloadavg()[0],
        "must_met": best <= MUST_SECONDS and best <= MUST_RATIO * usual,
    }


def _timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def filled(url: str, tickets: int) -> Engine:
    """A migrated database with these tickets in each window."""
    with make_engine(url).connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE bench_hotspots"))
    here = make_url(url).set(database="bench_hotspots").render_as_string(hide_password=False)
    migrate(here)
    engine = make_engine(here, pool_size=3)
    with Session(engine) as session:
        reference.load_shipped(session)
        accounts.add_platform(
            session,
            code="01",
            name="测试市12345热线",
            short_name="测试热线",
            level=Level.PREFECTURE,
            area_code="630100000000",
        )
        session.commit()
        _write(session, tickets * WINDOWS)
        session.commit()
        session.execute(text("COMMIT"))
        session.execute(text("ANALYZE tickets"))
        session.commit()
    return engine


_COLUMNS: Final = (
    "number, platform_id, state, version, matter, channel, category_code, area_code, title, content, received_at, created_at, ended_at,"
    " phone_index, confidential, complex, episode, episode_no, upheld_returns, ledger_seq, ledger_head"
)


def _write(session: Session, many: int) -> None:
    dice = Random(25)
    corpus = load_corpus()
    counties = sorted(code for code in corpus.areas if code.endswith("000000"))
    often = dice.sample(corpus.demands, 10)
    first = datetime.combine(LAST - timedelta(days=DAYS * WINDOWS - 1), datetime.min.time(), CHINA)
    step = timedelta(days=DAYS * WINDOWS) / many
    connection: Any = session.connection().connection.cursor()
    with connection.copy(f"COPY tickets ({_COLUMNS}) FROM STDIN") as copy:
        for number in range(many):
            row = dice.choice(often if number % 5 == 0 else corpus.demands)
            county = dice.choice(counties[:8] if number % 5 == 0 else counties)
            at = first + number * step
            title = row["title"] + dice.choice(
                ("", "", "（重复反映）", "，请尽快处理", f"（{corpus.areas[county][0]}）")
            )
            caller = dice.randrange(many).to_bytes(8, "big")
            written = (f"{number:015d}", 1, "closed", 6, "complaint", "phone", row["category"], county)
            told = (
                title,
                row["text"],
                at,
                at,
                at + timedelta(days=5),
                caller,
                False,
                False,
                "first",
                0,
                0,
                2,
                b"",
            )
            copy.write_row(written + told)


if __name__ == "__main__":
    sys.exit(main())
