"""The survival log: what each survival test counted, printed at the end of the run, also of one spread over processes."""

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

ROUNDS = "HOTLINE_SURVIVAL_ROUNDS"
"""Environment variable: how long the survival tests go on. Kills for the killing, examples for the model; see README.md."""

_NOTED = "survival"

Log = Callable[..., None]


def rounds(default: int) -> int:
    """How many rounds to go: `default`, or what HOTLINE_SURVIVAL_ROUNDS says."""
    return int(os.environ.get(ROUNDS) or default)


@pytest.fixture
def survival_log(record_property: Callable[[str, object], None]) -> Log:
    """`survival_log("killed at random", kills=12, …)` adds a line to the log."""

    def note(what: str, **counts: Any) -> None:
        record_property(_NOTED, json.dumps({"what": what} | counts, ensure_ascii=False, default=str))

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the log of every test that noted something; it travels with the tests' reports."""
    noted = [
        json.loads(str(value))
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == _NOTED
    ]
    if not noted:
        return
    terminalreporter.section("survival log")
    for each in noted:
        what = each.pop("what")
        counted = ", ".join(f"{name} {_told(value)}" for name, value in each.items())
        terminalreporter.write_line(f"{what}: {counted}")


def _told(value: object) -> str:
    return (
        "(" + ", ".join(f"{n} {v}" for n, v in value.items()) + ")" if isinstance(value, dict) else str(value)
    )
