"""A connection that does not wait for ever: a database that hangs (frozen, its disk gone) says nothing and closes nothing.

The server itself ends what takes too long (`statement_timeout`, `lock_timeout`); this is for a server that does nothing any more. After
some seconds without an answer it is asked on another connection whether it lives. What waited in vain is lost like a connection that
broke: 503, and only the Idempotency-Key tells whether a commit was done.
"""

from collections.abc import Generator
from typing import Any, Final

import psycopg
from psycopg import pq
from psycopg._preparing import PrepareManager
from psycopg.abc import RV, PQGen
from psycopg.errors import ConnectionTimeout, _WaitTimeout
from psycopg.waiting import Ready
from sqlalchemy import Dialect

PATIENCE: Final = 10.0
"""Seconds without an answer after which the server is asked whether it lives."""

_ASKED: Final = 5
"""Seconds it then has to let another connection in, or to refuse it."""


class ServerSilent(psycopg.OperationalError):
    """The server owes an answer, and neither lets another connection in nor refuses it."""


class _LastingStatements(PrepareManager):
    """A connection's prepared statements, which outlast a rollback.

    psycopg drops them all then, for what they speak of may have been created in the transaction. A server process creates
    nothing that a later transaction gives another meaning, and ends everything it only reads with a rollback.
    """

    def clear(self) -> bool:
        """Keep them."""
        return False


class PatientConnection(psycopg.Connection[Any]):
    """A psycopg connection that gives a silent server up, and closes; one that is only busy is waited for. What is prepared stays so."""

    def __init__(self, pgconn: pq.abc.PGconn, *options: Any, **named: Any) -> None:
        super().__init__(pgconn, *options, **named)
        self._prepared = _LastingStatements()

    def wait(self, gen: PQGen[RV], interval: float = 0.1, timeout: float | None = None) -> RV:
        """Wait for the answer; with `timeout`, as psycopg does. Raises `ServerSilent`."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        while True:
            try:
                return super().wait(gen, interval, PATIENCE)
            except _WaitTimeout:
                if not self._lives():
                    self.pgconn.finish()
                    raise ServerSilent(f"the database has not answered for {PATIENCE:.0f} s") from None
                gen = _resumed(gen)

    def _lives(self) -> bool:
        info = self.info
        asked: dict[str, Any] = {**info.get_parameters(), "host": info.host, "port": info.port}
        asked |= {"target_session_attrs": "any", "connect_timeout": _ASKED}
        if info.password:
            asked["password"] = info.password
        try:
            psycopg.connect(**asked).close()
        except ConnectionTimeout:
            return False
        except psycopg.OperationalError:  # refused: by somebody
            return True
        return True


def _resumed(gen: PQGen[RV]) -> Generator[Any, Any, RV]:
    """The rest of what `gen` does, after a wait for it was broken off."""
    ready: Any = Ready.NONE
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as done:
            result: RV = done.value
            return result
        ready = yield wanted


class LeanCursor(psycopg.Cursor[Any]):
    """A cursor that describes its columns as DB-API has it: psycopg makes an object of each, a tenth of what an act costs."""

    @property
    def description(self) -> Any:
        """Name and type of each column of the answer, None where there is none."""
        result = self.pgresult
        if result is None or not (result.nfields or result.status in _WITH_ROWS):
            return None
        encoding = self._encoding
        return [
            ((result.fname(place) or b"").decode(encoding), result.ftype(place), None, None, None, None, None)
            for place in range(result.nfields)
        ]


_WITH_ROWS: Final = frozenset(
    {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.SINGLE_TUPLE, pq.ExecStatus.TUPLES_CHUNK}
)


def connect(_dialect: Dialect, _record: Any, arguments: Any, options: Any) -> PatientConnection:
    """For SQLAlchemy's `do_connect`: every connection of an engine is a patient one, with lean cursors."""
    return PatientConnection.connect(*arguments, cursor_factory=LeanCursor, **options)
