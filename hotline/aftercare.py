"""After the reply: callback, redo, knowledge, archive, withdrawal, hand-over, files. Art. 14(1)(7)(9), 23."""

import hashlib
from typing import Any, Final

from sqlalchemy import bindparam, exists, select, update
from sqlmodel import col

from hotline import numbers
from hotline.access import caller_is_sealed, sees_file
from hotline.case import OPEN_PARTS, Case, Desk, begin_episode
from hotline.casework import reopen
from hotline.desk import act, take_up
from hotline.desks import text_search
from hotline.intake import carries_others
from hotline.ledger import text_digest
from hotline.models import (
    Assignment,
    Attachment,
    CallbackAttempt,
    Extension,
    KnowledgeUpdate,
    LedgerEntry,
    Reply,
    Ticket,
)
from hotline.orders import (
    ArchiveOrder,
    AttachOrder,
    CallbackOrder,
    ConfidentialOrder,
    HandOverOrder,
    HoldOrder,
    KnowledgeOrder,
    ReasonOrder,
    UpholdOrder,
)
from hotline.organisation import Person
from hotline.privacy.concealment import conceal, hide_ticket
from hotline.recordings import lock_bytes
from hotline.storage.constant import Constant
from hotline.units import own_part
from hotline.uploads import file_name
from workflow.deadlines import Turn, due_of, local_day
from workflow.errors import AccessRefused, NotFound, OrderInvalid, OutOfSight
from workflow.lifecycle import Facts
from workflow.vocabulary import (
    Act,
    AssignmentRole,
    AssignmentStatus,
    Audience,
    CallbackOutcome,
    ClockKind,
    Episode,
    FileClass,
    KnowledgeOutcome,
    Role,
    State,
)

MAIN_ANSWERED = frozenset({State.VERIFIED, State.DISSATISFIED, State.REDOING, State.CLOSED, State.ARCHIVED})
_MATERIAL = (FileClass.MEETING, FileClass.INSTRUCTION, FileClass.LEGAL_BASIS)

# --- callback and redo (art. 14(7)) ------------------------------------------------------------------------------------


def record_callback(desk: Desk, number: str, order: CallbackOrder) -> Case:
    """回访: one attempt. Unreachable concludes only after enough attempts on different days; dissatisfied reopens nothing by itself."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    if case.ticket.state is State.MERGED:
        _require_main_answered(desk, case)
    concluded = order.outcome is not CallbackOutcome.UNREACHABLE or _days_tried(
        desk, case
    ) >= case.statute.number("callback_attempts")
    desk.session.add(
        CallbackAttempt(
            ticket_id=case.ticket.id,
            episode_no=case.ticket.episode_no,
            outcome=order.outcome,
            conclusive=concluded,
            solved=order.solved,
            remark=order.remark,
            attempted_by=desk.actor.name,
            attempted_at=desk.at,
        )
    )
    dissatisfied = order.outcome is CallbackOutcome.DISSATISFIED
    if concluded and not dissatisfied and case.ticket.state in (State.VERIFIED, State.MERGED):
        case.ticket.ended_at = desk.at
    payload = order.model_dump(mode="json", include={"outcome", "solved", "remark"}) | {
        "concluded": concluded
    }
    facts = Facts(dissatisfied=dissatisfied, callback_concluded=concluded)
    return act(desk, case, Act.RECORD_CALLBACK, facts=facts, turn=Turn(concluded=concluded), payload=payload)


def _require_main_answered(desk: Desk, case: Case) -> None:
    main = desk.session.get(Ticket, case.ticket.merged_into_id)
    if main is None or main.state not in MAIN_ANSWERED or not case.running(ClockKind.CALLBACK):
        number = numbers.spoken(main.number) if main else ""
        raise OrderInvalid(f"主单 {number} 尚未反馈并认定，暂不能回访。", article="14(7)")


def _days_tried(desk: Desk, case: Case) -> int:
    """Different civil days with an attempt in this episode, today's included."""
    tried = desk.session.execute(
        select(col(CallbackAttempt.attempted_at)).where(
            col(CallbackAttempt.ticket_id) == case.ticket.id,
            col(CallbackAttempt.episode_no) == case.ticket.episode_no,
            col(CallbackAttempt.outcome) == CallbackOutcome.UNREACHABLE,
        )
    ).scalars()
    return len({local_day(at) for at in tried} | {local_day(desk.at)})


