"""What one act changes and appends, in one statement instead of one a table.

Rows to insert travel as one JSON document a table: a parameter a column would have to be typed, adapted and sent one by one, 200 of them
for a new ticket. PostgreSQL reads each field by its column's type.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Table, inspect
from sqlalchemy.orm import make_transient
from sqlmodel import Session, SQLModel

from hotline.storage.driver import send
from hotline.storage.reading import hold, written

Batch = tuple[Any, list[dict[str, Any]]]
"""A table and the rows to append to it, all with the same columns."""

_MOST: Final = 24
"""Changed rows up to which they go into the statement: each is a part of its text."""


class _Insert(NamedTuple):
    """Rows for one table; `numbers` where the database numbers them."""

    table: str
    columns: tuple[str, ...]
    numbers: bool


class _Update(NamedTuple):
    table: str
    columns: tuple[str, ...]


def write_together(
    session: Session, plain: frozenset[type], batches: Iterable[Batch], fresh: Sequence[SQLModel] = ()
) -> None:
    """Send what the session holds new or changed, the rows of `fresh` and `batches` to the database, in this transaction.

    In one statement where all of the session's changes are of `plain` classes, which have one key named `id`, no relations, and no two
    rows that must be written one before the other; else the session's unit of work sends its own first. The session knows everything as
    written afterwards, keys included; `fresh` rows join it.
    """
    new, changed = list(session.new), sorted(session.dirty, key=lambda each: each.__tablename__)
    if len(changed) > _MOST or session.deleted or not {type(each) for each in (*new, *changed)} <= plain:
        session.flush()
        new, changed = [], []
    inserts, documents, numbered = _inserts([*fresh, *new], batches)
    updates, values, touched = _updates(changed)
    if not inserts and not updates:
        return
    answer = send(session, _statement(tuple(inserts), tuple(updates)), (*documents, *values))
    if numbered:
        for entities, keys in zip(numbered, answer.fetchone(), strict=True):
            # sorted: they were numbered in the order they were sent
            for entity, key in zip(entities, sorted(keys), strict=True):
                entity.id = key
    for entity in new:
        make_transient(entity)
    for entity in (*fresh, *new):
        hold(session, entity)
    for entity in touched:
        written(session, entity)


def _inserts(
    entities: Iterable[Any], batches: Iterable[Batch]
) -> tuple[list[_Insert], list[str], list[list[Any]]]:
    """The tables to insert into, a document for each, and for each table that numbers its rows the entities to be numbered."""
    grouped: dict[tuple[Table, bool], list[Any]] = {}
    for entity in entities:
        grouped.setdefault((entity.__table__, entity.id is None), []).append(entity)
    inserts, documents, numbered = [], [], []
    for (table, numbers), group in grouped.items():
        columns = _columns(table, numbers)
        inserts.append(_Insert(table.name, columns, numbers))
        documents.append(_document([_values(each, columns) for each in group]))
        if numbers:
            numbered.append(group)
    for table, rows in batches:
        if rows:
            inserts.append(_Insert(table.name, tuple(rows[0]), numbers=False))
            documents.append(_document(rows))
    return inserts, documents, numbered


def _values(entity: Any, columns: tuple[str, ...]) -> dict[str, Any]:
    set_ = entity.__dict__  # past the ORM's getters, which a new row's values have no need of
    return {name: set_.get(name) for name in columns}


@lru_cache(maxsize=64)
def _columns(table: Table, numbers: bool) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if not (numbers and column.name == "id"))


def _updates(entities: Iterable[Any]) -> tuple[list[_Update], list[Any], list[Any]]:
    """What to update, the values in the statement's order, and the entities that had changed."""
    updates: list[_Update] = []
    values: list[Any] = []
    touched: list[Any] = []
    for entity in entities:
        changed = inspect(entity).committed_state
        columns = tuple(name for name in _columns(entity.__table__, True) if name in changed)
        if columns:
            touched.append(entity)
            updates.append(_Update(entity.__tablename__, columns))
            values += [_sent(getattr(entity, name)) for name in columns]
            values.append(entity.id)
    return updates, values, touched


def _sent(value: Any) -> Any:
    if isinstance(value, datetime):
        _check_aware(value)
    if isinstance(value, dict):
        return to_json(value).decode()
    return str(value) if isinstance(value, str) else value  # a word of the field's as its own text


def _check_aware(at: datetime) -> None:
    if at.utcoffset() is None:
        raise ValueError("an instant without its time zone is none")


def _document(rows: list[dict[str, Any]]) -> str:
    return to_json([{name: _kept(value) for name, value in row.items()} for row in rows]).decode()


def _kept(value: Any) -> Any:
    kind = type(value)
    if kind is datetime:
        _check_aware(value)
    return "\\x" + value.hex() if kind is bytes else value


@lru_cache(maxsize=512)
def _statement(inserts: tuple[_Insert, ...], updates: tuple[_Update, ...]) -> str:
    """The statement for so many documents and values; put together once a shape."""
    parts = [_inserting(each) for each in inserts] + [_updating(each) for each in updates]
    asked = [number for number, each in enumerate(inserts) if each.numbers]
    if not asked and len(parts) == 1:
        return parts[0]
    with_ = ", ".join(f"w{number} AS ({part})" for number, part in enumerate(parts))
    keys = ", ".join(f"ARRAY(SELECT id FROM w{number})" for number in asked)  # noqa: S608 - numbers
    return f"WITH {with_} SELECT {keys or '1'}"


def _inserting(each: _Insert) -> str:
    columns = ", ".join(each.columns)
    rows = f"SELECT {columns} FROM json_populate_recordset(NULL::{each.table}, %s::json)"  # noqa: S608 - our own tables' and columns' names
    return f"INSERT INTO {each.table} ({columns}) {rows}" + (" RETURNING id" if each.numbers else "")


def _updating(each: _Update) -> str:
    changes = ", ".join(f"{name} = %s" for name in each.columns)
    return f"UPDATE {each.table} SET {changes} WHERE id = %s"  # noqa: S608 - our own tables' and columns' names
