"""What an analysis reads: the tickets of a window as far as it needs them. Tip-offs and confidential tickets are counted, never read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from hotline.desks.grams import grams
from hotline.hotspots.clusters import Block, Told
from hotline.reporting.slices import COUNTY
from workflow.deadlines import CHINA

_DAY: Final = timedelta(days=1)
_SHORT: Final = 4
"""A title with fewer pairs than this is read with the beginning of the content."""


@dataclass(frozen=True, slots=True)
class Line:
    """One ticket of a window."""

    id: int
    category: str
    area: str
    day: date
    received_at: datetime
    ended_at: datetime | None
    title: str
    begins: str
    caller: bytes | None

    @property
    def block(self) -> Block:
        """Its category and county."""
        return self.category, self.area[:COUNTY]


def span(first: date, last: date) -> dict[str, datetime]:
    """The instants between which a ticket of these days (both inclusive, Asia/Shanghai) was received."""
    return {
        "since": datetime.combine(first, time(), CHINA),
        "until": datetime.combine(last + _DAY, time(), CHINA),
    }


_WITHIN: Final = (
    "t.platform_id = ANY(CAST(:platforms AS bigint[])) AND t.received_at >= :since AND t.received_at < :until"
)
_OPEN: Final = "t.matter <> 'tipoff' AND NOT t.confidential"
_COUNTED: Final = f"SELECT count(*), count(*) FILTER (WHERE NOT ({_OPEN})) FROM tickets t WHERE {_WITHIN}"  # noqa: S608 - words of this module
_READ: Final = f"""
SELECT t.id, t.category_code, t.area_code, (t.received_at AT TIME ZONE 'Asia/Shanghai')::date, t.received_at, t.ended_at,
    t.title, left(t.content, 60), t.phone_index
FROM tickets t WHERE {_WITHIN} AND {_OPEN}
"""  # noqa: S608 - words of this module
_IN_BLOCKS: Final = f"""
{_READ} AND (t.category_code, left(t.area_code, {COUNTY})) IN
    (SELECT * FROM unnest(CAST(:categories AS text[]), CAST(:counties AS text[])))
"""  # noqa: S608 - words of this module


def counted(session: Session, platforms: Sequence[int], first: date, last: date) -> tuple[int, int]:
    """How many tickets there are, and how many of them are tip-offs or confidential."""
    values = {"platforms": list(platforms)} | span(first, last)
    every, sealed = session.execute(text(_COUNTED), values).one()
    return int(every), int(sealed)


def lines(
    session: Session,
    platforms: Sequence[int],
    first: date,
    last: date,
    blocks: Iterable[Block] | None = None,
) -> Iterator[Line]:
    """The tickets of these days that may be read; with `blocks`, of those alone."""
    values: dict[str, Any] = {"platforms": list(platforms)} | span(first, last)
    statement = _READ
    if blocks is not None:
        named = sorted(blocks)
        values |= {"categories": [each for each, _ in named], "counties": [each for _, each in named]}
        statement = _IN_BLOCKS
    for row in session.execute(text(statement), values):
        yield Line(*row)


def place_pairs(session: Session) -> frozenset[int]:
    """The pairs of characters of counties' and prefectures' names: they say nothing of the matter."""
    names = session.execute(text("SELECT name FROM areas WHERE right(code, 6) = '000000'")).scalars()
    return frozenset(pair for name in names for pair in grams(name))


def told(line: Line, places: frozenset[int], known: dict[int, int]) -> Told:
    """A ticket's pairs; `known` keeps each pair once in memory."""
    pairs = grams(line.title)
    if len(pairs) < _SHORT:
        pairs = grams(line.title, line.begins)
    return Told(
        line.id, line.block, tuple([known.setdefault(pair, pair) for pair in pairs if pair not in places])
    )


def in_windows(
    session: Session, platforms: Sequence[int], windows: Sequence[tuple[date, date]], blocks: Iterable[Block]
) -> dict[Block, list[int]]:
    """How many tickets these blocks had in each window, sealed ones left out."""
    named = sorted(blocks)
    found = {block: [0] * len(windows) for block in named}
    for number, (first, last) in enumerate(windows):
        values: dict[str, Any] = {
            "platforms": list(platforms),
            "categories": [category for category, _ in named],
            "counties": [county for _, county in named],
        }
        rows = session.execute(text(_BY_BLOCK), values | span(first, last))
        for category, county, count in rows:
            found[category, county][number] = count
    return found


_BY_BLOCK: Final = f"""
SELECT t.category_code, left(t.area_code, {COUNTY}), count(*) FROM tickets t
WHERE {_WITHIN} AND {_OPEN} AND (t.category_code, left(t.area_code, {COUNTY})) IN
    (SELECT * FROM unnest(CAST(:categories AS text[]), CAST(:counties AS text[])))
GROUP BY 1, 2
"""  # noqa: S608 - words of this module


def first_day(session: Session, platforms: Sequence[int]) -> date | None:
    """The day of the first ticket of these platforms."""
    statement = f"SELECT min(t.received_at) FROM tickets t WHERE t.platform_id = ANY(CAST(:platforms AS bigint[])) AND {_OPEN}"  # noqa: S608 - words of this module
    first: datetime | None = session.execute(text(statement), {"platforms": list(platforms)}).scalar_one()
    return first.astimezone(CHINA).date() if first is not None else None
