"""评定分 over HTTP (art. 31): points no ledger can tell, entered by one supervisor and confirmed by another."""

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.hotspots import KeyPage
from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline.assessing import entered
from hotline.assessing.entered import EnterPointsOrder
from hotline.assessing.exclusions import DecisionOrder
from hotline.assessing.tables import EnteredPoints
from hotline.fields import KeyPath
from hotline.organisation import Platform

router = APIRouter(prefix="/api/v1/entered-points", tags=["考核"], responses=PROBLEMS)


class PointsView(BaseModel):
    """Points entered for one unit or platform, and whether they were confirmed."""

    id: int
    platform: str
    starts: date
    ends: date
    kind: entered.Kind
    code: str
    item: str
    points: str
    reason: str
    document: str | None
    entered_by: str
    entered_at: datetime
    confirmed: bool | None = Field(description="空为待确认，否为退回")
    confirmed_by: str | None
    confirmed_at: datetime | None
    confirmation: str | None


class PointsPage(BaseModel):
    """One page of points, the newest first."""

    items: list[PointsView]
    next: int | None


class PointsQuery(KeyPage):
    """Which points."""

    pending: bool = Field(default=False, description="只列待确认的")


def _shown(edge: Edge, row: EnteredPoints) -> PointsView:
    platform = edge.session.get_one(Platform, row.platform_id).code
    return PointsView(**row.model_dump(include=set(PointsView.model_fields)), platform=platform)


@router.get("", summary="评定分", operation_id="list_points", response_model=PointsPage)
def list_points(query: Annotated[PointsQuery, Query()], edge: ReadDep) -> PointsPage:
    """The points entered on the platforms the actor sees, the newest first."""
    page, following = entered.listed(
        edge.session, edge.actor, pending=query.pending, limit=query.limit, before=query.before
    )
    return PointsPage(items=[_shown(edge, row) for row in page], next=following)


@router.post(
    "",
    status_code=201,
    summary="录入评定分",
    operation_id="enter_points",
    response_model=PointsView,
    openapi_extra=with_example(
        {
            "period": "2026-Q3",
            "kind": "unit",
            "code": "XN-ZJJ",
            "item": "leadership",
            "points": "8.5",
            "reason": "主要负责人每月研究热线工作，专人专岗。",
            "document": "组织领导考核自评表",
        }
    ),
)
def enter_points(order: EnterPointsOrder, edge: EdgeDep) -> Response:
    """Enter the points of one unit or platform for an item of the system in force whose figure is `entered`."""
    return edge.perform(
        order, lambda desk: entered.enter(desk, order), lambda row: _shown(edge, row), status=201
    )


@router.post(
    "/{points}/confirm",
    summary="确认评定分",
    operation_id="confirm_points",
    response_model=PointsView,
    openapi_extra=with_example({"approve": True, "reason": "与会议记录相符。"}),
)
def confirm_points(points: Annotated[KeyPath, Path()], order: DecisionOrder, edge: EdgeDep) -> Response:
    """Confirm or send back, never one's own; confirmed, assessments computed from now on count them."""
    return edge.perform(
        order, lambda desk: entered.confirm(desk, points, order), lambda row: _shown(edge, row)
    )
