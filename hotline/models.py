"""What durably happened, as rows. History is rows: nothing legal is overwritten.

Instants are aware and stored as UTC. Input models are elsewhere: a table model validates nothing. Personal fields of the caller
are sealed bytes (`hotline.privacy.sealing`). Platforms, units and people are in `hotline.organisation`, whose tables these refer to.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Date, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import Record, json_object, key, long_text, ref, word
from workflow.vocabulary import (
    AssignmentRole,
    AssignmentStatus,
    Audience,
    CallbackOutcome,
    Channel,
    ClockKind,
    Episode,
    FileClass,
    Flag,
    KnowledgeOutcome,
    Matter,
    Party,
    ReminderForm,
    State,
)

# --- the ticket and its parts --------------------------------------------------------------------------------------


class Ticket(Record, table=True):
    """工单: one demand and where it stands. Its history is in the ledger; its periods are in the clocks."""

    __tablename__ = "tickets"
    id: int = key()
    number: str = Field(unique=True, max_length=16)
    platform_id: int = ref("platforms.id")
    state: State = word(State)
    version: int = 1
    matter: Matter = word(Matter)
    channel: Channel = word(Channel)
    category_code: str = Field(max_length=12)
    area_code: str = Field(max_length=12)
    title: str = long_text()
    content: str = long_text()
    received_at: datetime
    created_at: datetime
    first_receiver_id: int | None = ref("people.id", nullable=True)
    caller_name: bytes | None = None
    caller_phone: bytes | None = None
    caller_address: bytes | None = None
    caller_id_number: bytes | None = None
    phone_index: bytes | None = None
    confidential: bool = False
    complex: bool = False
    call_id: str | None = Field(default=None, max_length=100)
    external_ref: str | None = Field(default=None, max_length=100)
    episode: Episode = word(Episode)
    episode_no: int = 0
    upheld_returns: int = 0
    knowledge_told: str | None = Field(default=None, max_length=100)
    outcome: str | None = long_text(nullable=True)
    merged_into_id: int | None = ref("tickets.id", nullable=True)
    emergency_id: int | None = ref("emergencies.id", nullable=True)
    ended_at: datetime | None = None
    archived_at: datetime | None = None
    ledger_seq: int = 0
    ledger_head: bytes = b""

    __table_args__ = (
        Index("ix_tickets_queue", "platform_id", "state", "id"),
        Index("ix_tickets_received", "platform_id", "received_at"),
        Index("ix_tickets_category", "platform_id", "category_code", "received_at"),
        Index("ix_tickets_receiver", "first_receiver_id", "id", postgresql_where=text("archived_at IS NULL")),
        Index("ix_tickets_phone", "phone_index", postgresql_where=text("phone_index IS NOT NULL")),
        Index("ix_tickets_merged", "merged_into_id", postgresql_where=text("merged_into_id IS NOT NULL")),
        Index(
            "ux_tickets_call",
            "platform_id",
            "call_id",
            unique=True,
            postgresql_where=text("call_id IS NOT NULL"),
        ),
    )


class Assignment(Record, table=True):
    """One unit's part in one ticket. `answered_at` and `reported_at` are of the current episode; `replies` keeps all."""

    __tablename__ = "assignments"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    unit_id: int = ref("units.id")
    role: AssignmentRole = word(AssignmentRole)
    status: AssignmentStatus = word(AssignmentStatus)
    instruction: str | None = long_text(nullable=True)
    legal_basis: str | None = long_text(nullable=True)
    dispatched_at: datetime
    dispatched_by: int | None = ref("people.id", nullable=True)
    signed_at: datetime | None = None
    signed_by: str | None = Field(default=None, max_length=100)
    answered_at: datetime | None = None
    reported_at: datetime | None = None
    ended_at: datetime | None = None

    __table_args__ = (
        Index("ix_assignments_unit", "unit_id", "ticket_id"),
        Index(
            "ix_assignments_open",
            "unit_id",
            "ticket_id",
            postgresql_where=text("status IN ('open', 'return_proposed')"),
        ),
    )


