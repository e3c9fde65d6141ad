"""A real primary with a real streaming replica, made once for the module that asks."""

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine

from deploy.drills.servers import Server
from hotline.settings import with_driver
from hotline.storage.embedded import EmbeddedUnavailable
from hotline.storage.store import make_engine, migrate
from tests.loud import not_run
from tests.world import World, build


@dataclass
class Pair:
    """A primary with the small world on it, and its standby."""

    primary: Server
    standby: Server
    engine: Engine
    world: World

    def catch_up(self) -> None:
        """Wait until the standby holds all that is on the primary now."""
        with self.primary.connected() as source, self.standby.connected() as copy:
            source.execute(
                "SELECT pg_logical_emit_message(true, 'test', '')"
            )  # whole records, not whole pages
            row = source.execute("SELECT pg_current_wal_flush_lsn()::text").fetchone()
            assert row is not None
            query = "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn"
            while copy.execute(query, row).fetchone() != (True,):
                time.sleep(0.01)


def driven(url: str) -> str:
    """A URL as the settings hand it on."""
    found = with_driver(url)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="hotline-pair-"))  # pytest's own is closed to the server's user
    folder.chmod(0o755)
    primary = Server("primary", folder)
    standby = Server("standby", folder, primary.password)
    try:
        try:
            primary.make(fsync="off")
        except EmbeddedUnavailable as error:
            not_run(f"PostgreSQL 不可用，此测试没有执行：{error}")
        url = driven(primary.url)
        migrate(url)
        engine = make_engine(url)
        world = build(engine, tmp_path_factory.mktemp("world"))
        standby.copy_of(primary)
        standby.start()
        yield Pair(primary, standby, engine, world)
        engine.dispose()
    finally:
        for server in (standby, primary):
            server.end()
        shutil.rmtree(folder, ignore_errors=True)
