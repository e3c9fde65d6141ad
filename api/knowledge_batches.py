"""Many articles through one step at once over HTTP. Art. 22."""

import json
from typing import Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api import grants
from api.knowledge import operation_of
from api.problems import PROBLEMS, Problem, answer_to
from api.wiring import EdgeDep, with_example
from knowledge_base import batches
from knowledge_base.batches import StepBatch
from workflow.errors import RuleBroken
from workflow.vocabulary import VersionState

router = APIRouter(prefix="/api/v1/knowledge", tags=["知识库"], responses=PROBLEMS)


class SteppedRow(BaseModel):
    """One article of the batch."""

    article: int
    name: str | None = Field(description="所办理的版本", examples=["12@1"])
    state: VersionState | None = Field(description="办理后的状态；整批未办理时为办理后将有的状态")
    state_label: str | None
    problem: Problem | None = Field(description="不能办理的原因")


class SteppedRows(BaseModel):
    """How many took the step, how many could not, and each in the order asked."""

    done: int
    refused: int
    rows: list[SteppedRow]


@router.post(
    "/batch",
    summary="批量流转知识",
    operation_id="step_articles",
    response_model=SteppedRows,
    openapi_extra=with_example(
        {"step": "submit", "articles": [{"article": 12}, {"article": 13, "version": 2}]}
    ),
)
def step_articles(order: StepBatch, edge: EdgeDep) -> Response:
    """One step for up to 500 articles, each as if alone: its own rights, its own state. All, or where one is refused none of them
    (with `skip_refused` the others). Always 200; the rows say how each went."""
    operation = operation_of(order.step)
    grants.check(operation, edge.actor, edge.who.owed)
    refusals: list[tuple[int, RuleBroken]] = []

    def shown(outcome: batches.Outcome) -> SteppedRows:
        refusals.extend((row.article, row.refused) for row in outcome.rows if row.refused is not None)
        rows = [_row(row, _problem(row.refused)) for row in outcome.rows]
        return SteppedRows(done=outcome.done, refused=len(refusals), rows=rows)

    def _problem(refused: RuleBroken | None) -> dict[str, Any] | None:
        return json.loads(bytes(answer_to(edge.request, refused).body)) if refused is not None else None

    answer = edge.perform(
        order,
        lambda desk: batches.take_steps(desk.session, desk.actor, order, at=desk.at),
        shown,
    )
    for article, refused in refusals:
        edge.refused(operation, str(article), refused)
    return answer


def _row(row: batches.Row, problem: dict[str, Any] | None) -> SteppedRow:
    return SteppedRow(
        article=row.article,
        name=row.name,
        state=row.state,
        state_label=row.state.label if row.state is not None else None,
        problem=Problem.model_validate(problem) if problem is not None else None,
    )
