"""Counts read from the cube, or where two things are asked at once from the facts it is summed of; never from the tickets."""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from hotline.reporting import facts
from hotline.reporting.indicators import HOURS, MOST_DAYS
from hotline.reporting.periods import Period, month_end
from hotline.reporting.slices import COUNTY, By, Slice
from hotline.reporting.tables import MARKS, SUMS

COLUMNS: Final = ("n", *(f"m{number}" for number in range(1, MARKS + 1)), *SUMS)


Counted = dict[str, list[int]]
"""Of each kind of fact the columns' sums, in the order of `COLUMNS`."""


def counted(
    session: Session, cut: Slice, period: Period, by: By, today: date, *, digits: int | None = None
) -> dict[str, Counted]:
    """The counts of `cut` in `period`, by key of `by`. What is due counts once its day is over: before `today`.

    `digits` cuts the keys of categories and areas to a level of their trees. Keys are codes; of platforms, units and agents their
    primary keys; of days and months their first day.
    """
    found: dict[str, Counted] = {}
    dim = cut.dim(by)
    due = period.until(_yesterday(today))
    every = frozenset(facts.MARKS)
    asked = ((period, every),) if due == period else ((due, facts.DUE), (period, every - facts.DUE))
    for part, whats in asked:
        if part is None:
            continue
        wanted = sorted(whats)
        rows = (
            _from_facts(session, cut, part, by, wanted, digits)
            if dim is None
            else _from_cube(session, cut, part, by, dim, wanted, digits)
        )
        for key, what, *sums in rows:
            found.setdefault(key, {})[what] = sums
    return found


def _yesterday(today: date) -> date:
    return date.fromordinal(today.toordinal() - 1)


# --- from the cube -------------------------------------------------------------------------------------------------------

_SUMMED: Final = ", ".join(f"sum({name})::bigint" for name in COLUMNS)


def _from_cube(
    session: Session, cut: Slice, period: Period, by: By, dim: str, whats: Sequence[str], digits: int | None
) -> Iterable[Any]:
    """Whole months from their own rows, the rest day by day."""
    months, edges = period.parts() if by != "day" else ([], [(period.first, period.last)])
    tests, values = _keys(cut, dim, "key")
    spans = _spans(months, edges, values)
    statement = f"""
SELECT {_key(by, dim, digits)} AS k, what, {_SUMMED} FROM report_cube
WHERE dim = :dim AND platform_id = ANY(CAST(:platforms AS bigint[])) AND what = ANY(CAST(:whats AS text[]))
    AND ({spans}) {tests}
GROUP BY 1, 2
"""  # noqa: S608 - names of this module
    values |= {"dim": dim, "platforms": list(cut.platforms), "whats": list(whats)}
    return session.execute(text(statement), values).all()


def _spans(months: list[date], edges: list[tuple[date, date]], values: dict[str, Any]) -> str:
    spans = []
    if months:
        spans.append("grain = 'month' AND starts BETWEEN :first_month AND :last_month")
        values |= {"first_month": months[0], "last_month": months[-1]}
    for number, (first, last) in enumerate(edges):
        spans.append(f"grain = 'day' AND starts BETWEEN :first_{number} AND :last_{number}")
        values |= {f"first_{number}": first, f"last_{number}": last}
    return " OR ".join(spans)


def _key(by: By, dim: str, digits: int | None) -> str:
    """The breakdown's key in the cube's own words."""
    if by == "platform":
        return "platform_id::text"
    if by == "day":
        return "starts::text"
    if by == "month":
        return "date_trunc('month', starts)::date::text"
    if by == "whole" or not dim:
        return "''"
    return f"left(key, {int(digits)})" if digits and dim in ("category", "area") else "key"


