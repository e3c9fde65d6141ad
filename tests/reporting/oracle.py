"""Every indicator read from the tickets' own rows by plain Python loops, as the definitions say in words; nothing of the code under test."""

from collections.abc import Iterable
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlmodel import Session, col

from calendar_cn.working_days import WorkCalendar
from hotline.assessing.tables import SampledTicket
from hotline.desks.tables import Call
from hotline.models import Assignment, CallbackAttempt, Clock, LedgerEntry, ReturnProposal, Review, Ticket
from hotline.reporting.periods import Period
from workflow.vocabulary import CallbackOutcome as C
from workflow.vocabulary import ClockKind as K
from workflow.vocabulary import State

CHINA = ZoneInfo("Asia/Shanghai")
Read = tuple[int, int | None, int | None]


def day(at: datetime) -> date:
    return at.astimezone(CHINA).date()


def read(session: Session, period: Period, today: date) -> dict[str, Read]:
    """Numerator, denominator and median of every indicator, of everything in this database."""

    def rows(table: Any) -> list[Any]:
        return list(session.execute(select(table).order_by(table.id)).scalars())

    def within(at: datetime) -> bool:
        return period.first <= day(at) <= period.last

    tickets = {ticket.id: ticket for ticket in rows(Ticket)}
    parts = rows(Assignment)
    cohort = [
        c
        for c in rows(Clock)
        if c.voided_at is None and period.first <= c.due_on <= period.last and c.due_on < today
    ]
    told: dict[str, Read] = {}
    told |= _clocks(cohort)
    told |= _times(cohort, tickets, {part.id: part for part in parts})
    told |= _contacts(session, [t for t in tickets.values() if within(t.received_at)])
    told |= _handling(session, tickets, parts, within)
    told |= _callbacks([b for b in rows(CallbackAttempt) if b.conclusive and within(b.attempted_at)])
    looked_at = [s for s in rows(SampledTicket) if s.accurate is not None]
    right = [s.accurate for s in looked_at if within(tickets[s.ticket_id].received_at)]
    told["accuracy"] = (sum(map(bool, right)), len(right), None)
    rung = [call for call in rows(Call) if within(call.ringing_at)]
    told["connected"] = (sum(call.answered_at is not None for call in rung), len(rung), None)
    return told


def _in_time(clock: Clock) -> bool:
    return clock.met_at is not None and clock.met_at < clock.due_at


def _clocks(cohort: list[Clock]) -> dict[str, Read]:
    def timely(*kinds: K) -> Read:
        due = [c for c in cohort if c.kind in kinds]
        return sum(map(_in_time, due)), len(due), None

    handling = timely(K.REPLY, K.SUPPLEMENT, K.REDO)
    assert handling[1] is not None
    return {
        "timely": handling,
        "overdue": (handling[1] - handling[0], handling[1], None),
        "reply_timely": timely(K.REPLY),
        "knowledge_updated": timely(K.KNOWLEDGE_UPDATE),
        "transferred_timely": timely(K.FORM_AND_TRANSFER),
        "reported_up_timely": timely(K.REPORT_UP),
        "called_back_timely": timely(K.CALLBACK),
        "citizen_timely": timely(K.CITIZEN),
    }


def _times(cohort: list[Clock], tickets: dict[int, Ticket], parts: dict[int, Assignment]) -> dict[str, Read]:
    calendar = WorkCalendar()
    answered = [c for c in cohort if c.kind is K.REPLY and c.met_at is not None]
    leads = [c for c in answered if parts[c.assignment_id or 0].role.value == "lead"]

    def hours(spans: list[tuple[datetime, datetime]]) -> Read:
        seconds = [round((b - a).total_seconds()) for a, b in spans]
        return sum(seconds), len(seconds), _median([_step(s / 3600) for s in seconds])

    def workdays(spans: list[tuple[datetime, datetime]]) -> Read:
        days = [calendar.between(day(a), day(b)) for a, b in spans]
        return sum(days), len(days), _median([min(d, 60) for d in days])

    work = [(c.opened_at, c.met_at) for c in answered if c.met_at is not None]
    wait = [(tickets[c.ticket_id].received_at, c.met_at) for c in leads if c.met_at is not None]
    return {
        "handling_hours": hours(work),
        "handling_workdays": workdays(work),
        "waiting_hours": hours(wait),
        "waiting_workdays": workdays(wait),
    }


