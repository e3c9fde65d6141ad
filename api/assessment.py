"""考核 over HTTP (art. 30-34): the indicator system, assessments from draft to final, units' appeals."""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.hotspots import KeyPage
from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline.assessing import assessments, systems
from hotline.assessing.assessments import AppealDecisionOrder, AppealOrder, DraftAssessmentOrder
from hotline.assessing.systems import System, SystemOrder
from hotline.assessing.tables import Assessment, AssessmentAppeal, IndicatorSystem
from hotline.case import Desk
from hotline.fields import KeyPath
from hotline.organisation import OrgUnit, Platform
from workflow.vocabulary import AssessmentState

router = APIRouter(prefix="/api/v1/assessments", tags=["考核"], responses=PROBLEMS)


class SystemVersion(BaseModel):
    """One saved version of an indicator system."""

    platform: str
    version: int
    name: str
    reason: str
    made_by: str
    made_at: datetime
    system: System


class SystemView(BaseModel):
    """The system in force for the actor's platform, what figures it may use beside the indicators, and every saved version."""

    version: int = Field(description="0 为随系统提供的")
    system: System
    figures: dict[str, str] = Field(description="统计指标之外可用的数及其口径")
    versions: list[SystemVersion]


class AssessmentLine(BaseModel):
    """One assessment and where it stands."""

    id: int
    platform: str
    title: str
    starts: date
    ends: date
    state: AssessmentState
    version: int = Field(description="随 If-Match 送回")
    system_version: int
    computed_at: datetime
    drafted_by: str
    published_by: str | None
    published_at: datetime | None
    appeals_until: date | None = Field(description="异议截止日，含当日")
    finalised_by: str | None
    finalised_at: datetime | None
    hash: str | None = Field(description="定稿的哈希，连着前一份")


class AppealView(BaseModel):
    """One appeal and what was decided."""

    id: int
    unit: str
    item: str
    reason: str
    filed_by: str
    filed_at: datetime
    upheld: bool | None
    decision: str | None
    changed: dict[str, Any] | None = Field(description="before、after：该项得分、总分、位次")
    decided_by: str | None
    decided_at: datetime | None


class AssessmentWhole(AssessmentLine):
    """An assessment with its result: each subject's items with figure, curve, points and why; ranks within tiers; the lists of art. 34."""

    result: dict[str, Any] = Field(
        description="subjects 逐个单位和平台：items 每项的 value 数、curve 计分办法、points 得分、why 算式，total 总分、tier 组、rank 位次；"
        "commended 拟表扬、accountable 提请约谈问责、system 所用指标体系。承办单位只见本单位的明细"
    )
    appeals: list[AppealView]


class AssessmentPage(BaseModel):
    """One page of assessments, the newest first."""

    items: list[AssessmentLine]
    next: int | None


def _version(edge: Edge, row: IndicatorSystem) -> SystemVersion:
    return SystemVersion(
        **row.model_dump(include={"version", "name", "reason", "made_by", "made_at"}),
        platform=edge.session.get_one(Platform, row.platform_id).code,
        system=System.model_validate(row.content),
    )


def _line(edge: Edge, row: Assessment) -> AssessmentLine:
    final = assessments.final_of(edge.session, row.id)
    return AssessmentLine(
        **row.model_dump(include=set(AssessmentLine.model_fields)),
        platform=edge.session.get_one(Platform, row.platform_id).code,
        hash=final.hash.hex() if final is not None else None,
    )


def _appeal(edge: Edge, appeal: AssessmentAppeal) -> AppealView:
    return AppealView(
        **appeal.model_dump(include=set(AppealView.model_fields)),
        unit=edge.session.get_one(OrgUnit, appeal.unit_id).code,
    )


def _whole(edge: Edge, row: Assessment) -> AssessmentWhole:
    appeals = assessments.appeals_of(edge.session, row.id, edge.actor)
    return AssessmentWhole(
        **_line(edge, row).model_dump(),
        result=assessments.shown_to(edge.session, edge.actor, row),
        appeals=[_appeal(edge, appeal) for appeal in appeals],
    )


SYSTEM_EXAMPLE: dict[str, Any] = {
    "system": systems.shipped().model_dump(mode="json"),
    "reason": "依据省政府办公厅2026年度考核方案。",
}

# --- the indicator system ----------------------------------------------------------------------------------------------------


@router.get(
    "/system", summary="考核指标体系", operation_id="read_indicator_system", response_model=SystemView
)
def read_indicator_system(edge: ReadDep) -> SystemView:
    """The system the actor's platform is assessed by (art. 31), and every version saved by the platforms the actor sees."""
    home = edge.actor.platform_id or edge.actor.home_id
    version, system = systems.in_force(edge.session, home) if home is not None else (0, systems.shipped())
    return SystemView(
        version=version,
        system=system,
        figures={key: f"{name}：{definition}" for key, (name, _, definition) in systems.OWN.items()},
        versions=[_version(edge, row) for row in systems.versions(edge.session, edge.actor)],
    )


