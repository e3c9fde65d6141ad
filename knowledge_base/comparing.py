"""Two articles side by side: how alike their questions and answers are, and which numbers, limits and phones they give differently. Pure."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from knowledge_base.search.folding import fold

ALIKE: Final = 0.8
"""Two questions this alike may be about one matter."""
SAME_QUESTION: Final = 0.9
SAME_ANSWER: Final = 0.6
"""Questions this alike whose answers are this alike may be duplicates."""

_ASKING = re.compile(
    "请问|您好|怎么样|怎么|如何|怎样|什么样|什么|哪些|哪里|多少|需要|应当|可以|能否|是否|办理|手续|吗|呢|的|了"
)
_HAN: Final = {c: n for n, c in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_NUMBER = r"(?:\d[\d,]*(?:\.\d+)?|[零〇一二两三四五六七八九十百千]+)"
_UNITS: Final[tuple[tuple[str, str], ...]] = (
    ("工作日", r"个?工作日"),
    ("日", r"个?(?:自然日|日历日)|天|日(?!前|均|期|常|报)"),
    ("个月", r"个月|个自然月"),
    ("年", r"年(?!度|初|末|底|检|审|报|龄)"),
    ("小时", r"个?小时"),
    ("万元", r"万元"),
    ("元", r"元|块钱"),
    ("%", r"[%％]"),
    ("周岁", r"周岁|岁"),
    ("平方米", r"平方米|平米|㎡"),
    ("度", r"度|℃"),
    ("份", r"份"),
    ("人", r"人"),
    ("次", r"次"),
    ("倍", r"倍"),
)
_MEASURED = re.compile(
    rf"({_NUMBER})\s*[（(]?\s*(?:{'|'.join(f'(?P<u{n}>{p})' for n, (_, p) in enumerate(_UNITS))})"
)
_DATE = re.compile(
    r"\d{4}\s*年(?:\s*\d{1,2}\s*月)?(?:\s*\d{1,2}\s*[日号])?|\d{1,2}\s*月\s*\d{1,2}\s*[日号]|\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
)
_CLAUSE = re.compile(rf"第\s*{_NUMBER}\s*[条款项章号次]")
_PHONE = re.compile(
    r"(?<!\d)(?:[（(]?(?:0[12]\d|0[3-9]\d{2})[)）]?[-—－ ]?\d{7,8}|400[-—－ ]?\d{3}[-—－ ]?\d{4}|1[3-9]\d{9}|1[02]\d{3}|\d{7,8})(?!\d)"
)
_BRACKETED = re.compile(r"[（(]([^（()）]*)")
_DAY_UNITS: Final = {"working_day": "个工作日", "day": "个自然日"}
_CLOCK = re.compile(r"(?<!\d)([01]?\d|2[0-3])[:：]([0-5]\d)(?!\d)")


@dataclass(frozen=True, slots=True)
class Difference:
    """One kind of number given differently: each side's own values."""

    what: str
    one: tuple[str, ...]
    other: tuple[str, ...]


def same_matter(one: str, other: str) -> float:
    """How alike two questions are, 0 to 1: Dice's coefficient over their characters, words that only ask aside, order aside.

    Where both have something in brackets, as the cases of one matter do (（一般项目）, （中小型项目）), that must be as alike by itself.
    """
    cases = [_bare("".join(_BRACKETED.findall(each))) for each in (one, other)]
    whole = _dice(Counter(_bare(one)), Counter(_bare(other)))
    return min(whole, _dice(Counter(cases[0]), Counter(cases[1]))) if all(cases) else whole


def likeness(one: str, other: str) -> float:
    """How alike two answers are, 0 to 1: Dice's coefficient over their character pairs, punctuation aside."""
    return _dice(_pairs(one), _pairs(other))


def _bare(question: str) -> str:
    plain = re.sub(r"[\W_]+", "", fold(question))
    return _ASKING.sub("", plain) or plain


def _pairs(text: str) -> Counter[str]:
    plain = re.sub(r"[\W_]+", "", fold(text))
    return Counter(plain[k : k + 2] for k in range(len(plain) - 1)) or Counter([plain] if plain else [])


def _dice(one: Counter[str], other: Counter[str]) -> float:
    total = one.total() + other.total()
    return 2 * (one & other).total() / total if total else 0.0


def facts(answer: str, guide: Mapping[str, Any]) -> dict[str, frozenset[str]]:
    """The numbers an answer gives, by their unit of measure, its phones, opening times, and a guide's limits by their names."""
    found: dict[str, set[str]] = {}
    for name, label in (("limit", "承诺办结时限"), ("statutory_limit", "法定办结时限")):
        if f"{name}_days" in guide:
            found[label] = {f"{guide[f'{name}_days']} {_DAY_UNITS.get(guide.get(f'{name}_unit', ''), '日')}"}
    for name, label in (("phone", "咨询电话"), ("fee", "收费")):
        if guide.get(name):
            said = str(guide[name])
            found[label] = _phones(said) if name == "phone" else set(_measures(said).get("元", ()))
    for what, values in (_measures(answer) | {"电话": _phones(answer), "时间": _times(answer)}).items():
        found.setdefault(what, set()).update(values)
    return {what: frozenset(values) for what, values in found.items() if values}


def _measures(text: str) -> dict[str, set[str]]:
    plain = _CLAUSE.sub(" ", _DATE.sub(" ", _PHONE.sub(" ", text)))
    found: dict[str, set[str]] = {}
    for match in _MEASURED.finditer(plain):
        unit = next(name for n, (name, _) in enumerate(_UNITS) if match[f"u{n}"])
        value = number(match[1])
        if value is not None:
            found.setdefault(unit, set()).add(value)
    return found


def _phones(text: str) -> set[str]:
    """Phone numbers as digits, without the area code: the same one is written with and without."""
    found = (re.sub(r"\D", "", match) for match in _PHONE.findall(text))
    return {re.sub(r"^0(?:[12]\d|[3-9]\d{2})(?=\d{7,8}$)", "", number) for number in found}


def _times(text: str) -> set[str]:
    return {f"{int(hour):02d}:{minute}" for hour, minute in _CLOCK.findall(text)}


def number(text: str) -> str | None:
    """«1,200», «15», «十五», «二十» as plain digits; None for what is no number."""
    if text[0].isdigit():
        plain = text.replace(",", "")
        return plain.rstrip("0").rstrip(".") if "." in plain else str(int(plain))
    total, digit = 0, 0
    for char in text:
        if char in _HAN:
            digit = _HAN[char]
        else:
            total += (digit or 1) * {"十": 10, "百": 100, "千": 1000}[char]
            digit = 0
    return str(total + digit)


def differences(
    one: Mapping[str, frozenset[str]], other: Mapping[str, frozenset[str]]
) -> tuple[Difference, ...]:
    """Kinds of numbers that both give, each with a value the other has not."""
    found = []
    for what in one:
        mine, theirs = one[what] - other.get(what, frozenset()), other.get(what, frozenset()) - one[what]
        if mine and theirs:
            found.append(Difference(what, tuple(sorted(mine)), tuple(sorted(theirs))))
    return tuple(found)
