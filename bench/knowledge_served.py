"""The knowledge search behind a real server: invented articles in PostgreSQL, the index followed by the server itself, clients that type.

python -m bench.knowledge_served [--articles N] [--json]

One embedded PostgreSQL in a temporary folder holds one platform's published articles (bench/knowledge_corpus.py), written in bulk by COPY.
`hotline serve` builds its index from them; then clients, each a process with one connection, type texts key by key, as an agent's page
does. Every answer must be 200 and come from the index.
"""

import argparse
import http.client
import json
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, text
from sqlmodel import Session

from bench.knowledge_corpus import entries, typed
from hotline import reference
from hotline.people import accounts
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from workflow.vocabulary import Level, Role

CLIENTS, ARTICLES = 4, 100_000
HOTLINE = Path(sys.executable).with_name("hotline")
_INDEXED_WITHIN = 600.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--articles", type=int, default=ARTICLES)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server ends with us
    folder = Path(tempfile.mkdtemp(prefix="hotline-bench-"))
    try:
        figures = served(folder / "served", options.articles)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if not options.json:
        for name, value in figures.items():
            print(f"{name:<16}{value:>12,}")
    print(json.dumps(figures))
    return 0


def served(folder: Path, count: int) -> dict[str, Any]:
    """Milliseconds of each key stroke over HTTP, four clients at once, of `count` articles."""
    logging.getLogger("alembic").setLevel(logging.WARNING)
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    url = embedded.find_or_start(folder / "server")
    server: subprocess.Popen[bytes] | None = None
    try:
        migrate(url)
        engine = make_engine(url, pool_size=2)
        token = fill(engine, count)
        engine.dispose()
        port = free_port()
        began = time.perf_counter()
        server = started(folder, url, port)
        ready(server, port, token)
        indexed = time.perf_counter() - began
        return {"articles": count, "clients": CLIENTS, "indexed_s": round(indexed, 1)} | timed(port, token)
    finally:
        if server is not None:
            with suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            server.wait()
        embedded.stop(folder / "server")


# --- the articles ------------------------------------------------------------------------------------------------------


def fill(engine: Engine, count: int) -> str:
    """One platform with `count` published articles; its agent's token."""
    at = datetime.now(UTC)
    with Session(engine, expire_on_commit=False) as session:
        reference.load_shipped(session)
        platform = accounts.add_platform(
            session,
            code="01",
            name="测试市12345热线",
            short_name="测试热线",
            level=Level.PREFECTURE,
            area_code="630100000000",
        )
        agent = accounts.add_person(
            session, login="agent", name="测试话务员", roles=[Role.AGENT], platform=platform
        )
        session.flush()
        token = accounts.issue_token(session, label="测试", at=at, person=agent)
        session.commit()
        home = platform.id
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        for table, columns, rows in (
            ("knowledge_articles", _ARTICLE, article_rows(home, count)),
            ("knowledge_versions", _VERSION, version_rows(count, at)),
            ("knowledge_changes", _CHANGE, change_rows(home, count, at)),
        ):
            with cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
        raw.commit()
    finally:
        raw.close()
    with engine.begin() as connection:
        for table in ("knowledge_articles", "knowledge_versions", "knowledge_changes"):
            connection.execute(text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), {count})"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    return token


_ARTICLE = ("id", "platform_id", "kind", "current_version", "published_version", "compared_version")
_VERSION = (
    "id", "article_id", "version", "state", "question", "answer", "guide", "synonyms", "categories", "areas",
    "valid_from", "valid_until", "corrects", "content_sha256", "written_by", "written_at", "published_at",
)  # fmt: skip
_CHANGE = ("id", "platform_id", "article_id", "version", "what", "at")


def article_rows(home: int, count: int) -> Iterator[tuple[Any, ...]]:
    for key in range(1, count + 1):
        yield key, home, "qa", 1, 1, 1


def version_rows(count: int, at: datetime) -> Iterator[tuple[Any, ...]]:
    for key, entry in enumerate(entries(count), 1):
        guide = json.dumps(dict(entry.guide), ensure_ascii=False)
        areas = json.dumps([entry.area] if entry.area else [])
        yield (
            key, key, 1, "published", entry.question, entry.answer, guide, "[]", "[]", areas,
            entry.valid_from, entry.valid_until, False, "0" * 64, "测试", at, at,
        )  # fmt: skip


def change_rows(home: int, count: int, at: datetime) -> Iterator[tuple[Any, ...]]:
    for key in range(1, count + 1):
        yield key, home, key, 1, "published", at


# --- the server --------------------------------------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def started(folder: Path, url: str, port: int) -> subprocess.Popen[bytes]:
    """A real `hotline serve`, whose rates do not stop one agent from typing for four."""
    own = {
        "HOTLINE_DATABASE_URL": url,
        "HOTLINE_DATA_DIR": str(folder / "data"),
        "HOTLINE_REQUESTS_PER_MINUTE": "1000000",
        "HOTLINE_LOG_LEVEL": "WARNING",
    }
    return subprocess.Popen(
        [HOTLINE, "serve", "--host", "127.0.0.1", "--port", str(port)],
        env=os.environ | own,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )


def ready(server: subprocess.Popen[bytes], port: int, token: str) -> None:
    """Until the server answers from an index that has everything."""
    end = time.monotonic() + _INDEXED_WITHIN
    while time.monotonic() < end and server.poll() is None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            found = asked(connection, token, "身份证")
            connection.close()
            if found["source"] == "index" and found["behind"] == 0:
                return
        time.sleep(0.5)
    raise RuntimeError("the server has ended, or built no index")


def asked(connection: http.client.HTTPConnection, token: str, words: str) -> Any:
    """One search, answered."""
    path = f"/api/v1/knowledge/search?q={quote(words)}"
    connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {body[:200]!r}")
    return json.loads(body)


# --- who types ---------------------------------------------------------------------------------------------------------


def timed(port: int, token: str) -> dict[str, Any]:
    """Four clients type at once, each its part of the texts."""
    began = time.perf_counter()
    with multiprocessing.get_context("spawn").Pool(CLIENTS) as pool:
        parts = pool.starmap(client, [(port, token, number) for number in range(CLIENTS)])
    took = time.perf_counter() - began
    taken = [each for part in parts for each in part]
    cuts = statistics.quantiles(taken, n=100)
    return {
        "key_strokes": len(taken),
        "per_second": round(len(taken) / took, 1),
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "p99_ms": round(cuts[98], 1),
        "max_ms": round(max(taken), 1),
    }


def client(port: int, token: str, number: int) -> list[float]:
    """One agent's page: a search for each key, the next once the last is answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    asked(connection, token, "预热")
    taken = []
    for words in typed()[number::CLIENTS]:
        for end in range(1, len(words) + 1):
            began = time.perf_counter()
            found = asked(connection, token, words[:end])
            taken.append(1000 * (time.perf_counter() - began))
            if found["source"] != "index":
                raise RuntimeError("not from the index")
    connection.close()
    return taken


if __name__ == "__main__":
    sys.exit(main())