def uphold_dissatisfaction(desk: Desk, number: str, order: UpholdOrder) -> Case:
    """同意重办 within at most 10 working days. A merged caller's ticket goes to the main ticket's lead on its own from here on."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    lead = case.lead() or _inherit_lead(desk, case)
    if lead.id is None or lead.status in OPEN_PARTS:
        begin_episode(case.ticket, Episode.REDO)
    else:
        reopen(desk, case, lead, Episode.REDO)
    desk.session.flush()
    payload = {"reason": order.reason, "days": order.days}
    return act(desk, case, Act.UPHOLD_DISSATISFACTION, about=lead, days=order.days, payload=payload)


def _inherit_lead(desk: Desk, case: Case) -> Assignment:
    main_lead = (
        desk.session.execute(
            select(Assignment)
            .where(
                col(Assignment.ticket_id) == case.ticket.merged_into_id,
                col(Assignment.role) == AssignmentRole.LEAD,
                col(Assignment.status).in_([AssignmentStatus.REPLIED, AssignmentStatus.OPEN]),
            )
            .order_by(col(Assignment.id).desc())
        )
        .scalars()
        .first()
    )
    if main_lead is None:
        raise OrderInvalid("主单没有承办单位，无法重办。", article="14(7)")
    part = Assignment(
        ticket_id=case.ticket.id,
        unit_id=main_lead.unit_id,
        role=AssignmentRole.LEAD,
        status=AssignmentStatus.OPEN,
        dispatched_at=desk.at,
        dispatched_by=desk.actor.id,
        signed_at=desk.at,
        signed_by=main_lead.signed_by,
    )
    desk.session.add(part)
    case.assignments.append(part)
    return part


def dismiss_dissatisfaction(desk: Desk, number: str, order: ReasonOrder) -> Case:
    """不予重办, with reasons (art. 14(7))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    case.ticket.ended_at = desk.at
    return act(desk, case, Act.DISMISS_DISSATISFACTION, payload={"reason": order.reason})


# --- knowledge (art. 23) -----------------------------------------------------------------------------------------------


def update_knowledge(desk: Desk, number: str, order: KnowledgeOrder) -> Case:
    """完善知识库: the unit meets its 2 working days with an article or a reasoned «no change»."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    own_part(desk, case, statuses=frozenset({AssignmentStatus.REPLIED, *OPEN_PARTS}))
    own = {part.id: part for part in case.assignments if part.unit_id == desk.actor.unit_id}
    owed = [own[c.assignment_id] for c in case.running(ClockKind.KNOWLEDGE_UPDATE) if c.assignment_id in own]
    if not owed:
        raise OrderInvalid("该工单没有待完成的知识库完善任务。", article="23")
    part = owed[0]  # an earlier part of the unit's, where a redo was designated to it anew
    desk.session.add(
        KnowledgeUpdate(
            ticket_id=case.ticket.id,
            unit_id=part.unit_id,
            outcome=order.outcome,
            article_ref=order.article if order.outcome is not KnowledgeOutcome.NO_CHANGE else None,
            reason=order.reason,
            at=desk.at,
        )
    )
    return act(desk, case, Act.UPDATE_KNOWLEDGE, about=part, payload=order.model_dump(mode="json"))


# --- the end (art. 14(9)) ----------------------------------------------------------------------------------------------


def archive(desk: Desk, number: str, order: ArchiveOrder) -> Case:
    """归档, refused until every element of art. 14(9) is there. Recordings' retention is set from here."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    kept = _what_is_kept(desk, case)
    missing = _missing_elements(case, kept)
    if missing:
        raise OrderInvalid(
            f"归档要素不全，缺少：{'、'.join(missing)}。请补齐后再归档。",
            article="14(9)",
            extra={"missing": missing},
        )
    if kept.coordinated and not kept.material and not order.no_material_reason:
        raise OrderInvalid(
            "经协调办理的复杂事项应当分类保存会议材料、领导批示或法律依据；请上传，或说明没有此类材料的原因。",
            article="14(9)",
            field="no_material_reason",
        )
    days = _keep_recordings(desk, case) if kept.recorded else []
    case.ticket.archived_at = desk.at
    payload = order.model_dump(exclude_none=True) | {"recordings_kept_until": days}
    return act(desk, case, Act.ARCHIVE, payload=payload)


_TICKET: Any = bindparam("ticket", None)
_SOURCE: Any = bindparam("source", None)


def _of_ticket(table: Any, *tests: Any) -> Any:
    """Whether the ticket has a row in this table that stands these tests."""
    return exists().where(col(table.ticket_id) == _TICKET, *tests)


