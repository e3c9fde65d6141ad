"""From dispatch to a verified reply: dispatch, return, convert, extend, reply, review. Art. 14(3)-(6), 17, 18."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from hotline import intake
from hotline.case import Case, Desk, begin_episode
from hotline.desk import act, take_up
from hotline.extensions import move_clock
from hotline.fields import instant
from hotline.ledger import text_digest
from hotline.models import Assignment, Clock, Reply, ReturnProposal, Review
from hotline.orders import (
    AnswerCitizenOrder,
    ConvertOrder,
    CoordinateOrder,
    DesignateOrder,
    DispatchOrder,
    ProgressOrder,
    ReleaseOrder,
    ReplyOrder,
    ReturnDecision,
    ReturnOrder,
    ReviewPassOrder,
    SendBackOrder,
    SignOrder,
)
from hotline.privacy.concealment import conceal
from hotline.units import Named, named, own_part, part_of, release, unit_by_code
from workflow.deadlines import Turn, check_conversion, check_return, due_of, extended
from workflow.errors import OrderInvalid
from workflow.lifecycle import Facts
from workflow.vocabulary import Act, AssignmentRole, AssignmentStatus, ClockKind, Episode, Matter, State

# --- dispatch, coordination (art. 14(3), 17, 18) -----------------------------------------------------------------------


def dispatch(desk: Desk, number: str, order: DispatchOrder) -> Case:
    """派单 to one lead and its co-units; each new part opens its own reply clock, and the lead's return clock."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    opened = _assign(desk, case, order, Act.DISPATCH)
    payload = _dispatched(opened) | order.model_dump(
        include={"instruction", "complex", "emergency"}, exclude_none=True
    )
    return act(desk, case, Act.DISPATCH, opened_for=opened, payload=payload)


def coordinate(desk: Desk, number: str, order: CoordinateOrder) -> Case:
    """协调: the platform takes the matter to the units concerned; units' clocks run on (art. 18)."""
    case = take_up(desk, number)
    return act(desk, case, Act.COORDINATE, payload=conceal(desk, case, order).model_dump())


