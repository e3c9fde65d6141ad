"""The console's desks: calls and seats, likeness of texts, the dispatch catalogue, saved filters, drafts, citizens' links, evaluations, appeals."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _calls()
    _citizens()
    op.create_table(
        "likeness",
        sa.Column("ticket_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("platform_id", sa.Integer(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("grams", postgresql.ARRAY(sa.Integer()), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="likeness_ticket_id_fkey"),
        sa.PrimaryKeyConstraint("ticket_id"),
    )
    op.create_index(
        "ix_likeness_grams",
        "likeness",
        ["grams"],
        unique=False,
        postgresql_using="gin",
        postgresql_with={"gin_pending_list_limit": 256},
    )
    op.create_table(
        "dispatch_catalogue",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("category_code", sa.String(length=12), nullable=False),
        sa.Column("area_code", sa.String(length=12), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=False),
        sa.Column("co_units", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("basis", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("changed_by", sa.String(length=100), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_by", sa.String(length=100), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"], ["platforms.id"], name="dispatch_catalogue_platform_id_fkey"
        ),
        sa.ForeignKeyConstraint(["unit_id"], ["units.id"], name="dispatch_catalogue_unit_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ux_dispatch_catalogue_current",
        "dispatch_catalogue",
        ["platform_id", "category_code", "area_code"],
        unique=True,
        postgresql_where=sa.text("until IS NULL"),
    )
    op.create_index(
        "ix_dispatch_catalogue_history",
        "dispatch_catalogue",
        ["platform_id", "category_code", "area_code", "version"],
        unique=False,
    )
    _people()
    _queues()


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("call_key", sa.LargeBinary(), nullable=False),
        sa.Column("call_id", sa.String(length=100), nullable=False),
        sa.Column("line", sa.String(length=40), nullable=True),
        sa.Column("extension", sa.String(length=20), nullable=True),
        sa.Column("agent_id", sa.BigInteger(), nullable=True),
        sa.Column("caller_phone", sa.LargeBinary(), nullable=True),
        sa.Column("phone_index", sa.LargeBinary(), nullable=True),
        sa.Column("recording", sa.String(length=200), nullable=True),
        sa.Column("ringing_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("shown_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name="calls_platform_id_fkey"),
        sa.ForeignKeyConstraint(["agent_id"], ["people.id"], name="calls_agent_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_calls_key", "calls", ["platform_id", "call_key"], unique=True)
    op.create_index("ix_calls_named", "calls", ["platform_id", "call_id"], unique=False)
    op.create_index(
        "ix_calls_agent",
        "calls",
        ["agent_id", "ringing_at"],
        unique=False,
        postgresql_where=sa.text("agent_id IS NOT NULL"),
    )
    op.create_index(
        "ix_calls_phone",
        "calls",
        ["phone_index"],
        unique=False,
        postgresql_where=sa.text("phone_index IS NOT NULL"),
    )
    op.create_index(
        "ix_calls_old",
        "calls",
        ["ringing_at"],
        unique=False,
        postgresql_where=sa.text("caller_phone IS NOT NULL"),
    )
    op.create_table(
        "seats",
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("extension", sa.String(length=20), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name="seats_platform_id_fkey"),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="seats_person_id_fkey"),
        sa.PrimaryKeyConstraint("platform_id", "extension"),
    )
    op.create_index(op.f("ix_seats_person_id"), "seats", ["person_id"], unique=False)


def _citizens() -> None:
    op.create_table(
        "citizen_links",
        sa.Column("ticket_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("issued_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("issued_by", sa.String(length=100), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="citizen_links_ticket_id_fkey"),
        sa.PrimaryKeyConstraint("ticket_id"),
        sa.UniqueConstraint("digest", name="citizen_links_digest_key"),
    )
    op.create_table(
        "evaluations",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("episode_no", sa.Integer(), nullable=False),
        sa.Column("grade", sa.String(length=40), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="evaluations_ticket_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_evaluations", "evaluations", ["ticket_id", "episode_no"], unique=True)
    op.create_table(
        "appeals",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("episode_no", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("appealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("led_to_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name="appeals_ticket_id_fkey"),
        sa.ForeignKeyConstraint(["led_to_id"], ["tickets.id"], name="appeals_led_to_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_appeals", "appeals", ["ticket_id", "episode_no"], unique=True)


def _people() -> None:
    op.create_table(
        "saved_filters",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("query", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="saved_filters_person_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_saved_filters_person_id"), "saved_filters", ["person_id"], unique=False)
    op.create_table(
        "form_drafts",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("form", sa.String(length=80), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="form_drafts_person_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_form_drafts", "form_drafts", ["person_id", "form"], unique=True)
    op.create_index(op.f("ix_form_drafts_expires_at"), "form_drafts", ["expires_at"], unique=False)


def _queues() -> None:
    op.create_index(
        "ix_tickets_category", "tickets", ["platform_id", "category_code", "received_at"], unique=False
    )
    op.create_index(
        "ix_tickets_receiver",
        "tickets",
        ["first_receiver_id", "id"],
        unique=False,
        postgresql_where=sa.text("archived_at IS NULL"),
    )
    op.create_index(
        "ix_assignments_open",
        "assignments",
        ["unit_id", "ticket_id"],
        unique=False,
        postgresql_where=sa.text("status IN ('open', 'return_proposed')"),
    )
    op.create_index(
        "ix_return_proposals_pending",
        "return_proposals",
        ["ticket_id"],
        unique=False,
        postgresql_where=sa.text("upheld IS NULL"),
    )
    op.create_index(
        "ix_extensions_to_tell",
        "extensions",
        ["ticket_id"],
        unique=False,
        postgresql_where=sa.text("approved IS TRUE AND caller_told_at IS NULL"),
    )


def downgrade() -> None:
    op.drop_index("ix_extensions_to_tell", table_name="extensions")
    op.drop_index("ix_return_proposals_pending", table_name="return_proposals")
    op.drop_index("ix_assignments_open", table_name="assignments")
    op.drop_index("ix_tickets_receiver", table_name="tickets")
    op.drop_index("ix_tickets_category", table_name="tickets")
    for table in (
        "form_drafts",
        "saved_filters",
        "dispatch_catalogue",
        "likeness",
        "appeals",
        "evaluations",
        "citizen_links",
        "seats",
        "calls",
    ):
        op.drop_table(table)
