"""The shapes in which people and programs are shown a ticket and its parts."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel, Field

from workflow.vocabulary import (
    Act,
    AssignmentRole,
    AssignmentStatus,
    Audience,
    CallbackOutcome,
    Channel,
    ClockKind,
    Episode,
    FileClass,
    Mark,
    Matter,
    Party,
    ReviewElement,
    State,
)


class CallerView(BaseModel):
    """The caller, masked."""

    name: str | None
    phone: str | None
    has_address: bool
    has_id_number: bool
    confidential: bool


class ClockView(BaseModel):
    """One legal period: due, met, lapsed or voided. `working_days_left` counts from the viewer's day; None once it stopped."""

    id: int
    kind: ClockKind
    party: Party
    unit: str | None
    article: str
    duty: bool
    episode: Episode
    episode_no: int
    opened_at: datetime
    original_due_on: date
    due_on: date
    due_at: datetime
    provisional: bool
    extension_days: int
    met_at: datetime | None
    lapsed_at: datetime | None
    voided_at: datetime | None
    working_days_left: int | None


class PartView(BaseModel):
    """One unit's part."""

    unit: str
    unit_name: str
    role: AssignmentRole
    status: AssignmentStatus
    instruction: str | None
    dispatched_at: datetime
    signed_at: datetime | None
    signed_by: str | None
    answered_at: datetime | None
    reported_at: datetime | None


class ReplyView(BaseModel):
    """What a unit reported back, in which episode."""

    unit: str
    episode: Episode
    episode_no: int
    content: str
    handled_by: str
    reported_at: datetime


class ReviewView(BaseModel):
    """One review, element by element."""

    episode_no: int
    passed: bool
    elements: dict[ReviewElement, dict[str, Any]]
    note: str | None
    days: int | None
    reviewed_by: str
    reviewed_at: datetime


class CallbackView(BaseModel):
    """One callback attempt."""

    episode_no: int
    outcome: CallbackOutcome
    conclusive: bool
    solved: bool | None
    remark: str | None
    attempted_by: str
    attempted_at: datetime


class ExtensionView(BaseModel):
    """One extension: asked, decided, told."""

    unit: str
    reason: str
    explanation: str
    days_asked: int
    asked_at: datetime
    approved: bool | None
    days_granted: int | None
    decided_by: str | None
    decided_at: datetime | None
    decision_reason: str | None
    caller_told_at: datetime | None


class ReturnView(BaseModel):
    """One proposed return and what was decided."""

    unit: str
    grounds: str
    suggestion: str
    suggested_unit: str | None
    proposed_at: datetime
    upheld: bool | None
    decided_at: datetime | None
    decision_reason: str | None


class FileView(BaseModel):
    """One attachment; its bytes are at `/tickets/{number}/attachments/{id}`."""

    id: int
    file_class: FileClass
    audience: Audience
    name: str
    media_type: str
    size: int
    sha256: str
    added_by: str
    added_at: datetime
    retain_until: date | None
    held: bool
    destroyed_at: datetime | None


class TicketLine(BaseModel):
    """One line of a queue."""

    number: str
    state: State
    matter: Matter
    channel: Channel
    category: str
    area: str
    title: str
    received_at: datetime
    lead: str | None
    due_at: datetime | None
    due_kind: ClockKind | None
    overdue: bool
    version: int
    lead_code: str | None
    area_name: str = Field(examples=["湟中区多巴镇"])
    category_name: str = Field(examples=["室温不达标"])
    due_on: date | None
    working_days_left: int | None = Field(
        description="到期日之前的工作日数，按服务器的今天计；当日到期为 0，逾期为负"
    )
    marks: list[Mark] = Field(description="需要留意的")
    receiver: str | None = Field(description="首接人员")
    handler: str | None = Field(description="经办：牵头单位（承办单位看到的是本单位）的签收人")
    role: AssignmentRole | None = Field(description="本单位是牵头还是协办")
    part: AssignmentStatus | None = Field(description="本单位办理到哪里")


class ActResult(BaseModel):
    """A ticket right after an act: where it stands and what this actor may do next."""

    number: str
    spoken: str
    state: State
    version: int
    acts: list[Act]
    clocks: list[ClockView]


class TicketView(ActResult):
    """A ticket whole, but for its timeline."""

    matter: Matter
    channel: Channel
    category: str
    area: str
    title: str
    content: str
    received_at: datetime
    created_at: datetime
    first_receiver: str | None
    caller: CallerView
    complex: bool
    episode: Episode
    episode_no: int
    outcome: str | None
    knowledge_told: str | None
    merged_into: str | None
    merged: list[str]
    ended_at: datetime | None
    archived_at: datetime | None
    parts: list[PartView]
    replies: list[ReplyView]
    reviews: list[ReviewView]
    callbacks: list[CallbackView]
    extensions: list[ExtensionView]
    returns: list[ReturnView]
    attachments: list[FileView]


class ToldView(BaseModel):
    """告知情况: somebody was told of one entry of the timeline; by what means, with what result. Nothing of the caller."""

    kind: str = Field(description="事件类型", examples=["ticket.dispatched"])
    label: str = Field(examples=["派单"])
    means: str = Field(description="email、sms，或 system（对接系统）", examples=["sms"])
    means_label: str = Field(examples=["短信"])
    unit: str | None = Field(description="承办单位代码；空为热线平台")
    to: str = Field(description="联系人或系统的名称", examples=["值班室"])
    address: str | None = Field(description="脱敏的地址", examples=["139****0001"])
    content: str | None = Field(description="告知的内容；对接系统收到的是事件信封")
    state: str = Field(examples=["delivered"])
    state_label: str = Field(examples=["已送达"])
    at: datetime = Field(description="何时生成")
    settled_at: datetime | None = Field(description="何时有结果")
    attempts: int
    problem: str | None


class EntryView(BaseModel):
    """One entry of the timeline, from the ledger."""

    seq: int
    act: str
    actor: str
    actor_kind: str
    from_state: State | None
    to_state: State
    article: str | None
    effective_at: datetime
    recorded_at: datetime
    payload: dict[str, Any]
    has_original: bool
    hash: str
    told: list[ToldView] = Field(default=[], description="谁被告知、何时、结果如何")
