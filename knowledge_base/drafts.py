"""承办单位完善知识: what a unit owes after an inquiry, a draft proposed from question and reply, and the duty met with it. Art. 23."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Final

from pydantic import Field
from sqlalchemy import ColumnElement, select
from sqlmodel import Session, col

from hotline import aftercare, numbers
from hotline.access import Actor, visible_to
from hotline.calendars import newest_version
from hotline.case import Case, Desk, Office
from hotline.fields import Prose, Whole
from hotline.models import Assignment, Clock, Reply, Ticket
from hotline.orders import KnowledgeOrder
from hotline.organisation import OrgUnit
from hotline.privacy.concealment import known_of
from hotline.privacy.masking import mask_text
from hotline.privacy.sealing import Sealer
from knowledge_base import articles, finding, lifecycle
from knowledge_base.finding import Found, Wanted
from knowledge_base.library import Library
from knowledge_base.models import ArticleVersion
from knowledge_base.orders import ArticleOrder, StepOrder
from workflow.deadlines import local_day
from workflow.errors import NotFound, OrderInvalid, OutOfSight
from workflow.vocabulary import (
    AssignmentRole,
    AssignmentStatus,
    ClockKind,
    KnowledgeOutcome,
    KnowledgeStep,
)

_SIMILAR: Final = 5


class SubmitKnowledge(ArticleOrder):
    """报送知识: the article's fields; with `article` a new version of that one instead of a new article. Submitted to review at once."""

    article: Annotated[Whole, Field(ge=1, le=2**62)] | None = Field(
        default=None, description="所更新的知识编号；缺省为新增"
    )
    reason: Prose | None = Field(default=None, description="给平台的说明")


@dataclass(frozen=True, slots=True)
class Duty:
    """完善任务: one unit's open knowledge clock on one ticket."""

    ticket: Ticket
    unit: OrgUnit
    clock: Clock
    overdue: bool
    working_days_left: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """A draft proposed from a ticket: its fields, articles that may say it already, the unit and its due date, None if nothing is owed."""

    ticket: Ticket
    order: ArticleOrder
    unit: OrgUnit
    similar: tuple[Found, ...]
    due_on: date | None
    source: str


# --- what is owed ------------------------------------------------------------------------------------------------------


def duties(session: Session, office: Office, actor: Actor, at: datetime, *, limit: int = 100) -> list[Duty]:
    """The knowledge clocks still open of the actor's unit, or of the platforms the actor sees, those due first."""
    whose: ColumnElement[bool] = (
        col(Clock.unit_id) == actor.unit_id
        if actor.is_unit
        else col(Clock.platform_id).in_(sorted(actor.platform_ids))
    )
    rows = session.execute(
        select(Ticket, OrgUnit, Clock)
        .join(Clock, col(Clock.ticket_id) == col(Ticket.id))
        .join(OrgUnit, col(OrgUnit.id) == col(Clock.unit_id))
        .where(
            whose,
            visible_to(actor),
            col(Clock.kind) == ClockKind.KNOWLEDGE_UPDATE,
            col(Clock.met_at).is_(None),
            col(Clock.voided_at).is_(None),
        )
        .order_by(col(Clock.due_at), col(Clock.id))
        .limit(limit)
    ).all()
    office.calendars.at(session, newest_version(session))
    today = local_day(at)
    return [
        Duty(
            ticket,
            unit,
            clock,
            clock.due_at <= at,
            office.calendars.of(unit.platform_id).between(today, clock.due_on),
        )
        for ticket, unit, clock in rows
    ]


def clean_title(sealer: Sealer, ticket: Ticket) -> str:
    """A ticket's title without what identifies its caller."""
    return mask_text(ticket.title, known_of(sealer, ticket), hide=True)


# --- the proposal ------------------------------------------------------------------------------------------------------


