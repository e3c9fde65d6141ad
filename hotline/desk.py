"""act(): THE door through which a ticket changes. State, clocks, ledger and outbox turn together, in the caller's transaction.

A command takes a ticket up (`take_up` locks it, checks access and the version the caller had seen, and stamps what lapsed
meanwhile), checks what is special to it, and calls `act`. Whoever opened the session commits once.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Integer, and_, bindparam, column, exists, func, literal_column, select
from sqlmodel import col

from hotline import ledger, numbers
from hotline.access import concerns, sees, sees_every_part, sees_file
from hotline.case import Case, Desk, Home, record, tell, write
from hotline.clocks import stamp_lapses, turn_clocks
from hotline.exchange import outbox
from hotline.models import Assignment, Attachment, Clock, Extension, Ticket
from hotline.organisation import CalendarVersion, Platform
from hotline.storage.constant import Constant
from hotline.storage.reading import Entities
from workflow import lifecycle
from workflow.deadlines import Turn
from workflow.errors import NotFound, OutOfSight, RuleBroken, VersionConflict
from workflow.lifecycle import Facts
from workflow.statute import load as load_pack
from workflow.vocabulary import Act, AssignmentStatus, Audience, Level

_SKEW = timedelta(seconds=60)


class ClockBehind(RuleBroken):
    """This machine's time lies before what was already done to the ticket: acts would not stand in their order."""

    code = "clock_behind"


def take_up(desk: Desk, number: str) -> Case:
    """Lock the ticket called `number` and bring it up to `desk.at`; a clock that is up to a minute behind is carried along.

    Raises `NotFound` if there is none the actor may see, `VersionConflict` if somebody acted since the version they had seen,
    `ClockBehind`.
    """
    ticket, home, version = _locked(desk, numbers.parse(number))
    desk.office.calendars.at(desk.session, version)
    case = _case(desk, ticket, home)
    if not sees(desk.actor, ticket, case.assignments):
        raise OutOfSight(
            f"没有编号为 {numbers.spoken(ticket.number)} 的工单，或不在您的权限范围内。", field="number"
        )
    if desk.expected_version is not None and desk.expected_version != ticket.version:
        whole = sees_every_part(desk.actor, case.assignments)
        hidden = _unseen_files(desk, case)
        changes = ledger.changes_since(
            desk.session,
            ticket.id,
            desk.expected_version,
            lambda payload: (
                (whole or concerns(payload, desk.actor.unit_id)) and payload.get("attachment") not in hidden
            ),
        )
        raise VersionConflict(
            f"该工单已被他人更新（您看到的是第 {desk.expected_version} 版，现为第 {ticket.version} 版），请查看变化后重试。",
            extra={"version": ticket.version, "state": ticket.state.value, "changes": changes},
        )
    newest = _newest(case)
    if newest > desk.at:  # another replica's clock runs ahead, or this one was set back
        if newest - desk.at > _SKEW:
            raise ClockBehind(
                "服务器时钟早于该工单最近一次办理的时间，操作没有生效；请联系管理员核对各服务器的时钟，稍后重试。"
            )
        desk.at = newest
    _stamp(desk, case)
    return case


def _stamp(desk: Desk, case: Case) -> None:
    """Stamp what lapsed meanwhile, and write it down at once: whatever becomes of the act, the ledger's head never moves without its entry."""
    if stamp_lapses(desk, case):
        write(desk, case)


def _newest(case: Case) -> datetime:
    """The newest instant anything of the case bears: registered, dispatched, signed, reported, a running period opened."""
    parts = (
        at
        for part in case.assignments
        for at in (part.dispatched_at, part.signed_at, part.answered_at, part.reported_at, part.ended_at)
        if at is not None
    )
    return max((case.ticket.created_at, *parts, *(clock.opened_at for clock in case.clocks)))


def _unseen_files(desk: Desk, case: Case) -> set[int]:
    """The ticket's files this actor may not know of."""
    if not desk.actor.is_unit:
        return set()
    files = desk.session.execute(select(Attachment).where(col(Attachment.ticket_id) == case.ticket.id))
    return {f.id for f in files.scalars() if not sees_file(desk.actor, case.ticket, case.assignments, f)}


_NEWEST_CALENDAR: Any = select(
    func.coalesce(func.max(col(CalendarVersion.id)), literal_column("0"))
).scalar_subquery()
_TICKETS: Final = Entities(Ticket)
_PARTS: Final = Entities(Assignment)
_CLOCKS: Final = Entities(Clock)
_LOCKED: Final = Constant(
    select(
        col(Platform.pack), col(Platform.level), col(Platform.parent_id), _NEWEST_CALENDAR, *_TICKETS.columns
    )
    .join(Platform, col(Platform.id) == col(Ticket.platform_id))
    .where(col(Ticket.number) == bindparam("number"))
    .with_for_update(of=Ticket.__table__)  # type: ignore[attr-defined]
)
_HALVES: Any = (
    func.generate_series(literal_column("1"), literal_column("2"))
    .table_valued(column("half", Integer), name="halves")
    .render_derived()
)
_OF_TICKET: Any = bindparam("ticket")
# A ticket's parts and running clocks, one after the other in one answer, and whether an extension was ever asked for. The clocks' two ends
# stand in one expression so that no partial index of all running clocks looks as good as the ticket's own: on a young table, not analysed
# yet, it would be read whole. The halves are written out: with parameters the statement would be planned anew with each act.
_STANDING: Final = Constant(
    select(
        exists().where(col(Extension.ticket_id) == _OF_TICKET).label("extended"),
        *_PARTS.columns,
        *_CLOCKS.columns,
    )
    .select_from(
        _HALVES.outerjoin(
            Assignment, and_(_HALVES.c.half == literal_column("1"), col(Assignment.ticket_id) == _OF_TICKET)
        ).outerjoin(
            Clock,
            and_(
                _HALVES.c.half == literal_column("2"),
                col(Clock.ticket_id) == _OF_TICKET,
                func.coalesce(col(Clock.met_at), col(Clock.voided_at)).is_(None),
            ),
        )
    )
    .order_by(col(Assignment.id), col(Clock.id))
)


