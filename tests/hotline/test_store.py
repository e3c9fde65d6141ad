"""What the engine asks of psycopg beyond its documented interface."""

import pytest
from psycopg import _queries
from psycopg.adapt import Transformer
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from hotline.storage import store
from tests.world import World


def test_a_statement_of_many_parameters_is_translated_once() -> None:
    """The names set in `store` are still those psycopg looks at."""
    assert store.log is not None
    statement = "SELECT " + ", ".join(["%s"] * 300)
    _queries._query2pg.cache_clear()
    for _ in range(3):
        _queries.PostgresQuery(Transformer()).convert(statement, [1] * 300)
    assert _queries._query2pg.cache_info().hits == 2


_PREPARED = text("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%of_this_test%'")


def test_what_is_prepared_stays_so_over_a_rollback(world: World) -> None:
    """Whatever only reads ends with one, and would have PostgreSQL plan each of its statements anew."""
    engine = store.make_engine(world.engine.url.render_as_string(hide_password=False), pool_size=1)
    with Session(engine) as session:
        for _ in range(8):
            session.execute(text("SELECT code AS of_this_test FROM platforms WHERE id = :id"), {"id": 1})
            session.rollback()
        assert session.execute(_PREPARED).scalar_one() == 1
    engine.dispose()


def test_a_table_that_changed_under_a_prepared_statement_fails_one_request(world: World) -> None:
    engine = store.make_engine(world.engine.url.render_as_string(hide_password=False), pool_size=2)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE of_this_test (id int, said varchar(40))"))
        connection.execute(text("INSERT INTO of_this_test VALUES (1, 'x')"))

    def asked() -> str:
        with Session(engine) as session:
            said = session.execute(text("SELECT said FROM of_this_test WHERE id = :id"), {"id": 1})
            return str(said.scalar_one())

    assert [asked() for _ in range(8)] == ["x"] * 8
    with world.engine.begin() as other:
        other.execute(text("ALTER TABLE of_this_test ADD COLUMN more int"))
    assert asked() == "x"
    with world.engine.begin() as other:
        other.execute(text("ALTER TABLE of_this_test ALTER COLUMN said TYPE text"))
    with pytest.raises(DBAPIError, match="cached plan") as failed:
        asked()
    assert failed.value.connection_invalidated
    assert asked() == "x"
    engine.dispose()


def test_a_prepared_statement_that_is_gone_fails_one_request(world: World) -> None:
    """A proxy between, or somebody's DISCARD ALL."""
    engine = store.make_engine(world.engine.url.render_as_string(hide_password=False), pool_size=1)

    def asked() -> int:
        with Session(engine) as session:
            return int(session.execute(text("SELECT 7 * :number"), {"number": 6}).scalar_one())

    assert [asked() for _ in range(8)] == [42] * 8
    with Session(engine) as session:
        session.execute(text("DEALLOCATE ALL"))
    with pytest.raises(DBAPIError, match="prepared statement") as failed:
        asked()
    assert failed.value.connection_invalidated
    assert asked() == 42
    engine.dispose()


def test_what_postgresql_cannot_do_is_no_lost_connection(world: World) -> None:
    engine = store.make_engine(world.engine.url.render_as_string(hide_password=False), pool_size=1)
    with Session(engine) as session, pytest.raises(DBAPIError) as failed:
        session.execute(text("SELECT DISTINCT id FROM platforms FOR UPDATE"))
    assert getattr(failed.value.orig, "sqlstate", None) == "0A000"
    assert not failed.value.connection_invalidated
    engine.dispose()
