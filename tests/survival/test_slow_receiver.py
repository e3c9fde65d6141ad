"""A receiver that does not answer, or drips: acts go on, and others' deliveries too, before it lets anybody go."""

import socket
import threading
from typing import Any

from tests.exchange.conftest import Exchange
from tests.exchange.conftest import exchange as exchange
from tests.exchange.receiver import Answer, Receiver, receiving
from tests.survival.afterwards import all_is_well
from tests.survival.log import Log
from tests.survival.telling import each_delivered, wait_until_delivered

ACTS = 30


def test_neither_acts_nor_others_wait_for_a_receiver_that_holds_or_drips(
    exchange: Exchange, tmp_path: Any, survival_log: Log
) -> None:
    let_go = threading.Event()

    def hold_or_drip(receiver: Receiver, _came: Any, _earlier: int, connection: socket.socket) -> Answer:
        if len(receiver.came) % 2:
            let_go.wait(60)
        while not let_go.wait(0.2):
            try:
                connection.sendall(b"H")
            except OSError:
                return None
        return 204, {}

    with receiving(hold_or_drip) as slow, receiving() as quick:
        _, slow_secret = exchange.subscribe(slow, "ZJJ")
        _, quick_secret = exchange.subscribe(quick, "JTJ")
        exchange.deliverer(threads=4)
        for _ in range(ACTS):
            for unit in ("ZJJ", "JTJ"):
                exchange.sign(exchange.dispatched(unit), unit)
        quick.wait(2 * ACTS, 60)
        held = len(slow.came)
        assert not slow.accepted, "it let somebody go: nothing was shown"
        let_go.set()
        wait_until_delivered(exchange.engine)
        slow.wait(2 * ACTS, 60)
        quick.verify(quick_secret)
        slow.verify(slow_secret)
        counts = each_delivered(exchange.world, "JTJ", quick)
        later = each_delivered(exchange.world, "ZJJ", slow)
    all_is_well(tmp_path, exchange.engine.url.render_as_string(hide_password=False))
    survival_log(
        "slow receiver",
        acts=4 * ACTS,
        others_deliveries_meanwhile=counts["deliveries"],
        held_meanwhile=held,
        delivered_to_it_later=later["deliveries"],
        again=later["delivered_again"],
    )
