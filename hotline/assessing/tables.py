"""考核 as rows: indicator systems, what is left out and why, samples, assessments, appeals, and what became final."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Date, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, long_text, ref, word
from workflow.vocabulary import AssessmentState


class IndicatorSystem(SQLModel, table=True):
    """考核指标体系 (art. 31): weights, targets, curves and parameters, one version after the other; the newest is in force."""

    __tablename__ = "indicator_systems"
    id: int = key()
    platform_id: int = ref("platforms.id")
    version: int
    name: str = Field(max_length=100)
    content: dict[str, Any] = json_object()
    reason: str = long_text()
    made_by: str = Field(max_length=100)
    made_at: datetime

    __table_args__ = (Index("ux_indicator_systems", "platform_id", "version", unique=True),)


class Exclusion(SQLModel, table=True):
    """容错剔除 (art. 35): a clock, or a ticket whole (`clock_id` None), that counts in no figure once another person approved it, until revoked.

    Revoked before anybody decided, it was withdrawn.
    """

    __tablename__ = "exclusions"
    id: int = key()
    platform_id: int = ref("platforms.id")
    ticket_id: int = ref("tickets.id")
    clock_id: int | None = ref("clocks.id", nullable=True)
    unit_id: int | None = ref("units.id", nullable=True)
    reason: str = long_text()
    applied_by: str = Field(max_length=100)
    applied_key: str = Field(max_length=60)
    applied_at: datetime
    approved: bool | None = None
    decided_by: str | None = Field(default=None, max_length=100)
    decided_key: str | None = Field(default=None, max_length=60)
    decided_at: datetime | None = None
    decision: str | None = long_text(nullable=True)
    revoked_by: str | None = Field(default=None, max_length=100)
    revoked_key: str | None = Field(default=None, max_length=60)
    revoked_at: datetime | None = None
    revocation: str | None = long_text(nullable=True)

    __table_args__ = (
        Index("ix_exclusions_ticket", "ticket_id"),
        Index("ix_exclusions_listed", "platform_id", "id"),
        Index("ix_exclusions_counted", "ticket_id", "clock_id", postgresql_where=text("approved")),
    )


class AccuracySample(SQLModel, table=True):
    """数据准确率抽查 (art. 28, 33): tickets of a period drawn by a seed that anybody can draw again."""

    __tablename__ = "accuracy_samples"
    id: int = key()
    platform_id: int = ref("platforms.id")
    starts: date = Field(sa_column=Column(Date, nullable=False))
    ends: date = Field(sa_column=Column(Date, nullable=False))
    seed: str = Field(max_length=64)
    population: int
    size: int
    drawn_by: str = Field(max_length=100)
    drawn_at: datetime

    __table_args__ = (Index("ux_accuracy_samples", "platform_id", "starts", "ends", unique=True),)


class SampledTicket(SQLModel, table=True):
    """One ticket of a sample, and whether its record was found right."""

    __tablename__ = "sampled_tickets"
    id: int = key()
    sample_id: int = ref("accuracy_samples.id")
    place: int
    ticket_id: int = ref("tickets.id")
    unit_id: int | None = ref("units.id", nullable=True)
    accurate: bool | None = None
    finding: str | None = long_text(nullable=True)
    found_by: str | None = Field(default=None, max_length=100)
    found_at: datetime | None = None

    __table_args__ = (
        Index("ux_sampled_tickets", "sample_id", "place", unique=True),
        Index("ix_sampled_tickets_ticket", "ticket_id"),
    )


class EnteredPoints(SQLModel, table=True):
    """评定分 (art. 31): points no ledger can tell, of one unit or platform for one item and period. They count once another person confirmed
    them; of several confirmed the newest does."""

    __tablename__ = "entered_points"
    id: int = key()
    platform_id: int = ref("platforms.id")
    starts: date = Field(sa_column=Column(Date, nullable=False))
    ends: date = Field(sa_column=Column(Date, nullable=False))
    kind: str = Field(max_length=10)
    code: str = Field(max_length=40)
    item: str = Field(max_length=40)
    points: str = Field(max_length=10)
    reason: str = long_text()
    document: str | None = Field(default=None, max_length=200)
    entered_by: str = Field(max_length=100)
    entered_key: str = Field(max_length=60)
    entered_at: datetime
    confirmed: bool | None = None
    confirmed_by: str | None = Field(default=None, max_length=100)
    confirmed_key: str | None = Field(default=None, max_length=60)
    confirmed_at: datetime | None = None
    confirmation: str | None = long_text(nullable=True)

    __table_args__ = (
        Index("ix_entered_points_listed", "platform_id", "id"),
        Index("ix_entered_points_scored", "platform_id", "starts", "ends", "kind", "code"),
    )


class Assessment(SQLModel, table=True):
    """考核 of a platform's units and platforms in a period, from draft to final. `content` is what was computed."""

    __tablename__ = "assessments"
    id: int = key()
    platform_id: int = ref("platforms.id")
    system_version: int
    title: str = Field(max_length=200)
    starts: date = Field(sa_column=Column(Date, nullable=False))
    ends: date = Field(sa_column=Column(Date, nullable=False))
    state: AssessmentState = word(AssessmentState)
    version: int = 1
    content: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    drafted_by: str = Field(max_length=100)
    drafted_at: datetime
    computed_at: datetime
    published_by: str | None = Field(default=None, max_length=100)
    published_at: datetime | None = None
    appeals_until: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    finalised_by: str | None = Field(default=None, max_length=100)
    finalised_at: datetime | None = None

    __table_args__ = (Index("ix_assessments_listed", "platform_id", "id"),)


class AssessmentAppeal(SQLModel, table=True):
    """异议: what a unit holds against one of its points, and what was decided."""

    __tablename__ = "assessment_appeals"
    id: int = key()
    assessment_id: int = ref("assessments.id", index=True)
    unit_id: int = ref("units.id")
    item: str = Field(max_length=40)
    reason: str = long_text()
    filed_by: str = Field(max_length=100)
    filed_at: datetime
    upheld: bool | None = None
    decision: str | None = long_text(nullable=True)
    points: str | None = Field(default=None, max_length=10)
    changed: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    decided_by: str | None = Field(default=None, max_length=100)
    decided_at: datetime | None = None


class FinalAssessment(SQLModel, table=True):
    """定稿: an assessment as it became final, canonical JSON, chained to the platform's one before. Append-only."""

    __tablename__ = "final_assessments"
    assessment_id: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False)
    )
    platform_id: int = ref("platforms.id")
    number: int
    content: str = Field(sa_column=Column(Text, nullable=False))
    finalised_at: datetime
    prev_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))

    __table_args__ = (Index("ux_final_assessments_chain", "platform_id", "number", unique=True),)
