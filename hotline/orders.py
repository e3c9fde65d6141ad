"""What people hand in with each act. Validated here, by its fields (`hotline.fields`); a table model validates nothing."""

from typing import Annotated, Literal, Self

from pydantic import (
    Field,
    StringConstraints,
    model_validator,
)

from hotline.fields import (
    Code,
    Demanded,
    IdNumber,
    Instant,
    Line,
    Number,
    Order,
    Phone,
    Prose,
    Reference,
    Whole,
    pick,
)
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


class Caller(Order):
    """来电人. Sealed at rest; never in the ledger, the outbox or a log."""

    name: Line | None = Field(title="姓名", default=None, examples=["测试甲"])
    phone: Phone | None = Field(title="电话", default=None, examples=["13900000001"])
    address: Line | None = Field(default=None, title="住址")
    id_number: IdNumber | None = Field(title="身份证号", default=None, description="身份证号，18 位")
    confidential: bool = Field(title="要求保密", default=False, description="来电人要求保密")


class Demand(Order):
    """诉求: what the citizen asked for, in full."""

    channel: Channel = Field(default=Channel.PHONE, title="渠道")
    matter: Matter = Field(title="诉求类型", examples=["inquiry"])
    category: Code = Field(
        title="诉求分类",
        json_schema_extra=pick("category"),
        description="诉求分类代码（第三级）",
        examples=["010101"],
    )
    area: Annotated[str, StringConstraints(pattern=r"^[0-9]{6,12}$")] = Field(
        title="所在地区", json_schema_extra=pick("area"), examples=["630104"]
    )
    title: Line = Field(title="标题", examples=["暖气不热，室温只有14度"])
    content: Demanded = Field(
        title="诉求内容", examples=["来电人反映家中暖气自供暖以来一直不热，室温只有14度，请求尽快处理。"]
    )
    caller: Caller = Field(default=Caller(), title="来电人")
    received_at: Instant | None = Field(
        title="接通或提交时间", default=None, description="接通或提交的时间；缺省为登记时间"
    )
    call_id: Reference | None = Field(
        title="通话标识", default=None, description="话务平台的通话标识；同一通话只登记一次，除非注明是另一件"
    )
    another: bool = Field(
        title="同一通话的另一件诉求",
        default=False,
        description="这次通话已登记过工单、来电人另有一件诉求时为 true；否则重复登记同一通话得到 409",
    )
    external_ref: Reference | None = Field(title="其他平台编号", default=None, description="其他平台的编号")


class RegisterOrder(Order):
    """Register a demand without deciding on it yet (web, WeChat, app): it waits for a decision (待认定)."""


class AcceptOrder(Order):
    """受理."""


class RefuseOrder(Order):
    """不予受理: one of the seven grounds, an explanation given to the caller, and where to go instead (art. 11, 12)."""

    ground: Code = Field(
        title="不予受理情形",
        json_schema_extra=pick("refusal_ground"),
        description="第十一条的情形，1—7",
        examples=["3"],
    )
    explanation: Prose = Field(title="向来电人说明的理由", description="向来电人说明的理由")
    guidance: Prose = Field(title="引导", description="引导：反映渠道或解决建议")


class AnswerOrder(Order):
    """即时答复: answered from the knowledge base while the caller is on the line (art. 14(2))."""

    answer: Prose = Field(title="答复内容")
    knowledge_version: Line | None = Field(
        title="依据的知识条目",
        json_schema_extra=pick("article"),
        default=None,
        description="所依据的知识条目版本，如 12@3",
    )


class TransferOrder(Order):
    """转接: put through to an emergency line, an expert seat or a unit (art. 12, 13(4), 39)."""

    target: TransferTarget = Field(title="转接到")
    target_name: Line | None = Field(
        title="转接的单位或热线名称", default=None, description="转接的单位或热线名称"
    )
    explanation: Prose = Field(title="说明")

    @model_validator(mode="after")
    def _names_the_target(self) -> Self:
        if self.target in (TransferTarget.UNIT, TransferTarget.OTHER_HOTLINE) and self.target_name is None:
            raise ValueError("转接到单位或其他热线时须写明名称（target_name）")
        return self


class ReportUpOrder(Order):
    """上报: the first receiver cannot decide (art. 12), or the ticket crosses levels or departments (art. 14(3))."""

    reason: Prose = Field(title="上报理由")


class DecideOrder(Order):
    """认定: what the superior decides on a ticket reported up."""

    outcome: Literal["accept", "refuse", "transfer"] = Field(title="认定结果")
    reason: Prose = Field(title="理由")
    refuse: RefuseOrder | None = Field(default=None, title="不予受理")
    transfer: TransferOrder | None = Field(default=None, title="转接")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.outcome == "refuse" and self.refuse is None:
            raise ValueError("认定为不予受理时须填写 refuse（情形、说明、引导）")
        if self.outcome == "transfer" and self.transfer is None:
            raise ValueError("认定为转接时须填写 transfer")
        return self


