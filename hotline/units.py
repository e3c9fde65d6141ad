"""Units and their parts in a ticket: who may be dispatched to, and which part an act speaks of. Art. 13(3)(4), 17."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sqlalchemy import Text, bindparam, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import col

from hotline.case import OPEN_PARTS, Case, Desk, Home
from hotline.clocks import void_for
from hotline.models import Assignment
from hotline.orders import DispatchOrder
from hotline.organisation import Emergency, OrgUnit, Platform
from hotline.reference import area_prefix
from hotline.storage.constant import Constant
from hotline.storage.reading import Entities
from workflow.errors import AccessRefused, OrderInvalid
from workflow.vocabulary import Act, AssignmentRole, AssignmentStatus, Level, UnitKind

_THROUGH_DEPARTMENT = frozenset({UnitKind.ENTERPRISE, UnitKind.SCHOOL, UnitKind.INSTITUTION})


def unit_by_code(desk: Desk, code: str, field: str = "unit") -> OrgUnit:
    """An active unit by its code. Raises `OrderInvalid` naming `field`."""
    unit: OrgUnit | None = desk.session.execute(
        select(OrgUnit).where(col(OrgUnit.code) == code)
    ).scalar_one_or_none()
    if unit is None or not unit.active:
        raise _no_unit(code, field)
    return unit


class Named(NamedTuple):
    """A unit an order names, as what, and the key its part would bear."""

    unit: OrgUnit
    role: AssignmentRole
    key: int


_UNITS: Final = Entities(OrgUnit)
_BY_CODE: Final = Constant(
    select(func.nextval("assignments_id_seq").label("key"), *_UNITS.columns).where(
        # as rows: with an array it would be planned anew each time
        col(OrgUnit.code).in_(select(func.unnest(bindparam("codes", type_=ARRAY(Text)))))
    )
)


def _found(desk: Desk, order: DispatchOrder) -> list[Named]:
    rows = _BY_CODE.ask(desk.session, {"codes": [order.lead, *order.co_units]})
    by_code = {row.code: _UNITS.of(desk.session, row[1:]) for row in rows if row.active}
    keys = iter(sorted(row.key for row in rows))  # the lead's part first, then the others as they are named
    found: list[Named] = []
    for code in (order.lead, *order.co_units):
        role = AssignmentRole.CO if found else AssignmentRole.LEAD
        if code not in by_code:
            raise _no_unit(code, "co_units" if found else "lead")
        found.append(Named(by_code[code], role, next(keys)))
    return found


def _no_unit(code: str, field: str) -> OrderInvalid:
    return OrderInvalid(f"没有代码为 {code} 的承办单位，或该单位已停用。", field=field)


def release(desk: Desk, case: Case, part: Assignment, verb: Act) -> None:
    """End one unit's part without a reply; its running clocks are void."""
    void_for(desk, case, part, verb)
    part.status, part.ended_at = AssignmentStatus.RELEASED, desk.at
    desk.session.add(part)


def named(desk: Desk, case: Case, order: DispatchOrder) -> list[Named]:
    """The units an order names, checked: active, of a level and area the platform may dispatch to, reached through the
    department in charge where art. 13(4) asks for it. Raises `OrderInvalid` naming `lead` or `co_units`.
    """
    units = _found(desk, order)
    emergency = _emergency(desk, case, order.emergency)
    ids = {each.unit.id for each in units}
    for unit, role, _ in units:
        field = "lead" if role is AssignmentRole.LEAD else "co_units"
        _check_home(desk, case, unit, field)
        _check_level(desk, case, unit, field, skipping=emergency is not None)
        _check_department(desk, unit, role, ids)
    if emergency is not None:
        case.ticket.emergency_id = emergency.id
    return units


def obstacle_to(desk: Desk, case: Case, unit: OrgUnit) -> str | None:
    """What the law has against `unit` as the lead of this ticket, without an emergency (art. 13(4), 14(3), 17); None where nothing."""
    try:
        _check_home(desk, case, unit, "lead")
        _check_level(desk, case, unit, "lead", skipping=False)
        _check_department(desk, unit, AssignmentRole.LEAD, {unit.id})
    except OrderInvalid as error:
        return error.message
    return None