class Clock(Record, table=True):
    """时限: one legal period against one party. Exactly one of met, voided or neither; `lapsed_at` equals the due instant.

    `original_due_*` is what was due when the clock opened; `clock_moves` says how it became `due_*`.
    """

    __tablename__ = "clocks"
    id: int = key()
    ticket_id: int = ref("tickets.id")
    assignment_id: int | None = ref("assignments.id", nullable=True)
    platform_id: int = ref("platforms.id")
    unit_id: int | None = ref("units.id", nullable=True)
    kind: ClockKind = word(ClockKind)
    party: Party = word(Party)
    duty: bool = True
    episode: Episode = word(Episode)
    episode_no: int = 0
    limit_id: str = Field(max_length=60)
    law_on: date = Field(sa_column=Column(Date, nullable=False))
    statute: str = Field(max_length=120)
    article: str = Field(max_length=20)
    length: int
    opened_by: str = Field(max_length=40)
    opened_at: datetime
    original_due_on: date = Field(sa_column=Column(Date, nullable=False))
    original_due_at: datetime
    due_on: date = Field(sa_column=Column(Date, nullable=False))
    due_at: datetime
    provisional: bool = False
    calendar_version: int = 0
    extension_days: int = 0
    rung: int = 0
    next_rung_at: datetime | None = None
    warned_at: datetime | None = None
    met_at: datetime | None = None
    lapsed_at: datetime | None = None
    voided_at: datetime | None = None
    voided_by: str | None = Field(default=None, max_length=40)

    __table_args__ = (
        Index(
            "ix_clocks_sweep",
            "due_at",
            "id",
            postgresql_where=text("met_at IS NULL AND lapsed_at IS NULL AND voided_at IS NULL"),
        ),
        Index(
            "ix_clocks_rung",
            "next_rung_at",
            postgresql_where=text("next_rung_at IS NOT NULL AND met_at IS NULL AND voided_at IS NULL"),
        ),
        Index(
            "ix_clocks_warning",
            "due_at",
            postgresql_where=text(
                "duty AND warned_at IS NULL AND met_at IS NULL AND lapsed_at IS NULL AND voided_at IS NULL"
            ),
        ),
        Index("ix_clocks_ticket", "ticket_id"),
        Index(
            "ix_clocks_unit_due",
            "unit_id",
            "due_at",
            postgresql_where=text("met_at IS NULL AND voided_at IS NULL"),
        ),
        Index(
            "ix_clocks_platform_due",
            "platform_id",
            "due_at",
            postgresql_where=text("met_at IS NULL AND voided_at IS NULL"),
        ),
        Index(
            "ix_clocks_provisional",
            "id",
            postgresql_where=text(
                "provisional AND met_at IS NULL AND lapsed_at IS NULL AND voided_at IS NULL"
            ),
        ),
    )


class ClockMove(SQLModel, table=True):
    """A due date superseded: by a conversion, an extension, or a calendar loaded later. «Due as then known» is `from_due_*`."""

    __tablename__ = "clock_moves"
    id: int = key()
    clock_id: int = ref("clocks.id", index=True)
    moved_at: datetime
    reason: str = Field(max_length=40)
    days: int = 0
    from_due_on: date = Field(sa_column=Column(Date, nullable=False))
    from_due_at: datetime
    to_due_on: date = Field(sa_column=Column(Date, nullable=False))
    to_due_at: datetime
    calendar_version: int = 0
    annulled_lapse: bool = False


class ReturnProposal(SQLModel, table=True):
    """退单: grounds (依据) and whom to send it to instead (改派意见), and what was decided."""

    __tablename__ = "return_proposals"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    assignment_id: int = ref("assignments.id")
    grounds: str = long_text()
    suggested_unit_id: int | None = ref("units.id", nullable=True)
    suggestion: str = long_text()
    proposed_at: datetime
    upheld: bool | None = None
    decided_at: datetime | None = None
    decision_reason: str | None = long_text(nullable=True)

    __table_args__ = (
        Index("ix_return_proposals_pending", "ticket_id", postgresql_where=text("upheld IS NULL")),
    )


