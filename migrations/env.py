"""Alembic's entry: online only, one migrator at a time."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import create_engine, pool, text
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString, UTCDateTime

from hotline import models, organisation  # noqa: F401
from hotline.assessing import tables as assessing_tables  # noqa: F401
from hotline.auditing import trail  # noqa: F401
from hotline.desks import tables as desk_tables  # noqa: F401
from hotline.exchange import tables as exchange_tables  # noqa: F401
from hotline.hotspots import tables as hotspots_tables  # noqa: F401
from hotline.letters import tables as letters_tables  # noqa: F401
from hotline.notifying import tables as notifying_tables  # noqa: F401
from hotline.people import identity  # noqa: F401
from hotline.reporting import tables as reporting_tables  # noqa: F401
from hotline.storage import columns, partitions
from knowledge_base import models as knowledge_models  # noqa: F401


def _plain_type(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write the project's own column types into a migration as plain ones: a migration must outlive the code."""
    if kind != "type":
        return False
    if isinstance(item, columns.Words):
        return "sa.String(length=40)"
    if isinstance(item, UTCDateTime):
        return "sa.DateTime(timezone=True)"
    if isinstance(item, AutoString):
        return f"sa.String(length={item.length})" if item.length else "sa.String()"
    return False


def _no_partition(item: Any, name: str | None, kind: str, reflected: bool, _compared: Any) -> bool:
    """Partitions, and references to them, are the ticker's: their table stands for them."""
    named = name
    if kind == "foreign_key_constraint" and reflected:
        named = item.elements[0].target_fullname.rpartition(".")[0]
    elif kind != "table":
        return True
    return partitions.NAMES.fullmatch(named or "") is None


_LOCK = 12345_001


def run() -> None:
    """Migrate under an advisory lock, so that replicas started together do not race."""
    engine = create_engine(context.config.get_main_option("sqlalchemy.url") or "", poolclass=pool.NullPool)
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
        connection.commit()
        context.configure(
            connection=connection,
            target_metadata=SQLModel.metadata,
            render_item=_plain_type,
            include_object=_no_partition,
            compare_type=True,
            compare_server_default=False,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
        connection.commit()
    engine.dispose()


run()
