"""统计 as rows: what counts of each ticket, the cube summed from it, and the reports made of that.

`report_facts`, `report_cube` and `report_spread` hold nothing that is not in the tickets' own rows: they can be counted anew at any
time (`hotline.reporting.refresh`). They have no foreign keys, so that counting locks no ticket.
"""

from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Date,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, long_text, ref, word
from workflow.vocabulary import ReportKind, ReportState

MARKS: Final = 6
"""What a fact is counted for beside itself: up to six yes-or-no questions; which, `hotline.reporting.facts` says of each kind."""

SUMS: Final = ("seconds", "workdays", "wait_seconds", "wait_workdays")


def _whole(name: str, *, big: bool = False) -> Column[Any]:
    return Column(name, BigInteger if big else Integer, nullable=False, server_default=text("0"))


FACTS: Final = Table(
    "report_facts",
    SQLModel.metadata,
    Column("ticket_id", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("what", String(24), primary_key=True, nullable=False),
    Column("ref_id", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("day", Date, nullable=False),
    Column("platform_id", BigInteger, nullable=False),
    Column("unit_id", BigInteger, nullable=False),
    Column("matter", String(40), nullable=False),
    Column("category", String(12), nullable=False),
    Column("area", String(12), nullable=False),
    Column("channel", String(40), nullable=False),
    Column("agent_id", BigInteger, nullable=False),
    Column("marks", SmallInteger, nullable=False),
    Column("seconds", BigInteger, nullable=True),
    Column("workdays", Integer, nullable=True),
    Column("wait_seconds", BigInteger, nullable=True),
    Column("wait_workdays", Integer, nullable=True),
    Index("ix_report_facts_platform", "platform_id", "what", "day", "ticket_id", "ref_id"),
    Index("ix_report_facts_unit", "unit_id", "what", "day", postgresql_where=text("unit_id <> 0")),
)
"""One countable fact: a clock, a unit's part, a callback, a receipt, a call (`ticket_id` 0). What is nobody's has unit 0, agent 0."""

CUBE: Final = Table(
    "report_cube",
    SQLModel.metadata,
    Column("grain", String(5), primary_key=True, nullable=False),
    Column("dim", String(8), primary_key=True, nullable=False),
    Column("platform_id", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("starts", Date, primary_key=True, nullable=False),
    Column("key", String(20), primary_key=True, nullable=False),
    Column("what", String(24), primary_key=True, nullable=False),
    _whole("n"),
    *(_whole(f"m{number}") for number in range(1, MARKS + 1)),
    *(_whole(name, big=True) for name in SUMS),
)
"""Facts summed by day and by month (`grain`), for each platform, by one thing at a time (`dim`: nothing, unit, matter, …)."""

SPREAD: Final = Table(
    "report_spread",
    SQLModel.metadata,
    Column("dim", String(8), primary_key=True, nullable=False),
    Column("platform_id", BigInteger, primary_key=True, autoincrement=False, nullable=False),
    Column("starts", Date, primary_key=True, nullable=False),
    Column("key", String(20), primary_key=True, nullable=False),
    Column("measure", String(14), primary_key=True, nullable=False),
    Column("bucket", Integer, primary_key=True, autoincrement=False, nullable=False),
    _whole("n"),
)
"""How many replies of a month took how long, for medians."""


class CountState(SQLModel, table=True):
    """How far counting has come: `position` in the feed; while it is counted anew, the tickets done. One row."""

    __tablename__ = "report_state"
    id: int = Field(
        default=1, sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False)
    )
    position: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    filled_to: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    fill_until: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    built: bool = True
    calendar_version: int = -1
    platforms: int = 0
    days_until: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    counted_at: datetime | None = None


class Waiting(SQLModel, table=True):
    """A ticket or a call to be counted anew that no event of the feed tells of."""

    __tablename__ = "report_waiting"
    id: int = key()
    what: str = Field(max_length=8)
    ref_id: int = Field(sa_column=Column(BigInteger, nullable=False))


class CountedDay(SQLModel, table=True):
    """Whether a day counts at a platform, and how many working days there were up to it: for handling times in SQL."""

    __tablename__ = "report_days"
    platform_id: int = Field(sa_column=Column(BigInteger, primary_key=True, autoincrement=False))
    day: date = Field(sa_column=Column(Date, primary_key=True, nullable=False))
    working: bool
    rank: int


class ReportView(SQLModel, table=True):
    """统计视图: a platform's own name for a cut of the figures; special reports are drafted from it."""

    __tablename__ = "report_views"
    id: int = key()
    platform_id: int = ref("platforms.id", index=True)
    name: str = Field(max_length=60)
    view: dict[str, Any] = json_object()
    saved_by: str = Field(max_length=100)
    saved_at: datetime


class Report(SQLModel, table=True):
    """报告 (art. 27): one platform's, of one period, from draft to filing, with its own clock. `restates_id` is the filed one it corrects.

    `content` is what was reviewed; filed, it is in `filed_reports` for good. Persons are their names, `*_key` who they are.
    """

    __tablename__ = "reports"
    id: int = key()
    platform_id: int = ref("platforms.id")
    kind: ReportKind = word(ReportKind)
    title: str = Field(max_length=200)
    starts: date = Field(sa_column=Column(Date, nullable=False))
    ends: date = Field(sa_column=Column(Date, nullable=False))
    view: dict[str, Any] = json_object()
    state: ReportState = word(ReportState)
    version: int = 1
    restates_id: int | None = ref("reports.id", nullable=True, index=True)
    reason: str | None = long_text(nullable=True)
    drafted_by: str = Field(max_length=100)
    drafted_at: datetime
    reviewed_by: str | None = Field(default=None, max_length=100)
    reviewed_key: str | None = Field(default=None, max_length=60)
    reviewed_at: datetime | None = None
    content: dict[str, Any] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    filed_by: str | None = Field(default=None, max_length=100)
    filed_at: datetime | None = None
    limit_id: str | None = Field(default=None, max_length=60)
    article: str = Field(max_length=20)
    due_on: date | None = Field(default=None, sa_column=Column(Date, nullable=True))
    due_at: datetime | None = None
    provisional: bool = False
    warned_at: datetime | None = None
    lapsed_at: datetime | None = None
    rung: int = 0
    next_rung_at: datetime | None = None

    __table_args__ = (
        Index(
            "ux_reports_period",
            "platform_id",
            "kind",
            "starts",
            unique=True,
            postgresql_where=text("kind <> 'special' AND restates_id IS NULL"),
        ),
        Index("ix_reports_listed", "platform_id", "id"),
        Index(
            "ix_reports_owed",
            "due_at",
            postgresql_where=text("due_at IS NOT NULL AND filed_at IS NULL"),
        ),
    )


class FiledReport(SQLModel, table=True):
    """报送件: a report as it was filed, canonical JSON, chained to the platform's one before. Append-only: the database refuses the rest."""

    __tablename__ = "filed_reports"
    report_id: int = Field(
        sa_column=Column(BigInteger, primary_key=True, autoincrement=False, nullable=False)
    )
    platform_id: int = ref("platforms.id")
    number: int
    content: str = Field(sa_column=Column(Text, nullable=False))
    filed_at: datetime
    prev_hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    hash: bytes = Field(sa_column=Column(LargeBinary, nullable=False))

    __table_args__ = (Index("ux_filed_reports_chain", "platform_id", "number", unique=True),)
