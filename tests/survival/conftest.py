"""The installation that survival tests do harm to."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from hotline.storage import embedded
from hotline.storage.store import make_engine, migrate
from tests.api.conftest import api as api
from tests.api.conftest import house as house
from tests.survival.installation import Installation
from tests.world import build


@pytest.fixture
def installation() -> Iterator[Installation]:
    # not pytest's tmp_path: it is closed to the system user who runs root's server
    home = Path(tempfile.mkdtemp(prefix="hotline-survival-"))
    url = embedded.find_or_start(home)
    migrate(url)
    engine = make_engine(url)
    made = Installation(home, build(engine, home))
    try:
        yield made
    finally:
        for process in made.running.values():
            process.kill()
        engine.dispose()
        embedded.stop(home)
        shutil.rmtree(home)
