"""What goes into the knowledge index and what comes out of it."""

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Entry:
    """One searchable article (知识条目). `key` names it for ever; putting an entry replaces the one of the same key.

    `guide` are the 办事指南 fields as (name, text). An entry without an area or with no platforms counts everywhere.
    `valid_from` and `valid_until` are days in China, both inclusive. `popularity` is how often it was told, of late.
    """

    key: str
    question: str
    answer: str
    title: str = ""
    guide: tuple[tuple[str, str], ...] = ()
    synonyms: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    area: str | None = None
    unit: str | None = None
    platforms: tuple[int, ...] = ()
    valid_from: date | None = None
    valid_until: date | None = None
    popularity: int = 0

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("an entry has a key")


class Validity(StrEnum):
    VALID = "valid"
    EXPIRED = "expired"
    FUTURE = "future"


@dataclass(frozen=True, slots=True)
class Filters:
    """What to look among. An area takes what is above it and below it, never beside it; a category what it begins."""

    unit: str | None = None
    category: str | None = None
    area: str | None = None
    platforms: tuple[int, ...] = ()
    only_valid: bool = False


Range = tuple[int, int]
"""Characters [start, end) of a text as written."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """The passage of a hit that fits best: `text` is characters [start, end) of `part`; marks count from its first."""

    part: str
    """`answer`, or the name of a guide field."""
    start: int
    end: int
    text: str
    marks: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Hit:
    key: str
    score: float
    validity: Validity
    question: str
    question_marks: tuple[Range, ...]
    answer: str
    answer_marks: tuple[Range, ...]
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Results:
    """`ready` is false where there is no index to search (yet): nothing found then says nothing."""

    hits: tuple[Hit, ...] = ()
    did_you_mean: str | None = None
    popular: bool = False
    """The box was empty: these are the most asked."""
    ready: bool = True
    answered: float = 1.0
    """The largest share of what tells in the question (in idf) that stands in one of the first hits: little of it is no answer."""
    keys: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "keys", tuple(hit.key for hit in self.hits))