class DispatchOrder(Order):
    """派单: one lead unit, any number of co-units (art. 14(3)); under a declared emergency levels may be skipped (art. 17)."""

    lead: Code = Field(
        title="牵头单位", json_schema_extra=pick("unit"), description="牵头单位代码", examples=["XN-RSJ"]
    )
    co_units: tuple[Code, ...] = Field(
        title="协办单位",
        json_schema_extra=pick("unit"),
        default=(),
        max_length=50,
        description="协办单位代码",
    )
    instruction: Prose | None = Field(title="办理要求", default=None, description="办理要求")
    legal_basis: Prose | None = Field(title="派单依据", default=None, description="派单依据")
    complex: bool = Field(
        title="按复杂事项派单（5个工作日）",
        default=False,
        description="咨询、求助类按复杂事项（5个工作日）派单",
    )
    emergency: Whole | None = Field(
        title="应急事件编号", default=None, ge=1, le=2**62, description="已宣布的应急事件编号，越级派单时必填"
    )

    @model_validator(mode="after")
    def _each_unit_once(self) -> Self:
        if len({self.lead, *self.co_units}) != 1 + len(self.co_units):
            raise ValueError("同一单位只能出现一次")
        return self


class DesignateOrder(DispatchOrder):
    """指定牵头 (art. 18). `days` is the redo's length where the ticket comes from an upheld dissatisfaction."""

    basis: Prose = Field(title="依据的职能和权责清单", description="依据的职能和权责清单")
    days: Whole | None = Field(
        title="重新办理的工作日数", default=None, ge=1, le=10, description="重新办理的工作日数，仅用于重办"
    )


class CoordinateOrder(Order):
    """协调: what is to be settled and with whom (art. 18)."""

    note: Prose = Field(title="协调事项")
    participants: tuple[Line, ...] = Field(title="参加单位", default=(), max_length=50)


class SignOrder(Order):
    """签收."""

    signed_by: Line | None = Field(title="经办人", default=None, description="经办人，缺省为当前用户")


class ReturnOrder(Order):
    """申请退单: the grounds and whom to send it to instead, both required (art. 14(4))."""

    grounds: Prose = Field(title="退单依据", description="不属于本单位职责的依据")
    suggestion: Prose = Field(title="改派意见", description="改派意见")
    suggested_unit: Code | None = Field(
        title="建议改派的单位", json_schema_extra=pick("unit"), default=None, description="建议改派的单位代码"
    )


class ReturnDecision(Order):
    """同意或驳回退单. `unit` names the unit where more than one has proposed a return."""

    reason: Prose = Field(title="理由")
    unit: Code | None = Field(default=None, title="单位", json_schema_extra=pick("part"))


class ConvertOrder(Order):
    """转为复杂事项, with its reason (art. 14(4))."""

    reason: Prose = Field(title="理由")


class ExtensionOrder(Order):
    """申请延期: a statutory reason, an explanation, and how many working days (art. 14(5))."""

    reason: Code = Field(
        title="法定事由",
        json_schema_extra=pick("extension_reason"),
        description="法定事由",
        examples=["complex"],
    )
    explanation: Prose = Field(title="说明")
    days: Whole = Field(title="延长的工作日数", ge=1, le=1000, description="工作日")


class ExtensionApproval(Order):
    """批准延期, for as many working days as asked or fewer."""

    days: Whole | None = Field(title="批准的工作日数", default=None, ge=1, le=1000)
    reason: Prose | None = Field(default=None, title="理由")
    unit: Code | None = Field(default=None, title="单位", json_schema_extra=pick("part"))


class ExtensionRefusal(Order):
    """驳回延期."""

    reason: Prose = Field(title="理由")
    unit: Code | None = Field(default=None, title="单位", json_schema_extra=pick("part"))


class ExtensionNotice(Order):
    """告知延期: the caller was told the reason, or could not be (art. 14(5))."""

    reached: bool = Field(title="已联系上来电人")
    remark: Prose = Field(title="告知情况")
    unit: Code | None = Field(default=None, title="单位", json_schema_extra=pick("part"))


class ProgressOrder(Order):
    """反馈进展: an interim word from the unit; it meets no clock."""

    content: Prose = Field(title="进展情况")


class AnswerCitizenOrder(Order):
    """答复来电人: the unit has answered the citizen at `answered_at` (aware; now unless given)."""

    answered_at: Instant | None = Field(default=None, title="答复来电人的时间")
    remark: Prose | None = Field(default=None, title="答复情况")


class ReplyOrder(Order):
    """反馈办理结果. The reply clock is met once the citizen is answered *and* the result reported, at the later of the two."""

    content: Prose = Field(title="办理结果")
    citizen_answered_at: Instant | None = Field(
        title="答复来电人的时间", default=None, description="答复来电人的时间；尚未答复则留空，稍后补报"
    )
    handled_by: Line | None = Field(title="经办人", default=None, description="经办人，缺省为当前用户")


