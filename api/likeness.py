"""疑似重复 over HTTP: while a demand is typed, the open tickets it may be the same as, and why."""

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, with_example
from hotline.desks import likeness
from hotline.desks.likeness import Alike
from hotline.intake import CAN_CARRY
from hotline.privacy.concealment import cleaner
from hotline.shapes import TicketLine
from workflow.vocabulary import Likely

router = APIRouter(prefix="/api/v1", tags=["工单"], responses=PROBLEMS)
_EXCERPT = 120


class AlikeView(BaseModel):
    """One ticket that may be about the same thing."""

    ticket: TicketLine
    reasons: list[Likely] = Field(examples=[["same_place", "similar_text"]])
    shared: float = Field(description="与所输入文字的相近程度，0—1", examples=[0.42])
    excerpt: str = Field(description="诉求内容的开头，已脱敏")
    may_carry: bool = Field(description="登记后可用并单（merge）并入该工单")


class SimilarTickets(BaseModel):
    """Up to five, the likeliest first."""

    items: list[AlikeView]


@router.post(
    "/similar-tickets",
    summary="疑似重复的工单",
    operation_id="similar_tickets",
    response_model=SimilarTickets,
    openapi_extra=with_example(
        {
            "title": "暖气不热",
            "content": "湟中区多巴镇示例小区3号楼整栋暖气不热，室温只有14度。",
            "category": "010101",
            "area": "630106105000",
        }
    ),
)
def similar_tickets(order: likeness.SimilarOrder, edge: EdgeDep) -> Response:
    """Open tickets of the last 60 days that may be about the same thing; ask while typing. Nothing is kept or changed.

    The same caller is told only of the asking agent's own call (`call`): a number that is typed is looked up by `POST /callers/search`,
    which is recorded.
    """
    return edge.perform(order, lambda desk: likeness.similar(desk, order), lambda found: _view(edge, found))


def _view(edge: Edge, found: list[Alike]) -> SimilarTickets:
    reader = edge.reader()
    return SimilarTickets(
        items=[
            AlikeView(
                ticket=reader.line(one.row),
                reasons=list(one.reasons),
                shared=one.shared,
                excerpt=cleaner(edge.runtime.office.sealer, edge.actor, one.row.ticket)(
                    one.row.ticket.content
                )[:_EXCERPT],
                may_carry=one.row.ticket.state in CAN_CARRY,
            )
            for one in found
        ]
    )
