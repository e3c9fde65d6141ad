"""The audit trail over HTTP: entries, alerts, who looked at one ticket's caller, recordings kept and destroyed."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlmodel import col

from api.acts import NumberPath
from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline import fields, numbers, recordings
from hotline.access import visible_to
from hotline.auditing import alerts
from hotline.auditing import views as audit_views
from hotline.auditing.trail import AuditAlert, AuditEntry
from hotline.models import Ticket
from hotline.organisation import Platform
from workflow.errors import NotFound, OutOfSight
from workflow.vocabulary import AlertKind, AuditKind, PersonalField, Purpose, Retention

router = APIRouter(prefix="/api/v1", tags=["审计"], responses=PROBLEMS)
KeyAbove = Annotated[int | None, Query(ge=1, le=2**62, description="上一页返回的 next")]


# --- the trail ---------------------------------------------------------------------------------------------------------


class AuditView(BaseModel):
    """One entry of the audit trail."""

    platform: str | None = Field(description="平台代码；空为不属于任何平台")
    day: date
    seq: int
    at: datetime
    kind: AuditKind
    label: str
    actor: str
    actor_kind: str
    address: str | None
    ticket: str | None
    what: dict[str, Any]
    hash: str


class AuditPage(BaseModel):
    """One page of the trail; `next` is the cursor of the page after it."""

    items: list[AuditView]
    next: str | None


class AuditQuery(BaseModel):
    """The filters of the trail."""

    model_config = {"extra": "forbid"}

    since: date | None = Field(default=None, description="自某日起（北京时间）")
    until: date | None = Field(default=None, description="至某日止，含当日")
    kind: list[AuditKind] = Field(default=[], description="一个或多个事项")
    who: fields.Line | None = Field(default=None, description="操作人的登录名或姓名")
    ticket: fields.Number | None = Field(default=None, description="工单编号")
    address: str | None = Field(
        default=None, min_length=1, max_length=60, pattern=r"^[0-9A-Za-z.:%_\-]+$", description="来源地址"
    )
    platform: str | None = Field(default=None, pattern=r"^[0-9]{2}$", description="平台代码")
    limit: int = Field(default=50, ge=1, le=200)
    cursor: str | None = Field(default=None, max_length=500, description="上一页返回的 next")


@router.get(
    "/audit", summary="审计记录", operation_id="list_audit", response_model=AuditPage, responses=PROBLEMS
)
def list_audit(query: Annotated[AuditQuery, Query()], edge: ReadDep) -> AuditPage:
    """The trail of the platforms the auditor sees, newest day first. Reading it is recorded too."""
    wanted = audit_views.Wanted(
        query.since, query.until, tuple(query.kind), query.who, query.ticket, query.address, query.platform
    )
    page = audit_views.entries(edge.session, edge.actor, wanted, cursor=query.cursor, limit=query.limit)
    codes = _codes(edge, {entry.platform_id for entry, _ in page.rows})
    items = [_entry(entry, number, codes) for entry, number in page.rows]
    asked = query.model_dump(mode="json", exclude_defaults=True, exclude={"limit", "cursor"})
    edge.audit(AuditKind.AUDIT_READ, what={"asked": asked, "rows": len(items)})
    edge.session.commit()
    return AuditPage(items=items, next=page.next)


def _codes(edge: Edge, ids: set[int]) -> dict[int, str]:
    rows = edge.session.execute(
        select(col(Platform.id), col(Platform.code)).where(col(Platform.id).in_(sorted(ids)))
    )
    return dict(rows.all())


def _entry(entry: AuditEntry, number: str | None, codes: dict[int, str]) -> AuditView:
    return AuditView(
        platform=codes.get(entry.platform_id),
        day=entry.day,
        seq=entry.seq,
        at=entry.at,
        kind=entry.kind,
        label=entry.kind.label,
        actor=entry.actor_name,
        actor_kind=entry.actor_kind,
        address=entry.address,
        ticket=number or entry.what.get("number"),
        what=entry.what,
        hash=entry.hash.hex(),
    )


# --- alerts ------------------------------------------------------------------------------------------------------------


class AlertView(BaseModel):
    """One alert; `count` is how often it came within its hour."""

    id: int
    platform: str
    kind: AlertKind
    label: str
    actor: str
    ticket: str | None
    count: int
    raised_at: datetime
    handled_by: str | None
    handled_at: datetime | None
    conclusion: str | None


class AlertPage(BaseModel):
    """Alerts, newest first; `next` goes into `before` for the page after."""

    items: list[AlertView]
    next: int | None


@router.get(
    "/audit/alerts",
    summary="异常查阅预警",
    operation_id="list_alerts",
    response_model=AlertPage,
    responses=PROBLEMS,
)
def list_alerts(
    edge: ReadDep,
    open_only: Annotated[bool, Query(alias="open", description="只列未处置的")] = False,
    kind: AlertKind | None = None,
    before: KeyAbove = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> AlertPage:
    """Unusual look-ups on the platforms the auditor sees, newest first."""
    found = audit_views.alerts(
        edge.session,
        edge.actor.platform_ids,
        open_only=open_only,
        kind=kind,
        before=before,
        limit=limit + 1,
    )
    page = found[:limit]
    following = page[-1][0].id if len(found) > limit else None
    return AlertPage(items=[_alert(edge, alert, number) for alert, number in page], next=following)


def _alert(edge: Edge, alert: AuditAlert, number: str | None) -> AlertView:
    return AlertView(
        **alert.model_dump(exclude={"what", "platform_id", "ticket_id"}),
        platform=edge.session.get_one(Platform, alert.platform_id).code,
        label=alert.kind.label,
        actor=alert.actor_name,
        ticket=number,
        count=alert.what.get("count", 1),
    )


class ConclusionOrder(fields.Order):
    """What the auditor found."""

    conclusion: fields.Prose = Field(title="处置结论")


@router.post(
    "/audit/alerts/{alert}/conclude",
    summary="处置预警",
    operation_id="conclude_alert",
    openapi_extra=with_example({"conclusion": "经核实为夜间应急值守，查阅有正当用途。"}),
    response_model=AlertView,
    responses=PROBLEMS,
)
def conclude_alert(alert: fields.KeyPath, order: ConclusionOrder, edge: EdgeDep) -> Response:
    """Settle an alert, once, by an auditor it does not speak of."""

    def shown(done: AuditAlert) -> AlertView:
        ticket = edge.session.get(Ticket, done.ticket_id) if done.ticket_id is not None else None
        return _alert(edge, done, ticket.number if ticket else None)

    return edge.perform(order, lambda desk: alerts.conclude(desk, alert, order.conclusion), shown)


# --- one ticket's personal data ------------------------------------------------------------------------------------------


class LookView(BaseModel):
    """One look at a ticket's personal data."""

    kind: AuditKind
    label: str
    at: datetime
    by: str
    field: PersonalField | None
    purpose: Purpose | None
    explanation: str | None
    export: int | None = Field(description="载有该信息的导出申请")
    file: int | None = Field(description="下载的附件")


