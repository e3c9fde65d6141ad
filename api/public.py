"""来电人查询页 over HTTP: public, by an unguessable link alone; and the staff's route that reads or renews a ticket's link."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field
from sqlmodel import Session

from api import shield
from api.acts import NumberPath
from api.problems import PROBLEMS
from api.session import NO_CREDENTIALS
from api.tickets import seen
from api.who import Who, address_of
from api.wiring import (
    Edge,
    EdgeDep,
    IdempotencyKey,
    IfMatch,
    Runtime,
    checked_key,
    expected_version,
    refuse_unknown_query,
    with_example,
)
from hotline import fields
from hotline.desks import citizen_page
from hotline.desks.tables import Evaluation
from hotline.models import Ticket
from workflow.certificate import CertifiedDay
from workflow.errors import NotFound
from workflow.statute import cite
from workflow.vocabulary import Grade, GradeLabel

router = APIRouter(prefix="/api/v1", tags=["来电人查询"], responses=PROBLEMS)

TokenPath = Annotated[
    str,
    Path(
        description="查询链接中的令牌", pattern=r"^[A-Za-z0-9_\-]{22}$", examples=["3kTMd0hC0b1uVZ0y8q2wXg"]
    ),
]
_NO_STORE = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}


class ProgressStepView(BaseModel):
    """One step of the way."""

    at: datetime
    text: str = Field(examples=["转交承办单位"])


class DayView(BaseModel):
    """One day between the beginning and the end of a period: counted as its `index`-th working day, or not, and why."""

    day: date
    weekday: str = Field(examples=["星期二"])
    index: int | None = Field(description="第几个工作日；不计入的日子为空")
    reason: str = Field(examples=["调休上班（春节，国务院办公厅通知）"])


class PromiseView(BaseModel):
    """Until when an answer is owed."""

    due_at: datetime
    due_on: date = Field(description="届满的那一天（当日 24 时前）")
    basis: str = Field(examples=["《青海12345政务服务便民热线管理暂行办法》第十四条第（四）项"])
    opened_by: str = Field(description="自什么起算", examples=["派单"])
    opened_at: datetime
    length: int = Field(description="期限的工作日数，不含延期")
    days: list[DayView] = Field(description="起算之后逐日，到原届满日为止")
    extension: list[DayView] = Field(description="延期的逐日；没有延期时为空")
    provisional: bool = Field(description="暂定：所涉年度的放假通知尚未发布")
    certificate: str = Field(description="期限证明：逐日说明这一天是怎样算出来的")


class EvaluationView(BaseModel):
    """What the citizen made of it."""

    grade: Grade
    labels: list[GradeLabel]
    remark: str | None
    at: datetime


class Choice(BaseModel):
    """A word and its Chinese label."""

    value: str
    label: str


class GradeChoice(Choice):
    """One of the five grades, with the labels that are offered with it."""

    labels: list[GradeLabel]


class CitizenView(BaseModel):
    """A demand as its citizen sees it: no personal data, nothing of anybody else."""

    number: str
    state: str = Field(examples=["承办单位正在办理"])
    received_at: datetime
    matter: str = Field(examples=["求助"])
    title: str | None = Field(description="举报和要求保密的不显示")
    unit: str | None = Field(description="承办单位；举报和要求保密的不显示")
    steps: list[ProgressStepView]
    promise: PromiseView | None
    answer: str | None
    guidance: str | None = Field(description="不予受理时，可以向哪里反映")
    evaluated: EvaluationView | None
    appealed: bool
    may_evaluate: bool
    may_appeal: bool
    grades: list[GradeChoice] = Field(description="评价可选的五级，各附可选的标签")
    labels: list[Choice]


class Said(BaseModel):
    """Thanks."""

    message: str


class LinkOrder(fields.Order):
    """查询链接: read it, or replace one that fell into wrong hands."""

    renew: bool = Field(default=False, description="换新链接，原链接随即失效")


class LinkView(BaseModel):
    """The link, to be told, texted or printed."""

    url: str = Field(description="未设置系统地址（HOTLINE_PUBLIC_URL）时为以 / 开头的路径")
    qr_svg: str = Field(description="二维码（SVG），总是完整的地址")


# --- by link alone -----------------------------------------------------------------------------------------------------------


def citizen(
    request: Request, token: TokenPath, if_match: IfMatch = None, idempotency_key: IdempotencyKey = None
) -> Iterator[Edge]:
    """An edge for whoever holds the link. One that opens nothing is charged to its address, and says no more than that."""
    runtime: Runtime = request.app.state.runtime
    shield.check_public(request)
    refuse_unknown_query(request)
    at = runtime.clock()
    with Session(runtime.engine, expire_on_commit=False) as session:
        ticket = citizen_page.opened(session, token)
        if ticket is None:
            shield.failed(request)
            raise NotFound("链接无效或已更换。请核对短信中的链接，或拨打 12345 查询。", field="token")
        who = Who(citizen_page.citizen_of(ticket, address_of(request)))
        request.state.ticket = ticket
        yield Edge(
            request, runtime, session, who, at, expected_version(if_match), checked_key(idempotency_key)
        )


def reading_citizen(request: Request, token: TokenPath) -> Iterator[Edge]:
    """The same for reading."""
    yield from citizen(request, token)


CitizenDep = Annotated[Edge, Depends(citizen)]
ReadingCitizenDep = Annotated[Edge, Depends(reading_citizen)]


def _ticket(edge: Edge) -> Ticket:
    ticket: Ticket = edge.request.state.ticket
    return ticket


def _promise(told: citizen_page.Promise) -> PromiseView:
    proof = told.certificate
    return PromiseView(
        due_at=told.due_at,
        due_on=proof.due_on,
        basis=f"{proof.document}{cite(proof.article)}",
        opened_by=proof.opened_by,
        opened_at=proof.opened_at,
        length=proof.length,
        days=_days(proof.days),
        extension=_days(proof.extension),
        provisional=told.provisional,
        certificate=proof.as_text(),
    )


def _days(days: tuple[CertifiedDay, ...]) -> list[DayView]:
    return [DayView(day=d.day, weekday=d.weekday, index=d.index, reason=d.reason) for d in days]


def _evaluation(row: Evaluation | None) -> EvaluationView | None:
    if row is None:
        return None
    return EvaluationView(grade=row.grade, labels=row.labels, remark=row.remark, at=row.evaluated_at)


def _extra(example: Any) -> dict[str, Any]:
    return NO_CREDENTIALS | with_example(example)


@router.get(
    "/public/tickets/{token}",
    summary="来电人查询进度",
    operation_id="citizen_page",
    response_model=CitizenView,
    openapi_extra=NO_CREDENTIALS,
)
def read_page(token: TokenPath, edge: ReadingCitizenDep) -> Response:  # noqa: ARG001 - the dependency reads it
    """How far one's own demand is, in plain words, the promised date with its certificate, and the answer."""
    edge.calendars()
    told = citizen_page.page(edge.desk(), _ticket(edge))
    view = CitizenView(
        number=told.number,
        state=told.state,
        received_at=told.received_at,
        matter=told.matter,
        title=told.title,
        unit=told.unit,
        steps=[ProgressStepView(at=step.at, text=step.text) for step in told.steps],
        promise=_promise(told.promise) if told.promise else None,
        answer=told.answer,
        guidance=told.guidance,
        evaluated=_evaluation(told.evaluated),
        appealed=told.appealed,
        may_evaluate=told.may_evaluate,
        may_appeal=told.may_appeal,
        grades=[
            GradeChoice(value=grade.value, label=grade.label, labels=list(labels))
            for grade, labels in citizen_page.LABELS_OF.items()
        ],
        labels=[Choice(value=label.value, label=label.label) for label in GradeLabel],
    )
    return Response(view.model_dump_json(), media_type="application/json", headers=_NO_STORE)


