"""A streaming replica that reports are read from: whether it is there, how far it is behind, and what to read from instead.

How far behind is measured against the primary, not by the age of the last transaction: a primary on which nothing happens leaves its
replica old and complete. The primary's WAL position L at time T is asked first, then the replica's: a replica that has replayed L
holds everything that was durable at T. One that has not holds at least what was committed before its last replayed transaction.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from hotline.storage.store import make_engine

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""Seconds for which one look at the replica holds."""

UNREACHABLE_SECONDS: Final = 5.0
"""Seconds after which a replica that did not answer, or was none, is asked again."""

_PATIENCE: Final = 2
"""Seconds to wait for a connection to the replica while somebody waits for a report."""

_PAGE: Final = 8192
"""Bytes of a WAL page."""

_MOMENT: Final = 0.05
"""Seconds a replica is given to replay one small record."""

_SOURCE: Final = """
SELECT clock_timestamp(), pg_current_wal_flush_lsn() - '0/0'::pg_lsn, (SELECT system_identifier FROM pg_control_system())
"""
_COPY: Final = """
SELECT pg_is_in_recovery(), pg_last_wal_replay_lsn() - '0/0'::pg_lsn AS replayed, pg_last_xact_replay_timestamp(),
    (SELECT system_identifier FROM pg_control_system())
"""


class Fitness(StrEnum):
    """Whether reports may be read from the replica, and if not, why."""

    FIT = "fit"
    LAGGING = "lagging"
    UNREACHABLE = "unreachable"
    NO_REPLICA = "no_replica"
    """The address leads to a server that is no standby: the primary itself, or one that was promoted."""
    STRANGER = "stranger"
    """The address leads to a standby of another database."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the last look found. `behind`: how far the replica was behind at most, None where that cannot be told."""

    fitness: Fitness
    behind: timedelta | None = None


class Replica:
    """One process's way to the replica at `url`. Fit while it is at most `most` behind."""

    def __init__(self, url: str, most: timedelta, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.engine = make_engine(url, pool_size=10, reading=True, patience=_PATIENCE)
        self.most = most
        self._monotonic = monotonic
        self._looking = threading.Lock()
        self._standing = Standing(Fitness.UNREACHABLE)
        self._until = float("-inf")
        self._holds: tuple[int, datetime] | None = None
        """A position the replica has replayed, and a time before which it lacks nothing."""

    def look(self, primary: Connection) -> Standing:
        """How the replica stands, asked anew after a second, or five where there was none.

        Whoever comes while another asks is told what was found last. `primary` is a connection to the primary.
        """
        if self._monotonic() >= self._until and self._looking.acquire(blocking=False):
            try:
                found = self._ask(primary)
                if found.fitness is not self._standing.fitness:
                    level = logging.INFO if found.fitness is Fitness.FIT else logging.WARNING
                    log.log(level, "replica: %s (behind: %s)", found.fitness.value, found.behind)
                self._standing = found
                useless = found.fitness not in (Fitness.FIT, Fitness.LAGGING)
                if useless:
                    self.engine.dispose()  # another host of the URL may be the standby by now
                self._until = self._monotonic() + (UNREACHABLE_SECONDS if useless else LOOK_SECONDS)
            finally:
                self._looking.release()
        return self._standing

    def failed(self) -> None:
        """A read from the replica broke: for a few seconds nobody else is sent there."""
        self._standing = Standing(Fitness.UNREACHABLE)
        self._until = self._monotonic() + UNREACHABLE_SECONDS

    def session(self) -> Session:
        """A session on the replica; its transactions are read-only."""
        return Session(self.engine, expire_on_commit=False)

    def close(self) -> None:
        """Let its connections go."""
        self.engine.dispose()

    def _ask(self, primary: Connection) -> Standing:
        now, position, database = primary.execute(text(_SOURCE)).one()
        try:
            copy = self._ask_copy()
            if copy.replayed is not None and copy.replayed < position and position % _PAGE == 0:
                _complete_last_record(primary)
                time.sleep(_MOMENT)
                copy = self._ask_copy()
        except SQLAlchemyError as error:
            log.info("the replica does not answer: %s", type(error).__name__)
            return Standing(Fitness.UNREACHABLE)
        return self._judged(now, int(position), database, copy)

    def _ask_copy(self) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(text(_COPY)).one()

    def _judged(self, now: datetime, position: int, database: int, copy: Any) -> Standing:
        recovering, replayed, last_commit, copied = copy
        if not recovering or replayed is None:
            return Standing(Fitness.NO_REPLICA)
        if copied != database:
            return Standing(Fitness.STRANGER)
        if replayed >= position:
            holds: datetime | None = now
        else:
            known = self._holds[1] if self._holds and self._holds[0] <= replayed else None
            holds = max((each for each in (known, last_commit) if each is not None), default=None)
        self._holds = (int(replayed), holds) if holds is not None else None
        if holds is None:
            return Standing(Fitness.LAGGING)
        behind = max(now - holds, timedelta())
        return Standing(Fitness.FIT if behind <= self.most else Fitness.LAGGING, behind)


def _complete_last_record(primary: Connection) -> None:
    """Have the primary write out its WAL to the end of a record.

    What was undone is flushed by whole pages: the position then lies inside a record, which no replica can replay, until something
    is committed: on an idle primary for as long as 15 s. This commit waits for no standby.
    """
    with primary.engine.begin() as connection:
        connection.execute(text("SET LOCAL synchronous_commit = local"))
        connection.execute(text("SELECT pg_logical_emit_message(true, 'hotline', '')"))


def open_replica(url: str | None, lag_seconds: float) -> Replica | None:
    """The replica of these settings, if they name one."""
    return Replica(url, timedelta(seconds=lag_seconds)) if url is not None else None
