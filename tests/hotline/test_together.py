"""What an act writes goes in one statement, and comes back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlmodel import Session, col

from hotline import casework, intake
from hotline.case import Case, write
from hotline.models import Assignment, Clock, LedgerEntry, OutboxEvent, Ticket
from hotline.orders import AcceptOrder, DispatchOrder, RemindOrder, SignOrder
from hotline.storage.columns import Record
from tests.world import World, china, demand
from workflow.vocabulary import Act

NINE = china("2026-03-02 09:00")
AWKWARD = "%s %% \\ \" ' {:x} \\u0041 😀 ‮ \t\r\n\x01 \\x41"


@contextmanager
def counted(world: World) -> Iterator[list[str]]:
    """The statements sent meanwhile."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(" ".join(statement.split()))

    event.listen(world.engine, "before_cursor_execute", note)
    yield sent
    event.remove(world.engine, "before_cursor_execute", note)


def taken(world: World, session: Session, **changes: Any) -> Case:
    return intake.take(world.desk(session, "agent", NINE), demand(**changes), Act.ACCEPT, AcceptOrder())


def as_read(world: World, table: type[Record], key: int) -> dict[str, object]:
    with Session(world.engine) as session:
        return session.get_one(table, key).model_dump()


def test_a_ticket_and_all_its_rows_come_back_as_they_were_written(world: World) -> None:
    with Session(world.engine, expire_on_commit=False) as session:
        case = taken(world, session, title=AWKWARD, content=AWKWARD * 300, external_ref="\\x00ff")
        session.commit()
    assert case.ticket.caller_phone  # sealed bytes
    assert as_read(world, Ticket, case.ticket.id) == case.ticket.model_dump()
    assert [as_read(world, Clock, clock.id) for clock in case.clocks] == [
        clock.model_dump() for clock in case.clocks
    ]
    assert isinstance(case.clocks[0].due_on, date)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_is_kept_to_the_letter(world: World, said: str) -> None:
    with Session(world.engine) as session:
        case = taken(world, session, content="。" + said)
        session.flush()
        kept = session.execute(
            select(col(Ticket.content)).where(col(Ticket.id) == case.ticket.id)
        ).scalar_one()
        assert kept == "。" + said
        session.rollback()


def test_an_act_sends_its_rows_in_one_statement_and_its_commit_sends_none(world: World) -> None:
    with Session(world.engine, expire_on_commit=False) as session:
        with counted(world) as sent:
            case = taken(world, session)
            session.commit()
        assert [each for each in sent if "INSERT" in each or "UPDATE" in each] == [sent[-1]]
        assert all(f"INSERT INTO {table} " in sent[-1] for table in ("tickets", "clocks", "ledger", "outbox"))
        with counted(world) as sent:
            desk = world.desk(session, "dispatcher", china("2026-03-02 10:00"))
            casework.dispatch(desk, case.ticket.number, DispatchOrder(lead="ZJJ", co_units=("JTJ",)))
            session.commit()
        writing = [each for each in sent if "INSERT INTO" in each or "UPDATE tickets" in each]
        assert writing == [sent[-1]]
        assert "INSERT INTO assignments" in sent[-1]
        assert "UPDATE clocks SET " in sent[-1]


def test_clocks_are_numbered_in_the_order_they_were_opened(world: World) -> None:
    with Session(world.engine, expire_on_commit=False) as session:
        number = taken(world, session).ticket.number
        desk = world.desk(session, "dispatcher", china("2026-03-02 10:00"))
        case = casework.dispatch(desk, number, DispatchOrder(lead="ZJJ", co_units=("JTJ",)))
        session.commit()
    ids = [clock.id for clock in case.clocks]
    assert ids == sorted(ids)
    assert len(set(ids)) == len(ids) >= 5
    assert [part.role for part in sorted(case.assignments, key=lambda part: part.id)] == ["lead", "co"]
    parts = {part.id for part in case.assignments}
    assert len(parts) == 2
    assert {clock.assignment_id for clock in case.clocks} - {None} == parts
    assert [as_read(world, Assignment, part.id)["unit_id"] for part in case.assignments] == [
        part.unit_id for part in case.assignments
    ]


def test_what_an_act_changed_is_followed_afterwards(world: World) -> None:
    """A later change to what one statement wrote is seen and written too."""
    with Session(world.engine, expire_on_commit=False) as session:
        case = taken(world, session)
        assert not session.dirty
        assert not session.new
        case.ticket.external_ref = "later"
        assert session.dirty
        session.commit()
        key = case.ticket.id
    assert as_read(world, Ticket, key)["external_ref"] == "later"


def test_an_act_rolled_back_leaves_nothing(world: World) -> None:
    with Session(world.engine) as session:
        number = taken(world, session).ticket.number
        session.commit()
        casework.dispatch(world.desk(session, "dispatcher", NINE), number, DispatchOrder(lead="ZJJ"))
        session.rollback()
        state = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one()
        assert (state.version, state.ledger_seq) == (1, 1)
        counts = [len(session.execute(select(each)).all()) for each in (LedgerEntry, OutboxEvent, Assignment)]
        assert counts == [1, 1, 0]
        casework.dispatch(world.desk(session, "dispatcher", NINE), number, DispatchOrder(lead="ZJJ"))
        casework.sign(world.desk(session, "ZJJ", NINE), number, SignOrder())
        session.commit()


def test_what_has_an_order_of_its_own_goes_first(world: World) -> None:
    """A reminder is of no plain class: the unit of work writes it, and the act is whole all the same."""
    from hotline import supervision

    with Session(world.engine) as session:
        number = taken(world, session).ticket.number
        casework.dispatch(world.desk(session, "dispatcher", NINE), number, DispatchOrder(lead="ZJJ"))
        with counted(world) as sent:
            order = RemindOrder.model_validate({"form": "network", "content": "请尽快办理。"})
            supervision.remind(world.desk(session, "dispatcher", NINE), number, order)
            session.commit()
    assert any(each.startswith("INSERT INTO reminders") for each in sent)


def test_a_field_no_table_has_is_refused() -> None:
    with pytest.raises(TypeError, match="Clock has no due"):
        Clock(due="2026-03-02")  # type: ignore[call-arg]


def test_an_instant_without_its_zone_is_refused(world: World) -> None:
    with Session(world.engine) as session:
        case, desk = taken(world, session), world.desk(session, "agent", NINE)
        case.ticket.ended_at = datetime(2026, 3, 2, 9)  # noqa: DTZ001 - that is what is refused
        with pytest.raises(ValueError, match="time zone"):
            write(desk, case)
