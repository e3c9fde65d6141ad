"""The audit trail is hash-chained per platform and day: whatever SQL does to it is found and named; a signed head kept elsewhere finds
even a chain rewritten whole."""

import threading
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, col

from hotline import casework
from hotline.auditing import audit
from hotline.auditing.chain import Algorithm, link
from hotline.auditing.policy import Policy
from hotline.auditing.proof import prove
from hotline.auditing.trail import AuditEntry
from hotline.case import Office
from hotline.ledger import Fault
from hotline.models import LedgerEntry
from hotline.orders import DispatchOrder
from tests.hotline.trails import a_ticket, flaws, named, note, sign, tamper, three_days
from tests.world import World, china

# --- what SQL does ------------------------------------------------------------------------------------------------------


def test_an_untouched_trail_is_whole(world: World) -> None:
    three_days(world)
    note(world, china("2026-03-04 09:00"), login="b-supervisor")
    report = prove(world.engine)
    assert (report.flaws, report.audit_entries) == ([], 13)


@pytest.mark.parametrize(
    "change",
    [
        "at = at + interval '1 microsecond'",
        "actor_name = '别人'",
        "actor_id = actor_id + 1",
        "kind = 'signed_in'",
        "kind = 'no_such_kind'",
        "address = '10.0.0.1'",
        "unit_id = 1",
        "ticket_id = 1",
        "what = '{}'",
        "at = 'infinity'",
        "hash = decode(repeat('00', 32), 'hex')",
        "hash = ''",
    ],
)
def test_a_changed_entry_is_named(world: World, change: str) -> None:
    platform = three_days(world)
    tamper(
        world.engine,
        f"UPDATE audit SET {change} WHERE platform_id = :p AND day = '2026-03-03' AND seq = 2",
        p=platform,
    )
    assert ("01", "2026-03-03", 2, Fault.CHANGED) in named(flaws(world))


def test_a_removed_entry_is_named(world: World) -> None:
    three_days(world)
    tamper(world.engine, "DELETE FROM audit WHERE day = '2026-03-03' AND seq IN (2, 3)")
    (flaw,) = flaws(world)
    assert named([flaw]) == [("01", "2026-03-03", 2, Fault.REMOVED)]
    assert str(flaw) == "审计 平台 01 2026-03-03 第 2 条：缺少第 2 条至第 3 条记录，已被删除"


def test_the_last_entry_removed_is_named(world: World) -> None:
    three_days(world)
    tamper(world.engine, "DELETE FROM audit WHERE day = '2026-03-04' AND seq = 4")
    assert named(flaws(world)) == [("01", "2026-03-04", 4, Fault.TAIL_REMOVED)]


def test_the_tail_of_a_day_gone_by_is_missed_by_the_next_day(world: World) -> None:
    three_days(world)
    tamper(world.engine, "DELETE FROM audit WHERE day = '2026-03-03' AND seq = 4")
    assert named(flaws(world)) == [("01", "2026-03-04", 1, Fault.DAY_REMOVED)]


@pytest.mark.parametrize(
    ("day", "told"),
    [("2026-03-02", "2026-03-03"), ("2026-03-03", "2026-03-04"), ("2026-03-04", "2026-03-04")],
)
def test_a_whole_day_removed_is_missed(world: World, day: str, told: str) -> None:
    three_days(world)
    tamper(world.engine, "DELETE FROM audit WHERE day = :day", day=day)
    assert named(flaws(world)) == [("01", told, 1, Fault.DAY_REMOVED)]


def test_everything_removed_is_missed(world: World) -> None:
    three_days(world)
    tamper(world.engine, "TRUNCATE audit")
    assert named(flaws(world)) == [("01", "2026-03-04", 1, Fault.DAY_REMOVED)]


def test_two_entries_swapped_are_both_named(world: World) -> None:
    three_days(world)
    move = "UPDATE audit SET seq = :to WHERE day = '2026-03-03' AND seq = :of"
    for of, to in ((2, 99), (3, 2), (99, 3)):
        tamper(world.engine, move, of=of, to=to)
    changed = {(f.seq, f.fault) for f in flaws(world)}
    assert {(2, Fault.CHANGED), (3, Fault.CHANGED)} <= changed


