"""Entities made of columns are those the ORM reads: the same values, followed, and one a row."""

from typing import Any

import pytest
from sqlalchemy import inspect, select
from sqlalchemy.exc import DBAPIError, IntegrityError, PendingRollbackError
from sqlmodel import Session, SQLModel, col

from hotline import casework, intake
from hotline.desk import take_up
from hotline.models import Assignment, Clock, LedgerEntry, Ticket
from hotline.orders import AcceptOrder, DispatchOrder, ReplyOrder, SignOrder
from hotline.organisation import OrgUnit
from hotline.storage.driver import send
from hotline.storage.reading import Entities
from tests.world import World, china, demand
from workflow.vocabulary import Act, Level, UnitKind

NINE, TEN = china("2026-03-02 09:00"), china("2026-03-02 10:00")


def dispatched(world: World) -> str:
    """The number of a ticket with two parts, one signed and replied, written by an earlier session."""
    with Session(world.engine, expire_on_commit=False) as session:
        case = intake.take(world.desk(session, "agent", NINE), demand(), Act.ACCEPT, AcceptOrder())
        number = case.ticket.number
        order = DispatchOrder(lead="ZJJ", co_units=("JTJ",), instruction="请现场核实。")
        casework.dispatch(world.desk(session, "dispatcher", NINE), number, order)
        for unit in ("ZJJ", "JTJ"):
            casework.sign(world.desk(session, unit, NINE), number, SignOrder(signed_by="测试经办"))
        reply = ReplyOrder(content="经现场核实，阀门已更换。")
        casework.reply(world.desk(session, "JTJ", NINE), number, reply)
        session.commit()
    return number


def columns_of(entity: SQLModel) -> dict[str, Any]:
    return {name: getattr(entity, name) for name in type(entity).model_fields}


def read_by_the_orm(world: World, entity: Any) -> dict[str, Any]:
    with Session(world.engine) as session:
        return columns_of(session.get_one(type(entity), entity.id))


def test_a_case_is_what_the_orm_reads(world: World) -> None:
    number = dispatched(world)
    with Session(world.engine) as session:
        case = take_up(world.desk(session, "dispatcher", TEN), number)
        taken = [case.ticket, *case.assignments, *case.clocks]
        assert (len(case.assignments), len(case.clocks) >= 3) == (2, True)
        for entity in taken:
            assert inspect(entity).persistent
            read = read_by_the_orm(world, entity)
            assert columns_of(entity) == read
            assert {n: type(v) for n, v in columns_of(entity).items()} == {
                n: type(v) for n, v in read.items()
            }
        assert not session.dirty
        with Session(world.engine) as other:
            running = select(col(Clock.id)).where(
                col(Clock.ticket_id) == case.ticket.id,
                col(Clock.met_at).is_(None),
                col(Clock.voided_at).is_(None),
            )
            assert [clock.id for clock in case.clocks] == sorted(other.execute(running).scalars())
        assert session.get(Ticket, case.ticket.id) is case.ticket
        assert session.execute(select(Assignment)).scalars().all() == case.assignments


def test_units_are_what_the_orm_reads(world: World) -> None:
    units = Entities(OrgUnit)
    with Session(world.engine) as session, Session(world.engine) as other:
        rows = session.execute(select(*units.columns)).all()
        made = [units.of(session, row) for row in rows]
        assert len(made) > 3
        assert [columns_of(unit) for unit in made] == [columns_of(other.get_one(OrgUnit, u.id)) for u in made]


def test_a_second_look_changes_what_is_held_and_keeps_what_is_not_written_yet(world: World) -> None:
    number = dispatched(world)
    with Session(world.engine) as session:
        first = take_up(world.desk(session, "dispatcher", TEN), number)
        session.commit()
        with Session(world.engine) as other:
            casework.reply(world.desk(other, "ZJJ", TEN), number, ReplyOrder(content="已处理完毕。"))
            other.commit()
        first_version = first.ticket.version  # expired by the commit: read anew
        first.ticket.external_ref = "kept"
        again = take_up(world.desk(session, "dispatcher", TEN), number)
        assert again.ticket is first.ticket
        assert again.assignments[0] is first.assignments[0]
        assert (again.ticket.version, again.ticket.external_ref) == (first_version, "kept")
        assert again.assignments[0].reported_at is not None


