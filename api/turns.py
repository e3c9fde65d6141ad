"""Few acts at once in a process, the others after one another.

A process computes one act at a time, the others wait for the database. Where fifty are begun at once they hold fifty connections,
each with its plans and caches, and hand the interpreter around: an act then costs the database twice as much and the last of them waits
longest. So only a few are begun; who waits for its turn longer than a moment is begun beside them, for then they wait for something
themselves: a lock, a database that says nothing.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from anyio.lowlevel import RunVar

AT_ONCE: Final = 4
"""Enough that one computes while the others wait for a database half a millisecond away."""

PATIENCE: Final = 0.5
"""Seconds."""

_free: Final[RunVar[asyncio.Semaphore]] = RunVar("turns")
"""The turns of an event loop."""


@asynccontextmanager
async def turn() -> AsyncIterator[bool]:
    """A turn for as long as the block takes, waited for in the order of coming; False where it was not worth waiting any longer."""
    turns = _free.get(None)
    if turns is None:
        turns = asyncio.Semaphore(AT_ONCE)
        _free.set(turns)
    taken = await _taken(turns)
    try:
        yield taken
    finally:
        if taken:
            turns.release()


async def _taken(turns: asyncio.Semaphore) -> bool:
    try:
        async with asyncio.timeout(PATIENCE if turns.locked() else None):
            return await turns.acquire()
    except TimeoutError:
        return False
