"""What every test may ask for. The PostgreSQL fixtures stand in `tests/postgres.py`, the small world in `tests/world.py`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.world import World

pytest_plugins = ["tests.postgres", "tests.survival.log"]

# Machines are shared: no property is judged by the clock. In CI every run tries the same examples.
settings.register_profile("shared", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI", "").lower() not in {"", "0", "false"} else "shared")


@pytest.fixture
def world(engine: "Engine", tmp_path: Path) -> "World":
    """The small invented world in a fresh database of this test's own."""
    from tests.world import build

    return build(engine, tmp_path)
