"""The database: engine, migrations. One dialect, PostgreSQL 15 or later."""

from importlib.resources import files
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine


def make_engine(url: str, *, pool_size: int = 20) -> Engine:
    """An engine for `url` (`postgresql+psycopg://…`, as `Settings.database_url` has it) with a pool of `pool_size` connections, session time zone UTC, a statement time-out of 60 s."""
    return create_engine(
        url,
        pool_size=pool_size,
        max_overflow=10,
        pool_pre_ping=False,
        hide_parameters=True,  # an error names the statement, never what a caller said in it
        connect_args={
            "options": "-c timezone=UTC -c statement_timeout=60000 -c lock_timeout=15000",
            "connect_timeout": 10,
            "application_name": "hotline",
        },
    )


def migrations_folder() -> Path:
    """Where the Alembic scripts lie: beside the package in a checkout, inside it in an installed wheel."""
    package = Path(str(files("hotline")))
    inside, beside = package / "migrations", package.parent / "migrations"
    return inside if inside.is_dir() else beside


def alembic_config(url: str) -> Config:
    """Alembic's configuration for `url`, without an ini file."""
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()))
    config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return config


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database at `url` to `revision`. Concurrent callers wait for each other."""
    command.upgrade(alembic_config(url), revision)
