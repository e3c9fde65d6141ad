"""The law as data: loads, validates and versions the rule packs in `statutes/*.toml` and quotes the regulation's articles.

A pack on top (a prefecture's detailed rules, art. 40) may only tighten the pack it extends.
"""

import hashlib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from workflow.errors import OrderInvalid, PackInvalid
from workflow.vocabulary import ClockKind, Level, Matter, Party

Unit = Literal["working_day", "natural_hour", "nth_working_day", "fixed_date", "year"]
Tighter = Literal["smaller", "larger", "any"]
DEFAULT_PACK = "qinghai-2022"


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    article: str
    text: str


class Limit(_Row):
    """One legal period: how long, in which unit, for whom, by which article, from `since` until the day before `until`."""

    id: str
    kind: ClockKind
    party: Party
    length: int = Field(gt=0)
    unit: Unit
    since: date
    until: date | None = None
    matter: Matter | None = None
    complex: bool = False
    chosen: bool = False
    extendable: bool = False
    duty: bool = True
    calendar: Literal["unit", "platform"] = "unit"
    tighter: Tighter = "smaller"

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> Self:
        if self.until is not None and self.until <= self.since:
            raise ValueError(f"until {self.until} 不晚于 since {self.since}")
        return self

    def in_force(self, on: date) -> bool:
        """Whether this row is the law on the civil day `on`."""
        return self.since <= on and (self.until is None or on < self.until)


class Ceiling(_Row):
    """The most that may be granted in working days (延期, art. 14(5))."""

    id: str
    length: int = Field(gt=0)
    unit: Unit
    since: date
    until: date | None = None


class Parameter(_Row):
    """A reading the measures leave open, by name; reports print which value was in force."""

    name: str
    value: int | str | list[int]
    tighter: Tighter = "any"

    @model_validator(mode="after")
    def _is_a_known_reading(self) -> Self:
        if self.name == "citizen_clock" and self.value not in ("transfer_then_reply_limit", "reply_limit"):
            raise ValueError(f"citizen_clock 应为 transfer_then_reply_limit 或 reply_limit：{self.value}")
        if self.name == "day_end" and not re.fullmatch(r"24:00|([01]\d|2[0-3]):[0-5]\d", str(self.value)):
            raise ValueError(f"day_end 应为 24:00 或 HH:MM：{self.value}")
        return self


class RefusalGround(_Row):
    """One of the seven grounds of art. 11; emergencies are transferred, not refused."""

    key: str
    label: str
    transfer_instead: bool = False


class ExtensionReason(_Row):
    """One of the statutory reasons of art. 14(5)."""

    key: str
    label: str


class DispatchLevel(_Row):
    """The unit levels a platform may dispatch to without a declared emergency, art. 13(3), 17."""

    platform: Level
    units: list[Level]


