"""通知 as rows: the contact book (通知联系人), every message with what became of it, and how far events have been looked at."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, long_text, ref, word
from workflow.vocabulary import Means, NoticeState


class Contact(SQLModel, table=True):
    """通知联系人: one address of a unit, or of a platform itself, and the kinds of events it is told (none: the usual ones).

    The address is sealed; `shown` is it masked. One that was removed has no address any more, and stays for the sake of what it was told.
    With `person_id` it is told only while that person is on the staff.
    """

    __tablename__ = "contacts"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    unit_id: int | None = ref("units.id", nullable=True, index=True)
    person_id: int | None = ref("people.id", nullable=True)
    label: str = Field(max_length=100)
    means: Means = word(Means)
    address: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    shown: str = Field(max_length=260)
    kinds: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    active: bool = True
    created_at: datetime
    changed_at: datetime
    changed_by: str = Field(max_length=100)
    removed_at: datetime | None = None


class Notification(SQLModel, table=True):
    """通知: one message to one contact about one event (None: a test). What it said is kept as it was said; nothing in it is the caller's.

    Whoever takes it to send moves `next_at` on by the lease and raises `claim`; None: nobody sends it any more. `round` counts how
    often a person had it sent anew. `tries` are its attempts, the newest last: `at`, `ms`, `status`, `problem`. No foreign key to the
    ticket: it would lock the row that every act on the ticket waits for.
    """

    __tablename__ = "notifications"
    id: int = key()
    contact_id: int = ref("contacts.id")
    event_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    kind: str = Field(max_length=60)
    ticket_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    ticket_seq: int | None = None
    platform_id: int = ref("platforms.id")
    unit_id: int | None = ref("units.id", nullable=True)
    means: Means = word(Means)
    recipient: str = Field(max_length=100)
    shown: str = Field(max_length=260)
    subject: str = Field(max_length=200)
    content: str = long_text()
    params: dict[str, Any] = json_object()
    urgent: bool = Field(default=False, sa_column=Column(Boolean, nullable=False))
    segments: int = 0
    state: NoticeState = word(NoticeState)
    tries: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    round: int = 1
    created_at: datetime
    give_up_at: datetime
    next_at: datetime | None = None
    claim: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    settled_at: datetime | None = None
    reported_at: datetime | None = None
    provider_id: str | None = Field(default=None, max_length=100)
    problem: str | None = Field(default=None, max_length=200)
    retried_by: str | None = Field(default=None, max_length=100)

    __table_args__ = (
        Index(
            "ux_notifications_event",
            "event_id",
            "contact_id",
            unique=True,
            postgresql_where=text("event_id IS NOT NULL"),
        ),
        Index("ix_notifications_next", "means", "next_at", postgresql_where=text("next_at IS NOT NULL")),
        Index("ix_notifications_ticket", "ticket_id", postgresql_where=text("ticket_id IS NOT NULL")),
        Index("ix_notifications_platform", "platform_id", "state", "id"),
        Index("ix_notifications_unit", "unit_id", "id", postgresql_where=text("unit_id IS NOT NULL")),
        Index("ix_notifications_contact", "contact_id", "id"),
    )


class NotifiedUpTo(SQLModel, table=True):
    """One row: events at or before `position` of the feed have been looked at for whom to tell."""

    __tablename__ = "notified_up_to"
    id: int = Field(
        default=1, sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False)
    )
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