def propose(desk: Desk, library: Library, number: str) -> Proposal:
    """A draft from the ticket's question and the unit's last reply, without personal data. Raises `NotFound`, `OrderInvalid`."""
    ticket = _seen(desk, number)
    part, reply = _replied(desk, ticket)
    known = known_of(desk.office.sealer, ticket)
    unit = desk.session.get_one(OrgUnit, part.unit_id)
    question = as_question(clean_title(desk.office.sealer, ticket))
    order = ArticleOrder(
        question=question[:500],
        answer=as_answer(mask_text(reply.content, known, hide=True)) or "（请填写答复口径）",
        categories=[ticket.category_code],
        areas=[unit.area_code],
        unit=unit.code,
        change_note=f"由工单 {numbers.spoken(ticket.number)} 的咨询和答复整理",
    )
    page = finding.search(
        desk.session, library, desk.actor, Wanted(text=question[:100], limit=_SIMILAR), desk.at
    )
    due = desk.session.execute(
        select(col(Clock.due_on)).where(
            col(Clock.assignment_id) == part.id,
            col(Clock.kind) == ClockKind.KNOWLEDGE_UPDATE,
            col(Clock.met_at).is_(None),
            col(Clock.voided_at).is_(None),
        )
    ).scalar()
    return Proposal(ticket, order, unit, page.found, due, page.source)


def _seen(desk: Desk, number: str) -> Ticket:
    parsed = numbers.parse(number)
    told = f"没有编号为 {numbers.spoken(parsed)} 的工单，或不在您的权限范围内。"
    ticket: Ticket | None = desk.session.execute(
        select(Ticket).where(col(Ticket.number) == parsed, visible_to(desk.actor))
    ).scalar_one_or_none()
    if ticket is None:
        there = desk.session.execute(select(col(Ticket.id)).where(col(Ticket.number) == parsed)).first()
        raise (OutOfSight if there else NotFound)(told, field="number")
    return ticket


def _replied(desk: Desk, ticket: Ticket) -> tuple[Assignment, Reply]:
    """The acting unit's part (for the platform the lead's) and its last reply."""
    whose = (
        col(Assignment.unit_id) == desk.actor.unit_id
        if desk.actor.is_unit
        else col(Assignment.role) == AssignmentRole.LEAD
    )
    row = desk.session.execute(
        select(Assignment, Reply)
        .join(Reply, col(Reply.assignment_id) == col(Assignment.id))
        .where(
            col(Assignment.ticket_id) == ticket.id,
            col(Assignment.status).not_in([AssignmentStatus.RETURNED, AssignmentStatus.RELEASED]),
            whose,
        )
        .order_by(col(Reply.id).desc())
        .limit(1)
    ).first()
    if row is None:
        raise OrderInvalid("该工单还没有承办单位的答复，无法整理成知识。", article="23")
    return row[0], row[1]


# --- texts -------------------------------------------------------------------------------------------------------------

_WHO: Final = r"(?:尊敬的)?(?:来电人|来信人|市民朋友|市民|网友|群众|诉求人|反映人|［已隐去］|[^\s，。：:！!]{0,6}(?:先生|女士|同志|朋友))"
_SALUTATION: Final = re.compile(
    rf"^\s*(?:{_WHO}?\s*[，,：:]?\s*(?:您好|你好)\s*[！!。，,：:]*|尊敬的[^，,：:。！!\n]{{0,12}}[，,：:！!]|{_WHO}\s*[：:])\s*"
)
_OPENING: Final = re.compile(
    r"^\s*(?:(?:您|你)(?:所)?(?:反映|咨询|来电|提出|拨打)[^。！!\n]{0,60}?(?:收悉|已收到|已知悉)[。！!，,；;]"
    r"|(?:现(?:将[^。，,\n]{0,30})?|经(?:核实|调查|研究|了解)[^。，,\n]{0,20})(?:答复|回复|告知|说明)(?:如下|您)[：:，,。]"
    r"|感谢(?:您|你)[^。！!\n]{0,60}[。！!])\s*"
)
_CLOSING: Final = re.compile(
    r"(?:^|(?<=[。！!；;\n]))\s*(?:(?:再次)?(?:衷心)?感谢(?:您|你|来电|市民)[^。！!\n]{0,80}|"
    r"祝(?:您|你)?[^。！!\n]{0,30}|特此(?:回复|答复|告知)|此复|"
    r"(?:您|你|来电人|市民|诉求人)?(?:对(?:此|答复|办理结果))?(?:表示)(?:满意|认可|理解|知晓|感谢)[^。！!\n]{0,20}|"
    r"欢迎(?:您|你)[^。！!\n]{0,40}(?:监督|批评|来电)[^。！!\n]{0,20})[。！!]?\s*$"
)
_SAID_BY_CALLER: Final = re.compile(
    r"^\s*(?:来电人|市民|诉求人|网友|群众|来信人)?(?:来电|来信)?(?:想要?)?(?:反映|咨询|询问|求助|请问|了解)(?:一下)?[：:，,]?\s*"
)
_WHO_SAID: Final = re.compile(r"^(?:[（(\s]*［已隐去］[）)\s]*|先生|女士|[，,、：:]\s*)+")
_POINT: Final = re.compile(
    r"^\s*(?:[（(]?(\d{1,2}|[一二三四五六七八九十]{1,3})[）)]|(\d{1,2}|[一二三四五六七八九十]{1,3})[、.．])\s*(?=\S)"
)
_NUMERALS: Final = {c: n for n, c in enumerate("零一二三四五六七八九")}


