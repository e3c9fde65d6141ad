"""A test whose real part is not there is skipped with the reason, and under CI it fails."""

import os
from typing import NoReturn

import pytest


def not_run(reason: str) -> NoReturn:
    """End this test as not run: for whoever has not got the part, a skip that says so; in CI a failure."""
    if os.environ.get("CI", "").lower() in {"", "0", "false"}:
        pytest.skip(reason)
    pytest.fail(reason)
