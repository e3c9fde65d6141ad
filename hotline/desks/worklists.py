"""队列: the named lists people work from, by role; each a condition on the tickets its reader sees, counted cheaply.

Which state waits for whom follows from the lifecycle's table; here it is put into the words of a desk.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import lru_cache
from typing import Any, Final, Literal

from sqlalchemy import ColumnElement, and_, bindparam, exists, func, literal, or_, select, union_all
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from hotline.access import Actor, visible_to
from hotline.case import OPEN_PARTS
from hotline.models import Assignment, Clock, Extension, ReturnProposal, Ticket
from hotline.storage.constant import Constant
from workflow.deadlines import CHINA
from workflow.errors import AccessRefused, OrderInvalid
from workflow.lifecycle import ENDED
from workflow.vocabulary import PLATFORM_STAFF, UNIT_STAFF, AssignmentRole, ClockKind, Role, State

MOST_COUNTED: Final = 1000
"""Counting stops here: «more than a thousand» is all a desk needs to know."""

R, S = Role, State


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, and 24:00 of its day in Asia/Shanghai; or the parameters of a statement that will be told them."""

    now: Any
    midnight: Any


Test = Callable[[Actor, Moment], ColumnElement[bool]]
Sort = Literal["received", "due"]


@dataclass(frozen=True, slots=True)
class Worklist:
    """One queue: for whom, its name, what is to be done with what lies in it, and in which order it is worked."""

    key: str
    label: str
    meaning: str
    roles: frozenset[Role]
    test: Test
    sort: Sort = "due"


@dataclass(frozen=True, slots=True)
class Counted:
    """A queue and how many tickets lie in it, counted up to `MOST_COUNTED`; `more` says that there are more."""

    worklist: Worklist
    count: int
    more: bool


# --- conditions ------------------------------------------------------------------------------------------------------------


def _in(*states: State) -> Test:
    return lambda _actor, _at: col(Ticket.state).in_([state.value for state in states])


def _mine(*states: State) -> Test:
    def test(actor: Actor, _at: Moment) -> ColumnElement[bool]:
        own = and_(col(Ticket.first_receiver_id) == actor.id, col(Ticket.archived_at).is_(None))
        return and_(own, col(Ticket.state).in_([state.value for state in states])) if states else own

    return test


def _clock(*tests: Callable[[Any, Moment], ColumnElement[bool]], kinds: Sequence[ClockKind] = ()) -> Test:
    """A running clock of which all of this is true: one's own unit's, or of a platform's ticket any duty's.

    Of these kinds, or of all but the duty to better the knowledge base, which runs beside tickets long archived and has its own queue.
    """

    def test(actor: Actor, at: Moment) -> ColumnElement[bool]:
        clock: Any = aliased(Clock)
        where = [clock.ticket_id == col(Ticket.id), clock.met_at.is_(None), clock.voided_at.is_(None)]
        where += [clock.duty.is_(True)]
        where += (
            [clock.unit_id == actor.unit_id]
            if actor.is_unit
            else [clock.platform_id.in_(sorted(actor.platform_ids))]
        )
        wanted = kinds or [kind for kind in ClockKind if kind is not ClockKind.KNOWLEDGE_UPDATE]
        where.append(clock.kind.in_([kind.value for kind in wanted]))
        return col(Ticket.id).in_(select(clock.ticket_id).where(*where, *(each(clock, at) for each in tests)))

    return test


def _is_overdue(clock: Any, at: Moment) -> ColumnElement[bool]:
    late: ColumnElement[bool] = clock.due_at <= at.now
    return late


def _is_due_today(clock: Any, at: Moment) -> ColumnElement[bool]:
    return and_(clock.due_at > at.now, clock.due_at <= at.midnight)


def _both(first: Test, second: Test) -> Test:
    return lambda actor, at: and_(first(actor, at), second(actor, at))


def _either(first: Test, second: Test) -> Test:
    return lambda actor, at: or_(first(actor, at), second(actor, at))


def _part(*more: Callable[[Any], ColumnElement[bool]], open_: bool = True) -> Test:
    """A part of the acting unit of which all of this is true; an open one, unless said otherwise."""

    def test(actor: Actor, _at: Moment) -> ColumnElement[bool]:
        part: Any = aliased(Assignment)
        where = [part.unit_id == actor.unit_id, *(each(part) for each in more)]
        if open_:
            where.append(part.status.in_([status.value for status in sorted(OPEN_PARTS)]))
        return col(Ticket.id).in_(select(part.ticket_id).where(*where))

    return test


