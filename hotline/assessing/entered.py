"""评定分 (art. 31): what no ledger can tell (组织领导、制度建设), entered by one supervisor with a reason and confirmed by another."""

from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.assessing.exclusions import DecisionOrder
from hotline.assessing.systems import ENTERED, Item, check_over, in_force, own_platform
from hotline.assessing.tables import EnteredPoints
from hotline.auditing import audit
from hotline.case import Desk
from hotline.fields import Line, Order, Prose
from hotline.organisation import OrgUnit, Platform
from hotline.privacy.masking import mask_text
from hotline.reporting.filing import IllegalStep
from hotline.reporting.periods import PATTERN, Period, parse
from hotline.reporting.slices import below
from workflow.deadlines import local_day
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import AuditKind, Role

ARTICLE: Final = "31"
Kind = Literal["unit", "platform"]


class EnterPointsOrder(Order):
    """录入评定分: whose, for which item and period, how many points, why and by which document."""

    period: str = Field(pattern=PATTERN, title="考核期", examples=["2026-Q3"])
    kind: Kind = Field(title="对象", description="unit 承办单位、platform 热线平台", examples=["unit"])
    code: Annotated[str, StringConstraints(min_length=1, max_length=40, pattern=r"^[0-9A-Za-z_\-]+$")] = (
        Field(title="单位或平台代码", examples=["XN-ZJJ"])
    )
    item: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", title="考核项", examples=["leadership"])
    points: Decimal = Field(ge=0, le=100, max_digits=5, decimal_places=2, title="得分", examples=["8.5"])
    reason: Prose = Field(title="理由")
    document: Line | None = Field(default=None, title="文件", description="所依据的文件的名称或文号")


def enter(desk: Desk, order: EnterPointsOrder) -> EnteredPoints:
    """录入 points for an item of the system in force that is `entered`. They count once confirmed, and stand in the audit trail.

    Raises `OrderInvalid`, `AccessRefused`, `IllegalStep` where some wait to be confirmed already. The caller commits.
    """
    platform = own_platform(desk)
    _check_supervisor(desk)
    period = parse(order.period)
    check_over(local_day(desk.at), period.last)
    item = _item(desk.session, platform.id, order)
    if order.points > item.weight:
        raise OrderInvalid(f"该项满分 {item.weight:f} 分。", article=ARTICLE, field="points")
    _check_subject(desk.session, platform.id, order)
    waiting = _of(platform.id, period).where(
        col(EnteredPoints.kind) == order.kind,
        col(EnteredPoints.code) == order.code,
        col(EnteredPoints.item) == order.item,
        col(EnteredPoints.confirmed).is_(None),
    )
    if desk.session.execute(waiting).first() is not None:
        raise IllegalStep("该项已有待确认的评定分，请先确认或退回。", article=ARTICLE)
    row = EnteredPoints(
        platform_id=platform.id,
        starts=period.first,
        ends=period.last,
        kind=order.kind,
        code=order.code,
        item=order.item,
        points=str(order.points.quantize(Decimal("0.01"))),
        reason=mask_text(order.reason),
        document=mask_text(order.document)[:200] if order.document else None,
        entered_by=desk.actor.name,
        entered_key=desk.actor.key,
        entered_at=desk.at,
    )
    desk.session.add(row)
    desk.session.flush()
    _audited(desk, row, "entered")
    return row


def _item(session: Session, platform_id: int, order: EnterPointsOrder) -> Item:
    _, system = in_force(session, platform_id)
    items = system.units if order.kind == "unit" else system.platforms
    for item in items:
        if item.key == order.item and item.figure == ENTERED:
            return item
    raise OrderInvalid("现行指标体系中没有这个评定项。", article=ARTICLE, field="item")


def _check_subject(session: Session, platform_id: int, order: EnterPointsOrder) -> None:
    table: Any = OrgUnit if order.kind == "unit" else Platform
    key = session.execute(select(table.id).where(table.code == order.code)).scalar_one_or_none()
    if key is None or (order.kind == "platform" and key not in below(session, platform_id)):
        what = "承办单位" if order.kind == "unit" else "热线平台"
        raise OrderInvalid(f"没有代码为 {order.code} 的{what}。", article=ARTICLE, field="code")


def confirm(desk: Desk, points_id: int, order: DecisionOrder) -> EnteredPoints:
    """确认, by a supervisor who did not enter them, or send back: assessments computed from now on count them. The caller commits.

    Raises `NotFound`, `AccessRefused`, `IllegalStep`.
    """
    row = desk.session.get(EnteredPoints, points_id, with_for_update=True, populate_existing=True)
    if row is None or row.platform_id not in desk.actor.platform_ids:
        raise NotFound("没有这份评定分，或不在您的权限范围内。", field="points")
    _check_supervisor(desk)
    if row.entered_key == desk.actor.key:
        raise AccessRefused("评定分不能由录入人自己确认。", article=ARTICLE)
    if row.confirmed is not None:
        raise IllegalStep("该评定分已经确认或退回。", article=ARTICLE)
    row.confirmed, row.confirmation = order.approve, mask_text(order.reason)
    row.confirmed_by, row.confirmed_key, row.confirmed_at = desk.actor.name, desk.actor.key, desk.at
    desk.session.add(row)
    desk.session.flush()
    _audited(desk, row, "confirmed" if order.approve else "sent_back")
    return row


def _check_supervisor(desk: Desk) -> None:
    if Role.SUPERVISOR not in desk.actor.roles or desk.actor.kind != "person":
        raise AccessRefused("评定分由督办主管本人录入和确认。", article=ARTICLE)


def _audited(desk: Desk, row: EnteredPoints, step: str) -> None:
    told = {"step": step, "id": row.id, "period": f"{row.starts}..{row.ends}", "points": row.points}
    audit.record(
        desk.session,
        AuditKind.POINTS_ENTERED,
        at=desk.at,
        actor=desk.actor,
        platform_id=row.platform_id,
        what=told | {"kind": row.kind, "code": row.code, "item": row.item},
        algorithm=desk.office.policy.algorithm,
    )


# --- reading -----------------------------------------------------------------------------------------------------------------


def _of(platform_id: int, period: Period) -> Any:
    return select(EnteredPoints).where(
        col(EnteredPoints.platform_id) == platform_id,
        col(EnteredPoints.starts) == period.first,
        col(EnteredPoints.ends) == period.last,
    )


def counting(session: Session, platform_id: int, period: Period) -> dict[tuple[str, str, str], EnteredPoints]:
    """The confirmed points of an assessment's period, by kind, code and item: of several the newest."""
    rows = _of(platform_id, period).where(col(EnteredPoints.confirmed)).order_by(col(EnteredPoints.id))
    return {(row.kind, row.code, row.item): row for row in session.execute(rows).scalars()}


def listed(
    session: Session, actor: Actor, *, pending: bool, limit: int, before: int | None
) -> tuple[list[EnteredPoints], int | None]:
    """The newest points of the platforms the actor sees, and the key the next page is asked with."""
    found = select(EnteredPoints).where(col(EnteredPoints.platform_id).in_(sorted(actor.platform_ids)))
    if pending:
        found = found.where(col(EnteredPoints.confirmed).is_(None))
    if before is not None:
        found = found.where(col(EnteredPoints.id) < before)
    rows = list(session.execute(found.order_by(col(EnteredPoints.id).desc()).limit(limit + 1)).scalars())
    page = rows[:limit]
    return page, page[-1].id if len(rows) > limit else None
