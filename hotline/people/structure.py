"""机构管理: units and platforms added, changed, disabled, within an administrator's reach. Every step is audited."""

import re
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.auditing import audit
from hotline.case import OPEN_PARTS, Desk
from hotline.models import Assignment
from hotline.organisation import Area, OrgUnit, Platform
from hotline.people import accounts
from hotline.people.accounts import NameTaken
from workflow.errors import OrderInvalid, OutOfSight, RuleBroken
from workflow.vocabulary import AuditKind, Level, PlatformKind, UnitKind

_DEEPEST: Final = 20


class StillInUse(RuleBroken):
    """A unit with open parts, or that a platform falls back on, cannot be disabled; `extra.parts` says how many."""

    code = "still_in_use"


# --- units -----------------------------------------------------------------------------------------------------------


def add_unit(
    desk: Desk,
    *,
    code: str,
    name: str,
    level: Level,
    kind: UnitKind,
    platform: str,
    area: str,
    duty: str = "",
    parent: str | None = None,
    in_charge: str | None = None,
) -> OrgUnit:
    """A new handling unit (承办单位). Raises `OrderInvalid`, `NameTaken`, `OutOfSight`."""
    home = platform_within(desk, platform)
    _check_area(desk.session, area)
    unit = OrgUnit(
        code=code, name=name, level=level, kind=kind, duty=duty, platform_id=home.id, area_code=area
    )
    unit.parent_id = _other(desk, parent, "parent")
    unit.in_charge_id = _other(desk, in_charge, "in_charge")
    desk.session.add(unit)
    try:
        desk.session.flush()
    except IntegrityError:
        raise NameTaken(f"承办单位代码 {code} 已被使用。", field="code") from None
    _record(desk, home.id, "unit_added", unit=code)
    return unit


def change_unit(desk: Desk, code: str, given: dict[str, Any]) -> OrgUnit:
    """Change what is `given` of name, level, kind, duty, area, parent, in_charge, active.

    Raises `StillInUse` if it is to be disabled and is needed, `OrderInvalid` for a ring of superiors, `OutOfSight`.
    """
    unit: OrgUnit | None = desk.session.execute(
        select(OrgUnit).where(col(OrgUnit.code) == code).with_for_update()
    ).scalar_one_or_none()
    if unit is None or unit.platform_id not in desk.actor.platform_ids:
        raise OutOfSight(f"没有代码为 {code} 的承办单位，或不在您的管理范围内。", field="code")
    if given.get("active") is False and unit.active:
        _check_unneeded(desk.session, unit)
    if "area" in given:
        _check_area(desk.session, given["area"])
        unit.area_code = given["area"]
    if "parent" in given:
        unit.parent_id = _other(desk, given["parent"], "parent")
        _check_no_ring(desk.session, unit)
    if "in_charge" in given:
        unit.in_charge_id = _other(desk, given["in_charge"], "in_charge")
    for name in ("name", "level", "kind", "duty", "active"):
        if name in given:
            setattr(unit, name, given[name])
    desk.session.add(unit)
    told = {"active": given["active"]} if "active" in given else {}
    _record(desk, unit.platform_id, "unit_changed", unit=code, fields=sorted(given), **told)
    return unit


def _check_unneeded(session: Session, unit: OrgUnit) -> None:
    parts = session.execute(
        select(func.count())
        .select_from(Assignment)
        .where(col(Assignment.unit_id) == unit.id, col(Assignment.status).in_(OPEN_PARTS))
    ).scalar_one()
    if parts:
        raise StillInUse(
            f"“{unit.name}”还有 {parts} 件工单在办，不能停用；请先办结、改派或免除。",
            field="active",
            extra={"parts": parts},
        )
    leaning = session.execute(
        select(col(Platform.name)).where(col(Platform.fallback_unit_id) == unit.id)
    ).scalar()
    if leaning is not None:
        raise StillInUse(f"“{unit.name}”是“{leaning}”的兜底承办单位，不能停用。", field="active")


def _other(desk: Desk, code: str | None, field: str) -> int | None:
    if code is None:
        return None
    found: OrgUnit | None = desk.session.execute(
        select(OrgUnit).where(col(OrgUnit.code) == code)
    ).scalar_one_or_none()
    if found is None or not found.active:
        raise OrderInvalid(f"没有代码为 {code} 的承办单位，或该单位已停用。", field=field)
    return found.id


def _check_no_ring(session: Session, unit: OrgUnit) -> None:
    above = unit.parent_id
    for _ in range(_DEEPEST):
        if above is None:
            return
        if above == unit.id:
            break
        with session.no_autoflush:
            above = session.get_one(OrgUnit, above).parent_id
    raise OrderInvalid("上级单位不能是本单位或其下级。", field="parent")


def _check_area(session: Session, code: str) -> None:
    if session.get(Area, code) is None:
        raise OrderInvalid(f"没有代码为 {code} 的行政区划。", field="area")


