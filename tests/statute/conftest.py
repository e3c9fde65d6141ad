"""One database and one small world for all scenarios of a worker: every case rolls back what it did."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.postgres_server import Server
    from tests.world import World


@pytest.fixture(scope="session")
def shared_world(postgres_server: "Server", tmp_path_factory: pytest.TempPathFactory) -> Iterator["World"]:
    """The small world, read by every case and changed by none."""
    with postgres_server.world(tmp_path_factory.mktemp("world")) as world:
        yield world
