"""What people and programs are shown of a ticket. Callers' personal data is masked here, always."""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import BigInteger, any_, bindparam, exists, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Session, col

from hotline import ledger, numbers
from hotline.access import Actor, concerns, may_open, sees_every_part, sees_file
from hotline.aftercare import MAIN_ANSWERED
from hotline.auditing.trail import Original
from hotline.case import OPEN_PARTS, Office
from hotline.models import (
    Assignment,
    Attachment,
    CallbackAttempt,
    Clock,
    ClockMove,
    Extension,
    LedgerEntry,
    Reply,
    ReturnProposal,
    Review,
    Ticket,
)
from hotline.notifying import telling
from hotline.organisation import OrgUnit, Person
from hotline.privacy.concealment import cleaned, cleaner, known_of
from hotline.privacy.masking import mask_name, mask_phone
from hotline.privacy.sealing import Sealer
from hotline.queue_rows import Row
from hotline.shapes import (
    ActResult,
    CallbackView,
    CallerView,
    ClockView,
    EntryView,
    ExtensionView,
    FileView,
    PartView,
    ReplyView,
    ReturnView,
    ReviewView,
    TicketLine,
    TicketView,
)
from hotline.storage.constant import Constant
from hotline.storage.reading import Entities
from workflow.deadlines import CHINA
from workflow.errors import IllegalMove
from workflow.lifecycle import Facts, fire, open_acts
from workflow.vocabulary import (
    UNIT_STAFF,
    Act,
    AssignmentRole,
    AssignmentStatus,
    ClockKind,
    Episode,
    FileClass,
    Mark,
    Matter,
    PersonalField,
    Role,
    State,
)

_OF_TICKET: Final[dict[Any, Any]] = {
    table: col(table.ticket_id)
    for table in (Reply, Review, CallbackAttempt, Extension, ReturnProposal, Attachment)
} | {Ticket: col(Ticket.merged_into_id)}
"""Tables with rows of a ticket, beside its parts and clocks, and by which column; of the tickets themselves those merged into it."""
_THERE: Final = Constant(
    select(
        *(exists().where(column == bindparam("ticket")) for column in _OF_TICKET.values()),
        select(col(Person.name)).where(col(Person.id) == bindparam("receiver")).scalar_subquery(),
    )
)
_UNITS: Final = Constant(
    select(col(OrgUnit.id), col(OrgUnit.code), col(OrgUnit.name)).where(
        col(OrgUnit.id) == any_(bindparam("ids", type_=ARRAY(BigInteger)))
    )
)


@cache
def _of_ticket(table: Any) -> tuple[Entities[Any], Constant]:
    """A ticket's rows of a table, in the order they were made."""
    entities = Entities[Any](table)
    of_ticket = select(*entities.columns).where(col(table.ticket_id) == bindparam("ticket"))
    return entities, Constant(of_ticket.order_by(col(table.id)))


