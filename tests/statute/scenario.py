"""The lawyers' scenarios (经过): each step done through the real services on real PostgreSQL, with its time passed in.

A case runs on one connection inside one transaction that is rolled back at its end, each step in its own session and
savepoint; so cases share a database and never meet.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Connection, select
from sqlmodel import Session, col

from api.acts import ACT_ROUTES
from calendar_cn.arrangements import parse_arrangement
from hotline import aftercare, certificates, intake, ledger, notices, orders, supervision
from hotline.access import SYSTEM, Actor
from hotline.case import Desk, Office
from hotline.models import (
    AccountabilityNotice,
    Assignment,
    Attachment,
    Clock,
    Extension,
    LedgerEntry,
    Reply,
    Ticket,
)
from hotline.organisation import OrgUnit, Person
from tests import world as w
from tests.statute.casebook import (
    CHINA,
    CaseInvalid,
    LegalCase,
    Unmet,
    check,
    check_error,
    clock_kind,
    day,
    moment,
    only,
    word,
    yes,
)
from workflow.errors import OrderInvalid, RuleBroken
from workflow.vocabulary import (
    Act,
    AssignmentStatus,
    CallbackOutcome,
    Channel,
    Episode,
    FileClass,
    Flag,
    KnowledgeOutcome,
    Matter,
    ReminderForm,
    ReviewElement,
    Role,
    State,
    TransferTarget,
)

PEOPLE = {
    "话务员": "agent",
    "话务员乙": "agent2",
    "派单员": "dispatcher",
    "审核员": "reviewer",
    "回访员": "callback",
    "督办主管": "supervisor",
    "审计员": "auditor",
    "省话务员": "p-agent",
    "省派单员": "p-dispatcher",
    "省督办主管": "p-supervisor",
    "住建局负责人": "ZJJ-lead",
}
UNITS = {
    "住建局": "ZJJ",
    "交通局": "JTJ",
    "城管局": "CGJ",
    "县政府": "HZQ",
    "镇政府": "DBZ",
    "供热公司": "HEAT",
    "学院": "SCHOOL",
    "省交通厅": "SJT",
    "二市住建局": "HDJ",
}
AREAS = {"本县": w.AREA, "本市": "630100000000", "邻市": "630200000000", "外省": "110101000000"}
BIRTHS = {Act.REGISTER, Act.ACCEPT, Act.REFUSE, Act.ANSWER_AT_ONCE, Act.TRANSFER, Act.REPORT_UP}
DECISIONS: dict[Act, type[orders.Order]] = {
    Act.REGISTER: orders.RegisterOrder,
    **{route.act: route.order for route in ACT_ROUTES if route.act in BIRTHS},
}
COMMANDS: dict[Act, tuple[Callable[..., Any], type[orders.Order]]] = {
    route.act: (route.command, route.order) for route in ACT_ROUTES
}
DEMAND = {"性质": "matter", "渠道": "channel", "接通": "received_at", "区域": "area", "通话": "call_id"} | {
    "外部编号": "external_ref",
    "诉求": "title",
}
FIELDS = {
    "牵头": "lead",
    "协办": "co_units",
    "要求": "instruction",
    "派单依据": "legal_basis",
    "复杂": "complex",
    "应急": "emergency",
    "权责依据": "basis",
    "退单依据": "grounds",
    "改派意见": "suggestion",
    "建议单位": "suggested_unit",
    "天数": "days",
    "事由": "reason",
    "理由": "reason",
    "说明": "explanation",
    "引导": "guidance",
    "情形": "ground",
    "去向": "target",
    "去向名称": "target_name",
    "答复内容": "answer",
    "知识版本": "knowledge_version",
    "内容": "content",
    "单位": "unit",
    "解决": "solved",
    "意见": "remark",
    "告知到": "reached",
    "形式": "form",
    "标记": "flag",
    "知识": "article",
    "接手人": "to",
    "并入": "into",
    "问题": "findings",
    "要素": "elements",
    "材料": "no_material_reason",
    "议题": "note",
    "签收人": "signed_by",
}
PER_ACT = {
    (Act.REPLY, "答复时间"): "citizen_answered_at",
    (Act.REPLY, "经办人"): "handled_by",
    (Act.ANSWER_CITIZEN, "答复时间"): "answered_at",
    (Act.DECIDE, "认定为"): "outcome",
    (Act.RECORD_CALLBACK, "结果"): "outcome",
    (Act.UPDATE_KNOWLEDGE, "结果"): "outcome",
}
DEFAULTS: dict[Act, dict[str, Any]] = {
    Act.REFUSE: {"explanation": "该事项不属于热线受理范围。", "guidance": "请向有权机关反映。"},
    Act.ANSWER_AT_ONCE: {"answer": "身份证补领可在任一派出所户籍窗口办理。"},
    Act.TRANSFER: {"explanation": "已三方通话转接。"},
    Act.REPORT_UP: {"reason": "首接人员无法认定。"},
    Act.DECIDE: {"reason": "经研究认定。"},
    Act.PROPOSE_RETURN: {
        "grounds": "该路段不由我单位管养。",
        "suggestion": "建议改派交通运输部门。",
    },
    Act.UPHOLD_RETURN: {"reason": "依据充分。"},
    Act.REJECT_RETURN: {"reason": "属于你单位职责。"},
    Act.CONVERT_TO_COMPLEX: {"reason": "需现场勘查后答复。"},
    Act.REQUEST_EXTENSION: {"reason": "complex", "explanation": "涉及三家产权单位，正在协调。"},
    Act.REFUSE_EXTENSION: {"reason": "理由不充分。"},
    Act.NOTIFY_EXTENSION: {"reached": True, "remark": "已电话告知延期原因。"},
    Act.REPORT_PROGRESS: {"content": "已安排抢修。"},
    Act.REPLY: {"content": "经现场核实，已更换阀门，室温恢复至20度。"},
    Act.RELEASE_UNIT: {"reason": "无需继续协办。"},
    Act.REVIEW_PASS: {"elements": {element.value: True for element in ReviewElement}},
    Act.REVIEW_SEND_BACK: {"findings": {"content": "未说明具体措施。"}},
    Act.UPHOLD_DISSATISFACTION: {"reason": "问题确未解决。"},
    Act.DISMISS_DISSATISFACTION: {"reason": "已依法办结并明确答复。"},
    Act.MERGE: {"reason": "同一小区同一问题。"},
    Act.WITHDRAW: {"reason": "来电人表示问题已解决。"},
    Act.HAND_OVER: {"reason": "原首接人员休假。"},
    Act.COORDINATE: {"note": "召集住建、城管会商。"},
    Act.DESIGNATE: {"basis": "依据部门权责清单。"},
    Act.REMIND: {"form": "network", "content": "请尽快办理。"},
    Act.FLAG: {"explanation": "多次以同一理由推诿。"},
    Act.HOLD_RECORDING: {"held": True, "reason": "涉及行政复议。"},
}
_WORDS: dict[str, Any] = {
    "channel": Channel,
    "matter": Matter,
    "target": TransferTarget,
    "form": ReminderForm,
    "flag": Flag,
}
_EXTENSION_REASONS = {
    "事项情况复杂": "complex",
    "办理难度大": "difficult",
    "涉及多方主体": "many_parties",
    "核实处理困难": "hard_to_verify",
    "其他客观原因": "objective",
}
_DECIDED = {"受理": "accept", "不予受理": "refuse", "转接": "transfer"}


@dataclass
class Run:
    """One scenario under way: its connection, its office, and its tickets by their names in the case."""

    world: w.World
    connection: Connection
    office: Office
    numbers: dict[str, str] = field(default_factory=dict)
    emergencies: dict[str, int] = field(default_factory=dict)
    at: datetime | None = None
    expectations: int = 0

    def session(self) -> Session:
        return Session(self.connection, join_transaction_mode="create_savepoint")

    def actor(self, session: Session, who: str) -> Actor:
        if who == "系统":
            return SYSTEM
        home = self.world.platforms["01"]
        if who == "来电人":
            return Actor("citizen", None, "来电人", frozenset({Role.CITIZEN}), home, None, frozenset({home}))
        if who == "对接平台":
            roles = frozenset({Role.AGENT, Role.DISPATCHER})
            return Actor("platform_machine", 1, "对接平台", roles, home, None, frozenset({home}))
        login = PEOPLE.get(who) or UNITS.get(who)
        if login is None:
            raise CaseInvalid(f"没有这个人或单位：{who}")
        return self.world.actor(session, login)

    def ticket(self, session: Session, name: str) -> Ticket:
        if name not in self.numbers:
            raise CaseInvalid(f"工单“{name}”尚未登记")
        found: Ticket = session.execute(
            select(Ticket).where(col(Ticket.number) == self.numbers[name])
        ).scalar_one()
        return found


def run(case: LegalCase, world: w.World) -> int:
    """Play one scenario and verify its tickets' ledger chains. Returns how many expectations were compared."""
    if not isinstance(case.content, list) or not case.content:
        raise CaseInvalid(f"{case.name}：经过应为若干步骤")
    with world.engine.connect() as connection:
        outer = connection.begin()
        try:
            play = Run(world, connection, Office(world.office.sealer, world.office.blobs))
            for step in case.content:
                _step(play, step)
            if not play.expectations:
                raise CaseInvalid(f"{case.name}：经过中没有任何“此时”或“不成”")
            _verify_chains(play)
            return play.expectations
        finally:
            outer.rollback()


