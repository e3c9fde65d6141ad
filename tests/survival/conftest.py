"""The installation that survival tests do harm to."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.conftest import api as api
from tests.api.conftest import house as house
from tests.survival.installation import Installation, installed


@pytest.fixture
def installation() -> Iterator[Installation]:
    # not pytest's tmp_path: it is closed to the system user who runs root's server
    home = Path(tempfile.mkdtemp(prefix="hotline-survival-"))
    try:
        with installed(home) as made:
            yield made
    finally:
        shutil.rmtree(home)
