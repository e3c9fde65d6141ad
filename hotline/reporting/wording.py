"""行文: what a report says, in the style of official papers (公文), filled from the report's content and nothing else.

A filed report's content is what was filed: so it says the same for ever. The sentences are data, in `wording.toml`.
"""

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, Final

from hotline.printing.documents import (
    Block,
    Document,
    Heading,
    Kind,
    Paragraph,
    Signature,
    day_written,
    ordinal,
    written,
)
from hotline.reporting import exhibits
from workflow.deadlines import CHINA
from workflow.vocabulary import ReportKind, ReportState

Content = Mapping[str, Any]


@cache
def words() -> Mapping[str, Any]:
    """The sentences."""
    return tomllib.loads((files("hotline.reporting") / "wording.toml").read_text("utf-8"))


# --- figures as words -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Said:
    """A figure as sentences name it."""

    figure: Mapping[str, Any]
    kind: Kind
    change: str

    def __str__(self) -> str:
        return written(exhibits.exact(self.figure, self.kind), self.kind)

    def __getitem__(self, label: str) -> int:
        return int(self.figure["beside"][label])

    @property
    def top(self) -> int:
        """The numerator."""
        return int(self.figure["numerator"])

    @property
    def of(self) -> int:
        """The denominator."""
        return int(self.figure["denominator"] or 0)

    @property
    def median(self) -> str:
        """The median, where there is one."""
        found = self.figure["median"]
        return "—" if found is None else str(found)

    @property
    def is_there(self) -> bool:
        """Whether there is anything to say: a count that is not 0, or a rate of something."""
        return bool(self.top if self.figure["denominator"] is None else self.of)


def said(content: Content) -> dict[str, Said]:
    """Every figure of the report, by its key."""
    units: dict[str, Kind] = {each["key"]: each["unit"] for each in content["definitions"]}
    return {
        key: Said(figure, units[key], _change(content, key, units[key]))
        for key, figure in content["figures"]["whole"].items()
        if key in units
    }


_AGAINST: Final = (("previous", "较上期"), ("last_year", "较上年同期"))


def _change(content: Content, key: str, kind: Kind) -> str:
    """「（较上期增长3.5%，较上年同期下降1.2%）」; empty where there was nothing before."""
    now = exhibits.exact(content["figures"]["whole"][key], kind)
    told = []
    for name, against in _AGAINST:
        earlier = content.get("compared", {}).get(name, {}).get("whole", {}).get(key)
        then = exhibits.exact(earlier, kind) if earlier is not None else None
        if now is None or not then:
            continue
        if kind == "percent":
            points = (now - then) * 100
            told.append(f"{against}{_moved(points, '提高', '下降', '个百分点')}")
        else:
            told.append(f"{against}{_moved((now - then) / then * 100, '增长', '下降', '%')}")
    return f"（{'，'.join(told)}）" if told else ""


def _moved(by: Decimal, up: str, down: str, unit: str) -> str:
    if abs(by) < Decimal("0.005"):
        return "持平"
    return f"{up if by > 0 else down}{written(abs(by), 'hours')}{unit}"


def _sentences(rows: Iterable[Mapping[str, Any]], told: Mapping[str, Any]) -> str:
    said_ones = []
    for row in rows:
        if all(key in told for key in row["needs"]):
            there = any(told[key].is_there for key in row["needs"])
            said_ones.append(row["text"] if there else row.get("none", ""))
    return "".join(each.format_map(told) for each in said_ones)


# --- the paper ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Printed:
    """What is printed: the content, how far the report has come, and of a filed one its hash."""

    content: Content
    state: ReportState
    hash: str | None


def period_written(content: Content) -> str:
    """2026年3月, 2026年第一季度, 2026年, or the days."""
    first, last = (date.fromisoformat(content["period"][side]) for side in ("first", "last"))
    if content["kind"] == ReportKind.MONTHLY.value:
        return f"{first.year}年{first.month}月"
    if content["kind"] == ReportKind.QUARTERLY.value:
        return f"{first.year}年第{ordinal((first.month + 2) // 3)}季度"
    if content["kind"] == ReportKind.ANNUAL.value:
        return f"{first.year}年"
    return day_written(first) if first == last else f"{day_written(first)}至{day_written(last)}"


def document(printed: Printed) -> Document:
    """The report as a paper, to be printed in any form."""
    content = printed.content
    first, last = (date.fromisoformat(content["period"][side]) for side in ("first", "last"))
    number = content.get("number")
    filed = content.get("filed")
    counted = f"统计期：{day_written(first)}至{day_written(last)}"
    return Document(
        issuer=content["platform"]["name"],
        number=f"第 {number} 号" if number else "（未编号）",
        title=content["title"] + ("（更正）" if content.get("restates") else ""),
        subtitle=counted,
        blocks=[*_text(content), *_appendices(content)],
        signatures=_signatures(content),
        footer=(
            f"{content['platform']['name']}　第 {number} 号　报送件哈希 {printed.hash}"
            if filed and printed.hash
            else f"{content['platform']['name']}　{'送审稿' if printed.state is ReportState.REVIEWED else '草稿'}，未报送，数据可能变动"
        ),
        status=None if filed else "送审稿" if printed.state is ReportState.REVIEWED else "草稿",
    )


def _signatures(content: Content) -> list[Signature]:
    told = []
    for role, key in (("编制", "drafted"), ("审核", "reviewed"), ("签发", "filed")):
        step = content.get(key)
        on = datetime.fromisoformat(step["at"]).astimezone(CHINA).date() if step else None
        told.append(Signature(role, step["by"] if step else None, on))
    return told