class Reader:
    """Reads tickets for one actor at one instant."""

    def __init__(self, session: Session, actor: Actor, office: Office, at: datetime) -> None:
        self.session = session
        self.actor = actor
        self.office = office
        self.at = at

    def line(self, row: Row) -> TicketLine:
        """A queue's row as people see it."""
        ticket = row.ticket
        worker = row.part if self.actor.is_unit else row.lead
        return TicketLine(
            number=ticket.number,
            state=ticket.state,
            matter=ticket.matter,
            channel=ticket.channel,
            category=ticket.category_code,
            area=ticket.area_code,
            title=cleaner(self.office.sealer, self.actor, ticket)(ticket.title),
            received_at=ticket.received_at,
            lead=row.lead.name if row.lead else None,
            due_at=row.due_at,
            due_kind=ClockKind(row.due_kind) if row.due_kind else None,
            overdue=self._is_late(row),
            version=ticket.version,
            lead_code=row.lead.unit if row.lead else None,
            area_name=row.area,
            category_name=row.category,
            due_on=row.due_on,
            working_days_left=self._days_left(row),
            marks=self._marks(row),
            receiver=row.receiver,
            handler=worker.signed_by if worker else None,
            role=row.part.role if row.part else None,
            part=row.part.status if row.part else None,
        )

    def _is_late(self, row: Row) -> bool:
        return row.lapsed or (row.due_at is not None and row.due_at <= self.at)

    def _days_left(self, row: Row) -> int | None:
        if row.due_on is None:
            return None
        home = row.ticket.platform_id
        if row.due_unit is not None:
            home = self.office.directory.home(self.session, row.due_unit)
        return self.office.calendars.of(home).between(self.at.astimezone(CHINA).date(), row.due_on)

    def _marks(self, row: Row) -> list[Mark]:
        """What should catch the eye, the most urgent first."""
        ticket = row.ticket
        late = self._is_late(row)
        today = row.due_on == self.at.astimezone(CHINA).date()
        shown = {
            Mark.OVERDUE: late,
            Mark.DUE_TODAY: today and not late,
            Mark.EMERGENCY: ticket.emergency_id is not None,
            Mark.REMINDED: row.reminded > 0,
            Mark.REDO: ticket.episode is Episode.REDO,
            Mark.SUPPLEMENT: ticket.episode is Episode.SUPPLEMENT,
            Mark.RETURNED: row.returned,
            Mark.EXTENSION_ASKED: row.extension_asked,
            Mark.CONFIDENTIAL: ticket.confidential,
            Mark.COMPLEX: ticket.complex,
        }
        return [mark for mark in Mark if shown[mark]]

    def result(
        self,
        ticket: Ticket,
        parts: Sequence[Assignment],
        clocks: Iterable[Clock],
        *,
        there: Container[Any] = _OF_TICKET,
    ) -> ActResult:
        """A ticket after an act, from the rows the act had at hand; `there` are tables that may have rows of it."""
        mine = self._own(parts)
        seen = [c for c in clocks if mine is None or c.unit_id in (None, self.actor.unit_id)]
        return ActResult(
            number=ticket.number,
            spoken=numbers.spoken(ticket.number),
            state=ticket.state,
            version=ticket.version,
            acts=self.acts(ticket, parts, seen, there),
            clocks=[self._clock(c, ticket) for c in seen],
        )

    def whole(self, ticket: Ticket) -> TicketView:
        """A ticket whole. A co-unit sees only its own part's replies, extensions and returns."""
        parts = self._all(Assignment, ticket)
        own = self._own(parts)
        ids = {p.id for p in (own if own is not None else parts)}
        units = self._units({p.unit_id for p in parts})
        of_part = {p.id: units[p.unit_id].code for p in parts}
        there, receiver = self._there(ticket)
        brief = self.result(ticket, parts, self._all(Clock, ticket), there=there)

        def some(table: Any) -> list[Any]:
            return self._all(table, ticket) if table in there else []

        merged_into = self.session.get(Ticket, ticket.merged_into_id) if ticket.merged_into_id else None
        merged = self._merged(ticket) if Ticket in there and own is None else []
        view = TicketView(
            **brief.model_dump(),
            matter=ticket.matter,
            channel=ticket.channel,
            category=ticket.category_code,
            area=ticket.area_code,
            title=ticket.title,
            content=ticket.content,
            received_at=ticket.received_at,
            created_at=ticket.created_at,
            first_receiver=receiver,
            caller=self._caller(ticket, parts),
            complex=ticket.complex,
            episode=ticket.episode,
            episode_no=ticket.episode_no,
            outcome=ticket.outcome,
            knowledge_told=ticket.knowledge_told,
            merged_into=merged_into.number if merged_into and own is None else None,
            merged=merged,
            ended_at=ticket.ended_at,
            archived_at=ticket.archived_at,
            parts=[self._part(p, units[p.unit_id]) for p in parts if p.id in ids],
            replies=[_reply(r, of_part) for r in some(Reply) if r.assignment_id in ids],
            reviews=[ReviewView(**r.model_dump()) for r in some(Review) if own is None],
            callbacks=[CallbackView(**c.model_dump()) for c in some(CallbackAttempt) if own is None],
            extensions=[_extension(e, of_part) for e in some(Extension) if e.assignment_id in ids],
            returns=[self._return(r, of_part) for r in some(ReturnProposal) if r.assignment_id in ids],
            attachments=[
                FileView(**f.model_dump())
                for f in (self._files(ticket, parts) if Attachment in there else [])
            ],
        )
        caller = view.caller
        view = cleaned(view, cleaner(self.office.sealer, self.actor, ticket))
        view.caller = caller  # masked already
        return view

    def _there(self, ticket: Ticket) -> tuple[frozenset[Any], str | None]:
        """Which tables have rows of this ticket at all (most tickets have none in most of them), and who received it first."""
        asked = {"ticket": ticket.id, "receiver": ticket.first_receiver_id}
        *there, receiver = _THERE.first(self.session, asked)
        some = frozenset(table for table, is_there in zip(_OF_TICKET, there, strict=True) if is_there)
        return some, receiver

    def _merged(self, ticket: Ticket) -> list[str]:
        statement = select(col(Ticket.number)).where(col(Ticket.merged_into_id) == ticket.id)
        return list(self.session.execute(statement.order_by(col(Ticket.id))).scalars())

    def _caller(self, ticket: Ticket, parts: Sequence[Assignment]) -> CallerView:
        opens = may_open(self.actor, ticket, parts, PersonalField.PHONE)
        if self.actor.is_unit and not opens:  # not even masked: art. 15, 34(2)
            return CallerView(
                name=None,
                phone=None,
                has_address=False,
                has_id_number=False,
                confidential=ticket.confidential,
            )
        return caller_view(self.office.sealer, ticket)

    def _files(self, ticket: Ticket, parts: Sequence[Assignment]) -> list[Attachment]:
        return [f for f in self._all(Attachment, ticket) if sees_file(self.actor, ticket, parts, f)]

    def timeline(self, ticket: Ticket) -> list[EntryView]:
        """The ticket's history. A co-unit sees what concerns the ticket as a whole and its own part, not the other units' part."""
        parts = self._all(Assignment, ticket)
        own = self._own(parts)
        entries = ledger.entries_of(self.session, ticket.id)
        if own is not None:
            entries = [e for e in entries if concerns(e.payload, self.actor.unit_id)]
        if self.actor.is_unit:
            files = {f.id for f in self._files(ticket, parts)}
            entries = [e for e in entries if e.payload.get("attachment", None) in files | {None}]
        originals = set() if self.actor.is_unit else self._originals(ticket)
        clean = cleaner(self.office.sealer, self.actor, ticket)
        shown = [cleaned(_entry(e, original=e.seq in originals), clean) for e in entries]
        self._add_told(ticket, shown)
        return shown

    def _add_told(self, ticket: Ticket, entries: Sequence[EntryView]) -> None:
        """Say with each entry who was told of it; what is about an entry not shown here stands with the one before it."""
        for seq, told in sorted(telling.told_of(self.session, self.actor, ticket.id).items()):
            before = [entry for entry in entries if entry.seq <= seq] or list(entries[:1])
            if before:
                before[-1].told = [*before[-1].told, *told]

    def _originals(self, ticket: Ticket) -> set[int]:
        rows = self.session.execute(select(col(Original.seq)).where(col(Original.ticket_id) == ticket.id))
        return set(rows.scalars())

    def clock_moves(self, clock_id: int) -> list[ClockMove]:
        """How a clock's due date came to be what it is, oldest first."""
        statement = select(ClockMove).where(col(ClockMove.clock_id) == clock_id).order_by(col(ClockMove.id))
        return list(self.session.execute(statement).scalars())

    # --- what may be done next -----------------------------------------------------------------------------------

    def acts(
        self,
        ticket: Ticket,
        parts: Sequence[Assignment],
        clocks: Sequence[Clock],
        there: Container[Any] = _OF_TICKET,
    ) -> list[Act]:
        """The acts this actor could do now: the table's moves, narrowed by the facts of the ticket."""
        offered = open_acts(ticket.state, self.actor.roles)
        if self.actor.is_unit:
            return self._unit_acts(ticket, parts, clocks, offered, there)
        if ticket.platform_id not in self.actor.platform_ids:
            return []
        facts = self._platform_facts(ticket, parts, clocks, there)
        return [act for act in offered if act not in facts or facts[act]()]

    def _unit_acts(
        self,
        ticket: Ticket,
        parts: Sequence[Assignment],
        clocks: Sequence[Clock],
        offered: Sequence[Act],
        there: Container[Any],
    ) -> list[Act]:
        own = [p for p in parts if p.unit_id == self.actor.unit_id]
        if not own:
            return []
        part = own[-1]
        running = {
            c.kind for c in clocks if c.assignment_id == part.id and c.met_at is None and c.voided_at is None
        }
        in_time = {
            c.kind for c in clocks if c.assignment_id == part.id and c.met_at is None and c.due_at > self.at
        }
        owes = part.status in OPEN_PARTS  # a proposed return stops neither the clock nor the work
        signed = part.signed_at is not None
        may = {
            Act.SIGN: owes and not signed,
            Act.PROPOSE_RETURN: part.status is AssignmentStatus.OPEN
            and ClockKind.RETURN in in_time
            and part.reported_at is None,
            Act.CONVERT_TO_COMPLEX: owes
            and ClockKind.REPLY in in_time
            and not ticket.complex
            and ticket.matter in (Matter.INQUIRY, Matter.HELP),
            Act.REQUEST_EXTENSION: owes
            and ClockKind.REPLY in in_time
            and not (Extension in there and self._extension(ticket, pending=True)),
            Act.REPORT_PROGRESS: owes,
            Act.ANSWER_CITIZEN: ticket.state is State.MERGED
            or (owes and signed and part.answered_at is None),
            Act.REPLY: owes and signed and part.reported_at is None,
            Act.UPDATE_KNOWLEDGE: ClockKind.KNOWLEDGE_UPDATE in running,
        }
        facts = Facts(by_lead=part.role is AssignmentRole.LEAD, signed=signed)
        return [act for act in offered if may.get(act, True) and self._legal(ticket.state, act, facts)]

    def _legal(self, state: State, act: Act, facts: Facts) -> bool:
        try:
            fire(state, act, facts, self.actor.roles & UNIT_STAFF)
        except IllegalMove:
            return False
        return True

    def _platform_facts(
        self,
        ticket: Ticket,
        parts: Sequence[Assignment],
        clocks: Sequence[Clock],
        there: Container[Any],
    ) -> dict[Act, Callable[[], bool]]:
        returning = any(p.status is AssignmentStatus.RETURN_PROPOSED for p in parts)
        has_parts = bool(parts)
        extended = has_parts and Extension in there
        return {
            Act.UPHOLD_RETURN: lambda: returning,
            Act.REJECT_RETURN: lambda: returning,
            Act.APPROVE_EXTENSION: lambda: extended and self._extension(ticket, pending=True),
            Act.REFUSE_EXTENSION: lambda: extended and self._extension(ticket, pending=True),
            Act.NOTIFY_EXTENSION: lambda: extended and self._extension(ticket, pending=False),
            Act.RELEASE_UNIT: lambda: any(
                p.role is AssignmentRole.CO and p.status in OPEN_PARTS for p in parts
            ),
            Act.RECORD_CALLBACK: lambda: (
                ticket.state is not State.MERGED
                or (
                    any(
                        c.kind is ClockKind.CALLBACK and c.met_at is None and c.voided_at is None
                        for c in clocks
                    )
                    and self._main_answered(ticket)
                )
            ),
            Act.HAND_OVER: lambda: (
                Role.SUPERVISOR in self.actor.roles or ticket.first_receiver_id == self.actor.id
            ),
            Act.REMIND: lambda: any(p.status in OPEN_PARTS for p in parts),
            Act.FLAG: lambda: has_parts,
            Act.HOLD_RECORDING: lambda: Attachment in there and self._has_recording(ticket),
            Act.KEEP_CONFIDENTIAL: lambda: not ticket.confidential,
        }

    def _main_answered(self, ticket: Ticket) -> bool:
        main = self.session.get(Ticket, ticket.merged_into_id)
        return main is not None and main.state in MAIN_ANSWERED

    def _has_recording(self, ticket: Ticket) -> bool:
        statement = select(col(Attachment.id)).where(
            col(Attachment.ticket_id) == ticket.id,
            col(Attachment.file_class) == FileClass.RECORDING,
            col(Attachment.destroyed_at).is_(None),
        )
        return self.session.execute(statement.limit(1)).first() is not None

    def _extension(self, ticket: Ticket, *, pending: bool) -> bool:
        tests = [col(Extension.ticket_id) == ticket.id]
        tests += (
            [col(Extension.approved).is_(None)]
            if pending
            else [col(Extension.approved).is_(True), col(Extension.caller_told_at).is_(None)]
        )
        if self.actor.is_unit:
            tests.append(col(Assignment.unit_id) == self.actor.unit_id)
        statement = select(col(Extension.id)).join(
            Assignment, col(Assignment.id) == col(Extension.assignment_id)
        )
        return self.session.execute(statement.where(*tests).limit(1)).first() is not None

    # --- pieces ---------------------------------------------------------------------------------------------------

    def _own(self, parts: Sequence[Assignment]) -> list[Assignment] | None:
        """The acting co-unit's own parts; None where everything may be seen (platform staff, the lead unit)."""
        if sees_every_part(self.actor, parts):
            return None
        return [p for p in parts if p.unit_id == self.actor.unit_id]

    def _all(self, table: Any, ticket: Ticket) -> list[Any]:
        self.session.flush()
        entities, statement = _of_ticket(table)
        return [entities.of(self.session, row) for row in statement.ask(self.session, {"ticket": ticket.id})]

    def _units(self, ids: set[int]) -> dict[int, Any]:
        """Keys, codes and names of these units, by key."""
        return {unit.id: unit for unit in _UNITS.ask(self.session, {"ids": sorted(ids)})} if ids else {}

    def _clock(self, clock: Clock, ticket: Ticket) -> ClockView:
        stopped = clock.met_at is not None or clock.voided_at is not None
        directory = self.office.directory
        home = directory.home(self.session, clock.unit_id) if clock.unit_id else ticket.platform_id
        calendar = self.office.calendars.of(home)
        left = None if stopped else calendar.between(self.at.astimezone(CHINA).date(), clock.due_on)
        code = directory.code(self.session, clock.unit_id) if clock.unit_id else None
        return ClockView(**clock.model_dump(), unit=code, working_days_left=left)

    def _part(self, part: Assignment, unit: Any) -> PartView:
        return PartView(**part.model_dump(), unit=unit.code, unit_name=unit.name)

    def _return(self, proposal: ReturnProposal, of_part: Mapping[int, str]) -> ReturnView:
        suggested = (
            self.session.get(OrgUnit, proposal.suggested_unit_id) if proposal.suggested_unit_id else None
        )
        return ReturnView(
            **proposal.model_dump(),
            unit=of_part[proposal.assignment_id],
            suggested_unit=suggested.code if suggested else None,
        )


def caller_view(sealer: Sealer, ticket: Ticket) -> CallerView:
    """The caller, masked."""
    known = known_of(sealer, ticket)
    return CallerView(
        name=mask_name(known.name),
        phone=mask_phone(known.phone),
        has_address=ticket.caller_address is not None,
        has_id_number=ticket.caller_id_number is not None,
        confidential=ticket.confidential,
    )


def _reply(reply: Reply, of_part: Mapping[int, str]) -> ReplyView:
    return ReplyView(**reply.model_dump(), unit=of_part[reply.assignment_id])


def _extension(extension: Extension, of_part: Mapping[int, str]) -> ExtensionView:
    return ExtensionView(**extension.model_dump(), unit=of_part[extension.assignment_id])


def _entry(entry: LedgerEntry, *, original: bool) -> EntryView:
    return EntryView(
        **entry.model_dump(exclude={"hash"}),
        actor=entry.actor_name,
        has_original=original,
        hash=entry.hash.hex(),
    )
