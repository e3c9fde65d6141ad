"""What happens to a ticket reaches the unit's system: signed, in order, once unless something breaks, and what breaks is told apart."""

import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from standardwebhooks import Webhook

from hotline import aftercare
from hotline.exchange import dead_letters, retention, subscriptions
from hotline.orders import ReasonOrder
from tests.exchange.conftest import Exchange, until
from tests.exchange.receiver import Answer, Came, Receiver, always, first_of_each, receiving
from workflow.vocabulary import SubscriptionState


def test_a_unit_learns_of_its_ticket_signed_and_in_order(exchange: Exchange) -> None:
    with receiving() as receiver:
        _, secret = exchange.subscribe(receiver)
        exchange.deliverer()
        numbers = [exchange.dispatched() for _ in range(5)]
        for number in numbers:
            exchange.sign(number)
            exchange.progress(number, 3)
        receiver.wait(25)
        receiver.verify(secret)
        receiver.check_order()
        assert len(receiver.accepted) == 25
        one = [c for c in receiver.accepted if c.lane == numbers[0]]
        assert [c.event["type"] for c in one] == [
            "ticket.dispatched",
            "ticket.signed",
            *["ticket.progress_reported"] * 3,
        ]
        event = one[0].event
        assert event["data"]["state_label"] == "已派单(待签收)"
        assert "已派单" in one[0].body.decode()
        assert {c["kind"] for c in event["data"]["clocks"]} == {"reply", "return"}


def test_two_secrets_are_good_at_once_while_one_is_changed(exchange: Exchange) -> None:
    with receiving() as receiver:
        key, old = exchange.subscribe(receiver)
        exchange.deliverer()
        with exchange.operator() as desk:
            _, new = subscriptions.rotate(desk, key, overlap=timedelta(hours=1))
        exchange.dispatched()
        receiver.wait(1)
        receiver.verify(old, new)
        exchange.ahead = timedelta(hours=2)
        exchange.dispatched()
        receiver.wait(2)
        last = receiver.came[-1]
        assert len(last.headers["webhook-signature"].split(" ")) == 1
        stamp = datetime.fromtimestamp(
            int(last.headers["webhook-timestamp"]), UTC
        )  # two hours ahead of the library's clock
        assert last.headers["webhook-signature"] == Webhook(new).sign(last.id, stamp, last.body.decode())
        sealed = exchange.rows("SELECT secret, older_secret FROM subscriptions")[0]
        assert new.encode() not in sealed.secret
        assert old.encode() not in sealed.older_secret


def settles(exchange: Exchange, key: int, expected: dict[str, int]) -> None:
    """The deliveries come to stand so: what a receiver has taken is noted a moment after it answered."""
    until = time.monotonic() + 20
    while exchange.states(key) != expected and time.monotonic() < until:
        time.sleep(0.05)
    assert exchange.states(key) == expected


def test_a_failing_ticket_holds_up_nobody_else_and_keeps_its_order(exchange: Exchange) -> None:
    bad: list[str] = []

    def answer(_receiver: Receiver, came: Came, earlier: int, _sock: socket.socket) -> Answer:
        return (500, {}) if came.lane in bad and earlier < 2 else (204, {})

    with receiving(answer) as receiver:
        key, _ = exchange.subscribe(receiver)
        bad.append(exchange.dispatched())
        good = exchange.dispatched()
        exchange.progress(bad[0], 2)
        exchange.progress(good, 2)
        exchange.deliverer()
        receiver.wait(3)
        assert {c.lane for c in first_of_each(receiver.accepted)} == {good}
        assert {c.id for c in receiver.came if c.lane == bad[0]} == {
            next(c.id for c in receiver.came if c.lane == bad[0])
        }, "what stands behind a failed event was sent before it"
        receiver.wait(6, 60)
        receiver.check_order()
        settles(exchange, key, {"delivered": 6})
        tries = exchange.rows("SELECT tries FROM deliveries ORDER BY jsonb_array_length(tries) DESC LIMIT 1")[
            0
        ].tries
        assert [t["status"] for t in tries] == [500, 500, 204]
        assert all(isinstance(t["ms"], int) for t in tries)


def test_a_slow_receiver_holds_up_nobody_else(exchange: Exchange) -> None:
    released = threading.Event()

    def slowly(*_: Any) -> Answer:
        released.wait(60)
        return 204, {}

    with receiving(slowly) as slow, receiving() as quick:
        key, _ = exchange.subscribe(slow, "ZJJ")
        exchange.subscribe(quick, "JTJ")
        for _ in range(12):
            exchange.dispatched("ZJJ")
        for _ in range(12):
            exchange.dispatched("JTJ")
        exchange.deliverer(threads=4)
        quick.wait(12, 60)
        untried = exchange.rows("SELECT 1 FROM deliveries WHERE subscription_id = :s AND tries = '[]'", s=key)
        assert len(untried) == 12, "the quick ones waited until the slow ones had run out of time"
        assert len(slow.came) <= 2, "more than half of the senders"
        released.set()
        slow.wait(12, 60)


