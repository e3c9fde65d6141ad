"""The clocks of a case: opened, met, voided, lapsed, as `workflow.deadlines.effect` says of each act."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from calendar_cn.working_days import WorkCalendar
from hotline.access import SYSTEM
from hotline.case import Case, Desk, clock_facts, due_facts, note, record, tell
from hotline.exchange import outbox
from hotline.models import Assignment, Clock
from workflow import deadlines
from workflow.deadlines import UNIT_CLOCKS, Turn, citizen_due, due_of
from workflow.statute import Limit
from workflow.vocabulary import Act, ClockKind, Matter, Party

_ASSIGNMENT_SCOPED = UNIT_CLOCKS | {ClockKind.KNOWLEDGE_UPDATE}
_WHOLE_TICKET = frozenset({Act.MERGE, Act.WITHDRAW})


def turn_clocks(
    desk: Desk,
    case: Case,
    verb: Act,
    turn: Turn,
    *,
    born: bool,
    about: Assignment | None,
    opened_for: Sequence[Assignment],
    days: int | None,
    met_at: datetime | None,
) -> None:
    """Open, meet and void the clocks that `verb` turns; see `desk.act` for what the names mean."""
    effect = deadlines.effect(verb, turn, newborn=born)
    for kind in _in_order(effect.opens):
        open_clock(desk, case, kind, verb, about=_part(kind, about), days=days)
    for part in opened_for:
        for kind in (ClockKind.REPLY, ClockKind.RETURN) if days is None else (ClockKind.REDO,):
            open_clock(desk, case, kind, verb, about=part, days=days)
    for clock in _affected(case, effect.meets, about, whole=verb in _WHOLE_TICKET):
        _meet(desk, case, clock, _met_instant(clock, about, desk.at, met_at))
    for clock in _affected(case, effect.voids, about, whole=verb in _WHOLE_TICKET):
        void(desk, case, clock, verb)


def _in_order(kinds: Iterable[ClockKind]) -> list[ClockKind]:
    return sorted(kinds, key=list(ClockKind).index)


def _part(kind: ClockKind, about: Assignment | None) -> Assignment | None:
    return about if kind in _ASSIGNMENT_SCOPED else None


def _affected(
    case: Case, kinds: frozenset[ClockKind], about: Assignment | None, *, whole: bool
) -> list[Clock]:
    return [
        clock
        for clock in case.running(*kinds)
        if kinds
        and (
            whole
            or clock.kind not in _ASSIGNMENT_SCOPED
            or (about is not None and clock.assignment_id == about.id)
        )
    ]


def _met_instant(clock: Clock, about: Assignment | None, at: datetime, met_at: datetime | None) -> datetime:
    if clock.kind is ClockKind.CITIZEN and about is not None and about.answered_at is not None:
        return about.answered_at
    return met_at or at


def open_clock(
    desk: Desk,
    case: Case,
    kind: ClockKind,
    verb: Act,
    *,
    about: Assignment | None = None,
    days: int | None = None,
) -> Clock:
    """Open one clock of `kind` at `desk.at` (receipt's own clocks: at receipt) and add it to the case."""
    ticket = case.ticket
    at_receipt = kind in deadlines.INTAKE_CLOCKS
    opened_at = ticket.received_at if at_receipt else desk.at
    complex_ = ticket.complex and kind is ClockKind.REPLY and ticket.matter in (Matter.INQUIRY, Matter.HELP)
    limit_kind = ClockKind.REPLY if kind is ClockKind.CITIZEN else kind
    limit = case.statute.limit(limit_kind, case.law_on, ticket.matter, complex_=complex_)
    calendar = calendar_for(desk, case, limit, about)
    if kind is ClockKind.CITIZEN:
        due = citizen_due(case.statute, ticket.matter, opened_at, calendar)
    else:
        due = due_of(
            limit,
            opened_at,
            calendar,
            day_end=case.statute.word("day_end"),
            length=days if limit.chosen else None,
        )
    clock = Clock(
        ticket_id=ticket.id,
        assignment_id=about.id if about else None,
        platform_id=ticket.platform_id,
        unit_id=about.unit_id if about else None,
        kind=kind,
        party=Party.CITIZEN if kind is ClockKind.CITIZEN else limit.party,
        duty=limit.duty and kind is not ClockKind.CITIZEN,
        episode=ticket.episode,
        episode_no=ticket.episode_no,
        limit_id=limit.id,
        law_on=case.law_on,
        statute=case.statute.version,
        article=limit.article,
        length=days if limit.chosen and days else limit.length,
        opened_by=verb.value,
        opened_at=opened_at,
        original_due_on=due.on,
        original_due_at=due.at,
        due_on=due.on,
        due_at=due.at,
        provisional=due.provisional,
        calendar_version=desk.office.calendars.version,
    )
    case.fresh.append(clock)
    case.clocks.append(clock)
    note(case, "opened", clock)
    return clock


def calendar_for(desk: Desk, case: Case, limit: Limit, about: Assignment | None) -> WorkCalendar:
    """Handling clocks use the unit's calendar (its platform's local days off), the others the ticket's platform's."""
    if limit.calendar == "unit" and about is not None:
        return desk.office.calendars.of(desk.office.directory.home(desk.session, about.unit_id))
    return desk.office.calendars.of(case.ticket.platform_id)


def _meet(desk: Desk, case: Case, clock: Clock, at: datetime) -> None:
    if at >= clock.due_at and clock.lapsed_at is None:
        lapse(desk, case, clock)
    if (
        at < clock.due_at and clock.lapsed_at is not None
    ):  # answered in time, recorded late: it never was late
        clock.lapsed_at = None
    clock.met_at = at
    clock.next_rung_at = None
    note(case, "met", clock)


def void(desk: Desk, case: Case, clock: Clock, verb: Act) -> None:
    """Void one clock: the period no longer runs against anybody, and `verb` is why."""
    clock.voided_at = desk.at
    clock.voided_by = verb.value
    clock.next_rung_at = None
    note(case, "voided", clock)


def void_for(desk: Desk, case: Case, part: Assignment, verb: Act) -> None:
    """Void every running unit clock of one part (released, or not kept when another lead is named)."""
    for clock in case.running(*UNIT_CLOCKS, of=part):
        void(desk, case, clock, verb)


def stamp_lapses(desk: Desk, case: Case) -> int:
    """Stamp every clock of the case whose due instant has passed, as of that instant. Returns how many were stamped."""
    passed = [c for c in case.running() if c.lapsed_at is None and c.due_at <= desk.at]
    for clock in sorted(passed, key=lambda c: c.due_at):
        lapse(desk, case, clock)
    return len(passed)


def lapse(desk: Desk, case: Case, clock: Clock) -> None:
    """Stamp one clock late as of its due instant. A right that expires (退单) is stamped without a ledger entry."""
    clock.lapsed_at = clock.due_at
    if not clock.duty and clock.party is not Party.CITIZEN:
        return
    if clock.duty:
        clock.next_rung_at = clock.due_at
    waiting, case.turned = case.turned, {}
    record(
        desk,
        case,
        "lapse",
        before=case.ticket.state,
        article=clock.article,
        payload={"clock": clock_facts(clock)},
        effective_at=clock.due_at,
        actor=SYSTEM,
    )
    case.turned = waiting
    tell(
        desk,
        case,
        outbox.LAPSED,
        clock.unit_id,
        {"clock": due_facts(desk, clock)},
    )
