"""容错剔除 (art. 35): a clock or a ticket is left out of every figure, for a reason, once somebody other than the applicant approved it, and
until that is revoked."""

from typing import Any, Final

from pydantic import Field
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.assessing.tables import Exclusion
from hotline.calendars import newest_version
from hotline.case import Case, Desk, record, write
from hotline.desk import take_up, take_up_id
from hotline.fields import KeyPath, Number, Order, Prose
from hotline.models import Clock
from hotline.privacy.masking import mask_text
from hotline.reporting.filing import IllegalStep
from hotline.reporting.tables import Waiting
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import Role

ARTICLE: Final = "35"
EXCLUDED: Final = "excluded"
REVOKED: Final = "exclusion_revoked"
"""What a ticket's ledger calls an exclusion approved, and one revoked."""


class ExcludeOrder(Order):
    """申请剔除: one clock of a ticket; without a clock the ticket whole, which is for the platform to ask."""

    number: Number = Field(title="工单编号")
    clock: KeyPath | None = Field(default=None, title="时限", description="时限的编号；缺省为整件工单")
    reason: Prose = Field(title="理由")


class DecisionOrder(Order):
    """A decision with its reason."""

    approve: bool = Field(title="是否同意")
    reason: Prose = Field(title="理由")


class RevokeOrder(Order):
    """撤销剔除, or 撤回 an application nobody decided, with the reason."""

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
        col(Exclusion.revoked_at).is_(None),
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

    Approved, it stands in the ticket's ledger. Raises `NotFound`, `AccessRefused`, `IllegalStep`.
    """
    row, case = _taken_up(desk, exclusion_id)
    _check_supervisor(desk, "剔除由督办主管本人审批。")
    if row.applied_key == desk.actor.key:
        raise AccessRefused("剔除不能由申请人自己审批。", article=ARTICLE)
    if row.approved is not None or row.revoked_at is not None:
        raise IllegalStep("该申请已经审批或撤回。", article=ARTICLE)
    row.approved, row.decision = order.approve, mask_text(order.reason)
    row.decided_by, row.decided_key, row.decided_at = desk.actor.name, desk.actor.key, desk.at
    if order.approve:
        _note(
            desk,
            case,
            row,
            EXCLUDED,
            {"reason": row.reason, "applied_by": row.applied_by, "note": row.decision},
        )
    desk.session.add(row)
    desk.session.flush()
    return row


def revoke(desk: Desk, exclusion_id: int, order: RevokeOrder) -> Exclusion:
    """撤回 an application before it is decided, by the applicant; 撤销 an approved exclusion, by a supervisor: it counts again within seconds.

    Revoked, it stands in the ticket's ledger. What was filed or is final keeps its figures. Raises `NotFound`, `AccessRefused`, `IllegalStep`.
    The caller commits.
    """
    row, case = _taken_up(desk, exclusion_id)
    if row.revoked_at is not None or row.approved is False:
        raise IllegalStep("该申请已撤销、撤回或未获同意。", article=ARTICLE)
    if row.approved is None and row.applied_key != desk.actor.key:
        raise AccessRefused("待审批的申请由申请人撤回；不应剔除的，审批时不同意即可。", article=ARTICLE)
    if row.approved:
        _check_supervisor(desk, "已同意的剔除由督办主管本人撤销。")
    row.revoked_by, row.revoked_key, row.revoked_at = desk.actor.name, desk.actor.key, desk.at
    row.revocation = mask_text(order.reason)
    if row.approved:
        _note(desk, case, row, REVOKED, {"reason": row.revocation})
    desk.session.add(row)
    desk.session.flush()
    return row


def _taken_up(desk: Desk, exclusion_id: int) -> tuple[Exclusion, Case]:
    """An application and its ticket, both locked, the ticket first (decision 0010). Raises `NotFound`."""
    row = desk.session.get(Exclusion, exclusion_id)
    if row is None or not _sees(desk.actor, row):
        raise NotFound("没有这份剔除申请，或不在您的权限范围内。", field="exclusion")
    desk.office.calendars.at(desk.session, newest_version(desk.session))
    case = take_up_id(desk, row.ticket_id)
    desk.session.refresh(row, with_for_update=True)
    return row, case


def _sees(actor: Actor, row: Exclusion) -> bool:
    return row.unit_id == actor.unit_id if actor.is_unit else row.platform_id in actor.platform_ids


def _check_supervisor(desk: Desk, otherwise: str) -> None:
    if Role.SUPERVISOR not in desk.actor.roles or desk.actor.kind != "person":
        raise AccessRefused(otherwise, article=ARTICLE)


def _note(desk: Desk, case: Case, row: Exclusion, name: str, told: dict[str, Any]) -> None:
    """One entry in the ticket's ledger, of a clock for the unit it runs against alone; and the ticket is counted anew."""
    payload: dict[str, Any] = {"exclusion": row.id} | told
    if row.clock_id is not None:
        payload |= {"clock_id": row.clock_id, "kind": desk.session.get_one(Clock, row.clock_id).kind.value}
    if row.unit_id is not None:
        payload["unit"] = row.unit_id
    record(desk, case, name, before=case.ticket.state, article=ARTICLE, payload=payload)
    write(desk, case)
    desk.session.add(Waiting(what="ticket", ref_id=row.ticket_id))


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
        found = found.where(col(Exclusion.approved).is_(None), col(Exclusion.revoked_at).is_(None))
    if before is not None:
        found = found.where(col(Exclusion.id) < before)
    rows = list(session.execute(found.order_by(col(Exclusion.id).desc()).limit(limit + 1)).scalars())
    page = rows[:limit]
    return page, page[-1].id if len(rows) > limit else None
