"""Tickets over HTTP: one route an act, lists, one ticket whole, its timeline, certificates and files."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, File, Form, Path, Query, Response, UploadFile
from pydantic import BaseModel, Field
from sqlalchemy import select
from sqlmodel import col

from api.problems import Problem
from api.wiring import Edge, EdgeDep, ReadDep
from hotline import aftercare, casework, certificates, extensions, intake, numbers, supervision
from hotline import orders as o
from hotline.access import may_read_caller, visible_to
from hotline.blobs import ALLOWED
from hotline.case import Case, Desk
from hotline.models import Assignment, PersonalRead, Ticket
from hotline.organisation import Platform
from hotline.queues import MAX_PAGE, Filters, listed
from hotline.shapes import ActResult, EntryView, FileView, TicketLine, TicketView
from hotline.views import Reader
from knowledge_base import articles
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import Act, Channel, FileClass, Matter, State

router = APIRouter(prefix="/tickets", tags=["工单"])

_NUMBER = Path(
    description="工单编号，15 位数字，可带空格", pattern=r"^[0-9 \-]{15,25}$", examples=["012611210000425"]
)
NumberPath = Annotated[str, _NUMBER]
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words, "content": {"application/problem+json": {}}}
    for status, words in {
        400: "请求头或内容无法解析",
        401: "未登录",
        403: "角色或权限不允许",
        404: "没有这个工单，或不在权限范围内",
        409: "状态不允许，或已超过法定期限",
        412: "已被他人更新",
        413: "请求过大",
        422: "内容不符合要求",
        503: "暂时不可用，请重试",
    }.items()
}


@dataclass(frozen=True, slots=True)
class ActRoute:
    """One act's route: the command behind it and the order it takes."""

    act: Act
    command: Callable[[Desk, str, Any], Case]
    order: type[o.Order]
    example: dict[str, Any]