def _keys(cut: Slice, dim: str, column: str) -> tuple[str, dict[str, Any]]:
    """The condition on the one thing that the cut names."""
    if dim == "unit" and cut.units is not None:
        return f"AND {column} = ANY(CAST(:keys AS text[]))", {"keys": [str(key) for key in cut.units]}
    if dim == "agent" and cut.agent is not None:
        return f"AND {column} = :key", {"key": str(cut.agent)}
    for name in ("matter", "channel"):
        value = getattr(cut, name)
        if dim == name and value is not None:
            return f"AND {column} = :key", {"key": value}
    for name in ("category", "area"):
        value = getattr(cut, name)
        if dim == name and value is not None:
            return f"AND starts_with({column}, :key)", {"key": value}
    return "", {}


# --- from the facts ------------------------------------------------------------------------------------------------------

_OF_FACTS: Final = ", ".join(
    (
        "count(*)",
        *(f"sum(f.marks >> {bit} & 1)::bigint" for bit in range(MARKS)),
        *(f"coalesce(sum(f.{name}), 0)::bigint" for name in SUMS),
    )
)


def _from_facts(
    session: Session, cut: Slice, period: Period, by: By, whats: Sequence[str], digits: int | None
) -> Iterable[Any]:
    tests, values = conditions(cut, period.first, period.last)
    statement = f"SELECT {fact_key(by, digits)} AS k, f.what, {_OF_FACTS} FROM report_facts f WHERE f.what = ANY(CAST(:whats AS text[])) AND {tests} GROUP BY 1, 2"  # noqa: S608 - words of this module
    return session.execute(text(statement), values | {"whats": list(whats)}).all()


def fact_key(by: By, digits: int | None) -> str:
    """The breakdown's key, of a fact."""
    plain = {
        "platform": "f.platform_id::text",
        "unit": "f.unit_id::text",
        "level": "f.unit_id::text",
        "agent": "f.agent_id::text",
        "matter": "f.matter",
        "channel": "f.channel",
        "day": "f.day::text",
        "month": "date_trunc('month', f.day)::date::text",
        "category": f"left(f.category, {int(digits or 6)})",
        "area": f"left(f.area, {int(digits or COUNTY)})",
    }
    return plain.get(by, "''")


def conditions(cut: Slice, first: date, last: date) -> tuple[str, dict[str, Any]]:
    """The condition on `report_facts f` of a cut and a range of days, and its values."""
    tests = ["f.platform_id = ANY(CAST(:platforms AS bigint[]))", "f.day BETWEEN :first AND :last"]
    values: dict[str, Any] = {"platforms": list(cut.platforms), "first": first, "last": last}
    if cut.units is not None:
        tests.append("f.unit_id = ANY(CAST(:units AS bigint[])) AND f.unit_id <> 0")
        values["units"] = list(cut.units)
    for name in ("matter", "channel"):
        if getattr(cut, name) is not None:
            tests.append(f"f.{name} = :{name}")
            values[name] = getattr(cut, name)
    for name in ("category", "area"):
        if getattr(cut, name) is not None:
            tests.append(f"starts_with(f.{name}, :{name})")
            values[name] = getattr(cut, name)
    if cut.agent is not None:
        tests.append("f.agent_id = :agent")
        values["agent"] = cut.agent
    return " AND ".join(tests), values


# --- how long replies took -----------------------------------------------------------------------------------------------

_ENDS: Final = "ARRAY[" + ",".join(str(3600 * hours) for hours in HOURS) + "]::bigint[]"


def _days(column: str) -> str:
    return f"CASE WHEN {column} < {MOST_DAYS} THEN {column} WHEN {column} >= {MOST_DAYS} THEN {MOST_DAYS} END"


MEASURES: Final = {
    "work_hours": ("seconds", f"width_bucket(f.seconds, {_ENDS})"),
    "work_days": ("workdays", _days("f.workdays")),
    "wait_hours": ("wait_seconds", f"width_bucket(f.wait_seconds, {_ENDS})"),
    "wait_days": ("wait_workdays", _days("f.wait_workdays")),
}
"""Each measure: the fact's column, and its bucket in SQL."""