def _step(hours: float) -> int:
    """The step a duration stands on: each hour up to 12, then every 2 to 24, 4 to 48, 8 to 96, 12 to 240, 24 to 720."""
    if hours >= 720:
        return 720
    for until, wide in ((12, 1), (24, 2), (48, 4), (96, 8), (240, 12), (720, 24)):
        if hours < until:
            return int(hours // wide * wide)
    raise AssertionError


def _median(values: list[int]) -> int | None:
    return sorted(values)[(len(values) - 1) // 2] if values else None


def _contacts(session: Session, received: list[Ticket]) -> dict[str, Read]:
    accepted = direct = refused = transferred = 0
    for ticket in received:
        entries = (
            session.execute(select(LedgerEntry).where(col(LedgerEntry.ticket_id) == ticket.id))
            .scalars()
            .all()
        )
        at_once = any(e.act == "answer_at_once" for e in entries)
        direct += at_once
        accepted += at_once or any(e.to_state in ("accepted", "coordinating", "dispatched") for e in entries)
        refused += any(e.to_state == "refused" for e in entries)
        transferred += any(e.to_state == "transferred" for e in entries)
    return {
        "answered_directly": (direct, accepted, None),
        "received": (len(received), None, None),
        "accepted": (accepted, None, None),
        "refused": (refused, None, None),
        "transferred": (transferred, None, None),
        "merged": (sum(t.merged_into_id is not None for t in received), None, None),
    }


def _handling(
    session: Session, tickets: dict[int, Ticket], parts: list[Assignment], within: Any
) -> dict[str, Read]:
    assigned = [part for part in parts if within(part.dispatched_at)]
    proposals = {p.assignment_id for p in session.execute(select(ReturnProposal)).scalars()}
    first: dict[int, datetime] = {}
    for part in parts:
        first[part.ticket_id] = min(part.dispatched_at, first.get(part.ticket_id, part.dispatched_at))
    passed: dict[int, bool] = {}
    for review in session.execute(select(Review).order_by(col(Review.id))).scalars():
        passed[review.ticket_id] = review.passed
    judged = []
    for ticket_id, at in first.items():
        ticket = tickets[ticket_id]
        ended_otherwise = not passed.get(ticket_id) and ticket.state in (
            State.WITHDRAWN,
            State.ANSWERED,
            State.TRANSFERRED,
            State.REFUSED,
            State.ARCHIVED,
        )
        if within(at) and ticket.merged_into_id is None and not ended_otherwise:
            judged.append(ticket)
    done = (State.VERIFIED, State.DISSATISFIED, State.CLOSED, State.WITHDRAWN, State.ARCHIVED)
    completed = sum(bool(passed.get(t.id)) and t.state in done for t in judged)
    return {
        "completed": (completed, len(judged), None),
        "dispatched": (len(judged), None, None),
        "assigned": (len(assigned), None, None),
        "returned": (sum(part.id in proposals for part in assigned), len(assigned), None),
    }


def _callbacks(concluded: Iterable[CallbackAttempt]) -> dict[str, Read]:
    concluded = list(concluded)
    said = [b for b in concluded if b.outcome in (C.SATISFIED, C.BASICALLY_SATISFIED, C.DISSATISFIED)]
    asked = [b for b in said if b.solved is not None]
    return {
        "called_back": (len(concluded), None, None),
        "satisfied": (sum(b.outcome is not C.DISSATISFIED for b in said), len(said), None),
        "solved": (sum(bool(b.solved) for b in asked), len(asked), None),
    }
