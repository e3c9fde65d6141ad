"""The units' work: dispatched, signed, returned, coordinated, converted, extended, answered; beside it co-units and reminders."""

from collections.abc import Generator
from datetime import date, datetime
from typing import Final

from hotline import aftercare, casework, extensions, intake, supervision
from hotline.demo import aftermath, corpus
from hotline.demo.life import Life, Story
from hotline.demo.organisation import PROVINCE, Unit
from hotline.orders import (
    AnswerCitizenOrder,
    AttachOrder,
    ConfidentialOrder,
    ConvertOrder,
    CoordinateOrder,
    DesignateOrder,
    DispatchOrder,
    ExtensionApproval,
    ExtensionNotice,
    ExtensionOrder,
    ExtensionRefusal,
    ProgressOrder,
    ReleaseOrder,
    RemindOrder,
    ReplyOrder,
    ReportUpOrder,
    ReturnDecision,
    ReturnOrder,
    SignOrder,
)
from workflow.deadlines import local_day
from workflow.vocabulary import ClockKind, FileClass, Flag, Level, Matter, ReminderForm, Role, State

_OPEN: Final = (State.DISPATCHED, State.HANDLING)
_TELLABLE: Final = frozenset(
    {State.DISPATCHED, State.HANDLING, State.REPLIED, State.SUPPLEMENTING, State.VERIFIED, State.DISSATISFIED}
    | {State.REDOING, State.CLOSED, State.COORDINATING, State.ACCEPTED, State.RETURN_PROPOSED}
)
_INSTRUCTIONS: Final = (
    None,
    None,
    "请核实情况，依法依规办理，并将结果答复来电人。",
    "请先与来电人联系，再到现场查看，按期反馈。",
    "涉及群众基本生活，请优先办理。",
)


# --- whose work it is ------------------------------------------------------------------------------------------------


def _right_unit(life: Life) -> Unit:
    """The unit that will really do it: the department, sometimes the county or town concerned."""
    home, said, dice = life.home, life.said, life.dice
    if home.code == PROVINCE:
        below = [h for h in life.stage.hotlines.values() if h.parent and said.area.startswith(h.area[:4])]
        if below and dice.random() < 0.55:
            unit = below[0].department(said.duty)
            if unit.level is Level.PREFECTURE:
                return unit
        return home.department(said.duty)
    near = home.locals_of(said.duty, said.area)
    if near and dice.random() < 0.3:
        return dice.choice(near)
    return home.department(said.duty)


def _wrong_unit(life: Life, right: Unit) -> Unit:
    """A department of the same platform that the matter was mistaken for."""
    confused = [g["from"] for g in life.stage.corpus.phrases["return_grounds"] if g["to"] == life.said.duty]
    for duty in (*confused, "urban_management", "housing", "labour", "civil_affairs"):
        unit = life.home.department(duty)
        if unit.id != right.id and unit.duty == duty:
            return unit
    return life.home.units[life.home.fallback]


def _co_units(life: Life, lead: Unit) -> tuple[Unit, ...]:
    """The enterprise the department is in charge of, or another unit, to work alongside."""
    if life.quick or life.said.matter in (Matter.INQUIRY, Matter.TIPOFF):
        return ()
    under = life.home.under(lead)
    if under and life.dice.random() < 0.3:
        return (life.dice.choice(under),)
    if life.dice.random() < 0.07:
        other = _wrong_unit(life, lead)
        return (other,) if other.id != lead.id else ()
    return ()


# --- dispatch and return (art. 14(3)(4), 18) ---------------------------------------------------------------------------


def dispatched(life: Life) -> Story:
    """From the dispatcher's desk on; misdirected tickets come back and go out again."""
    right = _right_unit(life)
    returns = _returns(life)
    if life.meant(State.COORDINATING) or life.chance(0.01):
        yield from _reported_up(life, right)
        return
    while returns:
        returns -= 1
        wrong = _wrong_unit(life, right)
        if wrong.id == right.id:
            break
        yield from _dispatch(life, wrong, ())
        yield from _returned(life, wrong, right)
        if life.state is State.COORDINATING:
            yield from _designated(life, right)
            return
    co_units = _co_units(life, right)
    yield from _dispatch(life, right, co_units)
    yield from _kept_confidential(life)
    if not co_units and life.chance(0.02 + right.nature.careless / 8):
        yield from _improperly_returned(life, right)
    yield from handled(life)


