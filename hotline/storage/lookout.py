"""Looking again and again whether there is anything to do, without a transaction each time."""

from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hotline.storage.constant import Constant


class Lookout:
    """A thread's own connection for looking again and again whether there is anything to do: a statement, no transaction."""

    def __init__(self, engine: Engine) -> None:
        self._session = Session(engine.execution_options(isolation_level="AUTOCOMMIT"))

    def look(self, statement: Constant, values: dict[str, Any]) -> Any:
        """The first row of what is asked. Raises `DBAPIError`; the next look is made on another connection then."""
        try:
            return statement.first(self._session, values)
        except DBAPIError:
            self._session.rollback()
            raise

    def close(self) -> None:
        """Give the connection back."""
        self._session.close()
