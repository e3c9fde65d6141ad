"""What the fields of orders are made of: texts that can be kept, codes, numbers, instants, and the base of every order.

Texts are kept whole: no stripping, no truncation. NUL and lone surrogates are refused with the field named, because
PostgreSQL cannot keep them.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
)
from pydantic.config import JsonDict
from stdnum.cn import ric

_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)


def keepable(text: str) -> str:
    """A text that PostgreSQL can keep. Raises `ValueError`."""
    if "\x00" in text:
        raise ValueError("不能包含空字符（NUL）")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("包含不完整的字符（孤立的代理项），请检查编码")
    return text


def says_something(text: str) -> str:
    """A text that is not blank. Raises `ValueError`."""
    if not text.strip():
        raise ValueError("不能为空白")
    return text


def _in_range(at: datetime) -> datetime:
    if not _FIRST <= at <= _LAST:  # else no other time zone could express it
        raise ValueError("时间超出可用范围，请核对年份")
    return at


def _written_out(at: object) -> object:
    if isinstance(at, datetime) or (isinstance(at, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", at)):
        return at
    # a bare number could be seconds or milliseconds
    raise ValueError("时间格式应为 2026-02-13T10:00:00+08:00")


def _checked_id_number(number: str) -> str:
    if not ric.is_valid(number.upper()):
        raise ValueError("身份证号的日期或校验位不对，请核对")
    return number.upper()


def _no_truth(number: object) -> object:
    """JSON's `true` is not 1, though Python and pydantic would take it so."""
    if isinstance(number, bool):
        raise ValueError("应为整数，不能为 true 或 false")  # noqa: TRY004 - pydantic names the field of a ValueError only
    return number


Whole = Annotated[int, BeforeValidator(_no_truth)]
"""Every whole number of an order."""

Instant = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_range)]
"""An aware instant, written out with its date, that every time zone can express."""

Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(keepable),
    AfterValidator(says_something),
]
Reference = Annotated[Line, StringConstraints(max_length=100)]
"""Another system's name for a call or a demand."""

Prose = Annotated[
    str,
    StringConstraints(min_length=1, max_length=20_000),
    AfterValidator(keepable),
    AfterValidator(says_something),
]
Demanded = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100_000),
    AfterValidator(keepable),
    AfterValidator(says_something),
]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,40}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9\- ]{2,24}$")]
IdNumber = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{17}[0-9Xx]$"), AfterValidator(_checked_id_number)
]
Number = Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(keepable)]


def pick(from_what: str) -> JsonDict:
    """Says in the OpenAPI document what a form offers to choose a field's value from, as `x-pick`."""
    return {"x-pick": from_what}


def offer(values: Iterable[str]) -> JsonDict:
    """Says in the OpenAPI document which of a word's values a form offers, as `x-offer`; the others are refused with their reasons."""
    return {"x-offer": list(values)}


class Order(BaseModel):
    """The base of every order: unknown fields are refused, so that a misspelt one is not silently lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def instant(given: datetime | None, default: datetime) -> datetime:
    """`given`, or `default` where nothing was given."""
    return default if given is None else given


KeyPath = Annotated[Whole, Field(ge=1, le=2**62)]
