"""A statement asked with every request, handed to the driver as it is: SQLAlchemy would look it up by a long key each time, and
prepare an object's way through the ORM that columns do not need."""

from functools import cached_property
from typing import Any, Final

from sqlalchemy import CursorResult
from sqlalchemy.dialects.postgresql import psycopg
from sqlmodel import Session


class Constant:
    """A statement of columns, each of a type the driver reads and takes by itself; put together at its first use."""

    def __init__(self, statement: Any) -> None:
        self._statement: Final = statement

    @cached_property
    def _prepared(self) -> tuple[str, dict[str, Any]]:
        compiled = self._statement.compile(dialect=psycopg.dialect())  # type: ignore[no-untyped-call]
        return str(compiled), {name: value for name, value in compiled.params.items() if value is not None}

    def ask(self, session: Session, values: dict[str, Any]) -> CursorResult[Any]:
        """The answer, its columns by their labels; `values` are all of the statement's parameters that have none of their own.

        What the session has not flushed yet is not seen.
        """
        text, own = self._prepared
        return session.connection().exec_driver_sql(text, own | values)