def _forge(
    world: World, day: str, after: int, seq: int, rewrite: Callable[[dict[str, Any]], None] | None = None
) -> bytes:
    """Insert an entry behind `after`, with the right link and a hash of its own making."""
    with Session(world.engine) as session:
        before = session.execute(
            select(AuditEntry).where(
                col(AuditEntry.day) == date.fromisoformat(day), col(AuditEntry.seq) == after
            )
        ).scalar_one()
        row = before.model_dump() | {"seq": seq, "prev_hash": before.hash, "actor_name": "测试伪造"}
        row["hash"] = audit.digest(before.hash, row)
        session.add(AuditEntry(**row))
        session.commit()
    return bytes(row["hash"])


def test_an_entry_inserted_with_a_right_hash_is_named(world: World) -> None:
    three_days(world)
    _forge(world, "2026-03-03", 4, 5)
    assert named(flaws(world)) == [("01", "2026-03-03", 5, Fault.INSERTED)]


def test_an_entry_inserted_at_the_very_end_is_named(world: World) -> None:
    three_days(world)
    _forge(world, "2026-03-04", 4, 5)
    assert named(flaws(world)) == [("01", "2026-03-04", 5, Fault.INSERTED)]


def test_an_entry_pushed_in_between_is_named(world: World) -> None:
    three_days(world)
    for seq in (4, 3):
        tamper(
            world.engine,
            "UPDATE audit SET seq = :to WHERE day = '2026-03-03' AND seq = :of",
            of=seq,
            to=seq + 1,
        )
    _forge(world, "2026-03-03", 2, 3)
    found = named(flaws(world))
    assert ("01", "2026-03-03", 3, Fault.INSERTED) in found
    assert {seq for _, _, seq, fault in found if fault is Fault.CHANGED} == {4, 5}


def test_an_entry_changed_and_hashed_anew_does_not_fit_the_next(world: World) -> None:
    three_days(world)
    with Session(world.engine) as session:
        row = session.get_one(AuditEntry, (world.platforms["01"], date(2026, 3, 3), 2)).model_dump()
    made = audit.digest(row["prev_hash"], row | {"actor_name": "测试别人"})
    statement = "UPDATE audit SET actor_name = '测试别人', hash = :made WHERE day = '2026-03-03' AND seq = 2"
    tamper(world.engine, statement, made=made)
    assert named(flaws(world)) == [("01", "2026-03-03", 3, Fault.UNLINKED)]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ("UPDATE audit_heads SET head = ''", Fault.HEAD_ALTERED),
        ("UPDATE audit_heads SET seq = 3", Fault.INSERTED),
        ("UPDATE audit_heads SET seq = 5", Fault.TAIL_REMOVED),
        ("UPDATE audit_heads SET day = '2026-03-03'", Fault.INSERTED),
        ("UPDATE audit_heads SET day = '2026-03-05'", Fault.DAY_REMOVED),
        ("DELETE FROM audit_heads", Fault.HEAD_ALTERED),
    ],
)
def test_an_altered_head_is_noticed(world: World, change: str, fault: Fault) -> None:
    three_days(world)
    tamper(world.engine, change)
    assert [f.fault for f in flaws(world)] == [fault]


# --- append-only in the database ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["audit", "ledger", "audit_days"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET seq = seq", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
def test_the_database_refuses_to_rewrite(world: World, signed: Office, table: str, statement: str) -> None:
    three_days(world)
    a_ticket(world, "2026-03-02 10:00")
    sign(world, signed, "2026-03-05 01:00")
    if table == "audit_days":
        statement = statement.replace("seq = seq", "seq = 1")
    with Session(world.engine) as session, pytest.raises(DBAPIError, match="append-only"):
        session.execute(text(statement.format(table)))


# --- at once, and clocks that disagree -----------------------------------------------------------------------------------