def designate(desk: Desk, number: str, order: DesignateOrder) -> Case:
    """指定牵头: units kept keep their clocks, others are released, new ones get fresh clocks (art. 18)."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    redo = _already_replied(case)
    if redo and order.days is None:
        raise OrderInvalid(
            "由不满意转入协调的工单按重新办理计时，须给出工作日数（days，至多10个）。",
            article="14(7)",
            field="days",
        )
    if not redo and order.days is not None:
        raise OrderInvalid("首次办理的时限由办法规定，不能另行指定。", article="14(4)", field="days")
    opened = _assign(desk, case, order, Act.DESIGNATE, redo=redo)
    lead = case.lead()
    signed = lead is not None and lead.signed_at is not None
    payload = _dispatched(opened) | {"basis": order.basis}
    facts = Facts(signed=signed, redo=redo)
    return act(desk, case, Act.DESIGNATE, facts=facts, opened_for=opened, days=order.days, payload=payload)


def _already_replied(case: Case) -> bool:
    """Whether coordination comes from an upheld dissatisfaction: the lead had replied and nobody owes a part."""
    lead = case.lead()
    return lead is not None and lead.status is AssignmentStatus.REPLIED and not case.open_parts()


def _dispatched(opened: list[Assignment]) -> dict[str, Any]:
    return {"units": [{"unit": a.unit_id, "role": a.role.value, "assignment": a.id} for a in opened]}


def _assign(
    desk: Desk, case: Case, order: DispatchOrder, verb: Act, *, redo: bool = False
) -> list[Assignment]:
    """Make the parts the order names; parts already open and named again are kept, the others released."""
    units = named(desk, case, order)
    _check_complex(case, order)
    if redo:
        begin_episode(case.ticket, Episode.REDO)
    kept: set[tuple[int, AssignmentRole]] = set()
    wanted = {(each.unit.id, each.role) for each in units}
    for part in case.open_parts():
        keep = (part.unit_id, part.role) in wanted
        if part.status is AssignmentStatus.RETURN_PROPOSED:  # naming the units decides it
            _decide_return(desk, part, ReturnDecision(reason=f"{verb.label}时一并决定。"), upheld=not keep)
            part.status = AssignmentStatus.OPEN
        if keep:
            kept.add((part.unit_id, part.role))
        else:
            release(desk, case, part, verb)
    lead_kept = any(role is AssignmentRole.LEAD for _, role in kept)
    case.ticket.complex = order.complex or (case.ticket.complex and lead_kept)
    opened = [_part(desk, case, each, order) for each in units if (each.unit.id, each.role) not in kept]
    case.assignments.extend(opened)
    return opened


def _check_complex(case: Case, order: DispatchOrder) -> None:
    if order.complex and case.ticket.matter not in (Matter.INQUIRY, Matter.HELP):
        raise OrderInvalid(
            "只有咨询、求助类工单可以按复杂事项（5个工作日）派单。", article="14(4)", field="complex"
        )


def _part(desk: Desk, case: Case, named_unit: Named, order: DispatchOrder) -> Assignment:
    part = Assignment(
        id=named_unit.key,
        ticket_id=case.ticket.id,
        unit_id=named_unit.unit.id,
        role=named_unit.role,
        status=AssignmentStatus.OPEN,
        instruction=order.instruction,
        legal_basis=order.legal_basis,
        dispatched_at=desk.at,
        dispatched_by=desk.actor.id,
    )
    case.fresh.append(part)
    return part


# --- the unit signs, returns, converts (art. 14(3)(4)) -----------------------------------------------------------------


def sign(desk: Desk, number: str, order: SignOrder) -> Case:
    """签收: it opens and meets no clock; the reply limit runs from dispatch."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = own_part(desk, case)
    if part.signed_at is not None:
        raise OrderInvalid("您单位已签收该工单。")
    part.signed_at, part.signed_by = desk.at, order.signed_by or desk.actor.name
    return act(desk, case, Act.SIGN, facts=_facts(part), about=part, payload={"signed_by": part.signed_by})


def propose_return(desk: Desk, number: str, order: ReturnOrder) -> Case:
    """申请退单 within 1 working day of dispatch, with grounds and a suggestion. Raises `TooLate` afterwards."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = own_part(desk, case)
    if part.status is AssignmentStatus.RETURN_PROPOSED:
        raise OrderInvalid("您单位已申请退单，请等待审核。")
    if part.reported_at is not None:
        raise OrderInvalid("您单位已反馈办理结果，不能再退单。", article="14(4)")
    returns = [c for c in case.clocks if c.kind is ClockKind.RETURN and c.assignment_id == part.id]
    if not returns:
        raise OrderInvalid(
            "本次派单的退单已经审核，或已进入补办、重办，不能再退单；请继续办理。", article="14(4)"
        )
    check_return(returns[-1].due_at, desk.at)
    suggested = unit_by_code(desk, order.suggested_unit, "suggested_unit") if order.suggested_unit else None
    if suggested is not None and suggested.id == part.unit_id:
        raise OrderInvalid("改派意见不能是本单位。", article="14(4)", field="suggested_unit")
    part.status = AssignmentStatus.RETURN_PROPOSED
    desk.session.add(
        ReturnProposal(
            ticket_id=case.ticket.id,
            assignment_id=part.id,
            grounds=order.grounds,
            suggested_unit_id=suggested.id if suggested else None,
            suggestion=order.suggestion,
            proposed_at=desk.at,
        )
    )
    payload = {
        "grounds": order.grounds,
        "suggestion": order.suggestion,
        "suggested_unit": suggested.id if suggested else None,
    }
    return act(desk, case, Act.PROPOSE_RETURN, facts=_facts(part), about=part, payload=payload)


def uphold_return(desk: Desk, number: str, order: ReturnDecision) -> Case:
    """同意退单: the unit is out; the citizen's clock runs on. More than two on one ticket: it goes to coordination (art. 18)."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = _returning(desk, case, order)
    _decide_return(desk, part, order, upheld=True)
    part.status, part.ended_at = AssignmentStatus.RETURNED, desk.at
    by_lead = part.role is AssignmentRole.LEAD
    if by_lead:
        case.ticket.upheld_returns += 1
    exhausted = case.ticket.upheld_returns > case.statute.number("upheld_returns_before_coordination")
    complete = not by_lead and _episode_complete(case)
    facts = Facts(by_lead=by_lead, returns_exhausted=exhausted, episode_complete=complete)
    turn = Turn(
        by_lead=by_lead,
        coordinated=exhausted,
        episode_complete=complete and case.ticket.state is State.HANDLING,
    )
    payload = {"reason": order.reason, "upheld_returns": case.ticket.upheld_returns}
    act(desk, case, Act.UPHOLD_RETURN, facts=facts, turn=turn, about=part, payload=payload)
    return _after_episode(desk, case, turn)