@router.post(
    "/public/tickets/{token}/evaluation",
    status_code=201,
    summary="来电人评价",
    operation_id="evaluate",
    response_model=Said,
    openapi_extra=_extra({"grade": "good", "labels": ["quick", "clear"], "remark": "第二天就有人上门。"}),
)
def evaluate(token: TokenPath, order: citizen_page.EvaluationOrder, edge: CitizenDep) -> Response:  # noqa: ARG001
    """好差评: five grades, labels and words, once for each round of handling."""
    number = _ticket(edge).number
    return edge.perform(
        order,
        lambda desk: citizen_page.evaluate(desk, number, order),
        lambda _: Said(message="感谢您的评价。"),
        status=201,
    )


@router.post(
    "/public/tickets/{token}/appeal",
    status_code=201,
    summary="来电人提出异议",
    operation_id="appeal",
    response_model=Said,
    openapi_extra=_extra({"reason": "只来看了一眼，暖气还是不热。"}),
)
def appeal(token: TokenPath, order: citizen_page.AppealOrder, edge: CitizenDep) -> Response:  # noqa: ARG001
    """It is not solved: a reviewer judges whether it is handled again (art. 14(7)); after the end a new demand is registered."""
    number = _ticket(edge).number
    return edge.perform(
        order,
        lambda desk: citizen_page.appeal(desk, number, order),
        lambda _: Said(message="已收到您的意见，审核后会与您联系。"),
        status=201,
    )


# --- for staff ---------------------------------------------------------------------------------------------------------------


@router.post(
    "/tickets/{number}/link",
    summary="查询链接",
    operation_id="citizen_link",
    response_model=LinkView,
    openapi_extra=with_example({"renew": False}),
)
def citizen_link(number: NumberPath, order: LinkOrder, edge: EdgeDep) -> Response:
    """The link of a ticket's public page, to be told to its caller; each reading is recorded. It opens no personal data."""
    public = (edge.runtime.settings.public_url or "").rstrip("/")
    here = public or str(edge.request.base_url).rstrip("/")  # a phone reads a whole address out of a picture
    return edge.perform(
        order,
        lambda desk: citizen_page.link(desk, seen(edge, number), renew=order.renew),
        lambda token: _link(f"{public}/q/{token}", f"{here}/q/{token}"),
        secret=True,
    )


def _link(url: str, pictured: str) -> LinkView:
    import segno

    return LinkView(url=url, qr_svg=segno.make(pictured, error="m").svg_inline(scale=4, omitsize=True))
