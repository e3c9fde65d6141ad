"""The lawyers' cases: read strictly from `article_*.yaml`, and the arithmetic ones (期限) counted without a database.

The words a case may use are listed in `README.md` beside this file; a word that is not listed is refused.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import yaml

from calendar_cn.arrangements import shipped
from calendar_cn.working_days import WorkCalendar
from workflow import deadlines, statute
from workflow.certificate import Certificate, certify, recompute
from workflow.errors import RuleBroken
from workflow.vocabulary import ClockKind, Matter

HERE = Path(__file__).parent
CHINA = ZoneInfo("Asia/Shanghai")
KINDS = ("期限", "经过")
SHORT_CLOCKS = {
    "转办": ClockKind.FORM_AND_TRANSFER,
    "报请": ClockKind.REPORT_UP,
    "退单": ClockKind.RETURN,
    "答复": ClockKind.REPLY,
    "补办": ClockKind.SUPPLEMENT,
    "回访": ClockKind.CALLBACK,
    "重办": ClockKind.REDO,
    "知识库": ClockKind.KNOWLEDGE_UPDATE,
    "来电人": ClockKind.CITIZEN,
    "月报": ClockKind.PERIOD_REPORT,
    "年报": ClockKind.ANNUAL_REPORT,
    "录音": ClockKind.RECORDING_RETENTION,
}


class CaseInvalid(Exception):
    """A case that cannot be read: an unknown word, a missing part, a value of the wrong kind."""


class Unmet(AssertionError):
    """An expectation of a case that the program does not meet."""


@dataclass(frozen=True)
class LegalCase:
    """One case: its article («14(5)» style), its name, the sentence it rests on, and what is to happen."""

    file: str
    article: str
    name: str
    quote: str
    kind: str
    content: Any

    @property
    def id(self) -> str:
        """The pytest id: file, article and name."""
        return f"{self.file.removesuffix('.yaml')}-{self.article}-{self.name}"


@dataclass(frozen=True)
class Organisational:
    """A sentence that puts a duty on an organisation and none on the program, with the reason."""

    article: str
    quote: str
    reason: str


class _Loader(yaml.SafeLoader):
    """YAML without dates, yes/no and repeated keys: a lawyer's text is text."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in found if tag == "tag:yaml.org,2002:int"]
    for letter, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _unique(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if len(set(keys)) != len(keys):
        raise CaseInvalid(f"同一处重复的词：{keys}")
    return dict(loader.construct_mapping(node, deep=True))


_Loader.add_constructor("tag:yaml.org,2002:map", _unique)


def parse(text: str, file: str) -> tuple[list[LegalCase], list[Organisational]]:
    """The cases of one file's text. Raises `CaseInvalid`."""
    page = only(yaml.load(text, _Loader), {"article", "cases", "不入程序"}, file)
    default = str(page.get("article") or file.removeprefix("article_").removesuffix(".yaml"))
    cases = [_case(row, default, file) for row in page.get("cases", [])]
    outside = [_outside(row, default, file) for row in page.get("不入程序", [])]
    return cases, outside


def _case(row: Any, default: str, file: str) -> LegalCase:
    words = only(row, {"name", "article", "依据", "说明", *KINDS}, file)
    kinds = [kind for kind in KINDS if kind in words]
    if "name" not in words or "依据" not in words or len(kinds) != 1:
        raise CaseInvalid(f"{file}：每个案例须有 name、依据，以及“期限”或“经过”之一：{words.get('name')}")
    article = str(words.get("article", default))
    return LegalCase(file, article, str(words["name"]), str(words["依据"]).strip(), kinds[0], words[kinds[0]])


def _outside(row: Any, default: str, file: str) -> Organisational:
    words = only(row, {"article", "依据", "理由"}, file)
    return Organisational(str(words.get("article", default)), str(words["依据"]).strip(), str(words["理由"]))


def read_all() -> tuple[list[LegalCase], list[Organisational]]:
    """Every case of every file beside this one."""
    cases: list[LegalCase] = []
    outside: list[Organisational] = []
    for path in sorted(HERE.glob("article_*.yaml")):
        more, further = parse(path.read_text("utf-8"), path.name)
        cases += more
        outside += further
    return cases, outside


# --- words -------------------------------------------------------------------------------------------------------------


def only(value: Any, allowed: Iterable[str], where: str) -> dict[str, Any]:
    """`value` as a mapping with no other keys. Raises `CaseInvalid` naming the others."""
    if not isinstance(value, Mapping):
        raise CaseInvalid(f"{where}：此处应为若干“词: 值”，而不是 {value!r}")
    unknown = [str(key) for key in value if key not in set(allowed)]
    if unknown:
        raise CaseInvalid(f"{where}：没有这样的词：{'、'.join(unknown)}")
    return dict(value)


def yes(value: Any) -> bool:
    """是 or 否."""
    if value not in ("是", "否"):
        raise CaseInvalid(f"此处应为“是”或“否”：{value}")
    return bool(value == "是")


def day(value: Any) -> date:
    """A civil day."""
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise CaseInvalid(f"不是日期：{value}") from error


def moment(value: Any) -> datetime:
    """A time in Beijing: `2026-02-13 10:00`, with seconds or not; `24:00` is the end of that day."""
    text = str(value)
    try:
        if text.endswith(" 24:00"):
            start = datetime.combine(date.fromisoformat(text.removesuffix(" 24:00")), datetime.min.time())
            return start.replace(tzinfo=CHINA) + timedelta(days=1)
        if len(text) < len("2026-02-13 10:00"):
            raise CaseInvalid(f"时间须写到分钟：{value}")
        return datetime.fromisoformat(text).replace(tzinfo=CHINA)
    except ValueError as error:
        raise CaseInvalid(f"不是时间：{value}") from error


Words = TypeVar("Words", bound=Enum)


def word(words: type[Words], label: Any) -> Words:
    """The member with this Chinese label (whole, or the part before a bracket)."""
    for member in words:
        full = str(getattr(member, "label", ""))
        if label in (full, full.split("(")[0].split("（")[0]):
            return member
    raise CaseInvalid(f"{words.__name__} 中没有“{label}”")


def clock_kind(label: Any) -> ClockKind:
    """A clock by its short name (答复) or its label (答复反馈)."""
    return SHORT_CLOCKS[label] if label in SHORT_CLOCKS else word(ClockKind, label)


def check(what: str, expected: Any, found: Any) -> None:
    """Raises `Unmet` where they differ."""
    if expected != found:
        raise Unmet(f"{what}：应为 {expected}，实为 {found}")


def check_error(expected: Any, error: RuleBroken | None) -> None:
    """Whether what was refused is what should be: 代码, 条款 (article), 项 (field), 含 (part of the message)."""
    want = (
        {"代码": expected}
        if isinstance(expected, str)
        else only(expected, {"代码", "条款", "项", "含"}, "不成")
    )
    if error is None:
        raise Unmet(f"应当不成（{want}），实际成了")
    for name, found in (("代码", error.code), ("条款", error.article), ("项", error.field)):
        if name in want:
            check(f"不成的{name}（{error.message}）", str(want[name]), found)
    if "含" in want and str(want["含"]) not in error.message:
        raise Unmet(f"提示应含“{want['含']}”，实为：{error.message}")


# --- 期限: pure arithmetic ----------------------------------------------------------------------------------------------

_PERIOD = {
    "规则",
    "时限",
    "性质",
    "复杂",
    "天数",
    "延期",
    "受理日",
    "起算",
    "届满",
    "时刻",
    "暂定",
    "计入",
    "不计",
    "本地放假",
    "无通知",
    "不成",
}


def run_period(case: LegalCase) -> Certificate | None:
    """Count one period and compare. Returns its certificate. Raises `Unmet`, `CaseInvalid`."""
    words = only(case.content, _PERIOD, case.name)
    if not {"届满", "时刻", "不成"} & words.keys():
        raise CaseInvalid(f"{case.name}：须写明届满、时刻或不成")
    try:
        proof, due = _counted(words)
    except RuleBroken as error:
        if "不成" not in words:
            raise Unmet(f"不应当不成：{error.message}") from error
        check_error(words["不成"], error)
        return None
    if "不成" in words:
        check_error(words["不成"], None)
    if "届满" in words:
        check("届满", day(words["届满"]), due.on)
    if "时刻" in words:
        check("届满时刻", moment(words["时刻"]), due.at.astimezone(CHINA))
    check("暂定", yes(words.get("暂定", "否")), due.provisional)
    if proof is not None:
        _check_days(words, proof)
    elif {"计入", "不计"} & words.keys():
        raise CaseInvalid("这一时限没有逐日的证明")
    return proof


def _counted(words: Mapping[str, Any]) -> tuple[Certificate | None, deadlines.Due]:
    law = statute.parse(words["规则"]) if "规则" in words else statute.load()
    calendar = _calendar(words)
    opened_at = moment(words["起算"])
    matter = word(Matter, words["性质"]) if "性质" in words else None
    kind = clock_kind(words["时限"])
    received_on = day(words["受理日"]) if "受理日" in words else opened_at.date()
    if kind is ClockKind.CITIZEN:
        assert matter is not None
        return None, deadlines.citizen_due(law, matter, opened_at, calendar)
    limit = law.limit(kind, received_on, matter, complex_=yes(words.get("复杂", "否")))
    granted = 0
    for days in words.get("延期", []):
        deadlines.check_extension_days(law, received_on, days, granted)
        granted += days
    length = words.get("天数")
    proof = certify(
        limit,
        law,
        calendar,
        opened_by="派单",
        opened_at=opened_at,
        length=length,
        extension_days=granted,
    )
    if not recompute(proof, limit, law, calendar):
        raise Unmet("期限证明重新计算的结果不同")
    first = deadlines.due_of(limit, opened_at, calendar, day_end=law.word("day_end"), length=length)
    due = deadlines.extended(first.on, granted, calendar, day_end=law.word("day_end")) if granted else first
    check("期限证明的届满日", due.on, proof.due_on)
    if f"{due.on:%Y-%m-%d}" not in proof.as_text():
        raise Unmet("期限证明的文字没有写届满日")
    return proof, deadlines.Due(due.on, due.at, proof.provisional)


def _calendar(words: Mapping[str, Any]) -> WorkCalendar:
    missing = {int(year) for year in words.get("无通知", [])}
    local = {day(when): str(why) for when, why in words.get("本地放假", {}).items()}
    known = {year: each for year, each in shipped().items() if year not in missing}
    return WorkCalendar(known, local)


def _check_days(words: Mapping[str, Any], proof: Certificate) -> None:
    days = [*proof.days, *proof.extension]
    if "计入" in words:
        check("计入的工作日", [day(d) for d in words["计入"]], [d.day for d in days if d.counted])
    for when, why in words.get("不计", {}).items():
        reasons = [d.reason for d in days if d.day == day(when) and not d.counted]
        if not reasons or str(why) not in reasons[0]:
            raise Unmet(f"{when} 应当不计（{why}），实为 {reasons or '计入或不在期间内'}")
