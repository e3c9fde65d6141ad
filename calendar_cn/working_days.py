"""Which days count in China, and the n-th of them: the working days of the State Council's notices.

`WorkCalendar` answers from a table; `ChinaWorkCalendar`, a workalendar calendar over the same notices, is the
reference that fills the table.

A year without a notice is **provisional**: weekends and the statutory days (全国年节及纪念日放假办法 art. 2)
are off, nobody works on a weekend, and no day off is moved. A year counts as known once its own notice
is loaded, although the next year's notice may still change its last days of December, as those of 2008,
2012 and 2019 did.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from threading import Lock
from types import MappingProxyType
from typing import Any, NamedTuple

from workalendar.asia import China
from workalendar.core import LunarDate, cleaned_date

from calendar_cn.arrangements import LATEST_YEAR, ArrangedDay, Arrangement, shipped

FIRST_YEAR = 2007
PROVISIONAL_YEARS = 5
LAST_DAY = date(LATEST_YEAR, 12, 31)
DAY = timedelta(days=1)
WEEKDAYS = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")
SATURDAY = 5
RULES = "放假办法 2025-01-01"
UNNOTICED = "该年放假通知尚未发布，暂按周末和法定节假日推算"


class CalendarRange(ValueError):
    """日期超出工作日历的范围: before the first day or after 2099-12-31, as far as the lunar tables go."""

    def __init__(self, first: date) -> None:
        super().__init__(f"工作日历只能推算 {first} 至 {LAST_DAY} 之间的日期，请核对起算日期和期限")


class DayRuling(NamedTuple):
    """Whether a day counts as a working day, why (in Chinese), and the address of the notice that says so."""

    counted: bool
    reason: str
    notice: str | None


@dataclass(frozen=True, slots=True)
class ExplainedDay:
    """One calendar day of a period; `index` is its number in working days, None when it doesn't count."""

    date: date
    weekday_cn: str
    counted: bool
    index: int | None
    reason: str
    notice: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a period of `length` working days ends on `due_on`.

    `days` are all calendar days after `opened_on`, which is day zero, through `due_on`; `notices` are the
    addresses of all notices of these years and days; `provisional` is true where one of the years has none
    yet.
    """

    opened_on: date
    length: int
    due_on: date
    days: tuple[ExplainedDay, ...]
    provisional: bool
    notices: tuple[str, ...]


class _Listed(NamedTuple):
    """A day that a notice names, with the title year of the arrangement that prevails for it."""

    day: ArrangedDay
    title_year: int
    notice: str | None


class ChinaWorkCalendar(China):  # type: ignore[misc]
    """China as workalendar sees it, over the notices instead of workalendar's own table of 2018-2023.

    The reference: it says why each day counts, and fills the tables of WorkCalendar. Where two notices name
    the same day, that of the later title year prevails. A local day off prevails over a make-up working
    day.
    """

    def __init__(
        self,
        arrangements: Mapping[int, Arrangement] | None = None,
        local_days: Mapping[date, str] | None = None,
    ) -> None:
        """Over `arrangements` by title year (None: the shipped ones), and local days off with their reasons.

        Raises ValueError when a key isn't its arrangement's year, TypeError for local days that aren't dates.
        """
        super().__init__()
        known = shipped() if arrangements is None else arrangements
        if any(year != arrangement.year for year, arrangement in known.items()):
            raise ValueError("节假日安排应以其年份为键")
        self.arrangements: Mapping[int, Arrangement] = MappingProxyType(dict(sorted(known.items())))
        self.local_days: Mapping[date, str] = MappingProxyType(dict(sorted((local_days or {}).items())))
        for day in self.local_days:
            _insist_on_date(day)
        self.first_day = date(min([FIRST_YEAR, *known]), 1, 1)
        self._listed = {
            day.date: _Listed(day, arrangement.year, arrangement.notice_of(day))
            for arrangement in self.arrangements.values()
            for day in arrangement.days
        }
        self.extra_working_days = [
            when
            for when, listed in self._listed.items()
            if not listed.day.off and when not in self.local_days
        ]
        self._made_up = frozenset(self.extra_working_days)
        self._off: dict[int, frozenset[date]] = {}

    def get_calendar_holidays(self, year: int) -> list[tuple[date, str]]:
        """The days off of a calendar year with their names, beside its weekends. Raises CalendarRange."""
        self._insist_on_range(year)
        off = {when: reason for when, reason in self.local_days.items() if when.year == year}
        if year not in self.arrangements:
            off |= statutory_days(year)
        off |= {
            when: listed.day.name
            for when, listed in self._listed.items()
            if listed.day.off and when.year == year
        }
        return [(when, name) for when, name in sorted(off.items()) if when not in self._made_up]

    def is_working_day(
        self,
        day: date,
        extra_working_days: Any = None,
        extra_holidays: Any = None,
    ) -> bool:
        """Whether a day counts; the extra lists are workalendar's. Raises CalendarRange, on weekends too."""
        day = cleaned_date(day)
        off = self._days_off(day.year)
        if extra_working_days and day in extra_working_days:
            return True
        if extra_holidays and day in extra_holidays:
            return False
        return day in self._made_up or (day.weekday() < SATURDAY and day not in off)

    def ruling(self, day: date) -> DayRuling:
        """Whether a day counts and why, with the notice to cite. Raises CalendarRange."""
        self._insist_on_range(day.year)
        national = self._listed_ruling(day) or self._weekly_ruling(day)
        if national.counted and day in self.local_days:
            reason = self.local_days[day].strip()
            return DayRuling(False, f"本地放假：{reason}" if reason else "本地放假", None)
        return national

    def prevailing_notices(self, first: date, last: date) -> tuple[str, ...]:
        """The addresses of all notices of the years `first` through `last`, and of the days in between."""
        years = set(range(first.year, last.year + 1))
        years |= {listed.title_year for when, listed in self._listed.items() if first <= when <= last}
        found = [
            url
            for year in sorted(years & self.arrangements.keys())
            for url in self.arrangements[year].notices
        ]
        return tuple(dict.fromkeys(found))

    def _listed_ruling(self, day: date) -> DayRuling | None:
        listed = self._listed.get(day)
        if listed is None:
            return None
        name = listed.day.name
        if listed.day.off:
            return DayRuling(False, f"{name}放假", listed.notice)
        if day.weekday() < SATURDAY:
            return DayRuling(True, f"工作日（{name}，国务院办公厅通知列明上班）", listed.notice)
        return DayRuling(True, f"调休上班（{name}，国务院办公厅通知）", listed.notice)

    def _weekly_ruling(self, day: date) -> DayRuling:
        counted = day.weekday() < SATURDAY
        reason = "工作日" if counted else "周末"
        if day.year in self.arrangements:
            return DayRuling(counted, reason, None)
        statutory = statutory_days(day.year).get(day)
        if statutory:
            return DayRuling(False, f"{statutory}（法定节假日，暂定）", None)
        return DayRuling(counted, f"{reason}（{UNNOTICED}）", None)

    def _days_off(self, year: int) -> frozenset[date]:
        if year not in self._off:
            self._off[year] = frozenset(self.holidays_set(year))
        return self._off[year]

    def _insist_on_range(self, year: int) -> None:
        if not self.first_day.year <= year <= LATEST_YEAR:
            raise CalendarRange(self.first_day)


