"""What people hand in with each act. Validated here; a table model validates nothing.

Texts are kept whole: no stripping, no truncation. NUL and lone surrogates are refused with the field named, because
PostgreSQL cannot keep them.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)
from stdnum.cn import ric

from workflow.vocabulary import (
    Audience,
    CallbackOutcome,
    Channel,
    FileClass,
    Flag,
    KnowledgeOutcome,
    Matter,
    ReminderForm,
    ReviewElement,
    TransferTarget,
)


def keepable(text: str) -> str:
    """A text that PostgreSQL can keep. Raises `ValueError`."""
    if "\x00" in text:
        raise ValueError("不能包含空字符（NUL）")
    if any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("包含不完整的字符（孤立的代理项），请检查编码")
    return text


def says_something(text: str) -> str:
    """A text that is not blank. Raises `ValueError`."""
    if not text.strip():
        raise ValueError("不能为空白")
    return text


_FIRST, _LAST = datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)


def _in_range(at: datetime) -> datetime:
    if not _FIRST <= at <= _LAST:  # else no other time zone could express it
        raise ValueError("时间超出可用范围，请核对年份")
    return at


def _written_out(at: object) -> object:
    if isinstance(at, datetime) or (isinstance(at, str) and re.match(r"\d{4}-\d\d-\d\d[Tt ]", at)):
        return at
    raise ValueError(
        "时间格式应为 2026-02-13T10:00:00+08:00"
    )  # a bare number could be seconds or milliseconds


def _checked_id_number(number: str) -> str:
    if not ric.is_valid(number.upper()):
        raise ValueError("身份证号的日期或校验位不对，请核对")
    return number.upper()


Instant = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_range)]
"""An aware instant, written out with its date, that every time zone can express."""

Line = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200),
    AfterValidator(keepable),
    AfterValidator(says_something),
]
Prose = Annotated[
    str,
    StringConstraints(min_length=1, max_length=20_000),
    AfterValidator(keepable),
    AfterValidator(says_something),
]
Demanded = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100_000),
    AfterValidator(keepable),
    AfterValidator(says_something),
]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_\-]{1,40}$")]
Phone = Annotated[str, StringConstraints(pattern=r"^\+?[0-9][0-9\- ]{2,24}$")]
IdNumber = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{17}[0-9Xx]$"), AfterValidator(_checked_id_number)
]
Number = Annotated[str, StringConstraints(min_length=1, max_length=40), AfterValidator(keepable)]


class Order(BaseModel):
    """The base of every order: unknown fields are refused, so that a misspelt one is not silently lost."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Caller(Order):
    """来电人. Sealed at rest; never in the ledger, the outbox or a log."""

    name: Line | None = Field(default=None, examples=["测试甲"])
    phone: Phone | None = Field(default=None, examples=["13900000001"])
    address: Line | None = None
    id_number: IdNumber | None = Field(default=None, description="身份证号，18 位")
    confidential: bool = Field(default=False, description="来电人要求保密")


class Demand(Order):
    """诉求: what the citizen asked for, in full."""

    channel: Channel = Channel.PHONE
    matter: Matter = Field(examples=["inquiry"])
    category: Code = Field(description="诉求分类代码（第三级）", examples=["010101"])
    area: Annotated[str, StringConstraints(pattern=r"^[0-9]{6,12}$")] = Field(examples=["630104"])
    title: Line = Field(examples=["暖气不热，室温只有14度"])
    content: Demanded = Field(examples=["来电人反映家中暖气自供暖以来一直不热，室温只有14度，请求尽快处理。"])
    caller: Caller = Caller()
    received_at: Instant | None = Field(default=None, description="接通或提交的时间；缺省为登记时间")
    call_id: Line | None = Field(default=None, description="话务平台的通话标识，同一通话只登记一次")
    external_ref: Line | None = Field(default=None, description="其他平台的编号")


class RegisterOrder(Order):
    """Register a demand without deciding on it yet (web, WeChat, app): it waits for a decision (待认定)."""


class AcceptOrder(Order):
    """受理."""


class RefuseOrder(Order):
    """不予受理: one of the seven grounds, an explanation given to the caller, and where to go instead (art. 11, 12)."""

    ground: Code = Field(description="第十一条的情形，1—7", examples=["3"])
    explanation: Prose = Field(description="向来电人说明的理由")
    guidance: Prose = Field(description="引导：反映渠道或解决建议")


class AnswerOrder(Order):
    """即时答复: answered from the knowledge base while the caller is on the line (art. 14(2))."""

    answer: Prose
    knowledge_version: Line | None = Field(default=None, description="所依据的知识条目版本，如 12@3")