ACT_ROUTES: tuple[ActRoute, ...] = (
    ActRoute(Act.ACCEPT, intake.accept, o.AcceptOrder, {}),
    ActRoute(
        Act.REFUSE,
        intake.refuse,
        o.RefuseOrder,
        {
            "ground": "3",
            "explanation": "该事项已进入信访渠道。",
            "guidance": "请向原信访受理机构查询办理进展。",
        },
    ),
    ActRoute(
        Act.ANSWER_AT_ONCE,
        intake.answer_at_once,
        o.AnswerOrder,
        {"answer": "身份证补领可在任一派出所户籍窗口办理。"},
    ),
    ActRoute(
        Act.TRANSFER,
        intake.transfer,
        o.TransferOrder,
        {"target": "120", "explanation": "来电人突发疾病，已三方通话转接。"},
    ),
    ActRoute(
        Act.REPORT_UP, intake.report_up, o.ReportUpOrder, {"reason": "涉及两个部门职责交叉，请上级协调。"}
    ),
    ActRoute(Act.DECIDE, intake.decide, o.DecideOrder, {"outcome": "accept", "reason": "属于受理范围。"}),
    ActRoute(
        Act.DISPATCH,
        casework.dispatch,
        o.DispatchOrder,
        {"lead": "XN-ZJJ", "co_units": [], "instruction": "请尽快核实处理。"},
    ),
    ActRoute(Act.SIGN, casework.sign, o.SignOrder, {"signed_by": "测试经办"}),
    ActRoute(
        Act.PROPOSE_RETURN,
        casework.propose_return,
        o.ReturnOrder,
        {
            "grounds": "该路段由交通运输部门管养。",
            "suggestion": "建议改派市交通运输局。",
            "suggested_unit": "XN-JTJ",
        },
    ),
    ActRoute(Act.UPHOLD_RETURN, casework.uphold_return, o.ReturnDecision, {"reason": "依据充分，同意退单。"}),
    ActRoute(
        Act.REJECT_RETURN,
        casework.reject_return,
        o.ReturnDecision,
        {"reason": "属于你单位职责，请继续办理。"},
    ),
    ActRoute(
        Act.CONVERT_TO_COMPLEX, casework.convert_to_complex, o.ConvertOrder, {"reason": "需现场勘查后答复。"}
    ),
    ActRoute(
        Act.REQUEST_EXTENSION,
        extensions.request_extension,
        o.ExtensionOrder,
        {"reason": "many_parties", "explanation": "需协调三家产权单位。", "days": 5},
    ),
    ActRoute(Act.APPROVE_EXTENSION, extensions.approve_extension, o.ExtensionApproval, {"days": 5}),
    ActRoute(
        Act.REFUSE_EXTENSION, extensions.refuse_extension, o.ExtensionRefusal, {"reason": "理由不充分。"}
    ),
    ActRoute(
        Act.NOTIFY_EXTENSION,
        extensions.notify_extension,
        o.ExtensionNotice,
        {"reached": True, "remark": "已电话告知延期原因。"},
    ),
    ActRoute(Act.REPORT_PROGRESS, casework.report_progress, o.ProgressOrder, {"content": "已安排抢修。"}),
    ActRoute(
        Act.ANSWER_CITIZEN,
        casework.answer_citizen,
        o.AnswerCitizenOrder,
        {"answered_at": "2026-02-24T10:00:00+08:00"},
    ),
    ActRoute(
        Act.REPLY,
        casework.reply,
        o.ReplyOrder,
        {
            "content": "经现场核实，已更换损坏阀门，室温恢复至20度。",
            "citizen_answered_at": "2026-02-24T10:00:00+08:00",
        },
    ),
    ActRoute(
        Act.RELEASE_UNIT,
        casework.release_unit,
        o.ReleaseOrder,
        {"unit": "XN-JTJ", "reason": "无需其继续协办。"},
    ),
    ActRoute(
        Act.REVIEW_PASS,
        casework.review_pass,
        o.ReviewPassOrder,
        {"elements": {"quality": True, "process": True, "content": True, "completeness": True}},
    ),
    ActRoute(
        Act.REVIEW_SEND_BACK,
        casework.review_send_back,
        o.SendBackOrder,
        {"findings": {"content": "未说明具体整改措施和完成时间。"}, "days": 2},
    ),
    ActRoute(
        Act.RECORD_CALLBACK,
        aftercare.record_callback,
        o.CallbackOrder,
        {"outcome": "satisfied", "solved": True},
    ),
    ActRoute(
        Act.UPHOLD_DISSATISFACTION,
        aftercare.uphold_dissatisfaction,
        o.UpholdOrder,
        {"reason": "问题确未解决，同意重新办理。", "days": 5},
    ),
    ActRoute(
        Act.DISMISS_DISSATISFACTION,
        aftercare.dismiss_dissatisfaction,
        o.ReasonOrder,
        {"reason": "已依法办结并明确答复。"},
    ),
    ActRoute(Act.ARCHIVE, aftercare.archive, o.ArchiveOrder, {}),
    ActRoute(
        Act.MERGE, intake.merge, o.MergeOrder, {"into": "012611210000425", "reason": "同一小区同一问题。"}
    ),
    ActRoute(Act.WITHDRAW, aftercare.withdraw, o.ReasonOrder, {"reason": "来电人表示问题已自行解决。"}),
    ActRoute(
        Act.HAND_OVER,
        aftercare.hand_over,
        o.HandOverOrder,
        {"to": "xn-agent-02", "reason": "原首接人员休假。"},
    ),
    ActRoute(
        Act.COORDINATE,
        casework.coordinate,
        o.CoordinateOrder,
        {"note": "召集住建、城管会商。", "participants": ["市住建局"]},
    ),
    ActRoute(
        Act.DESIGNATE,
        casework.designate,
        o.DesignateOrder,
        {"lead": "XN-ZJJ", "basis": "依据部门权责清单，由住建部门牵头。"},
    ),
    ActRoute(Act.REMIND, supervision.remind, o.RemindOrder, {"form": "network", "content": "请尽快办理。"}),
    ActRoute(
        Act.FLAG,
        supervision.flag,
        o.FlagOrder,
        {"flag": "buck_passing", "explanation": "两次以同一理由推诿。"},
    ),
    ActRoute(
        Act.UPDATE_KNOWLEDGE,
        aftercare.update_knowledge,
        o.KnowledgeOrder,
        {"outcome": "no_change", "reason": "现有知识条目已涵盖。"},
    ),
    ActRoute(
        Act.HOLD_RECORDING,
        aftercare.hold_recording,
        o.HoldOrder,
        {"attachment": 1, "held": True, "reason": "涉及行政复议。"},
    ),
)