def _verify_chains(play: Run) -> None:
    with play.session() as session:
        for name in play.numbers:
            ticket = play.ticket(session, name)
            entries = ledger.entries_of(session, ticket.id)
            breaks = ledger.verify(ticket.number, ticket.ledger_head, ticket.ledger_seq, entries)
            if breaks or not entries:
                raise Unmet(f"工单“{name}”的台账不完整：{breaks}")


# --- steps ---------------------------------------------------------------------------------------------------------------


def _step(play: Run, step: Any) -> None:
    if isinstance(step, str):
        line, content = step, None
    elif isinstance(step, Mapping) and len(step) == 1:
        line, content = next(iter(step.items()))
    else:
        raise CaseInvalid(f"步骤应为“时间 谁 做什么: 内容”：{step!r}")
    if line == "此时":
        _expect(play, content)
        return
    at, who, what = _line(play, line)
    if play.at is not None and at < play.at:
        raise CaseInvalid(f"步骤的时间倒退了：{line}")
    play.at = at
    words = dict(content or {})
    refused = words.pop("不成", None)
    before = _standing(play)
    error: RuleBroken | None = None
    try:
        with play.session() as session:
            desk = Desk(session, play.actor(session, who), at, play.office)
            _do(play, desk, what, words)
            session.commit()
    except RuleBroken as broken:
        error = broken
    if refused is None and error is not None:
        raise Unmet(f"{line}：不应当不成：{error.message}（{error.code} {error.article}）") from error
    if refused is not None:
        play.expectations += 1
        check_error(refused, error)
        check(f"{line} 不成之后，工单不应有变化", before, _standing(play))


