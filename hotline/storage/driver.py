"""Statements handed to psycopg itself, in the session's transaction: SQLAlchemy's own execution of a statement takes longer than sending it.

For what is asked with every request, of types that the driver takes and reads by itself. What goes wrong is told by SQLAlchemy as
if it had sent the statement: the same exceptions, the same end of a connection that broke.
"""

from typing import Any, Final

from psycopg import Error
from sqlalchemy import Connection
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session

_KEPT: Final = "hotline.driver"


def send(session: Session, statement: str, values: Any) -> Any:
    """psycopg's cursor with the answer of `statement`, good until the session's next one; placeholders and `values` as psycopg has them.

    What the session has not flushed yet is not seen. Raises SQLAlchemy's `DBAPIError`s.
    """
    connection, cursor = _line(session)
    for told in connection.dispatch.before_cursor_execute:  # whoever counts statements counts this one
        told(connection, cursor, statement, values, None, False)
    try:
        cursor.execute(statement, values)
    except Error as error:
        session.info.pop(_KEPT, None)
        connection._handle_dbapi_exception(error, statement, values, cursor, None)
    return cursor


def _line(session: Session) -> tuple[Connection, Any]:
    """The session's connection and one cursor for all that is sent in this transaction, or savepoint: SQLAlchemy sets that only
    once the connection is asked for."""
    kept = session.info.get(_KEPT)
    if kept is not None and session.is_active and kept[0] is _innermost(session):
        return kept[1], kept[2]
    connection = session.connection()
    cursor = connection.connection.cursor()
    session.info[_KEPT] = (_innermost(session), connection, cursor)
    return connection, cursor


def _innermost(session: Session) -> SessionTransaction | None:
    return session.get_nested_transaction() or session.get_transaction()