def as_question(title: str) -> str:
    """A ticket's title as a question for everybody: without who asks."""
    plain = _WHO_SAID.sub("", title).strip()
    return _SAID_BY_CALLER.sub("", plain).strip() or plain or title.strip()


def as_answer(reply: str) -> str:
    """A reply to one caller as a standard answer in Markdown: salutation, opening and closing words gone, points as a list."""
    body = reply.replace("\r\n", "\n").strip()
    for pattern in (_SALUTATION, _OPENING):
        body = _until_settled(pattern, body)
    body = _until_settled(_CLOSING, body)
    lines = [_as_point(line) for line in _broken_at_points(body).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", _spaced(lines)).strip()


def _until_settled(pattern: re.Pattern[str], text: str) -> str:
    while True:
        shorter = pattern.sub("", text, count=1).strip()
        if shorter == text or not shorter:
            return shorter
        text = shorter


def _broken_at_points(text: str) -> str:
    """«一、…二、…» and «1、…2、…» on lines of their own."""
    return re.sub(
        r"(?<=[。；;：:])\s*(?=(?:[（(](?:\d{1,2}|[一二三四五六七八九十]{1,3})[）)]|(?:\d{1,2}|[一二三四五六七八九十]{1,3})[、．]))",
        "\n",
        text,
    )


def _as_point(line: str) -> str:
    match = _POINT.match(line)
    if match is None:
        return line.strip()
    said = match[1] or match[2]
    return f"{said if said.isdigit() else _numeral(said)}. {line[match.end() :].strip()}"


def _numeral(text: str) -> int:
    tens, ten, ones = text.partition("十")
    if not ten:
        return _NUMERALS[text[0]]
    return (_NUMERALS[tens] if tens else 1) * 10 + (_NUMERALS[ones] if ones else 0)


def _spaced(lines: Sequence[str]) -> str:
    """Paragraphs apart, the points of a list together."""
    said: list[str] = []
    for before, line in zip(["", *lines], lines, strict=False):
        both_points = bool(re.match(r"\d+\. ", before)) and bool(re.match(r"\d+\. ", line))
        if said and line and before and not both_points:
            said.append("")
        said.append(line)
    return "\n".join(said)


# --- handing in --------------------------------------------------------------------------------------------------------


def submit(desk: Desk, number: str, order: SubmitKnowledge) -> tuple[Case, ArticleVersion]:
    """The unit's draft, tied to the ticket and submitted to its review; the ticket's knowledge clock is met by it, in one transaction.

    Raises what `articles.write`, `lifecycle.take_step` and `aftercare.update_knowledge` raise.
    """
    ticket = _seen(desk, number)
    content = ArticleOrder.model_validate(order.model_dump(exclude={"article", "reason"}, exclude_unset=True))
    updates = order.article is not None
    outcome = KnowledgeOutcome.UPDATED if updates else KnowledgeOutcome.SUBMITTED
    version = articles.write(
        desk.session, desk.actor, content, at=desk.at, article_id=order.article, ticket_id=ticket.id
    )
    lifecycle.take_step(
        desk.session,
        desk.actor,
        version.article_id,
        KnowledgeStep.SUBMIT,
        StepOrder(reason=order.reason),
        at=desk.at,
    )
    case = aftercare.update_knowledge(
        desk,
        number,
        KnowledgeOrder(outcome=outcome, article=articles.reference(version), reason=order.reason),
    )
    return case, version