class TransferOrder(Order):
    """转接: put through to an emergency line, an expert seat or a unit (art. 12, 13(4), 39)."""

    target: TransferTarget
    target_name: Line | None = Field(default=None, description="转接的单位或热线名称")
    explanation: Prose

    @model_validator(mode="after")
    def _names_the_target(self) -> Self:
        if self.target in (TransferTarget.UNIT, TransferTarget.OTHER_HOTLINE) and self.target_name is None:
            raise ValueError("转接到单位或其他热线时须写明名称（target_name）")
        return self


class ReportUpOrder(Order):
    """上报: the first receiver cannot decide (art. 12), or the ticket crosses levels or departments (art. 14(3))."""

    reason: Prose


class DecideOrder(Order):
    """认定: what the superior decides on a ticket reported up."""

    outcome: Literal["accept", "refuse", "transfer"]
    reason: Prose
    refuse: RefuseOrder | None = None
    transfer: TransferOrder | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.outcome == "refuse" and self.refuse is None:
            raise ValueError("认定为不予受理时须填写 refuse（情形、说明、引导）")
        if self.outcome == "transfer" and self.transfer is None:
            raise ValueError("认定为转接时须填写 transfer")
        return self


class DispatchOrder(Order):
    """派单: one lead unit, any number of co-units (art. 14(3)); under a declared emergency levels may be skipped (art. 17)."""

    lead: Code = Field(description="牵头单位代码", examples=["XN-RSJ"])
    co_units: tuple[Code, ...] = Field(default=(), max_length=50, description="协办单位代码")
    instruction: Prose | None = Field(default=None, description="办理要求")
    legal_basis: Prose | None = Field(default=None, description="派单依据")
    complex: bool = Field(default=False, description="咨询、求助类按复杂事项（5个工作日）派单")
    emergency: int | None = Field(
        default=None, ge=1, le=2**62, description="已宣布的应急事件编号，越级派单时必填"
    )

    @model_validator(mode="after")
    def _each_unit_once(self) -> Self:
        if len({self.lead, *self.co_units}) != 1 + len(self.co_units):
            raise ValueError("同一单位只能出现一次")
        return self


class DesignateOrder(DispatchOrder):
    """指定牵头 (art. 18). `days` is the redo's length where the ticket comes from an upheld dissatisfaction."""

    basis: Prose = Field(description="依据的职能和权责清单")
    days: int | None = Field(default=None, ge=1, le=10, description="重新办理的工作日数，仅用于重办")


class CoordinateOrder(Order):
    """协调: what is to be settled and with whom (art. 18)."""

    note: Prose
    participants: tuple[Line, ...] = Field(default=(), max_length=50)


class SignOrder(Order):
    """签收."""

    signed_by: Line | None = Field(default=None, description="经办人，缺省为当前用户")


class ReturnOrder(Order):
    """申请退单: the grounds and whom to send it to instead, both required (art. 14(4))."""

    grounds: Prose = Field(description="不属于本单位职责的依据")
    suggestion: Prose = Field(description="改派意见")
    suggested_unit: Code | None = Field(default=None, description="建议改派的单位代码")


class ReturnDecision(Order):
    """同意或驳回退单. `unit` names the unit where more than one has proposed a return."""

    reason: Prose
    unit: Code | None = None


class ConvertOrder(Order):
    """转为复杂事项, with its reason (art. 14(4))."""

    reason: Prose


class ExtensionOrder(Order):
    """申请延期: a statutory reason, an explanation, and how many working days (art. 14(5))."""

    reason: Code = Field(description="法定事由", examples=["complex"])
    explanation: Prose
    days: int = Field(ge=1, le=1000, description="工作日")


class ExtensionApproval(Order):
    """批准延期, for as many working days as asked or fewer."""

    days: int | None = Field(default=None, ge=1, le=1000)
    reason: Prose | None = None
    unit: Code | None = None


class ExtensionRefusal(Order):
    """驳回延期."""

    reason: Prose
    unit: Code | None = None


class ExtensionNotice(Order):
    """告知延期: the caller was told the reason, or could not be (art. 14(5))."""

    reached: bool
    remark: Prose
    unit: Code | None = None


class ProgressOrder(Order):
    """反馈进展: an interim word from the unit; it meets no clock."""

    content: Prose


class AnswerCitizenOrder(Order):
    """答复来电人: the unit has answered the citizen at `answered_at` (aware; now unless given)."""

    answered_at: Instant | None = None
    remark: Prose | None = None