def test_gone_disables_and_what_waits_goes_out_when_it_is_active_again(exchange: Exchange) -> None:
    with receiving(always(410)) as receiver:
        key, _ = exchange.subscribe(receiver)
        exchange.deliverer()
        exchange.dispatched()
        receiver.wait(1, accepted=False)
        until(lambda: exchange.subscription(key).state is SubscriptionState.DISABLED)
        exchange.dispatched()
        exchange.sort()
        settles(exchange, key, {"waiting": 1})
        assert exchange.rows("SELECT what FROM audit WHERE what->>'change' = 'subscription_gone'")
        receiver.answer = always()
        with exchange.operator() as desk:
            subscriptions.turn(desk, key, SubscriptionState.ACTIVE)
        receiver.wait(1)


def test_what_is_refused_is_dead_after_few_tries_and_can_be_sent_again(exchange: Exchange) -> None:
    with receiving(always(422)) as receiver:
        key, _ = exchange.subscribe(receiver)
        exchange.deliverer()
        began = exchange.clock()
        number = exchange.dispatched()
        for tried in range(1, 5):
            until(partial(exchange.tried, tried))
            exchange.ahead += timedelta(minutes=10)
        until(lambda: exchange.states(key) == {"dead": 1})
        assert len(receiver.came) == 4
        assert exchange.subscription(key).failures == 0
        receiver.answer = always()
        exchange.progress(number)
        receiver.wait(1)
        dead = exchange.rows("SELECT id, problem FROM deliveries WHERE state = 'dead'")[0]
        assert dead.problem == "对方返回 422"
        with exchange.operator() as desk:
            posted = dead_letters.one(desk, dead.id)
            assert [t["status"] for t in posted.delivery.tries] == [422] * 4
            dead_letters.replay(desk, dead.id)
        receiver.wait(2)
        assert len({c.id for c in receiver.came}) == 2
        until(lambda: exchange.states(key) == {"dead": 1, "delivered": 2})
        with exchange.operator() as desk:
            assert dead_letters.replay_range(desk, key, since=began, until=exchange.clock()) == 0
            again = dead_letters.replay_range(desk, key, since=began, until=exchange.clock(), dead_only=False)
        assert again == 2
        until(lambda: exchange.states(key) == {"dead": 1, "delivered": 4})


def test_retry_after_is_obeyed_for_the_whole_endpoint(exchange: Exchange) -> None:
    def answer(receiver: Receiver, _came: Came, _earlier: int, _sock: socket.socket) -> Answer:
        return (429, {"retry-after": "3"}) if len(receiver.came) == 1 else (204, {})

    with receiving(answer) as receiver:
        exchange.subscribe(receiver)
        exchange.deliverer()
        exchange.dispatched()
        receiver.wait(1, accepted=False)
        time.sleep(0.3)
        exchange.dispatched()
        receiver.wait(2)
        first = receiver.came[0].at
        assert all(c.at - first >= 2.7 for c in receiver.came[1:])


def test_a_dead_endpoint_is_left_alone_but_for_one_trial(exchange: Exchange) -> None:
    with receiving(always(503)) as receiver:
        key, _ = exchange.subscribe(receiver)
        for _ in range(30):
            exchange.dispatched()
        exchange.deliverer()
        until(lambda: exchange.subscription(key).closed_until is not None)
        time.sleep(1)
        before = len(receiver.came)
        time.sleep(2)
        assert len(receiver.came) == before <= 30
        exchange.ahead += timedelta(minutes=2)
        until(lambda: len(receiver.came) > before)
        time.sleep(1)
        assert len(receiver.came) == before + 1, "the trial is one request"
        receiver.answer = always()
        exchange.ahead += timedelta(minutes=30)
        receiver.wait(30)
        assert exchange.subscription(key).failures == 0


def test_after_three_days_nobody_tries_any_more(exchange: Exchange) -> None:
    with receiving(always(500)) as receiver:
        key, _ = exchange.subscribe(receiver)
        exchange.deliverer()
        exchange.dispatched()
        receiver.wait(1, accepted=False)
        exchange.ahead += timedelta(days=3, minutes=1)
        until(lambda: exchange.states(key) == {"dead": 1})
        paused, _ = exchange.subscribe(receiver, "JTJ")
        with exchange.operator() as desk:
            subscriptions.turn(desk, paused, SubscriptionState.PAUSED)
        exchange.dispatched("JTJ")
        until(lambda: exchange.states(paused) == {"waiting": 1})
        exchange.ahead += timedelta(days=3, hours=2)
        with exchange.operator() as desk:
            assert retention.give_up(desk.session, exchange.office, exchange.clock()) == 1
        assert exchange.states(paused) == {"dead": 1}
        exchange.ahead += timedelta(days=181)
        with exchange.operator() as desk:
            assert retention.forget_deliveries(desk.session, exchange.office, exchange.clock()) == 2


