"""Real processes: deliverers killed in mid-flight, and the conformance kit against the sample receiver."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hotline.exchange import conformance, deliveries, outbox, subscriptions
from hotline.exchange.wire import Lines, SendFailed
from tests.exchange.conftest import Exchange, until
from tests.exchange.receiver import Answer, Came, Receiver, always, first_of_each, receiving
from tests.processes.hotlines import Process, free_port, start
from workflow.vocabulary import SubscriptionState

pytestmark = pytest.mark.processes
ROOT = Path(__file__).parents[2]
ALLOWED = {"HOTLINE_ALLOW_PRIVATE_TARGETS": "true", "HOTLINE_LOG_LEVEL": "WARNING"}


def deliverer(exchange: Exchange, folder: Path) -> Process:
    url = exchange.engine.url.render_as_string(hide_password=False)
    return start(folder, url, "deliver", **ALLOWED)


@pytest.mark.timeout(300)
def test_a_deliverer_killed_in_mid_flight_loses_nothing_and_keeps_the_order(
    exchange: Exchange, tmp_path: Path
) -> None:
    """Two deliverers, killed with kill -9 at random while they send."""
    chance = random.Random(5)

    def answer(_receiver: Receiver, _came: Came, _earlier: int, _sock: object) -> Answer:
        time.sleep(chance.random() * 0.05)
        return (500, {}) if chance.random() < 0.1 else (204, {})

    with receiving(answer) as receiver:
        key, secret = exchange.subscribe(receiver)
        numbers = [exchange.dispatched() for _ in range(25)]
        running = [deliverer(exchange, tmp_path / "data") for _ in range(2)]
        try:
            for kill in range(6):
                for number in chance.sample(numbers, 10):
                    exchange.progress(number)
                receiver.wait(25 + 5 * kill, 60, accepted=False)
                running[kill % 2].kill()
                running[kill % 2] = deliverer(exchange, tmp_path / "data")
            total = exchange.rows("SELECT count(*) AS n FROM deliveries")[0].n
            assert total >= 25
            receiver.wait(85, 120)
            until(lambda: exchange.states(key) == {"delivered": 85}, 60)
        finally:
            for process in running:
                process.kill()
        receiver.verify(secret)
        receiver.check_order()
        assert len(first_of_each(receiver.accepted)) == 85
        by_id = {c.id: c.body for c in first_of_each(receiver.came)}
        assert all(by_id[c.id] == c.body for c in receiver.came), "the same event is always the same bytes"


def test_what_a_killed_deliverer_held_another_sends_once_its_lease_is_over(
    exchange: Exchange, tmp_path: Path
) -> None:
    def answer(receiver: Receiver, *_: object) -> Answer:
        time.sleep(30 if len(receiver.came) == 1 else 0)
        return 204, {}

    with receiving(answer) as receiver:
        exchange.subscribe(receiver)
        number = exchange.dispatched()
        first = deliverer(exchange, tmp_path / "data")
        receiver.wait(1, 60, accepted=False)
        first.kill()
        killed_at = time.time()
        exchange.progress(number)
        exchange.deliverer()
        receiver.wait(2, 60)
        waited = receiver.accepted[0].at - killed_at
        lease = deliveries.LEASE.total_seconds()
        assert waited > lease - deliveries.RENEW.total_seconds() - 1, "the lease was not kept"
        assert waited < lease + 10, "longer than a lease and a busy machine"
        receiver.check_order()


def test_a_slow_answer_outlasts_no_lease_while_its_deliverer_lives(exchange: Exchange) -> None:
    """Two events of one ticket take longer than a lease: it is renewed, and the other deliverer leaves the lane alone."""

    def slowly(*_: object) -> Answer:
        time.sleep(deliveries.LEASE.total_seconds() * 0.65)
        return 204, {}

    with receiving(slowly) as receiver:
        key, _ = exchange.subscribe(receiver)
        exchange.progress(exchange.dispatched())
        exchange.deliverer()
        exchange.deliverer()
        receiver.wait(2, 60)
        until(lambda: exchange.states(key) == {"delivered": 2})
        assert len(receiver.came) == 2, "sent twice: the lease ran out"
        assert exchange.rows("SELECT tries FROM deliveries WHERE jsonb_array_length(tries) <> 1") == []


def test_deliver_ends_with_sigterm_and_gives_back_what_it_had_taken(
    exchange: Exchange, tmp_path: Path
) -> None:
    def slowly(*_: object) -> Answer:
        time.sleep(0.3)
        return 204, {}

    with receiving(slowly) as receiver:
        key, _ = exchange.subscribe(receiver)
        for _ in range(40):
            exchange.dispatched()
        process = deliverer(exchange, tmp_path / "data")
        receiver.wait(1, 60)
        assert process.terminate() < 12
        assert process.popen.returncode == 0
        done = exchange.states(key)
        assert done["delivered"] == len(receiver.accepted)
        assert exchange.rows("SELECT count(*) AS n FROM lanes WHERE next_at > now()")[0].n == 0
        receiver.answer = always()
        exchange.deliverer()
        receiver.wait(40)
        assert len(receiver.came) == 40


def test_serve_delivers_too(exchange: Exchange, tmp_path: Path) -> None:
    with receiving() as receiver:
        exchange.subscribe(receiver)
        url = exchange.engine.url.render_as_string(hide_password=False)
        process = start(tmp_path / "data", url, "serve", "--port", str(free_port()), **ALLOWED)
        try:
            exchange.dispatched()
            receiver.wait(1, 60)
        finally:
            process.kill()
        with exchange.operator() as desk:
            assert subscriptions.listed(desk.session, desk.actor)[0][0].state is SubscriptionState.ACTIVE


# --- the conformance kit -----------------------------------------------------------------------------------------------


@contextmanager
def sample_receiver(secret: str, folder: Path) -> Iterator[str]:
    """examples/unit_receiver.py as a unit would run it."""
    port = free_port()
    own = {"UNIT_WEBHOOK_SECRET": secret, "UNIT_DATABASE": str(folder / "unit.db")}
    popen = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "examples.unit_receiver:app", "--port", str(port)],
        cwd=ROOT,
        env=os.environ | own,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}/hotline"
    lines = Lines(allow_private=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            lines.send("POST", url, headers={}, body=b"{}", seconds=1)
            break
        except SendFailed:
            time.sleep(0.1)
    lines.close()
    try:
        yield url
    finally:
        os.killpg(popen.pid, signal.SIGKILL)
        popen.wait()


def unit_check(url: str, secret: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("hotline"), "unit-check", "--url", url, "--secret", secret],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_sample_receiver_passes_the_kit(tmp_path: Path) -> None:
    secret = outbox.make_secret()
    with sample_receiver(f"{outbox.make_secret()} {secret}", tmp_path) as url:
        done = unit_check(url, secret)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "共 15 项，全部合格。" in done.stdout
        assert "（duplicate）" in done.stdout
        assert "（stale）" in done.stdout


def test_the_sample_receiver_is_short() -> None:
    assert len((ROOT / "examples" / "unit_receiver.py").read_text().splitlines()) <= 80


def test_a_receiver_that_takes_everything_fails_the_kit() -> None:
    with receiving() as receiver:
        done = unit_check(receiver.url, outbox.make_secret())
        assert done.returncode == 1
        for name in ("错误的签名", "没有签名", "内容被改动", "过时的时间戳", "未来的时间戳"):
            assert f"不合格  {name}" in done.stdout
        assert "冒充热线平台" in done.stdout


def test_a_receiver_that_is_not_there_is_told_in_one_line() -> None:
    done = unit_check(f"http://127.0.0.1:{free_port()}/", outbox.make_secret())
    assert done.returncode == 1
    assert "对方拒绝连接" in done.stdout


def test_a_receiver_that_says_it_handled_a_duplicate_twice_is_held_to_its_word() -> None:
    with receiving(always(204, webhook_outcome="handled")) as receiver:
        results = {each.name: each for each in conformance.play(receiver.url, outbox.make_secret())}
        assert not results["重复的事件"].passed
        assert not results["顺序颠倒"].passed
        assert results["全部事件"].passed
