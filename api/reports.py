"""统计 over HTTP: the indicators with their definitions, figures by any cut, the tickets behind each figure. Art. 25, 27, 29, 32."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import Edge, LaggingDep, ReadDep
from hotline.reporting import facts, figures, lists, refresh, slices, snapshots
from hotline.reporting.indicators import BY_KEY, INDICATORS, UNITS, Indicator
from hotline.reporting.periods import PATTERN, parse
from hotline.reporting.slices import By, SliceWords
from workflow.deadlines import local_day
from workflow.errors import NotFound
from workflow.vocabulary import Level, Matter, State

router = APIRouter(prefix="/api/v1/reports", tags=["统计"], responses=PROBLEMS)

Unit = Literal["percent", "count", "hours", "workdays"]


class IndicatorView(BaseModel):
    """One indicator in words."""

    key: str = Field(examples=["timely"])
    name: str = Field(examples=["及时率"])
    definition: str
    article: str = Field(examples=["27"])
    unit: Unit
    unit_label: str = Field(examples=["百分比"])
    counts: list[str] = Field(description="所数的事实的种类")
    beside: list[str] = Field(description="与之并列的数")


class FigureView(BaseModel):
    """One indicator's figure. The tickets behind either side: GET /reports/indicators/{key}/tickets with the same period and cut."""

    numerator: int = Field(description="分子；平均时长为合计（秒或工作日）")
    denominator: int | None = Field(description="分母；计数类没有")
    value: str | None = Field(
        description="百分比为 0—1 的小数（四位），时长两位；分母为 0 时为空", examples=["0.9512"]
    )
    median: int | None = Field(description="时长的中位数：工作日，或小时（刻度下限）")
    beside: dict[str, int]


class LineView(BaseModel):
    """One line of a breakdown."""

    key: str = Field(
        description="代码；platform 为不属于任何单位的（热线平台自身），none 为没有该项的",
        examples=["XN-ZJJ"],
    )
    name: str
    level: Level | None = None
    figures: dict[str, FigureView]


class PeriodView(BaseModel):
    """The days counted, both inclusive (Asia/Shanghai)."""

    first: date
    last: date
    name: str = Field(examples=["2026-10"])
    due_until: date | None = Field(description="届满类指标计到这一天：届满日当天结束后才计入；为空则本期尚无")


class FiguresView(BaseModel):
    """Figures of one cut and period."""

    as_of: datetime
    counted_at: datetime | None = Field(description="最近一次汇总的时间；其后的办理情况几秒内计入")
    period: PeriodView
    slice: dict[str, Any] = Field(description="切面，原样可作查询条件")
    by: By
    whole: dict[str, FigureView]
    rows: list[LineView]


class FactLine(BaseModel):
    """One thing that counts: a clock, a unit's part, a callback, a receipt, a call."""

    number: str | None = Field(description="工单编号；来电为空")
    ref: int = Field(description="时限、任务、回访、工单或来电的编号")
    what: str = Field(examples=["reply"])
    label: str = Field(examples=["“答复反馈”时限"])
    day: date = Field(description="归入的日期：时限为届满日")
    marks: list[str] = Field(description="该事实的标记，如 met 按期、late 逾期、open 仍未完成")
    state: State | None
    matter: Matter | None
    unit: str | None
    unit_name: str | None
    hours: float | None = Field(description="平均时长类：自然小时")
    workdays: int | None


class FactPage(BaseModel):
    """One page of what stands behind a figure; `next` is the cursor of the page after it."""

    items: list[FactLine]
    next: str | None


class CutQuery(SliceWords):
    """A period and a cut of the figures."""

    period: str = Field(
        pattern=PATTERN,
        description="2026-10、2026-Q3、2026、2026-W42、2026-10-08 或 2026-10-08..2026-11-20",
        examples=["2026-10"],
    )

    def words(self) -> SliceWords:
        """The cut alone."""
        return SliceWords.model_validate(self.model_dump(include=set(SliceWords.model_fields)))