class Looks(BaseModel):
    """Who looked at a ticket's personal data, newest first."""

    number: str
    looks: list[LookView]


@router.get(
    "/tickets/{number}/reads",
    summary="来电人信息查阅记录",
    operation_id="ticket_reads",
    response_model=Looks,
    responses=PROBLEMS,
)
def ticket_reads(
    number: NumberPath, edge: ReadDep, limit: Annotated[int, Query(ge=1, le=500)] = 200
) -> Looks:
    """Who looked at this ticket's personal data: fields opened, files downloaded, exports that hold it. Reading this is recorded."""
    parsed = numbers.parse(number)
    row = edge.session.execute(
        select(col(Ticket.id), col(Ticket.platform_id), visible_to(edge.actor).label("seen")).where(
            col(Ticket.number) == parsed
        )
    ).first()
    if row is None or not row.seen:
        told = f"没有编号为 {numbers.spoken(parsed)} 的工单，或不在您的权限范围内。"
        raise (OutOfSight if row is not None else NotFound)(told, field="number")
    found = audit_views.looks(edge.session, row.id, limit=limit)
    views = [
        LookView(**{name: getattr(look, name) for name in look.__slots__}, label=look.kind.label)
        for look in found
    ]
    edge.audit(AuditKind.AUDIT_READ, platform_id=row.platform_id, ticket_id=row.id, what={"rows": len(views)})
    edge.session.commit()
    return Looks(number=parsed, looks=views)


# --- recordings --------------------------------------------------------------------------------------------------------


class RecordingView(BaseModel):
    """One recording: kept until when, held, destroyed (art. 14(9))."""

    id: int
    ticket: str
    standing: Retention
    label: str
    size: int
    sha256: str
    recorded_at: datetime | None
    added_at: datetime
    retain_until: date | None = Field(description="保存至（含当日）；空为工单尚未归档")
    held: bool
    destroyed_at: datetime | None


class RecordingPage(BaseModel):
    """Recordings, oldest first; `next` goes into `after` for the page after."""

    items: list[RecordingView]
    next: int | None


@router.get(
    "/recordings",
    summary="录音保存与销毁",
    operation_id="list_recordings",
    response_model=RecordingPage,
    responses=PROBLEMS,
)
def list_recordings(
    edge: ReadDep,
    standing: Annotated[Retention | None, Query(description="保存中、到期待销毁、保全中、已销毁")] = None,
    ticket: Annotated[fields.Number | None, Query(description="工单编号")] = None,
    after: KeyAbove = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> RecordingPage:
    """Recordings of the platforms the actor sees, oldest first."""
    found = recordings.listed(
        edge.session,
        edge.actor.platform_ids,
        edge.at,
        standing=standing,
        number=numbers.parse(ticket) if ticket is not None else None,
        after=after or 0,
        limit=limit + 1,
    )
    page = found[:limit]
    following = page[-1].file.id if len(found) > limit else None
    return RecordingPage(items=[_recording(kept) for kept in page], next=following)


def _recording(kept: recordings.Kept) -> RecordingView:
    return RecordingView(
        **kept.file.model_dump(), ticket=kept.number, standing=kept.standing, label=kept.standing.label
    )
