"""全文查找: the pairs of characters kept beside a ticket are of its whole text, and every ticket has them.

A million tickets take some five minutes on a machine with nothing else to do: their rows are written anew by COPY and the index built last. Until then the tickets can
be read and acted on but for taking new ones.
"""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from hotline.desks.grams import kept_of

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_BATCH = 5000


def upgrade() -> None:
    op.add_column(
        "likeness", sa.Column("whole", sa.Boolean(), nullable=False, server_default=sa.text("false"))
    )
    op.execute("SET LOCAL statement_timeout = 0")
    op.drop_index("ix_likeness_grams", "likeness")
    op.execute("TRUNCATE likeness")
    keep_all(op.get_bind().connection.cursor())
    op.create_index("ix_likeness_partial", "likeness", ["ticket_id"], postgresql_where=sa.text("NOT whole"))
    op.create_index(
        "ix_likeness_grams",
        "likeness",
        ["grams"],
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    )


def keep_all(cursor: Any) -> None:
    """What every ticket is found by, written anew.

    By the current code, not a copy of it: what is kept must be what the running program looks for.
    """
    after = 0
    while rows := _some(cursor, after):
        with cursor.copy(
            "COPY likeness (ticket_id, platform_id, received_at, grams, whole) FROM STDIN"
        ) as copy:
            for key, platform, received_at, title, content in rows:
                copy.write_row((key, platform, received_at, kept_of(title, content, received_at), True))
        after = rows[-1][0]


def _some(cursor: Any, after: int) -> list[tuple[int, int, datetime, str, str]]:
    cursor.execute(
        "SELECT id, platform_id, received_at, title, content FROM tickets WHERE id > %s ORDER BY id LIMIT %s",
        (after, _BATCH),
    )
    return list(cursor.fetchall())


def downgrade() -> None:
    op.drop_index("ix_likeness_partial", "likeness")
    op.drop_column("likeness", "whole")