def _has_defaults(order: type[o.Order]) -> bool:
    return all(not field.is_required() for field in order.model_fields.values())


def _act_endpoint(route: ActRoute) -> Callable[..., Response]:
    def perform(number: str, order: o.Order, edge: Edge) -> Response:
        _check_knowledge(edge, order)
        return _perform(edge, order, lambda desk: route.command(desk, number, order))

    default = Body(default_factory=route.order) if _has_defaults(route.order) else Body(openapi_examples=None)
    body: Any = Annotated[route.order, default]

    def endpoint(number: Any, order: Any, edge: Any) -> Response:
        return perform(number, order, edge)

    endpoint.__annotations__ = {"number": NumberPath, "order": body, "edge": EdgeDep, "return": Response}
    endpoint.__name__ = route.act.value
    endpoint.__doc__ = (route.command.__doc__ or "").split("\n\n")[0]
    return endpoint


def _check_knowledge(edge: Edge, order: o.Order) -> None:
    """A version of an article that a ticket is to remember must exist."""
    name = getattr(order, "knowledge_version", None) or (
        order.article if isinstance(order, o.KnowledgeOrder) else None
    )
    if name is not None:
        articles.find(edge.session, edge.actor, name)


def _perform(edge: Edge, order: o.Order, command: Callable[[Desk], Case], *, status: int = 200) -> Response:
    reader = Reader(
        edge.session, edge.actor, edge.runtime.office, edge.at
    )  # the command brings the calendars up to date
    return edge.perform(
        order,
        command,
        lambda case: reader.result(case.ticket, case.assignments, case.clocks),
        status=status,
        version=lambda case: case.ticket.version,
    )


for _route in ACT_ROUTES:
    router.add_api_route(
        f"/{{number}}/{_route.act.value}",
        _act_endpoint(_route),
        methods=["POST"],
        summary=_route.act.label,
        operation_id=_route.act.value,
        response_model=ActResult,
        responses=PROBLEMS,
        openapi_extra={"requestBody": {"content": {"application/json": {"example": _route.example}}}},
    )


# --- intake ----------------------------------------------------------------------------------------------------------


class RegisterDecision(o.RegisterOrder):
    """登记，待认定."""

    act: Literal["register"]


class AcceptDecision(o.AcceptOrder):
    """受理."""

    act: Literal["accept"]


class RefuseDecision(o.RefuseOrder):
    """不予受理."""

    act: Literal["refuse"]


class AnswerDecision(o.AnswerOrder):
    """即时答复."""

    act: Literal["answer_at_once"]


class TransferDecision(o.TransferOrder):
    """转接."""

    act: Literal["transfer"]


class ReportUpDecision(o.ReportUpOrder):
    """上报."""

    act: Literal["report_up"]


Decision = Annotated[
    RegisterDecision | AcceptDecision | RefuseDecision | AnswerDecision | TransferDecision | ReportUpDecision,
    Field(discriminator="act"),
]


class NewTicket(o.Order):
    """A demand and what is decided on it at once."""

    demand: o.Demand
    decision: Decision = Field(
        default=AcceptDecision(act="accept"), description="登记时一并作出的决定；缺省为受理"
    )
    platform: str | None = Field(
        default=None, description="受理平台代码，缺省为本人所在平台", pattern=r"^[0-9]{2}$"
    )


