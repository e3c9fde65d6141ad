"""知识提问: an agent asks a unit, the unit answers within the rule pack's working days, the answer becomes a draft. Art. 23."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from pydantic import Field
from sqlalchemy import ColumnElement, and_, or_, select
from sqlmodel import Session, col

from hotline import numbers
from hotline.access import Actor, visible_to
from hotline.calendars import newest_version
from hotline.case import Desk, Office
from hotline.fields import Code, Line, Number, Order, Prose, pick
from hotline.models import OutboxEvent, Ticket
from hotline.organisation import OrgUnit, Platform
from hotline.privacy.masking import mask_text
from hotline.units import unit_by_code
from knowledge_base import articles
from knowledge_base.models import UnitQuestion
from knowledge_base.orders import ArticleOrder, CategoryCode, Title
from workflow.deadlines import end_of, local_day
from workflow.errors import AccessRefused, NotFound, OrderInvalid, OutOfSight
from workflow.statute import load as load_pack
from workflow.vocabulary import QuestionState

ASKED: Final = "knowledge.question_asked"
DUE: Final = "knowledge.question_due"
MOVED: Final = "knowledge.question_moved"
ANSWERED: Final = "knowledge.question_answered"
ADOPTED: Final = "knowledge.question_adopted"
_OPEN = (col(UnitQuestion.state) == QuestionState.ASKED, col(UnitQuestion.lapsed_at).is_(None))


class AskOrder(Order):
    """提问: which unit, what, and what for. Personal data in the texts is masked before they are kept."""

    unit: Code = Field(
        title="向哪个单位", json_schema_extra=pick("unit"), description="承办单位代码", examples=["XN-RSJ"]
    )
    question: Title = Field(title="问题")
    background: Prose | None = Field(default=None, title="背景")
    ticket: Number | None = Field(
        title="由哪个工单引起", json_schema_extra=pick("ticket"), default=None, description="由哪个工单引起"
    )


class AnswerQuestion(Order):
    """答复: the unit's answer, or an article that already says it."""

    answer: Prose = Field(title="答复")
    article: Line | None = Field(
        title="已有的知识条目",
        json_schema_extra=pick("article"),
        default=None,
        description="已有知识条目版本，如 12@3",
    )


class AdoptOrder(Order):
    """转为知识草稿: what the draft says other than question and answer as they stand."""

    question: Title | None = Field(default=None, title="知识标题")
    answer: Prose | None = Field(default=None, title="答复口径")
    categories: list[CategoryCode] = Field(
        title="诉求分类", json_schema_extra=pick("category"), default=[], max_length=20
    )


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its unit and, where the actor sees it, its ticket's number."""

    question: UnitQuestion
    unit: OrgUnit
    ticket: str | None


# --- asking ------------------------------------------------------------------------------------------------------------


def ask(desk: Desk, order: AskOrder) -> Asked:
    """Ask a unit of the actor's own platform; due `knowledge_question_days` working days after today, by the unit's calendar.

    Raises `OrderInvalid` naming `unit`, `NotFound` (field `ticket`).
    """
    unit = unit_by_code(desk, order.unit)
    home = desk.actor.platform_id
    if home is None or unit.platform_id != home:
        raise OrderInvalid(
            f"“{unit.name}”不属于本平台；请向本平台的承办单位提问，或由其所属平台提问。",
            article="23",
            field="unit",
        )
    ticket = _ticket(desk, order.ticket) if order.ticket is not None else None
    desk.office.calendars.at(desk.session, newest_version(desk.session))
    due_on, due_at = _due(desk.session, desk.office, unit.platform_id, home, desk.at)
    question = UnitQuestion(
        platform_id=home,
        unit_id=unit.id,
        ticket_id=ticket.id if ticket is not None else None,
        state=QuestionState.ASKED,
        question=mask_text(order.question, hide=True),
        background=mask_text(order.background, hide=True) if order.background is not None else None,
        asked_by=desk.actor.key,
        asked_by_name=desk.actor.name,
        asked_at=desk.at,
        due_on=due_on,
        due_at=due_at,
    )
    desk.session.add(question)
    desk.session.flush()
    _announce(desk.session, question, ASKED, desk.at)
    return _shown(desk.session, desk.actor, [question])[0]


def _due(
    session: Session, office: Office, unit_home: int, platform_id: int, asked_at: datetime
) -> tuple[date, datetime]:
    """The last day to answer a question asked then, by the unit's calendar, and the instant it ends."""
    pack = load_pack(session.get_one(Platform, platform_id).pack)
    on = office.calendars.of(unit_home).add(local_day(asked_at), pack.number("knowledge_question_days"))
    return on, end_of(on, pack.word("day_end"))


