"""容错剔除 (art. 35): a clock or a ticket is left out of every figure, for a reason, once somebody other than the applicant approved it."""

from typing import Any, Final

from pydantic import Field
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.assessing.tables import Exclusion
from hotline.case import Desk
from hotline.desk import take_up
from hotline.models import Clock
from hotline.orders import KeyPath, Number, Order, Prose
from hotline.privacy.masking import mask_text
from hotline.reporting.filing import IllegalStep
from hotline.reporting.tables import Waiting
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import Role

ARTICLE: Final = "35"


class ExcludeOrder(Order):
    """申请剔除: one clock of a ticket; without a clock the ticket whole, which is for the platform to ask."""

    number: Number = Field(title="工单编号")
    clock: KeyPath | None = Field(default=None, title="时限", description="时限的编号；缺省为整件工单")
    reason: Prose = Field(title="理由")


class DecisionOrder(Order):
    """A decision with its reason."""

    approve: bool = Field(title="是否同意")
    reason: Prose = Field(title="理由")


def apply(desk: Desk, order: ExcludeOrder) -> Exclusion:
    """申请剔除. A unit asks for its own clocks. Raises `OrderInvalid`, `AccessRefused`, `NotFound`. The caller commits."""
    case = take_up(desk, order.number)
    unit_id = None
    if order.clock is not None:
        clock = desk.session.get(Clock, order.clock)
        if clock is None or clock.ticket_id != case.ticket.id:
            raise OrderInvalid("该工单没有这个时限。", article=ARTICLE, field="clock")
        unit_id = clock.unit_id
    if desk.actor.is_unit and (order.clock is None or unit_id != desk.actor.unit_id):
        raise AccessRefused("承办单位只能就本单位的时限申请剔除。", article=ARTICLE, field="clock")
    same = select(col(Exclusion.id)).where(
        col(Exclusion.ticket_id) == case.ticket.id,
        col(Exclusion.clock_id).is_not_distinct_from(order.clock),
        col(Exclusion.approved).is_distinct_from(False),
    )
    if desk.session.execute(same).first() is not None:
        raise IllegalStep("已有剔除申请，或已经剔除。", article=ARTICLE)
    row = Exclusion(
        platform_id=case.ticket.platform_id,
        ticket_id=case.ticket.id,
        clock_id=order.clock,
        unit_id=unit_id,
        reason=mask_text(order.reason),
        applied_by=desk.actor.name,
        applied_key=desk.actor.key,
        applied_at=desk.at,
    )
    desk.session.add(row)
    desk.session.flush()
    return row


def decide(desk: Desk, exclusion_id: int, order: DecisionOrder) -> Exclusion:
    """审批, by a supervisor of the ticket's platform who did not ask for it; the figures follow within seconds. The caller commits.

    Raises `NotFound`, `AccessRefused`, `IllegalStep`.
    """
    row = desk.session.get(Exclusion, exclusion_id, with_for_update=True)
    if row is None or row.platform_id not in desk.actor.platform_ids:
        raise NotFound("没有这份剔除申请，或不在您的权限范围内。", field="exclusion")
    if Role.SUPERVISOR not in desk.actor.roles or desk.actor.kind != "person":
        raise AccessRefused("剔除由督办主管本人审批。", article=ARTICLE)
    if row.applied_key == desk.actor.key:
        raise AccessRefused("剔除不能由申请人自己审批。", article=ARTICLE)
    if row.approved is not None:
        raise IllegalStep("该申请已经审批。", article=ARTICLE)
    row.approved, row.decision = order.approve, mask_text(order.reason)
    row.decided_by, row.decided_key, row.decided_at = desk.actor.name, desk.actor.key, desk.at
    desk.session.add(row)
    if order.approve:
        desk.session.add(Waiting(what="ticket", ref_id=row.ticket_id))
    desk.session.flush()
    return row


def listed(
    session: Session, actor: Actor, *, pending: bool, limit: int, before: int | None
) -> tuple[list[Exclusion], int | None]:
    """The newest applications the actor sees, and the key the next page is asked with."""
    mine: Any = (
        col(Exclusion.unit_id) == actor.unit_id
        if actor.is_unit
        else col(Exclusion.platform_id).in_(sorted(actor.platform_ids))
    )
    found = select(Exclusion).where(mine)
    if pending:
        found = found.where(col(Exclusion.approved).is_(None))
    if before is not None:
        found = found.where(col(Exclusion.id) < before)
    rows = list(session.execute(found.order_by(col(Exclusion.id).desc()).limit(limit + 1)).scalars())
    page = rows[:limit]
    return page, page[-1].id if len(rows) > limit else None
