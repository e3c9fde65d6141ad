"""The signed daily heads: a chain rewritten whole is found by the head kept elsewhere."""

import threading
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline.auditing import audit, daily_heads
from hotline.auditing.signing import Signer
from hotline.auditing.trail import AuditDay, AuditEntry, AuditHead
from hotline.case import Office
from hotline.ledger import Fault
from hotline.models import Ticket
from tests.hotline.trails import a_ticket, flaws, note, sign, tamper, three_days
from tests.world import World, china


def rewrite(world: World, day: date, seq: int) -> None:
    """Alter one entry and make the whole chain behind it anew, its head too."""
    platform = world.platforms["01"]
    with Session(world.engine) as session:
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))
        rows = session.execute(
            select(AuditEntry)
            .where(col(AuditEntry.platform_id) == platform)
            .order_by(col(AuditEntry.day), col(AuditEntry.seq))
        ).scalars()
        previous = b""
        for row in rows:
            if (row.day, row.seq) == (day, seq):
                row.actor_name = "测试别人"
            row.prev_hash = previous
            row.hash = previous = audit.digest(previous, row.model_dump())
            session.add(row)
        head = session.get_one(AuditHead, platform)
        head.head = previous
        session.add(head)
        session.commit()


def test_the_signing_key_is_made_once_and_closed_to_others(tmp_path: Path) -> None:
    made: list[bytes] = []
    path = tmp_path / "new" / "signing.key"
    threads = [threading.Thread(target=lambda: made.append(Signer(path).public_key())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(made) == 8
    assert len(set(made)) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["signing.key"]


def test_each_day_that_is_over_gets_one_head_a_platform(world: World, signed: Office) -> None:
    platform = three_days(world)
    a_ticket(world, "2026-03-01 12:00")
    heads = sign(world, signed, "2026-03-04 12:00")
    told = [(h.platform_id, str(h.day), h.seq, h.ledger_entries) for h in heads]
    assert told == [
        (platform, "2026-03-01", 0, 1),
        (platform, "2026-03-02", 4, 0),
        (platform, "2026-03-03", 4, 0),
    ]
    assert all(head.holds() for head in heads)
    assert sign(world, signed, "2026-03-05 00:20") == heads  # half an hour's grace
    assert len(sign(world, signed, "2026-03-05 00:30")) == 4
    assert flaws(world, keys=[signed.signer.public_key()] if signed.signer else []) == []


def test_replicas_that_sign_at_once_make_one_head_a_day(world: World, signed: Office) -> None:
    three_days(world)
    threads = [threading.Thread(target=sign, args=(world, signed, "2026-03-05 12:00")) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(sign(world, signed, "2026-03-05 12:00")) == 3
    assert flaws(world) == []


def test_a_day_once_signed_takes_no_more_entries(world: World, signed: Office) -> None:
    three_days(world)
    sign(world, signed, "2026-03-05 01:00")
    note(world, china("2026-03-04 23:59"))  # by a replica whose clock runs more than an hour behind
    assert flaws(world) == []
    with Session(world.engine) as session:
        assert session.get(AuditEntry, (world.platforms["01"], date(2026, 3, 5), 1)) is not None


def test_a_chain_rewritten_whole_is_found_by_its_signed_head_only(world: World, signed: Office) -> None:
    three_days(world)
    before_signing = flaws(world)
    heads = sign(world, signed, "2026-03-05 01:00")
    rewrite(world, date(2026, 3, 3), 2)
    found = flaws(world)
    assert before_signing == []
    assert [(f.chain, str(f.day), f.fault) for f in found] == [("head", "2026-03-03", Fault.REWRITTEN)]
    tamper(world.engine, "DELETE FROM audit_days")
    assert flaws(world) == []  # nothing here tells of it any more
    (flaw,) = flaws(world, kept=daily_heads.from_text(daily_heads.to_text(heads)))
    assert (flaw.platform, str(flaw.day), flaw.fault) == ("01", "2026-03-03", Fault.REWRITTEN)


def test_a_head_signed_with_another_key_does_not_pass(world: World, signed: Office, tmp_path: Path) -> None:
    three_days(world)
    kept = sign(world, signed, "2026-03-05 01:00")
    rewrite(world, date(2026, 3, 2), 1)
    tamper(world.engine, "DELETE FROM audit_days")
    own = signed.signer
    assert own is not None
    signed.signer = Signer(tmp_path / "strange.key")
    sign(world, signed, "2026-03-05 01:00")
    assert flaws(world) == []
    assert {f.fault for f in flaws(world, keys=[own.public_key()])} == {Fault.UNSIGNED}
    first = next(f for f in flaws(world, kept=kept, keys=[own.public_key()]) if f.fault is Fault.REWRITTEN)
    assert str(first.day) == "2026-03-02"


@pytest.mark.parametrize("change", ["seq = seq + 1", "head = ''", "ledger_entries = 9", "day = day - 90"])
def test_an_altered_stored_head_is_noticed(world: World, signed: Office, change: str) -> None:
    three_days(world)
    sign(world, signed, "2026-03-05 01:00")
    tamper(world.engine, f"UPDATE audit_days SET {change} WHERE day = '2026-03-03'")
    assert {(f.chain, f.fault) for f in flaws(world)} == {("head", Fault.UNSIGNED)}


def test_whole_days_and_tails_removed_are_named_by_the_signed_head(world: World, signed: Office) -> None:
    three_days(world)
    sign(world, signed, "2026-03-05 01:00")
    tamper(world.engine, "DELETE FROM audit WHERE day = '2026-03-03'")
    found = [(f.chain, str(f.day), f.fault) for f in flaws(world)]
    assert ("head", "2026-03-03", Fault.DAY_REMOVED) in found


def test_a_ticket_removed_with_its_whole_ledger_is_missed_by_the_signed_head(
    world: World, signed: Office
) -> None:
    number = a_ticket(world, "2026-03-02 10:00")
    a_ticket(world, "2026-03-02 11:00")
    sign(world, signed, "2026-03-03 01:00")
    with Session(world.engine) as session:
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == number)).scalar_one().id
    tamper(
        world.engine,
        "DELETE FROM outbox WHERE ticket_id = :t",
        "DELETE FROM clocks WHERE ticket_id = :t",
        "DELETE FROM ledger WHERE ticket_id = :t",
        "DELETE FROM likeness WHERE ticket_id = :t",
        "DELETE FROM tickets WHERE id = :t",
        t=ticket,
    )
    (flaw,) = flaws(world)
    assert (flaw.chain, str(flaw.day), flaw.fault) == ("head", "2026-03-02", Fault.REWRITTEN)
    assert "签名时 2 条，现有 1 条" in flaw.what


def test_a_document_that_is_no_head_is_refused() -> None:
    from workflow.errors import OrderInvalid

    for text_ in (
        "",
        "[]",
        "{}",
        '{"format": "x", "heads": []}',
        '{"format": "hotline12345-daily-heads/1", "heads": [1]}',
    ):
        with pytest.raises(OrderInvalid):
            daily_heads.from_text(text_)


def test_heads_are_rows_of_their_own(world: World, signed: Office) -> None:
    three_days(world)
    sign(world, signed, "2026-03-03 01:00")
    with Session(world.engine) as session:
        (row,) = session.execute(select(AuditDay)).scalars()
    assert (row.seq, len(row.signature), len(row.public_key)) == (4, 64, 32)
