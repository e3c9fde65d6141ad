"""The feed never skips: what commits late stands behind what was read before it, however transactions overlap."""

import random
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, text
from sqlmodel import Session, col

from hotline import casework
from hotline.access import Actor
from hotline.exchange import feed, outbox
from hotline.exchange.envelopes import Fact
from hotline.models import OutboxEvent
from hotline.orders import ProgressOrder, SignOrder
from tests.exchange.conftest import Exchange
from workflow.vocabulary import Role


def unit_actor(exchange: Exchange, unit: str = "ZJJ") -> Actor:
    return Actor("unit_machine", 1, "测试接口", frozenset({Role.HANDLER}), unit_id=exchange.world.units[unit])


def read(exchange: Exchange, after: int, actor: Actor, limit: int = 100) -> feed.Page:
    exchange.sort()
    with Session(exchange.engine) as session:
        return feed.page(session, actor, after, limit)


def test_an_earlier_transaction_held_open_is_not_skipped(exchange: Exchange) -> None:
    """The classic loss of `after=<id>`: the smaller id commits after the larger one was read."""
    actor = unit_actor(exchange)
    one, two = exchange.dispatched(), exchange.dispatched()
    start = read(exchange, 0, actor).next
    with Session(exchange.engine, expire_on_commit=False) as slow:
        casework.sign(exchange.desk(slow, "ZJJ"), one, SignOrder())  # written, not committed
        early = slow.execute(
            select(col(OutboxEvent.id)).order_by(col(OutboxEvent.id).desc()).limit(1)
        ).scalar_one()
        exchange.sign(two)
        exchange.progress(two)
        page = read(exchange, start, actor)
        assert [fact.data["number"] for fact in page.facts] == [two, two]
        assert min(fact.id for fact in page.facts) > early
        assert read(exchange, page.next, actor).facts == []
        slow.commit()
    late = read(exchange, page.next, actor)
    assert [(fact.id, fact.data["number"]) for fact in late.facts] == [(early, one)]
    with Session(
        exchange.engine, expire_on_commit=False
    ) as slow:  # and one that is given up leaves no gap that stops anybody
        casework.report_progress(exchange.desk(slow, "ZJJ"), one, ProgressOrder(content="作罢。"))
        slow.rollback()
    exchange.progress(one)
    assert len(read(exchange, late.next, actor).facts) == 1


class Crowd:
    """Writers whose transactions overlap, some given up; sorters; and readers that follow the feed with pages of their own size."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.tickets = [exchange.dispatched() for _ in range(4)]
        self.ids = [row.id for row in exchange.rows("SELECT id FROM tickets ORDER BY id")]
        self.done = threading.Event()
        self.failures: list[BaseException] = []

    def start(self, work: Callable[..., None], *arguments: Any) -> threading.Thread:
        def run() -> None:
            try:
                work(*arguments)
            except BaseException as error:
                self.failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    def write(self, writer: int) -> None:
        chance = random.Random(writer)
        for n in range(40):
            with Session(self.exchange.engine) as session:
                self._one(session, self.ids[chance.randrange(len(self.ids))], n)
                time.sleep(chance.random() * 0.02)
                if chance.random() >= 0.1:
                    session.commit()

    def _one(self, session: Session, ticket: int, n: int) -> None:
        session.execute(text("SELECT 1 FROM tickets WHERE id = :id FOR UPDATE"), {"id": ticket})
        made = outbox.row(
            "ticket.progress_reported",
            ticket_id=ticket,
            seq=n,
            platform_id=self.exchange.world.platforms["01"],
            unit_id=self.exchange.world.units["ZJJ"],
            data={"number": str(ticket), "state": "handling", "version": n},
            at=datetime.now(UTC),
        )
        session.execute(insert(OutboxEvent.__table__), [made])  # type: ignore[attr-defined]

    def sort(self) -> None:
        while not self.done.is_set():
            self.exchange.sort()

    def follow(self, limit: int, into: list[Fact]) -> None:
        after, idle = 0, 0
        while idle < 3:
            finished = self.done.is_set()
            with Session(self.exchange.engine) as session:
                page = feed.page(session, unit_actor(self.exchange), after, limit)
            into += page.facts
            after = page.next
            idle = idle + 1 if finished and not page.facts else 0


def test_readers_among_overlapping_writers_and_two_sorters_miss_nothing(exchange: Exchange) -> None:
    crowd = Crowd(exchange)
    seen: tuple[list[Fact], list[Fact]] = ([], [])
    others = [crowd.start(crowd.sort), crowd.start(crowd.sort)]
    others += [crowd.start(crowd.follow, limit, into) for limit, into in zip((7, 500), seen, strict=True)]
    for thread in [crowd.start(crowd.write, n) for n in range(8)]:
        thread.join()
    exchange.sort()
    crowd.done.set()
    for thread in others:
        thread.join()
    assert crowd.failures == []
    every = [row.id for row in exchange.rows("SELECT id FROM outbox WHERE unit_id IS NOT NULL ORDER BY id")]
    assert len(every) > 200
    for facts in seen:
        assert sorted(fact.id for fact in facts) == every
        for ticket in crowd.ids:
            own = [fact.id for fact in facts if fact.data["number"] == str(ticket)]
            assert own == sorted(own)
    assert [fact.id for fact in seen[0]] == [fact.id for fact in seen[1]]
    assert [fact.id for fact in seen[0]] != every, "nothing overlapped: the test proved nothing"
