"""Keys rotated on a real database: everything sealed opens afterwards, an interrupted rotation goes on, a needed key stays."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlmodel import Session, col

from hotline import intake
from hotline.access import SYSTEM, Actor
from hotline.auditing import audit
from hotline.case import Desk, Office
from hotline.desks import calls, keeping
from hotline.exporting.exports import files_of
from hotline.models import Ticket
from hotline.orders import AcceptOrder, Caller
from hotline.people import second_factor
from hotline.people.identity import Credential
from hotline.privacy import keyring
from hotline.privacy.concealment import known_of, originals_of
from hotline.privacy.keyring import KeyRingBroken, Suite, open_ring
from hotline.privacy.rotation import Rotation, check_ring
from hotline.privacy.sealing import Sealer
from hotline.storage.blobs import BlobStore
from tests.world import World, china, demand
from workflow.vocabulary import Act, Role

AT = datetime(2026, 3, 2, tzinfo=UTC)


class House:
    """The small world with a key ring in a file, as a server has it."""

    def __init__(self, world: World, folder: Path) -> None:
        (folder / "field.key").write_bytes(b"k" * 32)
        self.folder, self.world, self.waited = folder, world, 0.0
        self.office = world.office = self.fresh_office()

    def fresh_office(self) -> Office:
        """The office of another process."""
        ring = open_ring(self.folder / "keyring.json", self.folder / "field.key", Suite.AES)
        return Office(Sealer(ring), BlobStore(self.folder / "blobs", 1024 * 1024))

    def rotation(self) -> Rotation:
        """A rotation, in a process of its own, that does not really wait."""
        office = self.fresh_office()

        def wait(seconds: float) -> None:
            self.waited += seconds
            time.sleep(0.01)

        return Rotation(
            self.world.engine, office.sealer, files_of(office), by=SYSTEM, now=lambda: AT, wait=wait
        )

    def fill(self, count: int, first: int = 0) -> None:
        """Register demands whose content names the caller's phone."""
        with Session(self.world.engine) as session:
            for n in range(first, first + count):
                phone = f"139{n:08d}"
                told = demand(
                    caller=Caller(name=f"测试{n}", phone=phone, address="测试路1号"), content=f"回电{phone}"
                )
                desk = self.world.desk(session, "agent", china("2026-03-02 09:00"))
                intake.take(desk, told, Act.ACCEPT, AcceptOrder())
            session.commit()

    def opened(self, sealer: Sealer) -> list[tuple[str | None, str]]:
        """Every caller's phone, found again by its index, with what was typed."""
        with Session(self.world.engine) as session:
            found = []
            for ticket in session.execute(select(Ticket).order_by(col(Ticket.id))).scalars():
                known = known_of(sealer, ticket)
                assert ticket.phone_index in sealer.indexes(known.phone or "")
                found.append((known.phone, originals_of(session, sealer, ticket)[1]["demand.content"]))
            return found

    def prefixes(self) -> set[bytes]:
        """How what is sealed in the database begins."""
        statement = "SELECT substring(caller_phone from 1 for 4) FROM tickets UNION SELECT substring(sealed from 1 for 4) FROM originals"
        with self.world.engine.connect() as connection:
            return {bytes(row[0]) for row in connection.execute(text(statement))}


