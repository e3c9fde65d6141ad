"""归档 is refused for each element of art. 14(9) that is lacking, by its name; what is lacking is taken away here by SQL."""

import pytest
from sqlalchemy import text
from sqlmodel import Session

from hotline import aftercare, casework, intake
from hotline.orders import (
    AcceptOrder,
    ArchiveOrder,
    CallbackOrder,
    DispatchOrder,
    ReplyOrder,
    ReviewPassOrder,
    SignOrder,
)
from tests.world import World, china, demand
from workflow.errors import OrderInvalid
from workflow.vocabulary import Act, CallbackOutcome, ReviewElement

NINE, TEN = china("2026-03-02 09:00"), china("2026-03-02 10:00")


def closed(world: World) -> str:
    """The number of a ticket that may be archived."""
    with Session(world.engine, expire_on_commit=False) as session:
        number = intake.take(
            world.desk(session, "agent", NINE), demand(), Act.ACCEPT, AcceptOrder()
        ).ticket.number
        order = DispatchOrder(lead="ZJJ", instruction="请现场核实。")
        casework.dispatch(world.desk(session, "dispatcher", NINE), number, order)
        casework.sign(world.desk(session, "ZJJ", NINE), number, SignOrder(signed_by="测试经办"))
        reply = ReplyOrder(content="经现场核实，阀门已更换。", citizen_answered_at=NINE)
        casework.reply(world.desk(session, "ZJJ", NINE), number, reply)
        passed = ReviewPassOrder(elements=dict.fromkeys(ReviewElement, True))
        casework.review_pass(world.desk(session, "reviewer", NINE), number, passed)
        called = CallbackOrder(outcome=CallbackOutcome.SATISFIED, solved=True)
        aftercare.record_callback(world.desk(session, "callback", NINE), number, called)
        session.commit()
    return number


@pytest.mark.parametrize(
    ("taken_away", "missing"),
    [
        ("SELECT 1", []),
        ("DELETE FROM assignments", ["承办单位", "交办记录"]),
        ("UPDATE replies SET handled_by = ''", ["经办人员"]),
        ("DELETE FROM replies", ["办理结果"]),
        ("UPDATE callback_attempts SET conclusive = false", ["回访记录"]),
        ("UPDATE tickets SET first_receiver_id = NULL", ["接线人员"]),
        ("DELETE FROM callback_attempts; DELETE FROM replies", ["办理结果", "回访记录"]),
    ],
)
def test_what_is_lacking_is_named(world: World, taken_away: str, missing: list[str]) -> None:
    number = closed(world)
    with Session(world.engine) as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))  # past the foreign keys
        for statement in taken_away.split(";"):
            session.execute(text(statement))
        desk = world.desk(session, "agent", TEN)
        if not missing:
            assert aftercare.archive(desk, number, ArchiveOrder()).ticket.archived_at == TEN
            return
        with pytest.raises(OrderInvalid) as refused:
            aftercare.archive(desk, number, ArchiveOrder())
        assert refused.value.extra["missing"] == missing
