"""The demo really acts: every state comes about, every ledger holds, nothing happens after the end, and a seed repeats itself."""

import hashlib
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlmodel import Session, col

from hotline import casework, ledger
from hotline.access import SYSTEM
from hotline.case import Case, Desk
from hotline.demo import driver, organisation
from hotline.models import (
    Assignment,
    Attachment,
    Clock,
    Extension,
    LedgerEntry,
    Reminder,
    ReturnProposal,
    Ticket,
)
from hotline.office import open_office
from hotline.orders import SignOrder
from hotline.organisation import OrgUnit, Person, Platform
from hotline.people import accounts
from hotline.settings import Settings
from hotline.storage.store import make_engine
from knowledge_base.demo import SHELF
from knowledge_base.models import Recall
from workflow.deadlines import CHINA
from workflow.errors import OrderInvalid
from workflow.vocabulary import Act, Level, RecallReason, Role, State

NOW = datetime(2026, 11, 21, 12, 24, tzinfo=CHINA)
SPRING = datetime(
    2026, 2, 20, 15, 0, tzinfo=CHINA
)  # in the Spring Festival, the half year across two notices

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


def _session(url: str) -> Session:
    return Session(make_engine(url, pool_size=1))


def _digest(url: str) -> str:
    with _session(url) as session:
        rows = session.execute(
            select(
                col(Ticket.number),
                col(Ticket.state),
                col(Ticket.title),
                col(Ticket.content),
                col(Ticket.version),
                col(Ticket.ledger_seq),
                col(Ticket.received_at),
            ).order_by(col(Ticket.number))
        ).all()
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def test_every_state_comes_about_by_real_acts(database_url: str, settings: Settings) -> None:
    logins = driver.reset_and_fill(database_url, settings, now=NOW, tickets=450, seed=7, progress=False)
    with _session(database_url) as session:
        _check_states_and_acts(session)
        _check_ledgers(session)
        _check_time(session)
        _check_people(session, logins)
        _check_traces(session)


@pytest.mark.timeout(1200)  # one to two minutes on two idle cores
def test_the_demo_people_start_with_breaks_no_rule(database_url: str, settings: Settings) -> None:
    """As many tickets as `run.py` fills: rare meetings of acts come about only at that size."""
    driver.reset_and_fill(database_url, settings, now=NOW, progress=False, shelf=SHELF)
    with _session(database_url) as session:
        tickets = session.execute(select(func.count()).select_from(Ticket)).scalar_one()
        assert tickets == driver.TICKETS
        assert set(session.execute(select(col(Recall.reason))).scalars()) == set(RecallReason)