def _returns(actor: Actor, _at: Moment) -> ColumnElement[bool]:
    """A return of some unit's waits to be judged, the lead's or a co-unit's; for a unit its own."""
    asked = select(col(ReturnProposal.ticket_id)).where(col(ReturnProposal.upheld).is_(None))
    if actor.is_unit:
        asked = asked.join(Assignment, col(Assignment.id) == col(ReturnProposal.assignment_id)).where(
            col(Assignment.unit_id) == actor.unit_id
        )
    return col(Ticket.id).in_(asked)


def _extensions(undecided: bool) -> Test:
    def test(actor: Actor, _at: Moment) -> ColumnElement[bool]:
        waits = (
            col(Extension.approved).is_(None)
            if undecided
            else and_(col(Extension.approved).is_(True), col(Extension.caller_told_at).is_(None))
        )
        asked = select(col(Extension.ticket_id)).where(waits)
        if actor.is_unit:
            asked = asked.join(Assignment, col(Assignment.id) == col(Extension.assignment_id)).where(
                col(Assignment.unit_id) == actor.unit_id
            )
        return col(Ticket.id).in_(asked)

    return test


def _merged_to_call_back(_actor: Actor, _at: Moment) -> ColumnElement[bool]:
    """A merged caller whose main ticket has been answered: their own callback clock runs (art. 14(7))."""
    clock: Any = aliased(Clock)
    return and_(
        col(Ticket.state) == State.MERGED,
        exists(
            select(clock.id).where(
                clock.ticket_id == col(Ticket.id),
                clock.kind == ClockKind.CALLBACK,
                clock.met_at.is_(None),
                clock.voided_at.is_(None),
            )
        ),
    )


# --- the queues ------------------------------------------------------------------------------------------------------------

_WIDE: Final = PLATFORM_STAFF - {R.AGENT}
_A: Final = frozenset({R.AGENT})
_D: Final = frozenset({R.DISPATCHER, R.SUPERVISOR})
_SUP: Final = frozenset({R.SUPERVISOR})
_REV: Final = frozenset({R.REVIEWER, R.SUPERVISOR})
_BACK: Final = frozenset({R.CALLBACK, R.SUPERVISOR})
_NOT_ENDED: Final = tuple(s for s in State if s not in ENDED and s is not S.ARCHIVED)

WORKLISTS: Final[tuple[Worklist, ...]] = (
    Worklist("mine", "我首接的", "本人首接、尚未归档的工单，全程负责到归档。", _A, _mine(), "received"),
    Worklist(
        "my_due_today",
        "我的今日到期",
        "本人首接、今天到期的。",
        _A,
        _both(_mine(*_NOT_ENDED), _clock(_is_due_today)),
    ),
    Worklist(
        "my_overdue", "我的逾期", "本人首接、已逾期的。", _A, _both(_mine(*_NOT_ENDED), _clock(_is_overdue))
    ),
    Worklist("to_archive", "待归档", "本人首接、已办结的，要素齐全后归档。", _A, _mine(*ENDED), "received"),
    Worklist(  # what was reported up has no clock running: by due date it would not be listed
        "to_decide",
        "待认定",
        "上报的或网上提交的，认定是否受理。",
        _D | _A,
        _in(S.PENDING_DECISION),
        "received",
    ),
    Worklist("to_dispatch", "待派单", "已受理，24 小时内派给承办单位。", _D, _in(S.ACCEPTED)),
    Worklist("returns", "待审退单", "承办单位申请退单，同意或驳回；期限照常计算。", _D, _returns),
    Worklist("extensions", "待审延期", "承办单位申请延期，批准或驳回。", _SUP, _extensions(undecided=True)),
    Worklist(
        "extensions_to_tell",
        "待告知延期",
        "延期已批准，向来电人说明原因。",
        _D | _A | frozenset({R.CALLBACK}),
        _extensions(undecided=False),
        "received",
    ),
    Worklist("coordinating", "待协调", "协调后指定牵头单位。", _SUP, _in(S.COORDINATING), "received"),
    Worklist("to_review", "待认定答复", "承办单位已反馈，逐项认定。", _REV, _in(S.REPLIED)),
    Worklist(
        "dissatisfied",
        "不满意待审",
        "来电人不满意，审核是否重新办理。",
        _REV,
        _in(S.DISSATISFIED),
        "received",
    ),
    Worklist(
        "to_call_back",
        "待回访",
        "已认定的，5 个工作日内回访。",
        _BACK,
        _either(_in(S.VERIFIED), _merged_to_call_back),
    ),
    Worklist("due_today", "今日到期", "今天 24 时前到期的。", _WIDE | UNIT_STAFF, _clock(_is_due_today)),
    Worklist("overdue", "逾期", "时限已届满仍未完成的。", _WIDE | UNIT_STAFF, _clock(_is_overdue)),
    Worklist(
        "to_sign",
        "待签收",
        "派给本单位、尚未签收的。",
        UNIT_STAFF,
        _part(lambda part: part.signed_at.is_(None)),
    ),
    Worklist(
        "leading",
        "牵头办理",
        "本单位牵头、正在办理的。",
        UNIT_STAFF,
        _part(lambda part: part.role == AssignmentRole.LEAD),
    ),
    Worklist(
        "part_work",
        "协办",
        "本单位协办、正在办理的。",
        UNIT_STAFF,
        _part(lambda part: part.role == AssignmentRole.CO),
    ),
    Worklist(
        "again",
        "补办、重办",
        "退回补办或责成重办的。",
        UNIT_STAFF,
        _both(_in(S.SUPPLEMENTING, S.REDOING), _part()),
    ),
    Worklist("our_returns", "退单审核中", "本单位申请退单，等待审核。", UNIT_STAFF, _returns),
    Worklist(
        "our_extensions", "延期审核中", "本单位申请延期，等待审核。", UNIT_STAFF, _extensions(undecided=True)
    ),
    Worklist(
        "to_answer",
        "待答复来电人",
        "办理结果已反馈，还没有记录答复来电人的时间。",
        UNIT_STAFF,
        _part(lambda part: part.reported_at.is_not(None), lambda part: part.answered_at.is_(None)),
    ),
    Worklist(
        "knowledge",
        "待完善知识",
        "咨询工单认定通过，2 个工作日内完善知识库。",
        UNIT_STAFF,
        _clock(kinds=(ClockKind.KNOWLEDGE_UPDATE,)),
    ),
)
"""In the order in which a desk shows them."""

