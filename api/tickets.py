"""Tickets read over HTTP: lists, one ticket whole, its timeline, certificates, caller and files."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Path, Query, Response, UploadFile
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlmodel import col

from api.acts import NumberPath
from api.direct import DirectRoute
from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, ReadDep
from hotline import aftercare, certificates, fields, numbers
from hotline import orders as o
from hotline.access import visible_to
from hotline.desks import worklists
from hotline.models import Ticket
from hotline.privacy.concealment import cleaner
from hotline.queues import MAX_PAGE, FilterWords, filters_of, listed
from hotline.shapes import EntryView, FileView, TicketLine, TicketView
from hotline.uploads import ALLOWED
from workflow.errors import NotFound, OrderInvalid, OutOfSight
from workflow.vocabulary import Act, Audience, AuditKind, FileClass

router = APIRouter(prefix="/api/v1/tickets", tags=["工单"], responses=PROBLEMS)


# --- reading ---------------------------------------------------------------------------------------------------------


class TicketPage(BaseModel):
    """One page of a list; `next` is the cursor of the page after it."""

    items: list[TicketLine]
    next: str | None


class ListQuery(FilterWords):
    """The filters of a list, its order and its page."""

    queue: str | None = Field(
        default=None,
        pattern=r"^[a-z_]{1,40}$",
        description="本人的队列（GET /queues 的 key），可再加其他条件",
    )
    sort: Literal["received", "due"] | None = Field(
        default=None, description="按受理时间（新的在前，缺省）或按到期先后；队列缺省按它自己的顺序"
    )
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(default=None, max_length=500, description="上一页返回的 next")


@router.get(
    "", summary="工单列表", operation_id="list_tickets", response_model=TicketPage, responses=PROBLEMS
)
def list_tickets(query: Annotated[ListQuery, Query()], edge: ReadDep) -> Response:
    """The tickets the actor sees, filtered or from one of their queues, newest first or by due date, in keyset pages."""
    filters = filters_of(query, edge.at)
    queue = worklists.worklist_of(edge.actor, query.queue) if query.queue is not None else None
    page = listed(
        edge.session,
        edge.actor,
        filters,
        sort=query.sort or (queue.sort if queue else "received"),
        limit=query.limit,
        cursor=query.cursor,
        also=worklists.conditions(edge.actor, queue, edge.at) if queue else (),
    )
    reader = edge.reader()
    told = TicketPage(items=[reader.line(row) for row in page.rows], next=page.next)
    return Response(told.model_dump_json(), media_type="application/json")


def seen(edge: Edge, number: str) -> Ticket:
    """The ticket with this number, if the actor sees it. Raises `NotFound`, `OutOfSight`."""
    parsed = numbers.parse(number)
    statement = select(Ticket).where(col(Ticket.number) == parsed, visible_to(edge.actor))
    ticket: Ticket | None = edge.session.execute(statement).scalar_one_or_none()
    if ticket is None:
        exists = edge.session.execute(select(col(Ticket.id)).where(col(Ticket.number) == parsed)).first()
        told = f"没有编号为 {numbers.spoken(parsed)} 的工单，或不在您的权限范围内。"
        raise (OutOfSight if exists else NotFound)(told, field="number")
    return ticket


def get_ticket(number: NumberPath, edge: ReadDep) -> Response:
    """A ticket whole, with the acts open to this actor; its ETag is the version for If-Match.

    There is no 304: lapses, days left and the acts on offer change with time, without an act.
    """
    ticket = seen(edge, number)
    view = edge.reader().whole(ticket)
    headers = {"ETag": f'"{ticket.version}"', "Cache-Control": "private, no-store"}
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)


router.add_api_route(
    "/{number}",
    get_ticket,
    methods=["GET"],
    summary="工单详情",
    operation_id="get_ticket",
    response_model=TicketView,
    responses=PROBLEMS,
    route_class_override=DirectRoute,
)


class Timeline(BaseModel):
    """A ticket's history in order."""

    number: str
    entries: list[EntryView]


@router.get(
    "/{number}/timeline",
    summary="工单时间线",
    operation_id="timeline",
    response_model=Timeline,
    responses=PROBLEMS,
)
def timeline(number: NumberPath, edge: ReadDep) -> Timeline:
    """Every entry of the ticket's ledger that concerns this actor, hash-chained."""
    ticket = seen(edge, number)
    return Timeline(number=ticket.number, entries=edge.reader().timeline(ticket))