def _of_source(table: Any, *tests: Any) -> Any:
    """Whether what was done, perhaps for the main ticket, has such a row."""
    return exists().where(col(table.ticket_id) == _SOURCE, *tests)


_KEPT: Final = Constant(
    select(
        _of_source(Reply).label("replied"),
        _of_source(Reply, col(Reply.handled_by) == "").label("unnamed"),
        _of_source(Assignment).label("dispatched"),
        _of_ticket(CallbackAttempt, col(CallbackAttempt.conclusive).is_(True)).label("concluded"),
        _of_ticket(Extension, col(Extension.approved).is_(None)).label("undecided"),
        _of_ticket(LedgerEntry, col(LedgerEntry.act) == Act.DESIGNATE.value).label("coordinated"),
        _of_ticket(Attachment, col(Attachment.file_class).in_([each.value for each in _MATERIAL])).label(
            "material"
        ),
        _of_ticket(Attachment, col(Attachment.file_class) == FileClass.RECORDING.value).label("recorded"),
    ),
    lists=True,
)
"""What is on file of a ticket about to be archived, in one look: the elements of art. 14(9) that are not the ticket's own."""


def _what_is_kept(desk: Desk, case: Case) -> Any:
    """What is on file of the ticket."""
    # merged after it was dispatched, its own part was stopped: the parts and replies that count are the main ticket's
    merged = case.ticket.merged_into_id is not None and case.lead() is None
    source = case.ticket.merged_into_id if merged else case.ticket.id
    return _KEPT.first(desk.session, {"ticket": case.ticket.id, "source": source})


def _missing_elements(case: Case, kept: Any) -> list[str]:
    ticket = case.ticket
    known = ticket.first_receiver_id is not None or ticket.external_ref is not None
    elements = {
        "接线人员": known or ticket.state is State.WITHDRAWN
    }  # withdrawn online, nobody had taken it yet
    if ticket.state in (State.ANSWERED, State.REFUSED, State.TRANSFERRED):
        elements["办理结果"] = bool(ticket.outcome)
    if ticket.state is State.CLOSED:
        elements |= {
            "承办单位": kept.dispatched,
            "交办记录": kept.dispatched,  # no part is without the instant it was dispatched at
            "经办人员": not kept.unnamed,
            "办理结果": kept.replied,
            "回访记录": kept.concluded,
            "延期申请的审核结果": not kept.undecided,
        }
    return [name for name, present in elements.items() if not present]


def _keep_recordings(desk: Desk, case: Case) -> list[str]:
    recordings = desk.session.execute(
        select(Attachment).where(
            col(Attachment.ticket_id) == case.ticket.id, col(Attachment.file_class) == FileClass.RECORDING
        )
    ).scalars()
    limit = case.statute.limit(ClockKind.RECORDING_RETENTION, case.law_on)
    calendar = desk.office.calendars.of(case.ticket.platform_id)
    kept = []
    for recording in recordings:
        since = max(desk.at, recording.recorded_at or recording.added_at)
        recording.retain_until = due_of(limit, since, calendar).on
        desk.session.add(recording)
        kept.append(recording.retain_until.isoformat())
    return kept


def withdraw(desk: Desk, number: str, order: ReasonOrder) -> Case:
    """撤回 by the caller. A main ticket that carries other callers' demands goes on for them and can't be withdrawn."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    if carries_others(desk, case.ticket):
        raise OrderInvalid("该工单并有其他来电人的诉求，须继续办理，不能撤回；可在回访时注明来电人的意愿。")
    for part in case.open_parts():
        part.status, part.ended_at = AssignmentStatus.STOPPED, desk.at
    case.ticket.ended_at = desk.at
    return act(desk, case, Act.WITHDRAW, payload={"reason": order.reason})


def hand_over(desk: Desk, number: str, order: HandOverOrder) -> Case:
    """移交首接: the first receiver or a supervisor names another agent of the platform, with a reason (art. 14(1))."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    if Role.SUPERVISOR not in desk.actor.roles and case.ticket.first_receiver_id != desk.actor.id:
        raise AccessRefused("只有首接人员本人或督办主管可以移交首接。", article="14(1)")
    person = desk.session.execute(select(Person).where(col(Person.login) == order.to)).scalar_one_or_none()
    suited = person is not None and person.active and person.platform_id == case.ticket.platform_id
    if person is None or not suited or Role.AGENT.value not in person.roles:
        raise OrderInvalid("接手人须是本平台在岗的话务员。", article="14(1)", field="to")
    before, case.ticket.first_receiver_id = case.ticket.first_receiver_id, person.id
    return act(desk, case, Act.HAND_OVER, payload={"from": before, "to": person.id, "reason": order.reason})


