"""未诉先办的时令表: which categories rise in which weeks of the year, from past years' counts, for whoever prepares before people call."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

TIMES, LEAST, MOST = 1.5, 5, 40

RULE: Final = (
    f"时令：某周（含前后各一周）该二级分类历年的周均件数，不低于其全年周均件数的 {TIMES} 倍、且周均不少于 {LEAST} 件的列入；"
    "只有一年数据的注明，不足一年的只比较已有的周。本年的数不计。"
)


@dataclass(frozen=True, slots=True)
class Season:
    """One category in one coming week: how many a week there were then, in an ordinary week, and from how many years that is known."""

    week: int
    starts: date
    category: str
    name: str
    expected: float
    usual: float
    times: float
    years: int


def coming(session: Session, platforms: Sequence[int], today: date, *, weeks: int) -> list[Season]:
    """What rises in the coming `weeks` by past years' counts of the cube, week by week, the steepest first."""
    monday = today - timedelta(days=today.weekday())
    values = {"platforms": list(platforms), "until": monday - timedelta(weeks=26)}
    counts: dict[str, dict[tuple[int, int], int]] = {}
    for category, year, week, count in session.execute(text(_BY_WEEK), values):
        counts.setdefault(category, {})[int(year), min(int(week), 52)] = int(count)
    known = sorted({at for by_week in counts.values() for at in by_week})
    names = "SELECT code, name FROM categories WHERE code = ANY(CAST(:codes AS text[]))"
    named: dict[str, str] = dict(map(tuple, session.execute(text(names), {"codes": sorted(counts)})))
    found: list[Season] = []
    for ahead in range(weeks):
        starts = monday + timedelta(weeks=ahead)
        week = min(starts.isocalendar().week, 52)
        at_hand = [
            _season(week, starts, category, named.get(category, category), by_week, known)
            for category, by_week in counts.items()
        ]
        rising = [each for each in at_hand if each is not None]
        found += sorted(rising, key=lambda each: (-each.times, each.category))[:MOST]
    return found


def _season(
    week: int,
    starts: date,
    category: str,
    name: str,
    by_week: dict[tuple[int, int], int],
    known: list[tuple[int, int]],
) -> Season | None:
    around = {(week - 2) % 52 + 1, week, week % 52 + 1}
    then = [at for at in known if at[1] in around]
    years = len({year for year, number in known if number == week})
    if not then or not years:
        return None
    expected = sum(by_week.get(at, 0) for at in then) / len(then)
    usual = sum(by_week.values()) / len(known)
    if expected < LEAST or usual == 0 or expected < TIMES * usual:
        return None
    return Season(
        week, starts, category, name, round(expected, 1), round(usual, 1), round(expected / usual, 2), years
    )


_BY_WEEK: Final = """
SELECT left(key, 4), extract(isoyear FROM starts), extract(week FROM starts), sum(n) FROM report_cube
WHERE grain = 'day' AND dim = 'category' AND what = 'received' AND platform_id = ANY(CAST(:platforms AS bigint[])) AND starts < :until
GROUP BY 1, 2, 3 HAVING sum(n) > 0
"""