BY_KEY: Final = {worklist.key: worklist for worklist in WORKLISTS}


def worklist_of(actor: Actor, key: str) -> Worklist:
    """The queue with this key. Raises `OrderInvalid` where there is none, `AccessRefused` where it is not the actor's."""
    found = BY_KEY.get(key)
    if found is None:
        raise OrderInvalid(f"没有名为 {key} 的队列，可用的队列见 GET /queues。", field="queue")
    if not actor.roles & found.roles:
        raise AccessRefused(f"“{found.label}”不是您的队列。", field="queue")
    return found


def conditions(actor: Actor, worklist: Worklist, at: datetime) -> list[ColumnElement[bool]]:
    """What narrows the tickets the actor sees to those of the queue."""
    return [worklist.test(actor, Moment(at, _midnight(at)))]


def counted(session: Session, actor: Actor, at: datetime) -> list[Counted]:
    """The actor's queues in order, each with its count."""
    lists = _of(actor)
    if not lists:
        return []
    counting = _counting(replace(actor, name="", address=None, scopes=None))  # no count depends on these
    counts = dict(map(tuple, counting.ask(session, {"now": at, "midnight": _midnight(at)})))
    return [
        Counted(worklist, min(counts[worklist.key], MOST_COUNTED), counts[worklist.key] > MOST_COUNTED)
        for worklist in lists
    ]


def _of(actor: Actor) -> list[Worklist]:
    """The actor's queues, in order."""
    return [worklist for worklist in WORKLISTS if actor.roles & worklist.roles]


@lru_cache(maxsize=128)
def _counting(actor: Actor) -> Constant:
    """All counts in one statement, which takes longer to put together than to answer: kept for whoever asks again.

    Its rows are the keys of the actor's queues and their counts, its parameters `now` and `midnight`.
    """
    at = Moment(bindparam("now", None), bindparam("midnight", None))
    parts = []
    for worklist in _of(actor):
        some = (
            select(literal(1))
            .select_from(Ticket)
            .where(visible_to(actor), worklist.test(actor, at))
            .limit(MOST_COUNTED + 1)
            .subquery()
        )
        parts.append(select(literal(worklist.key), func.count()).select_from(some))
    return Constant(union_all(*parts), lists=True)


def _midnight(at: datetime) -> datetime:
    """24:00 of the day of `at` in Asia/Shanghai."""
    return datetime.combine(at.astimezone(CHINA).date() + timedelta(days=1), time(0), CHINA)
