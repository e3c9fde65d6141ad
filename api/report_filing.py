"""报告 over HTTP (art. 27): saved views, drafts, review, filing, restatements and what they change."""

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlmodel import col

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline.fields import Code, KeyPath, Order
from hotline.organisation import Platform
from hotline.reporting import cases, filing
from hotline.reporting.filing import CoverOrder, DraftReportOrder, RestateOrder, StrikeOrder, ViewOrder
from hotline.reporting.snapshots import ViewWords
from hotline.reporting.tables import FiledReport, Report, ReportView
from workflow.vocabulary import ReportKind, ReportState

router = APIRouter(prefix="/api/v1/reports", tags=["统计"], responses=PROBLEMS)


class SavedView(BaseModel):
    """One saved view."""

    id: int
    name: str
    view: ViewWords
    saved_by: str
    saved_at: datetime


class ReportLine(BaseModel):
    """One report and where it stands."""

    id: int
    platform: str
    kind: ReportKind
    title: str
    starts: date
    ends: date
    state: ReportState
    version: int = Field(description="随 If-Match 送回")
    restates: int | None = Field(description="所更正的报告")
    reason: str | None = Field(description="更正的原因")
    drafted_by: str
    drafted_at: datetime
    reviewed_by: str | None
    reviewed_at: datetime | None
    filed_by: str | None
    filed_at: datetime | None
    article: str
    due_on: date | None = Field(description="报送期限；专题和更正没有")
    due_at: datetime | None
    late: bool = Field(description="逾期：届满未报送，或届满后才报送")
    number: int | None = Field(description="该平台报送的序号")
    hash: str | None = Field(description="报送件的哈希，连着前一份")


class ReportWhole(ReportLine):
    """A report with its content: as filed, as reviewed, or of a draft as the figures stand now."""

    content: dict[str, Any] = Field(
        description="figures 数据、compared 上期和上年同期、trend 趋势、questions 高频问题、cases 典型案例、definitions 指标定义、parameters 当时的期限和口径、cohorts 各口径的件数；报送后定格"
    )
    likely: dict[str, list[str]] = Field(
        description="尚未报送的报告：按工单编号，典型案例中疑似他人姓名、门牌、车牌等的文字，供审核人核对"
    )


class ReportPage(BaseModel):
    """One page of reports, the newest first; `next` is the key to ask the page after it with."""

    items: list[ReportLine]
    next: int | None


class Changed(BaseModel):
    """One figure that differs."""

    table: str = Field(description="whole 为总数，其余为分组")
    key: str
    indicator: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Difference(BaseModel):
    """What a report changes against the one it restates, or a filed one's figures against those of now."""

    report: int
    restates: int | None
    before_as_of: datetime
    after_as_of: datetime
    changes: list[Changed]


class ReportsQuery(Order):
    """Which reports."""

    platform: Code | None = Field(default=None, description="热线平台代码")
    kind: ReportKind | None = None
    state: ReportState | None = None
    limit: int = Field(default=50, ge=1, le=200)
    before: KeyPath | None = Field(default=None, description="上一页返回的 next")


VIEW_EXAMPLE = {
    "slice": {"category": "0101", "below": True},
    "by": ["area", "unit"],
    "indicators": ["received", "timely", "satisfied"],
}
DRAFT_EXAMPLE = {"title": "冬季供热诉求专题分析", "period": "2026-10", "view": VIEW_EXAMPLE}


# --- views -----------------------------------------------------------------------------------------------------------------


def _view(saved: ReportView) -> SavedView:
    return SavedView(
        id=saved.id,
        name=saved.name,
        view=ViewWords.model_validate(saved.view),
        saved_by=saved.saved_by,
        saved_at=saved.saved_at,
    )


@router.get("/views", summary="统计视图", operation_id="list_report_views", response_model=list[SavedView])
def list_report_views(edge: ReadDep) -> list[SavedView]:
    """The saved views of the platforms the actor sees."""
    return [_view(saved) for saved in filing.views(edge.session, edge.actor)]


@router.post(
    "/views",
    status_code=201,
    summary="保存统计视图",
    operation_id="save_report_view",
    response_model=SavedView,
    openapi_extra=with_example({"name": "供热投诉（按区县）", "view": VIEW_EXAMPLE}),
)
def save_report_view(order: ViewOrder, edge: EdgeDep) -> Response:
    """A cut of the figures under a name, for everybody of the platform; special reports are drafted from it."""
    return edge.perform(order, lambda desk: filing.save_view(desk, order), _view, status=201)


# --- reports ---------------------------------------------------------------------------------------------------------------


@router.get("", summary="报告列表", operation_id="list_reports", response_model=ReportPage)
def list_reports(query: Annotated[ReportsQuery, Query()], edge: ReadDep) -> ReportPage:
    """The reports of the platforms the actor sees, the newest first."""
    found = select(Report).where(col(Report.platform_id).in_(sorted(edge.actor.platform_ids)))
    if query.platform is not None:
        own = select(col(Platform.id)).where(col(Platform.code) == query.platform)
        found = found.where(col(Report.platform_id).in_(own))
    if query.kind is not None:
        found = found.where(col(Report.kind) == query.kind)
    if query.state is not None:
        found = found.where(col(Report.state) == query.state)
    if query.before is not None:
        found = found.where(col(Report.id) < query.before)
    reports = list(
        edge.session.execute(found.order_by(col(Report.id).desc()).limit(query.limit + 1)).scalars()
    )
    page = reports[: query.limit]
    more = len(reports) > query.limit
    return ReportPage(items=_lines(edge, page), next=page[-1].id if more else None)


