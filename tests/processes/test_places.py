"""Where the workers of a real server run: a processor each where there is one for each, anywhere else."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from api import places
from tests.processes.hotlines import Served, serving
from tests.world import World

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="other systems place every process themselves"),
]


@contextmanager
def only(processors: set[int]) -> Iterator[None]:
    """What is started meanwhile may run on these processors alone."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, processors)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def some(most: int) -> set[int]:
    return set(sorted(os.sched_getaffinity(0))[:most])


def threads(pid: int) -> list[int]:
    return [int(thread.name) for thread in Path(f"/proc/{pid}/task").iterdir()]


def workers(server: Served) -> list[int]:
    """The processes of the server that serve: those with many threads."""
    leader = server.process.popen.pid
    children = Path(f"/proc/{leader}/task/{leader}/children").read_text().split()
    return [int(pid) for pid in children if len(threads(int(pid))) > 2]


def placed(pid: int) -> set[frozenset[int]]:
    """Where the threads of a process may run."""
    return {frozenset(os.sched_getaffinity(thread)) for thread in threads(pid)}


def two_workers(server: Served) -> list[int]:
    end = time.monotonic() + 60
    while len(found := workers(server)) != 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_a_worker_for_each_processor_keeps_to_it_and_so_does_who_takes_its_place(
    world: World, database_url: str, tmp_path: Path
) -> None:
    processors = some(2)
    one_each = {frozenset({processor}) for processor in processors}
    with ExitStack() as leaving:
        with only(processors):
            server = leaving.enter_context(serving(tmp_path, database_url, world.tokens, "--workers", "2"))
        first, second = two_workers(server)
        assert set().union(*map(placed, (first, second))) == one_each
        gone = placed(first)
        os.kill(first, signal.SIGKILL)
        end = time.monotonic() + 60
        while not (new := set(workers(server)) - {first, second}):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert placed(new.pop()) == gone


def test_workers_that_are_fewer_than_the_processors_are_placed_by_the_kernel(tmp_path: Path) -> None:
    here = os.sched_getaffinity(0)
    for workers in range(1, max(2, len(here))):
        assert places.keep_to_one(workers, tmp_path) is None
    assert os.sched_getaffinity(0) == here


def test_a_worker_that_may_not_be_kept_to_one_runs_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(os, "sched_setaffinity", forbidden)
    assert places.keep_to_one(64, tmp_path) is None
    assert "not kept to one processor" in caplog.text
