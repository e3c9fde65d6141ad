"""直接解答率 and 知识库更新率: one definition, one query each, and the tickets behind numerator and denominator (art. 27, 32)."""

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from sqlalchemy import ColumnElement, exists, select
from sqlmodel import Session, col

from hotline.models import Clock, LedgerEntry, Ticket
from workflow.errors import OrderInvalid
from workflow.vocabulary import Act, ClockKind, State

_ACCEPTING = (State.ACCEPTED.value, State.COORDINATING.value, State.DISPATCHED.value)


@dataclass(frozen=True, slots=True)
class Rate:
    """An indicator: how many of how many, and the numbers of the tickets behind either. Without a denominator it has no value."""

    counted: tuple[str, ...]
    of: tuple[str, ...]

    @property
    def value(self) -> Fraction | None:
        """The rate, exactly."""
        return Fraction(len(self.counted), len(self.of)) if self.of else None


def direct_answer_rate(session: Session, platform_id: int, since: datetime, until: datetime) -> Rate:
    """直接解答率: contacts answered at once / all accepted contacts, of those received in [since, until), aware instants.

    Answered at once: the act 即时答复 was done. Accepted: answered at once, or 受理 by an agent or by the superior's decision. A
    contact refused, transferred, withdrawn or still undecided without ever having been accepted is in neither; a merged
    one counts as the contact it was, if it had been accepted.
    """
    answered = _did(col(LedgerEntry.act) == Act.ANSWER_AT_ONCE.value)
    accepted = _did(
        (col(LedgerEntry.act) == Act.ANSWER_AT_ONCE.value) | col(LedgerEntry.to_state).in_(_ACCEPTING)
    )
    rows = session.execute(
        select(col(Ticket.number), answered)
        .where(
            col(Ticket.platform_id) == platform_id,
            col(Ticket.received_at) >= since,
            col(Ticket.received_at) < until,
            accepted,
        )
        .order_by(col(Ticket.id))
    ).all()
    return Rate(tuple(number for number, direct in rows if direct), tuple(number for number, _ in rows))


def _did(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(col(LedgerEntry.seq)).where(col(LedgerEntry.ticket_id) == col(Ticket.id), condition))


def knowledge_update_rate(
    session: Session,
    since: datetime,
    until: datetime,
    *,
    platform_id: int | None = None,
    unit_id: int | None = None,
) -> Rate:
    """知识库更新率: knowledge clocks met before their due instant / those due in [since, until), of a platform or one unit (art. 23).

    Still open overdue ones are in the denominator; a clock voided is in neither. Take `until` no later than now: what is not due
    yet is nobody's failing. Raises `OrderInvalid` without platform or unit.
    """
    if platform_id is None and unit_id is None:
        raise OrderInvalid("请指明平台或承办单位。")
    whose = [col(Clock.platform_id) == platform_id] if platform_id is not None else []
    whose += [col(Clock.unit_id) == unit_id] if unit_id is not None else []
    rows = session.execute(
        select(col(Ticket.number), (col(Clock.met_at) < col(Clock.due_at)).is_(True))
        .join(Ticket, col(Ticket.id) == col(Clock.ticket_id))
        .where(
            col(Clock.kind) == ClockKind.KNOWLEDGE_UPDATE,
            col(Clock.due_at) >= since,
            col(Clock.due_at) < until,
            col(Clock.voided_at).is_(None),
            *whose,
        )
        .order_by(col(Clock.due_at), col(Clock.id))
    ).all()
    return Rate(tuple(number for number, met in rows if met), tuple(number for number, _ in rows))
