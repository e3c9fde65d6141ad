"""The words of a scenario (经过), and one under way: its connection, its people, its tickets."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import Session, col

from api.acts import ACT_ROUTES
from hotline import fields, orders
from hotline.access import SYSTEM, Actor
from hotline.case import Office
from hotline.models import (
    Ticket,
)
from tests import world as w
from tests.statute.casebook import (
    CaseInvalid,
)
from workflow.vocabulary import (
    Act,
    Channel,
    Flag,
    Matter,
    ReminderForm,
    ReviewElement,
    Role,
    TransferTarget,
)

PEOPLE = {
    "话务员": "agent",
    "话务员乙": "agent2",
    "派单员": "dispatcher",
    "审核员": "reviewer",
    "回访员": "callback",
    "督办主管": "supervisor",
    "审计员": "auditor",
    "省话务员": "p-agent",
    "省派单员": "p-dispatcher",
    "省督办主管": "p-supervisor",
    "住建局负责人": "ZJJ-lead",
}
UNITS = {
    "住建局": "ZJJ",
    "交通局": "JTJ",
    "城管局": "CGJ",
    "县政府": "HZQ",
    "镇政府": "DBZ",
    "供热公司": "HEAT",
    "学院": "SCHOOL",
    "省交通厅": "SJT",
    "二市住建局": "HDJ",
}
AREAS = {"本县": w.AREA, "本市": "630100000000", "邻市": "630200000000", "外省": "110101000000"}
BIRTHS = {Act.REGISTER, Act.ACCEPT, Act.REFUSE, Act.ANSWER_AT_ONCE, Act.TRANSFER, Act.REPORT_UP}
DECISIONS: dict[Act, type[fields.Order]] = {
    Act.REGISTER: orders.RegisterOrder,
    **{route.act: route.order for route in ACT_ROUTES if route.act in BIRTHS},
}
COMMANDS: dict[Act, tuple[Callable[..., Any], type[fields.Order]]] = {
    route.act: (route.command, route.order) for route in ACT_ROUTES
}
DEMAND = {"性质": "matter", "渠道": "channel", "接通": "received_at", "区域": "area", "通话": "call_id"} | {
    "外部编号": "external_ref",
    "诉求": "title",
}
FIELDS = {
    "牵头": "lead",
    "协办": "co_units",
    "要求": "instruction",
    "派单依据": "legal_basis",
    "复杂": "complex",
    "应急": "emergency",
    "权责依据": "basis",
    "退单依据": "grounds",
    "改派意见": "suggestion",
    "建议单位": "suggested_unit",
    "天数": "days",
    "事由": "reason",
    "理由": "reason",
    "说明": "explanation",
    "引导": "guidance",
    "情形": "ground",
    "去向": "target",
    "去向名称": "target_name",
    "答复内容": "answer",
    "知识版本": "knowledge_version",
    "内容": "content",
    "单位": "unit",
    "解决": "solved",
    "意见": "remark",
    "告知到": "reached",
    "形式": "form",
    "标记": "flag",
    "知识": "article",
    "接手人": "to",
    "并入": "into",
    "问题": "findings",
    "要素": "elements",
    "材料": "no_material_reason",
    "议题": "note",
    "签收人": "signed_by",
}
PER_ACT = {
    (Act.REPLY, "答复时间"): "citizen_answered_at",
    (Act.REPLY, "经办人"): "handled_by",
    (Act.ANSWER_CITIZEN, "答复时间"): "answered_at",
    (Act.DECIDE, "认定为"): "outcome",
    (Act.RECORD_CALLBACK, "结果"): "outcome",
    (Act.UPDATE_KNOWLEDGE, "结果"): "outcome",
}
DEFAULTS: dict[Act, dict[str, Any]] = {
    Act.REFUSE: {"explanation": "该事项不属于热线受理范围。", "guidance": "请向有权机关反映。"},
    Act.ANSWER_AT_ONCE: {"answer": "身份证补领可在任一派出所户籍窗口办理。"},
    Act.TRANSFER: {"explanation": "已三方通话转接。"},
    Act.REPORT_UP: {"reason": "首接人员无法认定。"},
    Act.DECIDE: {"reason": "经研究认定。"},
    Act.PROPOSE_RETURN: {
        "grounds": "该路段不由我单位管养。",
        "suggestion": "建议改派交通运输部门。",
    },
    Act.UPHOLD_RETURN: {"reason": "依据充分。"},
    Act.REJECT_RETURN: {"reason": "属于你单位职责。"},
    Act.CONVERT_TO_COMPLEX: {"reason": "需现场勘查后答复。"},
    Act.REQUEST_EXTENSION: {"reason": "complex", "explanation": "涉及三家产权单位，正在协调。"},
    Act.REFUSE_EXTENSION: {"reason": "理由不充分。"},
    Act.NOTIFY_EXTENSION: {"reached": True, "remark": "已电话告知延期原因。"},
    Act.REPORT_PROGRESS: {"content": "已安排抢修。"},
    Act.REPLY: {"content": "经现场核实，已更换阀门，室温恢复至20度。"},
    Act.RELEASE_UNIT: {"reason": "无需继续协办。"},
    Act.REVIEW_PASS: {"elements": {element.value: True for element in ReviewElement}},
    Act.REVIEW_SEND_BACK: {"findings": {"content": "未说明具体措施。"}},
    Act.UPHOLD_DISSATISFACTION: {"reason": "问题确未解决。"},
    Act.DISMISS_DISSATISFACTION: {"reason": "已依法办结并明确答复。"},
    Act.MERGE: {"reason": "同一小区同一问题。"},
    Act.WITHDRAW: {"reason": "来电人表示问题已解决。"},
    Act.HAND_OVER: {"reason": "原首接人员休假。"},
    Act.COORDINATE: {"note": "召集住建、城管会商。"},
    Act.DESIGNATE: {"basis": "依据部门权责清单。"},
    Act.REMIND: {"form": "network", "content": "请尽快办理。"},
    Act.FLAG: {"explanation": "多次以同一理由推诿。"},
    Act.KEEP_CONFIDENTIAL: {"reason": "来电人要求保密。"},
    Act.HOLD_RECORDING: {"held": True, "reason": "涉及行政复议。"},
}
WORDS: dict[str, Any] = {
    "channel": Channel,
    "matter": Matter,
    "target": TransferTarget,
    "form": ReminderForm,
    "flag": Flag,
}
EXTENSION_REASONS = {
    "事项情况复杂": "complex",
    "办理难度大": "difficult",
    "涉及多方主体": "many_parties",
    "核实处理困难": "hard_to_verify",
    "其他客观原因": "objective",
}
DECIDED = {"受理": "accept", "不予受理": "refuse", "转接": "transfer"}


@dataclass
class Run:
    """One scenario under way: its connection, its office, and its tickets by their names in the case."""

    world: w.World
    connection: Connection
    office: Office
    numbers: dict[str, str] = field(default_factory=dict)
    emergencies: dict[str, int] = field(default_factory=dict)
    at: datetime | None = None
    expectations: int = 0

    def session(self) -> Session:
        return Session(self.connection, join_transaction_mode="create_savepoint")

    def actor(self, session: Session, who: str) -> Actor:
        if who == "系统":
            return SYSTEM
        home = self.world.platforms["01"]
        if who == "来电人":
            return Actor("citizen", None, "来电人", frozenset({Role.CITIZEN}), home, None, frozenset({home}))
        if who == "对接平台":
            roles = frozenset({Role.AGENT, Role.DISPATCHER})
            return Actor("platform_machine", 1, "对接平台", roles, home, None, frozenset({home}))
        login = PEOPLE.get(who) or UNITS.get(who)
        if login is None:
            raise CaseInvalid(f"没有这个人或单位：{who}")
        return self.world.actor(session, login)

    def ticket(self, session: Session, name: str) -> Ticket:
        if name not in self.numbers:
            raise CaseInvalid(f"工单“{name}”尚未登记")
        found: Ticket = session.execute(
            select(Ticket).where(col(Ticket.number) == self.numbers[name])
        ).scalar_one()
        return found