def _returns(life: Life) -> int:
    if life.meant(State.RETURN_PROPOSED):
        return 1
    return life.dice.choices((0, 1, 2, 3), (948, 42, 6, 4))[0] if not life.quick else 0


def _dispatch(life: Life, lead: Unit, co_units: tuple[Unit, ...], emergency: int | None = None) -> Story:
    if emergency is not None or life.quick:
        yield life.at + life.pace.minutes(4, 18)
    elif life.chance(0.02):
        yield life.at + life.pace.minutes(25 * 60, 40 * 60)
    else:
        yield life.pace.at_platform(life.at, 5, 330)
    inquiring = life.said.matter in (Matter.INQUIRY, Matter.HELP)
    order = DispatchOrder(
        lead=lead.code,
        co_units=tuple(unit.code for unit in co_units),
        instruction=life.dice.choice(_INSTRUCTIONS),
        complex=inquiring and life.chance(0.03),
        emergency=emergency,
    )
    life.lead = lead
    life.act(life.someone(Role.DISPATCHER), casework.dispatch, order)
    life.helping = {unit.id for unit in co_units}
    for unit in co_units:
        life.begin(_helped(life, unit))


def _kept_confidential(life: Life) -> Story:
    """A complainant calls again, afraid that the unit learns who they are (art. 15)."""
    assert life.case is not None
    if life.said.matter is not Matter.COMPLAINT or life.case.ticket.confidential or not life.chance(0.06):
        return
    yield life.at + life.pace.minutes(3, 40)
    if life.case.ticket.confidential or life.state not in _TELLABLE:
        return
    order = ConfidentialOrder(reason="来电人担心被反映的单位得知身份，要求为其保密。")
    life.act(life.someone(Role.AGENT), aftercare.keep_confidential, order)


def dispatched_in_emergency(life: Life, crisis: int) -> Story:
    """Past the levels, straight to the county, town or village concerned (art. 17)."""
    area = life.said.area
    below = [h for h in life.stage.hotlines.values() if h.parent and area.startswith(h.area[:4])]
    homes = below if life.home.code == PROVINCE else [life.home]
    near = [unit for home in homes for unit in home.locals_of("government", area)]
    lead = life.dice.choice(near) if near else _right_unit(life)
    yield from _dispatch(life, lead, (), life.stage.emergencies[crisis])
    yield from handled(life)


def _returned(life: Life, wrong: Unit, right: Unit) -> Story:
    yield life.pace.within(life.at, 0.5, 3 if life.quick else 6.5)
    if life.dice.random() < 0.5:
        life.act(wrong.handlers[0], casework.sign, SignOrder())
        yield life.at + life.pace.minutes(5, 40)
    grounds = life.dice.choice(
        (
            f"经核对本单位权责清单，该事项由{right.name}负责，本单位没有相应的管理和执法职责。",
            f"该事项的主管部门为{right.name}，机构改革时有关职责未划入本单位，附职责分工文件。",
            f"经联系来电人核实，诉求属{right.name}职责范围，本单位无法办理。",
        )
    )
    suggestion = f"建议改派{right.name}办理。"
    known = right.code if right.platform == wrong.platform else None
    life.act(
        wrong.lead,
        casework.propose_return,
        ReturnOrder(grounds=grounds, suggestion=suggestion, suggested_unit=known),
    )
    yield life.pace.at_platform(life.at, 30, 600)
    reason = life.dice.choice(
        (
            "经核对部门权责清单，该事项确不属于原承办单位职责，改派意见明确，同意退单。",
            "退单在一个工作日内提出，依据和改派意见齐全，经审核同意。",
            "派单时对职责划分判断有误，同意退单并改派。",
        )
    )
    life.act(life.someone(Role.DISPATCHER), casework.uphold_return, ReturnDecision(reason=reason))


