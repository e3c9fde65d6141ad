"""The words of the field, each with the Chinese label people see.

Every enum is stored and sent as its string value. `label` is the only place a Chinese name for it is written;
`GET /api/v1/vocabulary` serves these tables to the console.
"""

from enum import StrEnum
from typing import Self


class Word(StrEnum):
    """A string enum whose members carry a Chinese label."""

    label: str

    def __new__(cls, value: str, label: str = "") -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.label = label
        return member


class Matter(Word):
    """诉求性质: what kind of demand it is; it chooses the reply limit of art. 14(4)."""

    INQUIRY = "inquiry", "咨询"
    HELP = "help", "求助"
    SUGGESTION = "suggestion", "意见建议"
    COMPLAINT = "complaint", "投诉"
    TIPOFF = "tipoff", "举报"


class State(Word):
    """状态: who must act next. Lateness, a pending extension and technical steps are never states."""

    PENDING_DECISION = "pending_decision", "待认定"
    REFUSED = "refused", "不予受理"
    ANSWERED = "answered", "即时答复"
    TRANSFERRED = "transferred", "已转接"
    ACCEPTED = "accepted", "已受理(待派单)"
    COORDINATING = "coordinating", "协调中"
    DISPATCHED = "dispatched", "已派单(待签收)"
    HANDLING = "handling", "办理中"
    RETURN_PROPOSED = "return_proposed", "退单待审"
    REPLIED = "replied", "已反馈(待认定)"
    SUPPLEMENTING = "supplementing", "补办中"
    VERIFIED = "verified", "已认定(待回访)"
    DISSATISFIED = "dissatisfied", "不满意(待审核)"
    REDOING = "redoing", "重办中"
    CLOSED = "closed", "已办结(待归档)"
    ARCHIVED = "archived", "已归档"
    MERGED = "merged", "已并单"
    WITHDRAWN = "withdrawn", "已撤回"


class Act(Word):
    """动作: a verb somebody does to a ticket; the only thing that changes it."""

    REGISTER = "register", "登记"
    ACCEPT = "accept", "受理"
    REFUSE = "refuse", "不予受理"
    ANSWER_AT_ONCE = "answer_at_once", "即时答复"
    TRANSFER = "transfer", "转接"
    REPORT_UP = "report_up", "上报"
    DECIDE = "decide", "认定"
    DISPATCH = "dispatch", "派单"
    SIGN = "sign", "签收"
    PROPOSE_RETURN = "propose_return", "申请退单"
    UPHOLD_RETURN = "uphold_return", "同意退单"
    REJECT_RETURN = "reject_return", "驳回退单"
    CONVERT_TO_COMPLEX = "convert_to_complex", "转为复杂事项"
    REQUEST_EXTENSION = "request_extension", "申请延期"
    APPROVE_EXTENSION = "approve_extension", "批准延期"
    REFUSE_EXTENSION = "refuse_extension", "驳回延期"
    NOTIFY_EXTENSION = "notify_extension", "告知延期"
    REPORT_PROGRESS = "report_progress", "反馈进展"
    ANSWER_CITIZEN = "answer_citizen", "答复来电人"
    REPLY = "reply", "反馈办理结果"
    RELEASE_UNIT = "release_unit", "免除协办"
    REVIEW_PASS = "review_pass", "认定通过"
    REVIEW_SEND_BACK = "review_send_back", "责成补办"
    RECORD_CALLBACK = "record_callback", "回访"
    UPHOLD_DISSATISFACTION = "uphold_dissatisfaction", "同意重办"
    DISMISS_DISSATISFACTION = "dismiss_dissatisfaction", "不予重办"
    ARCHIVE = "archive", "归档"
    MERGE = "merge", "并单"
    WITHDRAW = "withdraw", "撤回"
    HAND_OVER = "hand_over", "移交首接"
    COORDINATE = "coordinate", "协调"
    DESIGNATE = "designate", "指定牵头"
    REMIND = "remind", "督办提醒"
    FLAG = "flag", "标记问题"
    UPDATE_KNOWLEDGE = "update_knowledge", "完善知识库"
    ATTACH = "attach", "添加附件"
    HOLD_RECORDING = "hold_recording", "保全录音"
    KEEP_CONFIDENTIAL = "keep_confidential", "为来电人保密"


