"""What `hotline reports` does: reads reports and figures, counts anew, checks, with a progress bar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy import Engine, select
from sqlmodel import Session, col

from api.operations import database_url, now
from hotline.access import SYSTEM, Actor
from hotline.assessing import assessments
from hotline.auditing import audit
from hotline.case import Desk, Office
from hotline.office import open_office
from hotline.organisation import Platform
from hotline.reporting import figures, filing, filling, printing, refresh, slices, snapshots
from hotline.reporting.indicators import BY_KEY
from hotline.reporting.periods import parse
from hotline.reporting.schema import described, page
from hotline.reporting.slices import By
from hotline.reporting.tables import CountState, Report
from hotline.settings import load_settings
from hotline.storage.replica import Fitness, Replica, open_replica
from hotline.storage.store import make_engine
from workflow.deadlines import local_day
from workflow.errors import NotFound, OrderInvalid
from workflow.vocabulary import AuditKind, ReportState, Role


@contextmanager
def opened(*, reading: bool = False) -> Iterator[tuple[Engine, Office]]:
    """The database and the office the command line works with; for `reading` alone the replica, if there is one and it is fit."""
    settings = load_settings()
    engine = make_engine(database_url(settings), pool_size=2)
    replica = open_replica(settings.replica_url, settings.replica_lag_seconds) if reading else None
    try:
        if replica is not None and _is_fit(replica, engine):
            yield replica.engine, open_office(settings)
        else:
            yield engine, open_office(settings)
    finally:
        engine.dispose()
        if replica is not None:
            replica.close()


def _is_fit(replica: Replica, primary: Engine) -> bool:
    with primary.connect() as connection:
        return replica.look(connection).fitness is Fitness.FIT


def operator_of(session: Session) -> Actor:
    """The command line sees every platform and belongs to none."""
    every = frozenset(session.execute(select(col(Platform.id))).scalars())
    return Actor("system", None, SYSTEM.name, frozenset({Role.AUDITOR}), platform_ids=every)


def listed(platform: str | None, limit: int) -> tuple[list[dict[str, Any]], str]:
    """Reports, the newest first, as data and as text."""
    with opened() as (engine, _), Session(engine) as session:
        found = select(Report, col(Platform.code)).join(Platform, col(Platform.id) == col(Report.platform_id))
        if platform is not None:
            found = found.where(col(Platform.code) == platform)
        rows = session.execute(found.order_by(col(Report.id).desc()).limit(limit)).all()
        data = [
            report.model_dump(mode="json", exclude={"content"}) | {"platform": code} for report, code in rows
        ]
        lines = [
            f"{report.id:>6}  {code}  {report.kind.label}  {report.starts}—{report.ends}  {report.state.label:<8}"
            f"{f'期限 {report.due_on}' if report.due_on else ''}{_late(report)}  {report.title}"
            for report, code in rows
        ]
    return data, "\n".join(lines) or "还没有报告。"


def _late(report: Report) -> str:
    late = report.due_at is not None and (report.filed_at or now()) >= report.due_at
    return "（逾期）" if late else ""


_BREAKDOWNS: dict[str, By] = {
    "unit": "unit",
    "platform": "platform",
    "level": "level",
    "matter": "matter",
    "category": "category",
    "area": "area",
    "channel": "channel",
    "day": "day",
    "month": "month",
}


def shown(said: str, platform: str | None, by: str) -> tuple[dict[str, Any], str]:
    """A report's content by its key, or the figures of a period as they stand, as data and as text."""
    if by not in _BREAKDOWNS:
        raise OrderInvalid(f"没有分组 {by}。", field="by")
    with opened(reading=True) as (engine, office), Session(engine) as session:
        operator, at = operator_of(session), now()
        if said.isascii() and said.isdigit() and (len(said) != 4 or not said.startswith("20")):
            report = filing.find(session, operator, int(said))
            content = filing.content_of(Desk(session, operator, at, office), report)
            told = content["figures"]
            title = f"{report.title}（{report.state.label}）"
            rows = told["tables"].get(by, [])
        else:
            refresh.check_current(session)
            period, today = parse(said), local_day(at)
            cut = slices.slice_of(session, operator, slices.SliceWords(platform=platform))
            table = figures.table(session, cut, period, _BREAKDOWNS[by], today)
            told = {"whole": snapshots.plain(figures.whole(session, cut, period, today))}
            rows, title = snapshots.table_of(table), f"{period.first}—{period.last}"
            content = {"figures": told | {"tables": {by: rows}}, "period": period.name}
    lines = [title, *_whole_lines(told["whole"]), "", *_rows_lines(rows)]
    return content, "\n".join(lines)


def _whole_lines(told: dict[str, Any]) -> list[str]:
    return [
        f"  {BY_KEY[key].name}：{_value(key, each)}" + _beside(each)
        for key, each in told.items()
        if key in BY_KEY
    ]


def _value(key: str, told: dict[str, Any]) -> str:
    unit = BY_KEY[key].unit
    if told["value"] is None:
        return "—"
    if unit == "percent":
        return f"{float(told['value']):.2%}（{told['numerator']}/{told['denominator']}）"
    if unit == "count":
        return str(told["value"])
    label = "工作日" if unit == "workdays" else "小时"
    return f"{told['value']} {label}（中位数 {told['median']}，{told['denominator']} 件）"