class FiguresQuery(CutQuery):
    """What figures are asked for."""

    by: By = Field(default="whole", description="分组")
    depth: int = Field(
        default=3, ge=1, le=3, description="按分类、区划分组时到第几级；区划依次为省、市（州）、县"
    )
    indicators: list[str] = Field(
        default=[], max_length=len(INDICATORS), description="指标的 key，缺省为全部"
    )


class ListQuery(CutQuery):
    """Which side of a figure, and which page."""

    side: lists.Side = Field(default="denominator", description="分子或分母")
    limit: int = Field(default=50, ge=1, le=lists.MOST)
    cursor: str | None = Field(default=None, max_length=500, description="上一页返回的 next")


@router.get(
    "/indicators", summary="统计指标", operation_id="list_indicators", response_model=list[IndicatorView]
)
def list_indicators(edge: ReadDep) -> list[IndicatorView]:  # noqa: ARG001 - who may ask is settled by it
    """Every indicator of art. 27 and 32 with its definition in words."""
    return [_indicator(each) for each in INDICATORS]


def _indicator(each: Indicator) -> IndicatorView:
    return IndicatorView(
        **snapshots.definition(each),
        unit_label=UNITS[each.unit],
        counts=[facts.WORDS[what] for what in each.whats],
        beside=[one.label for one in each.beside],
    )


@router.get("/figures", summary="统计数据", operation_id="read_figures", response_model=FiguresView)
def read_figures(query: Annotated[FiguresQuery, Query()], edge: LaggingDep) -> FiguresView:
    """The indicators of a cut in a period, whole and broken down. A unit has its own figures only.

    Clocks count by the day they are due, once that day is over, extended ones by the extended day, those still open and overdue included.
    """
    period, today = parse(query.period), local_day(edge.at)
    wanted = snapshots.wanted(query.indicators)
    state = refresh.check_current(edge.session)
    cut = slices.slice_of(edge.session, edge.actor, query.words())
    whole = figures.whole(edge.session, cut, period, today, wanted)
    rows = []
    if query.by != "whole":
        table = figures.table(
            edge.session,
            cut,
            period,
            query.by,
            today,
            wanted,
            digits=2 * query.depth,
            rollup=query.rollup and query.by == "unit",
        )
        rows = [LineView.model_validate(row) for row in snapshots.table_of(table)]
    due = period.until(date.fromordinal(today.toordinal() - 1))
    return FiguresView(
        as_of=edge.as_of,
        counted_at=state.counted_at,
        period=PeriodView(
            first=period.first, last=period.last, name=period.name, due_until=due.last if due else None
        ),
        slice=dict(cut.words),
        by=query.by,
        whole={key: FigureView(**told) for key, told in snapshots.plain(whole).items()},
        rows=rows,
    )


def indicator_of(key: str) -> Indicator:
    """The indicator with this key. Raises `NotFound`."""
    found = BY_KEY.get(key)
    if found is None:
        raise NotFound(f"没有指标 {key}；指标见 GET /reports/indicators。", field="key")
    return found


@router.get(
    "/indicators/{key}/tickets",
    summary="指标清单",
    operation_id="indicator_tickets",
    response_model=FactPage,
)
def indicator_tickets(
    key: Annotated[str, Path(pattern=r"^[a-z_]{1,40}$", examples=["timely"])],
    query: Annotated[ListQuery, Query()],
    edge: LaggingDep,
) -> FactPage:
    """The tickets behind one side of a figure, one line for each thing counted, in keyset pages; of 接通率 the calls."""
    indicator, period = indicator_of(key), parse(query.period)
    refresh.check_current(edge.session)
    page = _page(edge, query, indicator, period)
    items = [FactLine(**_told(line), label=facts.WORDS[line.what]) for line in page.lines]
    return FactPage(items=items, next=page.next)


def _page(edge: Edge, query: ListQuery, indicator: Indicator, period: Any) -> lists.Page:
    cut = slices.slice_of(edge.session, edge.actor, query.words())
    return lists.listed(
        edge.session,
        edge.actor,
        cut,
        period,
        indicator,
        query.side,
        local_day(edge.at),
        limit=query.limit,
        cursor=query.cursor,
    )


def _told(line: lists.Line) -> dict[str, Any]:
    return {name: getattr(line, name) for name in line.__slots__}
