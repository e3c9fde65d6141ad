"""The working days as a table, for handling times in SQL: kept like the calendars in force."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, text
from sqlmodel import Session, col

from calendar_cn.working_days import WorkCalendar
from hotline.calendars import newest_version
from hotline.case import Office
from hotline.organisation import Platform
from hotline.reporting.tables import CountedDay, CountState
from workflow.deadlines import local_day

SINCE: Final = date(2020, 1, 1)
_AHEAD: Final = timedelta(days=40)
_DAY: Final = timedelta(days=1)


def keep(session: Session, office: Office, state: CountState, at: datetime) -> bool:
    """Write the days anew where a calendar or a platform was added or they run out; whether they were. The caller commits.

    A reply whose handling time a changed day lies in is put down to be counted anew.
    """
    version = newest_version(session)
    platforms = session.execute(select(func.count()).select_from(Platform)).scalar_one()
    today = local_day(at)
    if (state.calendar_version, state.platforms) == (version, platforms) and (
        state.days_until is not None and today + _AHEAD / 2 <= state.days_until
    ):
        return False
    office.calendars.at(session, version)
    until = today + _AHEAD
    for platform_id in session.execute(select(col(Platform.id)).order_by(col(Platform.id))).scalars().all():
        _write(session, platform_id, list(_days(office.calendars.of(platform_id), until)))
    state.calendar_version, state.platforms, state.days_until = version, platforms, until
    session.add(state)
    session.flush()
    return True


def _days(calendar: WorkCalendar, until: date) -> Iterator[tuple[date, bool, int]]:
    day, rank = SINCE, 0
    while day <= until:
        working = calendar.is_working_day(day)
        rank += working
        yield day, working, rank
        day += _DAY


def _write(session: Session, platform_id: int, days: list[tuple[date, bool, int]]) -> None:
    told = session.execute(
        select(col(CountedDay.day), col(CountedDay.working)).where(col(CountedDay.platform_id) == platform_id)
    )
    known: dict[date, bool] = {day: working for day, working in told}  # noqa: C416
    changed = [day for day, working, _ in days if known.get(day, working) != working]
    if not changed and len(known) == len(days):
        return
    session.execute(delete(CountedDay).where(col(CountedDay.platform_id) == platform_id))
    rows: list[dict[str, Any]] = [
        {"platform_id": platform_id, "day": day, "working": working, "rank": rank}
        for day, working, rank in days
    ]
    session.execute(insert(CountedDay), rows)
    if changed:
        values = {"platform": platform_id, "first": changed[0] - _DAY, "last": changed[-1] + 2 * _DAY}
        session.execute(text(_RECOUNT), values)


_RECOUNT: Final = """
INSERT INTO report_waiting (what, ref_id)
SELECT DISTINCT 'ticket', c.ticket_id FROM clocks c
JOIN units u ON u.id = c.unit_id JOIN tickets t ON t.id = c.ticket_id
WHERE c.kind = 'reply' AND u.platform_id = :platform AND c.met_at >= :first AND t.received_at < :last
"""
