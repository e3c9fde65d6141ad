"""What people hand in to the knowledge base: an article's content, and what goes with a step of its life."""

import re
from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Final, Self

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from hotline.fields import Code, Demanded, Line, Order, Prose, Whole, keepable, pick, says_something
from workflow.vocabulary import ArticleKind, Relation

Title = Annotated[
    str,
    StringConstraints(min_length=1, max_length=500),
    AfterValidator(keepable),
    AfterValidator(says_something),
]
AreaCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{6,12}$")]
CategoryCode = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,6}$")]
_URL = re.compile(r"https?://[^\s/?#@\\]+([/?#][^\s\\]*)?", re.IGNORECASE)
_FIRST, _LAST = date(1949, 10, 1), date(2999, 12, 31)


def _checked_url(url: str) -> str:
    if not _URL.fullmatch(url):
        raise ValueError("来源网址应以 http:// 或 https:// 开头")
    return url


def _checked_day(day: date) -> date:
    if not _FIRST <= day <= _LAST:
        raise ValueError("日期超出可用范围，请核对年份")
    return day


Url = Annotated[
    str,
    StringConstraints(min_length=10, max_length=2000),
    AfterValidator(keepable),
    AfterValidator(_checked_url),
]
Day = Annotated[date, AfterValidator(_checked_day)]

LABELS: Final[dict[str, str]] = {
    "question": "标题（问题）",
    "answer": "答复口径",
    "kind": "知识类型",
    "department": "实施部门",
    "region": "适用地区",
    "matter_type": "事项类型",
    "matter_level": "事项层级",
    "theme": "主题",
    "service_object": "服务对象",
    "conditions": "办理条件",
    "materials": "办理材料",
    "steps": "办理流程",
    "limit": "承诺办结时限",
    "statutory_limit": "法定办结时限",
    "visits": "到办事现场次数",
    "place": "办理地点",
    "window": "办理窗口",
    "phone": "咨询电话",
    "complaint_phone": "监督投诉电话",
    "fee": "收费",
    "legal_basis": "法律依据",
    "categories": "诉求分类",
    "areas": "适用区划",
    "synonyms": "同义词",
    "source_url": "来源网址",
    "valid_from": "有效期起",
    "valid_until": "有效期止",
    "review_on": "复核日期",
}
"""The Chinese name of each field of an article, of its guide too."""

_LIMIT = re.compile(r"(\d{1,4})\s*[（(]?\s*个?\s*(工作日|自然日|日|天)\s*[)）]?")
_AT_ONCE = frozenset({"当场办结", "即时办结", "即办", "即办件", "当日办结"})


def parse_limit(text: str) -> tuple[int, str] | None:
    """A limit as days and what they are, `working_day` or `day`: «7(工作日)», «15个自然日», «当场办结» (0). None if it can't be read."""
    if text.strip() in _AT_ONCE:
        return 0, "working_day"
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        return None
    return int(match[1]), "working_day" if match[2] == "工作日" else "day"


class Guide(Order):
    """办事指南: who may ask, with what, how, within which time, where. Texts; the limits are also read as days."""

    department: Line | None = Field(default=None, title="实施部门")
    region: Line | None = Field(default=None, title="适用地区")
    matter_type: Line | None = Field(default=None, title="事项类型")
    matter_level: Line | None = Field(default=None, title="事项层级")
    theme: Line | None = Field(default=None, title="主题")
    service_object: Line | None = Field(default=None, title="服务对象")
    conditions: Prose | None = Field(default=None, title="办理条件")
    materials: Prose | None = Field(title="办理材料", default=None, description="每行一项")
    steps: Prose | None = Field(title="办理流程", default=None, description="每行一步")
    limit: Line | None = Field(title="承诺办结时限", default=None, description="承诺办结时限，如 7个工作日")
    statutory_limit: Line | None = Field(default=None, title="法定办结时限")
    visits: Whole | None = Field(title="到办事现场次数", default=None, ge=0, le=99)
    place: Prose | None = Field(default=None, title="办理地点")
    window: Line | None = Field(default=None, title="办理窗口")
    phone: Prose | None = Field(default=None, title="咨询电话")
    complaint_phone: Prose | None = Field(default=None, title="监督投诉电话")
    fee: Prose | None = Field(default=None, title="收费")

    def as_data(self) -> dict[str, Any]:
        """What is kept: the fields given, and each limit that can be read also as days."""
        data = self.model_dump(exclude_none=True)
        for name in ("limit", "statutory_limit"):
            read = parse_limit(data.get(name, ""))
            if read is not None:
                data[f"{name}_days"], data[f"{name}_unit"] = read
        return data

    @classmethod
    def of(cls, data: dict[str, Any]) -> Self | None:
        """The guide that was kept as `data`, None where there was none."""
        given = {name: value for name, value in data.items() if name in cls.model_fields}
        return cls.model_validate(given) if given else None


