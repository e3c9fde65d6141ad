"""Figures by platform, unit, matter, category, area, channel, agent and time, with the names people know them by."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.organisation import Area, Category, OrgUnit, Person, Platform
from hotline.reporting.cube import Counted, counted, merged
from hotline.reporting.indicators import INDICATORS, Figure, Indicator, figure
from hotline.reporting.periods import Period
from hotline.reporting.slices import By, Slice, under
from workflow.vocabulary import Channel, Level, Matter

OF_PLATFORM: Final = "platform"
"""The key of what is no unit's: the platform's own."""

NOBODY: Final = "none"
"""The key of what has no such word: a call has no matter, a demand taken by a machine no agent."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a breakdown: its code, its name, of a unit its level, and the figures by their keys."""

    key: str
    name: str
    level: Level | None
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Table:
    """A breakdown, its lines in the order of their codes (units, agents: the busiest first). Its parts sum to the whole unless rolled up."""

    by: By
    rows: list[Row]


LEVELS: Final[dict[By, tuple[int, ...]]] = {"category": (2, 4, 6), "area": (2, 4, 6)}
"""Digits of the codes of each level of the trees."""


def whole(
    session: Session,
    cut: Slice,
    period: Period,
    today: date,
    wanted: Sequence[Indicator] = INDICATORS,
) -> Mapping[str, Figure]:
    """The figures of a whole cut in a period, as of `today` (Asia/Shanghai)."""
    found = counted(session, cut, period, "whole", today)
    return _figures(found.get("", Counted()), wanted)


def table(
    session: Session,
    cut: Slice,
    period: Period,
    by: By,
    today: date,
    wanted: Sequence[Indicator] = INDICATORS,
    *,
    digits: int | None = None,
    rollup: bool = False,
) -> Table:
    """A cut in a period broken down. `digits` is the level of categories' and areas' codes; `rollup` adds to each unit those below it."""
    spread = any(each.median for each in wanted)
    found = counted(session, cut, period, by, today, digits=digits or _deepest(by), spread=spread)
    return _table(session, found, by, wanted, rollup=rollup)


def full(session: Session, cut: Slice, period: Period, today: date) -> dict[str, Table]:
    """Every breakdown a regular report prints: all indicators by platform, unit, level, matter, category and area (each level), channel."""
    tables: dict[str, Table] = {}
    plain: tuple[By, ...] = ("platform", "unit", "matter", "channel")
    for by in plain:
        found = counted(session, cut, period, by, today)
        tables[by] = _table(session, found, by, INDICATORS)
        if by == "unit":
            tables["level"] = _table(session, found, "level", INDICATORS)
    for by in LEVELS:
        found = counted(session, cut, period, by, today)
        for digits in LEVELS[by]:
            shorter = found if digits == LEVELS[by][-1] else _cut(found, digits)
            tables[f"{by}_{digits}"] = _table(session, shorter, by, INDICATORS)
    return tables


def _deepest(by: By) -> int | None:
    return LEVELS[by][-1] if by in LEVELS else None


def _cut(found: Mapping[str, Counted], digits: int) -> dict[str, Counted]:
    return _grouped(found, lambda key: key[:digits])


def _grouped(found: Mapping[str, Counted], group: Callable[[str], str | None]) -> dict[str, Counted]:
    groups: dict[str, list[Counted]] = {}
    for key, each in found.items():
        name = group(key)
        if name is not None:
            groups.setdefault(name, []).append(each)
    return {key: merged(parts) for key, parts in groups.items()}


def _figures(found: Counted, wanted: Iterable[Indicator]) -> dict[str, Figure]:
    return {each.key: figure(each, found.counts, found.spread) for each in wanted}