def reject_return(desk: Desk, number: str, order: ReturnDecision) -> Case:
    """驳回退单: the first clock runs on unchanged (art. 14(4))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = _returning(desk, case, order)
    _decide_return(desk, part, order, upheld=False)
    part.status = AssignmentStatus.OPEN
    return act(
        desk, case, Act.REJECT_RETURN, facts=_facts(part), about=part, payload={"reason": order.reason}
    )


def _returning(desk: Desk, case: Case, order: ReturnDecision) -> Assignment:
    pending = [a for a in case.assignments if a.status is AssignmentStatus.RETURN_PROPOSED]
    return part_of(desk, order.unit, pending, "待审的退单")


def _decide_return(desk: Desk, part: Assignment, order: ReturnDecision, *, upheld: bool) -> None:
    proposal = desk.session.execute(
        select(ReturnProposal).where(
            col(ReturnProposal.assignment_id) == part.id, col(ReturnProposal.upheld).is_(None)
        )
    ).scalar_one()
    proposal.upheld, proposal.decided_at, proposal.decision_reason = upheld, desk.at, order.reason


def convert_to_complex(desk: Desk, number: str, order: ConvertOrder) -> Case:
    """转为复杂事项: 5 working days in total, counted from the dispatch, once, before the second day ends (art. 14(4))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = own_part(desk, case)
    clocks = case.running(ClockKind.REPLY, of=part)
    if not clocks:
        raise OrderInvalid("该工单没有正在计时的答复时限。", article="14(4)")
    clock = clocks[0]
    check_conversion(case.statute.limit_by_id(clock.limit_id, clock.law_on), clock.original_due_at, desk.at)
    longer = case.statute.limit(ClockKind.REPLY, case.law_on, case.ticket.matter, complex_=True)
    home = desk.office.directory.home(desk.session, part.unit_id)
    calendar, day_end = desk.office.calendars.of(home), case.statute.word("day_end")
    due = due_of(longer, clock.opened_at, calendar, day_end=day_end)
    clock.limit_id, clock.length = longer.id, longer.length
    clock.original_due_on, clock.original_due_at = due.on, due.at
    if clock.extension_days:
        due = extended(due.on, clock.extension_days, calendar, day_end=day_end)
    move_clock(desk, case, clock, due, reason="converted", days=longer.length)
    case.ticket.complex = True
    payload = {"reason": order.reason, "due_at": due.at.isoformat()}
    return act(desk, case, Act.CONVERT_TO_COMPLEX, about=part, payload=payload)


# --- progress and reply (art. 14(4)) -----------------------------------------------------------------------------------