SPREAD_VALUES: Final = ", ".join(f"('{name}', {sql})" for name, (_, sql) in MEASURES.items())


def medians(
    session: Session,
    cut: Slice,
    period: Period,
    by: By,
    today: date,
    *,
    digits: int | None = None,
    groups: Sequence[tuple[str, str]] | None = None,
) -> dict[str, dict[str, int]]:
    """The bucket in which each measure's lower median lies, by key of `by`, or by group where keys are grouped (key, group).

    Whole months are read from the spread, other days from the facts.
    """
    due = period.until(_yesterday(today))
    if due is None:
        return {}
    dim = cut.dim(by)
    months, edges = due.parts() if by != "day" else ([], [(due.first, due.last)])
    if dim is None or dim == "agent":
        months, edges = [], [(due.first, due.last)]
    parts: list[str] = []
    values: dict[str, Any] = {"platforms": list(cut.platforms)}
    if months and dim is not None:
        tests, keys = _keys(cut, dim, "key")
        parts.append(_SPREAD.format(key=_key(by, dim, digits), tests=tests))
        values |= keys | {"dim": dim, "since": months[0], "until": month_end(months[-1])}
    tests, of_facts = conditions(cut, due.first, due.last)
    for number, (first, last) in enumerate(edges):
        span = f"AND f.day BETWEEN :since_{number} AND :until_{number}"
        parts.append(_EDGE.format(key=fact_key(by, digits), tests=tests, span=span))
        values |= of_facts | {f"since_{number}": first, f"until_{number}": last}
    group = ""
    if groups is not None:
        group = "JOIN unnest(CAST(:members AS text[]), CAST(:groups AS text[])) AS g (member, name) ON g.member = p.k"
        values |= {"members": [key for key, _ in groups], "groups": [name for _, name in groups]}
    statement = _MEDIANS.format(
        parts=" UNION ALL ".join(parts), group=group, key="p.k" if groups is None else "g.name"
    )
    found: dict[str, dict[str, int]] = {}
    for key, measure, buckets, counts in session.execute(text(statement), values):
        found.setdefault(key, {})[measure] = _middle(buckets, counts)
    return found


def _middle(buckets: Sequence[int], counts: Sequence[int]) -> int:
    """The first bucket at or below which half of all lie; a bucket may stand there more than once."""
    half, seen = (sum(counts) + 1) // 2, 0
    for bucket, count in sorted(zip(buckets, counts, strict=True)):
        seen += count
        if seen >= half:
            return bucket
    raise AssertionError("no counts")


_SPREAD: Final = """
SELECT {key} AS k, measure, bucket, n FROM report_spread
WHERE dim = :dim AND platform_id = ANY(CAST(:platforms AS bigint[])) AND starts BETWEEN :since AND :until {tests}
"""
_EDGE: Final = f"""
SELECT {{key}} AS k, v.measure, v.bucket, count(*)::int AS n
FROM report_facts f CROSS JOIN LATERAL (VALUES {SPREAD_VALUES}) v (measure, bucket)
WHERE f.what = 'reply' AND v.bucket IS NOT NULL AND {{tests}} {{span}} GROUP BY 1, 2, 3
"""  # noqa: S608 - words of this module
_MEDIANS: Final = """
SELECT {key} AS k, p.measure, array_agg(p.bucket), array_agg(p.n) FROM ({parts}) p {group} WHERE p.n > 0 GROUP BY 1, 2
"""
"""Handed over unsorted: sorting them here costs less than a window over as many rows there."""


def merged(parts: Iterable[Counted]) -> Counted:
    """Several counts as one."""
    whole: Counted = {}
    for part in parts:
        for what, sums in part.items():
            mine = whole.get(what)
            whole[what] = list(sums) if mine is None else [a + b for a, b in zip(mine, sums, strict=True)]
    return whole
