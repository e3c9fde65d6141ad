"""热点、督办函、考核: analyses of what people ask for, letters of supervision, indicator systems, exclusions, samples, assessments."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _hotspots()
    _letters()
    _assessment()
    for event, name, each in (
        ("UPDATE OR DELETE", "append_only", "ROW"),
        ("TRUNCATE", "no_truncate", "STATEMENT"),
    ):
        op.execute(
            f"CREATE TRIGGER final_assessments_{name} BEFORE {event} ON final_assessments FOR EACH {each} EXECUTE FUNCTION refuse_rewriting()"
        )
    for name, (about, query, columns) in VIEWS.items():
        op.execute(f"CREATE VIEW reporting.{name} WITH (security_barrier) AS {query}")
        op.execute(f"COMMENT ON VIEW reporting.{name} IS '{about}'")
        for column, meaning in columns.items():
            op.execute(f"COMMENT ON COLUMN reporting.{name}.{column} IS '{meaning}'")


def _key() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False)


def _at(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=nullable)


def _by(name: str, *, nullable: bool = False, length: int = 100) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def _json(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, postgresql.JSONB(astext_type=sa.Text()), nullable=nullable)


def _ref(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _span() -> Sequence[sa.Column[object]]:
    return (sa.Column("starts", sa.Date(), nullable=False), sa.Column("ends", sa.Date(), nullable=False))


def _of(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{target}.id"], name=f"{table}_{column}_fkey")


def _hotspots() -> None:
    op.create_table(
        "hotspot_runs",
        _key(),
        _ref("platform_id"),
        *_span(),
        sa.Column("tickets", sa.Integer(), nullable=False),
        _json("content"),
        _by("made_by"),
        _at("made_at"),
        _of("hotspot_runs", "platform_id", "platforms"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hotspot_runs_listed", "hotspot_runs", ["platform_id", "id"])
    op.create_table(
        "hotspots",
        _key(),
        _ref("run_id"),
        _by("kind", length=40),
        sa.Column("rank", sa.Integer(), nullable=False),
        _by("title", length=200),
        _by("category", length=12),
        _by("area", length=12),
        sa.Column("count", sa.Integer(), nullable=False),
        _json("content"),
        sa.Column("tickets", postgresql.ARRAY(sa.BigInteger()), nullable=False),
        _of("hotspots", "run_id", "hotspot_runs"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_hotspots_run", "hotspots", ["run_id", "kind", "rank"])


def _letters() -> None:
    op.create_table(
        "letters",
        _key(),
        _ref("platform_id"),
        _ref("unit_id"),
        _ref("reminder_id"),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        _json("content"),
        _by("issued_by"),
        _at("issued_at"),
        _of("letters", "platform_id", "platforms"),
        _of("letters", "unit_id", "units"),
        _of("letters", "reminder_id", "reminders"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_letters_unit_id", "letters", ["unit_id"])
    op.create_index("ux_letters_number", "letters", ["platform_id", "year", "number"], unique=True)


def _assessment() -> None:
    op.create_table(
        "indicator_systems",
        _key(),
        _ref("platform_id"),
        sa.Column("version", sa.Integer(), nullable=False),
        _by("name"),
        _json("content"),
        sa.Column("reason", sa.Text(), nullable=False),
        _by("made_by"),
        _at("made_at"),
        _of("indicator_systems", "platform_id", "platforms"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_indicator_systems", "indicator_systems", ["platform_id", "version"], unique=True)
    op.create_table(
        "exclusions",
        _key(),
        _ref("platform_id"),
        _ref("ticket_id"),
        _ref("clock_id", nullable=True),
        _ref("unit_id", nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        _by("applied_by"),
        _by("applied_key", length=60),
        _at("applied_at"),
        sa.Column("approved", sa.Boolean(), nullable=True),
        _by("decided_by", nullable=True),
        _by("decided_key", nullable=True, length=60),
        _at("decided_at", nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        _of("exclusions", "platform_id", "platforms"),
        _of("exclusions", "ticket_id", "tickets"),
        _of("exclusions", "clock_id", "clocks"),
        _of("exclusions", "unit_id", "units"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_exclusions_ticket", "exclusions", ["ticket_id"])
    op.create_index("ix_exclusions_listed", "exclusions", ["platform_id", "id"])
    op.create_index(
        "ix_exclusions_counted",
        "exclusions",
        ["ticket_id", "clock_id"],
        postgresql_where=sa.text("approved"),
    )
    _samples()
    _results()


def _samples() -> None:
    op.create_table(
        "accuracy_samples",
        _key(),
        _ref("platform_id"),
        *_span(),
        _by("seed", length=64),
        sa.Column("population", sa.Integer(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        _by("drawn_by"),
        _at("drawn_at"),
        _of("accuracy_samples", "platform_id", "platforms"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_accuracy_samples", "accuracy_samples", ["platform_id", "starts", "ends"], unique=True)
    op.create_table(
        "sampled_tickets",
        _key(),
        _ref("sample_id"),
        sa.Column("place", sa.Integer(), nullable=False),
        _ref("ticket_id"),
        _ref("unit_id", nullable=True),
        sa.Column("accurate", sa.Boolean(), nullable=True),
        sa.Column("finding", sa.Text(), nullable=True),
        _by("found_by", nullable=True),
        _at("found_at", nullable=True),
        _of("sampled_tickets", "sample_id", "accuracy_samples"),
        _of("sampled_tickets", "ticket_id", "tickets"),
        _of("sampled_tickets", "unit_id", "units"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ux_sampled_tickets", "sampled_tickets", ["sample_id", "place"], unique=True)


def _results() -> None:
    op.create_table(
        "assessments",
        _key(),
        _ref("platform_id"),
        sa.Column("system_version", sa.Integer(), nullable=False),
        _by("title", length=200),
        *_span(),
        _by("state", length=40),
        sa.Column("version", sa.Integer(), nullable=False),
        _json("content"),
        _by("drafted_by"),
        _at("drafted_at"),
        _at("computed_at"),
        _by("published_by", nullable=True),
        _at("published_at", nullable=True),
        sa.Column("appeals_until", sa.Date(), nullable=True),
        _by("finalised_by", nullable=True),
        _at("finalised_at", nullable=True),
        _of("assessments", "platform_id", "platforms"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_assessments_listed", "assessments", ["platform_id", "id"])
    op.create_table(
        "assessment_appeals",
        _key(),
        _ref("assessment_id"),
        _ref("unit_id"),
        _by("item", length=40),
        sa.Column("reason", sa.Text(), nullable=False),
        _by("filed_by"),
        _at("filed_at"),
        sa.Column("upheld", sa.Boolean(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=True),
        _by("points", nullable=True, length=10),
        _json("changed", nullable=True),
        _by("decided_by", nullable=True),
        _at("decided_at", nullable=True),
        _of("assessment_appeals", "assessment_id", "assessments"),
        _of("assessment_appeals", "unit_id", "units"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_assessment_appeals_assessment_id", "assessment_appeals", ["assessment_id"])
    op.create_table(
        "final_assessments",
        sa.Column("assessment_id", sa.BigInteger(), autoincrement=False, nullable=False),
        _ref("platform_id"),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        _at("finalised_at"),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        _of("final_assessments", "platform_id", "platforms"),
        sa.PrimaryKeyConstraint("assessment_id"),
    )
    op.create_index("ux_final_assessments_chain", "final_assessments", ["platform_id", "number"], unique=True)


# --- the read-only schema: name -> (what it is, query, what each column is) ---------------------------------------------------

VIEWS: dict[str, tuple[str, str, dict[str, str]]] = {
    "assessments": (
        "已定稿的考核结果（第三十至三十四条）：每个单位和平台的得分与位次，不含经办人和意见的文字",
        "SELECT f.assessment_id AS id, (SELECT p.code FROM public.platforms p WHERE p.id = f.platform_id) AS platform,"
        " a.starts, a.ends, a.system_version, s ->> 'kind' AS kind, s ->> 'code' AS code, s ->> 'tier' AS tier,"
        " (s ->> 'total')::numeric AS total, (s ->> 'rank')::int AS rank, (s ->> 'of')::int AS ranked, f.finalised_at,"
        " encode(f.hash, 'hex') AS hash FROM public.final_assessments f JOIN public.assessments a ON a.id = f.assessment_id"
        " CROSS JOIN LATERAL jsonb_array_elements(f.content::jsonb -> 'result' -> 'subjects') s",
        {
            "id": "编号",
            "platform": "组织考核的平台代码",
            "starts": "考核期首日",
            "ends": "考核期末日",
            "system_version": "指标体系的版本，0 为随系统提供的",
            "kind": "unit 承办单位，platform 热线平台",
            "code": "单位或平台代码",
            "tier": "所在的组，同组内排名",
            "total": "得分，满分 100",
            "rank": "组内位次；件数不足、不参加排名的为空",
            "ranked": "组内参加排名的个数",
            "finalised_at": "定稿时间",
            "hash": "哈希",
        },
    ),
}


def downgrade() -> None:
    for name in VIEWS:
        op.execute(f"DROP VIEW reporting.{name}")
    for table in (
        "final_assessments",
        "assessment_appeals",
        "assessments",
        "sampled_tickets",
        "accuracy_samples",
        "exclusions",
        "indicator_systems",
        "letters",
        "hotspots",
        "hotspot_runs",
    ):
        op.drop_table(table)
