"""热点 over HTTP (art. 25): themes, sudden rises, repeats, each opening its tickets; and what the season brings."""

from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, LaggingDep, ReadDep, with_example
from hotline.fields import KeyPath, Order
from hotline.hotspots import runs, seasons
from hotline.hotspots.runs import HotspotOrder
from hotline.hotspots.tables import Hotspot, HotspotRun
from hotline.organisation import Platform
from hotline.shapes import TicketLine
from workflow.deadlines import local_day
from workflow.vocabulary import HotspotKind

router = APIRouter(prefix="/api/v1/hotspots", tags=["热点"], responses=PROBLEMS)


class HotspotRunLine(BaseModel):
    """One analysis."""

    id: int
    platform: str
    starts: date
    ends: date
    tickets: int = Field(description="该时段收到的工单")
    made_by: str
    made_at: datetime


class HotspotView(BaseModel):
    """One finding. The tickets behind it: GET /hotspots/{id}/tickets."""

    id: int
    kind: HotspotKind
    rank: int
    title: str
    category: str
    area: str
    count: int
    content: dict[str, Any] = Field(
        description="theme：words 主题词、previous 环比、last_year 同比、callers 来电人数、days 逐日件数、block 该类诉求在该县的件数与突增判断；"
        "caller：categories 所涉分类、first、last；problem：again 办结后再次发生的件数"
    )


class HotspotRunWhole(HotspotRunLine):
    """An analysis with what it found and by which rules."""

    rules: dict[str, str] = Field(description="每一项的口径")
    sealed: int = Field(description="举报和要求保密的工单数，只计数、不作文字分析")
    compared: int = Field(description="可比时段数；不足 2 个的不判断突增")
    previous: dict[str, date]
    last_year: dict[str, date]
    rises: list[dict[str, Any]] = Field(
        description="全部地区合计突增的分类：count 本期、usual 常年、score 高出几倍波动"
    )
    hotspots: list[HotspotView]


class HotspotRunPage(BaseModel):
    """One page of analyses, the newest first."""

    items: list[HotspotRunLine]
    next: int | None


class HotspotTickets(BaseModel):
    """One page of the tickets behind a finding, as far as the asker sees them, the newest first."""

    items: list[TicketLine]
    next: int | None


class SeasonView(BaseModel):
    """One category that rises in one coming week."""

    week: int
    starts: date = Field(description="该周的星期一")
    category: str
    name: str
    expected: float = Field(description="历年该周前后的周均件数")
    usual: float = Field(description="历年全年的周均件数")
    times: float
    years: int = Field(description="有数据的年数")


class SeasonsView(BaseModel):
    """What the coming weeks bring, and by which rule that is told."""

    rule: str
    items: list[SeasonView]


class KeyPage(Order):
    """Which page of a list told newest first."""

    limit: int = Field(default=50, ge=1, le=200)
    before: KeyPath | None = Field(default=None, description="上一页返回的 next")


def _line(run: HotspotRun, platform: str) -> HotspotRunLine:
    return HotspotRunLine(**run.model_dump(include=set(HotspotRunLine.model_fields)), platform=platform)


def _view(hotspot: Hotspot) -> HotspotView:
    return HotspotView(**hotspot.model_dump(include=set(HotspotView.model_fields)))


def _whole(edge: Edge, run: HotspotRun) -> HotspotRunWhole:
    code = edge.session.get_one(Platform, run.platform_id).code
    content = run.content
    return HotspotRunWhole(
        **_line(run, code).model_dump(),
        **{name: content[name] for name in ("rules", "sealed", "compared", "previous", "last_year", "rises")},
        hotspots=[_view(each) for each in runs.hotspots_of(edge.session, edge.actor, run)],
    )


@router.get("", summary="热点分析列表", operation_id="list_hotspots", response_model=HotspotRunPage)
def list_hotspots(query: Annotated[KeyPage, Query()], edge: ReadDep) -> HotspotRunPage:
    """The analyses of the platforms the actor sees: yesterday's last 7 and 30 days, made daily, and those asked for."""
    page, following = runs.listed(edge.session, edge.actor, limit=query.limit, before=query.before)
    return HotspotRunPage(items=[_line(run, code) for run, code in page], next=following)


@router.post(
    "",
    status_code=201,
    summary="热点分析",
    operation_id="find_hotspots",
    response_model=HotspotRunWhole,
    openapi_extra=with_example({"starts": "2026-10-01", "ends": "2026-10-31"}),
)
def find_hotspots(order: HotspotOrder, edge: EdgeDep) -> Response:
    """Analyse what the actor's platform and those below it received on these days (at most 92, 200,000 tickets); a few seconds."""
    return edge.perform(order, lambda desk: runs.ask(desk, order), lambda run: _whole(edge, run), status=201)


@router.get("/seasons", summary="时令表", operation_id="read_seasons", response_model=SeasonsView)
def read_seasons(edge: LaggingDep, weeks: Annotated[int, Query(ge=1, le=26)] = 8) -> SeasonsView:
    """Which categories rise in the coming weeks, by past years' counts: what can be done before anybody calls (未诉先办)."""
    told = seasons.coming(edge.session, sorted(edge.actor.platform_ids), local_day(edge.at), weeks=weeks)
    return SeasonsView(rule=seasons.RULE, items=[SeasonView(**asdict(each)) for each in told])


@router.get(
    "/runs/{run}", summary="热点分析结果", operation_id="read_hotspots", response_model=HotspotRunWhole
)
def read_hotspots(run: Annotated[KeyPath, Path()], edge: ReadDep) -> HotspotRunWhole:
    """One analysis: its themes, the callers and problems that come again, what rises, and every rule in words."""
    return _whole(edge, runs.found(edge.session, edge.actor, run))


@router.get(
    "/{hotspot}/tickets",
    summary="热点的工单",
    operation_id="hotspot_tickets",
    response_model=HotspotTickets,
)
def hotspot_tickets(
    hotspot: Annotated[KeyPath, Path()], query: Annotated[KeyPage, Query()], edge: LaggingDep
) -> HotspotTickets:
    """The tickets behind a finding that the actor sees, in keyset pages."""
    rows, following = runs.tickets_of(
        edge.session, edge.actor, hotspot, limit=query.limit, before=query.before
    )
    reader = edge.reader()
    return HotspotTickets(items=[reader.line(row) for row in rows], next=following)
