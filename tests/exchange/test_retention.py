"""What is dropped when: events as old as the setting says, never one that still waits; and whoever comes too late is told so."""

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from api import scheduler
from hotline.exchange import dead_letters, feed, retention, subscriptions
from hotline.settings import Settings
from tests.exchange.conftest import Exchange, until
from tests.exchange.receiver import always, receiving
from tests.exchange.test_feed import read, unit_actor
from workflow.errors import OutOfSight
from workflow.vocabulary import SubscriptionState

DAYS = timedelta(days=Settings.model_fields["event_days"].default)


def forget(exchange: Exchange, batch: int = 2000) -> int:
    """All the job drops."""
    done = 0
    while True:
        with exchange.operator() as desk:
            count = retention.forget_events(desk.session, exchange.office, exchange.clock(), batch=batch)
        done += count
        if not count:
            return done


def events(exchange: Exchange) -> int:
    return int(exchange.rows("SELECT count(*) AS n FROM outbox")[0].n)


def test_old_events_go_in_batches_and_the_young_stay(exchange: Exchange) -> None:
    for _ in range(3):
        exchange.progress(exchange.dispatched(), 2)
    exchange.sort()
    old = events(exchange)
    assert forget(exchange) == 0
    exchange.ahead = DAYS - timedelta(minutes=5)
    young = exchange.dispatched()
    assert forget(exchange) == 0
    assert events(exchange) > old
    exchange.ahead = DAYS + timedelta(minutes=5)
    unsorted = events(exchange) - old
    with exchange.operator() as desk:
        assert retention.forget_events(desk.session, exchange.office, exchange.clock(), batch=5) == 5
    assert forget(exchange, batch=5) == old - 5
    assert events(exchange) == unsorted
    assert {fact.data["number"] for fact in _first(exchange).facts} == {young}


def _first(exchange: Exchange) -> feed.Page:
    exchange.sort()
    with Session(exchange.engine) as session:
        return feed.page(session, unit_actor(exchange), None, 100)


def test_a_cursor_from_before_is_told_so_and_how_to_go_on(exchange: Exchange) -> None:
    actor = unit_actor(exchange)
    start = _first(exchange).next
    exchange.dispatched()
    here = read(exchange, start, actor).next
    exchange.ahead = DAYS + timedelta(days=1)
    assert forget(exchange) > 0
    assert read(exchange, here, actor).facts == [], "whoever had read all of it misses nothing"
    with pytest.raises(feed.CursorTooOld) as refused:
        read(exchange, start, actor)
    assert "省略 after" in refused.value.message
    number = exchange.dispatched()
    for page in (_first(exchange), read(exchange, int(refused.value.extra["oldest"]), actor)):
        assert [fact.data["number"] for fact in page.facts] == [number]


def test_what_waits_keeps_its_event_and_what_is_settled_goes_with_it(exchange: Exchange) -> None:
    with receiving(always(422)) as receiver:
        key, _ = exchange.subscribe(receiver)
        paused, _ = exchange.subscribe(receiver, "JTJ")
        with exchange.operator() as desk:
            subscriptions.turn(desk, paused, SubscriptionState.PAUSED)
        exchange.dispatched("ZJJ", ("JTJ",))
        exchange.deliverer()
        for tried in range(1, 5):
            until(partial(exchange.tried, tried))
            exchange.ahead += timedelta(minutes=10)
        until(lambda: exchange.states(key) == {"dead": 1})
        until(lambda: exchange.states(paused) == {"waiting": 1})
    for deliverer in exchange.deliverers:
        deliverer.stop()
    dead = exchange.rows("SELECT id FROM deliveries WHERE state = 'dead'")[0].id
    exchange.ahead = DAYS + timedelta(days=1)
    forget(exchange)
    assert exchange.rows("SELECT unit_id FROM outbox") == [(exchange.world.units["JTJ"],)]
    assert exchange.states(key) == {}, "a dead letter is kept no longer than what it would say"
    with exchange.operator() as desk:
        with pytest.raises(OutOfSight):
            dead_letters.one(desk, dead)
        assert retention.give_up(desk.session, exchange.office, exchange.clock()) == 1
    forget(exchange)
    assert events(exchange) == 0
    assert exchange.states(paused) == {}


def test_sending_again_and_dropping_at_once_end_well(exchange: Exchange) -> None:
    """Whichever comes first: the event is sent again and stays, or it is gone and there is nothing to send."""
    with receiving() as receiver:
        key, _ = exchange.subscribe(receiver)
        exchange.dispatched()
        exchange.deliverer()
        until(lambda: exchange.states(key) == {"delivered": 1})
    for deliverer in exchange.deliverers:
        deliverer.stop()
    began = exchange.clock() - timedelta(hours=1)
    exchange.ahead = DAYS + timedelta(days=1)
    done: list[Any] = []

    def again() -> None:
        with exchange.operator() as desk:
            done.append(
                dead_letters.replay_range(desk, key, since=began, until=exchange.clock(), dead_only=False)
            )

    with Session(exchange.engine) as session:  # dropping is under way
        assert retention.forget_events(session, exchange.office, exchange.clock()) > 0
        thread = threading.Thread(target=again)
        thread.start()
        until(lambda: len(exchange.rows(_WAITS)) > 0)
        session.commit()
    thread.join()
    assert done == [0], "there is nothing to send again"
    exchange.dispatched()
    exchange.sort()
    exchange.ahead += DAYS + timedelta(days=1)
    with exchange.operator() as desk:  # sending again is under way
        dead_letters.replay_range(desk, key, since=began, until=exchange.clock(), dead_only=False)
        with Session(exchange.engine) as session:
            retention.forget_events(session, exchange.office, exchange.clock())
            session.commit()
    assert exchange.states(key) == {"waiting": 1}
    assert len(exchange.rows("SELECT 1 FROM outbox WHERE unit_id IS NOT NULL")) == 1


_WAITS = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def test_the_ticker_does_it() -> None:
    jobs = {job.name: job.batch for job in scheduler.JOBS}
    assert jobs["forget_events"] is retention.forget_events
    assert jobs["forget_deliveries"] is retention.forget_deliveries


def test_the_cost_grows_with_what_goes(exchange: Exchange) -> None:
    """Of a long feed only the oldest are looked at: no plan reads the whole of it."""
    exchange.dispatched()
    exchange.sort()
    with exchange.engine.begin() as connection:
        connection.execute(text(_MANY))
        connection.execute(text("ANALYZE outbox"))
    plan = exchange.rows(
        "EXPLAIN "
        + retention._OLDEST.replace(":before", "now() - interval '180 days'").replace(":batch", "2000")
    )
    told = "\n".join(row[0] for row in plan)
    assert "Index Scan using outbox_first_position_idx on outbox_first" in told, told
    assert "Seq Scan on outbox_first" not in told, told
    assert (
        events(exchange) == exchange.rows("SELECT count(*) AS n FROM outbox_first")[0].n
    )  # the others are empty


_MANY = """
INSERT INTO outbox (ticket_id, ticket_seq, type, platform_id, unit_id, data, occurred_at, echo, position)
SELECT o.ticket_id, n, o.type, o.platform_id, o.unit_id, o.data, now(), false, nextval('outbox_positions')
FROM generate_series(1, 20000) n, (SELECT * FROM outbox ORDER BY id LIMIT 1) o
"""
