"""报告时限 (art. 27): regular reports are drafted when their period ends, each with its own clock; supervisors are reminded, up the ladder.

Monthly and quarterly reports are due on the 5th working day of the next month, annual ones on 15 January.
"""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import func, or_, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlmodel import Session, col

from hotline.access import SYSTEM
from hotline.calendars import newest_version
from hotline.case import Office
from hotline.exchange import outbox
from hotline.models import Reminder
from hotline.organisation import Platform
from hotline.reporting import periods
from hotline.reporting.filing import ARTICLE, clock_kind, tell
from hotline.reporting.periods import Period
from hotline.reporting.tables import CUBE, Report
from workflow.deadlines import CHINA, due_of, local_day
from workflow.statute import load as load_pack
from workflow.vocabulary import ReminderForm, ReportKind, ReportState

_REGULAR: Final = (ReportKind.MONTHLY, ReportKind.QUARTERLY, ReportKind.ANNUAL)
_LADDER: Final = (ReminderForm.NETWORK, ReminderForm.SMS, ReminderForm.WRITTEN_NOTICE, ReminderForm.ON_SITE)


def draft_due(session: Session, office: Office, as_of: datetime) -> int:
    """Draft the regular reports whose period is over, each once; returns how many. The caller commits.

    A platform owes a report of a period by whose end it had anything to count; periods missed while nobody ticked are made up for.
    """
    office.calendars.at(session, newest_version(session))
    drafted = 0
    for platform in session.execute(select(Platform).order_by(col(Platform.id))).scalars().all():
        for kind in _REGULAR:
            for period in _owed(session, platform.id, kind, local_day(as_of)):
                drafted += _draft(session, office, platform, kind, period, as_of)
    return drafted


def _owed(session: Session, platform_id: int, kind: ReportKind, today: date) -> Iterator[Period]:
    last = periods.before(today, kind.value)
    newest = session.execute(
        select(func.max(col(Report.starts))).where(
            col(Report.platform_id) == platform_id, col(Report.kind) == kind
        )
    ).scalar_one()
    if newest is None:
        counted = select(CUBE.c.n).where(
            CUBE.c.grain == "day",
            CUBE.c.dim == "",
            CUBE.c.platform_id == platform_id,
            CUBE.c.starts <= last.last,
            CUBE.c.what.in_(["received", "call"]),
            CUBE.c.n > 0,
        )
        if session.execute(counted.limit(1)).first() is not None:
            yield last
        return
    missed = []
    period = last
    while period.first > newest:
        missed.append(period)
        period = periods.before(period.first, kind.value)
    yield from reversed(missed)


_NAMES: Final = {
    ReportKind.MONTHLY: lambda first: f"{first.year}年{first.month}月",
    ReportKind.QUARTERLY: lambda first: f"{first.year}年第{'一二三四'[(first.month - 1) // 3]}季度",
    ReportKind.ANNUAL: lambda first: f"{first.year}年度",
}


def _draft(
    session: Session, office: Office, platform: Platform, kind: ReportKind, period: Period, at: datetime
) -> int:
    statute = load_pack(platform.pack)
    limit = statute.limit(clock_kind(kind), period.last)
    ended = datetime.combine(period.last, time(12), CHINA)
    due = due_of(limit, ended, office.calendars.of(platform.id))
    row: dict[str, Any] = {
        "platform_id": platform.id,
        "kind": kind,
        "title": f"{platform.name}{_NAMES[kind](period.first)}运行情况报告"[:200],
        "starts": period.first,
        "ends": period.last,
        "view": {},
        "state": ReportState.DRAFTED,
        "version": 1,
        "drafted_by": SYSTEM.name,
        "drafted_at": at,
        "limit_id": limit.id,
        "article": limit.article,
        "due_on": due.on,
        "due_at": due.at,
        "provisional": due.provisional,
        "rung": 0,
    }
    made = session.execute(
        upsert(Report)
        .values(**row)
        .on_conflict_do_nothing(
            index_elements=["platform_id", "kind", "starts"],
            index_where=text("kind <> 'special' AND restates_id IS NULL"),
        )
        .returning(col(Report.id))
    ).scalar_one_or_none()
    if made is None:
        return 0
    tell(session, outbox.REPORT_DRAFTED, session.get_one(Report, made), at)
    return 1


# --- the clock -------------------------------------------------------------------------------------------------------------


def remind(session: Session, office: Office, as_of: datetime, *, batch: int = 50) -> int:
    """Warn of reports due soon, stamp those overdue as of their due instant, send each rung of the ladder once; returns how many. The
    caller commits. A report filed owes nothing more."""
    office.calendars.at(session, newest_version(session))
    hours = timedelta(hours=max(load_pack(pack).number("due_soon_hours") for pack in _packs(session)))
    due, rung = col(Report.due_at), col(Report.next_rung_at)
    waiting = or_(
        (col(Report.warned_at).is_(None)) & (due <= as_of + hours) & (due > as_of),
        col(Report.lapsed_at).is_(None) & (due <= as_of),
        rung <= as_of,
    )
    owed = (
        select(Report)
        .where(due.is_not(None), col(Report.filed_at).is_(None), waiting)
        .order_by(due, col(Report.id))
        .limit(batch)
        .with_for_update(skip_locked=True)
    )
    reports = session.execute(owed).scalars().all()
    for report in reports:
        _look(session, office, report, as_of)
    session.flush()
    return len(reports)


def _packs(session: Session) -> list[str]:
    return list(session.execute(select(col(Platform.pack)).distinct()).scalars()) or ["qinghai-2022"]


def _look(session: Session, office: Office, report: Report, at: datetime) -> None:
    assert report.due_at is not None
    if at < report.due_at:
        report.warned_at = at
        tell(session, outbox.REPORT_DUE_SOON, report, at)
    elif report.lapsed_at is None:
        report.lapsed_at = report.next_rung_at = report.due_at
        tell(session, outbox.REPORT_LAPSED, report, at)
    if report.next_rung_at is not None and report.next_rung_at <= at:
        _climb(session, office, report, at)
    session.add(report)


def _climb(session: Session, office: Office, report: Report, at: datetime) -> None:
    """The highest rung reached by now, once; rung 0 comes with the lapse, the others at 9:00 of their working day (art. 14(8))."""
    assert report.due_at is not None
    assert report.due_on is not None
    platform = session.get_one(Platform, report.platform_id)
    calendar = office.calendars.of(platform.id)
    ladder = load_pack(platform.pack).numbers("reminder_ladder")
    times = [
        report.due_at if days == 0 else datetime.combine(calendar.add(report.due_on, days), time(9), CHINA)
        for days in ladder
    ]
    reached = max(number for number, when in enumerate(times) if when <= at or number == 0)
    rung = min(reached, len(_LADDER) - 1)
    session.add(
        Reminder(
            platform_id=platform.id,
            form=_LADDER[rung],
            rung=rung,
            content=f"“{report.title}”应于{report.due_on.isoformat()}报送，至今尚未报送，请督办主管尽快审核、报送（办法第二十七条）。",
            clocks=[
                {
                    "report": report.id,
                    "kind": clock_kind(report.kind).value,
                    "due_on": report.due_on.isoformat(),
                    "article": ARTICLE,
                }
            ],
            sent_by=SYSTEM.name,
            created_at=at,
        )
    )
    report.rung = reached + 1
    report.next_rung_at = times[reached + 1] if reached + 1 < len(times) else None
