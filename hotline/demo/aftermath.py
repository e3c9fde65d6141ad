"""After the reply: review, supplement, callback, redo, knowledge, archive, and the flags and notices that come of bad work."""

from datetime import timedelta
from typing import Final

from sqlalchemy import select
from sqlmodel import col

from hotline import aftercare, casework, supervision
from hotline.access import Actor
from hotline.demo import corpus
from hotline.demo.life import Life, Story
from hotline.demo.organisation import Unit
from hotline.demo.shelf import Lesson
from hotline.models import AccountabilityNotice
from hotline.orders import (
    AnswerCitizenOrder,
    ArchiveOrder,
    AttachOrder,
    CallbackOrder,
    CoordinateOrder,
    DesignateOrder,
    FlagOrder,
    ReasonOrder,
    ReplyOrder,
    ReviewPassOrder,
    SendBackOrder,
    SignOrder,
    UpholdOrder,
)
from workflow.vocabulary import (
    CallbackOutcome,
    FileClass,
    Flag,
    KnowledgeOutcome,
    Matter,
    ReviewElement,
    Role,
    State,
)

_ALL_CHECKED: Final = ReviewPassOrder(elements=dict.fromkeys(ReviewElement, True))
_ANSWERED: Final = frozenset(
    {State.VERIFIED, State.DISSATISFIED, State.REDOING, State.CLOSED, State.ARCHIVED}
)
_LEARNABLE: Final = _ANSWERED | {State.REPLIED, State.SUPPLEMENTING}
_FLAGGABLE: Final = frozenset(State) - {
    State.PENDING_DECISION,
    State.REFUSED,
    State.ANSWERED,
    State.TRANSFERRED,
    State.MERGED,
    State.WITHDRAWN,
}


# --- review (art. 14(6)) ---------------------------------------------------------------------------------------------


def replied(life: Life, *, sent_back: int = 0) -> Story:
    """The reviewer checks the reply, sends a poor one back, and passes it on to the callback."""
    lead = life.lead
    assert lead is not None
    if life.meant(State.REPLIED):
        return
    yield life.pace.within(life.at, 0.4, 3 if life.quick else 9)
    poor = life.meant(State.SUPPLEMENTING) or life.chance(lead.nature.careless if sent_back < 2 else 0)
    if poor:
        yield from _supplemented(life, lead, sent_back)
        return
    life.act(life.someone(Role.REVIEWER), casework.review_pass, _ALL_CHECKED)
    if life.said.matter is Matter.INQUIRY and not life.learned:
        life.learned = True
        life.begin(_learned(life, lead))
    for child in life.children:
        if child.state is State.MERGED:
            child.begin(_told_of_main(child, life))
    yield from _called_back(life)


def _supplemented(life: Life, lead: Unit, sent_back: int) -> Story:
    element = life.dice.choice(list(ReviewElement))
    days = life.dice.choice((1, 2, 2, 3))
    order = SendBackOrder(findings={element: life.phrase("send_back", element.value)}, days=days)
    life.act(life.someone(Role.REVIEWER), casework.review_send_back, order)
    yield from _worked_again(life, lead, days, life.phrase("supplement_replies"))
    yield from replied(life, sent_back=sent_back + 1)


def _worked_again(life: Life, lead: Unit, days: int, content: str) -> Story:
    """The unit's second reply, within the working days it was given or a little late."""
    late = life.chance(lead.nature.late * 0.8)
    day = life.pace.working_day(
        life.at, days + life.dice.randint(1, 4) if late else life.dice.randint(1, days)
    )
    yield life.pace.on(day, life.at)
    order = ReplyOrder(
        content=content, citizen_answered_at=life.at - timedelta(minutes=life.dice.randint(5, 50))
    )
    life.act(life.dice.choice(lead.handlers), casework.reply, order)


# --- knowledge (art. 23) ---------------------------------------------------------------------------------------------


_OUTCOMES: Final = (KnowledgeOutcome.NO_CHANGE, KnowledgeOutcome.UPDATED, KnowledgeOutcome.SUBMITTED)


