"""统计期: a day, week, month, quarter, year or any range of days in Asia/Shanghai, both ends inclusive."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from workflow.errors import OrderInvalid

_DAY: Final = timedelta(days=1)
FIRST: Final = date(2020, 1, 1)
LAST: Final = date(2099, 12, 31)
MOST_DAYS: Final = 3660
"""A range has at most ten years."""


@dataclass(frozen=True, slots=True)
class Period:
    """The days `first` through `last`; `name` is how it is written."""

    first: date
    last: date
    name: str

    def until(self, last: date) -> "Period | None":
        """The part of it up to `last`, None where it begins later."""
        if last >= self.last:
            return self
        return Period(self.first, last, self.name) if last >= self.first else None

    def parts(self) -> tuple[list[date], list[tuple[date, date]]]:
        """The whole months in it, by their first days, and the ranges of days before and after them."""
        months = [first for first in _months(self.first, self.last) if self._holds(first)]
        if not months:
            return [], [(self.first, self.last)]
        edges = [(self.first, months[0] - _DAY), (month_end(months[-1]) + _DAY, self.last)]
        return months, [(first, last) for first, last in edges if first <= last]

    def _holds(self, month: date) -> bool:
        return self.first <= month and month_end(month) <= self.last


def month_end(day: date) -> date:
    """The last day of the month of `day`."""
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1) - _DAY


def _months(first: date, last: date) -> Iterator[date]:
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = month_end(month) + _DAY


def month(year: int, number: int) -> Period:
    """One month."""
    first = date(year, number, 1)
    return Period(first, month_end(first), f"{year}-{number:02d}")


def quarter(year: int, number: int) -> Period:
    """One quarter, 1 to 4."""
    first = date(year, 3 * number - 2, 1)
    return Period(first, month_end(date(year, 3 * number, 1)), f"{year}-Q{number}")


def year(number: int) -> Period:
    """One calendar year."""
    return Period(date(number, 1, 1), date(number, 12, 31), str(number))


def days(first: date, last: date) -> Period:
    """Any range. Raises `OrderInvalid` where it ends before it begins, is too long or lies outside 2020 to 2099."""
    if last < first:
        raise OrderInvalid("统计期的末日早于首日。", field="period")
    if not first >= FIRST or not last <= LAST:
        raise OrderInvalid(f"统计期须在 {FIRST} 至 {LAST} 之间。", field="period")
    if (last - first).days >= MOST_DAYS:
        raise OrderInvalid("统计期至多十年。", field="period")
    name = first.isoformat() if first == last else f"{first.isoformat()}..{last.isoformat()}"
    return Period(first, last, name)


PATTERN: Final = r"^[0-9]{4}(-Q[1-4]|-W[0-9]{2}|-[0-9]{2}(-[0-9]{2}(\.\.[0-9]{4}-[0-9]{2}-[0-9]{2})?)?)?$"
"""How a period is written: 2026, 2026-Q3, 2026-10, 2026-W42, 2026-10-08, 2026-10-08..2026-11-20."""


def parse(said: str) -> Period:
    """The period written like this (see `PATTERN`). Raises `OrderInvalid` (field `period`)."""
    if not re.fullmatch(PATTERN, said):
        raise _unknown(said)
    try:
        found = _parsed(said)
    except ValueError:
        raise _unknown(said) from None
    days(found.first, found.last)
    return found


def _parsed(said: str) -> Period:
    if ".." in said:
        first, last = said.split("..")
        return days(date.fromisoformat(first), date.fromisoformat(last))
    number, rest = int(said[:4]), said[5:]
    if not rest:
        return year(number)
    if rest.startswith("Q"):
        return quarter(number, int(rest[1:]))
    if rest.startswith("W"):
        monday = date.fromisocalendar(number, int(rest[1:]), 1)
        return Period(monday, monday + timedelta(days=6), said)
    if len(rest) == 2:
        return month(number, int(rest))
    return days(date.fromisoformat(said), date.fromisoformat(said))


def _unknown(said: str) -> OrderInvalid:
    return OrderInvalid(
        f"统计期 {said} 无法识别，写法如 2026-10、2026-Q3、2026、2026-W42、2026-10-08、2026-10-08..2026-11-20。",
        field="period",
    )


def before(day: date, kind: str) -> Period:
    """The last month, quarter or year that was over by `day`: `monthly`, `quarterly`, `annual`."""
    if kind == "annual":
        return year(day.year - 1)
    if kind == "quarterly":
        index = (day.month - 1) // 3
        return quarter(day.year, index) if index else quarter(day.year - 1, 4)
    last = day.replace(day=1) - _DAY
    return month(last.year, last.month)


def previous(period: Period) -> Period:
    """What a period is compared with (环比): the month, quarter or year before it; of any other range the same number of days before."""
    for kind in ("annual", "quarterly", "monthly"):
        following = period.last + _DAY
        if (found := before(following, kind)).first == period.first and found.last == period.last:
            return before(period.first, kind)
    last = period.first - _DAY
    return Period(last - (period.last - period.first), last, "")


def year_before(period: Period) -> Period:
    """The same days a year before (同比); 29 February is the 28th there, and a month's end stays one."""
    first, last = (_year_before(day) for day in (period.first, period.last))
    return Period(first, month_end(last) if period.last == month_end(period.last) else last, "")


def _year_before(day: date) -> date:
    return day.replace(year=day.year - 1, day=28 if (day.month, day.day) == (2, 29) else day.day)