def report_progress(desk: Desk, number: str, order: ProgressOrder) -> Case:
    """反馈进展: kept on the timeline; it meets no clock."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = own_part(desk, case)
    return act(desk, case, Act.REPORT_PROGRESS, about=part, payload={"content": order.content})


def answer_citizen(desk: Desk, number: str, order: AnswerCitizenOrder) -> Case:
    """答复来电人: one half of a reply; for a merged caller, the answer the main ticket brought."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    answered_at = instant(order.answered_at, desk.at)
    if case.ticket.state is State.MERGED:
        _check_answered(case.ticket.received_at, answered_at, desk.at, "answered_at")
        told = {"answered_at": answered_at.isoformat()}
        turn = Turn(answered=True)
        return act(desk, case, Act.ANSWER_CITIZEN, turn=turn, met_at=answered_at, payload=told)
    part = own_part(desk, case)
    _require_signed(part)
    if part.answered_at is not None:
        raise OrderInvalid(
            "您单位已登记答复来电人的时间；如需更正，请在反馈办理结果时填写。", article="14(4)"
        )
    _check_answered(_owed_since(case, part), answered_at, desk.at, "answered_at")
    part.answered_at = answered_at
    payload = {"answered_at": answered_at.isoformat(), "remark": order.remark}
    return _finish_part(desk, case, part, Act.ANSWER_CITIZEN, payload)


def reply(desk: Desk, number: str, order: ReplyOrder) -> Case:
    """反馈办理结果: the other half. The lead's part is done once both are in; a co-unit's once it has reported (art. 14(3)(4))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    part = own_part(desk, case)
    _require_signed(part)
    if part.reported_at is not None:
        raise OrderInvalid("本轮已反馈办理结果，不能改写；请记录答复来电人的时间。", article="14(4)")
    if order.citizen_answered_at is not None:
        answered_at = order.citizen_answered_at
        _check_answered(_owed_since(case, part), answered_at, desk.at, "citizen_answered_at")
        part.answered_at = order.citizen_answered_at
    part.reported_at = desk.at
    handled_by = order.handled_by or desk.actor.name
    desk.session.add(
        Reply(
            ticket_id=case.ticket.id,
            assignment_id=part.id,
            episode=case.ticket.episode,
            episode_no=case.ticket.episode_no,
            content=order.content,
            handled_by=handled_by,
            reported_at=desk.at,
        )
    )
    payload = {"handled_by": handled_by, "content_sha256": text_digest(order.content)}
    if part.answered_at is not None:
        payload["answered_at"] = part.answered_at.isoformat()
    return _finish_part(desk, case, part, Act.REPLY, payload)


def _require_signed(part: Assignment) -> None:
    if part.signed_at is None:
        raise OrderInvalid("请先签收，再答复或反馈。", article="14(3)")


def _owed_since(case: Case, part: Assignment) -> datetime:
    """When this episode's reply began to be owed: at dispatch, or at the order to supplement or redo (a *new* reply meets those)."""
    again = case.running(ClockKind.SUPPLEMENT, ClockKind.REDO, of=part)
    return max([part.dispatched_at, *(clock.opened_at for clock in again)])


def _check_answered(since: datetime, answered_at: datetime, now: datetime, field: str) -> None:
    if answered_at > now:
        raise OrderInvalid("答复来电人的时间晚于现在。", article="14(4)", field=field)
    if answered_at < since:
        raise OrderInvalid(
            "答复来电人的时间早于本轮办理开始的时间（派单、责成补办或同意重办）。",
            article="14(4)",
            field=field,
        )


def _finish_part(desk: Desk, case: Case, part: Assignment, verb: Act, payload: dict[str, Any]) -> Case:
    by_lead = part.role is AssignmentRole.LEAD
    done = part.reported_at is not None and (part.answered_at is not None or not by_lead)
    met_at = max(t for t in (part.reported_at, part.answered_at) if t is not None)
    if done:
        part.status = AssignmentStatus.REPLIED
    complete = done and _episode_complete(case)
    turn = Turn(
        by_lead=by_lead,
        part_done=done,
        episode_complete=complete,
        answered=by_lead and part.answered_at is not None,
    )
    facts = Facts(by_lead=by_lead, episode_complete=complete)
    act(desk, case, verb, facts=facts, turn=turn, about=part, met_at=met_at, payload=payload)
    return _after_episode(desk, case, turn)


