"""The deadline certificate of a stored clock, counted by the law and the calendar it was judged by."""

from sqlmodel import Session

from hotline import calendars
from hotline.models import Clock
from hotline.organisation import OrgUnit, Platform
from workflow.certificate import Certificate, certify
from workflow.deadlines import citizen_since
from workflow.errors import NotFound
from workflow.statute import load as load_pack
from workflow.vocabulary import Act, ClockKind, Party


def certificate_of(session: Session, ticket_id: int, clock_id: int) -> Certificate:
    """How one clock's due date came about. Raises `NotFound` if the ticket has no such clock."""
    clock = session.get(Clock, clock_id)
    if clock is None or clock.ticket_id != ticket_id:
        raise NotFound("该工单没有这个时限。", field="clock")
    platform = session.get_one(Platform, clock.platform_id)
    statute = load_pack(platform.pack)
    limit = statute.limit_by_id(clock.limit_id, clock.law_on)
    home = clock.platform_id
    if clock.party is Party.UNIT and clock.unit_id is not None:
        home = session.get_one(OrgUnit, clock.unit_id).platform_id
    calendar = calendars.as_of(session, clock.calendar_version, home)
    opened_by = Act(clock.opened_by).label
    if clock.kind is ClockKind.CITIZEN:
        since = citizen_since(statute, clock.opened_at, calendar)
        by = opened_by if since == clock.opened_at else "受理后24小时转办期满"
        return certify(limit, statute, calendar, opened_by=by, opened_at=since, kind=clock.kind)
    return certify(
        limit,
        statute,
        calendar,
        opened_by=opened_by,
        opened_at=clock.opened_at,
        length=clock.length if limit.chosen else None,
        extension_days=clock.extension_days,
    )
