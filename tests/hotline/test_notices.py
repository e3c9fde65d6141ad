"""A year's notice loaded at run time: previewed, moved, kept beside what was known, nothing re-judged."""

from datetime import date

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from calendar_cn.arrangements import Arrangement, parse_arrangement
from hotline import casework, intake, ledger, notices, supervision
from hotline.access import SYSTEM
from hotline.models import Clock, ClockMove, LedgerEntry, Ticket
from hotline.orders import AcceptOrder, DispatchOrder
from tests.world import World, china, demand
from workflow.errors import OrderInvalid
from workflow.vocabulary import Act, ClockKind, Matter

NOTICE_2027 = {
    "year": 2027,
    "papers": ["https://www.gov.cn/example/2027.htm"],
    "days": [
        *({"name": "元旦", "date": f"2027-01-0{d}", "isOffDay": True} for d in (1, 2, 3)),
        *({"name": "春节", "date": f"2027-02-{d:02d}", "isOffDay": True} for d in range(5, 13)),
        {"name": "春节", "date": "2027-02-14", "isOffDay": False},
    ],
}


def dispatched(world: World, matter: Matter, taken: str, sent: str, unit: str = "ZJJ") -> int:
    """A demand taken and dispatched; the ticket's key."""
    with Session(world.engine, expire_on_commit=False) as session:
        case = intake.take(
            world.desk(session, "agent", china(taken)), demand(matter), Act.ACCEPT, AcceptOrder()
        )
        casework.dispatch(
            world.desk(session, "dispatcher", china(sent)), case.ticket.number, DispatchOrder(lead=unit)
        )
        session.commit()
        return case.ticket.id


def reply_clock(session: Session, ticket_id: int) -> Clock:
    statement = select(Clock).where(col(Clock.ticket_id) == ticket_id, col(Clock.kind) == ClockKind.REPLY)
    clock: Clock = session.execute(statement).scalar_one()
    return clock


def arrangement() -> Arrangement:
    return parse_arrangement(NOTICE_2027)


def test_a_date_in_a_year_without_notice_is_provisional_and_moves_when_the_notice_comes(world: World) -> None:
    ticket_id = dispatched(world, Matter.COMPLAINT, "2027-02-01 09:00", "2027-02-01 10:00")
    with Session(world.engine) as session:
        before = reply_clock(session, ticket_id)
        assert before.provisional
        known = before.due_on
        previewed = notices.preview(session, arrangement(), china("2027-02-02 09:00"))
        assert {m.kind for m in previewed} >= {ClockKind.REPLY}
        moved = notices.load_notice(
            session, world.office, arrangement(), NOTICE_2027, by=SYSTEM, at=china("2027-02-02 09:00")
        )
        session.commit()
        assert {m.clock_id for m in moved} == {m.clock_id for m in previewed}
        after = reply_clock(session, ticket_id)
        # 2, 3, 4, then the holiday to the 12th, the make-up Sunday 14, 15-19, 22
        assert (after.due_on.isoformat(), after.provisional) == ("2027-02-22", False)
        move = session.execute(select(ClockMove).where(col(ClockMove.clock_id) == after.id)).scalar_one()
        assert (move.from_due_on, move.to_due_on, move.reason) == (
            known,
            after.due_on,
            "calendar",
        )
        ticket = session.get_one(Ticket, ticket_id)
        entries = ledger.entries_of(session, ticket_id)
        assert entries[-1].act == "calendar_move"
        assert ledger.verify(ticket.number, ticket.ledger_head, ticket.ledger_seq, entries) == []


def test_the_same_notice_is_not_loaded_twice_and_settling_finds_nothing(world: World) -> None:
    with Session(world.engine) as session:
        notices.load_notice(
            session, world.office, arrangement(), NOTICE_2027, by=SYSTEM, at=china("2026-12-01 09:00")
        )
        session.commit()
        with pytest.raises(OrderInvalid, match="无需重复加载"):
            notices.load_notice(
                session, world.office, arrangement(), NOTICE_2027, by=SYSTEM, at=china("2026-12-01 09:05")
            )
        session.rollback()
        assert notices.settle(session, world.office, china("2026-12-01 09:06")) == 0


def test_a_lapsed_clock_is_not_re_judged_and_no_clock_moves_into_the_past(world: World) -> None:
    late = dispatched(world, Matter.INQUIRY, "2027-02-02 09:00", "2027-02-02 10:00")
    with Session(world.engine) as session:
        at = china("2027-02-05 09:00")  # due on the 4th, provisionally a working day
        assert supervision.lapse_due(session, world.office, at) > 0
        session.commit()
        due = reply_clock(session, late).due_on
        notices.load_notice(session, world.office, arrangement(), NOTICE_2027, by=SYSTEM, at=at)
        session.commit()
        clock = reply_clock(session, late)
        assert (clock.due_on, clock.lapsed_at is not None) == (due, True)


def test_local_days_off_of_a_prefecture_move_only_its_units_clocks(world: World) -> None:
    here = dispatched(world, Matter.INQUIRY, "2026-07-06 09:00", "2026-07-06 10:00")
    with Session(world.engine) as session:
        notices.set_local_days(
            session,
            world.office,
            world.platforms["01"],
            {date(2026, 7, 8): "自治州州庆"},
            by=SYSTEM,
            at=china("2026-07-06 11:00"),
        )
        session.commit()
        assert reply_clock(session, here).due_on.isoformat() == "2026-07-09"
    again = dispatched(world, Matter.INQUIRY, "2026-07-06 12:00", "2026-07-06 13:00")
    with Session(world.engine) as session:
        assert reply_clock(session, again).due_on.isoformat() == "2026-07-09"
        assert session.execute(
            select(col(LedgerEntry.act)).where(col(LedgerEntry.act) == "calendar_move")
        ).first()
