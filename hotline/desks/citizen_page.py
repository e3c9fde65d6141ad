"""来电人查询页: what a citizen learns of their own demand by an unguessable link, and may say of it: an evaluation, an objection.

The link opens this one page and nothing of anybody else: no personal data, not the caller's own either, for a link is forwarded. On a
tip-off or a confidential ticket it tells how far things are, no more.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline import aftercare, certificates, intake
from hotline.access import Actor, caller_is_sealed
from hotline.auditing import audit
from hotline.case import Case, Desk, record, tell, write
from hotline.desk import take_up
from hotline.desks.tables import Appeal, CitizenLink, Evaluation
from hotline.exchange import outbox
from hotline.fields import Order, Prose
from hotline.ledger import entries_of
from hotline.models import Assignment, Clock, LedgerEntry, Reply, Ticket
from hotline.numbers import spoken
from hotline.orders import CallbackOrder, Caller, Demand, RegisterOrder
from hotline.organisation import OrgUnit
from hotline.privacy.concealment import conceal, known_of
from hotline.privacy.masking import mask_text
from hotline.privacy.sealing import Sealer
from workflow.certificate import Certificate
from workflow.errors import OrderInvalid, RuleBroken
from workflow.vocabulary import (
    Act,
    AssignmentRole,
    AssignmentStatus,
    AuditKind,
    CallbackOutcome,
    Channel,
    ClockKind,
    Grade,
    GradeLabel,
    Role,
    State,
)

APPEAL_DAYS: Final = timedelta(days=30)
"""How long after the end a citizen may object on their page; after that they call again."""

S = State
_CONCLUDED: Final = frozenset({S.VERIFIED, S.CLOSED, S.ARCHIVED, S.ANSWERED, S.REFUSED, S.TRANSFERRED})
_ENDED: Final = frozenset({S.CLOSED, S.ARCHIVED, S.ANSWERED, S.REFUSED, S.TRANSFERRED})
_ANSWERED: Final = frozenset({S.VERIFIED, S.DISSATISFIED, S.CLOSED, S.ARCHIVED, S.REDOING})


_WELL: Final = (GradeLabel.POLITE, GradeLabel.QUICK, GradeLabel.CLEAR, GradeLabel.SOLVED)
_BADLY: Final = (
    *(GradeLabel.RUDE, GradeLabel.SLOW, GradeLabel.UNCLEAR, GradeLabel.UNSOLVED),
    GradeLabel.PASSED_ON,
)
LABELS_OF: Final[dict[Grade, tuple[GradeLabel, ...]]] = {
    Grade.EXCELLENT: _WELL,
    Grade.GOOD: _WELL,
    Grade.FAIR: (*_WELL, *_BADLY),
    Grade.POOR: _BADLY,
    Grade.BAD: _BADLY,
}
"""The labels a citizen is offered with each grade; none is refused with another, for people are mixed in their judgement."""


class AlreadySaid(RuleBroken):
    """The citizen has evaluated this round of handling, or objected to it, already."""

    code = "already_said"


class EvaluationOrder(Order):
    """好差评: one of five grades, labels, and words."""

    grade: Grade = Field(examples=["good"])
    labels: tuple[GradeLabel, ...] = Field(default=(), max_length=9, examples=[["quick", "clear"]])
    remark: Prose | None = Field(default=None, max_length=1000, examples=["第二天就有人上门，暖气热了。"])


class AppealOrder(Order):
    """异议: what is not solved."""

    reason: Prose = Field(max_length=2000, examples=["只来看了一眼，暖气还是不热。"])


# --- the link --------------------------------------------------------------------------------------------------------------


def token_of(sealer: Sealer, number: str, serial: int) -> str:
    """The token of a ticket's page: 22 letters and digits that only this installation's key ring makes."""
    digest = sealer.digest(f"citizen-link:{number}:{serial}")
    return base64.urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def link(desk: Desk, ticket: Ticket, *, renew: bool = False) -> str:
    """The token of the page of a ticket the actor handles; with `renew` a new one, and the one before opens nothing. Recorded.

    The caller commits.
    """
    found = desk.session.get(CitizenLink, ticket.id, with_for_update=True)
    serial = 1 if found is None else found.serial + renew
    token = token_of(desk.office.sealer, ticket.number, serial)
    if found is None or renew:
        row = {
            "ticket_id": ticket.id,
            "digest": _digest(token),
            "serial": serial,
            "issued_at": desk.at,
            "issued_by": desk.actor.name,
        }
        kept = upsert(CitizenLink.__table__).values(**row)  # type: ignore[attr-defined]
        desk.session.execute(kept.on_conflict_do_update(index_elements=["ticket_id"], set_=row))
    audit.record(
        desk.session,
        AuditKind.LINK_READ,
        at=desk.at,
        actor=desk.actor,
        platform_id=ticket.platform_id,
        ticket_id=ticket.id,
        what={"number": ticket.number, "renewed": renew},
        algorithm=desk.office.policy.algorithm,
    )
    return token


def opened(session: Session, token: str) -> Ticket | None:
    """The ticket whose page a token opens."""
    return session.execute(
        select(Ticket)
        .join(CitizenLink, col(CitizenLink.ticket_id) == col(Ticket.id))
        .where(col(CitizenLink.digest) == _digest(token))
    ).scalar_one_or_none()


def citizen_of(ticket: Ticket, address: str | None = None) -> Actor:
    """Whoever holds the link of this ticket, and speaks of no other."""
    return Actor(
        kind="citizen",
        id=ticket.id,
        name=Role.CITIZEN.label,
        roles=frozenset({Role.CITIZEN}),
        platform_id=ticket.platform_id,
        platform_ids=frozenset({ticket.platform_id}),
        home_id=ticket.platform_id,
        address=address,
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


# --- what is told ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the way, in plain words."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Promise:
    """Until when an answer is owed, and how that date comes about."""

    due_at: datetime
    certificate: Certificate
    provisional: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What the link tells. `title`, `unit` and `answer` are None on sealed tickets."""

    number: str
    state: str
    received_at: datetime
    matter: str
    title: str | None
    unit: str | None
    steps: list[Step]
    promise: Promise | None
    answer: str | None
    guidance: str | None
    evaluated: Evaluation | None
    appealed: bool
    may_evaluate: bool
    may_appeal: bool