def _improperly_returned(life: Life, unit: Unit) -> Story:
    """A unit returns what is its own; the dispatcher rejects it, and may flag it (art. 14(4)(8))."""
    yield life.pace.within(life.at, 1, 6.5)
    order = ReturnOrder(
        grounds=life.phrase("improper_return_grounds"), suggestion="请平台另行研究改派其他单位办理。"
    )
    life.act(unit.lead, casework.propose_return, order)
    yield life.pace.at_platform(life.at, 40, 500)
    dispatcher = life.someone(Role.DISPATCHER)
    reason = "该事项属本单位职责，退单理由不成立，驳回退单，请继续办理，时限不变。"
    life.act(dispatcher, casework.reject_return, ReturnDecision(reason=reason))
    if life.dice.random() < 0.5:
        yield life.at + life.pace.minutes(1, 9)
        yield from aftermath.flagged(life, dispatcher, Flag.IMPROPER_RETURN)


# --- coordination (art. 14(3), 18) -----------------------------------------------------------------------------------


def _reported_up(life: Life, right: Unit) -> Story:
    yield life.pace.at_platform(life.at, 20, 240)
    order = ReportUpOrder(reason="诉求涉及多个部门，职责划分不清，报请协调明确牵头单位。")
    life.act(life.someone(Role.DISPATCHER), intake.report_up, order)
    yield from _designated(life, right)


def _designated(life: Life, lead: Unit) -> Story:
    """The supervisor, at times the province's, settles with the units concerned who leads."""
    yield life.pace.within(life.at, 5, 20)
    parent = life.stage.hotlines.get(life.home.parent or "")
    chair = parent if parent is not None and life.dice.random() < 0.25 else life.home
    order = DesignateOrder(
        lead=lead.code,
        basis=life.phrase("designation_bases"),
        instruction="请牵头单位会同有关单位提出处理意见，按期反馈。",
    )
    life.lead, life.coordinated, life.helping = lead, True, set()
    life.act(chair.one(Role.SUPERVISOR, life.dice), casework.designate, order)
    yield from handled(life)


def _coordinated(life: Life, lead: Unit) -> Story:
    """A ticket stuck at its unit is taken to coordination and comes back to it with a mandate."""
    yield life.pace.within(life.at, 4, 12)
    if life.state not in _OPEN:
        return
    note = CoordinateOrder(note=life.phrase("coordination_notes"), participants=(lead.name,))
    life.act(life.someone(Role.SUPERVISOR), casework.coordinate, note)
    if life.dice.random() < 0.5:
        yield life.at + life.pace.minutes(60, 200)
        file = AttachOrder(file_class=FileClass.MEETING, name="协调会议纪要.pdf")
        life.act(life.someone(Role.SUPERVISOR), aftercare.attach, file, corpus.pdf_file(life.number))
    yield life.pace.within(life.at, 3, 12)
    order = DesignateOrder(lead=lead.code, basis=life.phrase("designation_bases"))
    life.coordinated, life.helping = True, set()
    life.act(life.someone(Role.SUPERVISOR), casework.designate, order)


# --- the unit at work (art. 14(4)(5)) --------------------------------------------------------------------------------


def handled(life: Life) -> Story:
    """The lead unit signs, works and answers, in time or late; then the platform's turn."""
    lead = life.lead
    assert lead is not None
    clock = life.clock(ClockKind.REPLY, lead)
    opened_at, days, due_on = clock.opened_at, clock.length, clock.due_on
    late = life.chance(lead.nature.late)
    if life.state is State.DISPATCHED:
        yield life.pace.within(life.at, 0.2, 14 if late else 4)
        life.act(life.dice.choice(lead.handlers), casework.sign, SignOrder())
    if life.chance(0.012) and days >= 5:
        yield from _coordinated(life, lead)
    if days == 2 and life.chance(0.4 if late else 0.1):
        due_on = yield from _converted(life, lead, opened_at, due_on)
        days, late = 5, late and life.dice.random() < 0.5
    if days >= 5 and life.chance(0.14):
        yield from _progressed(life, lead)
    if life.chance(0.42 if late else 0.022):
        due_on, late = yield from _extended(life, lead, due_on)
        answer_on = life.pace.calendar.add(due_on, _days_late(life, lead)) if late else due_on
    else:
        if late:
            life.begin(_chased(life, lead, due_on))
        answer_on = _answer_day(life, lead, opened_at, days, due_on, late=late)
    yield from answered(life, lead, answer_on)


