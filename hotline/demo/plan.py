"""Who calls when, and what becomes of it: the arrivals of half a year and each ticket's fate, drawn from one seed. No I/O."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import accumulate
from random import Random
from typing import Final

from calendar_cn.working_days import WorkCalendar
from hotline.demo.pace import DAY
from workflow.deadlines import CHINA
from workflow.vocabulary import Level, State

SPAN: Final = timedelta(days=182)
SHARES: Final[Mapping[str, float]] = {
    "01": 0.42,
    "02": 0.14,
    "00": 0.11,
    "08": 0.10,
    "05": 0.055,
    "03": 0.05,
    "04": 0.045,
    "07": 0.045,
    "06": 0.035,
}
# How busy each hour of a day is, and each day from Monday to Sunday; a holiday is as quiet as a Sunday.
_HOURS: Final = (6, 4, 3, 2, 3, 5, 12, 30, 72, 100, 98, 78, 46, 52, 82, 94, 88, 72, 48, 38, 32, 26, 18, 10)
_DAYS: Final = (1.12, 1.04, 1.0, 0.98, 0.97, 0.58, 0.46)


class Fate(StrEnum):
    """What the intake makes of a call."""

    HANDLED = "handled"
    ANSWERED = "answered"
    REFUSED = "refused"
    TRANSFERRED = "transferred"
    REPORTED = "reported"
    DUPLICATE = "duplicate"
    CRISIS = "crisis"


_FATES: Final = (
    (0.028, Fate.REFUSED),
    (0.070, Fate.TRANSFERRED),
    (0.082, Fate.REPORTED),
    (0.480, Fate.ANSWERED),
    (1.000, Fate.HANDLED),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One call as planned. `key` never changes with order; `halt` is the state in which the ticket is still found at the end."""

    key: int
    at: datetime
    platform: str
    fate: Fate
    main: int | None = None
    carries: bool = False
    halt: State | None = None
    crisis: int | None = None


@dataclass(frozen=True, slots=True)
class Declared:
    """An emergency to declare: by which platform, when, over which area, until when, of which kind (index of CRISES)."""

    platform: str
    at: datetime
    until: datetime
    area: str
    kind: int


# The states a ticket passes quickly: how many working days before the end it came in, what it was meant to become,
# and how many of a thousand tickets are found there.
_HALTS: Final[tuple[tuple[State, float, Fate, float], ...]] = (
    (State.PENDING_DECISION, 0.0, Fate.REPORTED, 1.0),
    (State.ACCEPTED, 0.0, Fate.HANDLED, 1.0),
    (State.RETURN_PROPOSED, 2.0, Fate.HANDLED, 0.8),
    (State.DISSATISFIED, 7.0, Fate.HANDLED, 0.8),
    (State.SUPPLEMENTING, 5.0, Fate.HANDLED, 1.2),
    (State.REDOING, 8.0, Fate.HANDLED, 1.2),
    (State.COORDINATING, 2.0, Fate.HANDLED, 0.6),
    (State.REPLIED, 3.0, Fate.HANDLED, 1.0),
    (State.VERIFIED, 4.0, Fate.HANDLED, 1.0),
    (State.DISPATCHED, 1.0, Fate.HANDLED, 1.0),
    (State.HANDLING, 2.0, Fate.HANDLED, 1.0),
    (State.CLOSED, 7.0, Fate.HANDLED, 1.0),
    (State.MERGED, 2.0, Fate.DUPLICATE, 0.6),
    (State.WITHDRAWN, 3.0, Fate.HANDLED, 0.4),
    (State.ANSWERED, 1.0, Fate.ANSWERED, 0.4),
    (State.REFUSED, 1.0, Fate.REFUSED, 0.4),
    (State.TRANSFERRED, 1.0, Fate.TRANSFERRED, 0.4),
)


def half_year(
    seed: int, now: datetime, tickets: int, calendar: WorkCalendar
) -> tuple[list[Visit], list[Declared]]:
    """The visits of the half year up to `now`, in order of time, and the emergencies declared in it."""
    dice = Random(seed)  # noqa: S311  # a simulation, not a secret
    visits = [_drawn(dice, key, at) for key, at in enumerate(_arrivals(dice, now, tickets, calendar))]
    declared = _emergencies(dice, now)
    _join_crises(dice, visits, declared)
    _cluster(dice, visits, now)
    _halt(dice, visits, now, calendar)
    return sorted(visits, key=lambda visit: (visit.at, visit.key)), declared


