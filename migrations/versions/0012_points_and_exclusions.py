"""考核: 剔除 can be taken back, 评定分 entered by hand, 数据准确率 counted with the other figures."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("exclusions", sa.Column("revoked_by", sa.String(length=100), nullable=True))
    op.add_column("exclusions", sa.Column("revoked_key", sa.String(length=60), nullable=True))
    op.add_column("exclusions", sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("exclusions", sa.Column("revocation", sa.Text(), nullable=True))
    op.create_index("ix_sampled_tickets_ticket", "sampled_tickets", ["ticket_id"])
    op.create_table(
        "entered_points",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("ends", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(length=10), nullable=False),
        sa.Column("code", sa.String(length=40), nullable=False),
        sa.Column("item", sa.String(length=40), nullable=False),
        sa.Column("points", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("document", sa.String(length=200), nullable=True),
        sa.Column("entered_by", sa.String(length=100), nullable=False),
        sa.Column("entered_key", sa.String(length=60), nullable=False),
        sa.Column("entered_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("confirmed", sa.Boolean(), nullable=True),
        sa.Column("confirmed_by", sa.String(length=100), nullable=True),
        sa.Column("confirmed_key", sa.String(length=60), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmation", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name="entered_points_platform_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_entered_points_listed", "entered_points", ["platform_id", "id"])
    op.create_index(
        "ix_entered_points_scored", "entered_points", ["platform_id", "starts", "ends", "kind", "code"]
    )
    op.execute(f"CREATE OR REPLACE VIEW {_VIEW} WITH (security_barrier) AS {_figures_daily(_HAPPENED)}")
    for column, meaning in {
        "what": "事实：时限种类，或 received、dispatched、assigned、called_back、sampled（抽查核对，按工单受理日）、call",
        "m1": "第一标记：时限为按期完成；received 受理，dispatched 办结，assigned 申请退单，called_back 有评价，sampled 属实，call 接通",
    }.items():
        op.execute(f"COMMENT ON COLUMN {_VIEW}.{column} IS '{meaning}'")
    op.execute(
        "INSERT INTO report_waiting (what, ref_id) SELECT DISTINCT 'ticket', ticket_id FROM sampled_tickets WHERE accurate IS NOT NULL"
    )


_VIEW = "reporting.figures_daily"
_BEFORE = "'received', 'dispatched', 'assigned', 'called_back', 'call'"
_HAPPENED = "'received', 'dispatched', 'assigned', 'called_back', 'sampled', 'call'"


def _figures_daily(happened: str) -> str:
    return (
        "SELECT c.starts AS day, (SELECT p.code FROM public.platforms p WHERE p.id = c.platform_id)"
        " AS platform, CASE c.dim WHEN '' THEN 'whole' ELSE c.dim END AS dim,"
        " CASE WHEN c.dim = 'unit' THEN (SELECT u.code FROM public.units u WHERE u.id = c.key::bigint) ELSE c.key END AS key,"
        " c.what, c.n, c.m1, c.m2, c.m3, c.m4, c.m5, c.m6, c.seconds, c.workdays, c.wait_seconds, c.wait_workdays"
        " FROM public.report_cube c WHERE c.grain = 'day' AND c.dim <> 'agent' AND c.n > 0"
        f" AND (c.what IN ({happened})"
        " OR c.starts < (now() AT TIME ZONE 'Asia/Shanghai')::date)"
    )


def downgrade() -> None:
    op.execute(f"CREATE OR REPLACE VIEW {_VIEW} WITH (security_barrier) AS {_figures_daily(_BEFORE)}")
    op.execute("DELETE FROM report_facts WHERE what = 'sampled'")
    op.execute("DELETE FROM report_cube WHERE what = 'sampled'")
    op.drop_table("entered_points")
    op.drop_index("ix_sampled_tickets_ticket", table_name="sampled_tickets")
    for column in ("revocation", "revoked_at", "revoked_key", "revoked_by"):
        op.drop_column("exclusions", column)