def _table(
    session: Session,
    found: Mapping[str, Counted],
    by: By,
    wanted: Sequence[Indicator],
    *,
    rollup: bool = False,
) -> Table:
    if by == "level":
        levels = {str(unit.id): unit.level.value for unit in _units(session, found).values()}
        found = _grouped(found, lambda key: levels.get(key, OF_PLATFORM))
        named: Named = {level.value: (level.value, level.label, level) for level in Level}
        named[OF_PLATFORM] = (OF_PLATFORM, "热线平台", None)
        order: list[str] = list(named)
    elif by == "unit":
        if rollup:
            found = _rolled_up(session, found)
        named = {key: (unit.code, unit.name, unit.level) for key, unit in _units(session, found).items()} | {
            "0": (OF_PLATFORM, "热线平台", None)
        }
        order = sorted(found, key=lambda key: (-_weight(found[key]), named[key][0]))
    else:
        named = _names(session, by, found)
        order = sorted(found, key=lambda key: named[key][0])
        if by == "agent":
            order = sorted(found, key=lambda key: (-_weight(found[key]), named[key][0]))
    rows = [
        Row(*named[key], figures=_figures(found[key], wanted))
        for key in order
        if key in found and _weight(found[key])
    ]
    return Table(by, rows)


def _weight(found: Counted) -> int:
    return sum(columns.get("n", 0) for columns in found.counts.values())


def _rolled_up(session: Session, found: Mapping[str, Counted]) -> dict[str, Counted]:
    """Each unit with all below it; those above that had nothing themselves appear too."""
    above = """
WITH RECURSIVE tree AS (
    SELECT id, parent_id, in_charge_id FROM units WHERE id = ANY(CAST(:ids AS bigint[]))
    UNION SELECT u.id, u.parent_id, u.in_charge_id FROM units u JOIN tree ON u.id IN (tree.parent_id, tree.in_charge_id)
) SELECT id FROM tree
"""
    ids = [int(key) for key in found if key != "0"]
    tops = list(session.execute(text(above), {"ids": ids}).scalars())
    trees = under(session, tops)
    rolled = {str(top): merged(found[str(each)] for each in trees[top] if str(each) in found) for top in tops}
    return rolled | ({"0": found["0"]} if "0" in found else {})


# --- names -----------------------------------------------------------------------------------------------------------------

Named = dict[str, tuple[str, str, Level | None]]


def _units(session: Session, found: Iterable[str]) -> dict[str, OrgUnit]:
    ids = [int(key) for key in found if key not in ("0", "")]
    rows = session.execute(select(OrgUnit).where(col(OrgUnit.id).in_(ids))).scalars()
    return {str(unit.id): unit for unit in rows}


def _names(session: Session, by: By, found: Mapping[str, Any]) -> Named:
    """Code, name and level of each key of a breakdown."""
    if by in ("matter", "channel"):
        words = Matter if by == "matter" else Channel
        named: Named = {word.value: (word.value, word.label, None) for word in words}
    elif by in ("platform", "agent"):
        named = _people_and_platforms(session, by, found)
    elif by in ("category", "area"):
        named = _trees(session, by, found)
    else:
        named = {key: (key, key, None) for key in found}
    for key in found:
        named.setdefault(key, (key or NOBODY, "无" if key in ("", "0") else key, None))
    if "" in found and by != "whole":
        named[""] = (NOBODY, "无", None)
    if by == "agent" and "0" in found:
        named["0"] = (NOBODY, "无首接人员", None)
    return named


def _people_and_platforms(session: Session, by: By, found: Iterable[str]) -> Named:
    ids = [int(key) for key in found]
    table: Any = Platform if by == "platform" else Person
    code = col(Platform.code) if by == "platform" else col(Person.login)
    rows = session.execute(select(table.id, code, table.name).where(table.id.in_(ids)))
    return {str(key): (said, name, None) for key, said, name in rows}


def _trees(session: Session, by: By, found: Iterable[str]) -> Named:
    keys = [key for key in found if key]
    if by == "category":
        rows = session.execute(
            select(col(Category.code), col(Category.name)).where(col(Category.code).in_(keys))
        )
        return {code: (code, name, None) for code, name in rows}
    padded = {key.ljust(12, "0"): key for key in keys}
    found_areas = session.execute(select(Area).where(col(Area.code).in_(list(padded)))).scalars()
    return {padded[area.code]: (area.code, area.name, area.level) for area in found_areas}
