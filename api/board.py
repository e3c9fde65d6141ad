"""督办看板 over HTTP: figures, units and days, each with the words that open its tickets."""

from dataclasses import asdict
from datetime import date, datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import LaggingDep
from hotline.desks import board

router = APIRouter(prefix="/api/v1", tags=["督办"], responses=PROBLEMS)

Query = dict[str, str | list[str]]
_QUERY = "原样作为 GET /tickets 的查询条件，即得到该数所指的工单"


class BoardFigureView(BaseModel):
    """One number and the list behind it."""

    key: str
    label: str
    count: int
    query: Query | None = Field(description=f"{_QUERY}；不是工单数的为空")


class ColumnView(BaseModel):
    """One figure told for every unit."""

    key: str
    label: str
    query: Query | None = Field(description="与行的 query 合并，即得到该格所指的工单；不是工单数的为空")


class RowView(BaseModel):
    """One unit, or the platform itself, and its figures."""

    code: str = Field(description="承办单位代码，platform 为热线平台")
    name: str
    query: Query
    counts: dict[str, int] = Field(description="按列的 key；没有的为 0")


class DueDayView(BaseModel):
    """A coming day and the tickets with a duty due on it."""

    day: date
    working: bool
    unit: int = Field(description="承办单位的时限")
    platform: int = Field(description="热线平台的时限")
    query: Query = Field(description=_QUERY)


class ReceivedDayView(BaseModel):
    """A past day and the tickets received on it."""

    day: date
    working: bool
    received: int
    query: Query = Field(description=_QUERY)


class BoardView(BaseModel):
    """The board as of one instant."""

    at: datetime
    figures: list[BoardFigureView]
    columns: list[ColumnView]
    rows: list[RowView]
    coming: list[DueDayView]
    received: list[ReceivedDayView]


@router.get("/board", summary="督办看板", operation_id="board", response_model=BoardView)
def read_board(edge: LaggingDep) -> BoardView:
    """What is owed, late and waiting among the tickets the actor sees, by unit and by day (art. 14(8), 27)."""
    calendar = edge.calendars().of(edge.actor.platform_id)
    return BoardView.model_validate(asdict(board.board(edge.session, edge.actor, calendar, edge.as_of)))
