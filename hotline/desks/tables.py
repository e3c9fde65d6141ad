"""What the desks keep, as rows: calls and seats, likeness of texts, the dispatch catalogue, saved filters, drafts, citizens' links and words."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, long_text, ref, word
from workflow.vocabulary import Grade


class Call(SQLModel, table=True):
    """来电: one call as the telephony platform (话务平台) tells it. The caller's number is sealed, as a ticket's is.

    `call_key` is a keyed digest of the platform's own name of the call; `call_id` is that name with personal data in it hidden.
    """

    __tablename__ = "calls"
    id: int = key()
    platform_id: int = ref("platforms.id")
    call_key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    call_id: str = Field(max_length=100)
    line: str | None = Field(default=None, max_length=40)
    extension: str | None = Field(default=None, max_length=20)
    agent_id: int | None = ref("people.id", nullable=True)
    caller_phone: bytes | None = None
    phone_index: bytes | None = None
    recording: str | None = Field(default=None, max_length=200)
    ringing_at: datetime
    answered_at: datetime | None = None
    ended_at: datetime | None = None
    reported_at: datetime
    shown_at: datetime | None = None

    __table_args__ = (
        Index("ux_calls_key", "platform_id", "call_key", unique=True),
        Index("ix_calls_named", "platform_id", "call_id"),
        Index("ix_calls_agent", "agent_id", "ringing_at", postgresql_where=text("agent_id IS NOT NULL")),
        Index("ix_calls_phone", "phone_index", postgresql_where=text("phone_index IS NOT NULL")),
        Index("ix_calls_old", "ringing_at", postgresql_where=text("caller_phone IS NOT NULL")),
    )


class Seat(SQLModel, table=True):
    """座席: who sits at an extension (分机) of a platform now."""

    __tablename__ = "seats"
    platform_id: int = Field(sa_column=Column(BigInteger, ForeignKey("platforms.id"), primary_key=True))
    extension: str = Field(primary_key=True, max_length=20)
    person_id: int = ref("people.id", index=True)
    since: datetime


class Likeness(SQLModel, table=True):
    """The pairs of characters in a ticket's whole title and content, to search it and to find likely duplicates (疑似重复) by.

    Made of the masked text as it is kept: what is hidden there is not here either. Every ticket has its row, written in the
    transaction that makes it. `whole` is false where a server of before wrote it, for the ticker to write anew.
    """

    __tablename__ = "likeness"
    ticket_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("tickets.id"), primary_key=True, autoincrement=False)
    )
    platform_id: int
    received_at: datetime
    grams: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))
    whole: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=text("false"))
    )

    __table_args__ = (
        Index(
            "ix_likeness_grams",
            "grams",
            postgresql_using="gin",
            postgresql_with={"gin_pending_list_limit": 256},
        ),
        Index("ix_likeness_partial", "ticket_id", postgresql_where=text("NOT whole")),
    )


class CatalogueEntry(SQLModel, table=True):
    """派单目录: which unit answers for a category in an area, by which legal basis (权责清单). A version is never changed, only closed.

    `category_code` and `area_code` stand for everything below them, the longer ones first; `co_units` are keys of units.
    """

    __tablename__ = "dispatch_catalogue"
    id: int = key()
    platform_id: int = ref("platforms.id")
    category_code: str = Field(max_length=12)
    area_code: str = Field(max_length=12)
    unit_id: int = ref("units.id")
    co_units: list[int] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    basis: str = long_text()
    version: int = 1
    since: datetime
    changed_by: str = Field(max_length=100)
    until: datetime | None = None
    closed_by: str | None = Field(default=None, max_length=100)

    __table_args__ = (
        Index(
            "ux_dispatch_catalogue_current",
            "platform_id",
            "category_code",
            "area_code",
            unique=True,
            postgresql_where=text("until IS NULL"),
        ),
        Index("ix_dispatch_catalogue_history", "platform_id", "category_code", "area_code", "version"),
    )


class SavedFilter(SQLModel, table=True):
    """常用筛选: a person's own name for a list's filters."""

    __tablename__ = "saved_filters"
    id: int = key()
    person_id: int = ref("people.id", index=True)
    name: str = Field(max_length=40)
    query: dict[str, Any] = json_object()
    saved_at: datetime


class FormDraft(SQLModel, table=True):
    """表单草稿: a person's unfinished form, sealed, because it holds a caller's data."""

    __tablename__ = "form_drafts"
    id: int = key()
    person_id: int = ref("people.id")
    form: str = Field(max_length=80)
    sealed: bytes
    revision: int = 1
    saved_at: datetime
    expires_at: datetime = Field(index=True)

    __table_args__ = (Index("ux_form_drafts", "person_id", "form", unique=True),)


class CitizenLink(SQLModel, table=True):
    """查询链接: the token of a ticket's public page; only its SHA-256 is kept, the token is made anew from the key ring.

    A higher `serial` makes another token: the one before opens nothing any more.
    """

    __tablename__ = "citizen_links"
    ticket_id: int = Field(
        sa_column=Column(BigInteger, ForeignKey("tickets.id"), primary_key=True, autoincrement=False)
    )
    digest: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    serial: int = 1
    issued_at: datetime
    issued_by: str = Field(max_length=100)


class Evaluation(SQLModel, table=True):
    """好差评: what the citizen made of one round of handling, once."""

    __tablename__ = "evaluations"
    id: int = key()
    ticket_id: int = ref("tickets.id")
    episode_no: int
    grade: Grade = word(Grade)
    labels: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    remark: str | None = long_text(nullable=True)
    evaluated_at: datetime

    __table_args__ = (Index("ux_evaluations", "ticket_id", "episode_no", unique=True),)


class Appeal(SQLModel, table=True):
    """来电人异议: the citizen says of one round of handling that it did not solve the matter; `led_to_id` is the ticket it opened."""

    __tablename__ = "appeals"
    id: int = key()
    ticket_id: int = ref("tickets.id")
    episode_no: int
    reason: str = long_text()
    appealed_at: datetime
    led_to_id: int | None = ref("tickets.id", nullable=True)

    __table_args__ = (Index("ux_appeals", "ticket_id", "episode_no", unique=True),)