def _emergency(desk: Desk, case: Case, emergency_id: int | None) -> Emergency | None:
    if emergency_id is None:
        return None
    emergency = desk.session.get(Emergency, emergency_id)
    in_force = (
        emergency is not None
        and emergency.ended_at is None
        and emergency.declared_at <= desk.at < emergency.until
    )
    if emergency is None or not in_force or emergency.platform_id not in _with_parent(case.home):
        raise OrderInvalid(
            "该应急事件不存在、已结束或不属于本平台，不能据此越级派单。", article="17", field="emergency"
        )
    if not case.ticket.area_code.startswith(area_prefix(emergency.area_code)):
        raise OrderInvalid("工单所在区域不在应急事件范围内。", article="17", field="emergency")
    return emergency


def _with_parent(platform: Home) -> set[int | None]:
    return {platform.id, platform.parent_id} - {None}


def _reach(desk: Desk, case: Case) -> list[Home | Platform]:
    """The platforms whose reach the order may use: the ticket's own, and the superior's where its supervisor coordinates (art. 18)."""
    reach: list[Home | Platform] = [case.home]
    if desk.actor.platform_id is not None and desk.actor.platform_id == case.home.parent_id:
        reach.append(desk.session.get_one(Platform, desk.actor.platform_id))
    return reach


def _check_home(desk: Desk, case: Case, unit: OrgUnit, field: str) -> None:
    at_home = unit.platform_id == case.home.id
    home = case.home if at_home else desk.session.get(Platform, unit.platform_id)
    if home is None or not {home.id, home.parent_id} & {platform.id for platform in _reach(desk, case)}:
        raise OrderInvalid(
            f"“{unit.name}”不在本平台的派单范围内；跨区域事项请上报省平台协调。", article="14(3)", field=field
        )


def _check_level(desk: Desk, case: Case, unit: OrgUnit, field: str, *, skipping: bool) -> None:
    table = case.statute.dispatch_levels
    allowed = frozenset[Level]().union(*(table.get(p.level, frozenset(Level)) for p in _reach(desk, case)))
    if skipping or unit.level in allowed:
        return
    levels = "、".join(level.label for level in Level if level in allowed)
    raise OrderInvalid(
        f"“{unit.name}”是{unit.level.label}单位；本平台直接派单至{levels}单位，越级派单须有已宣布的应急事件。",
        article="17",
        field=field,
    )


def _check_department(desk: Desk, unit: OrgUnit, role: AssignmentRole, ids: Iterable[int]) -> None:
    if unit.kind not in _THROUGH_DEPARTMENT:
        return
    charge = desk.session.get(OrgUnit, unit.in_charge_id) if unit.in_charge_id else None
    through = f"请以业务主管部门“{charge.name}”（{charge.code}）牵头" if charge else "请以其业务主管部门牵头"
    if role is AssignmentRole.LEAD:
        raise OrderInvalid(
            f"{unit.kind.label}“{unit.name}”不能直接派单，{through}，该单位作为协办。",
            article="13(4)",
            field="lead",
        )
    if charge is None or charge.id not in set(ids):
        raise OrderInvalid(
            f"{unit.kind.label}“{unit.name}”须会同其业务主管部门办理，{through}。",
            article="13(4)",
            field="co_units",
        )


def own_part(desk: Desk, case: Case, *, statuses: frozenset[AssignmentStatus] = OPEN_PARTS) -> Assignment:
    """The acting unit's own part. Raises `AccessRefused` if it has none, or none still open."""
    if desk.actor.unit_id is None:
        raise AccessRefused("该操作由承办单位进行；请以承办单位的身份登录。")
    parts = [a for a in case.assignments if a.unit_id == desk.actor.unit_id]
    for part in reversed(parts):
        if part.status in statuses:
            return part
    if not parts:
        raise AccessRefused("该工单未派给您的单位。")
    raise OrderInvalid(f"您单位在该工单中的办理状态为“{parts[-1].status.label}”，不能再进行此操作。")


def part_of(desk: Desk, code: str | None, candidates: Sequence[Assignment], what: str) -> Assignment:
    """The part a platform's act speaks of: the only candidate unit's, or that of unit `code`; of one unit's parts the newest.

    Raises `OrderInvalid` (field `unit`).
    """
    candidates = list({a.unit_id: a for a in candidates}.values())
    if code is not None:
        unit = unit_by_code(desk, code)
        candidates = [a for a in candidates if a.unit_id == unit.id]
    if not candidates:
        raise OrderInvalid(f"该工单没有{what}。", field="unit")
    if len(candidates) > 1:
        raise OrderInvalid(f"有多个单位{what}，请指明单位代码。", field="unit")
    return candidates[0]
