"""A clock that steps: three days on, two hours back, over a month's end and a festival. Each lapse once; dates in a ledger never go back.

The clock is the runtime's own, as everywhere; a sweep comes after every step.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from hotline import intake, ledger, supervision
from hotline.health import standing
from hotline.health.findings import Level
from hotline.models import Ticket
from hotline.orders import AcceptOrder
from tests.api.conftest import Api
from tests.api.refusals import nothing_stored, problem
from tests.survival.afterwards import all_is_well, hotline
from tests.survival.lapses import each_lapse_once
from tests.survival.log import Log
from tests.world import World, demand
from workflow.vocabulary import Act

pytestmark = pytest.mark.processes
STEPS = (
    timedelta(days=3),
    timedelta(hours=-2),
    timedelta(minutes=130),
    timedelta(days=9),  # over the Spring Festival
    timedelta(days=-3),
    timedelta(days=16),  # over the month's end
    timedelta(seconds=-40),  # as two machines' clocks differ
    timedelta(days=40),
)


def _sweep(api: Api) -> int:
    with Session(api.world.engine) as session:
        count = supervision.lapse_due(session, api.world.office, api.now)
        session.commit()
        supervision.remind_overdue(session, api.world.office, api.now)
        session.commit()
    return count


def _worked_on(api: Api, number: str, done: dict[str, list[str]]) -> int:
    """Do the next act of this demand's life; the status."""
    way: list[tuple[str, str, dict[str, Any]]] = [
        ("dispatch", "dispatcher", {"lead": "ZJJ"}),
        ("sign", "ZJJ", {}),
        ("answer_citizen", "ZJJ", {}),
        ("reply", "ZJJ", {"content": "已办结。"}),
    ]
    act, login, order = way[len(done[number]) % len(way)]
    answer = api.post(f"/tickets/{number}/{act}", login, order)
    if answer.status_code == 200:
        done[number].append(act)
    else:
        assert "核对" in problem(answer, 503, "clock_behind")["detail"]
    return int(answer.status_code)


def _unfinished(done: dict[str, list[str]]) -> list[str]:
    return [number for number, acts in done.items() if len(acts) < 4]


def test_each_lapse_once_and_no_ledger_goes_back(api: Api, tmp_path: Path, survival_log: Log) -> None:
    api.at("2026-02-12 15:00")
    done: dict[str, list[str]] = {}
    lapses = 0
    statuses: list[int] = []
    for step in STEPS:
        for matter in ("inquiry", "complaint"):
            done[api.take(matter)] = []
        statuses += [_worked_on(api, number, done) for number in _unfinished(done)[-6:]]
        api.now += step
        lapses += _sweep(api)
        lapses += _sweep(api)
        statuses += [_worked_on(api, number, done) for number in _unfinished(done)[-3:]]
    assert statuses.count(503) > 0, "no step back met an act"
    assert statuses.count(200) > 20
    _sweep(api)
    assert each_lapse_once(api.world.engine, as_of=api.now) > lapses / 2
    with Session(api.world.engine) as session:
        for ticket in session.execute(select(Ticket).order_by(col(Ticket.id))).scalars():
            acts = [e for e in ledger.entries_of(session, ticket.id) if e.act != "lapse"]
            dates = [entry.effective_at for entry in acts if entry.actor_kind != "system"]
            assert dates == sorted(dates), ticket.number
    url = api.world.engine.url.render_as_string(hide_password=False)
    assert hotline(tmp_path, url, "schedule", "--once").returncode == 0  # real time has gone on since
    all_is_well(tmp_path, url)
    survival_log(
        "clock stepped",
        steps=len(STEPS),
        acts=statuses.count(200),
        refused_until_the_clock_is_right=statuses.count(503),
        lapses=lapses,
    )


def test_a_clock_up_to_a_minute_behind_is_carried_along_and_a_slower_one_is_told(api: Api) -> None:
    number = api.at("2026-03-02 09:00").take()
    api.act(number, "dispatch", "dispatcher", {"lead": "ZJJ"})
    api.now -= timedelta(seconds=50)
    api.act(number, "sign", "ZJJ")
    api.now -= timedelta(hours=2)
    with nothing_stored(api):
        answer = api.post(f"/tickets/{number}/answer_citizen", "ZJJ", {})
        problem(answer, 503, "clock_behind")
        assert int(answer.headers["retry-after"]) >= 1
    entries = api.get(f"/tickets/{number}/timeline", "agent").json()["entries"]
    assert [e["effective_at"] for e in entries] == sorted(e["effective_at"] for e in entries)
    api.at("2026-03-02 09:01").act(number, "answer_citizen", "ZJJ")


def test_the_doctor_tells_of_a_clock_that_was_ahead(world: World) -> None:
    now = datetime.now(UTC)
    for ahead, level in ((timedelta(), Level.FINE), (timedelta(days=3), Level.FAULT)):
        with Session(world.engine) as session:
            intake.take(world.desk(session, "agent", now + ahead), demand(), Act.ACCEPT, AcceptOrder())
            session.commit()
            url = world.engine.url.render_as_string(hide_password=False)
            found = standing.look(session, world.office.blobs, url, lambda: datetime.now(UTC))
            [clock] = [one for one in found if one.check == "时钟"]
        assert (clock.level, "晚于现在" in clock.told) == (level, bool(ahead)), clock