NEW_TICKET_EXAMPLE = {
    "demand": {
        "channel": "phone",
        "matter": "help",
        "category": "010101",
        "area": "630104000000",
        "title": "暖气不热，室温只有14度",
        "content": "来电人反映家中暖气自供暖以来一直不热，室温只有14度，请求尽快处理。",
        "caller": {"name": "测试甲", "phone": "13900000001"},
    },
    "decision": {"act": "accept"},
}


@router.post(
    "",
    status_code=201,
    summary="登记诉求",
    operation_id="take",
    response_model=ActResult,
    responses=PROBLEMS,
    openapi_extra={"requestBody": {"content": {"application/json": {"example": NEW_TICKET_EXAMPLE}}}},
)
def take(new: NewTicket, edge: EdgeDep) -> Response:
    """Register a demand and decide on it at once (art. 10-12, 14(2)); the answer is the ticket."""
    _check_knowledge(edge, new.decision)
    platform_id = _platform_id(edge, new.platform)
    verb = Act(new.decision.act)
    return _perform(
        edge, new, lambda desk: intake.take(desk, new.demand, verb, new.decision, platform_id), status=201
    )


def _platform_id(edge: Edge, code: str | None) -> int | None:
    if code is None:
        return None
    found = edge.session.execute(
        select(col(Platform.id)).where(col(Platform.code) == code)
    ).scalar_one_or_none()
    if found is None:
        raise OrderInvalid(f"没有代码为 {code} 的热线平台。", field="platform")
    return int(found)


# --- reading ---------------------------------------------------------------------------------------------------------


class TicketPage(BaseModel):
    """One page of a list; `next` is the cursor of the page after it."""

    items: list[TicketLine]
    next: str | None


class ListQuery(BaseModel):
    """The filters of a list."""

    model_config = {"extra": "forbid"}

    state: list[State] = Field(default=[], description="一个或多个状态")
    open: bool = Field(default=False, description="只列未办结的")
    unit: o.Code | None = Field(default=None, description="承办单位代码")
    matter: Matter | None = None
    channel: Channel | None = None
    area: str | None = Field(default=None, pattern=r"^[0-9]{2,12}$", description="行政区划代码，含下级")
    category: str | None = Field(default=None, pattern=r"^[0-9]{2,6}$", description="诉求分类代码，含下级")
    due_before: o.Instant | None = None
    overdue: bool | None = None
    text: o.Line | None = Field(default=None, description="标题或内容包含的文字")
    mine: bool = Field(default=False, description="只列本人首接的")
    received_from: o.Instant | None = None
    received_to: o.Instant | None = None
    sort: Literal["received", "due"] = Field(
        default="received", description="按受理时间（新的在前）或按到期先后"
    )
    limit: int = Field(default=50, ge=1, le=MAX_PAGE)
    cursor: str | None = Field(default=None, max_length=500, description="上一页返回的 next")


@router.get(
    "", summary="工单列表", operation_id="list_tickets", response_model=TicketPage, responses=PROBLEMS
)
def list_tickets(query: Annotated[ListQuery, Query()], edge: ReadDep) -> TicketPage:
    """The tickets the actor sees, filtered, newest first or by due date, in keyset pages."""
    filters = Filters(
        states=tuple(query.state),
        open_only=query.open,
        unit=query.unit,
        matter=query.matter,
        channel=query.channel,
        area=query.area,
        category=query.category,
        due_before=query.due_before,
        overdue=query.overdue,
        as_of=edge.at,
        text=query.text,
        mine=query.mine,
        received_from=query.received_from,
        received_to=query.received_to,
    )
    page = listed(edge.session, edge.actor, filters, sort=query.sort, limit=query.limit, cursor=query.cursor)
    reader = edge.reader()
    return TicketPage(items=[reader.line(row) for row in page.rows], next=page.next)