# --- platforms -------------------------------------------------------------------------------------------------------


def platforms(session: Session, actor: Actor) -> list[tuple[Platform, str | None]]:
    """The platforms within reach, each with the code of the one above it; for a unit its own platform."""
    reach = actor.platform_ids or {actor.home_id}
    rows = list(session.execute(select(Platform).order_by(col(Platform.code))).scalars())
    codes = {row.id: row.code for row in rows}
    return [(row, codes.get(row.parent_id) if row.parent_id else None) for row in rows if row.id in reach]


def platform_within(desk: Desk, code: str, field: str = "platform") -> Platform:
    """The platform with this code. Raises `OutOfSight` if it is not within the actor's reach."""
    found: Platform | None = desk.session.execute(
        select(Platform).where(col(Platform.code) == code)
    ).scalar_one_or_none()
    if found is None or found.id not in desk.actor.platform_ids:
        raise OutOfSight(f"没有代码为 {code} 的热线平台，或不在您的管理范围内。", field=field)
    return found


def add_platform(
    desk: Desk,
    *,
    code: str,
    name: str,
    short_name: str,
    level: Level,
    kind: PlatformKind,
    area: str,
    parent: str,
) -> Platform:
    """A platform below another: a prefecture's, or a line beside one (双号并行, 分中心; art. 3, 5, 8). Raises `OrderInvalid`, `NameTaken`, `OutOfSight`."""
    above = platform_within(desk, parent, "parent")
    _check_area(desk.session, area)
    if not re.fullmatch(r"[0-9]{2}", code):
        raise OrderInvalid("热线平台代码为两位数字。", field="code")
    if kind is PlatformKind.PROVINCE or level is Level.PROVINCE:
        raise OrderInvalid("省平台只有一个，由初始化命令建立。", field="kind")
    if kind is PlatformKind.PREFECTURE and above.kind is not PlatformKind.PROVINCE:
        raise OrderInvalid("市（州）平台的上级须是省平台。", field="parent")
    if desk.session.execute(select(col(Platform.id)).where(col(Platform.code) == code)).first():
        raise NameTaken(f"热线平台代码 {code} 已被使用。", field="code")
    try:
        platform = accounts.add_platform(
            desk.session,
            code=code,
            name=name,
            short_name=short_name,
            level=level,
            area_code=area,
            parent=above,
            kind=kind,
            pack=above.pack,
        )
    except IntegrityError:
        raise NameTaken(f"热线平台代码 {code} 已被使用。", field="code") from None
    _record(desk, above.id, "platform_added", platform=code, kind=kind.value)
    return platform


def found_province(desk: Desk, *, code: str, name: str, short_name: str, level: Level, area: str) -> Platform:
    """The first platform of a new installation, with none above it. Raises `OrderInvalid`, `NameTaken`."""
    _check_area(desk.session, area)
    if not re.fullmatch(r"[0-9]{2}", code):
        raise OrderInvalid("热线平台代码为两位数字。", field="code")
    if desk.session.execute(select(col(Platform.id)).limit(1)).first():
        raise NameTaken("已有热线平台；其余平台须指明上级平台（parent）。", field="parent")
    platform = accounts.add_platform(
        desk.session, code=code, name=name, short_name=short_name, level=level, area_code=area
    )
    _record(desk, platform.id, "platform_added", platform=code, kind=platform.kind.value)
    return platform


def change_platform(desk: Desk, code: str, given: dict[str, Any]) -> Platform:
    """Change what is `given` of name, short_name, parent. Raises `OrderInvalid` for a ring, `OutOfSight`."""
    platform = platform_within(desk, code)
    if "parent" in given:
        above = platform_within(desk, given["parent"], "parent")
        if platform.kind is PlatformKind.PROVINCE:
            raise OrderInvalid("省平台没有上级平台。", field="parent")
        _check_no_loop(desk.session, platform, above)
        if platform.kind is PlatformKind.PREFECTURE and above.kind is not PlatformKind.PROVINCE:
            raise OrderInvalid("市（州）平台的上级须是省平台。", field="parent")
        platform.parent_id = above.id
    for name in ("name", "short_name"):
        if name in given:
            setattr(platform, name, given[name])
    desk.session.add(platform)
    _record(desk, platform.id, "platform_changed", platform=code, fields=sorted(given))
    return platform


def _check_no_loop(session: Session, platform: Platform, above: Platform) -> None:
    at: Platform | None = above
    for _ in range(_DEEPEST):
        if at is None:
            return
        if at.id == platform.id:
            break
        at = session.get(Platform, at.parent_id) if at.parent_id is not None else None
    raise OrderInvalid("上级平台不能是本平台或其下级。", field="parent")


def _record(desk: Desk, home: int, change: str, **more: Any) -> None:
    desk.session.flush()
    audit.record(
        desk.session,
        AuditKind.ACCOUNT_CHANGED,
        at=desk.at,
        actor=desk.actor,
        platform_id=home,
        what={"change": change} | more,
    )
