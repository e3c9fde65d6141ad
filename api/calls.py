"""来电 over HTTP: the telephony platform reports a call, the agent at whom it rings is shown it with the caller's history, masked."""

from datetime import datetime

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep, with_example
from hotline.desks import calls
from hotline.desks.tables import Call, Seat
from hotline.privacy.masking import mask_phone
from hotline.shapes import TicketLine
from workflow.vocabulary import CallState

router = APIRouter(prefix="/api/v1/calls", tags=["来电"], responses=PROBLEMS)


class CallView(BaseModel):
    """One call; never the caller's number in full."""

    id: int
    call_id: str = Field(description="登记工单时作为 call_id 送回；主叫号码无须重填")
    state: CallState
    number: str | None = Field(description="主叫号码，已脱敏；隐藏号码的来电为空", examples=["139****0001"])
    line: str | None
    extension: str | None
    ringing_at: datetime
    answered_at: datetime | None
    ended_at: datetime | None
    recording: str | None


class CallReported(BaseModel):
    """What was kept of a call."""

    id: int
    state: CallState
    agent: bool = Field(description="是否已找到振铃的话务员")


class CallerHistory(BaseModel):
    """What the agent may know of who calls: their tickets of those the agent sees, newest first."""

    calls: int = Field(description="近 30 天的其他来电次数")
    tickets: int = Field(description="近 30 天的工单数")
    open: list[TicketLine] = Field(description="尚未办结的")
    history: list[TicketLine] = Field(description="最近的十件")


class CurrentCall(BaseModel):
    """The agent's call, where there is one, and its caller."""

    call: CallView | None
    registered: list[str] = Field(description="已由这次通话登记的工单")
    caller: CallerHistory | None = Field(description="隐藏号码的来电为空")


class SeatView(BaseModel):
    """Where the agent sits."""

    extension: str | None
    since: datetime | None


CALL_EXAMPLE = {
    "call_id": "20260302-000871",
    "number": "13900000001",
    "line": "12345",
    "agent": "xn-agent01",
    "extension": "8001",
    "ringing_at": "2026-03-02T09:00:00+08:00",
}


@router.post(
    "",
    status_code=201,
    summary="报送来电",
    operation_id="report_call",
    response_model=CallReported,
    openapi_extra=with_example(CALL_EXAMPLE),
)
def report_call(order: calls.CallReport, edge: EdgeDep) -> Response:
    """A call rings, is answered, passed on or over; sent by the telephony platform's machine, as often as something changes."""
    return edge.perform(
        order,
        lambda desk: calls.report(desk, order),
        lambda call: CallReported(id=call.id, state=calls.state_of(call), agent=call.agent_id is not None),
        status=201,
    )


@router.get("/current", summary="当前来电", operation_id="current_call", response_model=CurrentCall)
def current_call(edge: ReadDep) -> CurrentCall:
    """The call that rings at the asking agent, or that they are or were just on (30 minutes); for polling beside the event `call.ringing`."""
    shown = calls.current(edge.desk())
    if shown is None:
        return CurrentCall(call=None, registered=[], caller=None)
    answer = CurrentCall(
        call=_view(shown.call, shown.number), registered=shown.registered, caller=_caller(edge, shown)
    )
    edge.session.commit()
    return answer


def _view(call: Call, number: str | None) -> CallView:
    told = call.model_dump(include=set(CallView.model_fields))
    return CallView(**told, state=calls.state_of(call), number=mask_phone(number))


def _caller(edge: Edge, shown: calls.Shown) -> CallerHistory | None:
    if shown.number is None:
        return None
    reader = edge.reader()
    return CallerHistory(
        calls=shown.calls,
        tickets=shown.tickets,
        open=[reader.line(row) for row in shown.open],
        history=[reader.line(row) for row in shown.history],
    )


@router.post(
    "/seat",
    summary="坐席签入签出",
    operation_id="take_seat",
    response_model=SeatView,
    openapi_extra=with_example({"extension": "8001"}),
)
def take_seat(order: calls.SeatOrder, edge: EdgeDep) -> Response:
    """Calls that ring at this extension are the asking agent's from now on; without an extension none is."""
    return edge.perform(order, lambda desk: calls.sit_down(desk, order), _seat)


def _seat(seat: Seat | None) -> SeatView:
    return SeatView(extension=seat.extension if seat else None, since=seat.since if seat else None)
