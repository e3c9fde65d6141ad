"""The deadline certificate (期限证明): how one due date came about, as data and as Chinese text.

A citizen can read it; a program can recompute it with `recompute` and must get the same date.
"""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from calendar_cn.working_days import WorkCalendar
from workflow.deadlines import CHINA, Due, due_of, extended, local_day
from workflow.statute import Limit, Statute, cite
from workflow.vocabulary import ClockKind


@dataclass(frozen=True, slots=True)
class CertifiedDay:
    """One civil day between opening and due date: counted as the `index`-th working day, or skipped, and why."""

    day: date
    weekday: str
    counted: bool
    index: int | None
    reason: str
    notice: str | None


@dataclass(frozen=True, slots=True)
class Certificate:
    """Everything a due date rests on. Days are civil days of Asia/Shanghai; instants are aware."""

    kind: ClockKind
    document: str
    article: str
    article_text: str
    opened_by: str
    opened_at: datetime
    length: int
    unit: str
    days: tuple[CertifiedDay, ...]
    original_due_on: date
    extension_days: int
    extension: tuple[CertifiedDay, ...]
    due_on: date
    due_at: datetime
    provisional: bool
    notices: tuple[str, ...]
    parameters: dict[str, str]
    statute_version: str
    calendar_version: str

    def as_data(self) -> dict[str, Any]:
        """The certificate as plain data, ready for JSON."""
        return asdict(self)

    def as_text(self) -> str:
        """The certificate as Chinese text, one line a day."""
        opened = self.opened_at.astimezone(CHINA)
        lines = [
            f"期限证明：{self.kind.label}，{self.due_on:%Y-%m-%d} 届满"
            + ("（暂定）" if self.provisional else ""),
            f"依据：{self.document}{cite(self.article)}：“{self.article_text}”",
            f"起算：{self.opened_by}，{opened:%Y-%m-%d %H:%M:%S}"
            + ("（当日不计入）" if self.unit == "working_day" else ""),
            f"期限：{_UNITS[self.unit].format(n=self.length, month=self.length // 100, day=self.length % 100)}",
        ]
        lines.extend(_day_line(day) for day in self.days)
        if self.extension_days:
            lines.append(
                f"延期：自原届满日 {self.original_due_on:%Y-%m-%d} 起延长 {self.extension_days} 个工作日（第十四条第（五）项）"
            )
            lines.extend(_day_line(day) for day in self.extension)
        ends = self.due_at.astimezone(CHINA)
        clock = (
            "24:00"
            if (ends.hour, ends.minute, ends.second) == (0, 0, 0) and self.unit != "natural_hour"
            else f"{ends:%H:%M:%S}"
        )
        lines.append(f"届满：{self.due_on:%Y-%m-%d} {clock}（北京时间），其后反馈即为逾期")
        if self.provisional:
            lines.append(
                "说明：期间涉及尚未发布放假通知的年度，暂按周末和法定节假日推算，通知发布后重新计算。"
            )
        lines.extend(f"放假通知：{url}" for url in self.notices)
        lines.append(f"规则版本：{self.statute_version}；日历版本：{self.calendar_version}")
        return "\n".join(lines)


_UNITS = {
    "working_day": "{n} 个工作日",
    "natural_hour": "{n} 小时（自然时，夜间和节假日不停）",
    "nth_working_day": "次月第 {n} 个工作日",
    "fixed_date": "次年 {month} 月 {day} 日（不因节假日顺延）",
    "year": "{n} 年",
}


def _day_line(day: CertifiedDay) -> str:
    mark = f"第 {day.index} 个工作日" if day.counted else "不计"
    return f"  {day.day:%Y-%m-%d} {day.weekday}  {mark}  {day.reason}"


def _days(
    calendar: WorkCalendar, opened_on: date, length: int
) -> tuple[tuple[CertifiedDay, ...], tuple[str, ...]]:
    explained = calendar.explain(opened_on, length)
    days = tuple(
        CertifiedDay(d.date, d.weekday_cn, d.counted, d.index, d.reason, d.notice) for d in explained.days
    )
    return days, explained.notices


def certify(
    limit: Limit,
    statute: Statute,
    calendar: WorkCalendar,
    *,
    opened_by: str,
    opened_at: datetime,
    length: int | None = None,
    extension_days: int = 0,
    kind: ClockKind | None = None,
) -> Certificate:
    """The certificate of a period of `limit` opened at `opened_at` (aware) and extended by `extension_days` working days.

    `kind` names the clock where it is not the limit's own (来电人等候 counts by the reply limit).
    """
    day_end = statute.word("day_end")
    first = due_of(limit, opened_at, calendar, day_end=day_end, length=length)
    due: Due = extended(first.on, extension_days, calendar, day_end=day_end) if extension_days else first
    counted = length or limit.length
    days: tuple[CertifiedDay, ...] = ()
    more: tuple[CertifiedDay, ...] = ()
    notices: tuple[str, ...] = ()
    if limit.unit == "working_day":
        days, notices = _days(calendar, local_day(opened_at), counted)
    elif limit.unit == "nth_working_day":
        days, notices = _days(calendar, _last_day_of_month(local_day(opened_at)), counted)
    if extension_days:
        more, further = _days(calendar, first.on, extension_days)
        notices = tuple(dict.fromkeys((*notices, *further)))
    return Certificate(
        kind=kind or limit.kind,
        document=f"《{statute.head.name}》",
        article=limit.article,
        article_text=limit.text,
        opened_by=opened_by,
        opened_at=opened_at,
        length=counted,
        unit=limit.unit,
        days=days,
        original_due_on=first.on,
        extension_days=extension_days,
        extension=more,
        due_on=due.on,
        due_at=due.at,
        provisional=first.provisional or due.provisional,
        notices=notices,
        parameters={"day_end": day_end},
        statute_version=statute.version,
        calendar_version=calendar.version,
    )


def _last_day_of_month(day: date) -> date:
    following = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return date.fromordinal(following.toordinal() - 1)


def recompute(certificate: Certificate, limit: Limit, statute: Statute, calendar: WorkCalendar) -> bool:
    """Whether counting again from the certificate's own opening gives the certificate's own due instant."""
    again = certify(
        limit,
        statute,
        calendar,
        opened_by=certificate.opened_by,
        opened_at=certificate.opened_at,
        length=certificate.length if limit.chosen else None,
        extension_days=certificate.extension_days,
    )
    return (again.due_on, again.due_at) == (certificate.due_on, certificate.due_at)