class Extension(SQLModel, table=True):
    """延期: asked with a statutory reason and an explanation, decided, and told to the caller (art. 14(5))."""

    __tablename__ = "extensions"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    assignment_id: int = ref("assignments.id")
    clock_id: int = ref("clocks.id")
    reason: str = Field(max_length=40)
    explanation: str = long_text()
    days_asked: int
    asked_by: str = Field(max_length=100)
    asked_at: datetime
    approved: bool | None = None
    days_granted: int | None = None
    decided_by: str | None = Field(default=None, max_length=100)
    decided_at: datetime | None = None
    decision_reason: str | None = long_text(nullable=True)
    caller_told_at: datetime | None = None

    __table_args__ = (
        Index("ux_extensions_pending", "clock_id", unique=True, postgresql_where=text("approved IS NULL")),
        Index(
            "ix_extensions_to_tell",
            "ticket_id",
            postgresql_where=text("approved IS TRUE AND caller_told_at IS NULL"),
        ),
    )


class Reply(Record, table=True):
    """反馈: what a unit reported back, and when it had answered the citizen (two instants, art. 14(4))."""

    __tablename__ = "replies"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    assignment_id: int = ref("assignments.id")
    episode: Episode = word(Episode)
    episode_no: int
    content: str = long_text()
    handled_by: str = Field(max_length=100)
    reported_at: datetime


class Review(SQLModel, table=True):
    """答复认定: the four elements checked one by one (art. 14(6))."""

    __tablename__ = "reviews"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    episode: Episode = word(Episode)
    episode_no: int
    passed: bool
    elements: dict[str, Any] = json_object()
    note: str | None = long_text(nullable=True)
    days: int | None = None
    reviewed_by: str = Field(max_length=100)
    reviewed_at: datetime


class CallbackAttempt(SQLModel, table=True):
    """回访: one attempt. «Solved?» and «satisfied?» are two questions (art. 14(7))."""

    __tablename__ = "callback_attempts"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    episode_no: int
    outcome: CallbackOutcome = word(CallbackOutcome)
    conclusive: bool
    solved: bool | None = None
    remark: str | None = long_text(nullable=True)
    attempted_by: str = Field(max_length=100)
    attempted_at: datetime


class KnowledgeUpdate(SQLModel, table=True):
    """How a unit met art. 23 on one ticket: an article submitted or updated, or no change with a reason."""

    __tablename__ = "knowledge_updates"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    unit_id: int = ref("units.id")
    outcome: KnowledgeOutcome = word(KnowledgeOutcome)
    article_ref: str | None = Field(default=None, max_length=100)
    reason: str | None = long_text(nullable=True)
    at: datetime


class Attachment(SQLModel, table=True):
    """A file under its class, art. 14(9). The bytes lie in the blob store under their SHA-256.

    `unit_id` is the unit that added it, None for the platform; `audience` says whether units may open it at all.
    """

    __tablename__ = "attachments"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    unit_id: int | None = ref("units.id", nullable=True)
    audience: Audience = word(Audience)
    file_class: FileClass = word(FileClass)
    name: str = long_text()
    media_type: str = Field(max_length=100)
    size: int
    sha256: str = Field(max_length=64, index=True)
    added_by: str = Field(max_length=100)
    added_at: datetime
    recorded_at: datetime | None = None
    retain_until: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    held: bool = False
    destroyed_at: datetime | None = None


class UnitFlag(SQLModel, table=True):
    """A mark on an assignment for conduct that art. 14(8) names."""

    __tablename__ = "flags"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    assignment_id: int = ref("assignments.id")
    unit_id: int = ref("units.id", index=True)
    flag: Flag = word(Flag)
    explanation: str = long_text()
    flagged_by: str = Field(max_length=100)
    flagged_at: datetime
    notice_id: int | None = ref("accountability_notices.id", nullable=True)


