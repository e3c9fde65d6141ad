"""派单目录: which unit answers for which category in which area, and by which legal basis (权责清单); versions, never changed.

A row stands for everything below its category and area; of the rows that fit a ticket the one with the longest category counts, among
those the one with the smallest area.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator
from sqlalchemy import func, select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.case import Desk
from hotline.desks.tables import CatalogueEntry
from hotline.fields import Code, Order, Prose, pick
from hotline.organisation import Area, Category, OrgUnit, Platform
from hotline.reference import area_prefix
from hotline.units import unit_by_code
from workflow.errors import AccessRefused, OrderInvalid, OutOfSight
from workflow.vocabulary import UnitKind

MOST_ROWS: Final = 20_000
COLUMNS: Final = ("category", "area", "lead", "co_units", "basis")
_LOCK: Final = 12345_007
_INDIRECT: Final = frozenset({UnitKind.ENTERPRISE, UnitKind.SCHOOL, UnitKind.INSTITUTION})
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class DutyOrder(Order):
    """派单目录的一行: lead and co-units for a category in an area, and the basis."""

    category: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}([0-9]{2}){0,2}$")] = Field(
        title="诉求分类",
        description="诉求分类代码，一至三级，含其下级",
        examples=["0101"],
        json_schema_extra=pick("category_above"),
    )
    area: Annotated[str, StringConstraints(pattern=r"^[0-9]{12}$")] | None = Field(
        default=None,
        title="地区",
        description="行政区划代码，含其下级；缺省为本平台全域",
        examples=["630104000000"],
        json_schema_extra=pick("area"),
    )
    lead: Code = Field(
        title="牵头单位",
        description="牵头单位代码",
        examples=["XN-GYJ"],
        json_schema_extra=pick("unit"),
    )
    co_units: tuple[Code, ...] = Field(
        default=(), max_length=10, title="协办单位", json_schema_extra=pick("unit")
    )
    basis: Prose = Field(
        title="权责依据",
        description="依据：权责清单、规章条款等",
        examples=["《示例市供热管理办法》第五条；市级部门权责清单"],
    )

    @model_validator(mode="after")
    def _each_unit_once(self) -> Self:
        if len({self.lead, *self.co_units}) != 1 + len(self.co_units):
            raise ValueError("同一单位只能出现一次")
        return self


@dataclass(frozen=True, slots=True)
class Duty:
    """One row with its units."""

    entry: CatalogueEntry
    platform: str
    lead: OrgUnit
    co_units: list[OrgUnit]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do."""

    added: int
    changed: int
    unchanged: int
    closed: int


# --- changing --------------------------------------------------------------------------------------------------------------


def put(desk: Desk, order: DutyOrder) -> CatalogueEntry:
    """A row of the actor's platform, or a new version of the one for the same category and area. The same again changes nothing.

    Raises `OrderInvalid` naming the field. The caller commits.
    """
    platform = _own_platform(desk)
    return _put(desk, platform, order)[0]


def close(desk: Desk, entry_id: int) -> CatalogueEntry:
    """停用 a row from now on. Raises `OutOfSight`, `OrderInvalid` for one that is closed. The caller commits."""
    platform = _own_platform(desk)
    entry = desk.session.get(CatalogueEntry, entry_id, with_for_update=True)
    if entry is None or entry.platform_id != platform.id:
        raise OutOfSight("没有这行派单目录，或不属于您的平台。", field="entry")
    if entry.until is not None:
        raise OrderInvalid("这行派单目录已停用或已有新版本。", field="entry")
    _end(desk, entry)
    return entry


def _own_platform(desk: Desk) -> Platform:
    """The actor's platform, its catalogue locked until this transaction ends."""
    if desk.actor.is_unit or desk.actor.platform_id is None:
        raise AccessRefused("派单目录由热线平台维护。")
    desk.session.execute(select(func.pg_advisory_xact_lock(_LOCK, desk.actor.platform_id)))
    return desk.session.get_one(Platform, desk.actor.platform_id)


def _put(desk: Desk, platform: Platform, order: DutyOrder) -> tuple[CatalogueEntry, str]:
    area = order.area or platform.area_code
    lead, co_units = _checked(desk, platform, order, area)
    where = (
        col(CatalogueEntry.platform_id) == platform.id,
        col(CatalogueEntry.category_code) == order.category,
        col(CatalogueEntry.area_code) == area,
    )
    newest = desk.session.execute(
        select(CatalogueEntry).where(*where).order_by(col(CatalogueEntry.version).desc()).limit(1)
    ).scalar_one_or_none()
    current = newest if newest is not None and newest.until is None else None
    ids = [unit.id for unit in co_units]
    if current is not None:
        if (current.unit_id, current.co_units, current.basis) == (lead.id, ids, order.basis):
            return current, "unchanged"
        _end(desk, current)
    entry = CatalogueEntry(
        platform_id=platform.id,
        category_code=order.category,
        area_code=area,
        unit_id=lead.id,
        co_units=ids,
        basis=order.basis,
        version=newest.version + 1 if newest is not None else 1,
        since=desk.at,
        changed_by=desk.actor.name,
    )
    desk.session.add(entry)
    desk.session.flush()
    return entry, "changed" if current is not None else "added"


