"""统计: facts and the cube, their upkeep, reports and what was filed of them, and the read-only schema `reporting` for the data platform."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _counted()
    _upkeep()
    _reports()
    op.execute(_CALL_CHANGED)
    op.execute(
        "CREATE TRIGGER calls_counted AFTER INSERT OR UPDATE OF ringing_at, answered_at, agent_id ON calls"
        " FOR EACH ROW EXECUTE FUNCTION report_call_changed()"
    )
    for event, name, each in (
        ("UPDATE OR DELETE", "append_only", "ROW"),
        ("TRUNCATE", "no_truncate", "STATEMENT"),
    ):
        op.execute(
            f"CREATE TRIGGER filed_reports_{name} BEFORE {event} ON filed_reports FOR EACH {each} EXECUTE FUNCTION refuse_rewriting()"
        )
    op.execute("CREATE SCHEMA IF NOT EXISTS reporting")
    op.execute("COMMENT ON SCHEMA reporting IS '供数据平台只读使用的视图，不含个人信息和自由文本'")
    for name, (about, query, columns) in VIEWS.items():
        op.execute(f"CREATE VIEW reporting.{name} WITH (security_barrier) AS {query}")
        op.execute(f"COMMENT ON VIEW reporting.{name} IS '{about}'")
        for column, meaning in columns.items():
            op.execute(f"COMMENT ON COLUMN reporting.{name}.{column} IS '{meaning}'")


_CALL_CHANGED = """
CREATE FUNCTION report_call_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO report_waiting (what, ref_id) VALUES ('call', NEW.id);
    RETURN NULL;
