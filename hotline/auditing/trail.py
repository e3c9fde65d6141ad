"""事前审批、事中留痕、事后可追溯, as rows: the audit trail, alerts, unsealings, originals, exports."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Date, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, long_text, ref, word
from workflow.vocabulary import AlertKind, AuditKind, ExportState, PersonalField, Purpose


class AuditEntry(SQLModel, table=True):
    """审计记录: one sign-in, refusal, look-up or export, hash-chained per platform and day (Asia/Shanghai).

    The first of a day is chained to the last of the day before. `platform_id` 0 is for what belongs to no platform.
    """

    __tablename__ = "audit"
    platform_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    day: date = Field(sa_column=Column(Date, primary_key=True))
    seq: int = Field(primary_key=True)
    at: datetime
    kind: AuditKind = word(AuditKind)
    actor_kind: str = Field(max_length=20)
    actor_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    actor_name: str = Field(max_length=100)
    unit_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    address: str | None = Field(default=None, max_length=60)
    ticket_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    what: dict[str, Any] = json_object()
    prev_hash: bytes
    hash: bytes

    __table_args__ = (
        Index("ix_audit_ticket", "ticket_id", postgresql_where=text("ticket_id IS NOT NULL")),
        Index("ix_audit_actor", "actor_kind", "actor_id", "at"),
        Index("ix_audit_day", "day", "platform_id", "seq"),
        {"postgresql_partition_by": "RANGE (day)"},
    )


class AuditHead(SQLModel, table=True):
    """Where a platform's chain stands: its newest day, how many entries that day has, the newest hash."""

    __tablename__ = "audit_heads"
    platform_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    day: date = Field(sa_column=Column(Date, nullable=False))
    seq: int
    head: bytes


class AuditDay(SQLModel, table=True):
    """日头: how one platform's chain stood at the end of a day, and a digest of what its tickets' ledgers recorded that day, signed.

    `seq` is how many entries the day has, `head` the newest hash then. Whoever rewrites a chain cannot sign it again.
    """

    __tablename__ = "audit_days"
    platform_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    day: date = Field(sa_column=Column(Date, primary_key=True))
    seq: int
    head: bytes
    ledger_entries: int
    ledger_digest: bytes
    public_key: bytes
    signature: bytes
    signed_at: datetime


class AuditAlert(SQLModel, table=True):
    """预警: an unusual look-up, for the auditor to see and to settle."""

    __tablename__ = "audit_alerts"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    kind: AlertKind = word(AlertKind)
    actor_kind: str = Field(max_length=20)
    actor_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    actor_name: str = Field(max_length=100)
    ticket_id: int | None = ref("tickets.id", nullable=True)
    what: dict[str, Any] = json_object()
    raised_at: datetime
    handled_by: str | None = Field(default=None, max_length=100)
    handled_at: datetime | None = None
    conclusion: str | None = long_text(nullable=True)

    __table_args__ = (
        Index("ix_audit_alerts_open", "platform_id", "id", postgresql_where=text("handled_at IS NULL")),
    )


class Unsealing(SQLModel, table=True):
    """解封查看: somebody opened one sealed field of one ticket, for a purpose, until `expires_at` (art. 15).

    One that stands in an approved export names it (`export_id`), and opens nothing on the screen.
    """

    __tablename__ = "unsealings"
    id: int = key()
    ticket_id: int = ref("tickets.id", index=True)
    field: PersonalField = word(PersonalField)
    entry_seq: int | None = None
    actor: str = Field(max_length=60)
    actor_name: str = Field(max_length=100)
    purpose: Purpose = word(Purpose)
    explanation: str | None = long_text(nullable=True)
    opened_at: datetime
    expires_at: datetime
    export_id: int | None = ref("exports.id", nullable=True)

    __table_args__ = (Index("ix_unsealings_actor", "actor", "opened_at"),)


class Original(SQLModel, table=True):
    """原文: what was really typed in one ledger entry's act, sealed, where personal data was masked in what is kept in clear."""

    __tablename__ = "originals"
    ticket_id: int = Field(sa_column=Column(BigInteger, ForeignKey("tickets.id"), primary_key=True))
    seq: int = Field(primary_key=True)
    sealed: bytes


class ExportRequest(SQLModel, table=True):
    """导出申请: asked with purpose and scope, decided by another person, downloaded until it expires, then destroyed."""

    __tablename__ = "exports"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    unit_id: int | None = ref("units.id", nullable=True)
    asked_by: str = Field(max_length=60)
    asked_by_name: str = Field(max_length=100)
    asked_at: datetime
    purpose: Purpose = word(Purpose)
    explanation: str = long_text()
    filters: dict[str, Any] = json_object()
    unmasked: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    file_format: str = Field(max_length=10)
    state: ExportState = word(ExportState)
    decided_by: str | None = Field(default=None, max_length=60)
    decided_by_name: str | None = Field(default=None, max_length=100)
    decided_at: datetime | None = None
    decision_reason: str | None = long_text(nullable=True)
    expires_at: datetime | None = None
    rows: int | None = None
    sha256: str | None = Field(default=None, max_length=64)
    opens_hours: int | None = None
    downloads: int = 0
    destroyed_at: datetime | None = None
