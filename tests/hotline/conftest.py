"""An office whose daily heads are signed."""

from pathlib import Path

import pytest

from hotline.auditing.signing import Signer
from hotline.case import Office
from tests.world import World


@pytest.fixture
def signed(world: World, tmp_path: Path) -> Office:
    """An office that signs."""
    world.office.signer = Signer(tmp_path / "keys" / "signing.key")
    return world.office
