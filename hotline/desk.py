"""act(): THE door through which a ticket changes. State, clocks, ledger and outbox turn together, in the caller's transaction.

A command takes a ticket up (`take_up` locks it, checks access and the version the caller had seen, and stamps what lapsed
meanwhile), checks what is special to it, and calls `act`. Whoever opened the session commits once.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlmodel import Session, col

from calendar_cn.working_days import WorkCalendar
from hotline import ledger, numbers, outbox
from hotline.access import SYSTEM, Actor, concerns, sees, sees_every_part
from hotline.blobs import BlobStore
from hotline.calendars import Calendars
from hotline.models import Assignment, Clock, LedgerEntry, OutboxEvent, Ticket
from hotline.organisation import CalendarVersion, OrgUnit, Platform
from hotline.sealing import Sealer
from workflow import deadlines, lifecycle
from workflow.deadlines import UNIT_CLOCKS, Turn, citizen_due, due_of, local_day
from workflow.errors import NotFound, OrderInvalid, VersionConflict
from workflow.lifecycle import Facts
from workflow.statute import Limit, Statute
from workflow.statute import load as load_pack
from workflow.vocabulary import (
    Act,
    AssignmentRole,
    AssignmentStatus,
    ClockKind,
    Episode,
    Matter,
    Party,
    State,
)

_ASSIGNMENT_SCOPED = UNIT_CLOCKS | {ClockKind.KNOWLEDGE_UPDATE}
_WHOLE_TICKET = frozenset({Act.MERGE, Act.WITHDRAW})
_SKEW = timedelta(seconds=60)
OPEN_PARTS = frozenset({AssignmentStatus.OPEN, AssignmentStatus.RETURN_PROPOSED})


class Directory:
    """Units' codes and home platforms, which never change once given; read once a process."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[str, int]] = {}

    def home(self, session: Session, unit_id: int) -> int:
        """The platform a unit belongs to, whose local days off its clocks follow."""
        return self._entry(session, unit_id)[1]

    def code(self, session: Session, unit_id: int) -> str:
        """A unit's code."""
        return self._entry(session, unit_id)[0]

    def _entry(self, session: Session, unit_id: int) -> tuple[str, int]:
        if unit_id not in self._known:
            statement = select(col(OrgUnit.code), col(OrgUnit.platform_id)).where(col(OrgUnit.id) == unit_id)
            with session.no_autoflush:
                code, platform_id = session.execute(statement).one()
            self._known[unit_id] = (code, platform_id)
        return self._known[unit_id]


@dataclass(slots=True)
class Office:
    """What every desk of one process shares."""

    sealer: Sealer
    blobs: BlobStore
    calendars: Calendars = field(default_factory=Calendars)
    directory: Directory = field(default_factory=Directory)


@dataclass(slots=True)
class Desk:
    """One actor at one instant (`at`, aware) in one transaction.

    `expected_version` is the ticket version the actor had seen (If-Match), or None where they did not say.
    """

    session: Session
    actor: Actor
    at: datetime
    office: Office
    expected_version: int | None = None


@dataclass(slots=True)
class Case:
    """A ticket taken up: locked, with its units' parts and its open clocks."""

    ticket: Ticket
    platform: Platform
    statute: Statute
    assignments: list[Assignment]
    clocks: list[Clock]
    entries: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    turned: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    @property
    def law_on(self) -> Any:
        """The civil day whose law governs this ticket: the day it was received."""
        return local_day(self.ticket.received_at)

    def lead(self) -> Assignment | None:
        """The lead unit's newest part that was not returned or released."""
        live = [a for a in self.assignments if a.role is AssignmentRole.LEAD and a.status in _LIVE]
        return live[-1] if live else None

    def open_parts(self) -> list[Assignment]:
        """The parts still owed, lead first."""
        return sorted(
            (a for a in self.assignments if a.status in OPEN_PARTS),
            key=lambda a: a.role is not AssignmentRole.LEAD,
        )

    def running(self, *kinds: ClockKind, of: Assignment | None = None) -> list[Clock]:
        """Clocks neither met nor voided, of these kinds; with `of`, only that assignment's."""
        return [
            c
            for c in self.clocks
            if c.met_at is None
            and c.voided_at is None
            and (not kinds or c.kind in kinds)
            and (of is None or c.assignment_id == of.id)
        ]