@router.post(
    "/system",
    status_code=201,
    summary="修订考核指标体系",
    operation_id="save_indicator_system",
    response_model=SystemVersion,
    openapi_extra=with_example(SYSTEM_EXAMPLE),
)
def save_indicator_system(order: SystemOrder, edge: EdgeDep) -> Response:
    """Another version, in force for assessments drafted or computed from now on; those before keep theirs."""
    return edge.perform(
        order, lambda desk: systems.save(desk, order), lambda row: _version(edge, row), status=201
    )


# --- assessments -------------------------------------------------------------------------------------------------------------


@router.get("", summary="考核列表", operation_id="list_assessments", response_model=AssessmentPage)
def list_assessments(query: Annotated[KeyPage, Query()], edge: ReadDep) -> AssessmentPage:
    """The assessments of the platforms the actor sees; for a unit those published that it is in."""
    page, following = assessments.listed(edge.session, edge.actor, limit=query.limit, before=query.before)
    return AssessmentPage(items=[_line(edge, row) for row in page], next=following)


@router.post(
    "",
    status_code=201,
    summary="起草考核",
    operation_id="draft_assessment",
    response_model=AssessmentWhole,
    openapi_extra=with_example({"title": "2026年第三季度12345热线考核", "period": "2026-Q3"}),
)
def draft_assessment(order: DraftAssessmentOrder, edge: EdgeDep) -> Response:
    """Compute every unit and platform of the actor's platform and below by the system in force."""
    return edge.perform(
        order,
        lambda desk: assessments.draft(desk, order),
        lambda row: _whole(edge, row),
        status=201,
        version=_version_of,
    )


@router.get(
    "/{assessment}", summary="考核详情", operation_id="read_assessment", response_model=AssessmentWhole
)
def read_assessment(
    assessment: Annotated[KeyPath, Path()], edge: ReadDep, response: Response
) -> AssessmentWhole:
    """One assessment: every point with its figure, curve and sum."""
    row = assessments.found(edge.session, edge.actor, assessment)
    response.headers["ETag"] = f'"{row.version}"'
    return _whole(edge, row)


def _version_of(row: Assessment) -> int:
    return row.version


def _stepped(edge: Edge, step: Callable[[Desk, int], Assessment], assessment: int) -> Response:
    return edge.perform(
        None, lambda desk: step(desk, assessment), lambda row: _whole(edge, row), version=_version_of
    )


@router.post(
    "/{assessment}/compute",
    summary="重新计算考核",
    operation_id="compute_assessment",
    response_model=AssessmentWhole,
)
def compute_assessment(assessment: Annotated[KeyPath, Path()], edge: EdgeDep) -> Response:
    """Compute a draft anew: by the system now in force, with what was excluded meanwhile."""
    return _stepped(edge, assessments.compute, assessment)


@router.post(
    "/{assessment}/publish",
    summary="公布考核",
    operation_id="publish_assessment",
    response_model=AssessmentWhole,
)
def publish_assessment(assessment: Annotated[KeyPath, Path()], edge: EdgeDep) -> Response:
    """Show units their points; from now on they may appeal for some working days."""
    return _stepped(edge, assessments.publish, assessment)


@router.post(
    "/{assessment}/finalise",
    summary="考核定稿",
    operation_id="finalise_assessment",
    response_model=AssessmentWhole,
)
def finalise_assessment(assessment: Annotated[KeyPath, Path()], edge: EdgeDep) -> Response:
    """Freeze it for good, hashed and chained to the one before, once the days of appeal are over and all are decided."""
    return _stepped(edge, assessments.finalise, assessment)


@router.post(
    "/{assessment}/appeals",
    status_code=201,
    summary="提出考核异议",
    operation_id="appeal_assessment",
    response_model=AppealView,
    openapi_extra=with_example(
        {"item": "timely", "reason": "工单012603020000010因断路抢修逾期，已申请剔除。"}
    ),
)
def appeal_assessment(assessment: Annotated[KeyPath, Path()], order: AppealOrder, edge: EdgeDep) -> Response:
    """A unit against one of its own items, once, while the assessment is published."""
    return edge.perform(
        order,
        lambda desk: assessments.appeal(desk, assessment, order),
        lambda appeal: _appeal(edge, appeal),
        status=201,
    )


@router.post(
    "/appeals/{appeal}/decide",
    summary="处理考核异议",
    operation_id="decide_assessment_appeal",
    response_model=AppealView,
    openapi_extra=with_example({"upheld": True, "reason": "情况属实，按剔除后的数据重新计算。"}),
)
def decide_assessment_appeal(
    appeal: Annotated[KeyPath, Path()], order: AppealDecisionOrder, edge: EdgeDep
) -> Response:
    """Uphold or not, with a reason; what changes is computed anew, ranks with it, and recorded before and after."""
    return edge.perform(
        order,
        lambda desk: assessments.decide(desk, appeal, order),
        lambda found: _appeal(edge, found),
    )
