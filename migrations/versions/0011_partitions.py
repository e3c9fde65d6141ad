"""分区: the ledger, the events and the audit trail in partitions, made ahead by the ticker; vacuum kept up with what grows.

No row is written anew: the table that was becomes the first partition, which PostgreSQL reads through once to see that its rows belong
there. The ledger is cut by ticket, the events by number and the audit trail by month (docs/decisions/0025-growth.md).
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_AHEAD: Final = 3
_WIDTH: Final = {"ledger": 20_000, "outbox": 200_000}
_NUMBERED_BY: Final = {"ledger": "tickets", "outbox": "outbox"}
_BY: Final = {"ledger": "ticket_id", "outbox": "id", "audit": "day"}
_GUARDED: Final = ("ledger", "audit")
_KEYS: Final = {
    "ledger": (
        "ADD CONSTRAINT ledger_pkey PRIMARY KEY (ticket_id, seq)",
        "ADD CONSTRAINT ledger_ticket_id_fkey FOREIGN KEY (ticket_id) REFERENCES tickets (id)",
    ),
    "outbox": (
        "ADD CONSTRAINT outbox_pkey PRIMARY KEY (id)",
        "ADD CONSTRAINT outbox_ticket_id_fkey FOREIGN KEY (ticket_id) REFERENCES tickets (id)",
    ),
    "audit": ("ADD CONSTRAINT audit_pkey PRIMARY KEY (platform_id, day, seq)",),
}
_INDEXES: Final = {
    "ledger": ("ix_ledger_recorded ON ledger USING brin (recorded_at) WITH (autosummarize = true)",),
    "outbox": (
        "ix_outbox_ticket_id ON outbox (ticket_id)",
        "ix_outbox_unit ON outbox (unit_id, position)",
        "ix_outbox_platform ON outbox (platform_id, position) WHERE NOT echo",
        "ix_outbox_unsorted ON outbox (id) WHERE position IS NULL",
        "ix_outbox_position ON outbox (position)",
    ),
    "audit": (
        "ix_audit_ticket ON audit (ticket_id) WHERE ticket_id IS NOT NULL",
        "ix_audit_actor ON audit (actor_kind, actor_id, at)",
        "ix_audit_day ON audit (day, platform_id, seq)",
    ),
}
_VACUUM: Final = {
    "tickets": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02",
    "clocks": "autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02",
    "assignments": "fillfactor = 85, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02",
    "likeness": "autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02",
    "lanes": "autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000",
    "deliveries": "autovacuum_vacuum_scale_factor = 0.02",
}


def upgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    op.drop_constraint("deliveries_event_id_fkey", "deliveries", type_="foreignkey")
    op.drop_index("ix_outbox_position", "outbox")
    for table in ("ledger", "outbox", "audit"):
        _cut(table)
    op.create_foreign_key("deliveries_event_id_fkey", "deliveries", "outbox", ["event_id"], ["id"])
    for table, settings in _VACUUM.items():
        op.execute(f"ALTER TABLE {table} SET ({settings})")


def _cut(table: str) -> None:
    """The table that was is the first partition of one of the same name."""
    first = f"{table}_first"
    for index in _indexes(table):
        op.execute(f"ALTER INDEX {index} RENAME TO {index}_first")
    for trigger in _triggers(table):
        op.execute(f"DROP TRIGGER {trigger} ON {table}")
    op.execute(f"ALTER TABLE {table} RENAME TO {first}")
    op.execute(f"CREATE TABLE {table} (LIKE {first} INCLUDING DEFAULTS) PARTITION BY RANGE ({_BY[table]})")
    if table == "outbox":
        op.execute("ALTER SEQUENCE outbox_id_seq OWNED BY outbox.id")
    for key in _KEYS[table]:
        op.execute(f"ALTER TABLE {table} {key}")
    for index in _INDEXES[table]:
        op.execute(f"CREATE INDEX {index}")
    bounds = list(_months() if table == "audit" else _numbers(table))
    op.execute(f"ALTER TABLE {table} ATTACH PARTITION {first} FOR VALUES FROM (MINVALUE) TO ({bounds[0][1]})")
    if table in _GUARDED:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()"
        )
        _no_truncating(table, table)
        _no_truncating(table, first)
    for (name, lower), (_, upper) in pairwise(bounds):
        _partition(table, name, f"FOR VALUES FROM ({lower}) TO ({upper})")
    _partition(table, "rest", "DEFAULT")


def _partition(table: str, name: str, where: str) -> None:
    op.execute(f"CREATE TABLE {table}_{name} PARTITION OF {table} {where}")
    if table in _GUARDED:
        _no_truncating(table, f"{table}_{name}")


def _no_truncating(table: str, partition: str) -> None:
    op.execute(
        f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {partition}"
        " FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
    )


def _numbers(table: str) -> Iterable[tuple[str, str]]:
    """Names and lower bounds: the first above every number given out so far."""
    source, width = _NUMBERED_BY[table], _WIDTH[table]
    asked = sa.text(f"SELECT coalesce(max(id), 0) FROM {source if source != table else table + '_first'}")
    last = int(op.get_bind().execute(asked).scalar_one())
    for step in range(1, _AHEAD + 2):
        lower = (last // width + step) * width + 1
        yield f"from_{lower}", str(lower)


def _months() -> Iterable[tuple[str, str]]:
    """Names and first days of the months after this one, or after the newest entry's."""
    asked = sa.text(
        "SELECT to_char(month, 'YYYY_MM'), to_char(month, 'YYYY-MM-DD') FROM"
        " (SELECT date_trunc('month', greatest(max(day), current_date)::timestamp) AS this FROM audit_first) newest,"
        " generate_series(this + interval '1 month', this + :ahead * interval '1 month', interval '1 month') AS month"
    )
    for name, first in op.get_bind().execute(asked, {"ahead": _AHEAD + 1}):
        yield name, f"'{first}'"


