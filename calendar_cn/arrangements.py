"""A year's holiday arrangement, as the State Council's notice states it: parse, validate, fingerprint.

The format is holiday-cn's JSON. A notice belongs to the year of its title; its days may stand in the last
December or the next January, so the days of one calendar year can come from two arrangements.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Any

EARLIEST_YEAR = 2000
LATEST_YEAR = 2099
MOST_DAYS = 400
LONGEST_NAME = 50
LONGEST_URL = 500
_ISO_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class ArrangementInvalid(ValueError):
    """The notice can't be used: `message` says in Chinese what to correct, `field` names the JSON field."""

    def __init__(self, field: str, message: str) -> None:
        self.field = field
        self.message = message
        super().__init__(f"节假日安排无效，{field}：{message}")


@dataclass(frozen=True, slots=True)
class ArrangedDay:
    """A day that a notice names: a day off, or (`off` false) one on which people work."""

    date: date
    name: str
    off: bool
    notice: str | None = None
    """The notice that named or last changed this day; None means the arrangement's first."""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What the notices of one title year say; `notices` are their addresses, the first one first."""

    year: int
    notices: tuple[str, ...]
    days: tuple[ArrangedDay, ...]

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, of the content, whatever the order of days or the spelling of the JSON."""
        days = sorted((day.date.isoformat(), day.name, day.off, self.notice_of(day)) for day in self.days)
        content = json.dumps([self.year, self.notices, days], ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    def notice_of(self, day: ArrangedDay) -> str | None:
        """The address of the notice to cite for one of these days."""
        return day.notice or (self.notices[0] if self.notices else None)


def parse_arrangement(data: Mapping[str, Any] | str | bytes) -> Arrangement:
    """An arrangement from holiday-cn's JSON, text or already decoded; days come out in order of date.

    Unknown keys are ignored. Raises ArrangementInvalid, naming the field, for what isn't a complete notice.
    """
    content = _decoded(data)
    year = _year(content.get("year"))
    notices = _notices(content.get("papers"))
    rows = content.get("days")
    if not isinstance(rows, list | tuple) or not rows:
        raise ArrangementInvalid("days", "没有列出任何日期，请补充通知中的放假和调休上班日期")
    if len(rows) > MOST_DAYS:
        raise ArrangementInvalid("days", f"列出的日期超过 {MOST_DAYS} 个，请核对是否为一个年度的通知")
    days: dict[date, ArrangedDay] = {}
    for position, row in enumerate(rows):
        day = _day(f"days[{position}]", row, year, notices)
        if day.date in days:
            raise ArrangementInvalid(f"days[{position}].date", f"{day.date} 重复出现，请只保留一条")
        days[day.date] = day
    if not any(day.off for day in days.values()):
        raise ArrangementInvalid("days", "没有一个放假日，请核对 isOffDay 是否填反")
    return Arrangement(year, notices, tuple(days[when] for when in sorted(days)))


def shipped() -> dict[int, Arrangement]:
    """The arrangements that come with this package, by title year. Read once; the dict is the caller's."""
    return dict(_read_shipped())


@cache
def _read_shipped() -> dict[int, Arrangement]:
    folder = resources.files("calendar_cn").joinpath("arrangements")
    files = [file for file in folder.iterdir() if file.name.endswith(".json")]
    read = [parse_arrangement(file.read_bytes()) for file in files]
    return {arrangement.year: arrangement for arrangement in sorted(read, key=lambda one: one.year)}


def _decoded(data: Mapping[str, Any] | str | bytes) -> Mapping[str, Any]:
    if isinstance(data, str | bytes):
        try:
            data = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise ArrangementInvalid("$", "不是有效的 JSON，请上传 UTF-8 编码的 JSON 文件") from error
    if not isinstance(data, Mapping):
        raise ArrangementInvalid("$", "应为一个 JSON 对象，含 year、papers、days 三项")
    return data


def _year(value: object) -> int:
    if not isinstance(value, int):
        raise ArrangementInvalid("year", "应为整数年份，例如 2027")
    if not EARLIEST_YEAR <= value <= LATEST_YEAR:
        raise ArrangementInvalid("year", f"应在 {EARLIEST_YEAR} 至 {LATEST_YEAR} 之间")
    return value


def _notices(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not value:
        raise ArrangementInvalid("papers", "应列出通知原文的网址，至少一个")
    for position, url in enumerate(value):
        if not isinstance(url, str) or not re.match(r"https?://[^\s/]+", url):
            raise ArrangementInvalid(f"papers[{position}]", "应为 http:// 或 https:// 开头的网址")
        if not url.isprintable() or len(url) > LONGEST_URL:
            raise ArrangementInvalid(f"papers[{position}]", f"网址含有不可见字符或超过 {LONGEST_URL} 个字符")
    if len(set(value)) < len(value):
        raise ArrangementInvalid("papers", "同一网址重复出现，请只保留一条")
    return tuple(value)


def _day(field: str, row: object, year: int, notices: tuple[str, ...]) -> ArrangedDay:
    if not isinstance(row, Mapping):
        raise ArrangementInvalid(field, "应为一个 JSON 对象，含 name、date、isOffDay 三项")
    off = row.get("isOffDay")
    if not isinstance(off, bool):
        raise ArrangementInvalid(f"{field}.isOffDay", "应为 true（放假）或 false（上班）")
    notice = row.get("paper")
    if notice is not None and notice not in notices:
        raise ArrangementInvalid(f"{field}.paper", "应为 papers 中列出的网址之一")
    when = _date(f"{field}.date", row.get("date"), year)
    return ArrangedDay(when, _name(f"{field}.name", row.get("name")), off, notice)


def _date(field: str, value: object, year: int) -> date:
    if not isinstance(value, str) or not _ISO_DATE.fullmatch(value):
        raise ArrangementInvalid(field, "应为 YYYY-MM-DD 格式的日期，例如 2027-01-01")
    try:
        day = date.fromisoformat(value)
    except ValueError as error:
        raise ArrangementInvalid(field, f"{value} 不是存在的日期") from error
    if day.year != year and (day.year, day.month) not in {(year - 1, 12), (year + 1, 1)}:
        raise ArrangementInvalid(field, f"{value} 不属于 {year} 年，也不在上年 12 月或次年 1 月")
    return day


def _name(field: str, value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ArrangementInvalid(field, "应填写节日名称，例如 春节")
    name = value.strip()
    if not name.isprintable() or len(name) > LONGEST_NAME:
        raise ArrangementInvalid(field, f"名称含有不可见字符或超过 {LONGEST_NAME} 个字")
    return name