class Role(Word):
    """角色: what a person or a machine may do."""

    AGENT = "agent", "话务员"
    DISPATCHER = "dispatcher", "派单员"
    HANDLER = "handler", "承办经办人"
    UNIT_LEAD = "unit_lead", "承办单位负责人"
    REVIEWER = "reviewer", "审核员"
    CALLBACK = "callback", "回访员"
    SUPERVISOR = "supervisor", "督办主管"
    EDITOR = "editor", "知识库管理员"
    AUDITOR = "auditor", "审计员"
    ADMIN = "admin", "管理员"
    CITIZEN = "citizen", "来电人"
    SYSTEM = "system", "系统"


class Channel(Word):
    """渠道: how the demand reached the hotline (art. 2)."""

    PHONE = "phone", "电话"
    WEB = "web", "网站"
    WECHAT = "wechat", "微信"
    APP = "app", "手机APP"
    PLATFORM = "platform", "其他平台"


class Level(Word):
    """层级: the five levels of art. 3."""

    PROVINCE = "province", "省级"
    PREFECTURE = "prefecture", "市（州）级"
    COUNTY = "county", "县级"
    TOWN = "town", "乡镇（街道）"
    VILLAGE = "village", "村（社区）"


class PlatformKind(Word):
    """平台类型: the province's, a prefecture's, and the lines beside them (art. 3, 5, 8)."""

    PROVINCE = "province", "省平台"
    PREFECTURE = "prefecture", "市（州）平台"
    PARALLEL = "parallel", "双号并行"
    BRANCH = "branch", "分中心"


class UnitKind(Word):
    """单位性质: enterprises, schools and institutions are reached through the department in charge, art. 13(4)."""

    GOVERNMENT = "government", "人民政府"
    DEPARTMENT = "department", "职能部门"
    INSTITUTION = "institution", "事业单位"
    ENTERPRISE = "enterprise", "企业"
    SCHOOL = "school", "高等院校"


class ClockKind(Word):
    """时限: one legal period running against one party."""

    FORM_AND_TRANSFER = "form_and_transfer", "形成工单并转办"
    REPORT_UP = "report_up", "报请上级协调"
    RETURN = "return", "退单"
    REPLY = "reply", "答复反馈"
    SUPPLEMENT = "supplement", "补办"
    CALLBACK = "callback", "回访"
    REDO = "redo", "重新办理"
    KNOWLEDGE_UPDATE = "knowledge_update", "知识库完善"
    CITIZEN = "citizen", "来电人等候"
    PERIOD_REPORT = "period_report", "月（季）度报告"
    ANNUAL_REPORT = "annual_report", "年度报告"
    RECORDING_RETENTION = "recording_retention", "录音保存"


class Party(Word):
    """责任方: whom a clock runs against. `CITIZEN` is the citizen's own ledger: nobody is judged by it alone."""

    PLATFORM = "platform", "热线平台"
    UNIT = "unit", "承办单位"
    CITIZEN = "citizen", "来电人"


class AssignmentRole(Word):
    """One lead unit (牵头), any number of co-units (协办), art. 14(3)."""

    LEAD = "lead", "牵头"
    CO = "co", "协办"


class AssignmentStatus(Word):
    """Where one unit stands in one ticket."""

    OPEN = "open", "办理中"
    RETURN_PROPOSED = "return_proposed", "退单待审"
    REPLIED = "replied", "已反馈"
    RETURNED = "returned", "已退单"
    RELEASED = "released", "已免除"
    STOPPED = "stopped", "已终止"


