"""How fast a due date is found: `WorkCalendar.add` beside workalendar, numpy and a bare table, in one run.

python -m bench.working_days [--quick] [--json]

Every contender answers the same questions (a day of 2018-2023, a statutory length in working days) one call
at a time; dates are made anew for each round, as they are when they come from a request. Rounds are
interleaved and the best of each counts. Exits 1 where `add` is less than 100 times as fast as workalendar.
"""

import argparse
import json
import random
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from workalendar.asia import China

from calendar_cn.working_days import ChinaWorkCalendar, WorkCalendar

MUST_TIMES_WORKALENDAR = 100
AIM_OF_BARE_TABLE = 1 / 3
FIRST, LAST = date(2018, 1, 1), date(2023, 11, 30)
LENGTHS = (1, 2, 3, 5, 10, 15)
SEED = 12345

Question = tuple[date, int]
Round = Callable[[Sequence[Question]], float]


@dataclass(frozen=True)
class Contender:
    """One way to find a due date: `timed` answers all questions and returns the seconds that took."""

    name: str
    note: str
    questions: int
    answer: Callable[[date, int], date]
    timed: Round


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: about two seconds")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON and nothing else")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # workalendar's China warns at every year it looks at

    contenders = [ours(), workalendar_base(), reference(), numpy_scalar(), bare_table()]
    disagreements = {contender.name: disagreeing(contender, contenders[0]) for contender in contenders[1:]}
    speeds = measure(contenders, rounds=5 if options.quick else 15)
    figures = summed_up(speeds, disagreements)
    if not options.json:
        print_table(contenders, speeds, disagreements)
    print(json.dumps(figures, ensure_ascii=False))
    return 0 if figures["must_met"] else 1


def ours() -> Contender:
    add = WorkCalendar().add
    return Contender("WorkCalendar.add", "this project", 200_000, add, called(add))


def workalendar_base() -> Contender:
    add = China().add_working_days
    return Contender(
        "workalendar China", "own table of 2018-2023, without 2020's correction", 500, add, called(add)
    )


def reference() -> Contender:
    add = ChinaWorkCalendar().add_working_days
    return Contender("ChinaWorkCalendar", "the reference, over the notices", 2_000, add, called(add))


def numpy_scalar() -> Contender:
    """A week mask can't say that one Saturday works: here all seven days do, and the rest are holidays."""
    calendar = WorkCalendar()
    off = [day for day in days_between(FIRST, LAST + timedelta(days=60)) if not calendar.is_working_day(day)]
    busdays = np.busdaycalendar(weekmask="1111111", holidays=np.array(off, dtype="datetime64[D]"))

    def answer(day: date, n: int) -> date:
        found = np.busday_offset(day, n, roll="backward", busdaycal=busdays)
        return date.fromisoformat(str(found))

    def timed(questions: Sequence[Question]) -> float:
        offset = np.busday_offset
        start = time.perf_counter()
        for day, n in questions:
            offset(day, n, roll="backward", busdaycal=busdays)
        return time.perf_counter() - start

    return Contender("numpy busday_offset", "scalar; a 7-day week mask and a list", 20_000, answer, timed)


def bare_table() -> Contender:
    """The table alone, without a call, a class, or a look at whether the question makes sense."""
    calendar = WorkCalendar()
    working: list[date] = [date.min]
    rank: dict[date, int] = {}
    for day in days_between(FIRST, LAST + timedelta(days=60)):
        if calendar.is_working_day(day):
            working.append(day)
        rank[day] = len(working) - 1

    def timed(questions: Sequence[Question]) -> float:
        start = time.perf_counter()
        for day, n in questions:
            working[rank[day] + n]
        return time.perf_counter() - start

    return Contender(
        "bare rank table", "days[rank[day] + n], no call", 200_000, lambda d, n: working[rank[d] + n], timed
    )


def called(add: Callable[[date, int], date]) -> Round:
    def timed(questions: Sequence[Question]) -> float:
        start = time.perf_counter()
        for day, n in questions:
            add(day, n)
        return time.perf_counter() - start

    return timed


def days_between(first: date, last: date) -> list[date]:
    return [first + timedelta(days=k) for k in range((last - first).days + 1)]


def asked(count: int) -> list[Question]:
    """The same questions every time, of fresh dates."""
    chance = random.Random(SEED)
    span = (LAST - FIRST).days
    return [(FIRST + timedelta(days=chance.randint(0, span)), chance.choice(LENGTHS)) for _ in range(count)]


def disagreeing(contender: Contender, judge: Contender) -> int:
    """On how many of the questions the two differ."""
    return sum(contender.answer(day, n) != judge.answer(day, n) for day, n in asked(500))


def measure(contenders: Sequence[Contender], rounds: int) -> dict[str, float]:
    """Calls a second of each, the best of its rounds."""
    best = dict.fromkeys((contender.name for contender in contenders), 0.0)
    for _ in range(rounds):
        for contender in contenders:
            questions = asked(contender.questions)
            best[contender.name] = max(best[contender.name], len(questions) / contender.timed(questions))
    return best


def summed_up(speeds: dict[str, float], disagreements: dict[str, int]) -> dict[str, object]:
    add = speeds["WorkCalendar.add"]
    times = add / speeds["workalendar China"]
    of_bare = add / speeds["bare rank table"]
    return {
        "bench": "working_days",
        "per_second": {name: round(speed) for name, speed in speeds.items()},
        "times_workalendar": round(times, 1),
        "times_reference": round(add / speeds["ChinaWorkCalendar"], 1),
        "times_numpy": round(add / speeds["numpy busday_offset"], 1),
        "of_bare_table": round(of_bare, 3),
        "disagreements_of_500": disagreements,
        "must_met": times >= MUST_TIMES_WORKALENDAR,
        "aim_met": of_bare >= AIM_OF_BARE_TABLE,
    }


def print_table(
    contenders: Sequence[Contender], speeds: dict[str, float], disagreements: dict[str, int]
) -> None:
    add = speeds["WorkCalendar.add"]
    print(f"{'contender':<22}{'calls/s':>14}{'add is':>12}{'differs':>10}  note")
    for contender in contenders:
        name = contender.name
        differs = f"{disagreements[name]}/500" if name in disagreements else "-"
        ratio = f"{add / speeds[name]:.2f} x"
        print(f"{name:<22}{speeds[name]:>14,.0f}{ratio:>12}{differs:>10}  {contender.note}")


if __name__ == "__main__":
    sys.exit(main())