def _locked(desk: Desk, number: str) -> tuple[Ticket, Home, int]:
    desk.session.flush()  # what it holds of the ticket is read anew
    found = _LOCKED.first(desk.session, {"number": number})
    if found is None:
        raise NotFound(f"没有编号为 {numbers.spoken(number)} 的工单，或不在您的权限范围内。", field="number")
    pack, level, parent_id, version, *values = found
    ticket = _TICKETS.of(desk.session, values, anew=True)
    return ticket, Home(ticket.platform_id, pack, Level(level), parent_id), version


def _case(desk: Desk, ticket: Ticket, home: Home) -> Case:
    rows = _STANDING.ask(desk.session, {"ticket": ticket.id})
    middle = 1 + len(_PARTS.columns)
    parts = [_PARTS.of(desk.session, row[1:middle]) for row in rows if row[1] is not None]
    clocks = [_CLOCKS.of(desk.session, row[middle:]) for row in rows if row[middle] is not None]
    return Case(ticket, home, load_pack(home.pack), parts, clocks, extended=rows[0].extended)


def take_up_id(desk: Desk, ticket_id: int) -> Case:
    """Lock a ticket by its key, for tickets reached from another one (并单). No access or version check."""
    number = desk.session.execute(select(col(Ticket.number)).where(col(Ticket.id) == ticket_id)).scalar_one()
    ticket, home, _ = _locked(desk, number)
    case = _case(desk, ticket, home)
    _stamp(desk, case)
    return case


def newborn(desk: Desk, home: Home, ticket: Ticket, calendar_version: int) -> Case:
    """A case for a ticket about to be registered, its key given already; its first act brings it into being.

    `calendar_version` is the newest in the database.
    """
    desk.office.calendars.at(desk.session, calendar_version)
    return Case(ticket, home, load_pack(home.pack), [], [], extended=False, newborn=True, fresh=[ticket])


def act(
    desk: Desk,
    case: Case,
    verb: Act,
    *,
    facts: Facts | None = None,
    turn: Turn | None = None,
    about: Assignment | None = None,
    opened_for: Sequence[Assignment] = (),
    days: int | None = None,
    met_at: datetime | None = None,
    payload: dict[str, Any] | None = None,
) -> Case:
    """Do `verb`: check the move, turn the clocks, write ledger and outbox rows. The caller commits.

    `about` is the unit's part the act speaks of; `opened_for` the parts whose reply clocks open; `days` the length a person
    chose (working days); `met_at` the instant the acting unit's part was finished, `desk.at` unless given.
    Raises `IllegalMove`, `ActNotGranted`, and what `deadlines.due_of` raises.
    """
    ticket = case.ticket
    born = case.newborn
    before = None if born else ticket.state
    turn = turn or Turn()
    after = lifecycle.fire(before, verb, facts or Facts(), desk.actor.roles)
    article = lifecycle.article_of(verb, before)
    ticket.state = after
    if not born:
        ticket.version += 1
    turn_clocks(
        desk, case, verb, turn, born=born, about=about, opened_for=opened_for, days=days, met_at=met_at
    )
    content = dict(payload or {})
    if about is not None:
        content |= {"assignment": about.id, "unit": about.unit_id}
    record(desk, case, verb.value, before=before, article=article, payload=content)
    shared = verb is Act.ATTACH and content.get("audience") == Audience.ALL and "unit" not in content
    _tell(desk, case, outbox.EVENTS[verb], about, opened_for, echoed=shared)
    if turn.learns and about is not None:
        tell(desk, case, outbox.KNOWLEDGE_REQUESTED, about.unit_id, {})
    write(desk, case)
    return case


_OUT = frozenset({AssignmentStatus.RETURNED, AssignmentStatus.RELEASED})


def _tell(
    desk: Desk,
    case: Case,
    kind: str,
    about: Assignment | None,
    opened_for: Sequence[Assignment],
    *,
    echoed: bool,
) -> None:
    """One row for each unit the act speaks of; for the ticket as a whole one for the platform, and echoes for whoever has a part."""
    concerned = list(opened_for) or ([about] if about else [])
    for unit_id in dict.fromkeys(part.unit_id for part in concerned):
        tell(desk, case, kind, unit_id, {})
    if concerned:
        return
    tell(desk, case, kind, None, {})
    if echoed or kind in outbox.ECHOED:
        for unit_id in dict.fromkeys(p.unit_id for p in case.assignments if p.status not in _OUT):
            tell(desk, case, kind, unit_id, {}, echo=True)