def _text(content: Content) -> Iterator[Block]:
    told: dict[str, Any] = dict(said(content))
    about = {
        "platform": content["platform"]["name"],
        "period": period_written(content),
        "title": content["title"],
        "restates": content.get("restates"),
        "reason": content.get("reason"),
        "as_of": _instant(content["as_of"]),
    }
    special = content["kind"] == ReportKind.SPECIAL.value
    yield Paragraph(words()["preamble_special" if special else "preamble"].format_map(about))
    if content.get("restates"):
        yield Paragraph(words()["restates"].format_map(about))
    number = 0
    for section in words()["section"]:
        blocks = list(_section(section, told | about, content))
        if blocks:
            number += 1
            yield Heading(f"{ordinal(number)}、{section['title']}")
            yield from blocks
    for name, following in (("questions", _questions(content)), ("cases", _cases(content))):
        number += 1
        yield Heading(f"{ordinal(number)}、{words()[name]['title']}")
        yield from following
    yield Paragraph(words()["as_of"].format_map(about), small=True)
    if content.get("reviewed_and_filed_by_one"):
        yield Paragraph(words()["alone"], small=True)


def _instant(said_at: str) -> str:
    at = datetime.fromisoformat(said_at).astimezone(CHINA)
    return f"{day_written(at.date())}{at:%H:%M}"


def _section(section: Mapping[str, Any], told: Mapping[str, Any], content: Content) -> Iterator[Block]:
    if "sentences" in section:
        paragraph = _sentences(section["sentences"], told)
        if paragraph:
            yield Paragraph(paragraph)
            yield from exhibits.chart(section.get("chart"), content)
    number = 0
    for part in section.get("part", ()):
        paragraph = _sentences(part["sentences"], told)
        if paragraph:
            number += 1
            yield Heading(f"（{ordinal(number)}）{part['title']}", 2)
            yield Paragraph(paragraph)
            yield from exhibits.chart(part.get("chart"), content)


def _questions(content: Content) -> Iterator[Block]:
    asked: Sequence[Mapping[str, Any]] = content.get("questions", [])
    if not asked:
        yield Paragraph(words()["questions"]["none"])
        return
    top = "、".join(f"{each['name']}（{each['count']}件）" for each in asked[:3])
    share = sum((Decimal(each["share"]) for each in asked[:3]), Decimal())
    yield Paragraph(words()["questions"]["text"].format(top=top, share=written(share, "percent")))
    yield exhibits.questions(asked)
    yield from exhibits.chart(words()["questions"]["chart"], content)


def _cases(content: Content) -> Iterator[Block]:
    told: Sequence[Mapping[str, Any]] = content.get("cases", [])
    phrases = words()["cases"]
    if not told:
        yield Paragraph(phrases["none"])
    number = 0
    for kind in ("good", "slow"):
        of_kind = [each for each in told if each["kind"] == kind]
        if of_kind:
            number += 1
            yield Heading(f"（{ordinal(number)}）{phrases[kind]}", 2)
        for place, case in enumerate(of_kind, start=1):
            yield Paragraph(f"{place}．{case['category']}（工单 {case['number']}）。{_case(case)}")
    struck, covered = (len(content.get(name, [])) for name in ("cases_struck", "cases_covered"))
    rule = content.get("cases_rule", "") + (phrases["struck"].format(count=struck) if struck else "")
    rule += phrases["covered"].format(count=covered) if covered else ""
    if rule:
        yield Paragraph(rule, small=True)


def _case(case: Mapping[str, Any]) -> str:
    phrases = words()["cases"]
    received = date.fromisoformat(case["received_on"])
    texts = [
        phrases["about"].format(
            received=f"{received.month}月{received.day}日", area=case["area"], demand=_ended(case["demand"])
        ),
        phrases["by"].format(units="、".join(case["units"])),
    ]
    if case["result"]:
        texts.append(phrases["result"].format(result=_ended(case["result"])))
    if case["late_hours"] is not None:
        texts.append(phrases["late"].format(late=_lasting(case["late_hours"])))
    return "".join(texts)


def _ended(sentence: str) -> str:
    return sentence if sentence.endswith(("。", "！", "？", "…", "；")) else sentence + "。"


def _lasting(hours: int) -> str:
    days, rest = divmod(hours, 24)
    return f"{days}天" if days and not rest else f"{days}天{rest}小时" if days else f"{max(rest, 1)}小时"


def _appendices(content: Content) -> Iterator[Block]:
    """Tables, definitions and the parameters in force, each an 附件 of its own."""
    titles, parameters = words()["appendix"], content["parameters"]
    rules = Paragraph(
        f"规则包 {parameters['pack']}（{parameters['statute']}）；工作日历版本 {parameters['calendar_version']}；"
        f"覆盖平台：{'、'.join(each['name'] for each in content['covers'])}。",
        small=True,
    )
    told: list[tuple[str, list[Block]]] = [
        (titles["tables"], list(exhibits.tables(content))),
        (titles["definitions"], [exhibits.definitions(content), exhibits.cohorts(content)]),
        (titles["parameters"], [rules, exhibits.limits(content), exhibits.rules(content)]),
    ]
    for number, (title, blocks) in enumerate((each for each in told if each[1]), start=1):
        yield Heading(f"附件{number}　{title}", 0)
        if title == titles["tables"]:
            yield Paragraph(titles["note"], small=True)
        yield from blocks