class ReleaseOrder(Order):
    """免除协办."""

    unit: Code = Field(title="免除的协办单位", json_schema_extra=pick("part"))
    reason: Prose = Field(title="理由")


class ReviewPassOrder(Order):
    """认定通过: each of the four elements checked (art. 14(6))."""

    elements: dict[ReviewElement, Literal[True]] = Field(title="逐项认定")
    note: Prose | None = Field(default=None, title="备注")

    @model_validator(mode="after")
    def _all_checked(self) -> Self:
        missing = [e.label for e in ReviewElement if e not in self.elements]
        if missing:
            raise ValueError("须逐项认定：" + "、".join(missing))
        return self


class SendBackOrder(Order):
    """责成补办: which elements fail and why, and within how many working days, at most 3 (art. 14(6))."""

    findings: dict[ReviewElement, Prose] = Field(title="不符合的要素及说明", min_length=1)
    days: Whole = Field(title="补办的工作日数", ge=1, le=1000)
    note: Prose | None = Field(default=None, title="备注")


class CallbackOrder(Order):
    """回访: one attempt. Where the caller was reached, «solved?» is asked beside «satisfied?» (art. 14(7))."""

    outcome: CallbackOutcome = Field(title="回访结果")
    solved: bool | None = Field(default=None, title="问题是否解决")
    remark: Prose | None = Field(default=None, title="来电人的意见")

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

    reason: Prose = Field(title="理由")
    days: Whole = Field(title="重办的工作日数", ge=1, le=1000)


class ReasonOrder(Order):
    """An act that needs nothing but its reason."""

    reason: Prose = Field(title="理由")


class ArchiveOrder(Order):
    """归档. A ticket that was coordinated files its material, or says why there is none (art. 14(9))."""

    note: Prose | None = Field(default=None, title="备注")
    no_material_reason: Prose | None = Field(default=None, title="没有协调材料的原因")


class MergeOrder(Order):
    """并单: into the main ticket, which carries the demand from now on."""

    into: Number = Field(title="并入的工单", json_schema_extra=pick("ticket"))
    reason: Prose = Field(title="理由")


class HandOverOrder(Order):
    """移交首接: another person becomes the first receiver, with a reason (art. 14(1))."""

    to: Code = Field(title="接手人", json_schema_extra=pick("agent"), description="接手人的登录名")
    reason: Prose = Field(title="理由")


class RemindOrder(Order):
    """督办提醒 by a person; it moves no date (art. 14(8))."""

    form: ReminderForm = Field(title="督办方式")
    content: Prose = Field(title="督办内容")
    unit: Code | None = Field(default=None, title="被督办的单位", json_schema_extra=pick("part"))


class FlagOrder(Order):
    """标记问题 on a unit's part (art. 14(8))."""

    flag: Flag = Field(title="问题")
    explanation: Prose = Field(title="说明")
    unit: Code | None = Field(default=None, title="单位", json_schema_extra=pick("part"))


class KnowledgeOrder(Order):
    """完善知识库: an article submitted or updated and tied to the ticket, or no change with a reason (art. 23)."""

    outcome: KnowledgeOutcome = Field(title="知识更新情况")
    article: Line | None = Field(
        title="知识条目", json_schema_extra=pick("article"), default=None, description="知识条目版本，如 12@3"
    )
    reason: Prose | None = Field(default=None, title="无需更新的理由")

    @model_validator(mode="after")
    def _tied_or_reasoned(self) -> Self:
        if self.outcome is KnowledgeOutcome.NO_CHANGE and self.reason is None:
            raise ValueError("无需更新须说明理由（reason）")
        if self.outcome is not KnowledgeOutcome.NO_CHANGE and self.article is None:
            raise ValueError("须填写报送或更新的知识条目（article）")
        return self


class AttachOrder(Order):
    """A file's description; its bytes come beside it."""

    file_class: FileClass = Field(default=FileClass.OTHER, title="文件类别")
    name: Line = Field(title="文件名")
    audience: Audience | None = Field(
        title="可见范围",
        default=None,
        description="承办单位是否可见；缺省为可见，举报和保密工单缺省为仅平台可见",
    )
    recorded_at: Instant | None = Field(title="通话时间", default=None, description="录音的通话时间")


class ConfidentialOrder(Order):
    """为来电人保密: the caller asks that units learn nothing of who they are (art. 15)."""

    reason: Prose = Field(title="理由")


class HoldOrder(Order):
    """保全录音: suspend destruction of a recording, or lift the hold."""

    attachment: Whole = Field(title="录音", json_schema_extra=pick("recording"), ge=1, le=2**62)
    held: bool = Field(title="保全")
    reason: Prose = Field(title="理由")


class EmergencyOrder(Order):
    """Declare an emergency (art. 17): title, basis, area, end."""

    title: Line = Field(title="名称")
    basis: Prose = Field(title="依据")
    area: Annotated[str, StringConstraints(pattern=r"^[0-9]{6,12}$")] = Field(
        title="地区", json_schema_extra=pick("area")
    )
    until: Instant = Field(title="截止时间")
