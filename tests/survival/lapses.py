"""Each lapse once, each reminder once, each chain whole: read from the database, whatever was killed while they were written."""

from collections import Counter
from datetime import datetime

from sqlalchemy import Engine, func, select
from sqlmodel import Session, col

from hotline import ledger
from hotline.models import Clock, LedgerEntry, OutboxEvent, Reminder, Ticket
from workflow.vocabulary import Act, Party


def each_lapse_once(engine: Engine, as_of: datetime | None = None) -> int:
    """Every clock that was due (by `as_of`: all that run) is stamped as of its due instant, with one entry and one event for each
    clock that is anybody's duty or the citizen's; how many clocks lapsed."""
    with Session(engine) as session:
        clocks = session.execute(select(Clock)).scalars().all()
        lapses = session.execute(select(LedgerEntry).where(col(LedgerEntry.act) == "lapse")).scalars().all()
        told = session.execute(
            select(col(OutboxEvent.ticket_id), func.count())
            .where(col(OutboxEvent.type) == "clock.lapsed")
            .group_by(col(OutboxEvent.ticket_id))
        )
        events = Counter({row[0]: row[1] for row in told})
    running = [c for c in clocks if c.met_at is None and c.voided_at is None]
    assert all(c.lapsed_at == c.due_at for c in running if as_of is None or c.due_at <= as_of)
    lapsed = [c for c in clocks if c.lapsed_at is not None]
    expected = Counter(
        (c.ticket_id, c.kind.value, c.assignment_id, c.episode_no, c.due_at)
        for c in lapsed
        if c.duty or c.party is Party.CITIZEN
    )
    recorded = Counter(
        (
            e.ticket_id,
            e.payload["clock"]["kind"],
            e.payload["clock"]["assignment"],
            e.payload["clock"]["episode_no"],
            e.effective_at,
        )
        for e in lapses
    )
    assert set(expected.values()) <= {1}
    assert recorded == expected
    assert events == Counter(key[0] for key in expected.elements())
    return len(lapsed)


def notices_about_tickets(session: Session) -> list[Reminder]:
    """All but those about a platform's own reports (art. 27), which lapse in these months too."""
    notices = session.execute(select(Reminder)).scalars()
    return [notice for notice in notices if all("number" in item for item in notice.clocks)]


def each_reminder_once(engine: Engine, *, rung: int = 3) -> int:
    """Every lapsed duty stands in exactly one notice, at this rung (the highest: all of the ladder had passed); how many there are."""
    with Session(engine) as session:
        duties = select(Clock).where(
            col(Clock.duty), col(Clock.lapsed_at).is_not(None), col(Clock.met_at).is_(None)
        )
        clocks = session.execute(duties).scalars().all()
        numbers = {row[0]: row[1] for row in session.execute(select(col(Ticket.id), col(Ticket.number)))}
        notices = notices_about_tickets(session)
        entries = session.execute(
            select(LedgerEntry).where(col(LedgerEntry.act) == Act.REMIND.value)
        ).scalars()
        recorded = Counter((e.ticket_id, e.payload["kind"], e.payload["rung"]) for e in entries)
    owed = Counter((numbers[c.ticket_id], c.kind.value) for c in clocks if c.voided_at is None)
    listed = Counter((item["number"], item["kind"]) for notice in notices for item in notice.clocks)
    assert listed == owed
    assert recorded == Counter((c.ticket_id, c.kind.value, rung) for c in clocks if c.voided_at is None)
    return owed.total()


def chains_hold(engine: Engine) -> None:
    """Every ticket's ledger verifies."""
    with Session(engine) as session:
        for ticket in session.execute(select(Ticket)).scalars():
            entries = ledger.entries_of(session, ticket.id)
            assert ledger.verify(ticket.number, ticket.ledger_head, ticket.ledger_seq, entries) == []
