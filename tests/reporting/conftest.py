"""The API's client for reporting's tests, and a platform some weeks into its work."""

import pytest
from sqlmodel import Session

from hotline.reporting import refresh
from tests import world as w
from tests.api.conftest import Api
from tests.api.conftest import api as api
from tests.reporting.lives import Lives, Step


def count(api: Api) -> None:
    """Count what happened by the API's own clock."""
    with Session(api.world.engine, expire_on_commit=False) as session:
        refresh.count_all(session, api.world.office, api.now)
        session.commit()


@pytest.fixture
def busy(api: Api) -> Api:
    """March: lives of tickets of every kind, counted; now it is the 1st of April."""
    lives = Lives(api.world, at=w.china("2026-03-02 09:00"))
    for number in range(120):
        what = "born" if number % 6 == 0 else "call" if number % 31 == 1 else "act"
        lives.live(Step(what, number % 4, number * 7919 % 10_000, (0, 1, 4)[number % 3]))
    return _usual(api, 10)


@pytest.fixture
def worked(api: Api) -> Api:
    """A few tickets of March, here and at the province; now it is the 1st of April."""
    api.at("2026-03-03 09:00").take("inquiry", "p-agent")
    return _usual(api, 4)


def _usual(api: Api, tickets: int) -> Api:
    """Tickets that go their usual way, some late, some never answered."""
    for number in range(tickets):
        day, unit = 3 + number % 9, ("ZJJ", "JTJ")[number % 2]
        ticket = api.at(f"2026-03-{day:02d} 09:00").take(("inquiry", "help", "complaint")[number % 3])
        api.at(f"2026-03-{day:02d} 10:00").act(ticket, "dispatch", "dispatcher", {"lead": unit})
        api.at(f"2026-03-{day + 1 + number % 4:02d} 15:00").act(ticket, "sign", unit)
        api.act(ticket, "answer_citizen", unit)
        if number % 4 < 3:
            api.act(ticket, "reply", unit, {"content": "测试答复"})
    api.at("2026-04-01 09:00")
    count(api)
    return api