class Episode(Word):
    """办理轮次: first handling, each supplement (补办), each redo (重办)."""

    FIRST = "first", "首次办理"
    SUPPLEMENT = "supplement", "补办"
    REDO = "redo", "重办"


class ReviewElement(Word):
    """The four elements a review checks one by one, art. 14(6)."""

    QUALITY = "quality", "办理质量"
    PROCESS = "process", "流程规范"
    CONTENT = "content", "内容具体"
    COMPLETENESS = "completeness", "要素完整"


class CallbackOutcome(Word):
    """回访结果, art. 14(7)."""

    SATISFIED = "satisfied", "满意"
    BASICALLY_SATISFIED = "basically_satisfied", "基本满意"
    DISSATISFIED = "dissatisfied", "不满意"
    UNREACHABLE = "unreachable", "无法接通"
    REFUSED_TO_SAY = "refused_to_say", "拒绝评价"


class ReminderForm(Word):
    """The forms of a reminder that art. 14(8) names, in the order of the ladder."""

    NETWORK = "network", "网络"
    SMS = "sms", "电话短信"
    WRITTEN_NOTICE = "written_notice", "书面通知"
    ON_SITE = "on_site", "现场督办"


class Flag(Word):
    """Conduct that art. 14(8) names; repeated, it becomes an accountability notice (通报)."""

    OVERDUE = "overdue", "逾期不办"
    IMPROPER_RETURN = "improper_return", "不当退单"
    BUCK_PASSING = "buck_passing", "推诿扯皮"
    FALSE_REPORT = "false_report", "谎报瞒报"
    BAD_ATTITUDE = "bad_attitude", "态度恶劣"


class KnowledgeOutcome(Word):
    """How a unit met its duty of art. 23."""

    SUBMITTED = "submitted", "已报送新知识"
    UPDATED = "updated", "已更新知识"
    NO_CHANGE = "no_change", "无需更新"


class FileClass(Word):
    """The classes under which complex cases keep their material, art. 14(9)."""

    DEMAND = "demand", "诉求材料"
    RESULT = "result", "办理材料"
    MEETING = "meeting", "会议材料"
    INSTRUCTION = "instruction", "领导批示文件"
    LEGAL_BASIS = "legal_basis", "法律法规依据"
    RECORDING = "recording", "电话录音"
    OTHER = "other", "其他材料"


class TransferTarget(Word):
    """Where a call may be put through, art. 11(5), 12, 13(4), 39."""

    POLICE = "110", "110 报警服务台"
    FIRE = "119", "119 消防救援"
    MEDICAL = "120", "120 医疗急救"
    TRAFFIC = "122", "122 交通事故报警"
    EXPERT = "expert", "专家座席"
    UNIT = "unit", "相关单位"
    OTHER_HOTLINE = "other_hotline", "其他热线"


class Audience(Word):
    """Who may open a file: the units handling the ticket too, or the platform's staff only."""

    ALL = "all", "承办单位可见"
    PLATFORM = "platform", "仅平台可见"


class PersonalField(Word):
    """来电人信息: the fields sealed at rest, opened one by one; `ORIGINAL` is the demand as it was told, unmasked."""

    NAME = "name", "姓名"
    PHONE = "phone", "电话"
    ADDRESS = "address", "地址"
    ID_NUMBER = "id_number", "身份证号"
    ORIGINAL = "original", "原文"


class Purpose(Word):
    """查看目的: why somebody opens a sealed field or asks for an export (art. 15)."""

    CALL_BACK = "call_back", "回访来电人"
    CONTACT = "contact", "联系来电人办理"
    VERIFY = "verify", "核实情况"
    EMERGENCY = "emergency", "紧急处置"
    CORRECT = "correct", "更正信息"
    SUPERVISE = "supervise", "督办检查"
    SUBJECT = "subject", "来电人查询本人信息"
    REPORT = "report", "统计分析"
    OTHER = "other", "其他"