END $$
"""
_SUMS = ("seconds", "workdays", "wait_seconds", "wait_workdays")


def _zero(name: str, kind: sa.types.TypeEngine[int]) -> sa.Column[int]:
    return sa.Column(name, kind, server_default=sa.text("0"), nullable=False)


def _counted() -> None:
    op.create_table(
        "report_facts",
        sa.Column("ticket_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("what", sa.String(length=24), nullable=False),
        sa.Column("ref_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("unit_id", sa.BigInteger(), nullable=False),
        sa.Column("matter", sa.String(length=40), nullable=False),
        sa.Column("category", sa.String(length=12), nullable=False),
        sa.Column("area", sa.String(length=12), nullable=False),
        sa.Column("channel", sa.String(length=40), nullable=False),
        sa.Column("agent_id", sa.BigInteger(), nullable=False),
        sa.Column("marks", sa.SmallInteger(), nullable=False),
        sa.Column("seconds", sa.BigInteger(), nullable=True),
        sa.Column("workdays", sa.Integer(), nullable=True),
        sa.Column("wait_seconds", sa.BigInteger(), nullable=True),
        sa.Column("wait_workdays", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("ticket_id", "what", "ref_id"),
    )
    op.create_index(
        "ix_report_facts_platform", "report_facts", ["platform_id", "what", "day", "ticket_id", "ref_id"]
    )
    op.create_index(
        "ix_report_facts_unit",
        "report_facts",
        ["unit_id", "what", "day"],
        postgresql_where=sa.text("unit_id <> 0"),
    )
    op.create_table(
        "report_cube",
        sa.Column("grain", sa.String(length=5), nullable=False),
        sa.Column("dim", sa.String(length=8), nullable=False),
        sa.Column("platform_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("key", sa.String(length=20), nullable=False),
        sa.Column("what", sa.String(length=24), nullable=False),
        *(_zero(name, sa.Integer()) for name in ("n", "m1", "m2", "m3", "m4", "m5", "m6")),
        *(_zero(name, sa.BigInteger()) for name in _SUMS),
        sa.PrimaryKeyConstraint("grain", "dim", "platform_id", "starts", "key", "what"),
    )
    op.create_table(
        "report_spread",
        sa.Column("dim", sa.String(length=8), nullable=False),
        sa.Column("platform_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("key", sa.String(length=20), nullable=False),
        sa.Column("measure", sa.String(length=14), nullable=False),
        sa.Column("bucket", sa.Integer(), autoincrement=False, nullable=False),
        _zero("n", sa.Integer()),
        sa.PrimaryKeyConstraint("dim", "platform_id", "starts", "key", "measure", "bucket"),
    )


def _upkeep() -> None:
    op.create_table(
        "report_state",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("filled_to", sa.BigInteger(), nullable=False),
        sa.Column("fill_until", sa.BigInteger(), nullable=False),
        sa.Column("built", sa.Boolean(), nullable=False),
        sa.Column("calendar_version", sa.Integer(), nullable=False, server_default=sa.text("-1")),
        sa.Column("platforms", sa.Integer(), nullable=False, server_default=sa.text("0")),
        sa.Column("days_until", sa.Date(), nullable=True),
        sa.Column("counted_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "report_waiting",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("what", sa.String(length=8), nullable=False),
        sa.Column("ref_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "report_days",
        sa.Column("platform_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("working", sa.Boolean(), nullable=False),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("platform_id", "day"),
    )


def _reports() -> None:
    op.create_table(
        "report_views",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("view", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("saved_by", sa.String(length=100), nullable=False),
        sa.Column("saved_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name="report_views_platform_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_report_views_platform_id"), "report_views", ["platform_id"], unique=False)
    op.create_table(
        "reports",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("starts", sa.Date(), nullable=False),
        sa.Column("ends", sa.Date(), nullable=False),
        sa.Column("view", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.String(length=40), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("restates_id", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("drafted_by", sa.String(length=100), nullable=False),
        sa.Column("drafted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reviewed_by", sa.String(length=100), nullable=True),
        sa.Column("reviewed_key", sa.String(length=60), nullable=True),
        sa.Column("reviewed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("content", postgresql.JSONB(astext_type=sa.Text()), nullable=True),
        sa.Column("filed_by", sa.String(length=100), nullable=True),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("limit_id", sa.String(length=60), nullable=True),
        sa.Column("article", sa.String(length=20), nullable=False),
        sa.Column("due_on", sa.Date(), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.Column("warned_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("lapsed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("next_rung_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name="reports_platform_id_fkey"),
        sa.ForeignKeyConstraint(["restates_id"], ["reports.id"], name="reports_restates_id_fkey"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_reports_restates_id"), "reports", ["restates_id"], unique=False)
    op.create_index(
        "ux_reports_period",
        "reports",
        ["platform_id", "kind", "starts"],
        unique=True,
        postgresql_where=sa.text("kind <> 'special' AND restates_id IS NULL"),
    )
    op.create_index("ix_reports_listed", "reports", ["platform_id", "id"], unique=False)
    op.create_index(
        "ix_reports_owed",
        "reports",
        ["due_at"],
        unique=False,
        postgresql_where=sa.text("due_at IS NOT NULL AND filed_at IS NULL"),
    )
    op.create_table(
        "filed_reports",
        sa.Column("report_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("platform_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("filed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("prev_hash", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["platform_id"], ["platforms.id"], name="filed_reports_platform_id_fkey"),
        sa.PrimaryKeyConstraint("report_id"),
    )
    op.create_index("ux_filed_reports_chain", "filed_reports", ["platform_id", "number"], unique=True)


# --- the read-only schema: name -> (what it is, query, what each column is) ---------------------------------------------------

_UNIT = "(SELECT u.code FROM public.units u WHERE u.id = {})"
_NUMBER = "(SELECT t.number FROM public.tickets t WHERE t.id = {})"
_PLATFORM = "(SELECT p.code FROM public.platforms p WHERE p.id = {})"
_PART_UNIT = (
    "(SELECT u.code FROM public.assignments a JOIN public.units u ON u.id = a.unit_id WHERE a.id = {})"
)
_WHOSE = {"ticket": "工单编号", "unit": "承办单位代码"}

VIEWS: dict[str, tuple[str, str, dict[str, str]]] = {
    "platforms": (
        "热线平台",
        f"SELECT code, name, level, kind, {_PLATFORM.format('platforms.parent_id')} AS parent, area_code AS area FROM public.platforms",
        {
            "code": "两位代码",
            "name": "名称",
            "level": "层级",
            "kind": "平台类型",
            "parent": "上级平台代码",
            "area": "行政区划代码",
        },
    ),
    "units": (
        "承办单位",
        f"SELECT code, name, level, kind, {_PLATFORM.format('units.platform_id')} AS platform, area_code AS area,"
        f" {_UNIT.format('units.parent_id')} AS parent, {_UNIT.format('units.in_charge_id')} AS in_charge, active FROM public.units",
        {
            "code": "代码",
            "name": "名称",
            "level": "层级",
            "kind": "单位性质",
            "platform": "所属平台代码",
            "area": "行政区划代码",
            "parent": "上级单位代码",
            "in_charge": "业务主管部门代码（第十三条第（四）项）",
            "active": "是否在用",
        },
    ),
    "categories": (
        "诉求分类",
        "SELECT code, name, level, parent_code AS parent, active FROM public.categories",
        {
            "code": "代码，每级两位",
            "name": "名称",
            "level": "级次，1 至 3",
            "parent": "上级代码",
            "active": "是否在用",
        },
    ),
    "areas": (
        "行政区划",
        "SELECT code, name, level, parent_code AS parent FROM public.areas",
        {"code": "十二位代码", "name": "名称", "level": "层级", "parent": "上级代码"},
    ),
    "tickets": (
        "工单，不含标题、内容、来电人；举报和保密工单的行政区划只到县",
        "SELECT number, "
        + _PLATFORM.format("tickets.platform_id")
        + " AS platform, state, matter, channel, category_code AS category,"
        " CASE WHEN matter = 'tipoff' OR confidential THEN rpad(left(area_code, 6), 12, '0') ELSE area_code END AS area,"
        " received_at, created_at, ended_at, archived_at, confidential, complex, episode, episode_no, upheld_returns, "
        + _NUMBER.format("tickets.merged_into_id")
        + " AS merged_into, emergency_id IS NOT NULL AS emergency FROM public.tickets",
        {
            "number": "工单编号",
            "platform": "平台代码",
            "state": "状态",
            "matter": "诉求性质",
            "channel": "渠道",
            "category": "诉求分类代码",
            "area": "行政区划代码；举报、保密工单只到县",
            "received_at": "来电接通或网上提交的时间",
            "created_at": "登记时间",
            "ended_at": "办结时间",
            "archived_at": "归档时间",
            "confidential": "来电人要求保密",
            "complex": "复杂事项",
            "episode": "办理轮次",
            "episode_no": "轮次序号，自 0 起",
            "upheld_returns": "同意退单次数",
            "merged_into": "并入的工单编号",
            "emergency": "应急事项（第十七条）",
        },
    ),
    "clocks": (
        "时限",
        "SELECT id, "
        + _NUMBER.format("clocks.ticket_id")
        + " AS ticket, "
        + _UNIT.format("clocks.unit_id")
        + " AS unit, kind, party, duty, episode, episode_no, article, length, opened_at, original_due_on, due_on, due_at,"
        " extension_days, provisional, met_at, lapsed_at, voided_at, met_at < due_at AS in_time FROM public.clocks",
        {
            "id": "编号",
            "ticket": "工单编号",
            "unit": "责任单位代码；平台的时限为空",
            "kind": "时限种类",
            "party": "责任方",
            "duty": "是否为义务（退单期限是权利）",
            "episode": "办理轮次",
            "episode_no": "轮次序号",
            "article": "依据的条款",
            "length": "时长，单位随种类：工作日或小时",
            "opened_at": "起算时间",
            "original_due_on": "原届满日",
            "due_on": "届满日，延期的按延期后",
            "due_at": "届满时刻，其后即为逾期",
            "extension_days": "已批准的延期，工作日",
            "provisional": "届满日是否暂定（放假通知未发布）",
            "met_at": "完成时间",
            "lapsed_at": "逾期时间，即届满时刻",
            "voided_at": "终止时间",
            "in_time": "是否按期完成；未完成的为空",
        },
    ),
    "assignments": (
        "派给单位的任务",
        "SELECT id, "
        + _NUMBER.format("assignments.ticket_id")
        + " AS ticket, "
        + _UNIT.format("assignments.unit_id")
        + " AS unit, role, status, dispatched_at, signed_at, answered_at, reported_at, ended_at FROM public.assignments",
        _WHOSE
        | {
            "id": "编号",
            "role": "牵头或协办",
            "status": "办理情况",
            "dispatched_at": "派单时间",
            "signed_at": "签收时间",
            "answered_at": "本轮答复来电人的时间",
            "reported_at": "本轮反馈平台的时间",
            "ended_at": "退出时间",
        },
    ),
    "returns": (
        "退单，不含理由的文字",
        "SELECT id, "
        + _NUMBER.format("return_proposals.ticket_id")
        + " AS ticket, "
        + _PART_UNIT.format("return_proposals.assignment_id")
        + " AS unit, proposed_at, upheld, decided_at FROM public.return_proposals",
        _WHOSE
        | {
            "id": "编号",
            "proposed_at": "申请时间",
            "upheld": "是否同意；待审为空",
            "decided_at": "审核时间",
        },
    ),
    "extensions": (
        "延期，不含说明的文字",
        "SELECT id, "
        + _NUMBER.format("extensions.ticket_id")
        + " AS ticket, "
        + _PART_UNIT.format("extensions.assignment_id")
        + " AS unit, days_asked, asked_at, approved, days_granted, decided_at, caller_told_at FROM public.extensions",
        _WHOSE
        | {
            "id": "编号",
            "days_asked": "申请的工作日数",
            "asked_at": "申请时间",
            "approved": "是否批准；待审为空",
            "days_granted": "批准的工作日数",
            "decided_at": "审核时间",
            "caller_told_at": "告知来电人的时间",
        },
    ),
    "reviews": (
        "答复认定，不含意见的文字",
        "SELECT id, "
        + _NUMBER.format("reviews.ticket_id")
        + " AS ticket, episode, episode_no, passed, days, reviewed_at FROM public.reviews",
        {
            "id": "编号",
            "ticket": "工单编号",
            "episode": "办理轮次",
            "episode_no": "轮次序号",
            "passed": "是否通过",
            "days": "责成补办的工作日数",
            "reviewed_at": "认定时间",
        },
    ),
    "callbacks": (
        "回访，不含备注",
        "SELECT id, "
        + _NUMBER.format("callback_attempts.ticket_id")
        + " AS ticket, episode_no, outcome, conclusive, solved, attempted_at FROM public.callback_attempts",
        {
            "id": "编号",
            "ticket": "工单编号",
            "episode_no": "轮次序号",
            "outcome": "回访结果",
            "conclusive": "是否作为本轮的结果",
            "solved": "是否解决",
            "attempted_at": "回访时间",
        },
    ),
    "calls": (
        "来电，不含号码、线路、坐席和通话标识",
        "SELECT id, "
        + _PLATFORM.format("calls.platform_id")
        + " AS platform, ringing_at, answered_at, ended_at FROM public.calls",
        {
            "id": "编号",
            "platform": "平台代码",
            "ringing_at": "振铃时间",
            "answered_at": "接通时间；未接通为空",
            "ended_at": "挂断时间",
        },
    ),
    "figures_daily": (
        "每日计数：按一个维度汇总的事实，统计报告由此得出；届满类只到昨日，话务员维度不提供",
        "SELECT c.starts AS day, "
        + _PLATFORM.format("c.platform_id")
        + " AS platform, CASE c.dim WHEN '' THEN 'whole' ELSE c.dim END AS dim,"
        " CASE WHEN c.dim = 'unit' THEN (SELECT u.code FROM public.units u WHERE u.id = c.key::bigint) ELSE c.key END AS key,"
        " c.what, c.n, c.m1, c.m2, c.m3, c.m4, c.m5, c.m6, c.seconds, c.workdays, c.wait_seconds, c.wait_workdays"
        " FROM public.report_cube c WHERE c.grain = 'day' AND c.dim <> 'agent' AND c.n > 0"
        " AND (c.what IN ('received', 'dispatched', 'assigned', 'called_back', 'call')"
        " OR c.starts < (now() AT TIME ZONE 'Asia/Shanghai')::date)",
        {
            "day": "归入的日期：时限为届满日，其余为发生日（北京时间）",
            "platform": "平台代码",
            "dim": "维度：whole、unit、matter、category、area、channel",
            "key": "维度的代码；unit 为空是平台自身，area 为县级六位",
            "what": "事实：时限种类，或 received、dispatched、assigned、called_back、call",
            "n": "件数",
            "m1": "第一标记：时限为按期完成；received 受理，dispatched 办结，assigned 申请退单，called_back 有评价，call 接通",
            "m2": "第二标记：时限为逾期；received 即时答复，assigned 同意退单，called_back 满意",
            "m3": "第三标记：时限为逾期仍未完成；received 不予受理，assigned 驳回退单，called_back 问及是否解决",
            "m4": "第四标记：reply 已答复；received 转接，called_back 已解决",
            "m5": "第五标记：reply 牵头单位已答复；received 并单，called_back 无法接通",
            "m6": "第六标记：called_back 拒绝评价",
            "seconds": "reply：派单至答复的秒数合计",
            "workdays": "reply：派单至答复的工作日合计",
            "wait_seconds": "reply：受理至答复的秒数合计，牵头单位",
            "wait_workdays": "reply：受理至答复的工作日合计，牵头单位",
        },
    ),
    "filed_reports": (
        "已报送的报告（第二十七条），不含经办人",
        "SELECT f.report_id AS id, "
        + _PLATFORM.format("f.platform_id")
        + " AS platform, f.number, r.kind, r.starts, r.ends, r.due_on, f.filed_at, r.restates_id AS restates,"
        " encode(f.hash, 'hex') AS hash, f.content::jsonb -> 'figures' AS figures"
        " FROM public.filed_reports f JOIN public.reports r ON r.id = f.report_id",
        {
            "id": "编号",
            "platform": "平台代码",
            "number": "该平台报送的序号",
            "kind": "报告种类",
            "starts": "统计期首日",
            "ends": "统计期末日",
            "due_on": "报送期限；专题报告为空",
            "filed_at": "报送时间",
            "restates": "所更正的报告编号",
            "hash": "哈希",
            "figures": "报送的数据",
        },
    ),
}


def downgrade() -> None:
    op.execute("DROP SCHEMA reporting CASCADE")
    op.execute("DROP TRIGGER calls_counted ON calls")
    op.execute("DROP FUNCTION report_call_changed()")
    for table in (
        "filed_reports",
        "reports",
        "report_views",
        "report_days",
        "report_waiting",
        "report_state",
        "report_spread",
        "report_cube",
        "report_facts",
    ):
        op.drop_table(table)