def _line(play: Run, line: Any) -> tuple[datetime, str, str]:
    parts = str(line).split()
    if len(parts) == 4:
        return moment(f"{parts[0]} {parts[1]}"), parts[2], parts[3]
    if len(parts) == 3 and play.at is not None:
        return moment(f"{play.at.astimezone(CHINA):%Y-%m-%d} {parts[0]}"), parts[1], parts[2]
    raise CaseInvalid(f"步骤应为“日期 时间 谁 做什么”，同日可省日期：{line}")


def _standing(play: Run) -> dict[str, tuple[State, int]]:
    with play.session() as session:
        tickets = {name: play.ticket(session, name) for name in play.numbers}
        return {name: (ticket.state, ticket.version) for name, ticket in tickets.items()}


def _do(play: Run, desk: Desk, what: str, words: dict[str, Any]) -> None:
    special = _SPECIAL.get(what)
    if special is not None:
        special(play, desk, words)
        return
    verb = word(Act, what)
    name = str(words.pop("工单", "甲"))
    if verb in BIRTHS and name not in play.numbers:
        _be_born(play, desk, verb, name, words)
        return
    command, order_type = COMMANDS[verb]
    order = _order(play, verb, order_type, words)
    command(desk, play.numbers.get(name) or _missing(name), order)


