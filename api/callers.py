"""Callers' data over HTTP: one field opened for a purpose, read again until it expires, and tickets found by a caller's phone. Art. 15."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.acts import NumberPath
from api.problems import PROBLEMS
from api.tickets import seen
from api.wiring import EdgeDep, ReadDep, with_example
from hotline.privacy import unsealing
from hotline.shapes import TicketLine
from workflow.vocabulary import PersonalField

router = APIRouter(prefix="/api/v1", tags=["来电人信息"], responses=PROBLEMS)


class UnsealingView(BaseModel):
    """One opened field. Of an original the value is each text that was masked, by its path in the order (`demand.content`)."""

    id: int
    field: PersonalField
    value: str | dict[str, str]
    expires_at: datetime = Field(description="此后须重新查看")


class FoundTickets(BaseModel):
    """The tickets of one caller, newest first."""

    items: list[TicketLine]


def _view(opened: unsealing.Opened) -> UnsealingView:
    row = opened.row
    return UnsealingView(id=row.id, field=row.field, value=opened.value, expires_at=row.expires_at)


@router.post(
    "/tickets/{number}/unsealings",
    status_code=201,
    summary="查看来电人信息",
    operation_id="unseal",
    response_model=UnsealingView,
    responses=PROBLEMS,
    openapi_extra=with_example({"field": "phone", "purpose": "call_back"}),
)
def unseal(number: NumberPath, order: unsealing.UnsealOrder, edge: EdgeDep) -> Response:
    """Open one of the caller's fields, or the original of one ledger entry, for a purpose. It is recorded, and expires (art. 15)."""
    response = edge.perform(
        order,
        lambda desk: unsealing.unseal(desk, seen(edge, number), order),
        _view,
        status=201,
        secret=True,
    )
    response.headers["Cache-Control"] = "no-store"
    return response


@router.get(
    "/tickets/{number}/unsealings/{unsealing_id}",
    summary="再次查看来电人信息",
    operation_id="read_unsealing",
    response_model=UnsealingView,
    responses=PROBLEMS,
)
def read_unsealing(
    number: NumberPath, unsealing_id: Annotated[int, Path(ge=1, le=2**62)], edge: ReadDep
) -> Response:
    """The opened field again, to whoever opened it, until it expires; each time is recorded."""
    opened = unsealing.read_again(edge.desk(), seen(edge, number), unsealing_id)
    body = _view(opened).model_dump_json()
    edge.session.commit()
    return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})


@router.post(
    "/callers/search",
    summary="按来电人查找工单",
    operation_id="search_caller",
    response_model=FoundTickets,
    responses=PROBLEMS,
    openapi_extra=with_example({"phone": "13900000001"}),
)
def search_caller(order: unsealing.SearchOrder, edge: EdgeDep) -> Response:
    """The tickets of whoever called from this number, of those the actor sees. The number is in no address, log or record."""
    reader = edge.reader()
    return edge.perform(
        order,
        lambda desk: unsealing.search_caller(desk, order),
        lambda rows: FoundTickets(items=[reader.line(row) for row in rows]),
    )
