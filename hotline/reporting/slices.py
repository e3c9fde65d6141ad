"""切面: which part of the hotline's work a figure speaks of, and by what it is broken down; never more than the actor may see."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pydantic import Field
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.fields import Code, Order
from hotline.organisation import OrgUnit, Platform
from hotline.reference import area_prefix
from workflow.errors import AccessRefused, NotFound, OrderInvalid
from workflow.vocabulary import Channel, Level, Matter

By = Literal[
    "whole", "platform", "unit", "level", "matter", "category", "area", "channel", "agent", "day", "month"
]

DIMS: Final = ("", "unit", "matter", "category", "area", "channel", "agent")
"""What the cube is summed by, one at a time; '' is nothing but platform and day."""

COUNTY: Final = 6
"""Digits of a division's code in the cube: the county's."""


class SliceWords(Order):
    """How people write a cut of the figures."""

    platform: Code | None = Field(
        default=None, description="热线平台代码（两位），缺省为本人可见的全部", examples=["01"]
    )
    below: bool = Field(default=True, description="含该平台的下级平台，汇总到省")
    unit: Code | None = Field(default=None, description="承办单位代码", examples=["XN-ZJJ"])
    rollup: bool = Field(default=False, description="单位的数含其下级单位和所主管的企事业单位")
    level: Level | None = Field(default=None, description="承办单位的层级")
    matter: Matter | None = None
    category: str | None = Field(default=None, pattern=r"^[0-9]{2,6}$", description="诉求分类代码，含下级")
    area: str | None = Field(default=None, pattern=r"^[0-9]{2,12}$", description="行政区划代码，含下级")
    channel: Channel | None = None
    agent: Code | None = Field(default=None, description="首接话务员的登录名")


@dataclass(frozen=True, slots=True)
class Slice:
    """A cut, resolved: the keys of platforms, and of units, agents where it names them; code prefixes."""

    platforms: tuple[int, ...]
    units: tuple[int, ...] | None = None
    matter: str | None = None
    category: str | None = None
    area: str | None = None
    channel: str | None = None
    agent: int | None = None
    words: Mapping[str, Any] = field(default_factory=dict)

    def named(self) -> set[str]:
        """The cube's dimensions this cut narrows."""
        given = {
            "unit": self.units,
            "matter": self.matter,
            "category": self.category,
            "area": self.area,
            "channel": self.channel,
            "agent": self.agent,
        }
        return {dim for dim, value in given.items() if value is not None}

    def dim(self, by: By) -> str | None:
        """The one dimension of the cube that answers this cut broken down `by`; None: only the facts themselves do."""
        needed = self.named() | ({_DIM_OF[by]} - {""})
        if len(needed) > 1 or (self.area is not None and len(self.area) > COUNTY):
            return None
        return next(iter(needed), "")


_DIM_OF: Final[dict[By, str]] = {
    "whole": "",
    "platform": "",
    "day": "",
    "month": "",
    "unit": "unit",
    "level": "unit",
    "matter": "matter",
    "category": "category",
    "area": "area",
    "channel": "channel",
    "agent": "agent",
}


def slice_of(session: Session, actor: Actor, words: SliceWords) -> Slice:
    """The cut these words mean for `actor`: a unit has its own figures only, a platform those of the platforms it sees.

    Raises `OrderInvalid` naming the field, `NotFound` for a platform or unit out of sight, `AccessRefused`.
    """
    if actor.is_unit:
        return _of_unit(session, actor, words)
    platforms = _platforms(session, actor, words)
    return Slice(
        platforms=platforms,
        units=_units(session, words),
        agent=_agent(session, platforms, words.agent),
        **_plain(words),
    )


def _plain(words: SliceWords) -> dict[str, Any]:
    return {
        "matter": words.matter.value if words.matter else None,
        "category": words.category,
        "area": area_prefix(words.area) if words.area else None,
        "channel": words.channel.value if words.channel else None,
        "words": words.model_dump(mode="json", exclude_defaults=True),
    }


def _of_unit(session: Session, actor: Actor, words: SliceWords) -> Slice:
    own = session.get_one(OrgUnit, actor.unit_id)
    if words.unit not in (None, own.code) or words.rollup or words.level is not None:
        raise AccessRefused("承办单位只能查看本单位的统计。", field="unit")
    if words.agent is not None or words.platform is not None:
        raise AccessRefused("承办单位只能查看本单位的统计。", field="agent" if words.agent else "platform")
    every = tuple(session.execute(select(col(Platform.id)).order_by(col(Platform.id))).scalars())
    return Slice(platforms=every, units=(own.id,), **_plain(words))


def _platforms(session: Session, actor: Actor, words: SliceWords) -> tuple[int, ...]:
    if words.platform is None:
        return tuple(sorted(actor.platform_ids))
    found: int | None = session.execute(
        select(col(Platform.id)).where(col(Platform.code) == words.platform)
    ).scalar_one_or_none()
    if found is None or found not in actor.platform_ids:
        raise NotFound(f"没有代码为 {words.platform} 的热线平台，或不在您的权限范围内。", field="platform")
    if not words.below:
        return (found,)
    return tuple(key for key in below(session, found) if key in actor.platform_ids)


def below(session: Session, platform_id: int) -> list[int]:
    """A platform and all under it in the tree, by key."""
    tree = "WITH RECURSIVE tree AS (SELECT id FROM platforms WHERE id = :id UNION SELECT p.id FROM platforms p JOIN tree ON p.parent_id = tree.id) SELECT id FROM tree ORDER BY id"
    return list(session.execute(text(tree), {"id": platform_id}).scalars())


def _units(session: Session, words: SliceWords) -> tuple[int, ...] | None:
    if words.unit is None and words.level is None:
        if words.rollup:
            raise OrderInvalid("rollup 须与 unit 一起使用。", field="rollup")
        return None
    chosen = select(col(OrgUnit.id))
    if words.unit is not None:
        key: int | None = session.execute(
            select(col(OrgUnit.id)).where(col(OrgUnit.code) == words.unit)
        ).scalar_one_or_none()
        if key is None:
            raise OrderInvalid(f"没有代码为 {words.unit} 的承办单位。", field="unit")
        chosen = chosen.where(col(OrgUnit.id).in_(under(session, [key])[key] if words.rollup else [key]))
    if words.level is not None:
        chosen = chosen.where(col(OrgUnit.level) == words.level)
    return tuple(session.execute(chosen.order_by(col(OrgUnit.id))).scalars())


def under(session: Session, keys: Sequence[int]) -> dict[int, list[int]]:
    """Each of these units with all below it: by the tree, and the enterprises and institutions in its charge."""
    tree = """
WITH RECURSIVE tree AS (
    SELECT id AS top, id FROM units WHERE id = ANY(CAST(:keys AS bigint[]))
    UNION SELECT tree.top, u.id FROM units u JOIN tree ON u.parent_id = tree.id OR u.in_charge_id = tree.id
) SELECT top, id FROM tree ORDER BY top, id
"""
    found: dict[int, list[int]] = {}
    for top, each in session.execute(text(tree), {"keys": list(keys)}):
        found.setdefault(top, []).append(each)
    return found


def _agent(session: Session, platforms: Sequence[int], login: str | None) -> int | None:
    if login is None:
        return None
    statement = (
        "SELECT id FROM people WHERE login = :login AND platform_id = ANY(CAST(:platforms AS bigint[]))"
    )
    found: int | None = session.execute(
        text(statement), {"login": login, "platforms": list(platforms)}
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"没有登录名为 {login} 的话务员，或不在您的权限范围内。", field="agent")
    return found
