"""The migrations: up from nothing, down to nothing, up again, and the models say what the tables are."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from alembic import command
from sqlalchemy import Engine, inspect, text

from hotline.storage.store import alembic_config, make_engine, migrate

if TYPE_CHECKING:
    from tests.postgres_server import Server

Described = dict[str, dict[str, object]]


@pytest.fixture
def empty_url(postgres_server: "Server") -> Iterator[str]:
    """A database without a single table."""
    name = postgres_server.clone()
    url = postgres_server.url_of(name)
    engine = make_engine(url, pool_size=1)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    yield url
    postgres_server.drop(name)


@pytest.fixture
def empty(empty_url: str) -> Iterator[Engine]:
    engine = make_engine(empty_url, pool_size=2)
    yield engine
    engine.dispose()


def described(engine: Engine) -> Described:
    """Every table's columns, keys and indexes, as PostgreSQL tells them."""
    with engine.connect() as connection:
        told = {
            "columns": "SELECT table_name || '.' || column_name, data_type || ' ' || is_nullable || ' ' ||"
            " coalesce(character_maximum_length::text, '') || ' ' || coalesce(column_default, '')"
            " FROM information_schema.columns WHERE table_schema = 'public'",
            "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'",
            "constraints": "SELECT conrelid::regclass::text || '.' || conname, pg_get_constraintdef(oid)"
            " FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
            "triggers": "SELECT tgrelid::regclass::text || '.' || tgname, pg_get_triggerdef(oid)"
            " FROM pg_trigger WHERE NOT tgisinternal",
        }
        return {name: {row[0]: row[1] for row in connection.execute(text(sql))} for name, sql in told.items()}


def left_over(engine: Engine) -> list[str]:
    """What is still in the schema but Alembic's own table."""
    with engine.connect() as connection:
        statement = text(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
            " UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'"
        )
        return sorted(
            name for name in connection.execute(statement).scalars() if not name.startswith("alembic_version")
        )


def test_up_down_and_up_again_gives_the_same_tables(empty_url: str, empty: Engine) -> None:
    migrate(empty_url)
    first = described(empty)
    assert {"tickets", "clocks", "ledger", "outbox"} <= set(inspect(empty).get_table_names())
    command.downgrade(alembic_config(empty_url), "base")
    assert left_over(empty) == []
    migrate(empty_url)
    assert described(empty) == first


def test_each_step_goes_down_and_up_by_itself(empty_url: str, empty: Engine) -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory.from_config(alembic_config(empty_url))
    revisions = [revision.revision for revision in script.walk_revisions()][::-1]
    assert len(script.get_heads()) == 1
    for revision in revisions:
        migrate(empty_url, revision)
        here = described(empty)
        command.downgrade(alembic_config(empty_url), "-1")
        migrate(empty_url, revision)
        assert described(empty) == here


def test_models_and_migrations_agree(empty_url: str) -> None:
    migrate(empty_url)
    command.check(alembic_config(empty_url))  # raises what differs


def test_migrating_twice_and_at_once_is_harmless(empty_url: str, empty: Engine) -> None:
    from multiprocessing import get_context

    context = get_context("spawn")
    migrators = [context.Process(target=migrate, args=(empty_url,)) for _ in range(3)]
    for migrator in migrators:
        migrator.start()
    for migrator in migrators:
        migrator.join(60)
    assert [migrator.exitcode for migrator in migrators] == [0, 0, 0]
    here = described(empty)
    migrate(empty_url)
    assert described(empty) == here


def test_the_sweep_has_its_partial_index(empty_url: str, empty: Engine) -> None:
    migrate(empty_url)
    indexes = described(empty)["indexes"]
    assert "WHERE ((met_at IS NULL) AND (lapsed_at IS NULL) AND (voided_at IS NULL))" in str(
        indexes["ix_clocks_sweep"]
    )