def _ticket(desk: Desk, number: str) -> Ticket:
    parsed = numbers.parse(number)
    found: Ticket | None = desk.session.execute(
        select(Ticket).where(col(Ticket.number) == parsed, visible_to(desk.actor))
    ).scalar_one_or_none()
    if found is None:
        raise OutOfSight(
            f"没有编号为 {numbers.spoken(parsed)} 的工单，或不在您的权限范围内。", field="ticket"
        )
    return found


def _announce(session: Session, question: UnitQuestion, kind: str, at: datetime, **more: Any) -> None:
    """One outbox row about a question. The texts stay here: whoever is told looks them up under their own rights."""
    facts = {
        "question": question.id,
        "state": question.state.value,
        "asked_by": question.asked_by,
        "due_on": question.due_on.isoformat(),
        "due_at": question.due_at.isoformat(),
    }
    session.add(
        OutboxEvent(
            type=kind,
            platform_id=question.platform_id,
            unit_id=question.unit_id,
            data=facts | more,
            occurred_at=at,
        )
    )
    session.flush()


# --- the limit ---------------------------------------------------------------------------------------------------------


def lapse_due(session: Session, office: Office, as_of: datetime, *, batch: int = 200) -> int:  # noqa: ARG001
    """Stamp up to `batch` questions not answered by their due instant, as of that instant, each once, and remind their units.

    Any number of replicas may sweep; what somebody answers at this moment is left to them. Returns how many. The caller commits.
    """
    questions = session.execute(
        select(UnitQuestion)
        .where(*_OPEN, col(UnitQuestion.due_at) <= as_of)
        .order_by(col(UnitQuestion.due_at), col(UnitQuestion.id))
        .limit(batch)
        .with_for_update(skip_locked=True)
    ).scalars()
    return sum(_lapse(session, question) for question in questions)


def _lapse(session: Session, question: UnitQuestion) -> int:
    question.lapsed_at = question.due_at
    session.add(question)
    _announce(session, question, DUE, question.due_at)
    return 1


def move_due(session: Session, office: Office, as_of: datetime) -> int:
    """Count the open questions' due days anew by the newest calendars, as clocks are moved by a notice; returns how many moved.

    One that lapsed stays, and none is moved into the past. Who loads a notice or local days calls this in the same transaction; a job
    finds what was asked meanwhile. The caller commits.
    """
    office.calendars.at(session, newest_version(session))
    rows = session.execute(
        select(UnitQuestion, col(OrgUnit.platform_id))
        .join(OrgUnit, col(OrgUnit.id) == col(UnitQuestion.unit_id))
        .where(*_OPEN, col(UnitQuestion.due_at) > as_of)
        .order_by(col(UnitQuestion.id))
    ).all()
    moved = 0
    for question, unit_home in rows:
        on, due_at = _due(session, office, unit_home, question.platform_id, question.asked_at)
        if on == question.due_on or due_at <= as_of:
            continue
        moved += _move(session, question.id, on, due_at, as_of)
    return moved


def _move(session: Session, question_id: int, on: date, due_at: datetime, at: datetime) -> int:
    """Move one, unless it was answered or has lapsed meanwhile."""
    question = session.get_one(UnitQuestion, question_id, with_for_update=True, populate_existing=True)
    if question.state is not QuestionState.ASKED or question.lapsed_at is not None or question.due_on == on:
        return 0
    known = question.due_on.isoformat()
    question.due_on, question.due_at = on, due_at
    session.add(question)
    _announce(session, question, MOVED, at, from_due_on=known)
    return 1


# --- reading -----------------------------------------------------------------------------------------------------------


def _mine(actor: Actor) -> ColumnElement[bool]:
    if actor.is_unit:
        return col(UnitQuestion.unit_id) == actor.unit_id
    return col(UnitQuestion.platform_id).in_(sorted(actor.platform_ids))


def listed(
    session: Session,
    actor: Actor,
    at: datetime,
    *,
    state: QuestionState | None = None,
    overdue: bool = False,
    before: int | None = None,
    limit: int = 50,
) -> list[Asked]:
    """The questions to the actor's unit, or of the platforms the actor sees, newest first, those older than key `before`."""
    tests = [_mine(actor)]
    tests += [col(UnitQuestion.state) == state] if state is not None else []
    late = and_(*_OPEN, col(UnitQuestion.due_at) <= at)
    tests += [or_(col(UnitQuestion.lapsed_at).is_not(None), late)] if overdue else []
    tests += [col(UnitQuestion.id) < before] if before is not None else []
    rows = session.execute(
        select(UnitQuestion).where(*tests).order_by(col(UnitQuestion.id).desc()).limit(limit)
    ).scalars()
    return _shown(session, actor, list(rows))