@pytest.fixture
def house(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.setattr(keyring, "NOTICED_WITHIN", 0.0)
    return House(world, tmp_path)


def expected(count: int) -> list[tuple[str | None, str]]:
    return [(f"139{n:08d}", f"回电139{n:08d}") for n in range(count)]


def quiet(*_: object) -> None:
    """Nobody looks at the progress."""


@pytest.mark.parametrize("suite", list(Suite))
def test_everything_is_sealed_anew_and_opens_in_every_process(house: House, suite: Suite) -> None:
    house.fill(450)
    with Session(house.world.engine) as session:
        person_id = house.world.people["supervisor"]
        credential = Credential(person_id=person_id)
        secret = second_factor.enrol(credential, house.office.sealer, "supervisor")
        before = credential.totp_secret
        session.add(credential)
        session.commit()
    files = files_of(house.office)
    draft = house.folder / "draft"
    draft.write_bytes(b"x" * 10_000_000)
    files.seal("1.xlsx", draft)
    told: list[tuple[str, int, int]] = []
    done = house.rotation().rotate(suite, lambda *step: told.append(step))
    assert (done.key, done.suite, done.resumed, done.broken) == (2, suite, False, [])
    assert done.rows == 450 + 450 + 1 + 1
    assert ("来电人信息", 450, 450) in told
    assert house.waited >= 2 * keyring.NOTICED_WITHIN
    assert house.prefixes() == {bytes([2, suite, 0, 2])}
    for office in (house.office, house.fresh_office()):
        assert house.opened(office.sealer) == expected(450)
        assert files_of(office).read("1.xlsx") == b"x" * 10_000_000
    with Session(house.world.engine) as session:
        credential = session.get_one(Credential, person_id)
        assert credential.totp_secret != before
        import pyotp

        code = pyotp.TOTP(secret.secret).at(AT)
        assert second_factor.confirm(credential, house.office.sealer, code, AT)
    assert files.under_older_keys() == []


def test_old_keys_are_retired_only_when_nothing_needs_them(house: House) -> None:
    house.fill(3)
    rotation = house.rotation()
    with pytest.raises(KeyRingBroken, match="当前密钥"):
        rotation.retire(1)
    rotation.rotate(Suite.SM, quiet)
    assert [(u.key.id, u.current, u.rows) for u in house.rotation().uses()] == [(1, False, 0), (2, True, 12)]
    with house.world.engine.begin() as connection:  # a row from a backup, under the old key
        old = Sealer(keyring.in_memory(b"k" * 32)).seal("测试", "tickets.caller_name:0")
        connection.execute(text("UPDATE tickets SET caller_name = :old WHERE id = 1"), {"old": old})
    with pytest.raises(KeyRingBroken, match="还有 1 项"):
        house.rotation().retire(1)
    with house.world.engine.begin() as connection:
        connection.execute(text("UPDATE tickets SET caller_name = NULL WHERE id = 1"))
    house.rotation().retire(1)
    with pytest.raises(KeyRingBroken, match="或已停用"):
        house.rotation().retire(1)
    with pytest.raises(KeyRingBroken, match="没有编号为 9"):
        house.rotation().retire(9)
    assert b"a2tra2tra2" not in (house.folder / "keyring.json").read_bytes()  # base64 of the old secret
    assert house.opened(house.office.sealer) == expected(3)
    with Session(house.world.engine) as session:
        steps = session.execute(
            text("SELECT what->>'step' FROM audit WHERE kind = 'keys_changed' ORDER BY seq")
        )
        assert list(steps.scalars()) == ["added", "finished", "retired"]


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("at", range(1, 7))
def test_a_rotation_that_ended_anywhere_goes_on_where_it_was(house: House, at: int) -> None:
    house.fill(250)
    rotation = house.rotation()
    calls = 0

    def die(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == at:
            raise Killed

    if at <= 2:
        rotation._wait = die
    tell = quiet if at <= 2 else die
    with pytest.raises(Killed):
        rotation.rotate(Suite.SM, tell)
    house.fill(5, first=250)
    assert house.opened(house.office.sealer) == expected(255)
    done = house.rotation().rotate(Suite.AES, quiet)
    assert (done.key, done.suite, done.resumed) == (2, Suite.SM, True)
    assert house.prefixes() == {bytes([2, Suite.SM, 0, 2])}
    assert house.opened(house.fresh_office().sealer) == expected(255)
    with pytest.raises(KeyRingBroken, match="没有未完成"):
        house.rotation().rotate(Suite.AES, quiet, only_resume=True)


def test_a_row_somebody_acts_on_is_waited_for_and_two_rotations_are_refused(house: House) -> None:
    house.fill(3)
    held, released = threading.Event(), threading.Event()

    def act() -> None:
        with house.world.engine.begin() as connection:
            connection.execute(text("SELECT id FROM tickets WHERE id = 2 FOR UPDATE"))
            held.set()
            released.wait(30)

    acting = threading.Thread(target=act)
    acting.start()
    held.wait(30)
    steps: list[int] = []
    rotating = threading.Thread(target=lambda: steps.append(house.rotation().rotate(Suite.AES, quiet).rows))
    rotating.start()
    deadline = time.monotonic() + 30
    while len(house.prefixes()) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(KeyRingBroken, match="正在进行"):
        house.rotation().rotate(Suite.AES, quiet)
    assert rotating.is_alive()
    released.set()
    acting.join()
    rotating.join(30)
    assert steps == [6]
    assert house.opened(house.office.sealer) == expected(3)


def test_a_value_that_does_not_open_is_told_and_stops_nothing(house: House) -> None:
    house.fill(4)
    with house.world.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE tickets SET caller_phone = (SELECT caller_phone FROM tickets WHERE id = 1) WHERE id = 3"
            )
        )
    done = house.rotation().rotate(Suite.SM, quiet)
    assert done.broken == [("tickets", 3)]
    assert done.rows == 7
    with pytest.raises(KeyRingBroken, match="还有"):
        house.rotation().retire(1)


def test_another_rings_database_is_refused(house: House, tmp_path: Path) -> None:
    house.fill(1)
    check_ring(house.world.engine, house.office.sealer)
    with pytest.raises(KeyRingBroken, match="另一个密钥环"):
        check_ring(house.world.engine, Sealer(keyring.in_memory(b"x" * 32)))
    other = open_ring(tmp_path / "other.json", tmp_path / "none", Suite.SM)
    rotation = Rotation(
        house.world.engine,
        Sealer(other),
        files_of(house.office),
        by=SYSTEM,
        now=lambda: AT,
        wait=lambda _: None,
    )
    with pytest.raises(KeyRingBroken, match="另一个密钥环"):
        rotation.rotate(Suite.AES, quiet)
    assert house.opened(house.office.sealer) == expected(1)
    assert audit.NOWHERE == 0


def test_calls_and_unfinished_forms_are_sealed_anew_and_found_again(house: House) -> None:
    with Session(house.world.engine) as session:
        agent = house.world.desk(session, "agent", AT)
        machine = Actor(
            "platform_machine", 1, "测试话务平台", frozenset({Role.AGENT}), house.world.platforms["01"]
        )
        cti = Desk(session, machine, AT, house.office)
        calls.report(cti, calls.CallReport(call_id="c-1", number="13900000001", agent="agent"))
        keeping.save_draft(agent, "take:1", keeping.DraftOrder(content={"phone": "13900000001"}))
        session.commit()
    done = house.rotation().rotate(Suite.SM, quiet)
    assert done.broken == []
    uses = {use.key.id: use.rows for use in house.rotation().uses()}
    assert uses[1] == 0
    office = house.fresh_office()
    with Session(house.world.engine) as session:
        agent = Desk(session, house.world.actor(session, "agent"), AT, office)
        shown = calls.current(agent)
        assert shown is not None
        assert shown.number == "13900000001"
        assert shown.call.phone_index in office.sealer.indexes("13900000001")
        assert keeping.read_draft(agent, "take:1")[1] == {"phone": "13900000001"}
