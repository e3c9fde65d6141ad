"""分区: made ahead, nothing lost that falls beside them, whole ones dropped or put away cold; every partition as append-only as its table."""

from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hotline import casework
from hotline.health.findings import Level
from hotline.models import Ticket
from hotline.orders import ProgressOrder
from hotline.storage import partitions
from tests.hotline.test_health import looked
from tests.hotline.test_ledger import a_ticket, breaks, tamper
from tests.world import World, china
from workflow.errors import OrderInvalid

NOW = china("2026-03-02 09:00")


def sql(world: World, statement: str) -> None:
    with world.engine.begin() as connection:
        connection.execute(text(statement))


def made(world: World, at: str = "2026-03-02 09:00") -> int:
    with Session(world.engine) as session:
        count = partitions.make(session, china(at))
        session.commit()
    return count


def there(world: World, table: str) -> list[partitions.Partition]:
    with Session(world.engine) as session:
        return [one for one in partitions.listed(session) if one.table == table]


def jump(world: World) -> None:
    """As if far more had been taken than anybody foresaw."""
    sql(world, "SELECT setval('tickets_id_seq', 150000), setval('outbox_id_seq', 1500000)")


def test_the_ticker_makes_what_the_next_months_need_once(world: World) -> None:
    made(world)
    assert made(world) == 0
    top = there(world, "audit")[-2].upper
    assert isinstance(top, date)
    later = f"{top.year + 1}-{top.month:02d}-15 09:00"
    assert made(world, later) == 16  # twelve months and this one and three ahead
    names = [one.name for one in there(world, "audit")]
    assert names[-1] == "audit_rest"
    assert names[-2] == f"audit_{partitions.months_on(top, 15):%Y_%m}"
    assert made(world, later) == 0


def test_as_wide_as_the_last_month_was_and_three_of_them_ahead(world: World) -> None:
    sql(world, "SELECT setval('tickets_id_seq', 45000)")
    assert a_ticket(world) == 45001
    assert made(world) >= 1  # 45,001 numbers within a month: wider ones
    newest = there(world, "ledger")[-2]
    assert isinstance(newest.upper, int)
    assert isinstance(newest.lower, int)
    assert newest.upper - newest.lower == 50_000
    assert newest.upper - 45_001 > 3 * 50_000
    assert made(world) == 0


def test_what_falls_into_the_rest_is_told_and_becomes_a_partition_as_it_lies(world: World) -> None:
    made(world)
    assert looked(world)["分区"].level is Level.FINE
    jump(world)
    ticket_id = a_ticket(world)
    assert ticket_id == 150_001
    sql(world, "UPDATE outbox SET position = nextval('outbox_positions')")
    told = looked(world)["分区"]
    assert told.level is Level.WARNING
    assert "ledger、outbox 有记录落在备用分区" in told.told
    assert made(world) >= 2
    assert looked(world)["分区"].level is Level.FINE
    assert breaks(world, ticket_id) == []
    (kept,) = [one for one in there(world, "ledger") if one.name.startswith("ledger_until_")]
    assert isinstance(kept.lower, int)
    assert isinstance(kept.upper, int)
    assert kept.lower <= ticket_id < kept.upper
    with Session(world.engine) as session:  # and its history goes on there
        number = session.get_one(Ticket, ticket_id).number
        handler = world.desk(session, "ZJJ", china("2026-03-02 12:00"))
        casework.report_progress(handler, number, ProgressOrder(content="测试进展"))
        session.commit()
        assert session.execute(text(f"SELECT count(*) FROM {kept.name}")).scalar_one() == 4
    assert breaks(world, ticket_id) == []
    assert breaks(world, a_ticket(world)) == []


