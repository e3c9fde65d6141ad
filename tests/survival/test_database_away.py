"""The database frozen, stopped and back: 503 in bounded time, no worker dies, and acts go on without a restart."""

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from hotline.storage import embedded, patience
from tests.api.refusals import new_ticket, problem
from tests.processes.hotlines import PATIENCE
from tests.survival.afterwards import all_is_well
from tests.survival.installation import Installation
from tests.survival.log import Log
from tests.survival.patience import ACTS, Clients

pytestmark = [pytest.mark.processes, pytest.mark.postgres]
WAITS = "a worker waits for the database"
BOUND = patience.PATIENCE + 5 + 20
"""Seconds: the wait for an answer, the question whether the server lives, and room for a busy machine."""


def _server(home: Path) -> list[int]:
    """The database's processes, the postmaster first."""
    first = int((home / "postgres/postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{first}/task/{first}/children").read_text().split()
    return [first, *map(int, children)]


@contextmanager
def frozen(home: Path) -> Iterator[None]:
    """Every process of the database stopped where it is, as on a machine that hangs."""
    stopped = _server(home)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in reversed(stopped):
            os.kill(pid, signal.SIGCONT)


def _asked(installation: Installation, count: int) -> tuple[list[Any], float]:
    """That many registrations at once; the answers, and the seconds the slowest took."""
    headers = {"Authorization": f"Bearer {installation.world.tokens['agent']}"}

    def ask(_: int) -> Any:
        with httpx2.Client(base_url=installation.address, timeout=BOUND) as client:
            return client.post("/api/v1/tickets", headers=headers, json=new_ticket())

    began = time.monotonic()
    with ThreadPoolExecutor(count) as pool:
        answers = list(pool.map(ask, range(count)))
    return answers, time.monotonic() - began


def _all_unavailable(answers: list[Any]) -> None:
    for answer in answers:
        problem(answer, 503, "store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1


def _health(installation: Installation) -> tuple[int, int]:
    with httpx2.Client(base_url=installation.address, timeout=10) as client:
        return client.get("/healthz").status_code, client.get("/readyz").status_code


@pytest.mark.timeout(400)
def test_requests_are_told_to_come_back_while_the_database_is_away(
    installation: Installation, survival_log: Log
) -> None:
    installation.start("server")
    installation.ready()
    workers = sorted(installation.workers())
    clients = Clients(installation.address, installation.world.tokens)
    with httpx2.Client(base_url=installation.address, timeout=60) as client:
        clients.one_life(client)

    with frozen(installation.home), ThreadPoolExecutor(1) as aside:
        waiting = aside.submit(_asked, installation, 12)
        assert _health(installation) == (200, 503)
        answers, hung = waiting.result()
        _all_unavailable(answers)
        assert hung < BOUND

    installation.ready()
    finish = clients.start(2)
    time.sleep(1)
    embedded.stop(installation.home)
    assert _health(installation) == (200, 503)
    answers, gone = _asked(installation, 12)
    _all_unavailable(answers)
    assert gone < BOUND
    embedded.find_or_start(installation.home)
    installation.ready()
    finish()

    assert not clients.wrong, (clients.wrong[:3], installation.logs())
    assert sorted(installation.workers()) == workers, f"a worker died\n{installation.logs()}"
    lives = Counter(number for number, _, _ in clients.acknowledged)
    assert set(lives.values()) == {len(ACTS)}
    world = installation.world
    world.engine.dispose()
    all_is_well(installation.home, world.engine.url.render_as_string(hide_password=False))
    survival_log(
        "database frozen, stopped and back",
        refused_with_503=24,
        slowest_answer_seconds={"frozen": round(hung, 1), "stopped": round(gone, 1)},
        acts_acknowledged=len(clients.acknowledged),
        acts_sent_again=clients.repeated.total(),
        workers_died=0,
    )


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _until_all_serve(installation: Installation) -> None:
    """Until each worker has the threads of one that serves; one that only starts has its own and the one that tells it lives."""
    end = time.monotonic() + PATIENCE
    while not all(_threads(pid) > 2 for pid in installation.workers()):
        assert time.monotonic() < end, installation.logs()
        time.sleep(0.1)


def _one_who_waits_after_the_end_of(pid: int, installation: Installation) -> int:
    """Kill this worker; the one in its place, which goes on saying that it waits. The others must all serve."""
    log = installation.running["server"].log
    said = log.read_text().count(WAITS)
    before = set(installation.workers())
    os.kill(pid, signal.SIGKILL)
    end = time.monotonic() + PATIENCE
    while log.read_text().count(WAITS) < said + 3:
        assert time.monotonic() < end, f"no worker waits\n{installation.logs()}"
        time.sleep(0.1)
    (new,) = set(installation.workers()) - before
    return new


@contextmanager
def _held(pid: int) -> Iterator[None]:
    """One process stopped where it is."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(400)
def test_a_worker_that_starts_while_the_database_is_away_waits_for_it(
    installation: Installation, survival_log: Log
) -> None:
    installation.start("server")
    installation.ready()
    _until_all_serve(installation)
    killed, other = installation.workers()
    embedded.stop(installation.home)
    waiting = _one_who_waits_after_the_end_of(killed, installation)
    embedded.find_or_start(installation.home)
    installation.ready()
    with _held(other):
        installation.ready()  # by the one that waited
    assert sorted(installation.workers()) == sorted([other, waiting]), installation.logs()

    embedded.stop(installation.home)
    _one_who_waits_after_the_end_of(other, installation)
    took = installation.running["server"].terminate()
    assert took < BOUND
    assert "Traceback" not in installation.logs()
    embedded.find_or_start(installation.home)
    survival_log(
        "a worker started without a database", waited=2, seconds_to_stop_while_it_waits=round(took, 1)
    )
