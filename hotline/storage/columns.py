"""Column kinds the tables share: enums stored as their string values, keys, references, JSON, long text."""

from collections.abc import Callable
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, Column, Dialect, ForeignKey, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel

from workflow.vocabulary import Word


class Words(TypeDecorator[Any]):
    """An enum of `workflow.vocabulary`, stored as its string value."""

    impl = String(40)
    cache_ok = True

    def __init__(self, words: type[Word]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else self.words(value).value

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], Word | None]:  # noqa: ARG002
        """What makes a word of a value read: a table, for an act reads forty."""
        return self.by_value.__getitem__

    @cached_property
    def by_value(self) -> dict[str | None, Word | None]:
        """The words by what is stored of them; nothing where nothing is."""
        return {each.value: each for each in self.words} | {None: None}


def word(words: type[Word], *, nullable: bool = False) -> Any:
    """A column of one of the field's words."""
    return Field(sa_column=Column(Words(words), nullable=nullable), default=None if nullable else ...)


def key() -> Any:
    """The primary key, numbered by the database."""
    return Field(default=None, sa_column=Column(BigInteger, primary_key=True, autoincrement=True))


def ref(target: str, *, nullable: bool = False, index: bool = False) -> Any:
    """A reference to another table's key, `table.id`."""
    return Field(
        default=None if nullable else ...,
        sa_column=Column(BigInteger, ForeignKey(target), nullable=nullable, index=index),
    )


def json_object() -> Any:
    """A JSON object. Reassign it, do not mutate it."""
    return Field(default_factory=dict, sa_column=Column(JSONB, nullable=False))


def long_text(*, nullable: bool = False) -> Any:
    """Text of any length, kept whole."""
    return Field(default=None if nullable else ..., sa_column=Column(Text, nullable=nullable))


class Record(SQLModel):
    """The base of the tables acts add rows to. A row begins with the values given and the defaults of the others, set at once.

    SQLModel sets each of a clock's 31 through three layers, to validate nothing in the end: a tenth of what an act costs.
    """

    if not TYPE_CHECKING:  # whoever checks types sees the fields

        def __init__(self, **values: Any) -> None:
            fixed, made = _defaults(type(self))
            if unknown := values.keys() - type(self).model_fields.keys():
                raise TypeError(f"{type(self).__name__} has no {', '.join(sorted(unknown))}")
            self.__dict__.update(fixed | {name: make() for name, make in made.items()} | values)
            object.__setattr__(self, "__pydantic_fields_set__", set(values))


@cache
def _defaults(table: type[SQLModel]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of the fields not given, and what makes those made anew for each row."""
    optional = {name: field for name, field in table.model_fields.items() if not field.is_required()}
    made = {name: field.default_factory for name, field in optional.items() if field.default_factory}
    return {name: field.default for name, field in optional.items() if name not in made}, made