@pytest.mark.parametrize("statement", ["UPDATE {} SET seq = seq", "DELETE FROM {}", "TRUNCATE {}"])
def test_no_partition_may_be_rewritten(world: World, statement: str) -> None:
    jump(world)
    a_ticket(world)
    made(world)
    filled = [one.name for table in ("ledger", "audit") for one in there(world, table)]
    assert len(filled) > 9
    refused = 0
    for name in filled:
        with world.engine.connect() as connection:
            holds = connection.execute(text(f"SELECT EXISTS (SELECT FROM {name})")).scalar_one()
            if holds or statement.startswith("TRUNCATE"):
                with pytest.raises(DBAPIError, match="append-only"):
                    connection.execute(text(statement.format(name)))
                refused += 1
    assert refused >= (len(filled) if statement.startswith("TRUNCATE") else 1)


def test_events_are_dropped_by_the_partition_when_nothing_in_it_is_needed(world: World) -> None:
    sql(world, "SELECT setval('outbox_id_seq', 200100)")
    a_ticket(world)
    sql(world, "SELECT setval('outbox_id_seq', 400100)")
    a_ticket(world)
    old = [one.name for one in there(world, "outbox")][1]
    assert old == "outbox_from_200001"

    def dropped(before: str) -> int:
        with Session(world.engine) as session:
            count = partitions.drop_events(session, china(before), NOW)
            session.commit()
        return count

    assert dropped("2027-01-01 00:00") == 0  # not placed in the feed yet
    sql(world, "UPDATE outbox SET position = nextval('outbox_positions')")
    assert dropped("2026-03-02 10:30") == 0  # some are younger
    with world.engine.connect() as connection:
        count, last = connection.execute(text(f"SELECT count(*), max(position) FROM {old}")).one()
    assert dropped("2027-01-01 00:00") == count > 0
    assert old not in [one.name for one in there(world, "outbox")]
    with world.engine.connect() as connection:
        assert connection.execute(text("SELECT position FROM feed_horizon")).scalar_one() == last
    assert dropped("2027-01-01 00:00") == 0  # the one that is being filled stays
    assert a_ticket(world)


def test_only_what_is_past_and_archived_is_put_away_cold(world: World) -> None:
    sql(world, "SELECT setval('tickets_id_seq', 20000)")
    ticket_id = a_ticket(world)
    home = next(one.name for one in there(world, "ledger") if isinstance(one.lower, int))

    def cooled(before: date, tablespace: str | None = None) -> dict[str, str | None]:
        with world.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            at = china("2026-06-02 09:00")
            return {one.name: one.refused for one in partitions.cool(connection, before, tablespace, at)}

    with pytest.raises(OrderInvalid, match="本月以前"):
        cooled(date(2026, 7, 1))
    with pytest.raises(OrderInvalid, match="没有这个表空间"):
        cooled(date(2026, 6, 1), "nowhere")
    assert cooled(date(2026, 3, 1))[home] == "含 2026-03 及以后的记录"
    assert cooled(date(2026, 6, 1))[home] == "还有 1 件工单未归档"
    sql(world, f"UPDATE tickets SET state = 'archived' WHERE id = {ticket_id}")
    assert cooled(date(2026, 6, 1), "pg_default")[home] is None
    assert home not in cooled(date(2026, 6, 1))  # once
    (kept,) = [one for one in there(world, "ledger") if one.name == home]
    assert (kept.cold, kept.rows) == ("2026-06-02", 3)
    with world.engine.connect() as connection:
        options = connection.execute(
            text("SELECT reloptions FROM pg_class WHERE relname = :name"), {"name": home}
        ).scalar_one()
    assert options == ["autovacuum_enabled=false"]
    tamper(world, "UPDATE ledger SET actor_name = '别人' WHERE seq = 2")
    assert [one.seq for one in breaks(world, ticket_id)]  # cold, and still read


def test_the_listing_says_which_days_lie_where(world: World) -> None:
    a_ticket(world)
    with Session(world.engine) as session:
        spans = {one.name: (first, last) for one, first, last in partitions.spans(session)}
    assert spans["ledger_first"] == (date(2026, 3, 2), date(2026, 3, 2))
    assert spans["outbox_first"][0] == date(2026, 3, 2)
    assert spans["audit_rest"] == (None, None)
