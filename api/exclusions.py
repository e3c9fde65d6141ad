"""容错剔除 and 抽查 over HTTP (art. 28, 33, 35): what is left out of the figures and who approved it; quarterly samples and their findings."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.hotspots import KeyPage
from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline.assessing import exclusions, samples
from hotline.assessing.exclusions import DecisionOrder, ExcludeOrder, RevokeOrder
from hotline.assessing.samples import FindingOrder, SampleOrder
from hotline.assessing.tables import AccuracySample, Exclusion, SampledTicket
from hotline.fields import KeyPath
from hotline.models import Clock, Ticket
from hotline.organisation import OrgUnit, Platform
from workflow.vocabulary import ClockKind

router = APIRouter(prefix="/api/v1", tags=["考核"], responses=PROBLEMS)


class ExclusionView(BaseModel):
    """One application and what was decided."""

    id: int
    number: str
    clock: int | None = Field(description="时限的编号；空为整件工单")
    kind: ClockKind | None
    unit: str | None
    reason: str
    applied_by: str
    applied_at: datetime
    approved: bool | None
    decided_by: str | None
    decided_at: datetime | None
    decision: str | None
    revoked_by: str | None = Field(description="谁撤销或撤回")
    revoked_at: datetime | None
    revocation: str | None = Field(description="为何撤销或撤回")


class ExclusionPage(BaseModel):
    """One page of applications, the newest first."""

    items: list[ExclusionView]
    next: int | None


class ExclusionsQuery(KeyPage):
    """Which applications."""

    pending: bool = Field(default=False, description="只列待审批的")


class SampleLine(BaseModel):
    """One draw."""

    id: int
    platform: str
    starts: date
    ends: date
    seed: str = Field(
        description="随机种子：按 SHA-256(种子:工单编号) 由小到大取前若干件，任何人可以重抽核对"
    )
    population: int = Field(description="可抽的工单数")
    size: int
    drawn_by: str
    drawn_at: datetime


class SampledView(BaseModel):
    """One sampled ticket and what was found."""

    place: int
    number: str
    unit: str | None
    accurate: bool | None
    finding: str | None
    found_by: str | None
    found_at: datetime | None


class SampleWhole(SampleLine):
    """A draw with its tickets, and how many of those looked at were right."""

    looked_at: int
    accurate: int
    tickets: list[SampledView]


def _exclusion(edge: Edge, row: Exclusion) -> ExclusionView:
    clock = edge.session.get(Clock, row.clock_id) if row.clock_id is not None else None
    unit = edge.session.get(OrgUnit, row.unit_id) if row.unit_id is not None else None
    return ExclusionView(
        **row.model_dump(include=set(ExclusionView.model_fields)),
        number=edge.session.get_one(Ticket, row.ticket_id).number,
        clock=row.clock_id,
        kind=clock.kind if clock is not None else None,
        unit=unit.code if unit is not None else None,
    )


@router.post(
    "/exclusions",
    status_code=201,
    summary="申请剔除",
    operation_id="apply_exclusion",
    response_model=ExclusionView,
    openapi_extra=with_example(
        {"number": "012603020000010", "clock": 3, "reason": "暴雪封路，抢修人员无法到场，解封后当日办结。"}
    ),
)
def apply_exclusion(order: ExcludeOrder, edge: EdgeDep) -> Response:
    """Ask that a clock, or a ticket whole, be left out of every figure (容错纠错); a unit for its own clocks."""
    return edge.perform(
        order, lambda desk: exclusions.apply(desk, order), lambda row: _exclusion(edge, row), status=201
    )


@router.get("/exclusions", summary="剔除申请", operation_id="list_exclusions", response_model=ExclusionPage)
def list_exclusions(query: Annotated[ExclusionsQuery, Query()], edge: ReadDep) -> ExclusionPage:
    """The applications of the platforms the actor sees, or about the actor's unit, the newest first."""
    page, following = exclusions.listed(
        edge.session, edge.actor, pending=query.pending, limit=query.limit, before=query.before
    )
    return ExclusionPage(items=[_exclusion(edge, row) for row in page], next=following)


