"""A statement asked with every request, put together once and handed to the driver: SQLAlchemy would look it up by a long key each time,
and prepare an object's way through the ORM that columns do not need."""

from collections import namedtuple
from functools import cached_property
from typing import Any, Final

from sqlalchemy.dialects.postgresql import psycopg
from sqlmodel import Session

from hotline.storage.driver import send


class Constant:
    """A statement of columns, each of a type the driver reads and takes by itself; put together at its first use.

    With `lists`, those of `IN` are written out: they are the statement's own, and its other parameters have None as their default.
    There may be many such, one for each person who asks: they are put together at once, and what they were made of is let go.
    """

    def __init__(self, statement: Any, *, lists: bool = False) -> None:
        self._statement: Final = None if lists else statement
        self._row: Any = None
        if lists:
            self._prepared = _prepared(statement, lists=True)

    @cached_property
    def _prepared(self) -> tuple[str, dict[str, Any]]:
        return _prepared(self._statement, lists=False)

    def ask(self, session: Session, values: dict[str, Any]) -> list[Any]:
        """The rows, their columns by their labels; `values` are all of the statement's parameters that have none of their own.

        What the session has not flushed yet is not seen.
        """
        text, own = self._prepared
        cursor = send(session, text, own | values)
        if cursor.description is None:
            return []
        if self._row is None:  # columns without a name, or with another's, are read by their place
            names = [each[0] for each in cursor.description]
            self._row = getattr(namedtuple("Row", names, rename=True), "_make")  # noqa: B009
        return [self._row(row) for row in cursor.fetchall()]

    def first(self, session: Session, values: dict[str, Any]) -> Any:
        """The first row, None where there is none."""
        rows = self.ask(session, values)
        return rows[0] if rows else None


def _prepared(statement: Any, *, lists: bool) -> tuple[str, dict[str, Any]]:
    """A statement's text, and its own parameters."""
    compiled = statement.compile(
        dialect=psycopg.dialect(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": lists},
    )
    return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}
