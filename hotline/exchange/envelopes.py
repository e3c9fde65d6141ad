"""事件信封: what a subscriber is sent of one fact, CloudEvents 1.0 in structured mode, and the catalogue of what is sent at all.

Only kinds of the catalogue leave the house, and of their data only the fields named here: no caller's data ever, so that a sealed
ticket's events carry nothing that identifies.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, Field

from hotline.exchange import outbox
from workflow.vocabulary import Act, ClockKind, State, VersionState

MEDIA_TYPE: Final = "application/cloudevents+json; charset=utf-8"
TESTED: Final = "subscription.tested"
"""What a subscriber is sent to see whether it listens; it is about no ticket."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of event: its Chinese name, what a subscriber does about it, and whether units are told or platforms alone."""

    label: str
    meaning: str
    to_units: bool = True


def _kind(label: str, meaning: str, *, to_units: bool = True) -> Kind:
    return Kind(label, meaning, to_units)


_OF_PLATFORM: Final = "供平台对接系统了解进展，承办单位不会收到。"
CATALOGUE: Final[dict[str, Kind]] = {
    outbox.EVENTS[Act.DISPATCH]: _kind(
        "派单", "新工单派至你单位：取工单详情，签收并办理；不属职责的在 1 个工作日内申请退单。"
    ),
    outbox.EVENTS[Act.DESIGNATE]: _kind("指定牵头", "经协调由你单位牵头或参与办理：按新的期限办理。"),
    outbox.EVENTS[Act.SIGN]: _kind("签收", "你单位已签收，供核对。"),
    outbox.EVENTS[Act.PROPOSE_RETURN]: _kind("申请退单", "退单申请已提交，审核期间期限照常计算。"),
    outbox.EVENTS[Act.UPHOLD_RETURN]: _kind("同意退单", "退单成立：你单位不再承办，期限终止。"),
    outbox.EVENTS[Act.REJECT_RETURN]: _kind("驳回退单", "退单不成立：继续办理，原期限不变。"),
    outbox.EVENTS[Act.CONVERT_TO_COMPLEX]: _kind(
        "转为复杂事项", "咨询、求助类转为 5 个工作日，以 clocks 中的新期限为准。"
    ),
    outbox.EVENTS[Act.REQUEST_EXTENSION]: _kind("申请延期", "延期申请已提交，审核期间期限照常计算。"),
    outbox.EVENTS[Act.APPROVE_EXTENSION]: _kind(
        "批准延期", "期限已延长，以 clocks 中的新期限为准；须向来电人说明原因。"
    ),
    outbox.EVENTS[Act.REFUSE_EXTENSION]: _kind("驳回延期", "期限不变，请按原期限办结。"),
    outbox.EVENTS[Act.NOTIFY_EXTENSION]: _kind("告知延期", "已向来电人告知延期。"),
    outbox.EVENTS[Act.REPORT_PROGRESS]: _kind("反馈进展", "阶段性进展已记录。"),
    outbox.EVENTS[Act.ANSWER_CITIZEN]: _kind("答复来电人", "已记录对来电人的答复。"),
    outbox.EVENTS[Act.REPLY]: _kind("反馈办理结果", "办理结果已反馈，等待认定。"),
    outbox.EVENTS[Act.RELEASE_UNIT]: _kind("免除协办", "你单位不再协办，期限终止。"),
    outbox.EVENTS[Act.REVIEW_PASS]: _kind("认定通过", "答复认定通过，等待回访。"),
    outbox.EVENTS[Act.REVIEW_SEND_BACK]: _kind(
        "责成补办", "答复未通过认定：按 clocks 中的补办期限补充办理并重新反馈。"
    ),
    outbox.EVENTS[Act.RECORD_CALLBACK]: _kind(
        "回访", "回访已有一次记录；state 为 dissatisfied 时等待审核是否重办。"
    ),
    outbox.EVENTS[Act.UPHOLD_DISSATISFACTION]: _kind(
        "责成重办", "来电人不满意且属实：按 clocks 中的重办期限重新办理并反馈。"
    ),
    outbox.EVENTS[Act.DISMISS_DISSATISFACTION]: _kind("不予重办", "经审核不予重办。"),
    outbox.EVENTS[Act.ARCHIVE]: _kind("归档", "工单已归档，不再有动作。"),
    outbox.EVENTS[Act.MERGE]: _kind("并单", "该工单并入其他工单，你单位在本工单上的期限终止。"),
    outbox.EVENTS[Act.WITHDRAW]: _kind("撤回", "来电人撤回诉求，期限终止，停止办理。"),
    outbox.EVENTS[Act.COORDINATE]: _kind("协调", "工单进入协调，等待指定牵头单位。"),
    outbox.EVENTS[Act.REMIND]: _kind("督办提醒", "热线平台督办：请立即办理。"),
    outbox.EVENTS[Act.FLAG]: _kind(
        "标记问题", "你单位的办理被标记问题（第十四条第（八）项），可查看工单说明。"
    ),
    outbox.EVENTS[Act.UPDATE_KNOWLEDGE]: _kind("完善知识库", "知识库完善已完成。"),
    outbox.EVENTS[Act.ATTACH]: _kind("添加附件", "平台添加了你单位可见的附件。"),
    outbox.EVENTS[Act.KEEP_CONFIDENTIAL]: _kind(
        "为来电人保密", "来电人要求保密：即日起不再提供来电人信息，已取得的应当停止使用。"
    ),
    outbox.ACCOUNTABILITY_ISSUED: _kind(
        "通报", "你单位因办理问题被通报（第三十四条），可查看通报并说明情况（第三十五条）。"
    ),
    outbox.DUE_SOON: _kind("即将到期", "提前提醒，不改变任何期限；每个期限只提醒一次。"),
    outbox.LAPSED: _kind("到期未办", "期限已届满仍未完成，自届满时起计为逾期。"),
    outbox.CLOCK_MOVED: _kind("期限变动", "因放假安排调整，期限重新推算，以 clocks 为准。"),
    outbox.KNOWLEDGE_REQUESTED: _kind(
        "请完善知识库", "咨询工单认定通过：2 个工作日内报送、更新知识或说明无需更新（第二十三条）。"
    ),
    "knowledge.question_asked": _kind("知识提问", "话务员向你单位提问，请在期限内答复。"),
    "knowledge.question_due": _kind("知识提问逾期", "知识提问到期未答复，请尽快答复。"),
    "knowledge.question_moved": _kind("知识提问期限变动", "放假安排变动，答复期限已重新计算。"),
    "knowledge.question_answered": _kind("知识提问已答复", "你单位的答复已收到。"),
    "knowledge.question_adopted": _kind("知识提问已采用", "你单位的答复已整理为知识条目。"),
    outbox.KNOWLEDGE[VersionState.PUBLISHED]: _kind("知识发布", "你单位负责的知识条目已发布。"),
    outbox.KNOWLEDGE[VersionState.WITHDRAWN]: _kind("知识撤下", "你单位负责的知识条目已撤下。"),
    outbox.EVENTS[Act.REGISTER]: _kind("登记", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.ACCEPT]: _kind("受理", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.REFUSE]: _kind("不予受理", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.ANSWER_AT_ONCE]: _kind("即时答复", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.TRANSFER]: _kind("转接", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.REPORT_UP]: _kind("上报", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.DECIDE]: _kind("认定", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.HAND_OVER]: _kind("移交首接", _OF_PLATFORM, to_units=False),
    outbox.EVENTS[Act.HOLD_RECORDING]: _kind("保全录音", _OF_PLATFORM, to_units=False),
    outbox.MERGED_IN: _kind("并入", _OF_PLATFORM, to_units=False),
    outbox.MAIN_REPLIED: _kind("主单已反馈", _OF_PLATFORM, to_units=False),
    outbox.RECORDING_DESTROYED: _kind("销毁录音", _OF_PLATFORM, to_units=False),
    outbox.CALL_RINGING: _kind("来电振铃", "供平台对接系统弹屏，不含主叫号码。", to_units=False),
    outbox.CALL_ANSWERED: _kind("来电接通", _OF_PLATFORM, to_units=False),
    outbox.CALL_ENDED: _kind("来电结束", _OF_PLATFORM, to_units=False),
    outbox.EVALUATED: _kind("来电人评价", _OF_PLATFORM, to_units=False),
    outbox.APPEALED: _kind("来电人异议", _OF_PLATFORM, to_units=False),
    outbox.REPORT_DRAFTED: _kind(
        "报告待审核", "月、季、年报已自动起草（第二十七条），请督办主管审核、报送。", to_units=False
    ),
    outbox.REPORT_DUE_SOON: _kind("报告即将到期", "报送期限将届满（第二十七条）。", to_units=False),
    outbox.REPORT_LAPSED: _kind("报告逾期未报送", "报送期限已届满，自届满时起计为逾期。", to_units=False),
    outbox.REPORT_FILED: _kind("报告已报送", "数据已定格；此后的变动以更正报告报送。", to_units=False),
    TESTED: _kind("连通测试", "管理员发起的连通测试，答复 2xx 即可，不涉及工单。"),
}