def _beside(told: dict[str, Any]) -> str:
    return "".join(f"，{label} {count}" for label, count in told["beside"].items())


_SHORT = ("received", "assigned", "timely", "overdue", "returned", "satisfied")


def _rows_lines(rows: list[dict[str, Any]]) -> list[str]:
    return [
        f"  {row['name']:<20}"
        + "  ".join(
            f"{BY_KEY[key].name} {_value(key, row['figures'][key]).split('（')[0]}"
            for key in _SHORT
            if key in row["figures"] and row["figures"][key]["value"] is not None
        )
        for row in rows[:60]
    ]


def exported(report: int, to: str, folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Make a report's files in `folder`; what was made, as data and as text. Recorded in the audit trail."""
    forms = list(dict.fromkeys(each.strip().lower() for each in to.split(",") if each.strip()))
    if not forms or not set(forms) <= set(printing.MEDIA_TYPES):
        raise OrderInvalid(f"格式应为 {'、'.join(printing.MEDIA_TYPES)} 中的一种或几种。", field="to")
    wanted: list[printing.Form] = [each for each in printing.MEDIA_TYPES if each in forms]
    font_dir = load_settings().font_dir
    folder.mkdir(parents=True, exist_ok=True)
    with opened() as (engine, office):
        with Session(engine) as session:
            operator, at = operator_of(session), now()
            found = filing.find(session, operator, report)
            printed, make = printing.prepared(Desk(session, operator, at, office), found, font_dir)
            audit.record(
                session,
                AuditKind.REPORT_PRINTED,
                at=at,
                actor=operator,
                platform_id=found.platform_id,
                what={"report": report, "format": wanted, "filed": printed.hash is not None},
                algorithm=office.policy.algorithm,
            )
            session.commit()
        made = []
        for form in wanted:
            content = make(form)
            path = folder / printing.name_of(printed, form)
            path.write_bytes(content)
            made.append({"format": form, "path": str(path), "bytes": len(content)})
    return made, "\n".join(f"{each['path']}（{each['bytes']} 字节）" for each in made)


# --- counting anew, checking -----------------------------------------------------------------------------------------------


@contextmanager
def _bar(what: str, *, progress: bool) -> Iterator[Callable[[int, int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not progress, transient=True) as shown_bar:
        task = shown_bar.add_task(what, total=None)
        yield lambda done, of: shown_bar.update(task, completed=done, total=of)


def rebuild(*, progress: bool) -> tuple[dict[str, Any], str]:
    """Throw the figures away and count every ticket anew, batch by batch."""
    with opened() as (engine, office), Session(engine, expire_on_commit=False) as session:
        refresh.begin_anew(session)
        session.commit()
        with _bar("重新汇总", progress=progress) as told:
            while True:
                done = refresh.count(session, office, now())
                session.commit()
                state = session.get(CountState, 1, populate_existing=True)
                if state is None or (state.built and not done):
                    break
                told(state.filled_to, state.fill_until)
        tickets = state.fill_until if state else 0
    return {"counted_to": tickets}, "统计已重新汇总。"


def check(*, progress: bool) -> tuple[dict[str, Any], str]:
    """Compare facts with tickets, cube with facts, filed reports with their hashes."""
    with opened() as (engine, office):
        with Session(engine, expire_on_commit=False) as session:
            refresh.count_all(session, office, now())
            session.commit()
        with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
            session = Session(connection)
            waiting = refresh.behind(session)
            found: filling.Found | None = None
            with _bar("核对", progress=progress) as told:
                for done, of, last in filling.check(session):
                    told(done, of)
                    found = last
            broken = filing.verify(session) + assessments.verify(session)
            filed = session.execute(
                select(col(Report.id)).where(col(Report.state) == ReportState.FILED)
            ).all()
            session.rollback()
    if found is None:
        raise NotFound("没有可核对的统计。")
    data = {
        "sound": found.sound and not broken,
        "tickets": found.tickets,
        "wrong_facts": found.wrong_facts,
        "wrong_cells": found.wrong_cells,
        "not_yet_counted": waiting,
        "filed_reports": len(filed),
        "broken_reports": broken,
    }
    lines = [
        f"核对 {found.tickets} 件工单：明细不符 {found.wrong_facts}，汇总不符 {found.wrong_cells}。",
        f"报送件 {len(filed)} 份：{'完整' if not broken else '；'.join(broken)}。",
    ]
    if not found.sound:
        if waiting:
            lines.append(f"其中有 {waiting} 条办理情况在核对开始时尚未汇总，请稍后再核对。")
        lines.append("请运行 hotline reports rebuild 重新汇总。")
    return data, "\n".join(lines)


def schema() -> tuple[list[dict[str, Any]], str]:
    """The read-only schema's views as data and as the document."""
    with opened() as (engine, _), Session(engine) as session:
        views = described(session)
    data = [
        {
            "view": view.name,
            "about": view.about,
            "columns": [{"name": c.name, "type": c.type, "about": c.about} for c in view.columns],
        }
        for view in views
    ]
    return data, page(views)
