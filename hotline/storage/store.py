"""The database: engine, migrations. One dialect, PostgreSQL 15 or later."""

import logging
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg
import psycopg._queries
from sqlalchemy import Engine, create_engine, event, pool, text
from sqlalchemy.engine import ExceptionContext

from hotline.storage.patience import connect

if TYPE_CHECKING:
    from alembic.config import Config  # loaded where it is used: 9 MB a server process never needs again

log = logging.getLogger(__name__)

psycopg._queries.MAX_CACHED_STATEMENT_LENGTH = 32_768
psycopg._queries.MAX_CACHED_STATEMENT_PARAMS = 400
"""psycopg translates the placeholders of a statement with more than 50 parameters anew each time, 6 % of an act: a ticket's clocks have 84.
Names of its own; should they go, translating is slow again and nothing else (`tests/hotline/test_store.py` tells)."""

READ_ONLY_NOW: Final = "25006"
"""read_only_sql_transaction: the server has become a standby, or the connection was made to one."""

_STALE: Final = frozenset({("0A000", "RevalidateCachedQuery"), ("26000", "FetchPreparedStatement")})
"""What PostgreSQL says, and where in it, of a prepared statement whose columns have changed their types since, and of one that is gone."""

_GONE: Final = {
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
"""After how long a server that vanished without a word is given up: 25 s where it is waited for, 15 s (in ms) where something was sent."""


def make_engine(url: str, *, pool_size: int = 20, reading: bool = False, patience: int = 10) -> Engine:
    """An engine for `url` (`postgresql+psycopg://…`, as `Settings.database_url` has it) with a pool of `pool_size` connections, session time zone UTC, a statement time-out of 60 s.

    With `reading`, every transaction is read-only. `patience`: seconds to wait for a connection, for each host the URL names. A server
    that is gone, or that only reads now, empties the pool: one request fails, the next ones connect to the server that took its place.
    So does a change of the tables that a prepared statement cannot follow.
    """
    options = "-c timezone=UTC -c statement_timeout=60000 -c lock_timeout=15000"
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=10,
        pool_use_lifo=True,  # the one used last has its statements prepared
        pool_pre_ping=False,
        hide_parameters=True,  # an error names the statement, never what a caller said in it
        connect_args={
            "options": f"{options} -c default_transaction_read_only=on" if reading else options,
            "connect_timeout": patience,
            "application_name": "hotline",
            **_GONE,
        },
    )
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", _forget_prepared)
    if not reading:
        event.listen(engine, "handle_error", _forget_standby)
    return engine


def _forget_prepared(failed: ExceptionContext) -> None:
    """What is prepared stays so for a connection's life: where it no longer fits the tables, the connections are as good as lost."""
    error = failed.original_exception
    if isinstance(error, psycopg.Error) and (error.sqlstate, error.diag.source_function) in _STALE:
        failed.is_disconnect = True


def _forget_standby(failed: ExceptionContext) -> None:
    """A connection to what is a standby now is as good as lost, and so are the others made at that time."""
    if getattr(failed.original_exception, "sqlstate", None) == READ_ONLY_NOW:
        failed.is_disconnect = True


def migrations_folder() -> Path:
    """Where the Alembic scripts lie: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(str(files("hotline")))
    inside, beside = package / "migrations", package.parent / "migrations"
    return inside if inside.is_dir() else beside


def alembic_config(url: str) -> "Config":
    """Alembic's configuration for `url`, without an ini file."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database at `url` to `revision`. Concurrent callers wait for each other.

    A database that a newer program has already migrated is left as it is: during a rolling upgrade the older program goes on beside
    the newer schema (docs/operations.md says what a migration must keep for that).
    """
    from alembic import command

    config = alembic_config(url)
    if revision == "head" and (newer := _of_a_newer_program(url, config)):
        log.warning("数据库结构 %s 比本程序新，未作改动：滚动升级期间可以如此，请尽快升级本程序", newer)
        return
    command.upgrade(config, revision)


def _of_a_newer_program(url: str, config: "Config") -> str | None:
    """The revision the database is at, if this program does not know it."""
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    engine = create_engine(url, poolclass=pool.NullPool, hide_parameters=True)
    with engine.connect() as connection:
        there = connection.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one()
        now = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if there else None
    return now if now is not None and now not in known else None