# --- files (art. 14(9)) ------------------------------------------------------------------------------------------------


def attach(desk: Desk, number: str, order: AttachOrder, content: bytes) -> Attachment:
    """添加附件. The type is told by content. Raises `OrderInvalid`, `LimitExceeded` (field `file`)."""
    case = take_up(desk, number)
    if desk.actor.is_unit:
        own_part(desk, case, statuses=frozenset(AssignmentStatus))
    order = conceal(desk, case, order, hide=True)  # a file's name keeps no stars
    if order.recorded_at is not None and order.recorded_at > desk.at:
        raise OrderInvalid("录音时间晚于现在。", field="recorded_at")
    lock_bytes(desk.session, hashlib.sha256(content).hexdigest())
    blob = desk.office.blobs.put(content)
    sealed = not desk.actor.is_unit and caller_is_sealed(case.ticket)
    file = Attachment(
        ticket_id=case.ticket.id,
        unit_id=desk.actor.unit_id,
        audience=order.audience or (Audience.PLATFORM if sealed else Audience.ALL),
        file_class=order.file_class,
        name=file_name(order.name, blob.media_type),
        media_type=blob.media_type,
        size=blob.size,
        sha256=blob.sha256,
        added_by=desk.actor.name,
        added_at=desk.at,
        recorded_at=order.recorded_at if order.file_class is FileClass.RECORDING else None,
    )
    desk.session.add(file)
    desk.session.flush()
    payload: dict[str, Any] = {
        "attachment": file.id,
        "class": file.file_class.value,
        "sha256": file.sha256,
        "size": file.size,
        "audience": file.audience.value,
    }
    if file.unit_id is not None:
        payload["unit"] = file.unit_id
    act(desk, case, Act.ATTACH, payload=payload)
    return file


def hold_recording(desk: Desk, number: str, order: HoldOrder) -> Case:
    """保全录音: while held, a recording is not destroyed however old it is."""
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    file = desk.session.get(Attachment, order.attachment)
    if file is None or file.ticket_id != case.ticket.id or file.file_class is not FileClass.RECORDING:
        raise NotFound("该工单没有这份录音。", field="attachment")
    if file.destroyed_at is not None:
        raise OrderInvalid("该录音已按规定销毁。", article="14(9)", field="attachment")
    file.held = order.held
    return act(desk, case, Act.HOLD_RECORDING, payload=order.model_dump())


def keep_confidential(desk: Desk, number: str, order: ConfidentialOrder) -> Case:
    """为来电人保密: from now on units learn nothing of who the caller is (art. 15). Once given, it stays."""
    case = take_up(desk, number)
    if case.ticket.confidential:
        raise OrderInvalid("该工单已为来电人保密。", article="15")
    case.ticket.confidential = True
    hide_ticket(desk, case)
    text_search.note(desk.session, case.ticket)
    _keep_from_units(desk, case)
    order = conceal(desk, case, order)
    told = {"content_sha256": text_digest(case.ticket.title + "\n" + case.ticket.content)}
    return act(desk, case, Act.KEEP_CONFIDENTIAL, payload={"reason": order.reason} | told)


def _keep_from_units(desk: Desk, case: Case) -> None:
    """What the platform had filed is for its own staff from now on."""
    desk.session.execute(
        update(Attachment)
        .where(col(Attachment.ticket_id) == case.ticket.id, col(Attachment.unit_id).is_(None))
        .values(audience=Audience.PLATFORM)
    )


def file_of(desk: Desk, ticket: Ticket, attachment_id: int) -> tuple[Attachment, bytes]:
    """A ticket's attachment and its bytes. Raises `NotFound`, also for one destroyed and one this actor may not know of."""
    file = desk.session.get(Attachment, attachment_id)
    parts = desk.session.execute(select(Assignment).where(col(Assignment.ticket_id) == ticket.id)).scalars()
    if file is None or file.ticket_id != ticket.id or not sees_file(desk.actor, ticket, list(parts), file):
        told = "该工单没有这份附件。"
        raise (NotFound if file is None else OutOfSight)(told, field="attachment")
    if file.destroyed_at is not None:
        raise NotFound("该文件已按规定销毁。", article="14(9)", field="attachment")
    return file, desk.office.blobs.get(file.sha256)