def _episode_complete(case: Case) -> bool:
    lead = case.lead()
    return lead is not None and lead.status is AssignmentStatus.REPLIED and not case.open_parts()


def _after_episode(desk: Desk, case: Case, turn: Turn) -> Case:
    if turn.episode_complete:
        intake.main_replied(desk, case)
    return case


def release_unit(desk: Desk, number: str, order: ReleaseOrder) -> Case:
    """免除协办: the co-unit owes nothing more; the episode may be complete without it (art. 14(3))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    co_units = [a for a in case.open_parts() if a.role is AssignmentRole.CO]
    part = part_of(desk, order.unit, co_units, "仍在协办的该单位")
    part.status, part.ended_at = AssignmentStatus.RELEASED, desk.at
    complete = _episode_complete(case)
    facts = Facts(by_lead=False, episode_complete=complete)
    turn = Turn(by_lead=False, episode_complete=complete)
    act(desk, case, Act.RELEASE_UNIT, facts=facts, turn=turn, about=part, payload={"reason": order.reason})
    return _after_episode(desk, case, turn)


# --- review (art. 14(6)) -----------------------------------------------------------------------------------------------


def review_pass(desk: Desk, number: str, order: ReviewPassOrder) -> Case:
    """认定通过. For an inquiry the unit's knowledge clock opens, once per ticket (art. 23)."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    lead = case.lead()
    elements = {element.value: {"passed": True} for element in order.elements}
    _add_review(desk, case, passed=True, elements=elements, note=order.note)
    learns = case.ticket.matter is Matter.INQUIRY and not _learned(desk, case)
    return act(
        desk, case, Act.REVIEW_PASS, turn=Turn(learns=learns), about=lead, payload={"elements": elements}
    )


def _learned(desk: Desk, case: Case) -> bool:
    asked = select(col(Clock.id)).where(
        col(Clock.ticket_id) == case.ticket.id,
        col(Clock.kind) == ClockKind.KNOWLEDGE_UPDATE,
        col(Clock.voided_at).is_(None),
    )
    return desk.session.execute(asked.limit(1)).first() is not None


def review_send_back(desk: Desk, number: str, order: SendBackOrder) -> Case:
    """责成补办 within at most 3 working days; the first reply's timeliness stands, the callback clock waits for the new reply."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    lead = case.lead()
    if lead is None:
        raise OrderInvalid("该工单没有承办单位。")
    elements = {element.value: {"passed": False, "finding": text} for element, text in order.findings.items()}
    _add_review(desk, case, passed=False, elements=elements, note=order.note, days=order.days)
    reopen(desk, case, lead, Episode.SUPPLEMENT)
    payload = {"elements": elements, "days": order.days}
    act(desk, case, Act.REVIEW_SEND_BACK, about=lead, days=order.days, payload=payload)
    intake.main_sent_back(desk, case)
    return case


def _add_review(
    desk: Desk,
    case: Case,
    *,
    passed: bool,
    elements: dict[str, Any],
    note: str | None,
    days: int | None = None,
) -> None:
    desk.session.add(
        Review(
            ticket_id=case.ticket.id,
            episode=case.ticket.episode,
            episode_no=case.ticket.episode_no,
            passed=passed,
            elements=elements,
            note=note,
            days=days,
            reviewed_by=desk.actor.name,
            reviewed_at=desk.at,
        )
    )


def reopen(desk: Desk, case: Case, lead: Assignment, episode: Episode) -> None:
    """The lead's part is owed again in a new episode; what it reported before stays in `replies`."""
    begin_episode(case.ticket, episode)
    lead.status, lead.answered_at, lead.reported_at = AssignmentStatus.OPEN, None, None
    desk.session.add(lead)


def _facts(part: Assignment) -> Facts:
    return Facts(by_lead=part.role is AssignmentRole.LEAD, signed=part.signed_at is not None)