@router.post(
    "/exclusions/{exclusion}/decide",
    summary="审批剔除",
    operation_id="decide_exclusion",
    response_model=ExclusionView,
    openapi_extra=with_example({"approve": True, "reason": "属不可抗力，单位已尽职处置。"}),
)
def decide_exclusion(exclusion: Annotated[KeyPath, Path()], order: DecisionOrder, edge: EdgeDep) -> Response:
    """Approve or refuse, never one's own application; approved, it counts in no figure from some seconds later on."""
    return edge.perform(
        order,
        lambda desk: exclusions.decide(desk, exclusion, order),
        lambda row: _exclusion(edge, row),
    )


@router.post(
    "/exclusions/{exclusion}/revoke",
    summary="撤销剔除",
    operation_id="revoke_exclusion",
    response_model=ExclusionView,
    openapi_extra=with_example({"reason": "经复核，逾期与暴雪无关。"}),
)
def revoke_exclusion(exclusion: Annotated[KeyPath, Path()], order: RevokeOrder, edge: EdgeDep) -> Response:
    """Withdraw one's own application before it is decided, or as a supervisor revoke what was approved: it counts again; filed reports stay."""
    return edge.perform(
        order,
        lambda desk: exclusions.revoke(desk, exclusion, order),
        lambda row: _exclusion(edge, row),
    )


# --- samples -----------------------------------------------------------------------------------------------------------------


def _line(edge: Edge, sample: AccuracySample) -> SampleLine:
    return SampleLine(
        **sample.model_dump(include=set(SampleLine.model_fields)),
        platform=edge.session.get_one(Platform, sample.platform_id).code,
    )


def _sampled(row: SampledTicket, number: str, unit: str | None) -> SampledView:
    return SampledView(
        **row.model_dump(include={"place", "accurate", "finding", "found_by", "found_at"}),
        number=number,
        unit=unit,
    )


def _whole(edge: Edge, sample: AccuracySample) -> SampleWhole:
    tickets = [_sampled(*told) for told in samples.tickets_of(edge.session, sample)]
    return SampleWhole(
        **_line(edge, sample).model_dump(),
        looked_at=sum(each.accurate is not None for each in tickets),
        accurate=sum(each.accurate is True for each in tickets),
        tickets=tickets,
    )


@router.get("/samples", summary="抽查列表", operation_id="list_samples", response_model=list[SampleLine])
def list_samples(edge: ReadDep) -> list[SampleLine]:
    """The samples of the platforms the actor sees, the newest first."""
    return [_line(edge, sample) for sample in samples.listed(edge.session, edge.actor)]


@router.post(
    "/samples",
    status_code=201,
    summary="抽样",
    operation_id="draw_sample",
    response_model=SampleWhole,
    openapi_extra=with_example({"period": "2026-Q3", "size": 60}),
)
def draw_sample(order: SampleOrder, edge: EdgeDep) -> Response:
    """Draw a period's tickets at random, once, by a seed anybody can draw them again with."""
    return edge.perform(
        order, lambda desk: samples.draw(desk, order), lambda row: _whole(edge, row), status=201
    )


@router.get("/samples/{sample}", summary="抽查清单", operation_id="read_sample", response_model=SampleWhole)
def read_sample(sample: Annotated[KeyPath, Path()], edge: ReadDep) -> SampleWhole:
    """One sample: its tickets in the order drawn, and what was found of each."""
    return _whole(edge, samples.found(edge.session, edge.actor, sample))


@router.post(
    "/samples/{sample}/findings",
    summary="记录核对结果",
    operation_id="record_finding",
    response_model=SampledView,
    openapi_extra=with_example({"place": 1, "accurate": False, "finding": "答复时间与回访所述不符。"}),
)
def record_finding(sample: Annotated[KeyPath, Path()], order: FindingOrder, edge: EdgeDep) -> Response:
    """What was found of one sampled ticket, once; 数据准确率 is made of it."""

    def shown(row: SampledTicket) -> SampledView:
        found = samples.found(edge.session, edge.actor, sample)
        told = {
            each.id: (each, number, unit) for each, number, unit in samples.tickets_of(edge.session, found)
        }
        return _sampled(*told[row.id])

    return edge.perform(order, lambda desk: samples.record(desk, sample, order), shown)