def _arrivals(dice: Random, now: datetime, tickets: int, calendar: WorkCalendar) -> list[datetime]:
    start = (now - SPAN).astimezone(CHINA).replace(minute=0, second=0, microsecond=0)
    hours = [start + timedelta(hours=n) for n in range(int((now - start) / timedelta(hours=1)) + 1)]
    weights = list(accumulate(_busy(hour, calendar) for hour in hours))
    found = []
    for _ in range(tickets):
        hour = hours[bisect_right(weights, dice.random() * weights[-1])]
        at = hour + timedelta(seconds=dice.randrange(3600))
        found.append(min(at, now - timedelta(minutes=dice.uniform(12, 90))))
    return sorted(found)


def _busy(hour: datetime, calendar: WorkCalendar) -> float:
    works = calendar.is_working_day(hour.date())
    day = hour.weekday()
    if works and day >= 5:
        day = 4
    elif not works and day < 5:
        day = 6
    return _HOURS[hour.hour] * _DAYS[day]


def _drawn(dice: Random, key: int, at: datetime) -> Visit:
    platform = dice.choices(list(SHARES), list(SHARES.values()))[0]
    draw = dice.random()
    return Visit(key, at, platform, next(fate for share, fate in _FATES if draw <= share))


def _emergencies(dice: Random, now: datetime) -> list[Declared]:
    """One of the province, so that levels are skipped, and one of 西宁, each where the weather allows."""
    found = []
    for platform, area, days_ago in (("00", "632701000000", 120), ("01", "630106000000", 45)):
        at = (now - DAY * (days_ago + dice.randrange(20))).astimezone(CHINA).replace(hour=7, minute=20)
        kind = 1 if at.month in range(5, 10) else 0
        found.append(Declared(platform, at, at + DAY * 5, area, kind))
    return found


def _join_crises(dice: Random, visits: list[Visit], declared: list[Declared]) -> None:
    count = max(1, len(visits) // 700)
    for number, crisis in enumerate(declared):
        if len(visits) < 20:
            return
        for _ in range(count):
            place = dice.randrange(len(visits))
            at = crisis.at + timedelta(minutes=dice.randint(90, 60 * 60))
            visits[place] = replace(
                visits[place], at=at, platform=crisis.platform, fate=Fate.CRISIS, crisis=number
            )


def _cluster(dice: Random, visits: list[Visit], now: datetime) -> None:
    """Some calls are about the same thing as an earlier one: the same platform, half an hour to a day later."""
    if len(visits) < 20:
        return
    for _ in range(max(1, len(visits) // 110)):
        mains = [v for v in dice.sample(visits, 8) if v.fate is Fate.HANDLED and now - v.at > DAY * 2]
        if not mains:
            continue
        main = mains[0]
        visits[main.key] = replace(main, carries=True)
        for _ in range(dice.choice((1, 1, 1, 2, 2, 3))):
            twin = dice.choice(visits)
            if twin.fate is not Fate.HANDLED or twin.carries:
                continue
            at = main.at + timedelta(minutes=dice.randint(25, 24 * 60))
            visits[twin.key] = replace(
                twin, at=at, platform=main.platform, fate=Fate.DUPLICATE, main=main.key
            )


def _halt(dice: Random, visits: list[Visit], now: datetime, calendar: WorkCalendar) -> None:
    """Have some tickets end in each state: taken from the ordinary ones, moved to the last days."""
    free = [v.key for v in visits if v.fate in (Fate.HANDLED, Fate.ANSWERED) and not v.carries]
    dice.shuffle(free)
    most = len(visits) // 8
    for state, days, fate, share in _HALTS:
        for _ in range(max(1, round(len(visits) * share / 1000))):
            if most <= 0 or len(free) < 2:
                return
            most -= 1
            at = _before(dice, now, days, calendar)
            if fate is Fate.DUPLICATE:
                main = replace(
                    visits[free.pop()],
                    at=at - timedelta(hours=5),
                    fate=Fate.HANDLED,
                    carries=True,
                    halt=State.HANDLING,
                )
                visits[main.key] = main
                twin = replace(visits[free.pop()], platform=main.platform, main=main.key)
                visits[twin.key] = replace(twin, at=at, fate=fate, halt=state)
            else:
                key = free.pop()
                visits[key] = replace(visits[key], at=at, fate=fate, halt=state)


def _before(dice: Random, now: datetime, days: float, calendar: WorkCalendar) -> datetime:
    """About `days` working days before `now`, in the morning; for 0, within the last two hours."""
    if not days:
        return now - timedelta(minutes=dice.randint(30, 110))
    day, left = now.astimezone(CHINA).date(), days + 1
    while left > 0:
        day -= DAY
        left -= calendar.is_working_day(day)
    return datetime(day.year, day.month, day.day, dice.randint(8, 10), dice.randrange(60), tzinfo=CHINA)


def level_of(platform: str) -> Level:
    """The province's platform, or a prefecture's."""
    return Level.PROVINCE if platform == "00" else Level.PREFECTURE