def _answer_day(life: Life, lead: Unit, opened_at: datetime, days: int, due_on: date, *, late: bool) -> date:
    if life.quick:
        return life.pace.working_day(opened_at, 1)
    if late:
        return life.pace.calendar.add(due_on, _days_late(life, lead))
    share = life.dice.triangular(0.15, 1.0, 0.8)
    return life.pace.working_day(opened_at, max(1, min(days, round(share * days))))


def _days_late(life: Life, lead: Unit) -> int:
    days = 1
    while days < 30 and life.dice.random() < 0.45 + lead.nature.late * 0.75:
        days += 1
    return days if life.dice.random() > lead.nature.late / 6 else days + 40


def _converted(life: Life, lead: Unit, opened_at: datetime, due_on: date) -> Generator[datetime, None, date]:
    at = life.pace.within(life.at, 0.5, 7)
    if local_day(at) > due_on:
        return due_on
    yield at
    if life.state not in _OPEN:
        return due_on
    life.act(
        lead.handlers[0], casework.convert_to_complex, ConvertOrder(reason=life.phrase("conversion_reasons"))
    )
    return life.pace.working_day(opened_at, 5)


def _progressed(life: Life, lead: Unit) -> Story:
    yield life.pace.within(life.at, 5, 16)
    if life.state in _OPEN:
        word = life.dice.choice(
            (
                "已与来电人取得联系，正在核实有关情况。",
                "已安排人员到现场查看，形成初步意见后反馈。",
                "已要求有关方面限期提交材料，正在核对。",
            )
        )
        life.act(life.dice.choice(lead.handlers), casework.report_progress, ProgressOrder(content=word))


def _extended(life: Life, lead: Unit, due_on: date) -> Generator[datetime, None, tuple[date, bool]]:
    """Asks for more time on the due day or the day before; what is due in the end, and whether the answer will be late."""
    asked_on = due_on if life.dice.random() < 0.6 else life.pace.before(due_on)
    yield life.pace.on(asked_on, life.at)
    if local_day(life.at) > due_on or life.state not in _OPEN:
        return due_on, True
    days = life.dice.choice((3, 5, 5, 7, 10))
    reason = life.dice.choice(("complex", "difficult", "many_parties", "hard_to_verify", "objective"))
    order = ExtensionOrder(reason=reason, explanation=life.phrase("extensions", reason), days=days)
    life.act(lead.lead, extensions.request_extension, order)
    yield life.pace.within(life.at, 0.5, 9)
    supervisor = life.someone(Role.SUPERVISOR)
    if life.dice.random() < 0.24 + lead.nature.late / 2:
        refusal = ExtensionRefusal(reason=life.phrase("extension_refused_reasons"))
        life.act(supervisor, extensions.refuse_extension, refusal)
        return due_on, True
    granted = days if life.dice.random() < 0.75 else max(2, days - 2)
    approval = ExtensionApproval(days=granted, reason=life.phrase("extension_approved_reasons"))
    life.act(supervisor, extensions.approve_extension, approval)
    life.begin(_told(life))
    longer = life.pace.calendar.add(due_on, granted)
    if life.dice.random() < lead.nature.late:
        return longer, True
    return life.pace.calendar.add(due_on, life.dice.randint(max(1, granted - 3), granted)), False


