"""What every test may ask for. The PostgreSQL fixtures stand in `tests/postgres.py`, the small world in `tests/world.py`."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.world import World

pytest_plugins = ["tests.postgres"]


@pytest.fixture
def world(engine: "Engine", tmp_path: Path) -> "World":
    """The small invented world in a fresh database of this test's own."""
    from tests.world import build

    return build(engine, tmp_path)
