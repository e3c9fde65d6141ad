"""热点 as rows: one analysis of a window, and its themes with the tickets behind each. Nothing personal is in them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Date, Index
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, ref, word
from workflow.vocabulary import HotspotKind


class HotspotRun(SQLModel, table=True):
    """One analysis of the tickets a platform and those below it received from `starts` to `ends` (both inclusive, Asia/Shanghai)."""

    __tablename__ = "hotspot_runs"
    id: int = key()
    platform_id: int = ref("platforms.id")
    starts: date = Field(sa_column=Column(Date, nullable=False))
    ends: date = Field(sa_column=Column(Date, nullable=False))
    tickets: int
    content: dict[str, Any] = json_object()
    made_by: str = Field(max_length=100)
    made_at: datetime

    __table_args__ = (Index("ix_hotspot_runs_listed", "platform_id", "id"),)


class Hotspot(SQLModel, table=True):
    """A theme, a caller who comes again, or a problem that comes again, and the tickets it is made of."""

    __tablename__ = "hotspots"
    id: int = key()
    run_id: int = ref("hotspot_runs.id")
    kind: HotspotKind = word(HotspotKind)
    rank: int
    title: str = Field(max_length=200)
    category: str = Field(max_length=12)
    area: str = Field(max_length=12)
    count: int
    content: dict[str, Any] = json_object()
    tickets: list[int] = Field(sa_column=Column(ARRAY(BigInteger), nullable=False))

    __table_args__ = (Index("ix_hotspots_run", "run_id", "kind", "rank"),)
