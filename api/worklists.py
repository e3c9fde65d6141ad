"""队列、常用筛选、草稿 over HTTP: what waits for whom, and what a person keeps for themselves."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from api.problems import PROBLEMS
from api.wiring import EdgeDep, ReadDep, with_example
from hotline import fields
from hotline.desks import keeping, worklists
from hotline.desks.tables import FormDraft, SavedFilter

router = APIRouter(prefix="/api/v1", tags=["工作台"], responses=PROBLEMS)

FormPath = Annotated[
    str,
    Path(
        description="表单的名称，由界面自定，如 take、reply:012611210000425",
        pattern=r"^[a-z0-9][a-z0-9:_.\-]{0,79}$",
        examples=["take"],
    ),
]


class QueueView(BaseModel):
    """One queue and how many tickets lie in it."""

    key: str = Field(description="列表以 GET /tickets?queue= 取得", examples=["to_dispatch"])
    label: str = Field(examples=["待派单"])
    meaning: str
    sort: Literal["received", "due"]
    count: int = Field(examples=[12])
    more: bool = Field(description="超过 1000 件，不再数")


class Queues(BaseModel):
    """The queues of the asking person, in the order of their desk."""

    at: datetime = Field(description="服务器此刻的时间，倒计时以此为准")
    items: list[QueueView]


class FilterView(BaseModel):
    """One saved filter."""

    id: int
    name: str
    queue: str | None
    filters: dict[str, Any] = Field(description="与 GET /tickets 的参数相同")
    sort: Literal["received", "due"] | None
    saved_at: datetime


class DraftLine(BaseModel):
    """One unfinished form, without what is in it."""

    form: str
    revision: int = Field(description="随 If-Match 送回：另一处已修改时返回 412")
    saved_at: datetime
    expires_at: datetime


class KeptDraftView(DraftLine):
    """One unfinished form."""

    content: dict[str, Any]


class Discarded(BaseModel):
    """Whether there was one."""

    discarded: bool


class NoOrder(fields.Order):
    """Nothing to say."""


FILTER_EXAMPLE = {
    "name": "湟中区供热",
    "queue": "to_dispatch",
    "filters": {"category": "0101", "area": "630106"},
}

# --- queues ----------------------------------------------------------------------------------------------------------------


@router.get("/queues", summary="我的队列", operation_id="list_queues", response_model=Queues)
def list_queues(edge: ReadDep) -> Queues:
    """What waits for the asking person, by role, with counts."""
    found = worklists.counted(edge.session, edge.actor, edge.at)
    return Queues(
        at=edge.at,
        items=[
            QueueView(
                key=each.worklist.key,
                label=each.worklist.label,
                meaning=each.worklist.meaning,
                sort=each.worklist.sort,
                count=each.count,
                more=each.more,
            )
            for each in found
        ],
    )


# --- saved filters ---------------------------------------------------------------------------------------------------------


def _filter(saved: SavedFilter) -> FilterView:
    query = saved.query
    return FilterView(
        id=saved.id,
        name=saved.name,
        queue=query.get("queue"),
        filters=query.get("filters", {}),
        sort=query.get("sort"),
        saved_at=saved.saved_at,
    )


@router.get("/filters", summary="常用筛选", operation_id="list_filters", response_model=list[FilterView])
def list_filters(edge: ReadDep) -> list[FilterView]:
    """One's own, in the order they were made."""
    return [_filter(saved) for saved in keeping.filters(edge.desk())]


@router.post(
    "/filters",
    status_code=201,
    summary="保存常用筛选",
    operation_id="save_filter",
    response_model=FilterView,
    openapi_extra=with_example(FILTER_EXAMPLE),
)
def save_filter(order: keeping.FilterOrder, edge: EdgeDep) -> Response:
    """A new one; thirty at most."""
    return edge.perform(order, lambda desk: keeping.save_filter(desk, order), _filter, status=201)


@router.post(
    "/filters/{filter_id}",
    summary="修改常用筛选",
    operation_id="change_filter",
    response_model=FilterView,
    openapi_extra=with_example(FILTER_EXAMPLE),
)
def change_filter(filter_id: fields.KeyPath, order: keeping.FilterOrder, edge: EdgeDep) -> Response:
    """Another name and content for one of one's own."""
    return edge.perform(order, lambda desk: keeping.save_filter(desk, order, filter_id), _filter)


@router.post(
    "/filters/{filter_id}/remove",
    summary="删除常用筛选",
    operation_id="remove_filter",
    response_model=FilterView,
    openapi_extra=with_example({}),
)
def remove_filter(filter_id: fields.KeyPath, order: NoOrder, edge: EdgeDep) -> Response:
    """Gone for good; the answer is what it was."""
    return edge.perform(order, lambda desk: keeping.remove_filter(desk, filter_id), _filter)


# --- drafts ----------------------------------------------------------------------------------------------------------------


def _line(draft: FormDraft) -> DraftLine:
    return DraftLine(**draft.model_dump(include=set(DraftLine.model_fields)))


@router.get("/drafts", summary="未完成的表单", operation_id="list_drafts", response_model=list[DraftLine])
def list_drafts(edge: ReadDep) -> list[DraftLine]:
    """One's own, the newest first."""
    return [_line(draft) for draft in keeping.drafts(edge.desk())]


@router.get("/drafts/{form}", summary="取回草稿", operation_id="read_draft", response_model=KeptDraftView)
def read_draft(form: FormPath, edge: ReadDep) -> Response:
    """What one had typed, at any seat, until it expires (seven days after it was last saved)."""
    draft, content = keeping.read_draft(edge.desk(), form)
    view = KeptDraftView(**_line(draft).model_dump(), content=content)
    headers = {"ETag": f'"{draft.revision}"', "Cache-Control": "no-store"}
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)


@router.post(
    "/drafts/{form}",
    summary="保存草稿",
    operation_id="save_draft",
    response_model=DraftLine,
    openapi_extra=with_example({"content": {"title": "暖气不热", "area": "630104000000"}}),
)
def save_draft(form: FormPath, order: keeping.DraftOrder, edge: EdgeDep) -> Response:
    """Keep what is typed so far, sealed: JSON of at most 64 KB. Send it as often as you like, without an Idempotency-Key."""
    return edge.perform(
        order,
        lambda desk: keeping.save_draft(desk, form, order),
        _line,
        version=lambda draft: draft.revision,
    )


@router.post(
    "/drafts/{form}/discard",
    summary="放弃草稿",
    operation_id="discard_draft",
    response_model=Discarded,
    openapi_extra=with_example({}),
)
def discard_draft(form: FormPath, order: NoOrder, edge: EdgeDep) -> Response:
    """The form was sent, or is not wanted any more."""
    return edge.perform(
        order, lambda desk: keeping.discard_draft(desk, form), lambda gone: Discarded(discarded=gone)
    )
