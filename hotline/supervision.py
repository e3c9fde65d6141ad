"""督办: lapses swept, reminders up the ladder, flags and accountability notices, emergencies. Art. 14(8), 17, 34."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from hotline.access import SYSTEM
from hotline.batches import lock, write_all
from hotline.calendars import newest_version
from hotline.case import Case, Desk, Office, record, tell, write
from hotline.clocks import lapse
from hotline.desk import act, take_up
from hotline.exchange import outbox
from hotline.models import AccountabilityNotice, Assignment, Clock, Reminder, UnitFlag
from hotline.orders import EmergencyOrder, FlagOrder, ReasonOrder, RemindOrder
from hotline.organisation import Area, Emergency, OrgUnit
from hotline.privacy.concealment import conceal
from hotline.privacy.masking import mask_text
from hotline.units import part_of
from workflow.deadlines import CHINA
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import Act, ReminderForm, Role

_LADDER = (ReminderForm.NETWORK, ReminderForm.SMS, ReminderForm.WRITTEN_NOTICE, ReminderForm.ON_SITE)
_NOT_STAMPED = (col(Clock.met_at).is_(None), col(Clock.lapsed_at).is_(None), col(Clock.voided_at).is_(None))

# --- the sweep (art. 14(8)) --------------------------------------------------------------------------------------------


def lapse_due(session: Session, office: Office, as_of: datetime, *, batch: int = 500) -> int:
    """Stamp up to `batch` clocks due by `as_of` (aware) as lapsed, each with its own due instant; returns how many.

    Tickets somebody is acting on are skipped: that act stamps them itself, or the next sweep does. Any number of replicas may
    sweep at once. The cost grows with what is due, not with what is open. The caller commits.
    """
    due = session.execute(
        select(col(Clock.id), col(Clock.ticket_id))
        .where(col(Clock.due_at) <= as_of, *_NOT_STAMPED)
        .order_by(col(Clock.due_at), col(Clock.id))
        .limit(batch)
    ).all()
    if not due:
        return 0
    cases = lock(session, [ticket_id for _, ticket_id in due], skip_locked=True)
    again = select(Clock).where(
        col(Clock.id).in_([clock_id for clock_id, _ in due]),
        col(Clock.ticket_id).in_(list(cases)),
        *_NOT_STAMPED,
    )
    ordered = again.order_by(col(Clock.due_at), col(Clock.id)).execution_options(populate_existing=True)
    clocks = session.execute(ordered).scalars().all()
    office.calendars.at(session, newest_version(session))
    desk = Desk(session, SYSTEM, as_of, office)
    for clock in clocks:
        lapse(desk, cases[clock.ticket_id], clock)
    write_all(desk, list(cases.values()))
    return len(clocks)


# --- reminders (art. 14(8)) --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Climb:
    """One late clock that has reached a rung of the ladder, and when the next rung comes."""

    clock: Clock
    case: Case
    rung: int
    next_at: datetime | None


def remind_overdue(session: Session, office: Office, as_of: datetime, *, batch: int = 20) -> int:
    """Send the reminders whose rung has come to up to `batch` units (or platforms), one notice each, each rung of a clock once.

    After an outage only the highest rung reached is sent, and all of a unit's tickets stand in one notice; while lapses are
    still being stamped nothing is sent, so that the notice is whole. No reminder moves a date. Returns how many notices were
    written. The caller commits.
    """
    if session.execute(_unstamped(as_of)).first() is not None:
        return 0
    groups = session.execute(
        select(col(Clock.platform_id), col(Clock.unit_id)).where(*_rung_due(as_of)).distinct().limit(batch)
    ).all()
    if not groups:
        return 0
    office.calendars.at(session, newest_version(session))
    desk = Desk(session, SYSTEM, as_of, office)
    return sum(_remind_group(desk, platform_id, unit_id) for platform_id, unit_id in groups)


def _unstamped(as_of: datetime) -> Any:
    return select(col(Clock.id)).where(col(Clock.due_at) <= as_of, *_NOT_STAMPED).limit(1)


def _rung_due(as_of: datetime) -> tuple[ColumnElement[bool], ...]:
    return (col(Clock.next_rung_at) <= as_of, col(Clock.met_at).is_(None), col(Clock.voided_at).is_(None))


def _remind_group(desk: Desk, platform_id: int, unit_id: int | None) -> int:
    whose = (
        col(Clock.platform_id) == platform_id,
        col(Clock.unit_id).is_not_distinct_from(unit_id),
        *_rung_due(desk.at),
    )
    cases = lock(
        desk.session,
        desk.session.execute(select(col(Clock.ticket_id)).where(*whose)).scalars(),
        skip_locked=True,
    )
    clocks = desk.session.execute(
        select(Clock)
        .where(*whose, col(Clock.ticket_id).in_(list(cases)))
        .order_by(col(Clock.due_at), col(Clock.id))
        .execution_options(populate_existing=True)
    ).scalars()
    climbs = [_climb(desk, cases[clock.ticket_id], clock) for clock in clocks]
    if not climbs:
        return 0
    _notify(desk, platform_id, unit_id, climbs)
    write_all(desk, list(cases.values()))
    return 1


def _climb(desk: Desk, case: Case, clock: Clock) -> _Climb:
    """The highest rung reached by now; rung 0 comes at the lapse, rung i at 9:00 of the i-th entry's working day."""
    ladder = case.statute.numbers("reminder_ladder")
    calendar = desk.office.calendars.of(clock.platform_id)
    times = [_rung_time(calendar.add(clock.due_on, days), clock, days) for days in ladder]
    reached = max(rung for rung, at in enumerate(times) if at <= desk.at or rung == 0)
    next_at = times[reached + 1] if reached + 1 < len(times) else None
    return _Climb(clock, case, min(reached, len(_LADDER) - 1), next_at)