class Scope(Word):
    """令牌范围: what a machine's token may be used for, whatever its roles."""

    REFERENCE = "reference", "词汇、单位、日历"
    TICKETS_READ = "tickets:read", "查看工单"
    TICKETS_WRITE = "tickets:write", "办理工单"
    FILES = "files", "附件"
    CALLERS = "callers", "查看来电人信息"
    KNOWLEDGE = "knowledge", "知识库"
    SUPERVISION = "supervision", "督办"
    EXPORTS = "exports", "数据导出"
    ACCOUNTS = "accounts", "人员与接口管理"
    AUDIT = "audit", "审计"
    SESSION = "session", "登录会话"
    REPORTS = "reports", "统计报告"
    TELEPHONY = "telephony", "话务"


class AuditKind(Word):
    """审计事项: what the audit trail records beside the tickets' ledgers."""

    SIGNED_IN = "signed_in", "登录"
    SIGN_IN_FAILED = "sign_in_failed", "登录失败"
    SIGNED_OUT = "signed_out", "退出"
    TOKEN_ISSUED = "token_issued", "签发令牌"
    PASSWORD_CHANGED = "password_changed", "修改口令"
    SECOND_FACTOR_CHANGED = "second_factor_changed", "变更第二因素"
    REFUSED = "refused", "拒绝访问"
    UNSEALED = "unsealed", "查看来电人信息"
    UNSEALED_READ = "unsealed_read", "再次查看来电人信息"
    CALLER_SEARCHED = "caller_searched", "按来电人查找"
    FILE_READ = "file_read", "下载附件"
    EXPORT_ASKED = "export_asked", "申请导出"
    EXPORT_DECIDED = "export_decided", "审批导出"
    EXPORT_READ = "export_read", "下载导出文件"
    EXPORT_DESTROYED = "export_destroyed", "销毁导出文件"
    SUBJECT_REPORTED = "subject_reported", "出具本人信息报告"
    ACCOUNT_CHANGED = "account_changed", "人员与接口变更"
    KEYS_CHANGED = "keys_changed", "密钥变更"
    RECORDING_DESTROYED = "recording_destroyed", "销毁录音"
    AUDIT_READ = "audit_read", "查阅审计记录"
    ALERT_RAISED = "alert_raised", "异常查阅预警"
    ALERT_HANDLED = "alert_handled", "处置预警"
    CALL_SHOWN = "call_shown", "来电弹屏"
    LINK_READ = "link_read", "读取查询链接"
    REPORT_PRINTED = "report_printed", "下载统计报告"
    POINTS_ENTERED = "points_entered", "评定分录入与确认"


class AlertKind(Word):
    """异常查阅: look-ups an auditor should see."""

    MANY_UNSEALS = "many_unseals", "短时间内大量查看"
    OFF_SHIFT = "off_shift", "非工作时间查看"
    OUTSIDE_AREA = "outside_area", "查看辖区外来电人信息"
    MANY_REFUSALS = "many_refusals", "多次被拒绝访问"


class Retention(Word):
    """录音保存: where a recording stands (art. 14(9))."""

    KEPT = "kept", "保存中"
    DUE = "due", "到期待销毁"
    HELD = "held", "保全中"
    DESTROYED = "destroyed", "已销毁"


class ExportState(Word):
    """导出申请的状态."""

    ASKED = "asked", "待审批"
    PREPARING = "preparing", "已批准，正在生成"
    APPROVED = "approved", "已批准"
    REFUSED = "refused", "未批准"
    EXPIRED = "expired", "已失效"


class ArticleKind(Word):
    """知识类型."""

    QA = "qa", "问答"
    GUIDE = "guide", "办事指南"
    POLICY = "policy", "政策解读"