class ReplyOrder(Order):
    """反馈办理结果. The reply clock is met once the citizen is answered *and* the result reported, at the later of the two."""

    content: Prose
    citizen_answered_at: Instant | None = Field(
        default=None, description="答复来电人的时间；尚未答复则留空，稍后补报"
    )
    handled_by: Line | None = Field(default=None, description="经办人，缺省为当前用户")


class ReleaseOrder(Order):
    """免除协办."""

    unit: Code
    reason: Prose


class ReviewPassOrder(Order):
    """认定通过: each of the four elements checked (art. 14(6))."""

    elements: dict[ReviewElement, Literal[True]]
    note: Prose | None = None

    @model_validator(mode="after")
    def _all_checked(self) -> Self:
        missing = [e.label for e in ReviewElement if e not in self.elements]
        if missing:
            raise ValueError("须逐项认定：" + "、".join(missing))
        return self


class SendBackOrder(Order):
    """责成补办: which elements fail and why, and within how many working days, at most 3 (art. 14(6))."""

    findings: dict[ReviewElement, Prose] = Field(min_length=1)
    days: int = Field(ge=1, le=1000)
    note: Prose | None = None


class CallbackOrder(Order):
    """回访: one attempt. Where the caller was reached, «solved?» is asked beside «satisfied?» (art. 14(7))."""

    outcome: CallbackOutcome
    solved: bool | None = None
    remark: Prose | None = None

    @model_validator(mode="after")
    def _both_questions(self) -> Self:
        reached = self.outcome not in (CallbackOutcome.UNREACHABLE, CallbackOutcome.REFUSED_TO_SAY)
        if reached and self.solved is None:
            raise ValueError("已接通的回访须记录问题是否解决（solved）")
        if self.outcome is CallbackOutcome.DISSATISFIED and self.remark is None:
            raise ValueError("不满意须记录来电人的意见（remark）")
        return self


class UpholdOrder(Order):
    """同意重办, with reasons, within at most 10 working days (art. 14(7))."""

    reason: Prose
    days: int = Field(ge=1, le=1000)


class ReasonOrder(Order):
    """An act that needs nothing but its reason."""

    reason: Prose


class ArchiveOrder(Order):
    """归档. A ticket that was coordinated files its material, or says why there is none (art. 14(9))."""

    note: Prose | None = None
    no_material_reason: Prose | None = None


class MergeOrder(Order):
    """并单: into the main ticket, which carries the demand from now on."""

    into: Number
    reason: Prose


class HandOverOrder(Order):
    """移交首接: another person becomes the first receiver, with a reason (art. 14(1))."""

    to: Code = Field(description="接手人的登录名")
    reason: Prose


class RemindOrder(Order):
    """督办提醒 by a person; it moves no date (art. 14(8))."""

    form: ReminderForm
    content: Prose
    unit: Code | None = None


class FlagOrder(Order):
    """标记问题 on a unit's part (art. 14(8))."""

    flag: Flag
    explanation: Prose
    unit: Code | None = None


class KnowledgeOrder(Order):
    """完善知识库: an article submitted or updated and tied to the ticket, or no change with a reason (art. 23)."""

    outcome: KnowledgeOutcome
    article: Line | None = Field(default=None, description="知识条目版本，如 12@3")
    reason: Prose | None = None

    @model_validator(mode="after")
    def _tied_or_reasoned(self) -> Self:
        if self.outcome is KnowledgeOutcome.NO_CHANGE and self.reason is None:
            raise ValueError("无需更新须说明理由（reason）")
        if self.outcome is not KnowledgeOutcome.NO_CHANGE and self.article is None:
            raise ValueError("须填写报送或更新的知识条目（article）")
        return self


class AttachOrder(Order):
    """A file's description; its bytes come beside it."""

    file_class: FileClass = FileClass.OTHER
    name: Line
    audience: Audience | None = Field(
        default=None, description="承办单位是否可见；缺省为可见，举报和保密工单缺省为仅平台可见"
    )
    recorded_at: Instant | None = Field(default=None, description="录音的通话时间")


class ConfidentialOrder(Order):
    """为来电人保密: the caller asks that units learn nothing of who they are (art. 15)."""

    reason: Prose


class HoldOrder(Order):
    """保全录音: suspend destruction of a recording, or lift the hold."""

    attachment: int = Field(ge=1, le=2**62)
    held: bool
    reason: Prose


class EmergencyOrder(Order):
    """Declare an emergency (art. 17): title, basis, area, end."""

    title: Line
    basis: Prose
    area: Annotated[str, StringConstraints(pattern=r"^[0-9]{6,12}$")]
    until: Instant


def instant(given: datetime | None, default: datetime) -> datetime:
    """`given`, or `default` where nothing was given."""
    return default if given is None else given


KeyPath = Annotated[int, Field(ge=1, le=2**62)]