_LIVE = OPEN_PARTS | {AssignmentStatus.REPLIED}


def take_up(desk: Desk, number: str) -> Case:
    """Lock the ticket called `number` and bring it up to `desk.at`.

    Raises `NotFound` if there is none the actor may see, `VersionConflict` if somebody acted since the version they had seen.
    """
    ticket, platform, version = _locked(desk, numbers.parse(number))
    desk.office.calendars.at(desk.session, version)
    case = _case(desk, ticket, platform)
    if not sees(desk.actor, ticket, case.assignments):
        raise NotFound(
            f"没有编号为 {numbers.spoken(ticket.number)} 的工单，或不在您的权限范围内。", field="number"
        )
    if desk.expected_version is not None and desk.expected_version != ticket.version:
        whole = sees_every_part(desk.actor, case.assignments)
        changes = ledger.changes_since(
            desk.session,
            ticket.id,
            desk.expected_version,
            lambda payload: whole or concerns(payload, desk.actor.unit_id),
        )
        raise VersionConflict(
            f"该工单已被他人更新（您看到的是第 {desk.expected_version} 版，现为第 {ticket.version} 版），请查看变化后重试。",
            extra={"version": ticket.version, "state": ticket.state.value, "changes": changes},
        )
    if ticket.created_at > desk.at:  # another replica's clock runs ahead
        if ticket.created_at - desk.at > _SKEW:
            raise OrderInvalid("操作时间早于工单登记时间。", field="at")
        desk.at = ticket.created_at
    stamp_lapses(desk, case)
    return case


def _locked(desk: Desk, number: str) -> tuple[Ticket, Platform, int]:
    newest = select(func.coalesce(func.max(col(CalendarVersion.id)), 0)).scalar_subquery()
    statement = (
        select(Ticket, Platform, newest)
        .join(Platform, col(Platform.id) == col(Ticket.platform_id))
        .where(col(Ticket.number) == number)
        .with_for_update(of=Ticket.__table__)  # type: ignore[attr-defined]
        .execution_options(populate_existing=True)
    )
    found = desk.session.execute(statement).first()
    if found is None:
        raise NotFound(f"没有编号为 {numbers.spoken(number)} 的工单，或不在您的权限范围内。", field="number")
    return found


def _case(desk: Desk, ticket: Ticket, platform: Platform) -> Case:
    assignments = desk.session.execute(
        select(Assignment).where(col(Assignment.ticket_id) == ticket.id).order_by(col(Assignment.id))
    ).scalars()
    clocks = desk.session.execute(
        select(Clock)
        .where(col(Clock.ticket_id) == ticket.id, col(Clock.met_at).is_(None), col(Clock.voided_at).is_(None))
        .order_by(col(Clock.id))
    ).scalars()
    return Case(ticket, platform, load_pack(platform.pack), list(assignments), list(clocks))


def take_up_id(desk: Desk, ticket_id: int) -> Case:
    """Lock a ticket by its key, for tickets reached from another one (并单). No access or version check."""
    number = desk.session.execute(select(col(Ticket.number)).where(col(Ticket.id) == ticket_id)).scalar_one()
    ticket, platform, _ = _locked(desk, number)
    case = _case(desk, ticket, platform)
    stamp_lapses(desk, case)
    return case


def newborn(desk: Desk, platform: Platform, ticket: Ticket) -> Case:
    """A case for a ticket about to be registered; its first act brings it into being."""
    version = desk.session.execute(select(func.coalesce(func.max(col(CalendarVersion.id)), 0))).scalar_one()
    desk.office.calendars.at(desk.session, version)
    return Case(ticket, platform, load_pack(platform.pack), [], [])


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
    born = ticket.id is None
    before = None if born else ticket.state
    turn = turn or Turn()
    after = lifecycle.fire(before, verb, facts or Facts(), desk.actor.roles)
    article = lifecycle.article_of(verb, before)
    ticket.state = after
    if born:
        desk.session.add(ticket)
        desk.session.flush()
    else:
        ticket.version += 1
    _turn_clocks(
        desk, case, verb, turn, born=born, about=about, opened_for=opened_for, days=days, met_at=met_at
    )
    content = dict(payload or {})
    if about is not None:
        content |= {"assignment": about.id, "unit": about.unit_id}
    record(desk, case, verb.value, before=before, article=article, payload=content)
    _tell(desk, case, outbox.EVENTS[verb], about, opened_for)
    write(desk, case)
    return case


