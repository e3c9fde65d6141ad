"""A desk and the case on it: who acts when, on which ticket, with what already noted for the ledger and the outbox."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from hotline import ledger
from hotline.access import Actor
from hotline.auditing import audit
from hotline.auditing.policy import Policy
from hotline.auditing.signing import Signer
from hotline.auditing.trail import Original
from hotline.calendars import Calendars
from hotline.desks.grams import Commonness
from hotline.exchange import outbox
from hotline.models import (
    Assignment,
    Attachment,
    CallbackAttempt,
    Clock,
    Extension,
    LedgerEntry,
    OutboxEvent,
    Reply,
    Review,
    Ticket,
)
from hotline.organisation import OrgUnit
from hotline.privacy.masking import Known
from hotline.privacy.sealing import Sealer, of_original
from hotline.storage.blobs import BlobStore
from hotline.storage.together import Batch, write_together
from workflow.deadlines import local_day
from workflow.statute import Statute
from workflow.vocabulary import AssignmentRole, AssignmentStatus, ClockKind, Episode, Level, State

OPEN_PARTS = frozenset({AssignmentStatus.OPEN, AssignmentStatus.RETURN_PROPOSED})
_LIVE = OPEN_PARTS | {AssignmentStatus.REPLIED}


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
    policy: Policy = field(default_factory=Policy)
    signer: Signer | None = None
    unknown: audit.Unknown = field(default_factory=audit.Unknown)
    commonness: Commonness = field(default_factory=Commonness)


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


@dataclass(frozen=True, slots=True)
class Home:
    """What acts need to know of a ticket's platform: its key, the statute it follows (`pack`), its level and its superior's key."""

    id: int
    pack: str
    level: Level
    parent_id: int | None


@dataclass(slots=True)
class Case:
    """A ticket taken up: locked, with its units' parts (a sweep takes it up without them) and its open clocks.

    `extended` unless no unit ever asked for an extension. `newborn` until its row is written; `fresh` are the
    rows the act under way makes, its own among them, `beside` those that go with it as they are. `known` is what is known of its caller, once it
    was asked; `originals` are what was really typed in the act under way, by path, where personal data was masked in it.
    """

    ticket: Ticket
    home: Home
    statute: Statute
    assignments: list[Assignment]
    clocks: list[Clock]
    entries: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    turned: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    extended: bool = True
    newborn: bool = False
    fresh: list[Any] = field(default_factory=list)
    beside: list[Batch] = field(default_factory=list)
    known: Known | None = None
    originals: dict[str, str] = field(default_factory=dict)
    sealed: list[dict[str, Any]] = field(default_factory=list)

    @property
    def there(self) -> frozenset[Any]:
        """Tables that may have rows of this ticket; see `Reader.result`."""
        return frozenset({Attachment, Extension} if self.extended else {Attachment})

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
    """Chain one entry to the ticket's ledger; `write` inserts it. An entry of the desk's own actor takes the originals with it."""
    who = actor or desk.actor
    if case.originals and actor is None:
        payload = payload | {"concealed": sorted(case.originals)}
        _seal_originals(desk, case)
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
        desk.office.policy.algorithm,
    )
    case.turned = {}
    case.entries.append(entry)


def _seal_originals(desk: Desk, case: Case) -> None:
    number, seq = case.ticket.number, case.ticket.ledger_seq + 1
    content = json.dumps(case.originals, ensure_ascii=False)
    sealed = desk.office.sealer.seal(content, of_original(number, seq))
    case.sealed.append({"ticket_id": case.ticket.id, "seq": seq, "sealed": sealed})
    case.originals = {}


def tell(
    desk: Desk, case: Case, kind: str, unit_id: int | None, data: dict[str, Any], *, echo: bool = False
) -> None:
    """Queue one outbox row about the ticket as it now stands, with the periods that run against whom it is for."""
    ticket = case.ticket
    case.events.append(
        outbox.row(
            kind,
            ticket_id=ticket.id,
            seq=ticket.ledger_seq,
            platform_id=ticket.platform_id,
            unit_id=unit_id,
            data=_stand(desk, case, unit_id) | data,
            at=desk.at.astimezone(UTC),
            echo=echo,
        )
    )


def _stand(desk: Desk, case: Case, unit_id: int | None) -> dict[str, Any]:
    ticket = case.ticket
    return {
        "number": ticket.number,
        "state": ticket.state.value,
        "version": ticket.version,
        "clocks": [
            due_facts(desk, clock) for clock in case.running() if unit_id is None or clock.unit_id == unit_id
        ],
    }


def due_facts(desk: Desk, clock: Clock) -> dict[str, Any]:
    """What a subscriber is told of one period: whose it is, when it is due, whether it is late."""
    code = desk.office.directory.code(desk.session, clock.unit_id) if clock.unit_id is not None else None
    return {
        "kind": clock.kind.value,
        "unit": code,
        "due_on": clock.due_on.isoformat(),
        "due_at": clock.due_at.astimezone(UTC).isoformat(),
        "lapsed": clock.lapsed_at is not None,
    }


def note(case: Case, what: str, clock: Clock, **more: Any) -> None:
    """Remember that a clock was opened, met, voided or moved; the ticket's next ledger entry says so."""
    case.turned.setdefault(what, []).append(clock_facts(clock) | more)


def clock_facts(clock: Clock) -> dict[str, Any]:
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


_PLAIN: Final = frozenset({Ticket, Assignment, Clock, Reply, Review, CallbackAttempt})
"""What acts change and add that goes in one statement with what they append."""


def write(desk: Desk, case: Case) -> None:
    """Send the case's changed rows, ledger entries and outbox rows to the database, in this transaction."""
    fresh, case.fresh, case.newborn = case.fresh, [], False
    write_together(desk.session, _PLAIN, _taken(case), fresh)


def _taken(case: Case) -> list[Batch]:
    """What the case has to append, taken from it."""
    noted: list[Batch] = [
        (LedgerEntry.__table__, case.entries),  # type: ignore[attr-defined]
        (Original.__table__, case.sealed),  # type: ignore[attr-defined]
        (OutboxEvent.__table__, case.events),  # type: ignore[attr-defined]
        *case.beside,
    ]
    case.entries, case.events, case.sealed, case.beside = [], [], [], []
    return noted


def begin_episode(ticket: Ticket, episode: Episode) -> None:
    """A new 办理轮次 begins."""
    ticket.episode = episode
    ticket.episode_no += 1
