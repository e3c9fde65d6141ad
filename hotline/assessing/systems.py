"""考核指标体系 as data (art. 31): each platform's versions, the newest in force; until it has one the nearest above, else the shipped one."""

import tomllib
from datetime import date
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Self

from pydantic import Field, StringConstraints, model_validator
from sqlalchemy import func, select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.assessing.scoring import Curve
from hotline.assessing.tables import IndicatorSystem
from hotline.case import Desk
from hotline.fields import Line, Order, Prose, Whole
from hotline.organisation import Platform
from hotline.privacy.masking import mask_text
from hotline.reporting.indicators import BY_KEY
from workflow.errors import AccessRefused, OrderInvalid

ARTICLE: Final = "31"
ENTERED: Final = "entered"
"""The figure of an item whose points a supervisor enters."""

OWN: Final = {
    ENTERED: ("评定分", "count", "不由数据得出：督办主管评定并说明理由，经另一名督办主管确认；不设计分曲线"),
    "flags": ("问题标记", "count", "考核期内被标记的问题（第十四条第（八）项）件数"),
    "notices": ("通报", "count", "考核期内的通报（第三十四条）份数"),
    "reminders": ("督办", "count", "考核期内收到的督办提醒次数"),
}
"""Figures that are no indicator of the reports: name, unit, definition."""

_SAVING: Final = 12345_012


class Item(Order):
    """One line of the system: what it is called, which figure it scores, how many points it is worth, by which curve."""

    key: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")] = Field(examples=["timely"])
    name: Line = Field(examples=["限时办结率"])
    figure: Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,40}$")] = Field(
        description="统计指标的 key（GET /reports/indicators），或 flags、notices、reminders，或 entered（评定分）",
        examples=["timely"],
    )
    weight: Decimal = Field(gt=0, le=100, max_digits=5, decimal_places=2, examples=["20"])
    curve: Curve | None = Field(default=None, description="entered 没有，其余必有")
    article: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,2}(\([0-9]{1,2}\))?$")] = Field(
        default="32", examples=["32"]
    )

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.figure not in OWN and self.figure not in BY_KEY:
            raise ValueError(f"没有指标 {self.figure}")
        if (self.curve is None) != (self.figure == ENTERED):
            raise ValueError(f"{self.key}：评定分不设计分曲线，其余指标须有")
        return self

    @property
    def is_percent(self) -> bool:
        """Whether its figure is a fraction of 1."""
        return (OWN[self.figure][1] if self.figure in OWN else BY_KEY[self.figure].unit) == "percent"


class Commend(Order):
    """表扬 (art. 34(1))."""

    total: Decimal = Field(ge=0, le=100, max_digits=5, decimal_places=2, examples=["95"])


class Hold(Order):
    """提请约谈、问责程序 (art. 34(2))."""

    total: Decimal = Field(ge=0, le=100, max_digits=5, decimal_places=2, examples=["60"])
    flags: Whole = Field(ge=1, le=10_000, examples=[3])


class System(Order):
    """The whole system."""

    name: Line
    minimum: Whole = Field(ge=1, le=100_000, description="任务量达到几件才参加排名", examples=[5])
    appeal_days: Whole = Field(ge=1, le=60, description="公示后几个工作日内可提异议", examples=[5])
    commend: Commend
    hold: Hold
    units: list[Item] = Field(min_length=1, max_length=40)
    platforms: list[Item] = Field(min_length=1, max_length=40)

    @model_validator(mode="after")
    def _sums_up(self) -> Self:
        for name, items in (("units", self.units), ("platforms", self.platforms)):
            if sum(item.weight for item in items) != 100:
                raise ValueError(f"{name} 各项权重之和须为 100")
            if len({item.key for item in items}) != len(items):
                raise ValueError(f"{name} 有重复的 key")
        return self


class SystemOrder(Order):
    """修订考核指标体系: the whole of it, and why."""

    system: System
    reason: Prose


@cache
def shipped() -> System:
    """The system that comes with the program: version 0."""
    raw = (files("hotline") / "assessing" / "qinghai-2022.toml").read_text("utf-8")
    return System.model_validate(tomllib.loads(raw, parse_float=Decimal))


def in_force(session: Session, platform_id: int) -> tuple[int, System]:
    """The version and the system a platform is assessed by: its own newest, else the nearest above's, else the shipped one."""
    chain = "WITH RECURSIVE up AS (SELECT id, parent_id, 0 AS far FROM platforms WHERE id = :id UNION ALL SELECT p.id, p.parent_id, up.far + 1 FROM platforms p JOIN up ON p.id = up.parent_id) SELECT id FROM up ORDER BY far"
    for key in session.execute(text(chain), {"id": platform_id}).scalars().all():
        newest = select(IndicatorSystem).where(col(IndicatorSystem.platform_id) == key)
        row = session.execute(
            newest.order_by(col(IndicatorSystem.version).desc()).limit(1)
        ).scalar_one_or_none()
        if row is not None:
            return row.version, System.model_validate(row.content)
    return 0, shipped()


def versions(session: Session, actor: Actor) -> list[IndicatorSystem]:
    """Every saved version of the platforms the actor sees, the newest first."""
    rows = select(IndicatorSystem).where(col(IndicatorSystem.platform_id).in_(sorted(actor.platform_ids)))
    return list(session.execute(rows.order_by(col(IndicatorSystem.id).desc()).limit(200)).scalars())


def save(desk: Desk, order: SystemOrder) -> IndicatorSystem:
    """修订: another version; assessments drafted before keep theirs. The caller commits. Raises `AccessRefused`."""
    platform = own_platform(desk)
    lock = "SELECT pg_advisory_xact_lock(:key, :of)"
    desk.session.execute(text(lock), {"key": _SAVING, "of": platform.id})
    last = select(func.max(col(IndicatorSystem.version))).where(
        col(IndicatorSystem.platform_id) == platform.id
    )
    row = IndicatorSystem(
        platform_id=platform.id,
        version=(desk.session.execute(last).scalar_one() or 0) + 1,
        name=order.system.name[:100],
        content=order.system.model_dump(mode="json"),
        reason=mask_text(order.reason),
        made_by=desk.actor.name,
        made_at=desk.at,
    )
    desk.session.add(row)
    desk.session.flush()
    return row


def own_platform(desk: Desk) -> Platform:
    """The platform the actor works for. Raises `AccessRefused`."""
    if desk.actor.platform_id is None or desk.actor.is_unit:
        raise AccessRefused("考核由热线平台组织。", article=ARTICLE)
    return desk.session.get_one(Platform, desk.actor.platform_id)


def check_over(today: date, ends: date) -> None:
    """That a period ended before `today` (Asia/Shanghai). Raises `OrderInvalid` (field `period`)."""
    if today <= ends:
        raise OrderInvalid(f"考核期到 {ends} 才结束。", article=ARTICLE, field="period")
