"""One row of a table as an article: each cell read into its field, or said to be bad with its column and the reason."""

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlmodel import Session, col

from hotline.access import Actor
from hotline.organisation import Area, Category, OrgUnit, Platform
from knowledge_base import articles, tables
from knowledge_base.models import Article, ArticleVersion
from knowledge_base.orders import ArticleOrder, Guide, parse_limit
from knowledge_base.tables import HEADINGS, Row
from workflow.vocabulary import ArticleKind, Relation


class ColumnProblem(BaseModel):
    """What is wrong in one cell."""

    column: str
    reason: str


@dataclass(slots=True)
class Known:
    """What rows may refer to on this platform."""

    platform: Platform
    units: dict[str, OrgUnit]
    unit_names: dict[str, OrgUnit]
    areas: set[str]
    area_names: dict[str, str]
    categories: set[str]


@dataclass(slots=True)
class Found:
    """What a row's reading turned up."""

    values: dict[str, Any] = field(default_factory=dict)
    problems: list[ColumnProblem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def bad(self, name: str, reason: str) -> None:
        """Note what is wrong with a column."""
        self.problems.append(ColumnProblem(column=HEADINGS[name], reason=reason))


def known_on(session: Session, platform: Platform) -> Known:
    """What rows may refer to on a platform, read once."""
    units = list(
        session.execute(
            select(OrgUnit).where(col(OrgUnit.platform_id) == platform.id, col(OrgUnit.active))
        ).scalars()
    )
    names = Counter(unit.name for unit in units)
    areas = session.execute(select(col(Area.code), col(Area.name))).all()
    area_names = Counter(name for _, name in areas)
    return Known(
        platform,
        {unit.code: unit for unit in units},
        {unit.name: unit for unit in units if names[unit.name] == 1},
        {code for code, _ in areas},
        {name: code for code, name in areas if area_names[name] == 1},
        set(session.execute(select(col(Category.code))).scalars()),
    )


DIRECT: Final = ("question", "answer", "legal_basis", "source_url")
DAYS: Final = ("valid_from", "valid_until", "review_on")
_NOTHING: Final = frozenset({"", "无", "/", "-", "—"})


def read_row(row: Row, known: Known) -> Found:
    """The row's cells as the values of an order; only for the columns the table has."""
    found = Found()
    for name, cell in row.cells.items():
        _READERS.get(name, _text)(found, name, "" if cell is None else cell, known)
    return found


def _text(found: Found, name: str, cell: Any, _known: Known) -> None:
    said = str(cell)
    if len(said) > 100_000:
        found.bad(name, "超过最大长度 100000 个字符")
    found.values[name] = said if said.strip() else None


def _short(found: Found, name: str, cell: Any, _known: Known) -> None:
    found.values[name] = str(cell).strip() or None


def _code(found: Found, name: str, cell: Any, _known: Known) -> None:
    code = str(cell).strip()
    if len(code) > 80 or not re.fullmatch(r"[!-~]*", code) or code.startswith(articles.SYNCED):
        found.bad(name, "应为不超过 80 个字母、数字或符号，不含空格和汉字")
    found.values[name] = code or None


def _limit(found: Found, name: str, cell: Any, _known: Known) -> None:
    said = str(cell).strip()
    if said in _NOTHING:
        found.values[name] = None
        return
    if parse_limit(said) is None:
        found.bad(name, f"时限“{said[:20]}”无法识别，写法如 7(工作日)、15个自然日、当场办结")
    found.values[name] = said


def _number(found: Found, name: str, cell: Any, _known: Known) -> None:
    said = str(cell).strip()
    if said and not re.fullmatch(r"\d{1,2}", said):
        found.bad(name, f"应为 0—99 的整数，不是“{said[:20]}”")
    elif said:
        found.values[name] = int(said)
    else:
        found.values[name] = None


def _day(found: Found, name: str, cell: Any, _known: Known) -> None:
    said = str(cell).strip()
    day = tables.read_day(said)
    if said and day is None:
        found.bad(name, f"日期“{said[:20]}”无法识别，写法如 2026-10-15")
    found.values[name] = day


def _kind(found: Found, name: str, cell: Any, _known: Known) -> None:
    said = str(cell).strip()
    kinds = {kind.label: kind for kind in ArticleKind} | {kind.value: kind for kind in ArticleKind}
    if said and said not in kinds:
        found.bad(name, f"应为{'、'.join(kind.label for kind in ArticleKind)}之一")
    found.values[name] = kinds.get(said)


def _relation(found: Found, name: str, cell: Any, _known: Known) -> None:
    said = str(cell).strip()
    relations = {each.label: each for each in Relation} | {each.value: each for each in Relation}
    if said and said not in relations:
        found.bad(name, f"应为{'、'.join(each.label for each in Relation)}之一")
    found.values[name] = relations.get(said)


def _codes(found: Found, name: str, cell: Any, known: Known) -> None:
    given = tables.split_list(cell)
    codes, names, label = (
        (known.areas, known.area_names, "行政区划") if name == "areas" else (known.categories, {}, "诉求分类")
    )
    values = [names.get(each, each.ljust(12, "0") if name == "areas" else each) for each in given]
    for each, value in zip(given, values, strict=True):
        if value not in codes:
            found.bad(name, f"{label}“{each[:20]}”不存在")
    found.values[name] = values


def _synonyms(found: Found, name: str, cell: Any, _known: Known) -> None:
    found.values[name] = tables.split_list(cell)


def _unit(found: Found, name: str, cell: Any, known: Known) -> None:
    code = str(cell).strip()
    if code and code not in known.units:
        found.bad(name, f"本平台没有代码为 {code[:40]} 的承办单位")
    elif code:
        found.values["unit_id"] = known.units[code].id


def _department(found: Found, name: str, cell: Any, known: Known) -> None:
    said = str(cell).strip()
    found.values[name] = said or None
    unit = known.unit_names.get(said)
    if unit is not None:
        found.values.setdefault("unit_id", unit.id)
    elif said:
        found.notes.append(f"实施部门“{said[:60]}”在本平台没有同名承办单位，按文字保留")


def _region(found: Found, name: str, cell: Any, known: Known) -> None:
    said = str(cell).strip()
    found.values[name] = said or None
    if said in known.area_names:
        found.values.setdefault("areas", [known.area_names[said]])
    elif said:
        found.notes.append(f"地区“{said[:60]}”在区划表中没有同名的，按文字保留")


_READERS: Final[dict[str, Callable[[Found, str, Any, Known], None]]] = {
    "code": _code,
    "kind": _kind,
    "unit": _unit,
    "department": _department,
    "region": _region,
    "areas": _codes,
    "categories": _codes,
    "limit": _limit,
    "statutory_limit": _limit,
    "visits": _number,
    "synonyms": _synonyms,
    "relation": _relation,
    "source": _short,
    "source_url": _short,
    **dict.fromkeys(DAYS, _day),
    **dict.fromkeys(("matter_type", "matter_level", "theme", "service_object", "window"), _short),
}


def unit_of(actor: Actor, found: Found, article: Article | None) -> int | None:
    """The unit answerable, as far as the row says; a unit's people import their own only."""
    unit_id: int | None = found.values.get("unit_id")
    if not actor.is_unit:
        return unit_id
    if article is not None and article.unit_id != actor.unit_id:
        found.bad("code", "该事项由其他单位或平台维护")
    if unit_id not in (None, actor.unit_id):
        found.bad("department", "承办单位只能导入本单位负责的事项")
    return actor.unit_id


def order_of(found: Found, article: Article | None, version: ArticleVersion | None) -> ArticleOrder | None:
    """The order the row amounts to: its own columns over what stands. None, and the problems noted, where it is not one."""
    before = articles.content_of(article, version) if article is not None and version is not None else None
    content: dict[str, Any] = before.model_dump(exclude={"change_note", "corrects"}) if before else {}
    guide = dict(content.get("guide") or {})
    values = found.values
    guide |= {name: values[name] for name in Guide.model_fields if name in values}
    named = (*DIRECT, *DAYS, "categories", "areas", "synonyms")
    content |= {name: values[name] for name in named if name in values}
    content["guide"] = {name: value for name, value in guide.items() if value is not None} or None
    content["kind"] = _kind_of(found, article, content["guide"])
    if not values.get("answer"):
        content["answer"] = _answer_of(before, content)
    try:
        return ArticleOrder.model_validate(content)
    except ValidationError as error:
        for each in error.errors():
            name = next((str(part) for part in each["loc"][::-1] if str(part) in HEADINGS), "question")
            found.bad(name, _reason(each))
        return None


def _kind_of(found: Found, article: Article | None, guide: Any) -> ArticleKind:
    given: ArticleKind | None = found.values.get("kind")
    if article is not None:
        if given is not None and given is not article.kind:
            found.bad("kind", f"已有条目的类型为“{article.kind.label}”，不能更改")
        return article.kind
    return given or (ArticleKind.GUIDE if guide else ArticleKind.QA)


def _answer_of(before: ArticleOrder | None, content: Mapping[str, Any]) -> str | None:
    """The answer of a row that has none of its own: summed up from the guide; but one written by hand stays."""
    if before is not None and before.answer != summary(before.question, before.guide):
        return before.answer
    try:
        guide = Guide.model_validate(content["guide"]) if content["guide"] else None
    except ValidationError:
        return "（见办事指南）"  # not kept: what is wrong is said of the guide's own columns
    return summary(str(content.get("question") or ""), guide)


def summary(question: str, guide: Guide | None) -> str | None:
    """A standard answer summed up from the guide's fields, None where there is no guide."""
    if guide is None:
        return None
    said = [f"“{question}”" + (f"由{guide.department}办理" if guide.department else "的办理")]
    if guide.service_object:
        said.append(f"服务对象为{guide.service_object.replace(';', '、')}")
    if guide.limit:
        legal = f"（法定{_limit_text(guide.statutory_limit)}）" if guide.statutory_limit else ""
        said.append(f"承诺办结时限{_limit_text(guide.limit)}{legal}")
    elif guide.statutory_limit:
        said.append(f"法定办结时限{_limit_text(guide.statutory_limit)}")
    if guide.visits is not None:
        said.append("无需到办事现场" if guide.visits == 0 else f"须到办事现场{guide.visits}次")
    return _escaped("，".join(said) + "。办理条件、材料、地点和咨询电话见办事指南。")


def _limit_text(limit: str) -> str:
    read = parse_limit(limit)
    if read is None or read[0] == 0:
        return limit
    return f"{read[0]}个{'工作日' if read[1] == 'working_day' else '自然日'}"


def _escaped(said: str) -> str:
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", said)


def _reason(error: Mapping[str, Any]) -> str:
    context = error.get("ctx") or {}
    if error["type"] == "value_error":
        return str(context.get("error", "内容不符合要求"))
    if error["type"] == "string_too_long":
        return f"超过最大长度 {context['max_length']} 个字符"
    if error["type"] in ("string_too_short", "missing", "string_type"):
        return "不能为空"
    if error["type"] == "too_long":
        return f"项数过多（至多 {context['max_length']} 项）"
    return "格式不正确"