def _told(life: Life) -> Story:
    """The caller is told of the extension, or cannot be reached, or nobody tries (art. 14(5))."""
    for attempt in range(2):
        if life.dice.random() < 0.09:
            return
        yield life.pace.within(life.at, 0.3, 7)
        if life.state not in _TELLABLE:
            return
        reached = life.dice.random() < 0.85
        remark = life.phrase("extension_notices") if reached else life.phrase("unreachable_remarks")
        order = ExtensionNotice(reached=reached, remark=remark)
        life.act(life.someone(Role.CALLBACK if attempt else Role.AGENT), extensions.notify_extension, order)
        if reached:
            return


def answered(life: Life, lead: Unit, answer_on: date) -> Story:
    """The unit answers the citizen and reports back: mostly at one time, sometimes one before the other (art. 14(4))."""
    yield life.pace.on(answer_on, life.at)
    handler = life.dice.choice(lead.handlers)
    how = life.dice.random()
    told_at: datetime | None = max(life.at - life.pace.minutes(6, 100), life.told_since)
    if how < 0.06:
        order = AnswerCitizenOrder(answered_at=told_at, remark="已电话答复来电人。")
        life.act(handler, casework.answer_citizen, order)
        yield life.pace.within(life.at, 0.3, 4)
        told_at = None
    elif how < 0.12:
        told_at = None
    life.act(handler, casework.reply, ReplyOrder(content=life.said.reply, citizen_answered_at=told_at))
    if how >= 0.06 and told_at is None:
        yield life.pace.within(life.at, 0.3, 5)
        life.act(handler, casework.answer_citizen, AnswerCitizenOrder(remark="已补充答复来电人。"))
    if life.is_now(State.REPLIED):
        yield from aftermath.replied(life)


# --- co-units and reminders (art. 14(3)(8)) ---------------------------------------------------------------------------


def _helped(life: Life, unit: Unit) -> Story:
    """A co-unit signs and reports for itself; one that keeps everybody waiting may be released."""
    clock = life.clock(ClockKind.REPLY, unit)
    opened_at, days, due_on = clock.opened_at, clock.length, clock.due_on
    yield life.pace.within(life.at, 0.4, 8)
    if unit.id not in life.helping:
        return
    handler = life.dice.choice(unit.handlers)
    life.act(handler, casework.sign, SignOrder())
    late = life.chance(unit.nature.late)
    yield life.pace.on(_answer_day(life, unit, opened_at, days, due_on, late=late), life.at)
    if unit.id not in life.helping or life.state not in _OPEN:
        return
    life.helping.discard(unit.id)
    if late and life.dice.random() < 0.4:
        order = ReleaseOrder(unit=unit.code, reason="牵头单位已可独立办结，免除该单位协办。")
        life.act(life.someone(Role.DISPATCHER), casework.release_unit, order)
    else:
        content = f"我单位已按牵头单位要求完成配合工作，有关情况已报{life.lead.name if life.lead else '牵头单位'}汇总。"
        life.act(handler, casework.reply, ReplyOrder(content=content))
    if life.is_now(State.REPLIED):
        yield from aftermath.replied(life)


def _chased(life: Life, lead: Unit, due_on: date) -> Story:
    """A late unit is reminded by a person, and flagged where it still does nothing."""
    forms = (ReminderForm.SMS, ReminderForm.WRITTEN_NOTICE, ReminderForm.ON_SITE)
    for number, form in enumerate(forms):
        yield life.pace.on(life.pace.calendar.add(due_on, 1 + 3 * number), life.at)
        if life.state not in _OPEN or life.lead is not lead or not life.owes(lead):
            return
        if life.dice.random() < 0.5:
            order = RemindOrder(form=form, content=life.phrase("reminders"), unit=lead.code)
            life.act(life.someone(Role.SUPERVISOR), supervision.remind, order)
        if number and life.dice.random() < 0.4:
            yield life.at + life.pace.minutes(2, 30)
            if life.state in _OPEN and life.owes(lead):
                yield from aftermath.flagged(life, life.someone(Role.DISPATCHER), Flag.OVERDUE)
