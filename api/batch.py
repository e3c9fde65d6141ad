"""批量办理: up to a hundred acts in one request, each its own transaction with its own answer, for units with many tickets."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, StringConstraints, ValidationError
from sqlmodel import Session

from api import grants
from api.acts import ACT_ROUTES, ActRoute, perform_act
from api.problems import PROBLEMS, Problem, answer_to
from api.wiring import Edge, EdgeDep, checked_key, expected_version, with_example
from hotline import fields
from hotline.shapes import ActResult
from workflow.errors import OrderInvalid, RuleBroken
from workflow.vocabulary import Act

router = APIRouter(prefix="/api/v1", tags=["工单"], responses=PROBLEMS)

MOST: Final = 100
_ROUTES: Final = {route.act: route for route in ACT_ROUTES}
_Key = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern="^[!-~]+$")]


class BatchItem(fields.Order):
    """One act on one ticket: what its own route would be sent."""

    number: Annotated[str, StringConstraints(pattern=r"^[0-9 \-]{15,25}$")]
    act: Act = Field(description="动作；登记、添加附件不能批量进行")
    order: dict[str, Any] = Field(default_factory=dict, description="与该动作单独办理时的请求内容相同")
    key: _Key | None = Field(
        default=None, description="本项的 Idempotency-Key；重发整批时已办理的各项得到首次的结果"
    )
    if_match: Annotated[str, StringConstraints(max_length=40)] | None = Field(
        default=None, description='上次看到的版本，如 "3"'
    )


class Batch(fields.Order):
    """The acts, done one after the other; one that fails changes nothing for the others."""

    items: list[BatchItem] = Field(min_length=1, max_length=MOST)


class BatchAnswer(BaseModel):
    """What one item earned: the status, the version, and the ticket or the problem."""

    index: int
    number: str
    act: Act
    status: int
    etag: str | None = None
    replayed: bool = False
    result: ActResult | None = None
    problem: Problem | None = None


class BatchAnswers(BaseModel):
    """The answers in the order of the items, and how many were done."""

    done: int
    failed: int
    results: list[BatchAnswer]


@router.post(
    "/batch",
    summary="批量办理",
    operation_id="batch",
    response_model=BatchAnswers,
    openapi_extra=with_example(
        {
            "items": [
                {"number": "012611210000425", "act": "sign", "order": {"signed_by": "测试经办"}, "key": "a1"},
                {
                    "number": "012611210000425",
                    "act": "report_progress",
                    "order": {"content": "已安排抢修。"},
                    "key": "a2",
                },
            ]
        }
    ),
)
def batch(order: Batch, edge: EdgeDep) -> Response:
    """Each act as if asked for alone: its own rights, version, transaction and answer. Always 200; the items say how each went."""
    edge.session.rollback()  # who asks is settled; each item has a session of its own
    answers = [_one(edge, index, item) for index, item in enumerate(order.items)]
    done = sum(answer["status"] < 300 for answer in answers)
    told = {"done": done, "failed": len(answers) - done, "results": answers}
    return Response(json.dumps(told, ensure_ascii=False), media_type="application/json")


def _one(edge: Edge, index: int, item: BatchItem) -> dict[str, Any]:
    with Session(edge.runtime.engine, expire_on_commit=False) as session:
        own = Edge(edge.request, edge.runtime, session, edge.who, edge.runtime.clock(), None, None)
        try:
            own.key = checked_key(item.key or (f"{edge.key}#{index}" if edge.key else None))
            own.expected_version = expected_version(item.if_match)
            response = _perform(own, item)
        except Exception as error:
            if isinstance(error, RuleBroken):
                own.refused(item.act.value, item.number, error)
            response = answer_to(edge.request, error)
    body = json.loads(bytes(response.body))
    well = response.status_code < 300
    return {
        "index": index,
        "number": item.number,
        "act": item.act.value,
        "status": response.status_code,
        "etag": response.headers.get("etag"),
        "replayed": "idempotency-replayed" in response.headers,
        "result": body if well else None,
        "problem": None if well else body,
    }


def _perform(edge: Edge, item: BatchItem) -> Response:
    route: ActRoute | None = _ROUTES.get(item.act)
    if route is None:
        raise OrderInvalid(f"“{item.act.label}”不能批量进行，请使用它自己的地址。", field="act")
    grants.check(item.act.value, edge.actor, edge.who.owed)
    try:
        order = route.order.model_validate(item.order)
    except ValidationError as invalid:
        raise RequestValidationError(invalid.errors()) from None
    return perform_act(route, item.number, order, edge, extra_fingerprint=f"{item.number}\n{item.act.value}")