class PackHead(BaseModel):
    """What a pack is called, which document it is, and which pack it tightens."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str
    name: str
    document: str
    since: date
    extends: str | None = None


class _Pack(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    pack: PackHead
    limit: list[Limit] = []
    ceiling: list[Ceiling] = []
    parameter: list[Parameter] = []
    refusal_ground: list[RefusalGround] = []
    extension_reason: list[ExtensionReason] = []
    dispatch_level: list[DispatchLevel] = []


@dataclass(frozen=True)
class Statute:
    """A loaded rule pack, with the pack below it folded in.

    `version` is a digest of everything in force, kept on each clock so that a certificate can name what it was counted by.
    """

    head: PackHead
    limits: tuple[Limit, ...]
    ceilings: tuple[Ceiling, ...]
    parameters: Mapping[str, Parameter]
    refusal_grounds: Mapping[str, RefusalGround]
    extension_reasons: Mapping[str, ExtensionReason]
    dispatch_levels: Mapping[Level, frozenset[Level]]
    version: str

    def limit(
        self, kind: ClockKind, on: date, matter: Matter | None = None, *, complex_: bool = False
    ) -> Limit:
        """The limit for `kind` in force on civil day `on` (the day the demand was received).

        Raises `PackInvalid` where the pack has no such row in force.
        """
        for row in reversed(self.limits):
            if (
                row.kind is kind
                and row.matter in (None, matter)
                and row.complex is complex_
                and row.in_force(on)
            ):
                return row
        what = kind.label + (f"（{matter.label}）" if matter else "")
        raise PackInvalid(
            f"规则包“{self.head.name}”在 {on} 没有生效的“{what}”时限（自 {self.head.since} 起施行）。",
            field="received_at",
        )

    def limit_by_id(self, limit_id: str, on: date) -> Limit:
        """The row named `limit_id` in force on `on`. Raises `PackInvalid` if there is none."""
        for row in reversed(self.limits):
            if row.id == limit_id and row.in_force(on):
                return row
        raise PackInvalid(f"规则包“{self.head.name}”在 {on} 没有名为 {limit_id} 的时限。")

    def ceiling(self, ceiling_id: str, on: date) -> Ceiling:
        """The ceiling `ceiling_id` in force on `on`. Raises `PackInvalid` if there is none."""
        for row in reversed(self.ceilings):
            if row.id == ceiling_id and row.since <= on and (row.until is None or on < row.until):
                return row
        raise PackInvalid(f"规则包“{self.head.name}”在 {on} 没有名为 {ceiling_id} 的上限。")

    def number(self, name: str) -> int:
        """A whole-number parameter."""
        value = self.parameters[name].value
        if not isinstance(value, int):
            raise PackInvalid(f"参数 {name} 应为整数。", field=name)
        return value

    def numbers(self, name: str) -> Sequence[int]:
        """A parameter that is a list of whole numbers."""
        value = self.parameters[name].value
        if not isinstance(value, list):
            raise PackInvalid(f"参数 {name} 应为整数列表。", field=name)
        return value

    def word(self, name: str) -> str:
        """A text parameter, e.g. `day_end` «24:00»."""
        return str(self.parameters[name].value)

    def refusal_ground(self, key: str) -> RefusalGround:
        """The ground of art. 11 with this key. Raises `OrderInvalid` (field `ground`) otherwise."""
        if key not in self.refusal_grounds:
            keys = "、".join(f"{g.key} {g.label}" for g in self.refusal_grounds.values())
            raise OrderInvalid(
                f"不予受理须选择第十一条列明的情形之一：{keys}。", article="11", field="ground"
            )
        return self.refusal_grounds[key]

    def extension_reason(self, key: str) -> ExtensionReason:
        """The reason of art. 14(5) with this key. Raises `OrderInvalid` (field `reason`) otherwise."""
        if key not in self.extension_reasons:
            keys = "、".join(f"{r.key} {r.label}" for r in self.extension_reasons.values())
            raise OrderInvalid(f"延期须选择法定事由之一：{keys}。", article="14(5)", field="reason")
        return self.extension_reasons[key]


@cache
def load(pack_id: str = DEFAULT_PACK) -> Statute:
    """A shipped pack by its id. Raises `PackInvalid` if it is unknown or malformed."""
    resource = files("workflow").joinpath("statutes", f"{pack_id}.toml")
    if not re.fullmatch(r"[a-z0-9-]+", pack_id) or not resource.is_file():
        raise PackInvalid(f"没有名为 {pack_id} 的规则包。", field="pack")
    return parse(resource.read_text("utf-8"))


def parse(text: str) -> Statute:
    """A pack from TOML text; a pack that `extends` another is folded over it and may only tighten.

    Raises `PackInvalid`, naming the row, if the text is malformed or a row loosens the one below.
    """
    try:
        pack = _Pack.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PackInvalid(f"规则包不是有效的 TOML：{error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise PackInvalid(f"规则包的 {where} 无效：{first['msg']}", field=where) from error
    _check_rows(pack)
    if pack.pack.extends is None:
        return _statute(pack.pack, pack)
    base = load(pack.pack.extends)
    _check_only_tightens(pack, base)
    return _fold(base, pack)


def _check_rows(pack: _Pack) -> None:
    by_id: dict[str, list[Limit]] = {}
    for row in pack.limit:
        by_id.setdefault(row.id, []).append(row)
    for limit_id, rows in by_id.items():
        rows.sort(key=lambda row: row.since)
        for earlier, later in pairwise(rows):
            if earlier.until is None or earlier.until > later.since:
                raise PackInvalid(f"时限 {limit_id} 的两行生效期重叠：须以 until 关闭旧行。", field=limit_id)


def _check_only_tightens(pack: _Pack, base: Statute) -> None:
    for row in pack.limit:
        base.limit_by_id(row.id, row.since)
        for below in base.limits:
            if below.id == row.id and _meet_in_time(row, below):
                _check_limit_tightens(row, below)
    for ceiling in pack.ceiling:
        if ceiling.length > base.ceiling(ceiling.id, ceiling.since).length:
            raise PackInvalid(f"实施细则不能放宽上限 {ceiling.id}。", article="40", field=ceiling.id)
    for parameter in pack.parameter:
        _check_parameter_tightens(parameter, base)
    for level in pack.dispatch_level:
        _check_level_tightens(level, base)
    for kind, rows in (("refusal_ground", pack.refusal_ground), ("extension_reason", pack.extension_reason)):
        if rows:
            raise PackInvalid(f"实施细则不能增设 {kind}：情形由办法列明。", article="40", field=kind)


def _check_level_tightens(level: DispatchLevel, base: Statute) -> None:
    allowed = base.dispatch_levels.get(level.platform)
    if allowed is not None and not allowed.issuperset(level.units):
        raise PackInvalid(
            f"实施细则不能扩大派单层级：{level.platform.label}平台不得增加派单对象。",
            article="40",
            field=level.platform.value,
        )


def _meet_in_time(row: Limit, below: Limit) -> bool:
    return (row.until is None or below.since < row.until) and (below.until is None or row.since < below.until)


def _check_limit_tightens(row: Limit, below: Limit) -> None:
    same = (row.kind, row.party, row.unit, row.matter, row.complex) == (
        below.kind,
        below.party,
        below.unit,
        below.matter,
        below.complex,
    )
    if not same:
        raise PackInvalid(f"时限 {row.id} 只能改变长短，不能改变对象或单位。", article="40", field=row.id)
    looser = row.length > below.length if below.tighter == "smaller" else row.length < below.length
    if looser or (row.extendable and not below.extendable) or row.duty is not below.duty:
        raise PackInvalid(
            f"实施细则只能收紧时限：{row.id} 由 {below.length} 改为 {row.length} 属于放宽，不予加载。",
            article="40",
            field=row.id,
        )


def _check_parameter_tightens(parameter: Parameter, base: Statute) -> None:
    below = base.parameters.get(parameter.name)
    if below is None or type(below.value) is not type(parameter.value):
        raise PackInvalid(f"参数 {parameter.name} 不存在或类型不符。", article="40", field=parameter.name)
    looser = {
        "smaller": parameter.value > below.value,  # type: ignore[operator]  # same types, checked above
        "larger": parameter.value < below.value,  # type: ignore[operator]
        "any": False,
    }[below.tighter]
    if looser:
        raise PackInvalid(
            f"实施细则只能收紧：参数 {parameter.name} 由 {below.value} 改为 {parameter.value} 属于放宽。",
            article="40",
            field=parameter.name,
        )


def _statute(head: PackHead, pack: _Pack) -> Statute:
    return Statute(
        head=head,
        limits=tuple(pack.limit),
        ceilings=tuple(pack.ceiling),
        parameters={row.name: row for row in pack.parameter},
        refusal_grounds={row.key: row for row in pack.refusal_ground},
        extension_reasons={row.key: row for row in pack.extension_reason},
        dispatch_levels={row.platform: frozenset(row.units) for row in pack.dispatch_level},
        version=f"{head.id}@{hashlib.sha256(pack.model_dump_json().encode()).hexdigest()[:12]}",
    )


def _fold(base: Statute, pack: _Pack) -> Statute:
    over = _statute(pack.pack, pack)
    below = [piece for row in base.limits for piece in _outside(row, over.limits)]
    return Statute(
        head=pack.pack,
        limits=(*below, *over.limits),
        ceilings=(*base.ceilings, *over.ceilings),
        parameters={**base.parameters, **over.parameters},
        refusal_grounds=base.refusal_grounds,
        extension_reasons=base.extension_reasons,
        dispatch_levels={**base.dispatch_levels, **over.dispatch_levels},
        version=f"{base.version}+{over.version}",
    )


def _outside(row: Limit, over: Sequence[Limit]) -> list[Limit]:
    """What is left of `row` on the days when no row of `over` with its id is in force."""
    pieces: list[Limit] = []
    since: date | None = row.since
    for newer in sorted((new for new in over if new.id == row.id), key=lambda new: new.since):
        if since is not None and since < newer.since:
            pieces.append(row.model_copy(update={"since": since, "until": _earlier(newer.since, row.until)}))
        since = None if since is None or newer.until is None else max(since, newer.until)
    if since is not None and (row.until is None or since < row.until):
        pieces.append(row.model_copy(update={"since": since}))
    return [piece for piece in pieces if piece.until is None or piece.since < piece.until]


def _earlier(day: date, other: date | None) -> date:
    return day if other is None else min(day, other)


_NUMERALS = {c: i for i, c in enumerate("零一二三四五六七八九")}


def _numeral(text: str) -> int:
    tens, _, ones = text.partition("十")
    if not _:
        return _NUMERALS[text]
    return (_NUMERALS[tens] if tens else 1) * 10 + (_NUMERALS[ones] if ones else 0)


@cache
def articles(pack_id: str = DEFAULT_PACK) -> Mapping[str, str]:
    """The regulation's own words by citation: «14» the whole article, «14(5)» its item, as `statutes/*.md` has them."""
    source = files("workflow").joinpath("statutes", f"{pack_id}.md").read_text("utf-8")
    found: dict[str, str] = {}
    for part in re.split(r"\n(?=\*\*第)", source):
        head = re.match(r"\*\*第([零一二三四五六七八九十]+)条\*\*\s*", part)
        if head is None:
            continue
        number = str(_numeral(head[1]))
        body = re.split(r"\n## ", part[head.end() :])[0].strip()
        found[number] = body
        for item in re.split(r"\n+(?=（[一二三四五六七八九十]+）)", body):
            mark = re.match(r"（([一二三四五六七八九十]+)）", item)
            if mark:
                found[f"{number}({_numeral(mark[1])})"] = item[mark.end() :].strip()
    return found


def cite(article: str) -> str:
    """«14(5)» in Chinese: 第十四条第（五）项."""
    match = re.fullmatch(r"(\d+)(?:\((\d+)\))?", article)
    if match is None:
        return article
    item = f"第（{_chinese(int(match[2]))}）项" if match[2] else ""
    return f"第{_chinese(int(match[1]))}条{item}"


def _chinese(number: int) -> str:
    digits = "零一二三四五六七八九"
    if number < 10:
        return digits[number]
    tens, ones = divmod(number, 10)
    return (digits[tens] if tens > 1 else "") + "十" + (digits[ones] if ones else "")


def as_rows(statute: Statute) -> list[dict[str, Any]]:
    """Every limit as plain data, for the API and the generated docs."""
    return [row.model_dump(mode="json") for row in statute.limits]
