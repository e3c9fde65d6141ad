"""The shapes in which people and programs are shown a ticket and its parts."""

from datetime import date, datetime
from typing import Any

from pydantic import BaseModel

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
