"""What every test may ask for. The PostgreSQL fixtures stand in `tests/postgres.py`, the small world in `tests/world.py`."""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.postgres_server import Server
    from tests.world import World

pytest_plugins = ["tests.postgres", "tests.survival.log"]

# Machines are shared: no property is judged by the clock. In CI every run tries the same examples.
settings.register_profile("shared", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI", "").lower() not in {"", "0", "false"} else "shared")


def pytest_collection_finish() -> None:
    """What is imported by now stays: no collection of garbage need go through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def world(postgres_server: "Server", engine: "Engine", tmp_path: Path) -> "World":
    """The small invented world in a fresh database of this test's own."""
    return postgres_server.world_in(engine, tmp_path)