def test_a_refused_act_ends_its_tickets_play_alone(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sign = casework.sign
    refused: list[str] = []

    def refuse_the_first(desk: Desk, number: str, order: SignOrder) -> Case:
        case = sign(desk, number, order)
        if not refused:
            refused.append(number)
            raise OrderInvalid("演示用的拒绝。")
        return case

    monkeypatch.setattr(casework, "sign", refuse_the_first)
    with pytest.raises(OrderInvalid):
        driver.reset_and_fill(database_url, settings, now=NOW, tickets=40, seed=7, progress=False)
    refused.clear()
    driver.reset_and_fill(database_url, settings, now=NOW, tickets=40, seed=7, progress=False, forgiving=True)
    assert [record.getMessage().split()[1] for record in caplog.records if "已略去" in record.msg] == refused
    with _session(database_url) as session:
        assert session.execute(select(func.count()).select_from(Ticket)).scalar_one() == 40
        _check_ledgers(session)
        ticket = session.execute(select(Ticket).where(col(Ticket.number) == refused[0])).scalar_one()
        acts = [entry.act for entry in ledger.entries_of(session, ticket.id)]
        assert Act.SIGN.value not in acts, "what the refused act had begun is undone"


def _check_states_and_acts(session: Session) -> None:
    states = Counter(session.execute(select(col(Ticket.state))).scalars())
    assert sum(states.values()) == 450
    assert set(State) - set(states) == set()
    assert states[State.ARCHIVED] > 225
    acts = set(session.execute(select(col(LedgerEntry.act)).distinct()).scalars())
    rare = {Act.HOLD_RECORDING, Act.RELEASE_UNIT, Act.COORDINATE, Act.HAND_OVER, Act.REFUSE_EXTENSION}
    assert {act.value for act in Act} - acts <= {act.value for act in rare}


def _check_ledgers(session: Session) -> None:
    for ticket in session.execute(select(Ticket)).scalars().all():
        entries = ledger.entries_of(session, ticket.id)
        assert ledger.verify(ticket.number, ticket.ledger_head, ticket.ledger_seq, entries) == []
        recorded = [entry.recorded_at for entry in entries]
        assert recorded == sorted(recorded), ticket.number
        assert all(ticket.received_at <= at <= NOW for at in recorded), ticket.number


def _check_time(session: Session) -> None:
    first, last = session.execute(
        select(func.min(col(Ticket.received_at)), func.max(col(Ticket.received_at)))
    ).one()
    assert NOW - timedelta(days=184) <= first <= NOW - timedelta(days=170)
    assert NOW - timedelta(days=2) <= last <= NOW
    unstamped = (
        select(func.count())
        .select_from(Clock)
        .where(
            col(Clock.due_at) <= NOW,
            col(Clock.met_at).is_(None),
            col(Clock.voided_at).is_(None),
            col(Clock.lapsed_at).is_(None),
        )
    )
    assert session.execute(unstamped).scalar_one() == 0


def _check_people(session: Session, logins: driver.Logins) -> None:
    known = {("person", id_) for id_ in session.execute(select(col(Person.id))).scalars()}
    actors = session.execute(select(col(LedgerEntry.actor_kind), col(LedgerEntry.actor_id)).distinct()).all()
    assert {kind for kind, _ in actors} == {"person", "platform_machine", SYSTEM.kind}
    assert {tuple(actor) for actor in actors if actor[0] == "person"} <= known
    for row in logins["people"]:
        actor = accounts.actor_of(session, row["token"], NOW)
        assert actor is not None, row["login"]
    shown = {row["role"] for row in logins["people"]}
    assert {role.label for role in Role} - shown == {Role.CITIZEN.label, Role.SYSTEM.label}
    assert session.execute(select(Person).where(col(Person.login) == driver._MARK)).first() is None


def _check_traces(session: Session) -> None:
    upheld = set(session.execute(select(col(ReturnProposal.upheld)).distinct()).scalars())
    assert {True, False} <= upheld
    assert True in set(session.execute(select(col(Extension.approved)).distinct()).scalars())
    for table in (Reminder, Attachment, Assignment):
        assert session.execute(select(func.count()).select_from(table)).scalar_one() > 0
    late = select(func.count()).select_from(Clock).where(col(Clock.lapsed_at).is_not(None), col(Clock.duty))
    assert session.execute(late).scalar_one() > 0
    texts = session.execute(select(func.count(), func.count(col(Ticket.content).distinct()))).one()
    assert texts[1] > texts[0] * 0.98


def test_the_same_seed_gives_the_same_tickets_in_one_process_and_in_two(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = []
    for few in (10_000, 1):
        monkeypatch.setattr(driver, "_FEW", few)
        driver.reset_and_fill(database_url, settings, now=SPRING, tickets=50, seed=3, progress=False)
        digests.append(_digest(database_url))
    driver.reset_and_fill(database_url, settings, now=SPRING, tickets=50, seed=4, progress=False)
    assert digests[0] == digests[1]
    assert _digest(database_url) != digests[0]


def test_ensure_demo_fills_once_and_again_where_it_was_cut_short(
    database_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "TICKETS", 40)
    first = driver.ensure_demo(database_url, settings, now=NOW)
    before = _digest(database_url)
    assert driver.ensure_demo(database_url, settings, now=NOW + timedelta(days=1)) == first
    assert _digest(database_url) == before
    with _session(database_url) as session:
        platform = session.execute(select(Platform).limit(1)).scalar_one()
        accounts.add_person(
            session, login=driver._MARK, name="演示数据填充中", roles=[Role.ADMIN], platform=platform
        )
        session.execute(text("DELETE FROM outbox"))
        session.commit()
    driver.ensure_demo(database_url, settings, now=NOW)
    assert _digest(database_url) == before
    with _session(database_url) as session:
        assert session.execute(text("SELECT count(*) FROM outbox")).scalar_one() > 0


def test_a_database_with_other_data_is_left_alone_and_gets_no_tokens(
    database_url: str, settings: Settings
) -> None:
    with _session(database_url) as session:
        accounts.add_platform(
            session,
            code="01",
            name="测试市12345政务服务便民热线",
            short_name="测试市12345热线",
            level=Level.PREFECTURE,
            area_code="630100000000",
        )
        session.commit()
    logins = driver.ensure_demo(database_url, settings, now=NOW)
    assert logins["people"] == []
    assert "未填入演示数据" in driver.logins_text(logins)
    with _session(database_url) as session:
        assert session.execute(select(func.count()).select_from(OrgUnit)).scalar_one() == 0
        assert session.execute(text("SELECT count(*) FROM access_tokens")).scalar_one() == 0


def test_resetting_takes_the_old_files_along(database_url: str, settings: Settings) -> None:
    office = open_office(settings)
    driver.reset_and_fill(database_url, settings, now=NOW, tickets=1, seed=1, progress=False)
    blob = office.blobs.put("旧附件".encode())
    with _session(database_url) as session:
        ticket = session.execute(select(Ticket)).scalar_one()
        session.execute(
            text(
                "INSERT INTO attachments (ticket_id, file_class, audience, name, media_type, size, sha256, added_by, added_at, held)"
                " VALUES (:ticket, 'other', 'all', 'x', 'text/plain', 9, :sha256, 'x', now(), false)"
            ),
            {"ticket": ticket.id, "sha256": blob.sha256},
        )
        session.commit()
    driver.reset_and_fill(database_url, settings, now=NOW, tickets=2, seed=1, progress=False)
    assert not office.blobs.destroy(blob.sha256)


def test_tokens_differ_between_installations() -> None:
    one, other = (organisation.token_of(bytes([n]) * 32, "xn-agent01") for n in (1, 2))
    assert one != other
    assert one == organisation.token_of(b"\x01" * 32, "xn-agent01")