def _rung_time(day: Any, clock: Clock, days: int) -> datetime:
    return clock.due_at if days == 0 else datetime.combine(day, time(9), CHINA)


def _notify(desk: Desk, platform_id: int, unit_id: int | None, climbs: list[_Climb]) -> None:
    rung = max(climb.rung for climb in climbs)
    items = [
        {
            "number": c.case.ticket.number,
            "kind": c.clock.kind.value,
            "due_on": c.clock.due_on.isoformat(),
            "article": c.clock.article,
        }
        for c in climbs
    ]
    lines = "；".join(
        f"{i['number']} {c.clock.kind.label}应于{i['due_on']}完成" for i, c in zip(items, climbs, strict=True)
    )
    reminder = Reminder(
        platform_id=platform_id,
        unit_id=unit_id,
        ticket_id=climbs[0].case.ticket.id if len(climbs) == 1 else None,
        form=_LADDER[rung],
        rung=rung,
        content=f"以下 {len(climbs)} 项时限已届满仍未完成，请立即办理（办法第十四条第（八）项）：{lines}。",
        clocks=items,
        sent_by=SYSTEM.name,
        created_at=desk.at,
    )
    desk.session.add(reminder)
    desk.session.flush()
    for climb in climbs:
        climb.clock.rung, climb.clock.next_rung_at = climb.rung + 1, climb.next_at
        desk.session.add(climb.clock)
        payload = {
            "reminder": reminder.id,
            "form": reminder.form.value,
            "rung": climb.rung,
            "kind": climb.clock.kind.value,
            "unit": unit_id,
        }
        record(
            desk,
            climb.case,
            Act.REMIND.value,
            before=climb.case.ticket.state,
            article="14(8)",
            payload=payload,
        )
        tell(desk, climb.case, outbox.EVENTS[Act.REMIND], unit_id, payload)


def remind(desk: Desk, number: str, order: RemindOrder) -> Case:
    """督办提醒 by a person, to the units that still owe something, or the one named."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    parts = case.open_parts()
    part = part_of(desk, order.unit, parts, "仍在办理的单位") if order.unit or len(parts) != 1 else parts[0]
    desk.session.add(
        Reminder(
            platform_id=case.ticket.platform_id,
            unit_id=part.unit_id,
            ticket_id=case.ticket.id,
            form=order.form,
            content=order.content,
            sent_by=desk.actor.name,
            created_at=desk.at,
        )
    )
    payload = {"form": order.form.value, "content": order.content}
    return act(desk, case, Act.REMIND, about=part, payload=payload)


# --- flags and accountability (art. 14(8), 34, 35) ---------------------------------------------------------------------


def flag(desk: Desk, number: str, order: FlagOrder) -> Case:
    """标记问题 on a unit's part. Enough flags on one unit within the window become an accountability notice (通报)."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = part_of(desk, order.unit, case.assignments, "承办单位")
    desk.session.add(
        UnitFlag(
            ticket_id=case.ticket.id,
            assignment_id=part.id,
            unit_id=part.unit_id,
            flag=order.flag,
            explanation=order.explanation,
            flagged_by=desk.actor.name,
            flagged_at=desk.at,
        )
    )
    desk.session.flush()
    notice = _issue_notice(desk, case, part)
    payload = {
        "flag": order.flag.value,
        "explanation": order.explanation,
        "notice": notice.id if notice else None,
    }
    act(desk, case, Act.FLAG, about=part, payload=payload)
    if notice is not None:
        tell(desk, case, outbox.ACCOUNTABILITY_ISSUED, part.unit_id, {"notice": notice.id})
        write(desk, case)
    return case


