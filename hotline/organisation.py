"""Who and where, as rows: platforms, units, people and their tokens, places, categories, calendars, emergencies."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from hotline.storage.columns import json_object, key, long_text, ref, word
from workflow.vocabulary import Level, PlatformKind, UnitKind


class Platform(SQLModel, table=True):
    """热线平台: the province's, a prefecture's, or a 双号并行 / 分中心 line (art. 3)."""

    __tablename__ = "platforms"
    id: int = key()
    code: str = Field(unique=True, max_length=2)
    name: str
    short_name: str
    level: Level = word(Level)
    kind: PlatformKind = word(PlatformKind)
    parent_id: int | None = ref("platforms.id", nullable=True)
    area_code: str = Field(max_length=12)
    pack: str
    fallback_unit_id: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))


class OrgUnit(SQLModel, table=True):
    """承办单位: a unit that tickets are dispatched to, on one of the five levels (art. 9)."""

    __tablename__ = "units"
    id: int = key()
    code: str = Field(unique=True, max_length=40)
    name: str
    level: Level = word(Level)
    kind: UnitKind = word(UnitKind)
    duty: str = Field(default="", max_length=40)
    platform_id: int = ref("platforms.id", index=True)
    area_code: str = Field(max_length=12)
    parent_id: int | None = ref("units.id", nullable=True)
    in_charge_id: int | None = ref("units.id", nullable=True)
    active: bool = True


class Person(SQLModel, table=True):
    """A member of a platform's or a unit's staff; `roles` are `Role` values.

    `shift` is when they work, `08:00-20:00` in Asia/Shanghai, None for the usual hours: looking callers up outside it is noticed.
    """

    __tablename__ = "people"
    id: int = key()
    login: str = Field(unique=True, max_length=60)
    name: str = Field(max_length=60)
    platform_id: int | None = ref("platforms.id", nullable=True)
    unit_id: int | None = ref("units.id", nullable=True)
    roles: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    active: bool = True
    shift: str | None = Field(default=None, max_length=11)
    left_at: datetime | None = None


class AccessToken(SQLModel, table=True):
    """A bearer token of a person, or of a unit's or platform's machine. Only its SHA-256 is kept.

    `scopes` are `Scope` values, None for all; `client_id` is the machine client it was issued to (client credentials).
    """

    __tablename__ = "access_tokens"
    id: int = key()
    digest: bytes = Field(sa_column=Column(LargeBinary, unique=True, nullable=False))
    label: str = Field(max_length=100)
    person_id: int | None = ref("people.id", nullable=True)
    unit_id: int | None = ref("units.id", nullable=True)
    platform_id: int | None = ref("platforms.id", nullable=True)
    roles: list[str] = Field(default_factory=list, sa_column=Column(JSONB, nullable=False))
    scopes: list[str] | None = Field(default=None, sa_column=Column(JSONB, nullable=True))
    client_id: int | None = ref("machine_clients.id", nullable=True, index=True)
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None


class Area(SQLModel, table=True):
    """行政区划: province, prefecture, county, town, village."""

    __tablename__ = "areas"
    code: str = Field(primary_key=True, max_length=12)
    name: str
    level: Level = word(Level)
    parent_code: str | None = Field(default=None, max_length=12, index=True)


class Category(SQLModel, table=True):
    """诉求分类: a coded three-level tree; tickets carry a leaf's code."""

    __tablename__ = "categories"
    code: str = Field(primary_key=True, max_length=12)
    name: str
    level: int
    parent_code: str | None = Field(default=None, max_length=12, index=True)
    active: bool = True


class CalendarVersion(SQLModel, table=True):
    """One loaded notice or one platform's local days off. The newest row of a year (or platform) counts; none is changed.

    `content` is the notice in the shipped format, or {"YYYY-MM-DD": reason} for local days.
    """

    __tablename__ = "calendar_versions"
    id: int = key()
    year: int | None = None
    platform_id: int | None = ref("platforms.id", nullable=True)
    content: dict[str, Any] = json_object()
    loaded_at: datetime
    loaded_by: str


class Emergency(SQLModel, table=True):
    """A declared emergency (art. 17): who declared it, when, its scope, its end."""

    __tablename__ = "emergencies"
    id: int = key()
    platform_id: int = ref("platforms.id")
    title: str = long_text()
    basis: str = long_text()
    area_code: str = Field(max_length=12)
    declared_by: int | None = ref("people.id", nullable=True)
    declared_at: datetime
    until: datetime
    ended_at: datetime | None = None