class AccountabilityNotice(SQLModel, table=True):
    """通报: what repeated flags become, and the unit's answer to it (art. 34, 35)."""

    __tablename__ = "accountability_notices"
    id: int = key()
    platform_id: int = ref("platforms.id")
    unit_id: int = ref("units.id", index=True)
    issued_at: datetime
    content: str = long_text()
    answer: str | None = long_text(nullable=True)
    answered_by: str | None = Field(default=None, max_length=100)
    answered_at: datetime | None = None


class Reminder(SQLModel, table=True):
    """督办提醒: one notice to one unit or platform in one form, covering any number of clocks (art. 14(8))."""

    __tablename__ = "reminders"
    id: int = key()
    platform_id: int = ref("platforms.id")
    unit_id: int | None = ref("units.id", nullable=True, index=True)
    ticket_id: int | None = ref("tickets.id", nullable=True, index=True)
    form: ReminderForm = word(ReminderForm)
    rung: int = 0
    content: str = long_text()
    clocks: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    sent_by: str = Field(max_length=100)
    created_at: datetime


# --- what is kept for ever, and what goes out -----------------------------------------------------------------------


class LedgerEntry(SQLModel, table=True):
    """台账: one fact of one ticket's history, hash-chained to the one before it.

    `effective_at` is when it took effect in law (a lapse: its due instant), `recorded_at` when it was written.
    """

    __tablename__ = "ledger"
    ticket_id: int = Field(sa_column=Column(BigInteger, ForeignKey("tickets.id"), primary_key=True))
    seq: int = Field(primary_key=True)
    version: int
    act: str = Field(max_length=40)
    actor_kind: str = Field(max_length=20)
    actor_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    actor_name: str = Field(max_length=100)
    from_state: str | None = Field(default=None, max_length=40)
    to_state: str = Field(max_length=40)
    article: str | None = Field(default=None, max_length=20)
    effective_at: datetime
    recorded_at: datetime
    payload: dict[str, Any] = json_object()
    prev_hash: bytes
    hash: bytes

    __table_args__ = (
        Index(
            "ix_ledger_recorded",
            "recorded_at",
            postgresql_using="brin",
            postgresql_with={"autosummarize": True},
        ),
        {"postgresql_partition_by": "RANGE (ticket_id)"},
    )


class OutboxEvent(SQLModel, table=True):
    """A past-tense fact for subscribers, written with the act it speaks of; delivery is another matter.

    `position` is where it stands in the feed, given once it is committed (`hotline.exchange.feed`). `echo` marks a unit's copy of a fact
    about the ticket as a whole, which the platform has in a row of its own.
    """

    __tablename__ = "outbox"
    id: int = key()
    ticket_id: int | None = ref("tickets.id", nullable=True, index=True)
    ticket_seq: int | None = None
    type: str = Field(max_length=60)
    platform_id: int
    unit_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    data: dict[str, Any] = json_object()
    occurred_at: datetime
    echo: bool = Field(default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false")))
    position: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))

    __table_args__ = (
        Index("ix_outbox_unsorted", "id", postgresql_where=text("position IS NULL")),
        Index("ix_outbox_position", "position"),
        Index("ix_outbox_unit", "unit_id", "position"),
        Index("ix_outbox_platform", "platform_id", "position", postgresql_where=text("NOT echo")),
        {"postgresql_partition_by": "RANGE (id)"},
    )


class RequestKey(SQLModel, table=True):
    """An Idempotency-Key with the response it earned, kept in the same transaction as the act."""

    __tablename__ = "request_keys"
    actor: str = Field(primary_key=True, max_length=60)
    key: str = Field(primary_key=True, max_length=255)
    request_digest: bytes
    status: int | None = None
    body: str | None = long_text(nullable=True)
    etag: str | None = Field(default=None, max_length=40)
    created_at: datetime = Field(index=True)
