"""The server of a test run, and the databases made and dropped on it."""

import contextlib
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, Engine, make_url

from hotline.settings import with_driver
from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from tests import world as w

NAMED_SERVER = "HOTLINE_TEST_DATABASE_URL"
FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "4GB",
}
EMPTY, SETTLED = "template", "settled"
"""The run's templates: migrated and empty; with the small world in it."""
ABANDONED_AFTER = 3600.0
"""Seconds after which the folder of a run that was killed may be cleared away."""


class ServerUnavailable(Exception):
    """No PostgreSQL can be had; the message says why."""


class Server:
    """The run's server: makes and drops databases."""

    def __init__(self, folder: Path, worker: str) -> None:
        try:
            self._url = _named_server() if os.environ.get(NAMED_SERVER) else _own_server(folder)
            self._connection = psycopg.connect(dsn(self._url), autocommit=True)
        except (embedded.EmbeddedUnavailable, psycopg.OperationalError) as error:
            raise ServerUnavailable(str(error)) from error
        self._prefix = f"hotline_test_{folder.name.rpartition('-')[2]}"
        self._names = folder / "world.json"
        self._worker = worker
        self._numbers = itertools.count(1)

    def ensure_templates(self) -> None:
        """Make the run's templates, unless another worker has. Callers hold the run's lock."""
        self._ensure(EMPTY, "template0", migrate)
        self._ensure(SETTLED, f"{self._prefix}_{EMPTY}", self._settle)

    def _ensure(self, kind: str, of: str, fill: Callable[[str], None]) -> None:
        template, building = f"{self._prefix}_{kind}", f"{self._prefix}_building"
        if self._connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (template,)).fetchone():
            return
        self.drop(building)
        self._do("CREATE DATABASE {} TEMPLATE {}", building, of)
        fill(self.url_of(building))
        self._connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (building,)
        )
        self._do("ALTER DATABASE {} RENAME TO {}", building, template)

    def _settle(self, url: str) -> None:
        engine = make_engine(url)
        with tempfile.TemporaryDirectory() as folder:
            names = w.build(engine, Path(folder)).names()
        engine.dispose()
        self._names.write_text(json.dumps(names))

    def clone(self, kind: str = EMPTY) -> str:
        """The name of a new copy of a template."""
        name = f"{self._prefix}_{self._worker}_{next(self._numbers)}"
        self._do("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", name, f"{self._prefix}_{kind}")
        return name

    def world_in(self, engine: Engine, folder: Path) -> w.World:
        """The small world of a copy of the settled template; its files lie in `folder`."""
        return w.found(engine, folder, json.loads(self._names.read_text()))

    @contextlib.contextmanager
    def world(self, folder: Path) -> Iterator[w.World]:
        """The small world in a new database, dropped after use; its files lie in `folder`."""
        name = self.clone(SETTLED)
        engine = make_engine(self.url_of(name))
        try:
            yield self.world_in(engine, folder)
        finally:
            engine.dispose()
            self.drop(name)

    def drop(self, name: str) -> None:
        self._do("DROP DATABASE IF EXISTS {} WITH (FORCE)", name)

    def drop_all(self) -> None:
        found = self._connection.execute(
            "SELECT datname FROM pg_database WHERE starts_with(datname, %s)", (self._prefix,)
        )
        for (name,) in found.fetchall():
            self.drop(name)

    def url_of(self, name: str) -> str:
        return self._url.set(database=name).render_as_string(hide_password=False)

    def close(self) -> None:
        self._connection.close()

    def _do(self, statement: str, *names: str) -> None:
        self._connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def dsn(url: URL) -> str:
    """The URL as libpq, and so psycopg alone, reads it."""
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def end_run(folder: Path) -> None:
    """Leave nothing of the run behind: no database, no server, no file."""
    if os.environ.get(NAMED_SERVER):
        with contextlib.suppress(ServerUnavailable):
            server = Server(folder, "end")
            server.drop_all()
            server.close()
    else:
        embedded.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _named_server() -> URL:
    url = make_url(with_driver(os.environ[NAMED_SERVER]) or "")
    return url if url.database else url.set(database="postgres")


def _own_server(folder: Path) -> URL:
    _clear_abandoned(folder.parent)
    return make_url(embedded.find_or_start(folder, configuration=FORGETFUL))


def _clear_abandoned(base: Path) -> None:
    """End the servers of runs that were killed."""
    for folder in base.glob("hotline-test-*"):
        with contextlib.suppress(OSError, embedded.EmbeddedUnavailable):
            status = folder.stat()
            old = time.time() - status.st_mtime > ABANDONED_AFTER
            if old and status.st_uid == os.geteuid() and embedded.stop_if_unused(folder):
                shutil.rmtree(folder)
