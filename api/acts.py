"""What may be done to a ticket, over HTTP: one route an act, and intake, which registers and decides at once."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Path, Response
from pydantic import Field
from sqlalchemy import select
from sqlmodel import col

from api.direct import DirectRoute
from api.problems import PROBLEMS
from api.wiring import Edge, EdgeDep, with_example
from hotline import aftercare, casework, extensions, fields, intake, supervision
from hotline import orders as o
from hotline.case import Case, Desk
from hotline.organisation import Platform
from hotline.shapes import ActResult
from hotline.views import Reader
from knowledge_base import articles, telling
from workflow.errors import OrderInvalid
from workflow.vocabulary import Act

router = APIRouter(prefix="/api/v1/tickets", tags=["工单"], route_class=DirectRoute)

_NUMBER = Path(
    description="工单编号，15 位数字，可带空格", pattern=r"^[0-9 \-]{15,25}$", examples=["012611210000425"]
)
NumberPath = Annotated[str, _NUMBER]


@dataclass(frozen=True, slots=True)
class ActRoute:
    """One act's route: the command behind it and the order it takes."""

    act: Act
    command: Callable[[Desk, str, Any], Case]
    order: type[fields.Order]
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
        telling.answer_at_once,
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
    ActRoute(
        Act.KEEP_CONFIDENTIAL,
        aftercare.keep_confidential,
        o.ConfidentialOrder,
        {"reason": "来电人担心身份被所反映的单位知道，要求保密。"},
    ),
)


def _has_defaults(order: type[fields.Order]) -> bool:
    return all(not field.is_required() for field in order.model_fields.values())


def perform_act(
    route: ActRoute, number: str, order: fields.Order, edge: Edge, *, extra_fingerprint: str = ""
) -> Response:
    """Do one act for whoever asks; see `Edge.perform`."""
    _check_knowledge(edge, order)
    return _perform(
        edge, order, lambda desk: route.command(desk, number, order), extra_fingerprint=extra_fingerprint
    )


def _act_endpoint(route: ActRoute) -> Callable[..., Response]:
    default = Body(default_factory=route.order) if _has_defaults(route.order) else Body(openapi_examples=None)
    body: Any = Annotated[route.order, default]

    def endpoint(number: Any, order: Any, edge: Any) -> Response:
        return perform_act(route, number, order, edge)

    endpoint.__annotations__ = {"number": NumberPath, "order": body, "edge": EdgeDep, "return": Response}
    endpoint.__name__ = route.act.value
    endpoint.__doc__ = (route.command.__doc__ or "").split("\n\n")[0]
    return endpoint


def _check_knowledge(edge: Edge, order: fields.Order) -> None:
    """An article that a ticket is to remember must exist: one told (whether it may be told today: `telling`), or one a unit hands in."""
    if isinstance(order, o.KnowledgeOrder) and order.article is not None:
        articles.reportable(edge.session, edge.actor, order.article)
    elif (name := getattr(order, "knowledge_version", None)) is not None:
        articles.find(edge.session, edge.actor, name)


def _perform(
    edge: Edge,
    order: fields.Order,
    command: Callable[[Desk], Case],
    *,
    status: int = 200,
    extra_fingerprint: str = "",
) -> Response:
    reader = Reader(
        edge.session, edge.actor, edge.runtime.office, edge.at
    )  # the command brings the calendars up to date
    return edge.perform_act(
        order,
        command,
        lambda case: reader.result(case.ticket, case.assignments, case.clocks, there=case.there),
        status=status,
        extra_fingerprint=extra_fingerprint,
        version=lambda case: case.ticket.version,
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


class NewTicket(fields.Order):
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
    openapi_extra=with_example(NEW_TICKET_EXAMPLE),
)
def take(new: NewTicket, edge: EdgeDep) -> Response:
    """Register a demand and decide on it at once (art. 10-12, 14(2)); the answer is the ticket."""
    _check_knowledge(edge, new.decision)
    platform_id = _platform_id(edge, new.platform)
    verb = Act(new.decision.act)
    return _perform(
        edge, new, lambda desk: telling.take(desk, new.demand, verb, new.decision, platform_id), status=201
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


# --- one route an act; after intake, which is asked most and looked for first ---------------------------------------------

for _route in ACT_ROUTES:
    router.add_api_route(
        f"/{{number}}/{_route.act.value}",
        _act_endpoint(_route),
        methods=["POST"],
        summary=_route.act.label,
        operation_id=_route.act.value,
        response_model=ActResult,
        responses=PROBLEMS,
        openapi_extra=with_example(_route.example),
    )