class VersionState(Word):
    """知识版本的状态: draft, the unit's review, the platform's check, published, and how it ended (art. 22, 28)."""

    DRAFT = "draft", "草稿"
    UNIT_REVIEW = "unit_review", "单位审核中"
    PLATFORM_CHECK = "platform_check", "平台核验中"
    PUBLISHED = "published", "已发布"
    SENT_BACK = "sent_back", "退回修改"
    SUPERSEDED = "superseded", "已被新版替代"
    WITHDRAWN = "withdrawn", "已撤下"


class KnowledgeStep(Word):
    """知识办理步骤: what a person did to a version."""

    WRITE = "write", "编写"
    SUBMIT = "submit", "提交审核"
    UNIT_APPROVE = "unit_approve", "单位审核通过"
    UNIT_SEND_BACK = "unit_send_back", "单位退回"
    PUBLISH = "publish", "平台核验并发布"
    SEND_BACK = "send_back", "平台退回"
    WITHDRAW = "withdraw", "撤下"
    REVIEWED = "reviewed", "复核无变化"


class Relation(Word):
    """A prefecture's article beside a province's: it adds to it, or takes its place there, visibly (art. 19, 21)."""

    ADDS = "adds", "本地补充"
    OVERRIDES = "overrides", "本地替代"


class RecallReason(Word):
    """Why whoever was told an answer is to be called back."""

    CORRECTED = "corrected", "答复已更正"
    EXPIRED = "expired", "答复已失效"
    WITHDRAWN = "withdrawn", "答复已撤下"


class Upkeep(Word):
    """知识维护事项: why an article, or the lack of one, asks for somebody's attention (art. 20, 23, 28)."""

    REVIEW_DUE = "review_due", "已到复核日期"
    EXPIRING = "expiring", "即将失效"
    EXPIRED = "expired", "已失效未更新"
    DEAD_LINK = "dead_link", "来源链接失效"
    DUPLICATE = "duplicate", "疑似重复"
    CONTRADICTION = "contradiction", "疑似矛盾"
    UNUSED = "unused", "常被查看但很少采用"
    MISSING = "missing", "采集需求"


class SubscriptionState(Word):
    """订阅状态: paused by a person, or disabled: closed by a person, or by the receiver itself (410 Gone)."""

    ACTIVE = "active", "启用"
    PAUSED = "paused", "暂停"
    DISABLED = "disabled", "停用"


class DeliveryState(Word):
    """投递状态."""

    WAITING = "waiting", "待投递"
    DELIVERED = "delivered", "已送达"
    DEAD = "dead", "投递失败"


class Means(Word):
    """通知方式: how somebody without a system of their own is told."""

    EMAIL = "email", "电子邮件"
    SMS = "sms", "短信"


class NoticeState(Word):
    """通知状态: of one message to one contact; `recorded`: written down and sent to nobody, where a site has no gateway."""

    WAITING = "waiting", "待发送"
    SENT = "sent", "已发出"
    DELIVERED = "delivered", "已送达"
    RECORDED = "recorded", "仅记录"
    FAILED = "failed", "发送失败"
    GIVEN_UP = "given_up", "已放弃"


class Presence(Word):
    """在场: what somebody who has a ticket open does with it."""

    VIEWING = "viewing", "查看中"
    EDITING = "editing", "填写中"
    LEFT = "left", "已离开"


class CallState(Word):
    """来电状态."""

    RINGING = "ringing", "振铃"
    CONNECTED = "connected", "通话中"
    ENDED = "ended", "已挂断"
    MISSED = "missed", "未接"


class Likely(Word):
    """疑似重复的理由: why another ticket may be about the same thing."""

    SAME_CALLER = "same_caller", "同一来电人"
    SAME_PLACE = "same_place", "同一区域同类事项"
    SIMILAR_TEXT = "similar_text", "内容相近"