def kinds_for(*, unit: bool) -> list[str]:
    """The kinds a unit is told, or a platform; the test of one subscription is nobody else's."""
    return [kind for kind, told in CATALOGUE.items() if (told.to_units or not unit) and kind != TESTED]


# --- the envelope ------------------------------------------------------------------------------------------------------


class DueDate(BaseModel):
    """One running period: the unit's code (None: the platform's or the caller's own), when it is due, whether it is late."""

    kind: ClockKind
    unit: str | None = None
    due_on: str = Field(examples=["2026-03-04"])
    due_at: datetime = Field(description="届满时刻，其后即为逾期")
    lapsed: bool


class EventData(BaseModel):
    """What a unit needs to act. Never anything of the caller."""

    label: str = Field(description="事件的中文名称")
    unit: str | None = Field(default=None, description="所涉承办单位代码；工单整体的事件为空")
    number: str | None = Field(default=None, description="工单编号")
    state: str | None = Field(default=None, description="事件发生后的工单状态")
    state_label: str | None = None
    version: int | None = Field(default=None, description="事件发生后的工单版本，可作 If-Match")
    entry: int | None = Field(default=None, description="工单台账的序号")
    link: str | None = Field(default=None, description="取工单详情和此刻可进行的动作（acts）")
    clocks: list[DueDate] | None = Field(default=None, description="事件发生后仍在计时的期限")
    clock: DueDate | None = Field(default=None, description="到期类事件所指的那个期限")
    form: str | None = Field(default=None, description="督办形式")
    rung: int | None = Field(default=None, description="督办阶梯，自 0 起")
    reason: str | None = None
    merged: str | None = Field(default=None, description="并入的工单编号，只发给平台")
    main: str | None = Field(default=None, description="主单编号，只发给平台")
    question: int | None = Field(default=None, description="知识提问")
    article: int | str | None = Field(default=None, description="知识条目")
    name: str | None = Field(default=None, description="知识条目版本的引用名")
    due_on: str | None = None
    due_at: datetime | None = None
    call: int | None = Field(default=None, description="来电，只发给平台")
    notice: int | None = Field(default=None, description="通报")
    report: int | None = Field(default=None, description="统计报告，只发给平台")
    period: str | None = Field(default=None, description="统计期，首日..末日")