def _seen(edge: Edge, number: str) -> Ticket:
    parsed = numbers.parse(number)
    statement = select(Ticket).where(col(Ticket.number) == parsed, visible_to(edge.actor))
    ticket: Ticket | None = edge.session.execute(statement).scalar_one_or_none()
    if ticket is None:
        raise NotFound(f"没有编号为 {numbers.spoken(parsed)} 的工单，或不在您的权限范围内。", field="number")
    return ticket


@router.get(
    "/{number}",
    summary="工单详情",
    operation_id="get_ticket",
    response_model=TicketView,
    responses=PROBLEMS,
)
def get_ticket(number: NumberPath, edge: ReadDep) -> Response:
    """A ticket whole, with the acts open to this actor; its ETag is the version for If-Match.

    There is no 304: lapses, days left and the acts on offer change with time, without an act.
    """
    ticket = _seen(edge, number)
    view = edge.reader().whole(ticket)
    headers = {"ETag": f'"{ticket.version}"', "Cache-Control": "private, no-store"}
    return Response(view.model_dump_json(), media_type="application/json", headers=headers)


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
    ticket = _seen(edge, number)
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
    ticket = _seen(edge, number)
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


def _parts(edge: Edge, ticket: Ticket) -> list[Assignment]:
    return list(
        edge.session.execute(select(Assignment).where(col(Assignment.ticket_id) == ticket.id)).scalars()
    )


class CallerData(BaseModel):
    """A caller's own data, unmasked."""

    name: str | None
    phone: str | None
    address: str | None


@router.get(
    "/{number}/caller",
    summary="来电人信息",
    operation_id="read_caller",
    response_model=CallerData,
    responses=PROBLEMS,
)
def read_caller(
    number: NumberPath, edge: ReadDep, purpose: Annotated[o.Line, Query(description="查看目的，记入查阅记录")]
) -> CallerData:
    """The caller's data unmasked, for a stated purpose; each reading is recorded (art. 15). Sealed from units for tip-offs."""
    ticket = _seen(edge, number)
    if not may_read_caller(edge.actor, ticket, _parts(edge, ticket)):
        raise AccessRefused("该工单来电人信息已保密，不能查看。", article="15")
    edge.session.add(
        PersonalRead(ticket_id=ticket.id, actor=edge.actor.key, purpose=purpose, read_at=edge.at)
    )
    edge.session.commit()
    sealer = edge.runtime.office.sealer
    return CallerData(
        name=sealer.open(ticket.caller_name),
        phone=sealer.open(ticket.caller_phone),
        address=sealer.open(ticket.caller_address),
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
    recorded_at: Annotated[o.Instant | None, Form(description="录音的通话时间")] = None,
) -> Response:
    """File a document, picture or recording under its class; stored by content hash (art. 14(9))."""
    content = file.file.read(edge.runtime.office.blobs.max_bytes + 1)
    order = _attach_order(file.filename, file_class, recorded_at)
    return edge.perform(
        order,
        lambda desk: aftercare.attach(desk, number, order, content),
        lambda stored: FileView(**stored.model_dump()),
        status=201,
        extra_fingerprint=hashlib.sha256(content).hexdigest(),
    )


def _attach_order(filename: str | None, file_class: FileClass, recorded_at: datetime | None) -> o.AttachOrder:
    name = (filename or "").replace("\\", "/").rsplit("/", 1)[-1].strip()
    try:
        return o.AttachOrder(name=name or "未命名", file_class=file_class, recorded_at=recorded_at)
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
    ticket = _seen(edge, number)
    file, content = aftercare.file_of(edge.desk(), ticket.id, attachment)
    sealed = edge.actor.is_unit and not may_read_caller(edge.actor, ticket, _parts(edge, ticket))
    if file.file_class is FileClass.RECORDING and sealed:
        raise AccessRefused("该工单来电人信息已保密，承办单位不能调取通话录音。", article="15")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
        "ETag": f'"{file.sha256}"',
    }
    return Response(content, media_type=file.media_type, headers=headers)