class CertificateView(BaseModel):
    """A deadline certificate as text and as data."""

    text: str
    certificate: dict[str, Any]
    matches: bool = Field(description="重新计算的届满时间与工单记载一致")
    moves: list[dict[str, Any]] = Field(description="届满时间的历次变动")


@router.get(
    "/{number}/clocks/{clock}/certificate",
    summary="期限证明",
    operation_id="certificate",
    response_model=CertificateView,
    responses=PROBLEMS,
)
def certificate(
    number: NumberPath, clock: Annotated[int, Path(ge=1, le=2**62)], edge: ReadDep
) -> CertificateView:
    """How one due date came about: the article, the opening, each day counted or skipped, the notices, the extensions."""
    ticket = seen(edge, number)
    reader = edge.reader()
    shown = {c.id: c for c in reader.whole(ticket).clocks}
    if clock not in shown:
        raise NotFound("该工单没有这个时限。", field="clock")
    proof = certificates.certificate_of(edge.session, ticket.id, clock)
    moves = [m.model_dump(mode="json", exclude={"id", "clock_id"}) for m in reader.clock_moves(clock)]
    return CertificateView(
        text=proof.as_text(),
        certificate=proof.as_data(),
        matches=proof.due_at == shown[clock].due_at,
        moves=moves,
    )


# --- files -----------------------------------------------------------------------------------------------------------


@router.post(
    "/{number}/attachments",
    status_code=201,
    summary="添加附件",
    operation_id=Act.ATTACH.value,
    response_model=FileView,
    responses=PROBLEMS,
)
def attach(
    number: NumberPath,
    edge: EdgeDep,
    file: Annotated[UploadFile, File(description="文件；类型按内容判定")],
    file_class: Annotated[FileClass, Form()] = FileClass.OTHER,
    recorded_at: Annotated[fields.Instant | None, Form(description="录音的通话时间")] = None,
    audience: Annotated[
        Audience | None,
        Form(description="承办单位是否可见；缺省为可见，举报和保密工单缺省为仅平台可见"),
    ] = None,
) -> Response:
    """File a document, picture or recording under its class; stored by content hash (art. 14(9))."""
    content = file.file.read(edge.runtime.office.blobs.max_bytes + 1)
    order = _attach_order(file.filename, file_class, recorded_at, audience)
    return edge.perform(
        order,
        lambda desk: aftercare.attach(desk, number, order, content),
        lambda stored: FileView(**stored.model_dump()),
        status=201,
        extra_fingerprint=hashlib.sha256(content).hexdigest(),
    )


def _attach_order(
    filename: str | None, file_class: FileClass, recorded_at: datetime | None, audience: Audience | None
) -> o.AttachOrder:
    name = (filename or "").replace("\\", "/").rsplit("/", 1)[-1].strip()
    try:
        return o.AttachOrder(
            name=name or "未命名", file_class=file_class, recorded_at=recorded_at, audience=audience
        )
    except ValueError:
        raise OrderInvalid("文件名过长或包含无法保存的字符，请改名后上传。", field="file") from None


@router.get(
    "/{number}/attachments/{attachment}",
    summary="下载附件",
    operation_id="download",
    response_class=Response,
    responses={**PROBLEMS, 200: {"content": {kind: {} for kind in ALLOWED}, "description": "文件内容"}},
)
def download(number: NumberPath, attachment: Annotated[int, Path(ge=1, le=2**62)], edge: ReadDep) -> Response:
    """The file's bytes, always as a download, never interpreted by the browser as a page."""
    ticket = seen(edge, number)
    file, content = aftercare.file_of(edge.desk(), ticket, attachment)
    name = cleaner(edge.runtime.office.sealer, edge.actor, ticket)(file.name)
    edge.audit(
        AuditKind.FILE_READ,
        platform_id=ticket.platform_id,
        ticket_id=ticket.id,
        what={"attachment": file.id, "class": file.file_class.value, "sha256": file.sha256},
    )
    edge.session.commit()
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        "ETag": f'"{file.sha256}"',
    }
    return Response(content, media_type=file.media_type, headers=headers)