class Envelope(BaseModel):
    """CloudEvents 1.0, structured mode."""

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(description="事件编号，重发时不变，据此去重", examples=["evt-1024"])
    source: str = Field(examples=["urn:hotline12345:platform:01"])
    type: str = Field(examples=["ticket.dispatched"])
    subject: str | None = Field(default=None, description="工单编号", examples=["012603020000019"])
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: str = Field(
        description="同一工单内只增不减，定长，可按字符串比较；小于已处理过的即为迟到的旧事件",
        examples=["0000000000000001024"],
    )
    data: EventData


_FIELDS: Final = frozenset(EventData.model_fields) - {"label", "unit", "link", "state_label", "entry"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One outbox row with the codes of its platform and unit."""

    id: int
    type: str
    ticket_seq: int | None
    data: Mapping[str, Any]
    occurred_at: datetime
    platform: str
    unit: str | None


def id_of(event_id: int) -> str:
    """The event's id, the same for ever."""
    return f"evt-{event_id}"


def envelope(fact: Fact, public_url: str | None) -> dict[str, Any]:
    """The envelope of a fact; links are absolute where the hotline's own address is known (`public_url`)."""
    number = fact.data.get("number")
    told: dict[str, Any] = {"label": CATALOGUE[fact.type].label, "unit": fact.unit}
    told |= {name: value for name, value in fact.data.items() if name in _FIELDS}
    if number is not None:
        told["state_label"] = State(told["state"]).label
        told["entry"] = fact.ticket_seq
        told["link"] = f"{(public_url or '').rstrip('/')}/api/v1/tickets/{number}"
    return {
        "specversion": "1.0",
        "id": id_of(fact.id),
        "source": f"urn:hotline12345:platform:{fact.platform}",
        "type": fact.type,
        **({"subject": number} if number is not None else {}),
        "time": fact.occurred_at.astimezone(UTC).isoformat(),
        "datacontenttype": "application/json",
        "sequence": f"{fact.id:019d}",
        "data": told,
    }


def encoded(envelope: Mapping[str, Any]) -> bytes:
    """The body as it is sent and signed: UTF-8, Chinese unescaped, always the same bytes for the same event."""
    return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()


def example(
    kind: str, *, number: str = "012603020000019", event_id: int = 1024, at: datetime | None = None
) -> dict[str, Any]:
    """An invented event of this kind, for the documents and the conformance kit."""
    when = at or datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    due = {
        "kind": "knowledge_update" if kind == outbox.KNOWLEDGE_REQUESTED else "reply",
        "unit": "XN-ZJJ",
        "due_on": "2026-03-04",
        "due_at": "2026-03-04T16:00:00+00:00",
        "lapsed": kind == outbox.LAPSED,
    }
    data: dict[str, Any] = {}
    if kind.startswith("knowledge.question"):
        data = {"question": 7, "due_on": "2026-03-04", "due_at": "2026-03-04T16:00:00+00:00"}
    elif kind in outbox.KNOWLEDGE.values():
        data = {"article": 7, "version": 2, "name": "7@2"}
    elif kind.startswith("report."):
        clock = {
            "kind": "period_report",
            "unit": None,
            "due_on": "2026-03-06",
            "due_at": "2026-03-06T16:00:00+00:00",
        }
        data = {
            "report": 12,
            "period": "2026-02-01..2026-02-28",
            "clock": clock | {"lapsed": kind == outbox.REPORT_LAPSED},
        }
        data |= {"due_on": clock["due_on"], "due_at": clock["due_at"]}
    elif kind.startswith("call."):
        data = {"call": 31, "state": "ringing"}
    elif kind != TESTED:
        data = {"number": number, "state": _EXAMPLE_STATES.get(kind, State.HANDLING).value, "version": 4}
        data |= {"clocks": [due]} | ({"clock": due} if kind in (outbox.DUE_SOON, outbox.LAPSED) else {})
    unit = "XN-ZJJ" if CATALOGUE[kind].to_units and kind != TESTED else None
    return envelope(Fact(event_id, kind, 5, data, when, "01", unit), None)


_EXAMPLE_STATES: Final = {
    outbox.EVENTS[Act.DISPATCH]: State.DISPATCHED,
    outbox.EVENTS[Act.REVIEW_SEND_BACK]: State.SUPPLEMENTING,
    outbox.EVENTS[Act.UPHOLD_DISSATISFACTION]: State.REDOING,
    outbox.EVENTS[Act.REVIEW_PASS]: State.VERIFIED,
    outbox.EVENTS[Act.PROPOSE_RETURN]: State.RETURN_PROPOSED,
    outbox.EVENTS[Act.REPLY]: State.REPLIED,
    outbox.EVENTS[Act.MERGE]: State.MERGED,
    outbox.EVENTS[Act.WITHDRAW]: State.WITHDRAWN,
    outbox.EVENTS[Act.ARCHIVE]: State.ARCHIVED,
    outbox.KNOWLEDGE_REQUESTED: State.VERIFIED,
}
