"""报告内容: the figures of a report with their definitions, the parameters in force and the size of every cohort, as plain data.

What is reviewed and filed is this; printed reports are made of it. Numbers are whole or decimal text, so that they are written one way.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from pydantic import Field
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.calendars import newest_version
from hotline.case import Office
from hotline.fields import Order
from hotline.organisation import Platform
from hotline.reporting import cases, cube, facts, figures
from hotline.reporting.indicators import BY_KEY, INDICATORS, Figure, Indicator, figures_of, shown
from hotline.reporting.periods import Period, previous, year_before
from hotline.reporting.slices import By, Slice, SliceWords, below, slice_of
from hotline.reporting.tables import Report
from workflow.deadlines import local_day
from workflow.errors import OrderInvalid
from workflow.statute import Limit
from workflow.statute import load as load_pack

FORMAT: Final = "hotline12345-report/1"
MOST_BREAKDOWNS: Final = 4


class ViewWords(Order):
    """统计视图: a cut of the figures, what it is broken down by, and which indicators it shows."""

    slice: SliceWords = SliceWords()
    by: list[By] = Field(default=["unit"], max_length=MOST_BREAKDOWNS, description="分组，至多四种")
    indicators: list[str] = Field(
        default=[], max_length=len(INDICATORS), description="指标的 key，缺省为全部", examples=[["timely"]]
    )
    rollup: bool = Field(default=False, description="按单位分组时，上级含下级和所主管的单位")


def wanted(keys: Iterable[str]) -> list[Indicator]:
    """The indicators with these keys, all where none is named. Raises `OrderInvalid` (field `indicators`)."""
    unknown = [key for key in keys if key not in BY_KEY]
    if unknown:
        raise OrderInvalid(f"没有这些指标：{'、'.join(unknown)[:200]}。", field="indicators")
    named = list(dict.fromkeys(keys))
    return [BY_KEY[key] for key in named] or list(INDICATORS)


def content(
    session: Session, office: Office, report: Report, at: datetime, struck: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The report's content as its platform's figures stand at `at`; `struck` are the cases that a reviewer left out."""
    platform = session.get_one(Platform, report.platform_id)
    period = Period(report.starts, report.ends, _named(report))
    today = local_day(at)
    if report.view:
        view = ViewWords.model_validate(report.view)
        cut, tables, used = _special(session, platform, period, view, today)
    else:
        cut = Slice(platforms=tuple(below(session, platform.id)))
        used = list(INDICATORS)
        tables = figures.full(session, cut, period, today)
    earlier = previous(period)
    asked = cases.questions(session, cut, period, earlier, today)
    left_out = {each["number"] for each in struck}
    names = select(col(Platform.code), col(Platform.name)).where(col(Platform.id).in_(cut.platforms))
    return {
        "format": FORMAT,
        "platform": {"code": platform.code, "name": platform.name},
        "covers": [
            {"code": code, "name": name} for code, name in session.execute(names.order_by(col(Platform.code)))
        ],
        "kind": report.kind.value,
        "title": report.title,
        "period": {"first": period.first.isoformat(), "last": period.last.isoformat(), "name": period.name},
        "view": dict(report.view),
        "as_of": at.astimezone(UTC).isoformat(),
        "definitions": [definition(each) for each in used],
        "parameters": parameters(session, office, platform, period),
        "cohorts": _cohorts(session, cut, period, at),
        "figures": {
            "whole": plain(figures.whole(session, cut, period, today, used)),
            "tables": {name: table_of(table) for name, table in tables.items()},
        },
        "compared": {
            name: _compared(session, cut, each, today, used)
            for name, each in (("previous", earlier), ("last_year", year_before(period)))
        },
        "trend": _trend(session, cut, period, today, used),
        "questions": asked,
        "cases": cases.cases(session, office, cut, period, asked, left_out),
        "cases_rule": cases.RULE,
        "cases_struck": [dict(each) for each in struck],
    }


def _compared(
    session: Session, cut: Slice, period: Period, today: date, used: Sequence[Indicator]
) -> dict[str, Any]:
    """An earlier period's figures, without medians, as they stand now."""
    plainly = [each for each in used if each.median is None]
    return {
        "first": period.first.isoformat(),
        "last": period.last.isoformat(),
        "whole": plain(figures.whole(session, cut, period, today, plainly)) if plainly else {},
    }


def _start(key: str, by: By) -> str:
    """The key of a day, or of the month it is in."""
    return key if by == "day" else key[:7] + "-01"


_TRENDS: Final = ("received", "dispatched", "assigned", "timely")
_BY_DAY: Final = 62


def _trend(
    session: Session, cut: Slice, period: Period, today: date, used: Sequence[Indicator]
) -> dict[str, Any]:
    """A few indicators over the period, by day or, where it is long, by month."""
    by: By = "day" if (period.last - period.first).days < _BY_DAY else "month"
    shown_ones = [BY_KEY[key] for key in _TRENDS if BY_KEY[key] in used]
    if not shown_ones:
        return {"by": by, "rows": []}
    found = {row.key: row.figures for row in figures.table(session, cut, period, by, today, shown_ones).rows}
    nothing = figures_of(shown_ones, {}, {})
    days = [period.first + timedelta(days=n) for n in range((period.last - period.first).days + 1)]
    starts = [day.isoformat() for day in days if by == "day" or day.day == 1 or day == period.first]
    rows = [{"key": key, "figures": plain(found.get(_start(key, by), nothing))} for key in starts]
    return {"by": by, "rows": rows}


