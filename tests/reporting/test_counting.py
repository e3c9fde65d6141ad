"""Counting as it happens is counting: whatever happens in whatever order, facts and cube are what the raw tables give, and an independent
reading of the same rows in plain Python agrees."""

import re
from datetime import date, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from sqlalchemy import Engine, text
from sqlmodel import Session

from hotline.reporting import facts, filling, refresh
from hotline.reporting.cube import counted, merged
from hotline.reporting.figures import full, whole
from hotline.reporting.indicators import BY_KEY, INDICATORS, shown
from hotline.reporting.periods import days, month, parse
from hotline.reporting.slices import By, Slice
from tests import world as w
from tests.reporting import oracle
from tests.reporting.lives import STEPS, Lives, Step

HISTORY = settings(
    max_examples=25,
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # the database goes on: what is shrunk would be another history
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)


def found(engine: Engine) -> filling.Found:
    """What a check finds."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        *_, (_, _, last) = filling.check(Session(connection))
    assert last is not None
    return last


@HISTORY
@given(steps=STEPS)
def test_the_cube_is_the_raw_query_after_any_interleaving(world: w.World, steps: list[Step]) -> None:
    lives = Lives(world)
    for step in steps:
        lives.live(step)
    lives.count()
    assert found(world.engine).sound
    _parts_and_wholes(world, lives)
    _as_read_by_hand(world, lives)


def _everywhere(world: w.World) -> Slice:
    return Slice(platforms=tuple(world.platforms.values()))


def _parts_and_wholes(world: w.World, lives: Lives) -> None:
    """Parts sum to wholes in every breakdown; of what was due, on time and late are all."""
    today = lives.at.date() + timedelta(days=30)
    period = days(date(2026, 2, 1), today)
    everything: tuple[By, ...] = (
        "platform",
        "unit",
        "matter",
        "category",
        "area",
        "channel",
        "agent",
        "day",
        "month",
    )
    with Session(world.engine) as session:
        cut = _everywhere(world)
        of_all = counted(session, cut, period, "whole", today).get("", {})
        for what in facts.DUE & set(of_all):
            due, met, late, still_open, *_ = of_all[what]
            assert met + late == due, what
            assert still_open <= late
        for by in everything:
            parts = counted(session, cut, period, by, today)
            assert merged(parts.values()) == of_all, by
        for table in full(session, cut, period, today).values():
            late_, met_ = BY_KEY["overdue"], BY_KEY["timely"]
            for row in table.rows:
                assert row.figures[late_.key].denominator == row.figures[met_.key].denominator


def _as_read_by_hand(world: w.World, lives: Lives) -> None:
    today = lives.at.date() + timedelta(days=2)
    for period in (month(2026, 3), days(date(2026, 3, 3), today)):
        with Session(world.engine) as session:
            told = whole(session, _everywhere(world), period, today)
            read = oracle.read(session, period, today)
        for indicator in INDICATORS:
            mine = told[indicator.key]
            assert (mine.numerator, mine.denominator, mine.median) == read[indicator.key], indicator.key


def test_a_life_is_counted_whichever_acts_it_has(world: w.World) -> None:
    """What the histories above are made of does happen: this long one has every kind of act in it."""
    lives = Lives(world)
    chance = Random(12345)
    for number in range(900):
        what = "born" if number % 7 == 0 else "call" if number % 35 == 1 else "act"
        lives.live(Step(what, chance.randrange(4), chance.randrange(10_000), chance.choice((0, 0, 1, 2))))
    lives.count()
    assert found(world.engine).sound
    _as_read_by_hand(world, lives)
    wanted = {
        "dispatch",
        "sign",
        "reply",
        "propose_return",
        "uphold_return",
        "review_pass",
        "record_callback",
    }
    assert wanted | {"merge", "withdraw", "review_send_back", "archive", "call"} <= set(lives.done), (
        lives.done
    )
    with Session(world.engine) as session:
        there = set(session.execute(text("SELECT DISTINCT what FROM report_facts")).scalars())
    assert there >= {
        "reply",
        "form_and_transfer",
        "callback",
        "citizen",
        "received",
        "dispatched",
        "assigned",
        "called_back",
        "call",
    }


def test_a_check_finds_what_was_tampered_with(world: w.World) -> None:
    lives = Lives(world)
    for number in range(40):
        lives.live(Step("born" if number % 4 == 0 else "act", number % 5, number * 7919, 3))
    lives.count()
    with Session(world.engine) as session:
        session.execute(
            text(
                "UPDATE report_cube SET m1 = m1 + 1 WHERE dim = '' AND grain = 'month' AND what = 'received'"
            )
        )
        session.commit()
    assert found(world.engine).wrong_cells > 0
    with Session(world.engine) as session:
        session.execute(text("DELETE FROM report_facts WHERE what = 'received'"))
        session.commit()
    assert found(world.engine).wrong_facts > 0


def test_counting_anew_goes_on_after_a_crash_and_comes_to_the_same(world: w.World) -> None:
    lives = Lives(world)
    for number in range(60):
        lives.live(Step("born" if number % 4 == 0 else "act", number % 5, number * 7919, 2))
    lives.count()
    before = _cells(world)
    with Session(world.engine) as session:
        state = refresh._take(session)
        assert state is not None
        filling.start(session, state)
        session.commit()
    with Session(world.engine) as session:
        state = refresh._take(session)
        assert state is not None
        filling.fill(session, state, lives.at, batch=5)
        session.rollback()  # the crash
    with Session(world.engine) as session, pytest.raises(refresh.StillCounting, match="重新汇总"):
        refresh.check_current(session)
    lives.live(Step("born", 0, 7, 1))  # meanwhile life goes on
    lives.count()
    assert found(world.engine).sound
    assert len(_cells(world)) >= len(before) > 0


def _cells(world: w.World) -> set[tuple[object, ...]]:
    with Session(world.engine) as session:
        return {tuple(row) for row in session.execute(text("SELECT * FROM report_cube WHERE n <> 0"))}


def test_what_commits_late_is_counted(world: w.World) -> None:
    """A ticket registered in a transaction that ends after later ones were counted is counted all the same."""
    lives = Lives(world)
    slow = Session(world.engine, expire_on_commit=False)
    lives._born(slow, Step("born", 0, 0, 0))  # open: it has its key and its outbox row, and is not committed
    lives.live(Step("born", 0, 1, 1))
    lives.count()
    slow.commit()
    slow.close()
    lives.count()
    with Session(world.engine) as session:
        assert (
            session.execute(text("SELECT count(*) FROM report_facts WHERE what = 'received'")).scalar_one()
            == 2
        )
    assert found(world.engine).sound


def test_periods_are_written_and_cut_as_people_do() -> None:
    assert parse("2026-03") == month(2026, 3)
    assert (parse("2026-Q1").first, parse("2026-Q1").last) == (date(2026, 1, 1), date(2026, 3, 31))
    assert (parse("2026-W10").first, parse("2026-W10").last) == (date(2026, 3, 2), date(2026, 3, 8))
    months, edges = days(date(2026, 1, 15), date(2026, 4, 10)).parts()
    assert months == [date(2026, 2, 1), date(2026, 3, 1)]
    assert edges == [(date(2026, 1, 15), date(2026, 1, 31)), (date(2026, 4, 1), date(2026, 4, 10))]
    assert shown(None, "percent") is None


def test_a_working_day_is_looked_up_by_its_key_in_a_table_not_yet_analysed(world: w.World) -> None:
    """As on the first day of a platform: joined, the whole calendar was read for each clock."""
    lives = Lives(world)
    lives.count()
    with world.engine.connect() as connection:
        connection.execute(text("CREATE TEMP TABLE kept ON COMMIT DROP AS SELECT * FROM report_days"))
        connection.execute(text("TRUNCATE report_days"))
        connection.execute(text("INSERT INTO report_days SELECT * FROM kept"))
        query = facts.of_tickets(lambda ticket: f"{ticket} = ANY('{{1,2,3}}'::bigint[])")
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {query}").scalars())
        connection.rollback()
    looks = [after for line, after in pairwise(plan.splitlines()) if " on report_days" in line]
    assert looks, plan
    assert all(re.search(r"Index Cond: .*platform_id = .*day = ", look) for look in looks), plan