def _shown(session: Session, actor: Actor, questions: Sequence[UnitQuestion]) -> list[Asked]:
    units = {
        unit.id: unit
        for unit in session.execute(
            select(OrgUnit).where(col(OrgUnit.id).in_({question.unit_id for question in questions}))
        ).scalars()
    }
    tickets: dict[int, str] = {
        found[0]: found[1]
        for found in session.execute(
            select(col(Ticket.id), col(Ticket.number)).where(
                col(Ticket.id).in_({question.ticket_id for question in questions} - {None}), visible_to(actor)
            )
        )
    }
    return [Asked(q, units[q.unit_id], tickets.get(q.ticket_id or 0)) for q in questions]


def _locked(desk: Desk, question_id: int) -> UnitQuestion:
    """The question, locked, its lapse stamped where its instant has passed. Raises `NotFound`."""
    question: UnitQuestion | None = desk.session.execute(
        select(UnitQuestion)
        .where(col(UnitQuestion.id) == question_id, _mine(desk.actor))
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if question is None:
        raise NotFound("没有这条知识提问，或不在您的权限范围内。", field="question")
    asked = question.state is QuestionState.ASKED
    if asked and question.lapsed_at is None and question.due_at <= desk.at:
        _lapse(desk.session, question)
    return question


# --- answering ---------------------------------------------------------------------------------------------------------


def answer(desk: Desk, question_id: int, order: AnswerQuestion) -> Asked:
    """The unit's answer, once; late answers are taken, the lapse stands. The asker is told. Raises `NotFound`, `OrderInvalid`."""
    question = _locked(desk, question_id)
    if question.state is not QuestionState.ASKED:
        raise OrderInvalid(f"该提问{question.state.label}，不能再次答复。", article="23")
    if order.article is not None:
        found = articles.find(desk.session, desk.actor, order.article)
        question.article_id, question.version = found.article_id, found.version
    question.state = QuestionState.ANSWERED
    question.answer = mask_text(order.answer, hide=True)
    question.answered_by, question.answered_at = desk.actor.name, desk.at
    desk.session.add(question)
    _announce(desk.session, question, ANSWERED, desk.at)
    return _shown(desk.session, desk.actor, [question])[0]


def close(desk: Desk, question_id: int) -> Asked:
    """关闭: the asker's platform needs no answer (any more), or nothing is to be made of it. Raises `NotFound`, `AccessRefused`, `OrderInvalid`."""
    question = _locked(desk, question_id)
    if question.asked_by != desk.actor.key and not desk.actor.roles & articles.CHECKERS:
        raise AccessRefused("知识提问由提问人本人，或知识库管理员、督办主管关闭。", article="23")
    if question.state in (QuestionState.ADOPTED, QuestionState.CLOSED):
        raise OrderInvalid(f"该提问{question.state.label}。", article="23")
    question.state = QuestionState.CLOSED
    desk.session.add(question)
    desk.session.flush()
    return _shown(desk.session, desk.actor, [question])[0]


def adopt(desk: Desk, question_id: int, order: AdoptOrder) -> Asked:
    """转为知识草稿: the answer becomes a draft of the unit's, written by the unit or by the platform's editor; the asker is told.

    Raises `NotFound`, `OrderInvalid`, and what `articles.write` raises.
    """
    question = _locked(desk, question_id)
    if question.state is not QuestionState.ANSWERED or question.answer is None:
        raise OrderInvalid(f"该提问{question.state.label}，只有已答复的提问可以转为知识。", article="23")
    if question.article_id is not None:
        raise OrderInvalid(
            f"单位答复时已指明知识 {question.article_id}@{question.version}，请直接使用或修改该条目。",
            article="23",
        )
    unit = desk.session.get_one(OrgUnit, question.unit_id)
    draft = ArticleOrder(
        question=order.question or question.question,
        answer=order.answer or question.answer,
        categories=order.categories,
        unit=unit.code,
        change_note=f"由知识提问第 {question.id} 号转来",
    )
    version = articles.write(desk.session, desk.actor, draft, at=desk.at, ticket_id=question.ticket_id)
    question.article_id, question.version = version.article_id, version.version
    question.state = QuestionState.ADOPTED
    desk.session.add(question)
    _announce(desk.session, question, ADOPTED, desk.at, article=articles.reference(version))
    return _shown(desk.session, desk.actor, [question])[0]