def _issue_notice(desk: Desk, case: Case, part: Assignment) -> AccountabilityNotice | None:
    desk.session.execute(select(col(OrgUnit.id)).where(col(OrgUnit.id) == part.unit_id).with_for_update())
    since = desk.at - timedelta(days=case.statute.number("flag_window_days"))
    flags = (
        desk.session.execute(
            select(UnitFlag).where(
                col(UnitFlag.unit_id) == part.unit_id,
                col(UnitFlag.notice_id).is_(None),
                col(UnitFlag.flagged_at) > since,
            )
        )
        .scalars()
        .all()
    )
    if len(flags) < case.statute.number("flags_before_accountability"):
        return None
    unit = desk.session.get_one(OrgUnit, part.unit_id)
    counts = {f.flag.label: sum(1 for other in flags if other.flag is f.flag) for f in flags}
    listed = "、".join(f"{label}{count}次" for label, count in counts.items())
    notice = AccountabilityNotice(
        platform_id=case.ticket.platform_id,
        unit_id=unit.id,
        issued_at=desk.at,
        content=f"“{unit.name}”在办理热线工单中出现{listed}，依据办法第十四条第（八）项、第三十四条予以通报。"
        "单位可在收到后说明情况（第三十五条）。",
    )
    desk.session.add(notice)
    desk.session.flush()
    for each in flags:
        each.notice_id = notice.id
    return notice


def answer_notice(desk: Desk, notice_id: int, order: ReasonOrder) -> AccountabilityNotice:
    """The unit's answer to a notice, once (art. 35). Raises `NotFound`, `AccessRefused`, `OrderInvalid`."""
    notice = desk.session.get(AccountabilityNotice, notice_id, with_for_update=True)
    if notice is None or (desk.actor.is_unit and notice.unit_id != desk.actor.unit_id):
        raise NotFound("没有这份通报，或不是发给您单位的。")
    if not desk.actor.is_unit:
        raise AccessRefused("通报由被通报的单位说明情况。", article="35")
    if notice.answer is not None:
        raise OrderInvalid("该通报已说明情况。", article="35")
    notice.answer, notice.answered_by, notice.answered_at = mask_text(order.reason), desk.actor.name, desk.at
    desk.session.add(notice)
    return notice


# --- emergencies (art. 17) ---------------------------------------------------------------------------------------------


def declare_emergency(desk: Desk, order: EmergencyOrder) -> Emergency:
    """宣布应急: who, when, scope and end are part of the record; tickets of the area may then skip levels."""
    if Role.SUPERVISOR not in desk.actor.roles or desk.actor.platform_id is None:
        raise AccessRefused("应急事件由督办主管宣布。", article="17")
    if desk.session.get(Area, order.area) is None:
        raise OrderInvalid(f"行政区划 {order.area} 不存在。", field="area")
    if order.until <= desk.at:
        raise OrderInvalid("结束时间须晚于现在。", article="17", field="until")
    emergency = Emergency(
        platform_id=desk.actor.platform_id,
        title=order.title,
        basis=order.basis,
        area_code=order.area,
        declared_by=desk.actor.id,
        declared_at=desk.at,
        until=order.until,
    )
    desk.session.add(emergency)
    desk.session.flush()
    return emergency


def end_emergency(desk: Desk, emergency_id: int) -> Emergency:
    """结束应急, by a supervisor of the platform that declared it."""
    emergency = desk.session.get(Emergency, emergency_id, with_for_update=True)
    if emergency is None or emergency.platform_id not in desk.actor.platform_ids:
        raise NotFound("没有这个应急事件。")
    if Role.SUPERVISOR not in desk.actor.roles:
        raise AccessRefused("应急事件由督办主管结束。", article="17")
    if emergency.ended_at is None:
        emergency.ended_at = desk.at
        desk.session.add(emergency)
    return emergency
