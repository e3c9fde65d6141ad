"""Each worker process on a processor of its own, where there are as many workers as processors.

Only one thread of a Python process runs at a time. While requests come, they hand one another the interpreter dozens of times an act, and
each time the kernel wakes the next one on another processor: on virtual machines that costs more than the work between. Where every
processor has its worker, nothing is lost by keeping a worker to one; where there are fewer workers than processors the kernel places
them, for nobody here knows what else runs on the machine.
"""

import fcntl
import logging
import os
import sys
from itertools import count
from pathlib import Path
from typing import IO, Final

log = logging.getLogger(__name__)

_held: Final[list[IO[bytes]]] = []
"""The claim of this process, for as long as it lives."""


def keep_to_one(workers: int, folder: Path) -> int | None:
    """Keep this process, one of `workers` that share `folder`, to one processor; which one, None where the kernel places it.

    To be called before the process starts threads of its own. A worker that takes another's place takes its processor.
    """
    if sys.platform != "linux":
        return None
    processors = sorted(os.sched_getaffinity(0))
    if workers < max(2, len(processors)):
        return None
    try:
        processor = processors[_claimed(folder) % len(processors)]
        for thread in Path("/proc/self/task").iterdir():  # uvicorn has started one already
            os.sched_setaffinity(int(thread.name), {processor})
    except OSError as error:  # a sandbox may forbid it, a file system have no locks: a matter of speed alone
        log.warning("this worker was not kept to one processor: %s", error)
        return None
    return processor


def _claimed(folder: Path) -> int:
    """The first number no living worker has."""
    for number in count():
        claim = (folder / f"worker-{number}").open("ab")
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            claim.close()
        else:
            _held.append(claim)
            return number
    raise AssertionError