def test_hostile_answers_hold_nobody_and_nothing(exchange: Exchange) -> None:
    def huge(_r: Receiver, _c: Came, _e: int, sock: socket.socket) -> Answer:
        with suppress(OSError):
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n")
            for _ in range(100_000):
                sock.sendall(b"x" * 65536)
        return None

    def drip(_r: Receiver, _c: Came, _e: int, sock: socket.socket) -> Answer:
        with suppress(OSError):
            sock.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
            for _ in range(600):
                sock.sendall(b"x")
                time.sleep(0.1)
        return None

    def endless_head(_r: Receiver, _c: Came, _e: int, sock: socket.socket) -> Answer:
        with suppress(OSError):
            sock.sendall(b"HTTP/1.1 200 OK\r\n")
            for n in range(100_000):
                sock.sendall(f"x-{n}: {'y' * 1000}\r\n".encode())
        return None

    def rubbish(_r: Receiver, _c: Came, _e: int, sock: socket.socket) -> Answer:
        sock.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
        return None

    def redirect(*_: Any) -> Answer:
        return 302, {"location": "http://127.0.0.1:1/"}

    with (
        receiving(huge) as a,
        receiving(drip) as b,
        receiving(endless_head) as c,
        receiving(rubbish) as d,
        receiving(redirect) as e,
    ):
        keys = [
            exchange.subscribe(to, unit)[0]
            for to, unit in zip((a, b, c, d, e), ("ZJJ", "JTJ", "CGJ", "HZQ", "DBZ"), strict=True)
        ]
        exchange.deliverer()
        numbers = [exchange.dispatched(unit) for unit in ("ZJJ", "JTJ", "CGJ")]
        assert numbers
        with exchange.operator() as desk:
            for key in keys[3:]:
                dead_letters.probe(desk, key)
        began = time.monotonic()
        until(lambda: exchange.rows("SELECT count(*) AS n FROM deliveries WHERE tries <> '[]'")[0].n == 5)
        assert time.monotonic() - began < 5
        told = {
            row.subscription_id: (row.state, row.tries[0]["status"], row.problem)
            for row in exchange.rows("SELECT subscription_id, state, tries, problem FROM deliveries")
        }
        assert told[keys[0]] == ("delivered", 200, None)
        assert told[keys[1]] == ("delivered", 200, None)
        assert told[keys[2]] == ("waiting", None, "对方的应答过长")
        assert told[keys[3]] == ("waiting", None, "对方的应答不是 HTTP")
        assert told[keys[4]] == ("waiting", 302, "对方返回 302")


def test_two_deliverers_send_each_event_once(exchange: Exchange) -> None:
    with receiving() as receiver:
        key, _ = exchange.subscribe(receiver)
        numbers = [exchange.dispatched() for _ in range(20)]
        for number in numbers:
            exchange.progress(number, 4)
        exchange.deliverer()
        exchange.deliverer()
        receiver.wait(100)
        until(lambda: exchange.states(key) == {"delivered": 100})
        assert len(receiver.came) == 100
        receiver.check_order()
        assert exchange.rows("SELECT count(*) AS n FROM lanes")[0].n == 0


def test_only_what_was_asked_for_and_only_to_whom_it_concerns(exchange: Exchange) -> None:
    with receiving() as zjj, receiving() as jtj, receiving() as whole, receiving() as other:
        exchange.subscribe(zjj, "ZJJ", types=["ticket.signed"])
        exchange.subscribe(jtj, "JTJ")
        exchange.subscribe(whole, platform="01")
        exchange.subscribe(other, platform="02")
        number = exchange.dispatched("ZJJ", ("JTJ",))
        exchange.sign(number)
        exchange.sign(number, "JTJ")
        exchange.do(
            "agent", lambda desk: aftercare.withdraw(desk, number, ReasonOrder(reason="来电人撤回。"))
        )
        exchange.deliverer()
        whole.wait(6)
        jtj.wait(3)
        zjj.wait(1)
        assert zjj.types() == ["ticket.signed"]
        assert jtj.types() == ["ticket.dispatched", "ticket.signed", "ticket.withdrawn"]
        assert whole.types() == [
            "ticket.accepted",
            *["ticket.dispatched"] * 2,
            *["ticket.signed"] * 2,
            "ticket.withdrawn",
        ]
        assert {c["unit"] for e in jtj.accepted for c in e.event["data"]["clocks"]} <= {"JTJ"}
        assert not other.came
