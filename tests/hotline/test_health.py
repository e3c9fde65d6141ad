"""`hotline doctor`: a sound installation is found sound, and each thing broken on purpose is found and named with what to do."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlmodel import Session

from hotline import casework, intake
from hotline.health import machine, standing
from hotline.health.findings import Finding, Level
from hotline.orders import AcceptOrder, DispatchOrder
from hotline.reporting import refresh
from hotline.settings import Settings
from tests.world import World, china, demand
from workflow.vocabulary import Act

TAKEN = china("2026-03-02 10:00")


@pytest.fixture
def number(world: World) -> Iterator[str]:
    """One dispatched ticket of a minute ago, and one only accepted."""
    with Session(world.engine) as session:
        case = intake.take(world.desk(session, "agent", TAKEN), demand(), Act.ACCEPT, AcceptOrder())
        intake.take(world.desk(session, "agent", TAKEN), demand(), Act.ACCEPT, AcceptOrder())
        casework.dispatch(
            world.desk(session, "dispatcher", TAKEN), case.ticket.number, DispatchOrder(lead="ZJJ")
        )
        refresh.count_all(session, world.office, TAKEN)
        session.commit()
        yield case.ticket.number


def looked(world: World, at: datetime = TAKEN) -> dict[str, Finding]:
    """The findings by name; the clock check is left out, as the time here is invented."""
    with Session(world.engine) as session:
        found = standing.look(session, world.office.blobs, str(world.engine.url), lambda: at)
        return {one.check: one for one in found if one.check != "时钟"}


def spoil(engine: Engine, *statements: str, **values: object) -> None:
    with Session(engine) as session:
        session.execute(text("SET LOCAL hotline.rewriting = 'meant'"))
        for statement in statements:
            session.execute(text(statement), values)
        session.commit()


def test_a_sound_database_is_found_sound(world: World, number: str) -> None:
    found = looked(world)
    assert number
    assert {one.level for one in found.values()} == {Level.FINE}, found
    assert len(found) >= 10


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        (
            "DELETE FROM clocks WHERE ticket_id = (SELECT id FROM tickets WHERE number = :number)",
            "在办工单的时限",
        ),
        (
            "UPDATE assignments SET status = 'returned' WHERE ticket_id = (SELECT id FROM tickets WHERE number = :number)",
            "在办工单的承办单位",
        ),
        ("UPDATE tickets SET state = 'handling' WHERE number = :number", "办理动作的完整"),
        (
            "DELETE FROM ledger WHERE ticket_id = (SELECT id FROM tickets WHERE number = :number) AND act = 'dispatch'",
            "办理动作的完整",
        ),
        ("UPDATE tickets SET ledger_seq = ledger_seq - 1 WHERE number = :number", "办理动作的完整"),
    ],
)
def test_a_ticket_gone_wrong_is_named(world: World, number: str, statement: str, check: str) -> None:
    values = {"number": number} if ":number" in statement else {}
    spoil(world.engine, statement, **values)
    found = looked(world)[check]
    assert found.level is Level.FAULT
    assert number in found.told
    assert found.advice


def test_periods_nobody_stamps_are_a_fault(world: World, number: str) -> None:
    assert number
    assert looked(world, TAKEN + timedelta(days=30))["到期检查"].level is Level.FAULT


def test_a_year_without_its_notice_is_told_in_time(world: World, number: str) -> None:
    assert number
    assert (
        looked(world, china("2027-11-30 09:00"))["工作日历"].level is Level.FAULT
    )  # 2027 itself is not there
    spoil(world.engine, "UPDATE clocks SET provisional = true WHERE met_at IS NULL")
    early = looked(world, china("2026-06-01 09:00"))["工作日历"]
    assert early.level is Level.WARNING
    assert "2027" in early.told


def test_what_waits_too_long_is_told(world: World, number: str) -> None:
    assert number
    assert looked(world, TAKEN + timedelta(hours=3))["事件投递"].level is Level.FINE
    spoil(world.engine, "UPDATE outbox SET position = NULL")  # nobody sorts them for the receivers
    assert looked(world, TAKEN + timedelta(minutes=3))["事件投递"].level is Level.FINE
    assert looked(world, TAKEN + timedelta(hours=3))["事件投递"].level is Level.FAULT


def test_a_lost_file_is_missed(world: World, number: str) -> None:
    blob = world.office.blobs.put(b"%PDF-1.4 test")
    spoil(
        world.engine,
        "INSERT INTO attachments (ticket_id, audience, file_class, name, media_type, size, sha256, added_by, added_at, held)"
        " SELECT id, 'units', 'process', 'x.pdf', 'application/pdf', 13, :sha256, 'test', now(), false FROM tickets LIMIT 1",
        sha256=blob.sha256,
    )
    assert looked(world)["附件"].level is Level.FINE
    world.office.blobs.destroy(blob.sha256)
    assert looked(world)["附件"].level is Level.FAULT


def test_an_older_structure_is_a_fault_and_nothing_else_is_asked(world: World) -> None:
    spoil(world.engine, "UPDATE alembic_version SET version_num = '0001'")
    found = looked(world)
    assert found["数据库版本"].level is Level.FAULT
    assert "hotline migrate" in found["数据库版本"].advice
    assert len(found) == 1


def test_a_clock_apart_from_the_databases_is_a_fault(world: World) -> None:
    with Session(world.engine) as session:
        for apart, level in ((timedelta(), Level.FINE), (timedelta(minutes=1), Level.FAULT)):
            found = standing.look(
                session,
                world.office.blobs,
                str(world.engine.url),
                lambda: datetime.now(UTC) - apart,  # noqa: B023
            )
            assert next(one for one in found if one.check == "时钟").level is level


def test_keys_others_may_read_are_a_fault(tmp_path: Path) -> None:
    for name in ("keyring.json", "signing.key"):
        (tmp_path / name).write_text("{}")
        (tmp_path / name).chmod(0o600)
    assert {one.check: one.level for one in machine.look(Settings(data_dir=tmp_path))}["密钥"] is Level.FINE
    (tmp_path / "signing.key").chmod(0o644)
    found = {one.check: one for one in machine.look(Settings(data_dir=tmp_path))}["密钥"]
    assert found.level is Level.FAULT
    assert "signing.key" in found.told


def test_an_address_for_all_without_a_public_name_is_told(tmp_path: Path) -> None:
    open_to_all = Settings(data_dir=tmp_path, host="0.0.0.0", second_factor="offered")
    told = [one.told for one in machine.look(open_to_all) if one.check == "配置"]
    assert len(told) == 2


def test_the_command_says_what_it_found_and_fails_where_something_is_broken(
    world: World, number: str, database_url: str, tmp_path: Path
) -> None:
    def run() -> tuple[int, dict[str, Level]]:
        done = subprocess.run(
            [sys.executable, "-m", "api.cli", "doctor", "--json", "--chains"],
            env={
                "HOTLINE_DATABASE_URL": database_url,
                "HOTLINE_DATA_DIR": str(tmp_path / "data"),
                "PATH": "/usr/bin:/bin",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        told = json.loads(done.stdout)
        return done.returncode, {one["check"]: Level(one["level"]) for one in told["findings"]}

    spoil(
        world.engine,
        "UPDATE clocks SET due_at = now() + interval '9 days'",
        "UPDATE outbox SET position = id",
    )
    code, found = run()
    assert code == 0, found
    assert found["台账和审计的哈希链"] is Level.FINE
    spoil(world.engine, "UPDATE ledger SET actor_name = '测试别人' WHERE seq = 1")
    code, found = run()
    assert code == 1
    assert found["台账和审计的哈希链"] is Level.FAULT
    assert number