def _learned(life: Life, lead: Unit) -> Story:
    draw = life.dice.random()
    if draw < 0.05 + lead.nature.late / 3:
        return
    late = life.dice.random() < 0.06 + lead.nature.late
    day = life.pace.working_day(life.at, life.dice.randint(3, 7) if late else life.dice.randint(0, 2))
    yield life.pace.on(day, life.at)
    if life.state not in _LEARNABLE or life.lead is not lead:
        return
    outcome = life.dice.choices(_OUTCOMES, (4, 4, 2))[0]
    lesson = Lesson(life.said, outcome, life.phrase("knowledge_updates"), life.phrase("no_change_reasons"))
    life.act(life.dice.choice(lead.handlers), life.stage.shelf.learn, lesson)
    life.contended += 1


# --- callback and redo (art. 14(7)) ----------------------------------------------------------------------------------


def _called_back(life: Life, *, rounds: int = 0) -> Story:
    """Attempts on different days until somebody answers, at most three; then what they say takes its course."""
    lead = life.lead
    assert lead is not None
    days = life.dice.choices((0, 1, 2, 3, 6), (14, 34, 30, 18, 4))[0]
    day = life.pace.working_day(life.at, 1 if life.quick else days)
    unhappy = life.meant(State.DISSATISFIED, State.REDOING) or life.chance(
        lead.nature.resented if rounds == 0 else 0.2
    )
    caller_back = life.someone(Role.CALLBACK)
    for attempt in range(3):
        yield life.pace.on(day, life.at)
        if not life.chance(0.5 if attempt == 2 and not unhappy else 0.15):
            break
        order = CallbackOrder(outcome=CallbackOutcome.UNREACHABLE, remark=life.phrase("unreachable_remarks"))
        life.act(caller_back, aftercare.record_callback, order)
        if life.state is State.CLOSED:
            yield from archive(life)
            return
        day = life.pace.working_day(life.at, 1)
    else:
        return
    life.act(caller_back, aftercare.record_callback, _outcome(life, unhappy=unhappy))
    if life.is_now(State.DISSATISFIED):
        yield from _dissatisfied(life, lead, rounds)
    else:
        yield from archive(life)


def _outcome(life: Life, *, unhappy: bool) -> CallbackOrder:
    if unhappy:
        complaint = life.phrase("dissatisfaction_reasons")
        return CallbackOrder(outcome=CallbackOutcome.DISSATISFIED, solved=False, remark=complaint)
    draw = life.dice.random()
    if draw < 0.03:
        return CallbackOrder(outcome=CallbackOutcome.REFUSED_TO_SAY, remark="来电人不愿评价。")
    remark = life.phrase("callback_remarks") if life.dice.random() < 0.6 else None
    if draw < 0.22:
        solved = life.dice.random() < 0.8
        return CallbackOrder(outcome=CallbackOutcome.BASICALLY_SATISFIED, solved=solved, remark=remark)
    return CallbackOrder(outcome=CallbackOutcome.SATISFIED, solved=life.dice.random() < 0.97, remark=remark)


def _dissatisfied(life: Life, lead: Unit, rounds: int) -> Story:
    yield life.pace.within(life.at, 1, 4 if life.quick else 11)
    reviewer = life.someone(Role.REVIEWER)
    upheld = life.meant(State.REDOING) or life.dice.random() < (0.66 if rounds < 2 else 0)
    if not upheld:
        reason = ReasonOrder(reason=life.phrase("dismiss_reasons"))
        life.act(reviewer, aftercare.dismiss_dissatisfaction, reason)
        yield from archive(life)
        return
    days = life.dice.choice((3, 5, 5, 7, 10))
    if life.chance(0.06) and life.visit.main is None:
        yield from _taken_to_coordination(life, lead, days)
    else:
        order = UpholdOrder(reason=life.phrase("uphold_reasons"), days=days)
        life.act(reviewer, aftercare.uphold_dissatisfaction, order)
    if life.chance(0.2 + lead.nature.resented):
        yield life.at + life.pace.minutes(2, 20)
        flag = life.dice.choice((Flag.FALSE_REPORT, Flag.BAD_ATTITUDE, Flag.BUCK_PASSING))
        yield from flagged(life, reviewer, flag)
    yield from _worked_again(life, lead, days, life.said.redo_reply)
    yield from _passed_again(life, rounds + 1)


