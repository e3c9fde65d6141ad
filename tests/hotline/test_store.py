"""What the engine asks of psycopg beyond its documented interface."""

from psycopg import _queries
from psycopg.adapt import Transformer

from hotline.storage import store


def test_a_statement_of_many_parameters_is_translated_once() -> None:
    """The names set in `store` are still those psycopg looks at."""
    assert store.log is not None
    statement = "SELECT " + ", ".join(["%s"] * 300)
    _queries._query2pg.cache_clear()
    for _ in range(3):
        _queries.PostgresQuery(Transformer()).convert(statement, [1] * 300)
    assert _queries._query2pg.cache_info().hits == 2