def _end(desk: Desk, entry: CatalogueEntry) -> None:
    entry.until, entry.closed_by = desk.at, desk.actor.name
    desk.session.add(entry)
    desk.session.flush()


def _checked(desk: Desk, platform: Platform, order: DutyOrder, area: str) -> tuple[OrgUnit, list[OrgUnit]]:
    category = desk.session.get(Category, order.category)
    if category is None or not category.active:
        raise OrderInvalid(f"诉求分类 {order.category} 不存在或已停用。", field="category")
    if desk.session.get(Area, area) is None or not area.startswith(area_prefix(platform.area_code)):
        raise OrderInvalid(f"行政区划 {area} 不存在，或不在本平台辖区内。", field="area")
    lead = unit_by_code(desk, order.lead, "lead")
    if lead.kind in _INDIRECT:
        raise OrderInvalid(
            f"{lead.kind.label}“{lead.name}”不能直接派单，请以其业务主管部门牵头。",
            article="13(4)",
            field="lead",
        )
    return lead, [unit_by_code(desk, code, "co_units") for code in order.co_units]


# --- as a table --------------------------------------------------------------------------------------------------------------


def import_rows(desk: Desk, content: str, *, replace: bool, preview: bool) -> Imported:
    """Take in CSV (category, area, lead, co_units divided by ;, basis), all rows or none; `replace` closes the rows not in it.

    With `preview` nothing stays changed. Raises `OrderInvalid` naming row and column. The caller commits.
    """
    platform = _own_platform(desk)
    counts = dict.fromkeys(("added", "changed", "unchanged"), 0)
    with desk.session.begin_nested() as attempt:
        kept: set[int] = set()
        seen: set[tuple[str, str]] = set()
        for line, order in _orders(content):
            try:
                entry, done = _put(desk, platform, order)
            except OrderInvalid as error:
                raise OrderInvalid(
                    f"第 {line} 行：{error.message}",
                    article=error.article,
                    field=f"row[{line}].{error.field}",
                ) from None
            place = (entry.category_code, entry.area_code)
            if place in seen:
                raise OrderInvalid(f"第 {line} 行：与前面的行分类、区域相同。", field=f"row[{line}].category")
            seen.add(place)
            kept.add(entry.id)
            counts[done] += 1
        closed = _close_others(desk, platform, kept) if replace else 0
        if preview:
            attempt.rollback()
    return Imported(**counts, closed=closed)


def _close_others(desk: Desk, platform: Platform, kept: set[int]) -> int:
    others = (
        desk.session.execute(
            select(CatalogueEntry).where(
                col(CatalogueEntry.platform_id) == platform.id,
                col(CatalogueEntry.until).is_(None),
                col(CatalogueEntry.id).not_in(kept),
            )
        )
        .scalars()
        .all()
    )
    for entry in others:
        _end(desk, entry)
    return len(others)


def _orders(content: str) -> list[tuple[int, DutyOrder]]:
    reader = csv.DictReader(io.StringIO(content))
    try:
        rows = list(reader)
    except csv.Error:
        raise OrderInvalid("文件不是有效的 CSV。", field="file") from None
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise OrderInvalid(f"缺少列：{'、'.join(missing)}。", field="header")
    if not rows or len(rows) > MOST_ROWS:
        raise OrderInvalid(f"派单目录应有 1—{MOST_ROWS} 行。", field="file")
    return [(line, _order(line, row)) for line, row in enumerate(rows, start=2)]


def _order(line: int, row: Mapping[str, str | None]) -> DutyOrder:
    cells = {name: (row[name] or "").strip() for name in COLUMNS}
    basis = cells["basis"]
    if basis[:1] == "'" and basis[1:].startswith(_FORMULA):
        basis = basis[1:]
    try:
        return DutyOrder.model_validate(
            {
                "category": cells["category"],
                "area": cells["area"] or None,
                "lead": cells["lead"],
                "co_units": tuple(code.strip() for code in cells["co_units"].split(";") if code.strip()),
                "basis": basis,
            }
        )
    except ValidationError as error:
        column = str((error.errors()[0]["loc"] or ("co_units",))[0])
        raise OrderInvalid(
            f"第 {line} 行：{column} 一列的内容无效。", field=f"row[{line}].{column}"
        ) from None


