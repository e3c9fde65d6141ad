"""Who may see what: credentials, sessions, machine clients, audit, unsealings, exports; kinds of platforms, audiences of files."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit",
        sa.Column("platform_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("actor_kind", sa.String(length=20), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("actor_name", sa.String(length=100), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("address", sa.String(length=60), nullable=True),
        sa.Column("ticket_id", sa.BigInteger(), nullable=True),
        sa.Column("what", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("platform_id", "day", "seq"),
    )
    op.create_index("ix_audit_actor", "audit", ["actor_kind", "actor_id", "at"], unique=False)
    op.create_index(
        "ix_audit_ticket",
        "audit",
        ["ticket_id"],
        unique=False,
        postgresql_where=sa.text("ticket_id IS NOT NULL"),
    )
    op.create_index("ix_audit_day", "audit", ["day", "platform_id", "seq"], unique=False)
    op.create_table(
        "audit_days",
        sa.Column("platform_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("ledger_entries", sa.Integer(), nullable=False),
        sa.Column("ledger_digest", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("signed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("platform_id", "day"),
    )
    op.create_table(
        "audit_heads",
        sa.Column("platform_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("platform_id"),
    )
    op.create_table(
        "sign_in_failures",
        sa.Column("login_digest", sa.LargeBinary(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("locked_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tried_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("login_digest"),
    )
    op.create_index(op.f("ix_sign_in_failures_tried_at"), "sign_in_failures", ["tried_at"], unique=False)
    op.create_table(
        "sign_in_attempts",
        sa.Column("state_digest", sa.LargeBinary(), nullable=False),
        sa.Column("nonce", sa.String(length=100), nullable=False),
        sa.Column("verifier", sa.String(length=200), nullable=False),
        sa.Column("next_path", sa.String(length=300), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("state_digest"),
    )
    op.create_index(op.f("ix_sign_in_attempts_created_at"), "sign_in_attempts", ["created_at"], unique=False)
    op.create_table(
        "exports",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("asked_by", sa.String(length=60), nullable=False),
        sa.Column("asked_by_name", sa.String(length=100), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=False),
        sa.Column("filters", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("unmasked", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("file_format", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("decided_by", sa.String(length=60), nullable=True),
        sa.Column("decided_by_name", sa.String(length=100), nullable=True),
        sa.Column("decided_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("decision_reason", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("opens_hours", sa.Integer(), nullable=True),
        sa.Column("downloads", sa.Integer(), nullable=False),
        sa.Column("destroyed_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.ForeignKeyConstraint(
            ["unit_id"],
            ["units.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_exports_platform_id"), "exports", ["platform_id"], unique=False)
    op.create_table(
        "machine_clients",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("label", sa.String(length=100), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("platform_id", sa.BigInteger(), nullable=True),
        sa.Column("roles", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("secret_digest", sa.LargeBinary(), nullable=False),
        sa.Column("older_digest", sa.LargeBinary(), nullable=True),
        sa.Column("older_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_by", sa.String(length=100), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.ForeignKeyConstraint(
            ["unit_id"],
            ["units.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "credentials",
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=True),
        sa.Column("password_changed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("must_change", sa.Boolean(), nullable=False),
        sa.Column("totp_secret", sa.LargeBinary(), nullable=True),
        sa.Column("totp_confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_last_step", sa.BigInteger(), nullable=True),
        sa.Column("recovery_digests", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("oidc_issuer", sa.String(length=300), nullable=True),
        sa.Column("oidc_subject", sa.String(length=300), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
        ),
        sa.PrimaryKeyConstraint("person_id"),
        sa.UniqueConstraint("oidc_issuer", "oidc_subject", name="ux_credentials_oidc"),
    )
    op.create_table(
        "login_sessions",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("person_id", sa.BigInteger(), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("address", sa.String(length=60), nullable=True),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("second_factor_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"],
            ["people.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    op.create_index(
        "ix_login_sessions_live",
        "login_sessions",
        ["expires_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(op.f("ix_login_sessions_person_id"), "login_sessions", ["person_id"], unique=False)
    op.create_table(
        "audit_alerts",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("actor_kind", sa.String(length=20), nullable=False),
        sa.Column("actor_id", sa.BigInteger(), nullable=True),
        sa.Column("actor_name", sa.String(length=100), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=True),
        sa.Column("what", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("raised_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("handled_by", sa.String(length=100), nullable=True),
        sa.Column("handled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("conclusion", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_audit_alerts_open",
        "audit_alerts",
        ["platform_id", "id"],
        unique=False,
        postgresql_where=sa.text("handled_at IS NULL"),
    )
    op.create_index(op.f("ix_audit_alerts_platform_id"), "audit_alerts", ["platform_id"], unique=False)
    op.create_table(
        "originals",
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.PrimaryKeyConstraint("ticket_id", "seq"),
    )
    op.create_table(
        "unsealings",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("field", sa.String(length=40), nullable=False),
        sa.Column("entry_seq", sa.Integer(), nullable=True),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("actor_name", sa.String(length=100), nullable=False),
        sa.Column("purpose", sa.String(length=40), nullable=False),
        sa.Column("explanation", sa.Text(), nullable=True),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("export_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.ForeignKeyConstraint(
            ["export_id"],
            ["exports.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_unsealings_actor", "unsealings", ["actor", "opened_at"], unique=False)
    op.create_index(op.f("ix_unsealings_ticket_id"), "unsealings", ["ticket_id"], unique=False)
    op.execute(
        "INSERT INTO unsealings (ticket_id, field, actor, actor_name, purpose, explanation, opened_at, expires_at) "
        "SELECT ticket_id, 'phone', left(actor, 60), actor, 'other', purpose, read_at, read_at FROM personal_reads ORDER BY id"
    )
    op.drop_index(op.f("ix_personal_reads_ticket_id"), table_name="personal_reads")
    op.drop_table("personal_reads")
    op.add_column(
        "access_tokens", sa.Column("scopes", postgresql.JSONB(astext_type=sa.Text()), nullable=True)
    )
    op.add_column("access_tokens", sa.Column("client_id", sa.BigInteger(), nullable=True))
    op.add_column("access_tokens", sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_access_tokens_client_id"), "access_tokens", ["client_id"], unique=False)
    op.create_foreign_key(
        "access_tokens_client_id_fkey", "access_tokens", "machine_clients", ["client_id"], ["id"]
    )
    op.add_column("attachments", sa.Column("unit_id", sa.BigInteger(), nullable=True))
    op.add_column(
        "attachments", sa.Column("audience", sa.String(length=40), nullable=False, server_default="all")
    )
    op.execute(
        "UPDATE attachments SET audience = 'platform' FROM tickets "
        "WHERE tickets.id = ticket_id AND (tickets.matter = 'tipoff' OR tickets.confidential)"
    )
    op.create_foreign_key("attachments_unit_id_fkey", "attachments", "units", ["unit_id"], ["id"])
    op.add_column("people", sa.Column("shift", sa.String(length=11), nullable=True))
    op.add_column("people", sa.Column("left_at", sa.DateTime(timezone=True), nullable=True))
    op.alter_column("attachments", "audience", server_default=None)
    op.add_column("platforms", sa.Column("kind", sa.String(length=40), nullable=True))
    op.execute("UPDATE platforms SET kind = CASE level WHEN 'province' THEN 'province' ELSE 'prefecture' END")
    op.alter_column("platforms", "kind", nullable=False)
    op.add_column("tickets", sa.Column("caller_id_number", sa.LargeBinary(), nullable=True))
    op.create_index(
        "ix_ledger_recorded",
        "ledger",
        ["recorded_at"],
        unique=False,
        postgresql_using="brin",
        postgresql_with={"autosummarize": True},
    )
    _append_only()


APPEND_ONLY = ("audit", "audit_days", "ledger")
_REFUSE = """
CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('hotline.rewriting', true) = 'meant' THEN
        RETURN CASE TG_OP WHEN 'DELETE' THEN OLD ELSE NEW END;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$