@cache
def statutory_days(year: int) -> Mapping[date, str]:
    """The statutory days off of a year in 2000-2099, with their names: 放假办法 art. 2, as since 2025-01-01.

    That is 元旦 1 day, 春节 4 (除夕 to 初三), 清明 1, 劳动节 2, 端午 1, 中秋 1, 国庆节 3. Where two fall
    together, the later in this list gives the name. Days made up for a weekend (art. 6) are not here: only
    a notice says when.
    """
    new_year: date = LunarDate(year, 1, 1).to_solar_date()
    dragon_boat: date = LunarDate(year, 5, 5).to_solar_date()
    mid_autumn: date = LunarDate(year, 8, 15).to_solar_date()
    days = {date(year, 1, 1): "元旦", new_year - DAY: "除夕"}
    days |= {new_year + n * DAY: "春节" for n in range(3)}
    days |= {clear_brightness(year): "清明节", date(year, 5, 1): "劳动节", date(year, 5, 2): "劳动节"}
    days |= {dragon_boat: "端午节", mid_autumn: "中秋节"}
    days |= {date(year, 10, n): "国庆节" for n in (1, 2, 3)}
    return MappingProxyType(days)


def clear_brightness(year: int) -> date:
    """The day of 清明, the solar term at 15 degrees, in Beijing time; the almanac's formula for 2000-2099."""
    return date(year, 4, int(year % 100 * 0.2422 + 4.81) - year % 100 // 4)


class WorkCalendar:
    """The working days of China, or of a platform with its own days off: counting is an index into a table.

    Covers 2007-01-01 (or the first noticed year, if earlier) through 2099-12-31. The table holds the
    noticed years and five provisional ones, through `last_day`; it grows when a later date is asked for,
    and CalendarRange is raised only outside 2007-2099. A datetime raises TypeError: an instant is turned to
    Asia/Shanghai before it is a day. Safe between threads.
    """

    __slots__ = (
        "_days",
        "_growth",
        "_rank",
        "_reference",
        "first_day",
        "last_day",
        "noticed_years",
        "version",
    )

    first_day: date
    last_day: date
    noticed_years: frozenset[int]
    version: str

    def __init__(
        self,
        arrangements: Mapping[int, Arrangement] | None = None,
        local_days: Mapping[date, str] | None = None,
    ) -> None:
        """Over `arrangements` by title year (None: the shipped ones).

        `local_days` are a platform's own days off with their reasons (放假办法 art. 4); one that falls on a
        make-up working day is off. `version` is a digest of both. Raises as ChinaWorkCalendar does.
        """
        self._reference = ChinaWorkCalendar(arrangements, local_days)
        self.noticed_years = frozenset(self._reference.arrangements)
        self.version = _version(self._reference)
        self.first_day = self._reference.first_day
        self.last_day = self.first_day - DAY
        # _days[k] is the k-th working day since first_day; _rank[d] is how many of them are not after d.
        self._days: list[date] = [date.min]
        self._rank: dict[date, int] = {}
        self._growth = Lock()
        self._reach(min(max(self.noticed_years, default=FIRST_YEAR) + PROVISIONAL_YEARS, LATEST_YEAR))

    def is_working_day(self, d: date) -> bool:
        """Whether the day counts. Raises CalendarRange."""
        return self._days[self._rank_of(d)] == d

    def add(self, day: date, n: int) -> date:
        """The n-th working day strictly after `day`, which is day zero whatever it is; `day` itself for 0.

        Raises ValueError for a negative n, CalendarRange where the answer lies outside the calendar.
        """
        if n > 0:
            try:
                return self._days[self._rank[day] + n]
            except (KeyError, IndexError):
                return self._add_afar(day, n)
        if n < 0:
            raise ValueError(f"工作日数不能为负数：{n}")
        self._rank_of(day)
        return day

    def between(self, a: date, b: date) -> int:
        """How many working days lie after `a` through `b`; `-between(b, a)` when b is earlier.

        Raises CalendarRange.
        """
        return self._rank_of(b) - self._rank_of(a)

    def nth_working_day_of_month(self, year: int, month: int, n: int) -> date:
        """The n-th working day of a month, from 1. Raises ValueError where it has fewer, CalendarRange."""
        first = date(year, month, 1)
        before = self._rank_of(first) - self.is_working_day(first)
        found = self._days[before + n : before + n + 1] if n > 0 else []
        if not found or (found[0].year, found[0].month) != (year, month):
            raise ValueError(f"{year} 年 {month} 月没有第 {n} 个工作日")
        return found[0]

    def is_provisional(self, first: date, last: date) -> bool:
        """Whether any day after `first` through `last` stands in a year without a notice.

        `first` is day zero and doesn't count; nothing is provisional when `last` isn't later. A year is
        known by its own notice: see the module's text for late December.
        """
        if last <= first:
            return False
        noticed = self.noticed_years
        return any(year not in noticed for year in range((first + DAY).year, last.year + 1))

    def day_reason(self, d: date) -> str:
        """Why a day counts or doesn't, in Chinese: «周末», «春节放假»… Raises CalendarRange."""
        self._rank_of(d)
        return self._reference.ruling(d).reason

    def explain(self, day: date, n: int) -> Explanation:
        """Every day on the way to `add(day, n)`, with its reason. Raises as `add` does."""
        due_on = self.add(day, n)
        opened = self._rank_of(day)
        days = tuple(self._explained(day + k * DAY, opened) for k in range(1, (due_on - day).days + 1))
        notices = self._reference.prevailing_notices(days[0].date, due_on) if days else ()
        return Explanation(day, n, due_on, days, self.is_provisional(day, due_on), notices)

    def _explained(self, d: date, opened: int) -> ExplainedDay:
        ruling = self._reference.ruling(d)
        counted = self.is_working_day(d)
        index = self._rank_of(d) - opened if counted else None
        return ExplainedDay(d, WEEKDAYS[d.weekday()], counted, index, ruling.reason, ruling.notice)

    def _add_afar(self, day: date, n: int) -> date:
        wanted = self._rank_of(day) + n
        if n > (LAST_DAY - day).days:
            raise CalendarRange(self.first_day)
        while wanted >= len(self._days):
            self._reach(self.last_day.year + 1)
        return self._days[wanted]

    def _rank_of(self, day: date) -> int:
        try:
            return self._rank[day]
        except KeyError:
            _insist_on_date(day)
            if day < self.first_day:
                raise CalendarRange(self.first_day) from None
            self._reach(day.year)
            return self._rank[day]

    def _reach(self, year: int) -> None:
        """Lengthen the table through the end of `year`: days before ranks, for readers without the lock."""
        if year > LATEST_YEAR:
            raise CalendarRange(self.first_day)
        with self._growth:
            day, last = self.last_day + DAY, date(year, 12, 31)
            if day > last:
                return
            working: list[date] = []
            ranks: dict[date, int] = {}
            before = len(self._days) - 1
            while day <= last:
                if self._reference.is_working_day(day):
                    working.append(day)
                ranks[day] = before + len(working)
                day += DAY
            self._days.extend(working)
            self._rank.update(ranks)
            self.last_day = last


def _insist_on_date(day: object) -> None:
    if not isinstance(day, date) or isinstance(day, datetime):
        raise TypeError("应为日期；时刻须先换算为 Asia/Shanghai 再取日期")


def _version(reference: ChinaWorkCalendar) -> str:
    digests = [arrangement.digest for arrangement in reference.arrangements.values()]
    local = [(day.isoformat(), reason) for day, reason in reference.local_days.items()]
    content = json.dumps([RULES, digests, local], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()[:12]
