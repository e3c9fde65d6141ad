"""The lawyers' scenarios (经过): each step done through the real services on real PostgreSQL, with its time passed in.

A case runs on one connection inside one transaction that is rolled back at its end, each step in its own session and
savepoint; so cases share a database and never meet.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlmodel import col

from calendar_cn.arrangements import parse_arrangement
from hotline import aftercare, fields, intake, ledger, notices, orders, recordings, supervision
from hotline.case import Desk, Office
from hotline.models import (
    AccountabilityNotice,
)
from hotline.organisation import OrgUnit
from tests import world as w
from tests.statute.casebook import (
    CHINA,
    CaseInvalid,
    LegalCase,
    Unmet,
    check,
    check_error,
    day,
    moment,
    only,
    word,
    yes,
)
from tests.statute.course import (
    AREAS,
    BIRTHS,
    COMMANDS,
    DECIDED,
    DECISIONS,
    DEFAULTS,
    DEMAND,
    EXTENSION_REASONS,
    FIELDS,
    PEOPLE,
    PER_ACT,
    UNITS,
    WORDS,
    Run,
)
from tests.statute.findings import expect, recording_of
from workflow.errors import OrderInvalid, RuleBroken
from workflow.vocabulary import (
    Act,
    CallbackOutcome,
    FileClass,
    KnowledgeOutcome,
    Matter,
    ReviewElement,
    State,
)


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
        expect(play, content)
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


def _order(play: Run, verb: Act, order_type: type[fields.Order], words: Mapping[str, Any]) -> fields.Order:
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
        return DECIDED[value]
    if verb is Act.REQUEST_EXTENSION and target == "reason":
        return EXTENSION_REASONS.get(value, value)
    return _value(play, target, value)


def _value(play: Run, target: str, value: Any) -> Any:
    if target in WORDS:
        return word(WORDS[target], value)
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
    recordings.destroy_expired_recordings(desk.session, play.office, desk.at)


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
    file = recording_of(play, desk.session, name)
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