_STATES: Final = {
    S.PENDING_DECISION: "已收到，正在认定是否受理",
    S.REFUSED: "不属于热线受理范围，已说明理由",
    S.ANSWERED: "已答复",
    S.TRANSFERRED: "已转接有关平台处理",
    S.ACCEPTED: "已受理，正在转交承办单位",
    S.COORDINATING: "正在协调确定承办单位",
    S.DISPATCHED: "已转交承办单位",
    S.HANDLING: "承办单位正在办理",
    S.RETURN_PROPOSED: "正在核实由哪个单位承办",
    S.REPLIED: "承办单位已反馈结果，正在审核",
    S.SUPPLEMENTING: "结果还不完整，承办单位正在补充办理",
    S.VERIFIED: "已办理并通过审核，等待回访",
    S.DISSATISFIED: "已收到您的不满意意见，正在审核是否重新办理",
    S.REDOING: "正在重新办理",
    S.CLOSED: "已办结",
    S.ARCHIVED: "已办结",
    S.MERGED: "与反映同一问题的其他诉求合并办理，办结后同样向您答复",
    S.WITHDRAWN: "已按您的意愿撤回",
}
_STEPS: Final = {
    Act.REGISTER: "收到您的诉求",
    Act.ACCEPT: "热线平台受理",
    Act.DISPATCH: "转交承办单位",
    Act.DESIGNATE: "经协调确定承办单位",
    Act.SIGN: "承办单位签收",
    Act.COORDINATE: "热线平台协调办理",
    Act.REPORT_PROGRESS: "承办单位反馈进展",
    Act.APPROVE_EXTENSION: "办理期限延长",
    Act.UPHOLD_RETURN: "重新确定承办单位",
    Act.REPLY: "承办单位反馈办理结果",
    Act.REVIEW_SEND_BACK: "退回补充办理",
    Act.REVIEW_PASS: "办理结果通过审核",
    Act.RECORD_CALLBACK: "回访",
    Act.UPHOLD_DISSATISFACTION: "安排重新办理",
    Act.DISMISS_DISSATISFACTION: "经审核不再重新办理",
    Act.REFUSE: "不予受理并说明理由",
    Act.ANSWER_AT_ONCE: "当场答复",
    Act.TRANSFER: "转接有关平台",
    Act.MERGE: "合并办理",
    Act.WITHDRAW: "撤回",
    Act.ARCHIVE: "归档",
    "evaluated": "您的评价",
    "appealed": "您提出异议",
}
_REPORTED: Final = (ClockKind.REPLY, ClockKind.SUPPLEMENT, ClockKind.REDO)


