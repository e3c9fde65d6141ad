"""Entities made of columns read by the driver: what the ORM does for a query takes longer than the query, where an act takes a ticket up."""

from collections.abc import Sequence
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import inspect
from sqlalchemy.orm.attributes import manager_of_class, set_committed_value
from sqlmodel import Session, SQLModel

from hotline.storage.columns import Words

T = TypeVar("T", bound=SQLModel)


class Entities(Generic[T]):
    """A table's columns to select, in `columns`, and entities of the session made of their values. For tables with one key named `id`."""

    def __init__(self, table: type[T]) -> None:
        self.columns: Final = list(table.__table__.columns)  # type: ignore[attr-defined]
        self._table: Final = table
        self._names: Final = [column.name for column in self.columns]
        self._words: Final = [
            (place, column.type.by_value)
            for place, column in enumerate(self.columns)
            if isinstance(column.type, Words)
        ]
        self._key: Final = self._names.index("id")

    def of(self, session: Session, values: Sequence[Any], *, anew: bool = False) -> T:
        """The entity whose columns have these `values`, persistent in `session`. One that it holds already stays as it is, or takes
        the values where it is read `anew`."""
        held: T | None = session.identity_map.get(_key_of(self._table, values[self._key]))
        if held is not None and not anew:
            return held
        read = list(values)
        for place, words in self._words:
            read[place] = words[read[place]]
        if held is not None:
            for name, value in zip(self._names, read, strict=True):
                set_committed_value(held, name, value)
            return held
        entity: T = manager_of_class(self._table).new_instance()
        entity.__dict__.update(zip(self._names, read, strict=True))
        hold(session, entity)
        return entity


def hold(session: Session, entity: Any) -> None:
    """Make a transient entity, all of its columns as they stand in the database, persistent in `session`.

    What `make_transient_to_detached` and `Session.add` do together, without looking for relations, of which these have none.
    """
    state = inspect(entity)
    state.key = _key_of(type(entity), entity.id)
    state._commit_all(state.dict)
    session.identity_map.add(state)
    state.session_id = session.hash_key


def written(session: Session, entity: Any) -> None:
    """Tell `session` that the changes of a persistent entity stand in the database."""
    state = inspect(entity)
    state._commit_all(state.dict, session.identity_map)
    session._register_altered([state])  # a savepoint taken back has it read anew


def _key_of(table: type[SQLModel], number: int) -> Any:
    return inspect(table).identity_key_from_primary_key((number,))
