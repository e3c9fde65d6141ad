"""What the demo's guides, local articles and drafts say. Sums, limits and dates are examples, not policy."""

from typing import Any, Final, NamedTuple

from workflow.vocabulary import Relation


def _guide(platform: str, duty: str, question: str, answer: str, **guide: Any) -> dict[str, Any]:
    category = guide.pop("category", None)
    order: dict[str, Any] = {
        "question": question,
        "answer": answer,
        "kind": "guide",
        "synonyms": guide.pop("synonyms", []),
        "guide": {"phone": "12345", "visits": 1} | guide,
        "change_note": "演示数据",
    }
    if category is not None:
        order["categories"] = [category]
    return {"platform": platform, "duty": duty, "order": order}


GUIDES: Final = (
    _guide(
        "00",
        "labour",
        "社会保障卡怎么申领",
        "本人持身份证到**任一合作银行网点**或社保经办窗口申领，可当场制卡。",
        conditions="在本省参加社会保险的人员",
        materials="身份证原件\n近期免冠照片（可现场拍摄）",
        steps="1. 填写申领表\n2. 核验身份\n3. 制卡、激活",
        limit="当场办结",
        statutory_limit="15个工作日",
        fee="首次申领不收费",
        synonyms=["办社保卡", "社保卡申请"],
    ),
    _guide(
        "00",
        "labour",
        "社会保障卡丢失后怎么补办",
        "先拨打发卡银行电话**临时挂失**，再持身份证到银行网点补卡。",
        materials="身份证原件",
        limit="3个工作日",
        synonyms=["社保卡丢了", "社保卡挂失"],
    ),
    _guide(
        "00",
        "public_security",
        "居民身份证到期换领",
        "有效期满前**三个月**内，可在任一户籍派出所换领，异地也可办理。",
        materials="原身份证\n户口簿",
        limit="20个工作日",
        statutory_limit="60个自然日",
        fee="工本费20元（示例）",
        synonyms=["换身份证", "身份证过期"],
    ),
    _guide(
        "00",
        "public_security",
        "普通护照申请",
        "可在全省任一出入境窗口申请，线上可预约。",
        materials="身份证原件\n照片回执",
        limit="7(工作日)",
        fee="120元（示例）",
        synonyms=["办护照"],
    ),
    _guide(
        "00",
        "insurance",
        "基本医疗保险异地就医备案",
        "通过国家医保服务平台 App 或参保地窗口备案，**备案后即时生效**。",
        materials="身份证或医保电子凭证",
        limit="当场办结",
        visits=0,
        synonyms=["异地医保", "跨省看病备案"],
    ),
    _guide(
        "00",
        "civil_affairs",
        "婚姻登记预约与办理",
        "双方持身份证到**任一**婚姻登记处办理，不再限户籍地。",
        materials="双方身份证\n双方合影照片",
        limit="当场办结",
        fee="不收费",
        synonyms=["领结婚证", "结婚登记"],
    ),
    _guide(
        "00",
        "market",
        "企业开办一网通办",
        "营业执照、刻章、税务、社保开户**一次提交、一并办理**。",
        materials="登记申请书\n住所证明\n股东身份证明",
        limit="1个工作日",
        statutory_limit="3个工作日",
        visits=0,
        synonyms=["注册公司", "办营业执照"],
    ),
    _guide(
        "01",
        "housing",
        "商品房预售合同网签备案",
        "由开发企业在网签系统提交，购房人可在线查询结果。",
        materials="购房合同\n身份证\n购房资格承诺",
        limit="3(工作日)",
        synonyms=["网签", "购房合同备案"],
    ),
    _guide(
        "01",
        "housing",
        "住房公积金提取（租房）",
        "无房职工可按规定限额提取，小程序提交，系统核验无房信息。",
        materials="身份证\n无房承诺",
        limit="3个工作日",
        visits=0,
        synonyms=["公积金租房提取"],
    ),
    _guide(
        "01",
        "education",
        "外来务工人员随迁子女入学",
        "每年七月在入学服务平台登记，由居住地统筹安排公办学位。",
        materials="居住证\n就业证明\n租房凭证",
        limit="15个工作日",
        synonyms=["外地孩子上学", "随迁子女"],
    ),
    _guide(
        "01",
        "labour",
        "社会保障卡丢失后如何补办",
        "持身份证到合作银行网点补办，**5个工作日**取卡。",
        materials="身份证原件",
        limit="5个工作日",
    ),
    _guide(
        "01",
        "public_security",
        "申请普通护照",
        "可在全省任一出入境窗口申请，线上可预约。",
        materials="身份证原件\n照片回执",
        limit="7(工作日)",
        fee="120元（示例）",
    ),
)
"""The last two say again what the province says, one otherwise: what upkeep is there to find."""