def test_what_was_taken_up_and_rolled_back_is_read_anew(world: World) -> None:
    number = dispatched(world)
    with Session(world.engine) as session:
        case = take_up(world.desk(session, "dispatcher", TEN), number)
        version = case.ticket.version
        case.ticket.version = 99
        session.rollback()
        assert case.ticket.version == version


def test_what_the_driver_refuses_is_told_as_sqlalchemy_tells_it(world: World) -> None:
    with Session(world.engine) as session:
        with pytest.raises(IntegrityError, match="assignments"):
            send(session, "INSERT INTO assignments (ticket_id) VALUES (%s)", (-1,))
        with pytest.raises(DBAPIError, match="InFailedSqlTransaction"):
            send(session, "SELECT 1", ())
        session.rollback()
        assert send(session, "SELECT %s::int", (7,)).fetchone() == (7,)


def test_a_connection_that_broke_is_given_up_and_the_next_transaction_has_another(world: World) -> None:
    with Session(world.engine) as session:
        (backend,) = send(session, "SELECT pg_backend_pid()", ()).fetchone()
        with world.engine.connect() as other:
            other.exec_driver_sql(f"SELECT pg_terminate_backend({int(backend)}, 5000)")
        with pytest.raises(DBAPIError) as broken:
            send(session, "SELECT 1", ())
        assert broken.value.connection_invalidated
        session.rollback()
        assert send(session, "SELECT 1", ()).fetchone() == (1,)


def test_a_savepoint_taken_back_takes_back_what_was_sent_in_it(world: World) -> None:
    number = dispatched(world)
    with Session(world.engine, expire_on_commit=False) as session:
        first = take_up(world.desk(session, "dispatcher", TEN), number)  # held: what it has of the ticket
        before = first.ticket.ledger_seq
        with session.begin_nested() as savepoint:
            reply = ReplyOrder(content="撤回的答复。")
            assert casework.reply(world.desk(session, "ZJJ", TEN), number, reply).ticket.ledger_seq > before
            savepoint.rollback()
        with pytest.raises(IntegrityError), session.begin_nested():
            send(session, "INSERT INTO assignments (ticket_id) VALUES (%s)", (-1,))
        again = take_up(world.desk(session, "dispatcher", TEN), number)
        assert (again.ticket.ledger_seq, len(again.assignments)) == (before, 2)
        assert again.assignments[0] is first.assignments[0]
        for entity in (*again.assignments, *again.clocks):
            assert columns_of(entity) == read_by_the_orm(world, entity)
        casework.reply(world.desk(session, "ZJJ", TEN), number, ReplyOrder(content="已处理完毕。"))
        session.commit()
    with Session(world.engine) as session:
        case = take_up(world.desk(session, "dispatcher", TEN), number)
        replied = select(LedgerEntry).where(col(LedgerEntry.ticket_id) == case.ticket.id)
        acts = [entry.act for entry in session.execute(replied.order_by(col(LedgerEntry.seq))).scalars()]
        assert acts.count("reply") == 2
        assert case.ticket.ledger_seq == len(acts)


def test_a_session_whose_flush_failed_sends_nothing_more(world: World) -> None:
    with Session(world.engine) as session:
        send(session, "SELECT 1", ())
        session.add(
            OrgUnit(
                code="ZJJ",
                name="重复",
                level=Level.PREFECTURE,
                kind=UnitKind.DEPARTMENT,
                platform_id=1,
                area_code="63",
            )
        )
        with pytest.raises(IntegrityError):
            session.flush()
        with pytest.raises(PendingRollbackError):
            send(session, "SELECT 1", ())
