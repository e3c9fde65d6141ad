"""文件: a document as plain blocks, whatever it is printed as, and how its numbers are written in Chinese official papers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Final, Literal

Kind = Literal["text", "count", "percent", "hours", "workdays"]
"""What a column or an axis holds. A percent is a fraction of 1."""

Value = str | int | Decimal | None
NOTHING: Final = "—"


@dataclass(frozen=True, slots=True)
class Heading:
    """一级（一、）or 二级（（一））标题."""

    text: str
    level: int = 1


@dataclass(frozen=True, slots=True)
class Paragraph:
    """One paragraph of the text."""

    text: str
    small: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its title, what it holds, its share of the width."""

    title: str
    kind: Kind = "text"
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Table:
    """A table under its own title; `note` stands below it."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Value]]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: a line over time or bars lying one above the other; a series for each name. `words` say what it shows to whoever cannot see it."""

    title: str
    form: Literal["line", "bars"]
    labels: Sequence[str]
    series: Sequence[tuple[str, Sequence[float | None]]]
    kind: Kind
    words: str


Block = Heading | Paragraph | Table | Chart


@dataclass(frozen=True, slots=True)
class Signature:
    """签署: one role in making the document, who filled it (None: nobody yet) and on which day."""

    role: str
    who: str | None
    on: date | None


@dataclass(frozen=True, slots=True)
class Document:
    """A whole paper: who issues it, its number, what it is called and of what, its blocks, who answers for it, what it can be checked by.

    `status` (草稿, 送审稿) stands on each page of one that is not final.
    """

    issuer: str
    number: str
    title: str
    subtitle: str
    blocks: Sequence[Block]
    signatures: Sequence[Signature]
    footer: str
    status: str | None


def title_lines(document: Document) -> list[str]:
    """The title, broken where its sense is: after who issues it."""
    rest = document.title.removeprefix(document.issuer)
    return [document.issuer, rest] if rest and rest != document.title else [document.title]


# --- numbers -----------------------------------------------------------------------------------------------------------


def written(value: Value, kind: Kind) -> str:
    """A value as it is printed: 95.12%, 1234, 2.50; — where there is none."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        return value
    exact = Decimal(value)
    if kind == "percent":
        return f"{(exact * 100).quantize(Decimal('0.01'), ROUND_HALF_UP)}%"
    if kind in ("hours", "workdays"):
        return str(exact.quantize(Decimal("0.01"), ROUND_HALF_UP))
    return str(exact.quantize(Decimal(1), ROUND_HALF_UP))


def day_written(day: date) -> str:
    """2026年4月8日."""
    return f"{day.year}年{day.month}月{day.day}日"


_DIGITS: Final = "零一二三四五六七八九"


def ordinal(number: int) -> str:
    """一, 二, … 十, 十一, … 九十九: how headings are counted."""
    tens, ones = divmod(number, 10)
    if not tens:
        return _DIGITS[ones]
    return ("" if tens == 1 else _DIGITS[tens]) + "十" + (_DIGITS[ones] if ones else "")