class Mark(Word):
    """队列标记: what of a ticket should catch the eye in a list."""

    OVERDUE = "overdue", "逾期"
    DUE_TODAY = "due_today", "今日到期"
    EMERGENCY = "emergency", "应急"
    REMINDED = "reminded", "已督办"
    REDO = "redo", "重办"
    SUPPLEMENT = "supplement", "补办"
    RETURNED = "returned", "曾退单"
    EXTENSION_ASKED = "extension_asked", "延期待审"
    CONFIDENTIAL = "confidential", "保密"
    COMPLEX = "complex", "复杂事项"


class Grade(Word):
    """好差评: the five grades a citizen chooses from."""

    EXCELLENT = "excellent", "非常满意"
    GOOD = "good", "满意"
    FAIR = "fair", "基本满意"
    POOR = "poor", "不满意"
    BAD = "bad", "非常不满意"


class GradeLabel(Word):
    """评价标签: what a citizen says went well or badly."""

    POLITE = "polite", "态度好"
    QUICK = "quick", "办理快"
    CLEAR = "clear", "答复清楚"
    SOLVED = "solved", "问题已解决"
    RUDE = "rude", "态度差"
    SLOW = "slow", "办理慢"
    UNCLEAR = "unclear", "答复不清"
    UNSOLVED = "unsolved", "问题未解决"
    PASSED_ON = "passed_on", "推诿扯皮"


class QuestionState(Word):
    """知识提问的状态."""

    ASKED = "asked", "待答复"
    ANSWERED = "answered", "已答复"
    ADOPTED = "adopted", "已转为知识"
    CLOSED = "closed", "已关闭"


class ReportKind(Word):
    """报告种类: the regular ones of art. 27 by their period, and special ones at any time."""

    MONTHLY = "monthly", "月报"
    QUARTERLY = "quarterly", "季报"
    ANNUAL = "annual", "年报"
    SPECIAL = "special", "专题报告"


class ReportState(Word):
    """报告状态: drafted by the system or a person, its figures looked through by a person, filed: frozen for good."""

    DRAFTED = "drafted", "待审核"
    REVIEWED = "reviewed", "已审核待报送"
    FILED = "filed", "已报送"


class HotspotKind(Word):
    """热点的种类: a theme many ask about, a caller who comes again, a problem that comes again after it was ended."""

    THEME = "theme", "诉求主题"
    CALLER = "caller", "重复来电"
    PROBLEM = "problem", "重复发生"


class AssessmentState(Word):
    """考核状态: points computed, published for the units to appeal against, final: frozen for good."""

    DRAFTED = "drafted", "待公布"
    PUBLISHED = "published", "公示中"
    FINAL = "final", "已定稿"


PLATFORM_STAFF = frozenset({Role.AGENT, Role.DISPATCHER, Role.REVIEWER, Role.CALLBACK, Role.SUPERVISOR})
UNIT_STAFF = frozenset({Role.HANDLER, Role.UNIT_LEAD})
STAFF = frozenset(Role) - {Role.CITIZEN, Role.SYSTEM}

VOCABULARY: tuple[type[Word], ...] = (
    Matter,
    State,
    Act,
    Role,
    Channel,
    Level,
    UnitKind,
    PlatformKind,
    ClockKind,
    Party,
    AssignmentRole,
    AssignmentStatus,
    Episode,
    ReviewElement,
    CallbackOutcome,
    ReminderForm,
    Flag,
    KnowledgeOutcome,
    FileClass,
    TransferTarget,
    Audience,
    PersonalField,
    Purpose,
    Scope,
    AuditKind,
    AlertKind,
    ExportState,
    Retention,
    ArticleKind,
    VersionState,
    KnowledgeStep,
    Relation,
    RecallReason,
    Upkeep,
    SubscriptionState,
    DeliveryState,
    Means,
    NoticeState,
    Presence,
    QuestionState,
    CallState,
    Likely,
    Mark,
    Grade,
    GradeLabel,
    ReportKind,
    ReportState,
    HotspotKind,
    AssessmentState,
)
