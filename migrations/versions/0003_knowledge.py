"""The knowledge base: versions with states and steps, tellings and recalls, questions to units, missed searches, peers."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "knowledge_peers",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("pulls", sa.Boolean(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_ok_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_problem", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_knowledge_peers_platform_id"), "knowledge_peers", ["platform_id"], unique=False)
    op.create_table(
        "knowledge_changes",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("what", sa.String(length=40), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_knowledge_changes_article_id"), "knowledge_changes", ["article_id"], unique=False
    )
    op.create_table(
        "knowledge_files",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("media_type", sa.String(length=100), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("added_by", sa.String(length=100), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_knowledge_files_article_id"), "knowledge_files", ["article_id"], unique=False)
    op.create_index(op.f("ix_knowledge_files_sha256"), "knowledge_files", ["sha256"], unique=False)
    op.create_table(
        "knowledge_misses",
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("query", sa.String(length=100), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(length=100), nullable=True),
        sa.Column("article_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.PrimaryKeyConstraint("platform_id", "day", "query"),
    )
    op.create_table(
        "knowledge_steps",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("actor", sa.String(length=60), nullable=False),
        sa.Column("actor_name", sa.String(length=100), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
        sa.ForeignKeyConstraint(
            ["unit_id"],
            ["units.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_knowledge_steps_article_id"), "knowledge_steps", ["article_id"], unique=False)
    op.create_table(
        "knowledge_uses",
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("opened", sa.Integer(), nullable=False),
        sa.Column("told", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
        sa.PrimaryKeyConstraint("article_id", "day"),
    )
    op.create_table(
        "knowledge_questions",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("background", sa.Text(), nullable=True),
        sa.Column("asked_by", sa.String(length=60), nullable=False),
        sa.Column("asked_by_name", sa.String(length=100), nullable=False),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lapsed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answer", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.String(length=100), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("article_id", sa.BigInteger(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.ForeignKeyConstraint(
            ["ticket_id"],
            ["tickets.id"],
        ),
        sa.ForeignKeyConstraint(
            ["unit_id"],
            ["units.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "ix_knowledge_questions_due",
        "knowledge_questions",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("state = 'asked' AND lapsed_at IS NULL"),
    )
    op.create_index(
        op.f("ix_knowledge_questions_platform_id"), "knowledge_questions", ["platform_id"], unique=False
    )
    op.create_index(op.f("ix_knowledge_questions_unit_id"), "knowledge_questions", ["unit_id"], unique=False)
    op.create_table(
        "knowledge_tellings",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("ticket_id", sa.BigInteger(), nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("told_by", sa.String(length=100), nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
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
        "ix_knowledge_tellings_article", "knowledge_tellings", ["article_id", "told_at"], unique=False
    )
    op.create_index(
        op.f("ix_knowledge_tellings_ticket_id"), "knowledge_tellings", ["ticket_id"], unique=False
    )
    op.create_table(
        "knowledge_recalls",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("telling_id", sa.BigInteger(), nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(length=40), nullable=False),
        sa.Column("by_version", sa.Integer(), nullable=False),
        sa.Column("listed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_by", sa.String(length=100), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reached", sa.Boolean(), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["platform_id"],
            ["platforms.id"],
        ),
        sa.ForeignKeyConstraint(
            ["telling_id"],
            ["knowledge_tellings.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("telling_id", "reason", name="ux_knowledge_recalls"),
    )
    op.create_index(
        op.f("ix_knowledge_recalls_platform_id"), "knowledge_recalls", ["platform_id"], unique=False
    )
    op.create_table(
        "knowledge_links",
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("problem", sa.String(length=200), nullable=True),
        sa.Column("failing_since", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("url"),
    )
    op.create_table(
        "knowledge_pairs",
        sa.Column("article_id", sa.BigInteger(), nullable=False),
        sa.Column("other_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("other_version", sa.Integer(), nullable=False),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_by", sa.String(length=100), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["article_id"],
            ["knowledge_articles.id"],
        ),
        sa.ForeignKeyConstraint(
            ["other_id"],
            ["knowledge_articles.id"],
        ),
        sa.PrimaryKeyConstraint("article_id", "other_id"),
    )
    op.create_index(op.f("ix_knowledge_pairs_other_id"), "knowledge_pairs", ["other_id"], unique=False)
    op.add_column("knowledge_articles", sa.Column("compared_version", sa.Integer(), nullable=True))
    op.add_column(
        "knowledge_articles", sa.Column("kind", sa.String(length=40), nullable=False, server_default="qa")
    )
    op.alter_column("knowledge_articles", "kind", server_default=None)
    op.add_column("knowledge_articles", sa.Column("area_code", sa.String(length=12), nullable=True))
    op.add_column("knowledge_articles", sa.Column("published_version", sa.Integer(), nullable=True))
    op.add_column("knowledge_articles", sa.Column("source_id", sa.BigInteger(), nullable=True))
    op.add_column("knowledge_articles", sa.Column("relation", sa.String(length=40), nullable=True))
    op.add_column("knowledge_articles", sa.Column("origin", sa.String(length=100), nullable=True))
    op.add_column("knowledge_articles", sa.Column("review_on", sa.Date(), nullable=True))
    op.create_index(
        "ix_knowledge_articles_review",
        "knowledge_articles",
        ["review_on"],
        unique=False,
        postgresql_where=sa.text("review_on IS NOT NULL AND withdrawn_at IS NULL"),
    )
    op.create_index(
        op.f("ix_knowledge_articles_source_id"), "knowledge_articles", ["source_id"], unique=False
    )
    op.create_index(op.f("ix_knowledge_articles_unit_id"), "knowledge_articles", ["unit_id"], unique=False)
    op.create_unique_constraint(
        "ux_knowledge_articles_origin", "knowledge_articles", ["platform_id", "origin"]
    )
    op.create_foreign_key(
        "knowledge_articles_source_id_fkey", "knowledge_articles", "knowledge_articles", ["source_id"], ["id"]
    )
    op.add_column(
        "knowledge_versions",
        sa.Column("state", sa.String(length=40), nullable=False, server_default="superseded"),
    )
    op.add_column(
        "knowledge_versions",
        sa.Column("guide", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="{}"),
    )
    op.add_column(
        "knowledge_versions",
        sa.Column("synonyms", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]"),
    )
    op.add_column(
        "knowledge_versions",
        sa.Column("categories", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]"),
    )
    op.add_column(
        "knowledge_versions",
        sa.Column("areas", postgresql.JSONB(astext_type=sa.Text()), nullable=False, server_default="[]"),
    )
    op.add_column("knowledge_versions", sa.Column("source_url", sa.Text(), nullable=True))
    op.add_column("knowledge_versions", sa.Column("valid_from", sa.Date(), nullable=True))
    op.add_column("knowledge_versions", sa.Column("valid_until", sa.Date(), nullable=True))
    op.add_column("knowledge_versions", sa.Column("review_on", sa.Date(), nullable=True))
    op.add_column("knowledge_versions", sa.Column("change_note", sa.Text(), nullable=True))
    op.add_column(
        "knowledge_versions",
        sa.Column("corrects", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.add_column(
        "knowledge_versions",
        sa.Column("content_sha256", sa.String(length=64), nullable=False, server_default=""),
    )
    op.add_column("knowledge_versions", sa.Column("ticket_id", sa.BigInteger(), nullable=True))
    op.add_column("knowledge_versions", sa.Column("published_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("knowledge_versions", sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE knowledge_articles SET published_version = current_version WHERE withdrawn_at IS NULL")
    op.execute(
        "UPDATE knowledge_versions v SET content_sha256 = encode(sha256(convert_to(question || E'\\n' || answer, 'UTF8')), 'hex'), "
        "published_at = written_at, state = CASE WHEN a.published_version = v.version THEN 'published' ELSE 'superseded' END "
        "FROM knowledge_articles a WHERE a.id = v.article_id"
    )
    for column in ("state", "guide", "synonyms", "categories", "areas", "corrects", "content_sha256"):
        op.alter_column("knowledge_versions", column, server_default=None)
    op.create_index(
        "ix_knowledge_versions_expiry",
        "knowledge_versions",
        ["valid_until"],
        unique=False,
        postgresql_where=sa.text("valid_until IS NOT NULL AND published_at IS NOT NULL"),
    )
    op.create_index(
        "ix_knowledge_versions_corrects",
        "knowledge_versions",
        ["published_at"],
        unique=False,
        postgresql_where=sa.text("corrects"),
    )
    op.create_index(
        "ix_knowledge_versions_withdrawn",
        "knowledge_versions",
        ["ended_at"],
        unique=False,
        postgresql_where=sa.text("state = 'withdrawn'"),
    )
    op.create_index(
        "ix_knowledge_versions_state", "knowledge_versions", ["state", "article_id"], unique=False
    )
    op.create_index(
        op.f("ix_knowledge_versions_ticket_id"), "knowledge_versions", ["ticket_id"], unique=False
    )
    op.create_foreign_key(
        "knowledge_versions_ticket_id_fkey", "knowledge_versions", "tickets", ["ticket_id"], ["id"]
    )


def downgrade() -> None:
    op.drop_constraint("knowledge_versions_ticket_id_fkey", "knowledge_versions", type_="foreignkey")
    op.drop_index(op.f("ix_knowledge_versions_ticket_id"), table_name="knowledge_versions")
    op.drop_index("ix_knowledge_versions_state", table_name="knowledge_versions")
    op.drop_index(
        "ix_knowledge_versions_withdrawn",
        table_name="knowledge_versions",
        postgresql_where=sa.text("state = 'withdrawn'"),
    )
    op.drop_index(
        "ix_knowledge_versions_corrects",
        table_name="knowledge_versions",
        postgresql_where=sa.text("corrects"),
    )
    op.drop_index(
        "ix_knowledge_versions_expiry",
        table_name="knowledge_versions",
        postgresql_where=sa.text("valid_until IS NOT NULL AND published_at IS NOT NULL"),
    )
    op.drop_column("knowledge_versions", "ended_at")
    op.drop_column("knowledge_versions", "published_at")
    op.drop_column("knowledge_versions", "ticket_id")
    op.drop_column("knowledge_versions", "content_sha256")
    op.drop_column("knowledge_versions", "corrects")
    op.drop_column("knowledge_versions", "change_note")
    op.drop_column("knowledge_versions", "review_on")
    op.drop_column("knowledge_versions", "valid_until")
    op.drop_column("knowledge_versions", "valid_from")
    op.drop_column("knowledge_versions", "source_url")
    op.drop_column("knowledge_versions", "areas")
    op.drop_column("knowledge_versions", "categories")
    op.drop_column("knowledge_versions", "synonyms")
    op.drop_column("knowledge_versions", "guide")
    op.drop_column("knowledge_versions", "state")
    op.drop_constraint("knowledge_articles_source_id_fkey", "knowledge_articles", type_="foreignkey")
    op.drop_constraint("ux_knowledge_articles_origin", "knowledge_articles", type_="unique")
    op.drop_index(op.f("ix_knowledge_articles_unit_id"), table_name="knowledge_articles")
    op.drop_index(op.f("ix_knowledge_articles_source_id"), table_name="knowledge_articles")
    op.drop_index(
        "ix_knowledge_articles_review",
        table_name="knowledge_articles",
        postgresql_where=sa.text("review_on IS NOT NULL AND withdrawn_at IS NULL"),
    )
    op.drop_column("knowledge_articles", "review_on")
    op.drop_column("knowledge_articles", "compared_version")
    op.drop_column("knowledge_articles", "origin")
    op.drop_column("knowledge_articles", "relation")
    op.drop_column("knowledge_articles", "source_id")
    op.drop_column("knowledge_articles", "published_version")
    op.drop_column("knowledge_articles", "area_code")
    op.drop_column("knowledge_articles", "kind")
    op.drop_index(op.f("ix_knowledge_recalls_platform_id"), table_name="knowledge_recalls")
    op.drop_table("knowledge_recalls")
    op.drop_index(op.f("ix_knowledge_pairs_other_id"), table_name="knowledge_pairs")
    op.drop_table("knowledge_pairs")
    op.drop_table("knowledge_links")
    op.drop_index(op.f("ix_knowledge_tellings_ticket_id"), table_name="knowledge_tellings")
    op.drop_index("ix_knowledge_tellings_article", table_name="knowledge_tellings")
    op.drop_table("knowledge_tellings")
    op.drop_index(op.f("ix_knowledge_questions_unit_id"), table_name="knowledge_questions")
    op.drop_index(op.f("ix_knowledge_questions_platform_id"), table_name="knowledge_questions")
    op.drop_index(
        "ix_knowledge_questions_due",
        table_name="knowledge_questions",
        postgresql_where=sa.text("state = 'asked' AND lapsed_at IS NULL"),
    )
    op.drop_table("knowledge_questions")
    op.drop_table("knowledge_uses")
    op.drop_index(op.f("ix_knowledge_steps_article_id"), table_name="knowledge_steps")
    op.drop_table("knowledge_steps")
    op.drop_table("knowledge_misses")
    op.drop_index(op.f("ix_knowledge_files_sha256"), table_name="knowledge_files")
    op.drop_index(op.f("ix_knowledge_files_article_id"), table_name="knowledge_files")
    op.drop_table("knowledge_files")
    op.drop_index(op.f("ix_knowledge_changes_article_id"), table_name="knowledge_changes")
    op.drop_table("knowledge_changes")
    op.drop_index(op.f("ix_knowledge_peers_platform_id"), table_name="knowledge_peers")
    op.drop_table("knowledge_peers")
