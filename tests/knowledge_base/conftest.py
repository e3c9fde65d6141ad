"""What the tests of the knowledge base may ask for."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.knowledge_base.engines import Engine, running

if TYPE_CHECKING:
    from tests.postgres_server import Server


@pytest.fixture
def two(postgres_server: "Server", tmp_path: Path) -> Iterator[tuple[Engine, Engine]]:
    """The province's engine and a prefecture's, both knowing the same tree of platforms."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with running(postgres_server, tmp_path / "a") as above, running(postgres_server, tmp_path / "b") as below:
        yield above, below
