"""The fail-over drill itself, short: the primary killed under load, its standby promoted, nothing lost, the old one fenced and brought back."""

from argparse import Namespace

import pytest

from deploy.drills.failover import drill
from deploy.drills.stage import played

pytestmark = pytest.mark.processes


def test_failing_over_under_load_loses_no_acknowledged_act() -> None:
    figures = played("failover", drill, Namespace(json=True, quick=True, clients=4))
    assert figures["kept"], figures
    assert figures["acknowledged"] >= 80
    assert figures["answers"].get("503"), "the load never met the fail-over"
    assert not figures["old_primary_acknowledged"]
    assert figures["doctor_sound"]