def other_cases(
    session: Session, office: Office, report: Report, struck: Collection[str]
) -> list[dict[str, Any]]:
    """The typical cases of a report that was reviewed, once more by the rule without those struck out."""
    assert report.content is not None
    platform = session.get_one(Platform, report.platform_id)
    if report.view:
        cut = resolved(session, platform, ViewWords.model_validate(report.view))
    else:
        cut = Slice(platforms=tuple(below(session, platform.id)))
    period = Period(report.starts, report.ends, _named(report))
    return cases.cases(session, office, cut, period, report.content["questions"], struck)


def _named(report: Report) -> str:
    return f"{report.starts.isoformat()}..{report.ends.isoformat()}"


def _special(
    session: Session, platform: Platform, period: Period, view: ViewWords, today: Any
) -> tuple[Slice, dict[str, figures.Table], list[Indicator]]:
    cut = resolved(session, platform, view)
    used = wanted(view.indicators)
    tables: dict[str, figures.Table] = {
        str(by): figures.table(session, cut, period, by, today, used, rollup=view.rollup)
        for by in view.by
        if by != "whole"
    }
    return cut, tables, used


def resolved(session: Session, platform: Platform, view: ViewWords) -> Slice:
    """The cut of a platform's own view: of it and those below it, whoever looks. Raises `OrderInvalid`, `NotFound`."""
    own = Actor(
        kind="system",
        id=None,
        name="系统",
        roles=frozenset(),
        platform_id=platform.id,
        platform_ids=frozenset(below(session, platform.id)),
    )
    return slice_of(session, own, view.slice)


# --- as plain data -------------------------------------------------------------------------------------------------------


def definition(indicator: Indicator) -> dict[str, Any]:
    """An indicator's own words."""
    return {
        "key": indicator.key,
        "name": indicator.name,
        "definition": indicator.definition,
        "article": indicator.article,
        "unit": indicator.unit,
    }


def plain(told: Mapping[str, Figure]) -> dict[str, Any]:
    """Figures by their keys."""
    return {key: _figure(each) for key, each in told.items()}


def _figure(each: Figure) -> dict[str, Any]:
    indicator = BY_KEY[each.key]
    return {
        "numerator": each.numerator,
        "denominator": each.denominator,
        "value": shown(each.value, indicator.unit),
        "median": each.median,
        "beside": {one.label: count for one, count in zip(indicator.beside, each.beside, strict=True)},
    }


def table_of(table: figures.Table) -> list[dict[str, Any]]:
    """A breakdown's lines."""
    return [
        {
            "key": row.key,
            "name": row.name,
            "level": row.level.value if row.level else None,
            "figures": plain(row.figures),
        }
        for row in table.rows
    ]


def parameters(session: Session, office: Office, platform: Platform, period: Period) -> dict[str, Any]:
    """What the law and the platform's own rules said on the period's last day, and which calendar counted."""
    statute = load_pack(platform.pack)
    version = newest_version(session)
    office.calendars.at(session, version)
    return {
        "pack": platform.pack,
        "statute": statute.version,
        "calendar_version": version,
        "limits": [
            {
                "id": limit.id,
                "length": limit.length,
                "unit": limit.unit,
                "article": limit.article,
                "label": _limit_label(limit),
                "said": _limit_said(limit),
            }
            for limit in statute.limits
            if limit.in_force(period.last)
        ],
        "parameters": [
            {"name": each.name, "value": each.value, "article": each.article, "text": each.text}
            for each in statute.parameters.values()
        ],
    }


def _limit_label(limit: Limit) -> str:
    about = [limit.matter.label] if limit.matter else []
    about += ["复杂事项"] if limit.complex else []
    return limit.kind.label + (f"（{'，'.join(about)}）" if about else "")


def _limit_said(limit: Limit) -> str:
    """How long, in words: 10 个工作日, 次月第 5 个工作日, 次年 1 月 15 日."""
    most = "至多 " if limit.chosen else ""
    month, day = divmod(limit.length, 100)
    return {
        "working_day": f"{most}{limit.length} 个工作日",
        "natural_hour": f"{most}{limit.length} 小时",
        "nth_working_day": f"次月第 {limit.length} 个工作日",
        "fixed_date": f"次年 {month} 月 {day} 日",
        "year": f"{limit.length} 年",
    }[limit.unit]


def _cohorts(session: Session, cut: Slice, period: Period, at: datetime) -> list[dict[str, Any]]:
    counts = cube.counted(session, cut, period, "whole", local_day(at)).get("", {})
    return [
        {"what": what, "label": facts.WORDS[what], "size": counts[what][0] if what in counts else 0}
        for what in facts.MARKS
    ]


# --- what differs --------------------------------------------------------------------------------------------------------


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each figure that is not the same in two reports' contents: where it stands, what it was, what it is (None: was not there)."""
    old, new = dict(_flat(before)), dict(_flat(after))
    return [
        {"table": table, "key": key, "indicator": name, "before": old.get(at), "after": new.get(at)}
        for at in [*old, *(key for key in new if key not in old)]
        if old.get(at) != new.get(at)
        for table, key, name in [at]
    ]


def _flat(told: Mapping[str, Any]) -> Iterable[tuple[tuple[str, str, str], Any]]:
    for name, value in told["figures"]["whole"].items():
        yield ("whole", "", name), value
    for table, rows in told["figures"]["tables"].items():
        for row in rows:
            for name, value in row["figures"].items():
                yield (table, row["key"], name), value