def page(desk: Desk, ticket: Ticket) -> Page:
    """What the holder of the link is told at `desk.at`."""
    session, sealed = desk.session, caller_is_sealed(ticket)
    history = entries_of(session, ticket.id)
    parts = session.execute(
        select(Assignment).where(col(Assignment.ticket_id) == ticket.id).order_by(col(Assignment.id))
    ).scalars()
    lead = _lead(list(parts))
    evaluated = _evaluation(session, ticket)
    appealed = _appeal(session, ticket) is not None
    return Page(
        number=spoken(ticket.number),
        state=_STATES[ticket.state],
        received_at=ticket.received_at,
        matter=ticket.matter.label,
        title=None if sealed else mask_text(ticket.title, known_of(desk.office.sealer, ticket)),
        unit=session.get_one(OrgUnit, lead.unit_id).name if lead is not None and not sealed else None,
        steps=_steps(ticket, history),
        promise=_promise(desk, ticket, lead),
        answer=_answer(desk, ticket, lead, sealed=sealed),
        guidance=_guidance(desk, ticket, history) if not sealed else None,
        evaluated=evaluated,
        appealed=appealed,
        may_evaluate=evaluated is None and ticket.state in _CONCLUDED,
        may_appeal=not appealed and _may_appeal(desk, ticket),
    )


def _lead(parts: Sequence[Assignment]) -> Assignment | None:
    out = (AssignmentStatus.RETURNED, AssignmentStatus.RELEASED)
    leading = [p for p in parts if p.role is AssignmentRole.LEAD and p.status not in out]
    return leading[-1] if leading else None


def _steps(ticket: Ticket, history: Sequence[LedgerEntry]) -> list[Step]:
    """Each step once where it is repeated without anything between, the receipt first."""
    steps = [Step(ticket.received_at, "收到您的诉求")]
    for entry in history:
        said = _STEPS.get(entry.act)
        by_co_unit = entry.act in (Act.SIGN, Act.REPLY) and entry.from_state == entry.to_state
        if said is None or by_co_unit or said == steps[-1].text:
            continue
        steps.append(Step(entry.effective_at, said))
    return steps


def _promise(desk: Desk, ticket: Ticket, lead: Assignment | None) -> Promise | None:
    """The lead unit's running limit, as extended; before there is a unit, the citizen's own clock."""
    running = list(
        desk.session.execute(
            select(Clock)
            .where(
                col(Clock.ticket_id) == ticket.id, col(Clock.met_at).is_(None), col(Clock.voided_at).is_(None)
            )
            .order_by(col(Clock.due_at).desc(), col(Clock.id).desc())
        ).scalars()
    )
    of_unit = [c for c in running if lead is not None and c.assignment_id == lead.id and c.kind in _REPORTED]
    own = [c for c in running if c.kind is ClockKind.CITIZEN]
    if not of_unit and not own:
        return None
    clock = (of_unit or own)[0]
    proof = certificates.certificate_of(desk.session, ticket.id, clock.id)
    return Promise(clock.due_at, proof, clock.provisional)


def _answer(desk: Desk, ticket: Ticket, lead: Assignment | None, *, sealed: bool) -> str | None:
    if ticket.state in (S.ANSWERED, S.REFUSED, S.TRANSFERRED) or (lead is None and ticket.outcome):
        said = ticket.outcome
    elif ticket.state in _ANSWERED and ticket.merged_into_id is None and lead is not None:
        said = desk.session.execute(
            select(col(Reply.content))
            .where(col(Reply.ticket_id) == ticket.id, col(Reply.assignment_id) == lead.id)
            .order_by(col(Reply.id).desc())
            .limit(1)
        ).scalar_one_or_none()
    else:
        return None
    if said is None:
        return None
    if sealed:
        return "为保护您的信息，答复内容不在此显示；请留意热线来电，或拨打 12345 查询。"
    return mask_text(said, known_of(desk.office.sealer, ticket))


def _guidance(desk: Desk, ticket: Ticket, history: Sequence[LedgerEntry]) -> str | None:
    """Where a refused demand belongs instead (art. 12)."""
    if ticket.state is not S.REFUSED:
        return None
    said = [str(e.payload["guidance"]) for e in history if e.payload.get("guidance")]
    return mask_text(said[-1], known_of(desk.office.sealer, ticket)) if said else None


def _evaluation(session: Session, ticket: Ticket) -> Evaluation | None:
    return session.execute(
        select(Evaluation).where(
            col(Evaluation.ticket_id) == ticket.id, col(Evaluation.episode_no) == ticket.episode_no
        )
    ).scalar_one_or_none()