def _indexes(table: str) -> list[str]:
    asked = sa.text("SELECT indexname FROM pg_indexes WHERE tablename = :t AND schemaname = current_schema()")
    return sorted(op.get_bind().execute(asked, {"t": table}).scalars())


def _triggers(table: str) -> list[str]:
    asked = sa.text("SELECT tgname FROM pg_trigger WHERE tgrelid = CAST(:t AS regclass) AND NOT tgisinternal")
    return sorted(op.get_bind().execute(asked, {"t": table}).scalars())


def downgrade() -> None:
    op.execute("SET LOCAL statement_timeout = 0")
    for table in _VACUUM:
        options = ", ".join(one.split(" = ")[0] for one in _VACUUM[table].split(", "))
        op.execute(f"ALTER TABLE {table} RESET ({options})")
    op.drop_constraint("deliveries_event_id_fkey", "deliveries", type_="foreignkey")
    for table in ("ledger", "outbox", "audit"):
        _join(table)
    op.create_foreign_key("deliveries_event_id_fkey", "deliveries", "outbox", ["event_id"], ["id"])
    op.create_index("ix_outbox_position", "outbox", ["position"], unique=True)


def _join(table: str) -> None:
    """One table again: the rows of the later partitions are copied into the first."""
    first = f"{table}_first"
    asked = sa.text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(:t AS regclass)")
    partitions = [one for one in op.get_bind().execute(asked, {"t": table}).scalars() if one != first]
    op.execute(f"ALTER TABLE {table} DETACH PARTITION {first}")
    for partition in sorted(partitions):
        op.execute(f"INSERT INTO {first} SELECT * FROM {partition}")
    for trigger in _triggers(first):
        op.execute(f"DROP TRIGGER {trigger} ON {first}")
    if table == "outbox":
        op.execute("ALTER SEQUENCE outbox_id_seq OWNED BY outbox_first.id")
    op.execute(f"DROP TABLE {table}")
    op.execute(f"ALTER TABLE {first} RENAME TO {table}")
    for index in _indexes(table):
        if index == "outbox_first_position_idx":
            op.execute(f"DROP INDEX {index}")
        else:
            op.execute(f"ALTER INDEX {index} RENAME TO {index.removesuffix('_first')}")
    if table in _GUARDED:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table}"
            " FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()"
        )
        _no_truncating(table, table)