def record(
    desk: Desk,
    case: Case,
    name: str,
    *,
    before: State | None,
    article: str | None,
    payload: dict[str, Any],
    effective_at: datetime | None = None,
    actor: Actor | None = None,
) -> None:
    """Chain one entry to the ticket's ledger; `write` inserts it."""
    who = actor or desk.actor
    entry = ledger.append(
        case.ticket,
        {
            "ticket_id": case.ticket.id,
            "act": name,
            "actor_kind": who.kind,
            "actor_id": who.id,
            "actor_name": who.name,
            "from_state": before.value if before else None,
            "to_state": case.ticket.state.value,
            "article": article,
            "effective_at": (effective_at or desk.at).astimezone(UTC),
            "recorded_at": desk.at.astimezone(UTC),
            "payload": payload | case.turned,
        },
    )
    case.turned = {}
    case.entries.append(entry)


def tell(desk: Desk, case: Case, kind: str, unit_id: int | None, data: dict[str, Any]) -> None:
    """Queue one outbox row about the ticket as it now stands."""
    ticket = case.ticket
    case.events.append(
        outbox.row(
            kind,
            ticket_id=ticket.id,
            seq=ticket.ledger_seq,
            platform_id=ticket.platform_id,
            unit_id=unit_id,
            data={"number": ticket.number, "state": ticket.state.value, "version": ticket.version} | data,
            at=desk.at.astimezone(UTC),
        )
    )


def _tell(
    desk: Desk, case: Case, kind: str, about: Assignment | None, opened_for: Sequence[Assignment]
) -> None:
    concerned = list(opened_for) or ([about] if about else case.open_parts())
    for unit_id in dict.fromkeys(a.unit_id for a in concerned) or [None]:
        tell(desk, case, kind, unit_id, {})


def write(desk: Desk, case: Case) -> None:
    """Send the case's changed rows, ledger entries and outbox rows to the database, in this transaction."""
    desk.session.flush()
    if case.entries:
        desk.session.execute(insert(LedgerEntry.__table__), case.entries)  # type: ignore[attr-defined]
        case.entries = []
    if case.events:
        desk.session.execute(insert(OutboxEvent.__table__), case.events)  # type: ignore[attr-defined]
        case.events = []


# --- clocks ----------------------------------------------------------------------------------------------------------


def _turn_clocks(
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


def note(case: Case, what: str, clock: Clock, **more: Any) -> None:
    """Remember that a clock was opened, met, voided or moved; the ticket's next ledger entry says so."""
    case.turned.setdefault(what, []).append(_told(clock) | more)


def _told(clock: Clock) -> dict[str, Any]:
    told: dict[str, Any] = {"kind": clock.kind.value, "party": clock.party.value, "unit": clock.unit_id}
    told |= {
        "episode": clock.episode.value,
        "episode_no": clock.episode_no,
        "assignment": clock.assignment_id,
    }
    told["opened_at"] = clock.opened_at.astimezone(UTC).isoformat()
    told["due_at"] = clock.due_at.astimezone(UTC).isoformat()
    if clock.met_at is not None:
        told["met_at"] = clock.met_at.astimezone(UTC).isoformat()
    return told


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
    desk.session.add(clock)
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
    desk.session.add(clock)
    note(case, "met", clock)


def void(desk: Desk, case: Case, clock: Clock, verb: Act) -> None:
    """Void one clock: the period no longer runs against anybody, and `verb` is why."""
    clock.voided_at = desk.at
    clock.voided_by = verb.value
    clock.next_rung_at = None
    desk.session.add(clock)
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
    desk.session.add(clock)
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
        payload={"clock": _told(clock)},
        effective_at=clock.due_at,
        actor=SYSTEM,
    )
    case.turned = waiting
    tell(
        desk,
        case,
        outbox.LAPSED,
        clock.unit_id,
        {"kind": clock.kind.value, "due_at": clock.due_at.isoformat()},
    )


def begin_episode(ticket: Ticket, episode: Episode) -> None:
    """A new 办理轮次 begins."""
    ticket.episode = episode
    ticket.episode_no += 1