def test_twenty_threads_leave_one_chain(world: World) -> None:
    errors: list[BaseException] = []

    def many(i: int) -> None:
        try:
            note(world, china("2026-03-02 23:59:50") + timedelta(seconds=i), n=10)
        except BaseException as error:  # a thread's failure must reach the test
            errors.append(error)

    threads = [threading.Thread(target=many, args=(i,)) for i in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    report = prove(world.engine)
    assert (report.flaws, report.audit_entries) == ([], 200)
    with Session(world.engine) as session:
        days = session.execute(
            text("SELECT day, count(*), max(seq) FROM audit GROUP BY day ORDER BY day")
        ).all()
    assert [(n == last) for _, n, last in days] == [True] * len(days)


def test_a_clock_that_runs_behind_does_not_break_the_chain(world: World) -> None:
    note(world, china("2026-03-03 00:00:05"))
    note(world, china("2026-03-02 23:59:58"))
    note(world, china("2026-03-03 00:00:06"))
    assert flaws(world) == []
    with Session(world.engine) as session:
        assert [e.seq for e in session.execute(select(AuditEntry)).scalars()] == [1, 2, 3]


# --- SM3 beside SHA-256 -----------------------------------------------------------------------------------------------------


def test_a_chain_goes_over_to_sm3_and_is_proved_whole(world: World) -> None:
    three_days(world)
    note(world, china("2026-03-04 10:00"), algorithm=Algorithm.SM3)
    note(world, china("2026-03-05 10:00"), n=2)  # whoever does not say goes on as the chain was made
    assert flaws(world) == []
    with Session(world.engine) as session:
        sizes = [
            len(e.hash) for e in session.execute(select(AuditEntry).order_by(col(AuditEntry.at))).scalars()
        ]
    assert sizes == [32] * 12 + [33] * 3
    tamper(world.engine, "UPDATE audit SET actor_name = '别人' WHERE day = '2026-03-05' AND seq = 1")
    assert named(flaws(world)) == [("01", "2026-03-05", 1, Fault.CHANGED)]


def test_sm3_is_sm3() -> None:
    """The standard's own example (GB/T 32905): the hash of «abc»."""
    from hotline.auditing.chain import Hasher

    hasher = Hasher(Algorithm.SM3)
    hasher.update(b"abc")
    expected = "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert hasher.finish().hex() == "02" + expected
    assert link(b"", {"a": 1}, Algorithm.SM3) != link(b"", {"a": 1}, Algorithm.SHA256)


def test_ledgers_of_both_algorithms_stand_side_by_side(world: World) -> None:
    number = a_ticket(world, "2026-03-02 09:00")
    world.office.policy = Policy(algorithm=Algorithm.SM3)
    with Session(world.engine) as session:
        desk = world.desk(session, "dispatcher", china("2026-03-02 10:00"))
        casework.dispatch(desk, number, DispatchOrder(lead="ZJJ"))
        session.commit()
        sizes = [len(e.hash) for e in session.execute(select(LedgerEntry)).scalars()]
    assert sizes == [32, 33]
    assert flaws(world) == []
    tamper(world.engine, "UPDATE ledger SET actor_name = '别人' WHERE seq = 2")
    (flaw,) = flaws(world)
    assert (flaw.chain, flaw.number, flaw.seq, flaw.fault) == ("ledger", number, 2, Fault.CHANGED)


# --- refusals of nobody known -----------------------------------------------------------------------------------------------


def test_a_flood_of_bad_tokens_leaves_few_entries(world: World) -> None:
    unknown = audit.Unknown(most=3)
    at = china("2026-03-02 09:00:10")
    assert [unknown.admit("203.0.113.9", at) for _ in range(100)].count(True) == 3
    assert unknown.admit("203.0.113.10", at)
    with Session(world.engine) as session:
        assert unknown.record(session, at) == 0  # the minute is not over
        assert unknown.record(session, at + timedelta(minutes=1)) == 1
        assert unknown.record(session, at + timedelta(minutes=1)) == 0
        session.commit()
        (entry,) = session.execute(select(AuditEntry)).scalars()
    assert (entry.platform_id, entry.address, entry.what["count"]) == (0, "203.0.113.9", 97)
    assert flaws(world) == []


def test_a_flood_from_many_addresses_takes_little_memory() -> None:
    unknown = audit.Unknown(most=1, addresses=10)
    at = china("2026-03-02 09:00")
    admitted = [unknown.admit(f"203.0.113.{i}", at) for i in range(200)]
    assert admitted.count(True) == 11
    assert unknown.settled(at, all_of_them=True) == [("其他地址", at, 189)]