def exported(duties: Sequence[Duty]) -> str:
    """Rows as CSV that `import_rows` takes: UTF-8 with a mark once encoded, nothing a spreadsheet would compute."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for duty in duties:
        basis = duty.entry.basis
        writer.writerow(
            (
                duty.entry.category_code,
                duty.entry.area_code,
                duty.lead.code,
                ";".join(unit.code for unit in duty.co_units),
                "'" + basis if basis.startswith(_FORMULA) else basis,
            )
        )
    return out.getvalue()


# --- reading -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a list is narrowed by: prefixes of category and area, a unit's code, a platform's; every version, or those in force at `at`."""

    category: str | None = None
    area: str | None = None
    unit: str | None = None
    platform: str | None = None
    history: bool = False
    at: datetime | None = None


def listed(session: Session, actor: Actor, wanted: Wanted, *, offset: int, limit: int) -> list[Duty]:
    """Rows in the order of category, area and version, newest version first, of the platforms the actor belongs to or sees."""
    lead = OrgUnit
    seen = sorted(actor.platform_ids | ({actor.home_id} if actor.home_id is not None else set()))
    tests: list[Any] = [col(CatalogueEntry.platform_id).in_(seen)]
    if wanted.category is not None:
        tests.append(col(CatalogueEntry.category_code).startswith(wanted.category, autoescape=True))
    if wanted.area is not None:
        tests.append(col(CatalogueEntry.area_code).startswith(area_prefix(wanted.area), autoescape=True))
    if wanted.unit is not None:
        tests.append(col(lead.code) == wanted.unit)
    if wanted.platform is not None:
        tests.append(col(Platform.code) == wanted.platform)
    if wanted.at is not None:
        in_force = col(CatalogueEntry.until).is_(None) | (col(CatalogueEntry.until) > wanted.at)
        tests += [col(CatalogueEntry.since) <= wanted.at, in_force]
    elif not wanted.history:
        tests.append(col(CatalogueEntry.until).is_(None))
    rows = session.execute(
        select(CatalogueEntry, col(Platform.code), lead)
        .join(lead, col(lead.id) == col(CatalogueEntry.unit_id))
        .join(Platform, col(Platform.id) == col(CatalogueEntry.platform_id))
        .where(*tests)
        .order_by(
            col(Platform.code),
            col(CatalogueEntry.category_code),
            col(CatalogueEntry.area_code),
            col(CatalogueEntry.version).desc(),
        )
        .offset(offset)
        .limit(limit)
    ).all()
    return _with_units(session, rows)


def fitting(session: Session, platform_id: int, category: str, area: str) -> list[Duty]:
    """The rows in force that fit a ticket's category and area, the most specific first."""
    categories = [category[:size] for size in (2, 4, 6) if size <= len(category)]
    areas = {area[:size].ljust(12, "0") for size in (2, 4, 6, 9, 12)}
    rows = session.execute(
        select(CatalogueEntry, col(Platform.code), OrgUnit)
        .join(OrgUnit, col(OrgUnit.id) == col(CatalogueEntry.unit_id))
        .join(Platform, col(Platform.id) == col(CatalogueEntry.platform_id))
        .where(
            col(CatalogueEntry.platform_id) == platform_id,
            col(CatalogueEntry.until).is_(None),
            col(CatalogueEntry.category_code).in_(categories),
            col(CatalogueEntry.area_code).in_(sorted(areas)),
            col(OrgUnit.active),
        )
    ).all()
    return sorted(
        _with_units(session, rows),
        key=lambda duty: (-len(duty.entry.category_code), -len(area_prefix(duty.entry.area_code))),
    )


def _with_units(session: Session, rows: Sequence[Any]) -> list[Duty]:
    ids = {unit_id for entry, _, _ in rows for unit_id in entry.co_units}
    found = session.execute(select(OrgUnit).where(col(OrgUnit.id).in_(sorted(ids)))).scalars() if ids else ()
    units = {unit.id: unit for unit in found}
    return [
        Duty(entry, platform, lead, [units[unit_id] for unit_id in entry.co_units])
        for entry, platform, lead in rows
    ]


def duty_of(session: Session, entry: CatalogueEntry) -> Duty:
    """One row with its units."""
    platform = session.get_one(Platform, entry.platform_id)
    lead = session.get_one(OrgUnit, entry.unit_id)
    return _with_units(session, [(entry, platform.code, lead)])[0]
