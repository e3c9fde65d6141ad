"""What a scenario expects to find (此时): states, parts, clocks, ledgers, compared with the rows."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from hotline import certificates, ledger
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
from hotline.organisation import Person
from tests.statute.casebook import (
    CHINA,
    CaseInvalid,
    Unmet,
    check,
    clock_kind,
    day,
    moment,
    only,
    word,
    yes,
)
from tests.statute.course import (
    PEOPLE,
    UNITS,
    Run,
)
from workflow.vocabulary import (
    Act,
    AssignmentStatus,
    Episode,
    FileClass,
    ReminderForm,
    State,
)


def expect(play: Run, content: Any) -> None:
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


def recording_of(play: Run, session: Session, name: str) -> Attachment:
    ticket = play.ticket(session, name)
    found: Attachment = session.execute(
        select(Attachment).where(
            col(Attachment.ticket_id) == ticket.id, col(Attachment.file_class) == FileClass.RECORDING
        )
    ).scalar_one()
    return found


def _kept(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    names = {number: name for name, number in play.numbers.items()}
    file = recording_of(play, session, names[ticket.number])
    check("录音保存至", None if wanted == "未定" else day(wanted), file.retain_until)


def _destroyed(play: Run, session: Session, ticket: Ticket, wanted: Any) -> None:
    names = {number: name for name, number in play.numbers.items()}
    check(
        "录音已销毁", yes(wanted), recording_of(play, session, names[ticket.number]).destroyed_at is not None
    )


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
