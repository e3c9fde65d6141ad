"""Few acts at once: in the order of coming, nobody held up by one that waits for something else, no turn ever lost."""

import asyncio
from collections.abc import Coroutine

import pytest

from api.turns import AT_ONCE, turn


class Work:
    """Who is at work, who came when, and how many were there at most."""

    def __init__(self) -> None:
        self.here = self.most = 0
        self.order: list[int] = []
        self.taken: list[bool] = []

    async def do(self, number: int, seconds: float) -> None:
        async with turn() as taken:
            self.taken.append(taken)
            self.order.append(number)
            self.here += 1
            self.most = max(self.most, self.here)
            try:
                await asyncio.sleep(seconds)
            finally:
                self.here -= 1


def run(work: Coroutine[None, None, None]) -> None:
    asyncio.run(work)


def test_few_at_once_in_the_order_of_coming() -> None:
    work = Work()

    async def many() -> None:
        await asyncio.gather(*(work.do(number, 0.005) for number in range(50)))

    run(many())
    assert work.order == list(range(50))
    assert work.most == AT_ONCE
    assert all(work.taken)


def test_who_waits_too_long_goes_beside_the_others() -> None:
    work = Work()

    async def behind_slow_ones() -> None:
        slow = [asyncio.create_task(work.do(number, 60)) for number in range(AT_ONCE)]
        await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*(work.do(number, 0) for number in (7, 8, 9))), 10)
        for each in slow:
            each.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        await asyncio.gather(*(work.do(number, 0.01) for number in range(AT_ONCE)))

    run(behind_slow_ones())
    assert work.taken == [True] * AT_ONCE + [False] * 3 + [True] * AT_ONCE
    assert work.here == 0


@pytest.mark.parametrize("cancelled_after", [0, 0.01, 0.02, 0.03])
def test_a_request_that_goes_away_while_it_waits_costs_no_turn(cancelled_after: float) -> None:
    work = Work()

    async def some_leave() -> None:
        there = [asyncio.create_task(work.do(number, 0.02)) for number in range(4 * AT_ONCE)]
        await asyncio.sleep(cancelled_after)
        for each in there[AT_ONCE // 2 :: 2]:
            each.cancel()
        await asyncio.gather(*there, return_exceptions=True)
        work.most = 0
        await asyncio.gather(*(work.do(number, 0.01) for number in range(3 * AT_ONCE)))

    run(some_leave())
    assert work.here == 0
    assert work.most == AT_ONCE


def test_each_event_loop_has_its_own_turns() -> None:
    for _ in range(2):
        test_few_at_once_in_the_order_of_coming()
