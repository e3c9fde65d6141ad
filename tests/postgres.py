"""Real PostgreSQL for tests: `database_url`, `engine`, `session`, each test on a fresh migrated database.

One server a run, shared by pytest-xdist's workers: that of HOTLINE_TEST_DATABASE_URL (its user must be able
to create databases), else the embedded one in a temporary folder, in memory where there is room. Two templates
are made a run, one migrated and empty, one with the small world; a test's database is a file copy of one of them.

Without PostgreSQL such a test is skipped with the reason; under CI it fails. What only these fixtures need is
imported by them, so that tests of the rules alone start at once.
"""

import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.loud import not_run

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlmodel import Session

    from tests.postgres_server import Server

RUN_FOLDER = "HOTLINE_TEST_RUN_FOLDER"
"""Environment variable: set by the run's first process, read by its workers."""

MEMORY = Path("/dev/shm")
ROOM_NEEDED = 4 * 1024**3


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        os.environ[RUN_FOLDER] = str(_temporary() / f"hotline-test-{uuid.uuid4().hex[:12]}")


def pytest_unconfigure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput") or RUN_FOLDER not in os.environ:
        return
    folder = Path(os.environ.pop(RUN_FOLDER))
    if folder.exists():
        from tests.postgres_server import end_run

        end_run(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker("postgres")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator["Server"]:
    """The run's server, its templates made."""
    from tests.postgres_server import Server, ServerUnavailable

    folder = Path(os.environ[RUN_FOLDER])
    try:
        server = Server(folder, os.environ.get("PYTEST_XDIST_WORKER", "main"))
    except ServerUnavailable as error:
        not_run(f"PostgreSQL 不可用，此测试没有执行：{error}")
    folder.mkdir(mode=0o700, exist_ok=True)
    with (folder / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server.ensure_templates()
    yield server
    server.close()


@pytest.fixture
def database_url(request: pytest.FixtureRequest, postgres_server: "Server") -> Iterator[str]:
    """The SQLAlchemy URL of a fresh migrated database of this test's own, with the small world where the test asks for it."""
    from tests.postgres_server import EMPTY, SETTLED

    name = postgres_server.clone(SETTLED if "world" in request.fixturenames else EMPTY)
    yield postgres_server.url_of(name)
    postgres_server.drop(name)


@pytest.fixture
def engine(database_url: str) -> Iterator["Engine"]:
    from hotline.storage.store import make_engine

    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: "Engine") -> Iterator["Session"]:
    from sqlmodel import Session

    with Session(engine) as session:
        yield session


def _temporary() -> Path:
    """Memory where it has room, else the temporary folder; never pytest's own, which is closed to others."""
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM_NEEDED:
        return MEMORY
    return Path(tempfile.gettempdir())