def _missing(name: str) -> str:
    raise CaseInvalid(f"工单“{name}”尚未登记")


def _be_born(play: Run, desk: Desk, verb: Act, name: str, words: dict[str, Any]) -> None:
    given = {DEMAND[key]: words.pop(key) for key in list(words) if key in DEMAND}
    changes = {key: _value(play, key, value) for key, value in given.items() if key != "matter"}
    matter = word(Matter, given.get("matter", "咨询"))
    order = _order(play, verb, DECISIONS[verb], words)
    try:
        demand = w.demand(matter, **changes)
    except ValidationError as error:
        raise _incomplete(error) from error
    case = intake.take(desk, demand, verb, order)
    play.numbers[name] = case.ticket.number


def _order(play: Run, verb: Act, order_type: type[orders.Order], words: Mapping[str, Any]) -> orders.Order:
    content = dict(DEFAULTS.get(verb, {}))
    for key, value in words.items():
        target = PER_ACT.get((verb, key)) or FIELDS.get(key)
        if target is None or target not in order_type.model_fields:
            raise CaseInvalid(f"“{verb.label}”没有“{key}”这一项")
        content.pop(target, None)
        if value != "无":
            content[target] = _field(play, verb, target, value)
    if verb is Act.DECIDE:
        content |= _decision(content.get("outcome"))
    try:
        return order_type.model_validate(content)
    except ValidationError as error:
        raise _incomplete(error) from error


def _decision(outcome: Any) -> dict[str, Any]:
    refuse = DEFAULTS[Act.REFUSE] | {"ground": "3"}
    transfer = DEFAULTS[Act.TRANSFER] | {"target": "120"}
    return {"refuse": {"refuse": refuse}, "transfer": {"transfer": transfer}}.get(str(outcome), {})


def _incomplete(error: ValidationError) -> OrderInvalid:
    """A form the edge would refuse before any service sees it."""
    first = error.errors()[0]
    broken = OrderInvalid(str(first["msg"]), field=str(first["loc"][0]) if first["loc"] else None)
    broken.code = "表单不全"
    return broken


def _field(play: Run, verb: Act, target: str, value: Any) -> Any:
    if verb is Act.RECORD_CALLBACK and target == "outcome":
        return word(CallbackOutcome, value)
    if verb is Act.UPDATE_KNOWLEDGE and target == "outcome":
        return word(KnowledgeOutcome, value)
    if verb is Act.DECIDE and target == "outcome":
        return _DECIDED[value]
    if verb is Act.REQUEST_EXTENSION and target == "reason":
        return _EXTENSION_REASONS.get(value, value)
    return _value(play, target, value)