class ArticleOrder(Order):
    """One wording of an article: the question, the standard answer (答复口径, Markdown), the guide, where and when it holds."""

    question: Title = Field(title="标题（问题）")
    answer: Demanded = Field(title="答复口径", description="答复口径，Markdown")
    kind: ArticleKind | None = Field(
        title="知识类型", default=None, description="缺省：有办事指南内容为办事指南，否则为问答"
    )
    guide: Guide | None = Field(default=None, title="办事指南")
    legal_basis: Prose | None = Field(default=None, title="法律依据")
    categories: list[CategoryCode] = Field(
        title="诉求分类", json_schema_extra=pick("category"), default=[], max_length=20
    )
    areas: list[AreaCode] = Field(
        title="适用区划",
        json_schema_extra=pick("area"),
        default=[],
        max_length=100,
        description="适用的行政区划，缺省为平台辖区",
    )
    unit: Code | None = Field(
        title="负责答复口径的单位",
        json_schema_extra=pick("unit"),
        default=None,
        description="负责答复口径的承办单位代码；承办单位编写时为本单位",
    )
    synonyms: list[Line] = Field(title="同义词", default=[], max_length=50)
    valid_from: Day | None = Field(default=None, title="有效期起")
    valid_until: Day | None = Field(title="有效期止", default=None, description="有效期的最后一天，含当天")
    review_on: Day | None = Field(
        title="复核日期", default=None, description="下次复核的日期；缺省为发布后一年"
    )
    source_url: Url | None = Field(default=None, title="来源网址")
    change_note: Prose | None = Field(title="本次修改的说明", default=None, description="本次修改的说明")
    corrects: bool = Field(
        title="更正此前的错误答复",
        default=False,
        description="此前版本的答复有误，曾被告知的来电人应当回访更正",
    )
    source: Annotated[Whole, Field(ge=1, le=2**62)] | None = Field(
        title="所补充或替代的上级知识编号",
        default=None,
        description="所补充或替代的上级平台知识编号（仅新增时）",
    )
    relation: Relation | None = Field(default=None, title="与上级知识的关系")
    keep_files: list[Annotated[Whole, Field(ge=1, le=2**62)]] | None = Field(
        default=None, max_length=100, description="新版本保留上一版的哪些附件；缺省为全部"
    )
    based_on: Annotated[Whole, Field(ge=1, le=2**31 - 1)] | None = Field(
        default=None, description="修改所依据的版本号；他人已保存更新的版本时返回 412"
    )

    @field_validator("areas")
    @classmethod
    def _whole_codes(cls, areas: list[str]) -> list[str]:
        return _each_once(code.ljust(12, "0") for code in areas)

    @field_validator("categories", "synonyms", "keep_files")
    @classmethod
    def _no_doubles(cls, given: list[Any] | None) -> list[Any] | None:
        return None if given is None else _each_once(given)

    @field_validator("synonyms")
    @classmethod
    def _of_one_line(cls, given: list[str]) -> list[str]:
        if any("\n" in each or "\r" in each for each in given):
            raise ValueError("同义词不能含换行")
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.valid_from and self.valid_until and self.valid_from > self.valid_until:
            raise ValueError("有效期止早于有效期起")
        if (self.source is None) != (self.relation is None):
            raise ValueError("补充或替代上级知识时，须同时填写 source 和 relation")
        return self


def _each_once(given: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(given))


class StepOrder(Order):
    """What goes with a step: the version meant (缺省：最新版，撤下和复核为已发布版), and a reason where one is owed."""

    version: Annotated[Whole, Field(ge=1, le=2**31 - 1)] | None = Field(default=None, title="版本")
    reason: Prose | None = Field(default=None, title="理由")
    review_on: Day | None = Field(
        title="下次复核日期", default=None, description="复核无变化时的下次复核日期；缺省为一年后"
    )