LOCAL: Final = (
    (
        "社会保障卡丢失后怎么补办",
        Relation.ADDS,
        "社会保障卡补办（西宁市便民点）",
        "西宁市另在各区政务服务大厅设有**即时补卡点**，周六上午也可办理。",
    ),
    (
        "居民身份证到期换领",
        Relation.OVERRIDES,
        "居民身份证到期换领（西宁市）",
        "西宁市户籍派出所和各政务服务大厅均可换领，市内制证**10个工作日**，可邮寄到家。",
    ),
)

DRAFTS: Final = (
    ("transport", "冬季公交末班车时间怎么调整", "十一月起部分线路末班车提前半小时，以站牌公布为准。"),
    ("utilities", "供热费可以分期交吗", "符合条件的困难家庭可向供热单位申请分期。"),
    ("environment", "散煤回收在哪里登记", "向村（居）委会登记，由街道统一回收。"),
)


class Fate(NamedTuple):
    """What becomes of a question: after how many days it is answered and what is said (None: not at all), and whether a draft comes of it."""

    days: int = 0
    answer: str | None = None
    adopted: bool = False


ASKED: Final = (
    (86, "01", "housing", "老旧小区加装电梯的补贴标准是多少？", "近一周有四位来电人询问，知识库没有现行口径。",
     Fate(1, "每台补贴标准以当年公布的为准，由街道受理、区住建部门审核，10个工作日内答复（示例）。", adopted=True)),
    (58, "01", "transport", "网约车司机资格证考试多久安排一次？", None,
     Fate(2, "每月安排两次，考试安排在运管机构网站公布，可线上报名（示例）。", adopted=True)),
    (37, "00", "labour", "灵活就业人员跨省转移社保后断缴怎么补？", "来电人说法不一，请给出统一口径。",
     Fate(6, "断缴期间不补缴，转移后可按规定续缴，具体由参保地经办机构核定（示例）。")),
    (24, "01", "education", "小学转学需要提前多久申请？", None,
     Fate(1, "应在开学前一个月向转入学校提出，由区教育部门统筹（示例）。")),
    (15, "02", "utilities", "今年供热费的缴费截止日期是哪一天？", "话务量上升，请尽快答复。",
     Fate(1, "以供热单位公告为准，一般在供热开始前一个月截止（示例）。")),
    (9, "01", "environment", "露天烧烤扰民由哪个部门现场处理？", "两个单位都说不归自己管。", Fate()),
    (2, "01", "housing", "二手房公积金贷款的面积上限是多少？", None, Fate()),
    (1, "00", "insurance", "异地就医备案后急诊费用能不能直接结算？", "来电人正在外地医院。", Fate()),
)  # fmt: skip
"""Questions to units: how many days before the end, the platform, the duty, the question, its background, its fate."""

MISSED: Final = (
    ("无人机飞行活动怎么申请", 9),
    ("养老机构床位补贴", 7),
    ("新能源汽车充电桩进小区", 6),
    ("流动摊位临时占道许可", 4),
    ("宠物火化在哪里办", 3),
    ("网络主播税务登记", 2),
)
"""What agents of one platform looked for in vain, and how often."""

UNCLEAR: Final = ("企业开办一网通办", "外来务工人员随迁子女入学")
"""Opened often, told to nobody."""
