"""报告内容: the figures of a report with their definitions, the parameters in force and the size of every cohort, as plain data.

What is reviewed and filed is this; printed reports are made of it. Numbers are whole or decimal text, so that they are written one way.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import Field
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.calendars import newest_version
from hotline.case import Office
from hotline.orders import Order
from hotline.organisation import Platform
from hotline.reporting import cube, facts, figures
from hotline.reporting.indicators import BY_KEY, INDICATORS, Figure, Indicator, shown
from hotline.reporting.periods import Period
from hotline.reporting.slices import By, Slice, SliceWords, below, slice_of
from hotline.reporting.tables import Report
from workflow.deadlines import local_day
from workflow.errors import OrderInvalid
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


def content(session: Session, office: Office, report: Report, at: datetime) -> dict[str, Any]:
    """The report's content as its platform's figures stand at `at`."""
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
    }


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
            }
            for limit in statute.limits
            if limit.in_force(period.last)
        ],
        "parameters": [
            {"name": each.name, "value": each.value, "article": each.article, "text": each.text}
            for each in statute.parameters.values()
        ],
    }


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
