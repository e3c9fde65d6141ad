"""The soak in small: real processes killed, a receiver that fails; in full it is `python -m tests.exchange.soak`."""

import time
from pathlib import Path

import pytest

from tests import world as w
from tests.exchange.soak import Soak, run
from tests.survival.log import Log


@pytest.mark.processes
@pytest.mark.timeout(240)
def test_nothing_is_lost_while_processes_are_killed_and_the_receiver_fails(
    world: w.World, tmp_path: Path, survival_log: Log
) -> None:
    found = run(Soak(world, tmp_path, tickets=60, kills=3, end=time.monotonic() + 200))
    assert found["must_met"], found
    assert found["events_due"] > 180
    assert 0.2 < found["failing_share"] < 0.4
    assert found["taken_twice_or_more"] > 0, "nothing came twice: the test proved nothing of duplicates"
    assert sum(found["kills"].values()) == 3
    told = (
        "kills",
        "acts_acknowledged",
        "acts_sent_again",
        "events_due",
        "failing_share",
        "taken_twice_or_more",
        "lost",
    )
    survival_log("soak with a failing receiver", **{name: found[name] for name in told})
