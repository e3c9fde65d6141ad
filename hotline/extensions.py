"""延期: asked no later than 24:00 of the due day, decided by the platform, counted from the original due date, told to the caller.
Art. 14(5)."""

from datetime import UTC

from sqlalchemy import select
from sqlmodel import col

from hotline.case import Case, Desk, note
from hotline.desk import act, take_up
from hotline.models import Assignment, Clock, ClockMove, Extension
from hotline.orders import ExtensionApproval, ExtensionNotice, ExtensionOrder, ExtensionRefusal
from hotline.privacy.concealment import conceal
from hotline.units import own_part, part_of
from workflow.deadlines import Due, check_extension_asked, check_extension_days, extended
from workflow.errors import AccessRefused, OrderInvalid
from workflow.vocabulary import Act, ClockKind


def move_clock(desk: Desk, case: Case, clock: Clock, due: Due, *, reason: str, days: int) -> None:
    """Supersede a clock's due date, keeping the old one in `clock_moves`. A lapse the new date undoes is annulled."""
    annuls = clock.lapsed_at is not None and due.at > clock.lapsed_at
    desk.session.add(
        ClockMove(
            clock_id=clock.id,
            moved_at=desk.at,
            reason=reason,
            days=days,
            from_due_on=clock.due_on,
            from_due_at=clock.due_at,
            to_due_on=due.on,
            to_due_at=due.at,
            calendar_version=desk.office.calendars.version,
            annulled_lapse=annuls,
        )
    )
    before = clock.due_at
    clock.due_on, clock.due_at, clock.provisional = due.on, due.at, due.provisional
    clock.calendar_version = desk.office.calendars.version
    if annuls:
        late = clock.met_at is not None and clock.met_at >= due.at
        clock.lapsed_at = due.at if late else None
        clock.next_rung_at, clock.rung = None, 0
    desk.session.add(clock)
    note(case, "moved", clock, reason=reason, from_due_at=before.astimezone(UTC).isoformat())


def request_extension(desk: Desk, number: str, order: ExtensionOrder) -> Case:
    """申请延期. The clock and the work run on while it is pending. Raises `TooLate`, `LimitExceeded`, `OrderInvalid`."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = own_part(desk, case)
    clocks = case.running(ClockKind.REPLY, of=part)
    if not clocks:
        raise OrderInvalid("只有答复时限可以申请延期；退单、补办、重办的时限不能延长。", article="14(5)")
    clock = clocks[0]
    reason = case.statute.extension_reason(order.reason)
    check_extension_asked(clock.due_on, desk.at)
    check_extension_days(case.statute, case.law_on, order.days, clock.extension_days)
    if _pending(desk, [clock.id]):
        raise OrderInvalid("您单位已有一份延期申请待审，请等待审核结果。", article="14(5)")
    desk.session.add(
        Extension(
            ticket_id=case.ticket.id,
            assignment_id=part.id,
            clock_id=clock.id,
            reason=reason.key,
            explanation=order.explanation,
            days_asked=order.days,
            asked_by=desk.actor.name,
            asked_at=desk.at,
        )
    )
    case.extended = True
    payload = {"reason": reason.key, "explanation": order.explanation, "days": order.days}
    return act(desk, case, Act.REQUEST_EXTENSION, about=part, payload=payload)


def approve_extension(desk: Desk, number: str, order: ExtensionApproval) -> Case:
    """批准延期. Approved after the original due date, the clock was never late; the caller must now be told (art. 14(5))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    request, part, clock = _under_decision(desk, case, order.unit)
    days = order.days or request.days_asked
    if days > request.days_asked:
        raise OrderInvalid(
            f"批准的天数不能超过申请的 {request.days_asked} 个工作日。", article="14(5)", field="days"
        )
    check_extension_days(case.statute, case.law_on, days, clock.extension_days)
    was_late = clock.lapsed_at is not None
    clock.extension_days += days
    home = desk.office.directory.home(desk.session, part.unit_id)
    due = extended(
        clock.original_due_on,
        clock.extension_days,
        desk.office.calendars.of(home),
        day_end=case.statute.word("day_end"),
    )
    move_clock(desk, case, clock, due, reason="extended", days=days)
    _decide(desk, request, approved=True, days=days, reason=order.reason)
    payload = {
        "days": days,
        "total_days": clock.extension_days,
        "due_at": due.at.isoformat(),
        "reason": order.reason,
    }
    payload["lapse_annulled"] = was_late and clock.lapsed_at is None
    return act(desk, case, Act.APPROVE_EXTENSION, about=part, payload=payload)


def refuse_extension(desk: Desk, number: str, order: ExtensionRefusal) -> Case:
    """驳回延期: lateness stands from the original due date (art. 14(5))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    request, part, _ = _under_decision(desk, case, order.unit)
    _decide(desk, request, approved=False, days=None, reason=order.reason)
    return act(desk, case, Act.REFUSE_EXTENSION, about=part, payload={"reason": order.reason})


def notify_extension(desk: Desk, number: str, order: ExtensionNotice) -> Case:
    """告知延期: the caller was told, or could not be reached; a failure is recorded and leaves the duty open (art. 14(5))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    untold = desk.session.execute(
        select(Extension).where(
            col(Extension.ticket_id) == case.ticket.id,
            col(Extension.approved).is_(True),
            col(Extension.caller_told_at).is_(None),
        )
    ).scalars()
    by_id = {a.id: a for a in case.assignments}
    requests = {request.assignment_id: request for request in untold}
    part = part_of(desk, order.unit, [by_id[key] for key in requests], "待告知来电人的延期")
    if order.reached:
        requests[part.id].caller_told_at = desk.at
    return act(
        desk, case, Act.NOTIFY_EXTENSION, about=part, payload=order.model_dump(include={"reached", "remark"})
    )


def _pending(desk: Desk, clock_ids: list[int]) -> list[Extension]:
    statement = select(Extension).where(
        col(Extension.clock_id).in_(clock_ids), col(Extension.approved).is_(None)
    )
    return list(desk.session.execute(statement).scalars())


def _under_decision(desk: Desk, case: Case, code: str | None) -> tuple[Extension, Assignment, Clock]:
    pending = desk.session.execute(
        select(Extension).where(col(Extension.ticket_id) == case.ticket.id, col(Extension.approved).is_(None))
    ).scalars()
    requests = {request.assignment_id: request for request in pending}
    by_id = {a.id: a for a in case.assignments}
    part = part_of(desk, code, [by_id[key] for key in requests], "待审的延期申请")
    if desk.actor.unit_id == part.unit_id:
        raise AccessRefused("申请单位不能审核自己的延期申请。", article="14(5)")
    request = requests[part.id]
    clock = next((c for c in case.clocks if c.id == request.clock_id), None)
    return request, part, clock or desk.session.get_one(Clock, request.clock_id)


def _decide(desk: Desk, request: Extension, *, approved: bool, days: int | None, reason: str | None) -> None:
    request.approved, request.days_granted = approved, days
    request.decided_by, request.decided_at, request.decision_reason = desk.actor.name, desk.at, reason
