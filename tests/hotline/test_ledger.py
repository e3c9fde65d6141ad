"""The ledger is hash-chained: a row changed, removed or inserted by SQL is found and named."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline import casework, intake, ledger
from hotline.desk import take_up, take_up_id
from hotline.models import Ticket
from hotline.orders import AcceptOrder, DispatchOrder, SignOrder
from tests.world import World, china, demand
from workflow.vocabulary import Act


def a_ticket(world: World) -> int:
    with Session(world.engine) as session:
        case = intake.take(
            world.desk(session, "agent", china("2026-03-02 09:00")), demand(), Act.ACCEPT, AcceptOrder()
        )
        number = case.ticket.number
        casework.dispatch(
            world.desk(session, "dispatcher", china("2026-03-02 10:00")), number, DispatchOrder(lead="ZJJ")
        )
        casework.sign(world.desk(session, "ZJJ", china("2026-03-02 11:00")), number, SignOrder())
        session.commit()
        return case.ticket.id


def breaks(world: World, ticket_id: int) -> list[ledger.Break]:
    with Session(world.engine) as session:
        ticket = session.get_one(Ticket, ticket_id)
        return ledger.verify(
            ticket.number, ticket.ledger_head, ticket.ledger_seq, ledger.entries_of(session, ticket_id)
        )


def tamper(world: World, statement: str) -> None:
    with Session(world.engine) as session:
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))  # past the append-only triggers
        session.execute(text(statement))
        session.commit()


def test_an_untouched_chain_is_whole(world: World) -> None:
    assert breaks(world, a_ticket(world)) == []


@pytest.mark.parametrize("reached", [False, True])
def test_what_lapsed_is_written_down_whatever_becomes_of_the_act(world: World, reached: bool) -> None:
    """An act that ends before it writes, or turns to the ticket once more, leaves no hole where a lapse was stamped."""
    ticket_id = a_ticket(world)
    with Session(world.engine) as session:
        desk = world.desk(session, "dispatcher", china("2026-04-02 09:00"))
        if reached:
            number = session.get_one(Ticket, ticket_id).number
            take_up(desk, number)
            assert take_up(desk, number).ticket.id == ticket_id
        else:
            take_up_id(desk, ticket_id)
        session.commit()
        lapses = [each.act for each in ledger.entries_of(session, ticket_id) if each.act == "lapse"]
    assert len(lapses) >= 1
    assert breaks(world, ticket_id) == []


@pytest.mark.parametrize(
    ("statement", "seq"),
    [
        ("UPDATE ledger SET actor_name = '别人' WHERE seq = 2", 2),
        ("UPDATE ledger SET effective_at = effective_at - interval '1 day' WHERE seq = 2", 2),
        ("UPDATE ledger SET payload = payload || '{\"x\": 1}' WHERE seq = 1", 1),
        ("DELETE FROM ledger WHERE seq = 2", 2),
        ("DELETE FROM ledger WHERE seq = 3", 3),
        (
            "INSERT INTO ledger SELECT ticket_id, 4, version, act, actor_kind, actor_id, actor_name, from_state, to_state, "
            "article, effective_at, recorded_at, payload, hash, hash FROM ledger WHERE seq = 3",
            4,
        ),
    ],
)
def test_a_row_changed_removed_or_inserted_is_named(world: World, statement: str, seq: int) -> None:
    ticket_id = a_ticket(world)
    tamper(world, statement)
    assert seq in [b.seq for b in breaks(world, ticket_id)]


def test_a_ticket_head_turned_back_is_noticed(world: World) -> None:
    ticket_id = a_ticket(world)
    restore: Callable[[], None] = lambda: tamper(world, "UPDATE tickets SET ledger_seq = 2")  # noqa: E731
    restore()
    assert breaks(world, ticket_id)