def _lines(edge: Edge, reports: list[Report]) -> list[ReportLine]:
    platforms = select(col(Platform.id), col(Platform.code)).where(
        col(Platform.id).in_({report.platform_id for report in reports})
    )
    codes = {key: code for key, code in edge.session.execute(platforms)}  # noqa: C416
    rows = select(FiledReport).where(col(FiledReport.report_id).in_([report.id for report in reports]))
    filed = {row.report_id: row for row in edge.session.execute(rows).scalars()}
    return [_line(edge, report, codes[report.platform_id], filed.get(report.id)) for report in reports]


def _line(edge: Edge, report: Report, platform: str, filed: FiledReport | None) -> ReportLine:
    ended = report.filed_at or edge.at
    return ReportLine(
        **report.model_dump(include=set(ReportLine.model_fields) & set(Report.model_fields)),
        platform=platform,
        restates=report.restates_id,
        late=report.due_at is not None and ended >= report.due_at,
        number=filed.number if filed else None,
        hash=filed.hash.hex() if filed else None,
    )


def _whole(edge: Edge, report: Report) -> ReportWhole:
    content = filing.content_of(edge.desk(), report)
    likely = {} if report.state is ReportState.FILED else cases.likely_in(content)
    return ReportWhole(**_lines(edge, [report])[0].model_dump(), content=content, likely=likely)


@router.post(
    "",
    status_code=201,
    summary="起草专题报告",
    operation_id="draft_report",
    response_model=ReportWhole,
    openapi_extra=with_example(DRAFT_EXAMPLE),
)
def draft_report(order: DraftReportOrder, edge: EdgeDep) -> Response:
    """A special report at any time (art. 27), from a saved view or one as given. Regular ones draft themselves."""
    return edge.perform(
        order,
        lambda desk: filing.draft_special(desk, order),
        lambda report: _whole(edge, report),
        status=201,
        version=lambda report: report.version,
    )


@router.get("/{report}", summary="报告", operation_id="read_report", response_model=ReportWhole)
def read_report(report: KeyPath, edge: ReadDep) -> Response:
    """A report with its content; its ETag is the version for If-Match."""
    found = filing.find(edge.session, edge.actor, report)
    headers = {"ETag": f'"{found.version}"', "Cache-Control": "private, no-store"}
    return Response(_whole(edge, found).model_dump_json(), media_type="application/json", headers=headers)


@router.post("/{report}/review", summary="审核报告", operation_id="review_report", response_model=ReportWhole)
def review_report(report: KeyPath, edge: EdgeDep) -> Response:
    """The figures as of now are looked through and may be filed; again until it is filed."""
    return edge.perform(
        None,
        lambda desk: filing.review(desk, report),
        lambda found: _whole(edge, found),
        version=lambda found: found.version,
    )


@router.post("/{report}/file", summary="报送报告", operation_id="file_report", response_model=ReportWhole)
def file_report(report: KeyPath, edge: EdgeDep) -> Response:
    """What was reviewed is frozen, hashed and chained; by another supervisor than the reviewer, unless there is but one."""
    return edge.perform(
        None,
        lambda desk: filing.file(desk, report),
        lambda found: _whole(edge, found),
        version=lambda found: found.version,
    )


@router.post(
    "/{report}/strike",
    summary="撤换典型案例",
    operation_id="strike_case",
    response_model=ReportWhole,
    openapi_extra=with_example({"number": "012604010000019", "reason": "涉及正在调查的事项，不宜刊载。"}),
)
def strike_case(report: KeyPath, order: StrikeOrder, edge: EdgeDep) -> Response:
    """Leave a typical case out of a reviewed report; the next by the rule takes its place. Who does it has reviewed it anew."""
    return edge.perform(
        order,
        lambda desk: filing.strike(desk, report, order),
        lambda found: _whole(edge, found),
        version=lambda found: found.version,
    )


@router.post(
    "/{report}/cover",
    summary="隐去他人信息",
    operation_id="cover_words",
    response_model=ReportWhole,
    openapi_extra=with_example({"number": "012604010000019", "words": ["李师傅"]}),
)
def cover_words(report: KeyPath, order: CoverOrder, edge: EdgeDep) -> Response:
    """Hide words of a typical case that tell of somebody, in a reviewed report. Who does it has reviewed it anew."""
    return edge.perform(
        order,
        lambda desk: filing.cover(desk, report, order),
        lambda found: _whole(edge, found),
        version=lambda found: found.version,
    )


@router.post(
    "/{report}/restate",
    status_code=201,
    summary="更正报告",
    operation_id="restate_report",
    response_model=ReportWhole,
    openapi_extra=with_example({"reason": "3 个单位的回访结果补录，满意率有变化。"}),
)
def restate_report(report: KeyPath, order: RestateOrder, edge: EdgeDep) -> Response:
    """A draft that corrects a filed report, with the reason; what was filed stays as it is."""
    return edge.perform(
        order,
        lambda desk: filing.restate(desk, report, order),
        lambda found: _whole(edge, found),
        status=201,
        version=lambda found: found.version,
    )


@router.get("/{report}/diff", summary="报告的变化", operation_id="diff_report", response_model=Difference)
def diff_report(report: KeyPath, edge: ReadDep) -> Difference:
    """A restatement against what it restates; any other filed report against the figures of now."""
    found = filing.find(edge.session, edge.actor, report)
    before, after, changes = filing.diff(edge.desk(), found)
    return Difference(
        report=found.id,
        restates=found.restates_id,
        before_as_of=before["as_of"],
        after_as_of=after["as_of"],
        changes=[Changed(**each) for each in changes],
    )
