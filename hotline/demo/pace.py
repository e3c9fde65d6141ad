"""When people act: office hours on the working days of a calendar, later hours at the platforms. Instants are aware."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Final

from calendar_cn.working_days import WorkCalendar
from workflow.deadlines import CHINA

DAY: Final = timedelta(days=1)
_SPELLS: Final = ((time(8, 40), time(12, 0)), (time(14, 0), time(18, 0)))
_LONG_DAY: Final = (time(8, 0), time(21, 0))


def at_time(day: date, moment: time) -> datetime:
    """`moment` of civil day `day` in Asia/Shanghai."""
    return datetime.combine(day, moment, CHINA)


@dataclass(frozen=True, slots=True)
class Pace:
    """One calendar's office hours, drawn from by `dice`."""

    calendar: WorkCalendar
    dice: Random

    def minutes(self, low: float, high: float) -> timedelta:
        """A length between `low` and `high` minutes, to the second."""
        return timedelta(seconds=int(self.dice.uniform(low, high) * 60))

    def within(self, at: datetime, low: float, high: float) -> datetime:
        """`low` to `high` office hours after `at`, office hours only, on working days."""
        left = timedelta(seconds=int(self.dice.uniform(low, high) * 3600))
        day, now = at.astimezone(CHINA).date(), at
        while True:
            if self.calendar.is_working_day(day):
                for opens, closes in _SPELLS:
                    start, end = max(now, at_time(day, opens)), at_time(day, closes)
                    if start >= end:
                        continue
                    if start + left < end:
                        return start + left
                    left -= end - start
            day += DAY

    def on(self, day: date, after: datetime) -> datetime:
        """Some office instant of civil day `day`, or soon after `after` where that is later."""
        opens, closes = _SPELLS[self.dice.random() < 0.55]
        spell = at_time(day, closes) - at_time(day, opens)
        at = at_time(day, opens) + timedelta(seconds=int(self.dice.random() * spell.total_seconds()))
        return at if at > after else after + self.minutes(4, 40)

    def working_day(self, at: datetime, n: int) -> date:
        """The n-th working day after the civil day of `at`, which is day zero."""
        return self.calendar.add(at.astimezone(CHINA).date(), n)

    def at_platform(self, at: datetime, low: float, high: float) -> datetime:
        """`low` to `high` minutes after `at`, of the hours in which a platform dispatches, 8 to 21 every day."""
        due = at + self.minutes(low, high)
        local = due.astimezone(CHINA)
        if local.time() < _LONG_DAY[0]:
            return at_time(local.date(), _LONG_DAY[0]) + self.minutes(2, 50)
        if local.time() > _LONG_DAY[1]:
            return at_time(local.date() + DAY, _LONG_DAY[0]) + self.minutes(2, 50)
        return due

    def before(self, day: date) -> date:
        """The working day before `day`."""
        found = day - DAY
        while not self.calendar.is_working_day(found):
            found -= DAY
        return found
