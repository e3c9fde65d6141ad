"""A whistle-blower's identity does not reach the unit they report: every way in `attacks` is tried, and fails."""

import logging
from collections.abc import Callable

import pytest

from tests.access.attacks import ATTACKS, PHONE, leaks, set_the_scene
from tests.api.conftest import Api


def test_what_is_looked_for_would_be_found() -> None:
    assert leaks([f"来电人 {PHONE}"])
    assert leaks(["139****0001"])
    assert leaks(["测**"])
    assert not leaks(["［已隐去］反映，工单 012603020000010"])


def test_every_likely_way_to_a_sealed_caller_fails(
    api: Api, caplog: pytest.LogCaptureFixture, record_property: Callable[[str, object], None]
) -> None:
    caplog.set_level(logging.DEBUG)
    scene = set_the_scene(api)
    got = {attack.name: leaks(attack.attempt(scene)) for attack in ATTACKS}
    assert {name: found for name, found in got.items() if found} == {}
    assert len(ATTACKS) >= 30
    record_property("ways tried", len(ATTACKS))
    ours = [
        r.getMessage() for r in caplog.records if not r.name.startswith("httpx")
    ]  # the test's own client logs what it sends
    assert leaks(ours) == []


def test_the_same_ways_reach_a_caller_who_is_not_sealed(api: Api) -> None:
    """The control: of an ordinary inquiry the unit sees the masked name and opens the phone, so the ways do lead to the data."""
    scene = set_the_scene(api, matter="help")
    seen = {attack.name: leaks(attack.attempt(scene)) for attack in ATTACKS[:16]}
    assert seen["the ticket whole, as lead, co-unit and stranger"]
    assert seen["opening the field as a unit, a stranger, a role without the right"]
    assert seen["the recording"]