def _value(play: Run, target: str, value: Any) -> Any:
    if target in _WORDS:
        return word(_WORDS[target], value)
    if target in ("lead", "unit", "suggested_unit"):
        return UNITS.get(value, value)
    if target == "co_units":
        return [UNITS.get(each, each) for each in value]
    if target in ("complex", "solved", "reached", "held"):
        return yes(value)
    if target in ("citizen_answered_at", "answered_at", "received_at", "recorded_at", "until"):
        return moment(value)
    plain: dict[str, Callable[[Any], Any]] = {
        "into": lambda name: play.numbers[name],
        "emergency": lambda name: play.emergencies[name],
        "to": lambda name: PEOPLE[name],
        "area": lambda name: AREAS.get(name, str(name)),
        "findings": lambda found: {word(ReviewElement, key): text for key, text in found.items()},
        "elements": lambda found: {word(ReviewElement, key): True for key in found},
        "days": int,
    }
    return plain.get(target, str)(value)


# --- steps that are no act of a ticket -----------------------------------------------------------------------------------


def _sweep(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    only(words, (), "查到期")
    while supervision.lapse_due(desk.session, play.office, desk.at):
        pass


def _remind(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    _sweep(play, desk, words)
    while supervision.remind_overdue(desk.session, play.office, desk.at):
        pass


def _destroy(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    only(words, (), "销毁录音")
    supervision.destroy_expired_recordings(desk.session, play.office, desk.at)


def _declare(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    told = only(words, {"名称", "区域", "截止"}, "宣布应急")
    order = orders.EmergencyOrder(
        title=told["名称"],
        basis="市级应急响应通知",
        area=AREAS.get(told["区域"], told["区域"]),
        until=moment(told["截止"]),
    )
    play.emergencies[told["名称"]] = supervision.declare_emergency(desk, order).id


def _end(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    told = only(words, {"名称"}, "结束应急")
    supervision.end_emergency(desk, play.emergencies[told["名称"]])


def _load(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    told = only(words, {"年份", "放假", "上班"}, "加载通知")
    days = [{"name": "测试节日", "date": d, "isOffDay": True} for d in told.get("放假", [])]
    days += [{"name": "测试调休", "date": d, "isOffDay": False} for d in told.get("上班", [])]
    content = {"year": int(told["年份"]), "papers": ["https://example.test/notice"], "days": days}
    arrangement = parse_arrangement(content)
    notices.load_notice(desk.session, play.office, arrangement, content, by=desk.actor, at=desk.at)


def _local(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    days = {day(when): str(why) for when, why in words.items()}
    home = play.world.platforms["01"]
    notices.set_local_days(desk.session, play.office, home, days, by=desk.actor, at=desk.at)


def _attach(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    told = only(words, {"工单", "类别", "通话时间", "内容"}, "添加附件")
    order = orders.AttachOrder(
        file_class=word(FileClass, told.get("类别", "其他材料")),
        name="测试附件.txt",
        recorded_at=moment(told["通话时间"]) if "通话时间" in told else None,
    )
    name = str(told.get("工单", "甲"))
    content = f"测试附件 {play.numbers[name]} {told.get('内容', '')}".encode()
    aftercare.attach(desk, play.numbers[name], order, content)


def _hold(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    told = only(words, {"工单", "解除"}, "保全录音")
    name = str(told.get("工单", "甲"))
    file = _recording(play, desk.session, name)
    held = not yes(told.get("解除", "否"))
    order = orders.HoldOrder(attachment=file.id, held=held, reason="涉及行政复议。")
    aftercare.hold_recording(desk, play.numbers[name], order)


def _answer_notice(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    only(words, (), "说明情况")
    newest = select(AccountabilityNotice).order_by(col(AccountabilityNotice.id).desc()).limit(1)
    notice = desk.session.execute(newest).scalar_one()
    supervision.answer_notice(desk, notice.id, orders.ReasonOrder(reason="已整改并说明情况。"))


def _stop_unit(play: Run, desk: Desk, words: dict[str, Any]) -> None:
    told = only(words, {"单位"}, "停用单位")
    unit = desk.session.get_one(OrgUnit, play.world.units[UNITS[told["单位"]]])
    unit.active = False
    desk.session.add(unit)


_SPECIAL: dict[str, Callable[[Run, Desk, dict[str, Any]], None]] = {
    "查到期": _sweep,
    "催办": _remind,
    "销毁录音": _destroy,
    "宣布应急": _declare,
    "结束应急": _end,
    "加载通知": _load,
    "本地放假": _local,
    "添加附件": _attach,
    "保全录音": _hold,
    "说明情况": _answer_notice,
    "停用单位": _stop_unit,
}

# --- what is to be found -------------------------------------------------------------------------------------------------


def _expect(play: Run, content: Any) -> None:
    words = dict(content) if isinstance(content, Mapping) else None
    if not words:
        raise CaseInvalid(f"此时：应写明若干结果：{content!r}")
    name = str(words.pop("工单", "甲"))
    with play.session() as session:
        ticket = play.ticket(session, name)
        for key, wanted in words.items():
            play.expectations += 1
            found = _FOUND.get(key)
            if found is not None:
                found(play, session, ticket, wanted)
            else:
                _expect_clock(play, session, ticket, key, wanted)


def _state(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    check("状态", word(State, wanted).label, ticket.state.label)


def _round(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    check("轮次", word(Episode, wanted).label, ticket.episode.label)


def _receiver(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    person = session.get(Person, ticket.first_receiver_id) if ticket.first_receiver_id else None
    check("首接", None if wanted == "无" else PEOPLE[wanted], person.login if person else None)


def _returns(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    check("同意退单次数", int(wanted), ticket.upheld_returns)


def _parts(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    rows = session.execute(
        select(Assignment).where(col(Assignment.ticket_id) == ticket.id).order_by(col(Assignment.id))
    ).scalars()
    found = {part.unit_id: part.status for part in rows}
    for unit, status in wanted.items():
        check(f"{unit}", word(AssignmentStatus, status), found.get(play.world.units[UNITS[unit]]))


def _history(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    entries = [_named(entry) for entry in ledger.entries_of(session, ticket.id)]
    remaining = iter(entries)
    for name in wanted:
        if name not in remaining:
            raise Unmet(f"台账应依次有 {wanted}，实为 {entries}")


_LEDGER_NAMES = {"lapse": "到期未办", "main_replied": "主单已反馈", "merged_in": "并入"} | {
    "main_sent_back": "主单补办",
    "destroy_recording": "销毁录音",
    "recomputed": "重新计算",
}


def _named(entry: LedgerEntry) -> str:
    with suppress(ValueError):
        return Act(entry.act).label
    return _LEDGER_NAMES.get(entry.act, entry.act)


def _cited(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    last = ledger.entries_of(session, ticket.id)[-1]
    check("最后一条台账的条款", str(wanted), last.article)


def _reminders(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    entries = ledger.entries_of(session, ticket.id)
    forms = [ReminderForm(e.payload["form"]).label for e in entries if e.act == Act.REMIND.value]
    check("提醒", list(wanted), forms)


def _told(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    rows = session.execute(select(Extension).where(col(Extension.ticket_id) == ticket.id)).scalars()
    approved = [row for row in rows if row.approved]
    check("延期已告知", yes(wanted), bool(approved) and all(row.caller_told_at for row in approved))


def _recording(play: Run, session: Session, name: str) -> Attachment:
    ticket = play.ticket(session, name)
    found: Attachment = session.execute(
        select(Attachment).where(
            col(Attachment.ticket_id) == ticket.id, col(Attachment.file_class) == FileClass.RECORDING
        )
    ).scalar_one()
    return found


def _kept(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    names = {number: name for name, number in play.numbers.items()}
    file = _recording(play, session, names[ticket.number])
    check("录音保存至", None if wanted == "未定" else day(wanted), file.retain_until)


def _destroyed(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    names = {number: name for name, number in play.numbers.items()}
    check("录音已销毁", yes(wanted), _recording(play, session, names[ticket.number]).destroyed_at is not None)


def _notices(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    told = only(wanted, {"单位", "份数", "已说明"}, "通报")
    unit = play.world.units[UNITS[told["单位"]]]
    rows = session.execute(
        select(AccountabilityNotice).where(col(AccountabilityNotice.unit_id) == unit)
    ).scalars()
    found = list(rows)
    check("通报份数", int(told["份数"]), len(found))
    if "已说明" in told:
        check("通报已说明", yes(told["已说明"]), all(n.answered_at for n in found))


def _emergency(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    check("应急", None if wanted == "无" else play.emergencies[wanted], ticket.emergency_id)


def _replies(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    rows = session.execute(
        select(Reply).where(col(Reply.ticket_id) == ticket.id).order_by(col(Reply.id))
    ).scalars()
    check("反馈", list(wanted), [row.episode.label for row in rows])


def _outcome(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    if str(wanted) not in (ticket.outcome or ""):
        raise Unmet(f"结论应含“{wanted}”，实为 {ticket.outcome}")


_FOUND: dict[str, Callable[[Run, Session, Ticket, Any], None]] = {
    "状态": _state,
    "轮次": _round,
    "首接": _receiver,
    "同意退单次数": _returns,
    "单位": _parts,
    "台账": _history,
    "条款": _cited,
    "提醒": _reminders,
    "延期已告知": _told,
    "录音保存至": _kept,
    "录音已销毁": _destroyed,
    "通报": _notices,
    "应急": _emergency,
    "反馈": _replies,
    "结论含": _outcome,
}

_CLOCK = {"届满", "时刻", "起算", "逾期", "逾期自", "结果", "完成于", "暂定", "延长", "提醒到", "证明含"}


def _expect_clock(play: Run, session: Session, ticket: Ticket, key: str, wanted: Any) -> None:
    name, _, number = key.partition("#")
    unit = next((u for u in UNITS if name.startswith(u)), None)
    kind = clock_kind(name.removeprefix(unit or ""))
    query = select(Clock).where(col(Clock.ticket_id) == ticket.id, col(Clock.kind) == kind)
    if unit is not None:
        query = query.where(col(Clock.unit_id) == play.world.units[UNITS[unit]])
    clocks = list(session.execute(query.order_by(col(Clock.id))).scalars())
    if wanted == "无":
        check(f"{key}的个数", 0, len(clocks))
        return
    index = int(number) - 1 if number else len(clocks) - 1
    if not 0 <= index < len(clocks):
        raise Unmet(f"没有“{key}”这一时限")
    clock = clocks[index]
    facts = {"结果": wanted} if isinstance(wanted, str) else only(wanted, _CLOCK, key)
    for fact, value in facts.items():
        _compare(session, ticket, clock, f"{key}的{fact}", fact, value)


def _compare(session: Session, ticket: Ticket, clock: Clock, what: str, fact: str, value: Any) -> None:
    if fact == "证明含":
        proof = certificates.certificate_of(session, ticket.id, clock.id)
        check(f"{what}（届满时刻）", clock.due_at, proof.due_at)
        missing = [text for text in value if text not in proof.as_text()]
        if missing:
            raise Unmet(f"{what}：没有 {missing}\n{proof.as_text()}")
        return
    ended = "已完成" if clock.met_at else "已作废" if clock.voided_at else "进行中"
    instants = {
        "时刻": clock.due_at,
        "起算": clock.opened_at,
        "逾期自": clock.lapsed_at,
        "完成于": clock.met_at,
    }
    if fact in instants:
        found = instants[fact]
        check(what, moment(value), found.astimezone(CHINA) if found else None)
        return
    plain: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "届满": (day, clock.due_on),
        "逾期": (yes, clock.lapsed_at is not None),
        "结果": (str, ended),
        "暂定": (yes, clock.provisional),
        "延长": (int, clock.extension_days),
        "提醒到": (int, clock.rung),
    }
    read, found = plain[fact]
    check(what, read(value), found)
