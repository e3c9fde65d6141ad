"""Exports over HTTP: asked, decided by another person, downloaded by the asker until they expire."""

from datetime import datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline import fields
from hotline import orders as o
from hotline.auditing.trail import ExportRequest
from hotline.exporting import exports
from hotline.exporting.files import MEDIA_TYPES
from hotline.organisation import OrgUnit, Platform
from workflow.deadlines import CHINA
from workflow.vocabulary import ExportState, PersonalField, Purpose

router = APIRouter(prefix="/api/v1/exports", tags=["数据导出"], responses=PROBLEMS)


class ExportView(BaseModel):
    """One request for an export, what was decided, and its file."""

    id: int
    platform: str
    unit: str | None
    state: ExportState
    asked_by: str
    asked_at: datetime
    purpose: Purpose
    explanation: str
    filters: dict[str, Any]
    unmasked: list[PersonalField] = Field(description="不脱敏的来电人信息；举报和要求保密的来电人始终不显示")
    format: str
    rows: int | None = Field(description="工单数：生成前为预计，生成后为实际")
    decided_by: str | None
    decided_at: datetime | None
    reason: str | None
    expires_at: datetime | None
    sha256: str | None
    downloads: int
    destroyed_at: datetime | None
    mine: bool = Field(description="是否本人的申请")
    may_decide: bool = Field(description="是否可由本人审批")


class ExportPage(BaseModel):
    """Requests, newest first; `next` goes into `before` for the page after."""

    items: list[ExportView]
    next: int | None


ASK_EXAMPLE = {
    "purpose": "report",
    "explanation": "三月份供热类诉求办理情况分析。",
    "filters": {"category": "0101", "received_from": "2026-03-01T00:00:00+08:00"},
    "unmasked": [],
    "format": "xlsx",
}


def _view(edge: Edge, export: ExportRequest) -> ExportView:
    unit = edge.session.get(OrgUnit, export.unit_id) if export.unit_id is not None else None
    told = export.model_dump(exclude={"asked_by", "decided_by", "platform_id", "unit_id"})
    undecided = export.state is ExportState.ASKED
    return ExportView(
        **told,
        platform=edge.session.get_one(Platform, export.platform_id).code,
        unit=unit.code if unit else None,
        asked_by=export.asked_by_name,
        format=export.file_format,
        decided_by=export.decided_by_name,
        reason=export.decision_reason,
        mine=export.asked_by == edge.actor.key,
        may_decide=undecided and exports.may_decide(edge.actor, export),
    )


@router.post(
    "",
    status_code=201,
    summary="申请导出",
    operation_id="ask_export",
    openapi_extra=with_example(ASK_EXAMPLE),
    response_model=ExportView,
    responses=PROBLEMS,
)
def ask_export(order: exports.ExportOrder, edge: EdgeDep) -> Response:
    """Ask for the tickets one sees under these filters as a file; another person decides."""
    return edge.perform(
        order, lambda desk: exports.ask(desk, order), lambda export: _view(edge, export), status=201
    )


@router.get(
    "", summary="导出申请", operation_id="list_exports", response_model=ExportPage, responses=PROBLEMS
)
def list_exports(
    edge: ReadDep,
    state: ExportState | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**62, description="上一页返回的 next")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> ExportPage:
    """One's own requests and, for supervisors and auditors, those of the platforms they see; newest first."""
    found = exports.listed(edge.session, edge.actor, state=state, before=before, limit=limit + 1)
    page = found[:limit]
    following = page[-1].id if len(found) > limit else None
    return ExportPage(items=[_view(edge, export) for export in page], next=following)


@router.get(
    "/{export}",
    summary="导出申请详情",
    operation_id="get_export",
    response_model=ExportView,
    responses=PROBLEMS,
)
def get_export(export: fields.KeyPath, edge: ReadDep) -> ExportView:
    """One request, as it stands."""
    return _view(edge, exports.found(edge.session, edge.actor, export))


@router.post(
    "/{export}/approve",
    summary="批准导出",
    operation_id="approve_export",
    openapi_extra=with_example({"reason": "用途明确，同意导出。", "hours": 24}),
    response_model=ExportView,
    responses=PROBLEMS,
)
def approve_export(export: fields.KeyPath, order: exports.ApprovalOrder, edge: EdgeDep) -> Response:
    """Approve another person's request: the file is made, large ones in the background."""
    return edge.perform(
        order, lambda desk: exports.approve(desk, export, order), lambda done: _view(edge, done)
    )


@router.post(
    "/{export}/refuse",
    summary="不予批准导出",
    operation_id="refuse_export",
    openapi_extra=with_example({"reason": "用途不明确，请补充说明后重新申请。"}),
    response_model=ExportView,
    responses=PROBLEMS,
)
def refuse_export(export: fields.KeyPath, order: o.ReasonOrder, edge: EdgeDep) -> Response:
    """Refuse another person's request, with a reason."""
    return edge.perform(
        order, lambda desk: exports.refuse(desk, export, order.reason), lambda done: _view(edge, done)
    )


@router.get(
    "/{export}/file",
    summary="下载导出文件",
    operation_id="download_export",
    response_class=Response,
    responses={
        **PROBLEMS,
        200: {"content": {kind: {} for kind in MEDIA_TYPES.values()}, "description": "文件内容"},
    },
)
def download_export(export: fields.KeyPath, edge: ReadDep) -> Response:
    """The file, for its asker only, until it expires; every download is recorded."""
    row, content = exports.download(edge.desk(), export)
    edge.session.commit()
    name = f"12345导出-{row.id}-{edge.at.astimezone(CHINA):%Y%m%d}.{row.file_format}"
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
    }
    return Response(content, media_type=MEDIA_TYPES[row.file_format], headers=headers)