def _taken_to_coordination(life: Life, lead: Unit, days: int) -> Story:
    """A dissatisfaction that one unit alone cannot settle: coordinated, then designated as a redo (art. 18)."""
    supervisor = life.someone(Role.SUPERVISOR)
    life.act(supervisor, casework.coordinate, CoordinateOrder(note=life.phrase("coordination_notes")))
    yield life.pace.within(life.at, 4, 12)
    basis = life.phrase("designation_bases")
    life.coordinated = True
    life.act(supervisor, casework.designate, DesignateOrder(lead=lead.code, basis=basis, days=days))
    yield life.pace.within(life.at, 1, 5)
    life.act(life.dice.choice(lead.handlers), casework.sign, SignOrder())


def _passed_again(life: Life, rounds: int) -> Story:
    yield life.pace.within(life.at, 0.4, 8)
    life.act(life.someone(Role.REVIEWER), casework.review_pass, _ALL_CHECKED)
    yield from _called_back(life, rounds=rounds)


def _told_of_main(life: Life, main: Life) -> Story:
    """A merged caller gets the main ticket's answer and a callback of their own."""
    life.lead = main.lead
    yield life.pace.on(life.pace.working_day(life.at, life.dice.randint(0, 3)), life.at)
    if not life.is_now(State.MERGED) or main.state not in _ANSWERED:
        return
    caller_back = life.someone(Role.CALLBACK)
    remark = AnswerCitizenOrder(remark="已将主单办理结果告知该来电人。")
    life.act(caller_back, casework.answer_citizen, remark)
    yield life.at + life.pace.minutes(1, 4)
    if main.state not in _ANSWERED:
        return
    unhappy = life.chance(0.08)
    life.act(caller_back, aftercare.record_callback, _outcome(life, unhappy=unhappy))
    if life.is_now(State.DISSATISFIED) and life.lead is not None:
        yield from _dissatisfied(life, life.lead, 0)
    else:
        yield from archive(life)


# --- archive (art. 14(9)) --------------------------------------------------------------------------------------------


def archive(life: Life) -> Story:
    """Filed by the first receiver some days later; a few are forgotten for weeks."""
    if life.meant(State.CLOSED, State.ANSWERED, State.REFUSED, State.TRANSFERRED, State.WITHDRAWN):
        return
    reason: str | None = None
    days = life.dice.choices((1, 2, 3, 5, 24), (34, 30, 20, 12, 4))[0]
    yield life.pace.on(life.pace.working_day(life.at, days), life.at)
    agent = life.receiver or life.someone(Role.AGENT)
    if life.coordinated:
        reason = "协调通过电话进行，未形成书面材料。"
        if life.dice.random() < 0.5:
            file = AttachOrder(file_class=FileClass.LEGAL_BASIS, name="职责依据摘录.pdf")
            life.act(agent, aftercare.attach, file, corpus.pdf_file(life.number))
            yield life.at + life.pace.minutes(1, 5)
            reason = None
    if life.chance(0.01) and life.lead is not None and life.state is State.CLOSED:
        file = AttachOrder(file_class=FileClass.RESULT, name="办理结果告知单.pdf")
        life.act(agent, aftercare.attach, file, corpus.pdf_file(life.number))
        yield life.at + life.pace.minutes(1, 5)
    life.act(agent, aftercare.archive, ArchiveOrder(no_material_reason=reason))


# --- flags and notices (art. 14(8), 34, 35) --------------------------------------------------------------------------


def flagged(life: Life, actor: Actor, flag: Flag) -> Story:
    """The unit's conduct is flagged; what becomes a notice, the unit answers in a week or not at all.

    The province's platform flags only its own units, so that no two workers of a fill ever wait for each other.
    """
    lead = life.lead
    if lead is None or life.state not in _FLAGGABLE or lead.platform != life.home.code:
        return
    order = FlagOrder(flag=flag, explanation=life.phrase("flags", flag.value), unit=lead.code)
    life.act(actor, supervision.flag, order)
    life.contended += 1
    notice = life.stage.session.execute(
        select(col(AccountabilityNotice.id)).where(
            col(AccountabilityNotice.unit_id) == lead.id, col(AccountabilityNotice.issued_at) == life.at
        )
    ).scalar_one_or_none()
    if notice is not None:
        life.begin(_notice_answered(life, lead, notice))
    yield from ()


def _notice_answered(life: Life, lead: Unit, notice: int) -> Story:
    if life.dice.random() < 0.35:
        return
    yield life.pace.on(life.pace.working_day(life.at, life.dice.randint(2, 7)), life.at)
    life.answer_notice(lead.lead, notice, ReasonOrder(reason=life.phrase("accountability_answers")))