def _appeal(session: Session, ticket: Ticket) -> Appeal | None:
    return session.execute(
        select(Appeal).where(col(Appeal.ticket_id) == ticket.id, col(Appeal.episode_no) == ticket.episode_no)
    ).scalar_one_or_none()


def _may_appeal(desk: Desk, ticket: Ticket) -> bool:
    if ticket.state is S.VERIFIED:
        return True
    return ticket.state in _ENDED and ticket.ended_at is not None and desk.at - ticket.ended_at <= APPEAL_DAYS


# --- what the citizen says -----------------------------------------------------------------------------------------------------


def evaluate(desk: Desk, number: str, order: EvaluationOrder) -> Case:
    """好差评 of the present round of handling, once. It is no callback: the platform still calls back (art. 14(7)). The caller commits.

    Raises `OrderInvalid` before there is something to evaluate, `AlreadySaid`.
    """
    case = take_up(desk, number)
    order = conceal(desk, case, order)
    if case.ticket.state not in _CONCLUDED:
        raise OrderInvalid("该诉求还在办理，办结后可以评价。")
    if _evaluation(desk.session, case.ticket) is not None:
        raise AlreadySaid("您已评价过本次办理，谢谢。")
    desk.session.add(
        Evaluation(
            ticket_id=case.ticket.id,
            episode_no=case.ticket.episode_no,
            grade=order.grade,
            labels=[label.value for label in order.labels],
            remark=order.remark,
            evaluated_at=desk.at,
        )
    )
    _note(desk, case, "evaluated", outbox.EVALUATED, order.model_dump(mode="json", exclude_none=True))
    return case


def appeal(desk: Desk, number: str, order: AppealOrder) -> Case:
    """异议 of the present round, once: while a callback is still owed it is a callback's «dissatisfied», which a reviewer judges
    (art. 14(7)); after the end it opens a new demand, which waits for a decision. The caller commits.

    Raises `OrderInvalid` while the matter is being handled or long after its end, `AlreadySaid`.
    """
    case = take_up(desk, number)
    ticket = case.ticket
    if _appeal(desk.session, ticket) is not None:
        raise AlreadySaid("您已对本次办理提出异议，请等待处理。")
    if not _may_appeal(desk, ticket):
        if ticket.state in _ENDED:
            raise OrderInvalid(f"办结已超过 {APPEAL_DAYS.days} 天，请拨打 12345 重新反映。")
        raise OrderInvalid("该诉求正在办理，办结后可以提出异议；需要补充情况请拨打 12345。", article="14(7)")
    masked = conceal(desk, case, order)
    said = Appeal(
        ticket_id=ticket.id, episode_no=ticket.episode_no, reason=masked.reason, appealed_at=desk.at
    )
    desk.session.add(said)
    desk.session.flush()
    if ticket.state is S.VERIFIED:
        told = CallbackOrder(outcome=CallbackOutcome.DISSATISFIED, solved=False, remark=order.reason)
        return aftercare.record_callback(desk, number, told)
    opened_anew = _contact_again(desk, ticket, order)
    said.led_to_id = opened_anew.ticket.id
    desk.session.add(said)
    _note(
        desk,
        case,
        "appealed",
        outbox.APPEALED,
        {"reason": masked.reason, "led_to": opened_anew.ticket.number},
    )
    return case


def _contact_again(desk: Desk, ticket: Ticket, order: AppealOrder) -> Case:
    """A new demand of the same caller about how the ended one was handled; it waits for a decision (待认定)."""
    known = known_of(desk.office.sealer, ticket)
    about = f"对工单 {ticket.number} 办理结果的异议"
    demand = Demand(
        channel=Channel.WEB,
        matter=ticket.matter,
        category=ticket.category_code,
        area=ticket.area_code,
        title=about,
        content=f"{about}：{order.reason}",
        caller=Caller.model_construct(
            name=known.name,
            phone=known.phone,
            address=known.address,
            id_number=known.id_number,
            confidential=ticket.confidential,
        ),
        external_ref=f"appeal:{ticket.number}:{ticket.episode_no}",
    )
    return intake.take(desk, demand, Act.REGISTER, RegisterOrder(), ticket.platform_id)


def _note(desk: Desk, case: Case, name: str, kind: str, payload: dict[str, object]) -> None:
    """In the ledger, without a new version: nobody's If-Match breaks on a citizen's word."""
    record(desk, case, name, before=case.ticket.state, article=None, payload=payload)
    tell(desk, case, kind, None, {})
    write(desk, case)
