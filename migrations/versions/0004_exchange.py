"""Events out to units' and platforms' systems: subscriptions, deliveries and their lanes; the outbox's order and who is told; warnings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("types", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("older_secret", sa.LargeBinary(), nullable=True),
        sa.Column("older_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("owner", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("closed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_ok_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_problem", sa.String(length=200), nullable=True),
        sa.Column("last_problem_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"]),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_subscriptions_platform_id"), "subscriptions", ["platform_id"], unique=False)
    op.create_index(op.f("ix_subscriptions_unit_id"), "subscriptions", ["unit_id"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("event_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("replayed_by", sa.String(length=100), nullable=True),
        sa.Column("tries", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("problem", sa.String(length=200), nullable=True),
        sa.ForeignKeyConstraint(["event_id"], ["outbox.id"]),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_deliveries_event_id"), "deliveries", ["event_id"], unique=False)
    op.create_index("ix_deliveries_listed", "deliveries", ["subscription_id", "state", "id"], unique=False)
    op.create_index(
        "ix_deliveries_old",
        "deliveries",
        ["created_at"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_index(
        "ix_deliveries_settled",
        "deliveries",
        ["settled_at"],
        unique=False,
        postgresql_where=sa.text("settled_at IS NOT NULL"),
    )
    op.create_index(
        "ix_deliveries_waiting",
        "deliveries",
        ["subscription_id", "lane", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'waiting'"),
    )
    op.create_table(
        "lanes",
        sa.Column("subscription_id", sa.BigInteger(), nullable=False),
        sa.Column("lane", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("claim", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["subscription_id"], ["subscriptions.id"]),
        sa.PrimaryKeyConstraint("subscription_id", "lane"),
    )
    op.create_index("ix_lanes_next", "lanes", ["subscription_id", "next_at"], unique=False)

    op.add_column("outbox", sa.Column("echo", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("outbox", sa.Column("position", sa.BigInteger(), nullable=True))
    op.execute("CREATE SEQUENCE outbox_positions AS bigint")
    op.execute(
        "UPDATE outbox SET position = placed.position FROM"
        " (SELECT id, row_number() OVER (ORDER BY id) AS position FROM outbox) placed WHERE outbox.id = placed.id"
    )
    op.execute(
        "SELECT setval('outbox_positions', coalesce(max(position), 1), max(position) IS NOT NULL) FROM outbox"
    )
    op.create_index("ix_outbox_position", "outbox", ["position"], unique=True)
    op.create_index("ix_outbox_unit", "outbox", ["unit_id", "position"], unique=False)
    op.create_index(
        "ix_outbox_platform",
        "outbox",
        ["platform_id", "position"],
        unique=False,
        postgresql_where=sa.text("NOT echo"),
    )
    op.create_index(
        "ix_outbox_unsorted", "outbox", ["id"], unique=False, postgresql_where=sa.text("position IS NULL")
    )
    op.add_column("clocks", sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "ix_clocks_warning",
        "clocks",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text(
            "duty AND warned_at IS NULL AND met_at IS NULL AND lapsed_at IS NULL AND voided_at IS NULL"
        ),
    )


def downgrade() -> None:
    op.drop_index("ix_clocks_warning", table_name="clocks")
    op.drop_column("clocks", "warned_at")
    for index in ("ix_outbox_unsorted", "ix_outbox_platform", "ix_outbox_unit", "ix_outbox_position"):
        op.drop_index(index, table_name="outbox")
    op.drop_column("outbox", "position")
    op.drop_column("outbox", "echo")
    op.execute("DROP SEQUENCE outbox_positions")
    for table in ("lanes", "deliveries", "subscriptions"):
        op.drop_table(table)