"""


def _append_only() -> None:
    op.execute(_REFUSE)
    for table in APPEND_ONLY:
        op.execute(
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION refuse_rewriting()"
        )
        op.execute(
            f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting()"
        )


def downgrade() -> None:
    for table in APPEND_ONLY:
        op.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        op.execute(f"DROP TRIGGER {table}_no_truncate ON {table}")
    op.execute("DROP FUNCTION refuse_rewriting()")
    op.drop_index("ix_ledger_recorded", table_name="ledger")
    op.drop_column("tickets", "caller_id_number")
    op.drop_column("platforms", "kind")
    op.drop_column("people", "left_at")
    op.drop_column("people", "shift")
    op.drop_constraint("attachments_unit_id_fkey", "attachments", type_="foreignkey")
    op.drop_column("attachments", "audience")
    op.drop_column("attachments", "unit_id")
    op.drop_constraint("access_tokens_client_id_fkey", "access_tokens", type_="foreignkey")
    op.drop_index(op.f("ix_access_tokens_client_id"), table_name="access_tokens")
    op.drop_column("access_tokens", "expires_at")
    op.drop_column("access_tokens", "client_id")
    op.drop_column("access_tokens", "scopes")
    op.create_table(
        "personal_reads",
        sa.Column("id", sa.BIGINT(), autoincrement=True, nullable=False),
        sa.Column("ticket_id", sa.BIGINT(), autoincrement=False, nullable=False),
        sa.Column("actor", sa.VARCHAR(length=100), autoincrement=False, nullable=False),
        sa.Column("purpose", sa.TEXT(), autoincrement=False, nullable=False),
        sa.Column("read_at", postgresql.TIMESTAMP(timezone=True), autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["ticket_id"], ["tickets.id"], name=op.f("personal_reads_ticket_id_fkey")),
        sa.PrimaryKeyConstraint("id", name=op.f("personal_reads_pkey")),
    )
    op.create_index(op.f("ix_personal_reads_ticket_id"), "personal_reads", ["ticket_id"], unique=False)
    op.execute(
        "INSERT INTO personal_reads (ticket_id, actor, purpose, read_at) "
        "SELECT ticket_id, actor, coalesce(explanation, purpose), opened_at FROM unsealings ORDER BY id"
    )
    op.drop_index(op.f("ix_unsealings_ticket_id"), table_name="unsealings")
    op.drop_index("ix_unsealings_actor", table_name="unsealings")
    op.drop_table("unsealings")
    op.drop_table("originals")
    op.drop_index(op.f("ix_audit_alerts_platform_id"), table_name="audit_alerts")
    op.drop_index(
        "ix_audit_alerts_open", table_name="audit_alerts", postgresql_where=sa.text("handled_at IS NULL")
    )
    op.drop_table("audit_alerts")
    op.drop_index(op.f("ix_login_sessions_person_id"), table_name="login_sessions")
    op.drop_index(
        "ix_login_sessions_live", table_name="login_sessions", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_table("login_sessions")
    op.drop_table("credentials")
    op.drop_table("machine_clients")
    op.drop_index(op.f("ix_exports_platform_id"), table_name="exports")
    op.drop_table("exports")
    op.drop_index(op.f("ix_sign_in_failures_tried_at"), table_name="sign_in_failures")
    op.drop_table("sign_in_failures")
    op.drop_index(op.f("ix_sign_in_attempts_created_at"), table_name="sign_in_attempts")
    op.drop_table("sign_in_attempts")
    op.drop_table("audit_heads")
    op.drop_table("audit_days")
    op.drop_index("ix_audit_ticket", table_name="audit", postgresql_where=sa.text("ticket_id IS NOT NULL"))
    op.drop_index("ix_audit_actor", table_name="audit")
    op.drop_index("ix_audit_day", table_name="audit")
    op.drop_table("audit")
