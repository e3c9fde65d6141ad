"""Figures by platform, unit, matter, category, area, channel, agent and time, with the names people know them by."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.batches import among
from hotline.organisation import Area, Category, OrgUnit, Person, Platform
from hotline.reporting.cube import Counted, counted, medians, merged
from hotline.reporting.indicators import INDICATORS, Figure, Indicator, figures_of
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
    session: Session, cut: Slice, period: Period, today: date, wanted: Sequence[Indicator] = INDICATORS
) -> Mapping[str, Figure]:
    """The figures of a whole cut in a period, as of `today` (Asia/Shanghai)."""
    found = counted(session, cut, period, "whole", today)
    middle = medians(session, cut, period, "whole", today) if _medians(wanted) else {}
    return figures_of(wanted, found.get("", {}), middle.get("", {}))


def _medians(wanted: Iterable[Indicator]) -> bool:
    return any(each.median is not None for each in wanted)


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
    digits = digits or _deepest(by)
    found = counted(session, cut, period, by, today, digits=digits)
    groups = _grouping(session, found, by, rollup=rollup)
    middle = (
        medians(session, cut, period, by, today, digits=digits, groups=groups) if _medians(wanted) else {}
    )
    return _table(session, found if groups is None else _grouped(found, groups), by, wanted, middle)


def full(session: Session, cut: Slice, period: Period, today: date) -> dict[str, Table]:
    """Every breakdown a regular report prints: all indicators by platform, unit, level, matter, category and area (each level), channel.

    Medians stand with platforms, units and matters; of the rest they are asked for one breakdown at a time.
    """
    tables: dict[str, Table] = {}
    for by in _WITH_MEDIANS:
        found = counted(session, cut, period, by, today)
        tables[by] = _table(session, found, by, INDICATORS, medians(session, cut, period, by, today))
        if by == "unit":
            levels = _grouping(session, found, "level", rollup=False) or ()
            tables["level"] = _table(session, _grouped(found, levels), "level", INDICATORS, {})
    for by in _WITHOUT:
        found = counted(session, cut, period, by, today)
        for digits in LEVELS.get(by, (None,)):
            name = by if digits is None else f"{by}_{digits}"
            groups = None if digits in (None, _deepest(by)) else [(key, key[:digits]) for key in found]
            tables[name] = _table(
                session, found if groups is None else _grouped(found, groups), by, INDICATORS, {}
            )
    return tables


_WITH_MEDIANS: Final[tuple[By, ...]] = ("platform", "unit", "matter")
_WITHOUT: Final[tuple[By, ...]] = ("category", "area", "channel")


def _deepest(by: By) -> int | None:
    return LEVELS[by][-1] if by in LEVELS else None


def _grouped(found: Mapping[str, Counted], groups: Iterable[tuple[str, str]]) -> dict[str, Counted]:
    members: dict[str, list[Counted]] = {}
    for key, name in groups:
        if key in found:
            members.setdefault(name, []).append(found[key])
    return {name: merged(parts) for name, parts in members.items()}


def _grouping(
    session: Session, found: Mapping[str, Counted], by: By, *, rollup: bool
) -> list[tuple[str, str]] | None:
    """Which keys are told together: units by their level, or with all above them; None: each by itself."""
    if by == "level":
        levels = {key: level.value for key, (_, _, level) in _units(session, found).items() if level}
        return [(key, levels.get(key, OF_PLATFORM)) for key in found]
    if by != "unit" or not rollup:
        return None
    ids = [int(key) for key in found if key != "0"]
    trees = under(session, list(session.execute(text(_ABOVE), {"ids": ids}).scalars()))
    pairs = [(str(each), str(top)) for top, all_below in trees.items() for each in all_below]
    return [*pairs, ("0", "0")]


_ABOVE: Final = """
WITH RECURSIVE tree AS (
    SELECT id, parent_id, in_charge_id FROM units WHERE id = ANY(CAST(:ids AS bigint[]))
    UNION SELECT u.id, u.parent_id, u.in_charge_id FROM units u JOIN tree ON u.id IN (tree.parent_id, tree.in_charge_id)
) SELECT id FROM tree
"""


def _table(
    session: Session,
    found: Mapping[str, Counted],
    by: By,
    wanted: Sequence[Indicator],
    middle: Mapping[str, Mapping[str, int]],
) -> Table:
    named = _names(session, by, found)
    if by == "level":
        order = [key for key in named if key in found]
    elif by in ("unit", "agent"):
        order = sorted(found, key=lambda key: (-_weight(found[key]), named[key][0]))
    else:
        order = sorted(found, key=lambda key: named[key][0])
    rows = [
        Row(*named[key], figures=figures_of(wanted, found[key], middle.get(key, {})))
        for key in order
        if _weight(found[key])
    ]
    return Table(by, rows)


def _weight(found: Counted) -> int:
    return sum(columns[0] for columns in found.values())


# --- names -----------------------------------------------------------------------------------------------------------------

Named = dict[str, tuple[str, str, Level | None]]


def _units(session: Session, found: Iterable[str]) -> Named:
    ids = [int(key) for key in found if key not in ("0", "")]
    unit = select(col(OrgUnit.id), col(OrgUnit.code), col(OrgUnit.name), col(OrgUnit.level))
    rows = session.execute(unit.where(col(OrgUnit.id) == among(ids)))
    return {str(key): (code, name, level) for key, code, name, level in rows}


def _names(session: Session, by: By, found: Mapping[str, Any]) -> Named:
    """Code, name and level of each key of a breakdown."""
    named: Named
    if by == "level":
        named = {level.value: (level.value, level.label, level) for level in Level}
        named[OF_PLATFORM] = (OF_PLATFORM, "热线平台", None)
    elif by == "unit":
        named = _units(session, found)
        named["0"] = (OF_PLATFORM, "热线平台", None)
    elif by in ("matter", "channel"):
        words = Matter if by == "matter" else Channel
        named = {word.value: (word.value, word.label, None) for word in words}
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
