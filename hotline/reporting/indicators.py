"""指标: each figure of art. 27 and 32 once: its name, its definition in words, its article, what it counts and of what.

An indicator says which facts (`hotline.reporting.facts`) are its cohort, which mark makes the numerator and which the denominator;
the cube, the raw query and the lists of tickets behind a figure all go by it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Final, Literal, NamedTuple

from hotline.reporting import facts
from hotline.reporting.tables import MARKS as MOST_MARKS
from hotline.reporting.tables import SUMS
from workflow.vocabulary import ClockKind

K = ClockKind
Unit = Literal["percent", "count", "hours", "workdays"]
Measure = Literal["work_hours", "work_days", "wait_hours", "wait_days"]

UNITS: Final[Mapping[Unit, str]] = {
    "percent": "百分比",
    "count": "件（次）",
    "hours": "小时",
    "workdays": "工作日",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """A number shown beside a figure, counted over the same facts."""

    label: str
    mark: str


@dataclass(frozen=True, slots=True)
class Indicator:
    """One figure. `top` and `bottom` are marks of the cohort's facts (None: all of them); a mean's `sums` is what is added up on top.

    `median`: the spread it is read from. A count has only a numerator.
    """

    key: str
    name: str
    definition: str
    article: str
    unit: Unit
    whats: tuple[str, ...]
    top: str | None
    bottom: str | None = None
    sums: str | None = None
    median: Measure | None = None
    beside: tuple[Beside, ...] = ()

    @property
    def by_due_day(self) -> bool:
        """Whether the cohort is the clocks due in the period; else facts of the period's days themselves."""
        return bool(facts.DUE & set(self.whats))


_HANDLING: Final = (K.REPLY.value, K.SUPPLEMENT.value, K.REDO.value)
_COHORT: Final = "统计口径：届满日在本期内的时限，延期的按延期后的届满日，终止的和经批准剔除（第三十五条）的时限不计；届满日当天结束后计入。"
_STILL_OPEN: Final = (Beside("逾期仍未办结", "open"),)


def _timely(
    key: str, name: str, article: str, whats: tuple[str, ...], of: str, *, more: str = ""
) -> Indicator:
    return Indicator(
        key,
        name,
        f"按期完成的{of}数 ÷ 本期届满的{of}数。{_COHORT}{more}",
        article,
        "percent",
        whats,
        "met",
        None,
        beside=(Beside("逾期", "late"), *_STILL_OPEN),
    )


def _count(key: str, name: str, definition: str, article: str, what: str, mark: str | None) -> Indicator:
    return Indicator(key, name, definition, article, "count", (what,), mark)


def _mean(key: str, name: str, unit: Unit, *, wait: bool) -> Indicator:
    since = "受理（来电接通或网上提交）" if wait else "派单"
    of = "牵头单位" if wait else "承办单位"
    scale = "平均数为合计除以件数；中位数取" + (
        "工作日整数。" if unit == "workdays" else "刻度的下限（12小时内每1小时，此后逐级加宽）。"
    )
    counted = "工作日自起算日的次日计起，按承办单位所在平台的日历。" if unit == "workdays" else "自然小时。"
    sums = ("wait_" if wait else "") + ("workdays" if unit == "workdays" else "seconds")
    spread: Measure
    if wait:
        spread = "wait_days" if unit == "workdays" else "wait_hours"
    else:
        spread = "work_days" if unit == "workdays" else "work_hours"
    return Indicator(
        key,
        name,
        f"{of}首次答复的时限中，本期届满且已答复的，自{since}至答复来电人并反馈平台（以后者为准）的时长。{counted}{scale}"
        "尚未答复的不计入时长，另列件数。",
        "27",
        unit,
        (K.REPLY.value,),
        None,
        "replied_lead" if wait else "replied",
        sums=sums,
        median=spread,
        beside=(Beside("逾期仍未答复", "open"),),
    )


INDICATORS: Final[tuple[Indicator, ...]] = (
    _timely("timely", "及时率", "27", _HANDLING, "办理时限（答复、补办、重办）"),
    Indicator(
        "overdue",
        "逾期率",
        f"逾期的办理时限（答复、补办、重办）数，含至今仍未办结的 ÷ 本期届满的办理时限数。{_COHORT}",
        "27",
        "percent",
        _HANDLING,
        "late",
        beside=_STILL_OPEN,
    ),
    _timely("reply_timely", "及时答复率", "32", (K.REPLY.value,), "首次答复时限"),
    Indicator(
        "completed",
        "办结率",
        "已认定办结的工单数 ÷ 本期首次派单的工单数。已认定：最近一次认定通过，且不在重办中；统计至取数之时。"
        "并入其他工单的、办结前撤回的、派单后改为即时答复或转接的不计。按现（或最后的）牵头单位归属。",
        "27",
        "percent",
        (facts.DISPATCHED,),
        "completed",
    ),
    Indicator(
        "returned",
        "退单率",
        "申请退单的任务数 ÷ 本期派给各单位（牵头、协办）的任务数，同意与驳回分列。",
        "27",
        "percent",
        (facts.ASSIGNED,),
        "returned",
        beside=(Beside("同意", "upheld"), Beside("驳回", "rejected")),
    ),
    _mean("handling_workdays", "平均处理时长（派单至答复，工作日）", "workdays", wait=False),
    _mean("handling_hours", "平均处理时长（派单至答复，小时）", "hours", wait=False),
    _mean("waiting_workdays", "平均等候时长（受理至答复，工作日）", "workdays", wait=True),
    _mean("waiting_hours", "平均等候时长（受理至答复，小时）", "hours", wait=True),
    _timely("knowledge_updated", "知识库更新率", "27", (K.KNOWLEDGE_UPDATE.value,), "知识库完善时限"),
    Indicator(
        "connected",
        "接通率",
        "接通的来电数 ÷ 本期呼入的来电数，以话务平台报送的通话记录为准，按振铃时间归期。",
        "32",
        "percent",
        (facts.CALL,),
        "connected",
    ),
    _timely(
        "transferred_timely", "转办及时率", "32", (K.FORM_AND_TRANSFER.value,), "24小时形成工单并转办时限"
    ),
    _timely("reported_up_timely", "上报及时率", "14(3)", (K.REPORT_UP.value,), "24小时报请上级协调时限"),
    _timely("called_back_timely", "回访及时率", "14(7)", (K.CALLBACK.value,), "回访时限"),
    _timely(
        "citizen_timely",
        "来电人及时答复率",
        "14(4)",
        (K.CITIZEN.value,),
        "来电人等候时限",
        more="自受理起计，不因退单、延期而变。",
    ),
    Indicator(
        "solved",
        "解决率",
        "来电人表示已解决的回访数 ÷ 本期有评价且问及是否解决的回访数，按回访日归期。无法接通、拒绝评价的不计入，另列。",
        "32",
        "percent",
        (facts.CALLED_BACK,),
        "solved",
        "asked",
        beside=(Beside("无法接通", "unreachable"), Beside("拒绝评价", "refused")),
    ),
    Indicator(
        "satisfied",
        "满意率",
        "评价为满意、基本满意的回访数 ÷ 本期有评价的回访数，按回访日归期。无法接通、拒绝评价的不计入，另列。",
        "32",
        "percent",
        (facts.CALLED_BACK,),
        "satisfied",
        "answered",
        beside=(Beside("无法接通", "unreachable"), Beside("拒绝评价", "refused")),
    ),
    Indicator(
        "accuracy",
        "数据准确率",
        "抽查核对、记录属实的工单数 ÷ 抽查并已核对的工单数，按工单受理日归期，归抽样时的牵头单位。每季度按公开的种子随机抽样（第二十八条），"
        "抽中而尚未核对的和经批准剔除（第三十五条）的不计；不同批次抽中同一工单的各计一次。",
        "28",
        "percent",
        (facts.SAMPLED,),
        "accurate",
    ),
    Indicator(
        "answered_directly",
        "直接解答率",
        "即时答复的诉求数 ÷ 本期受理的诉求数（即时答复的和曾予受理的），按受理日归期。不予受理、转接、待认定的不计。",
        "29",
        "percent",
        (facts.RECEIVED,),
        "direct",
        "accepted",
    ),
    _count(
        "received",
        "诉求总量",
        "本期收到的诉求数，按来电接通或网上提交的日期；重复诉求各计一次。",
        "27",
        facts.RECEIVED,
        None,
    ),
    _count(
        "accepted", "受理量", "本期收到的诉求中予以受理的，含即时答复的。", "27", facts.RECEIVED, "accepted"
    ),
    _count("refused", "不予受理量", "本期收到的诉求中不予受理的。", "11", facts.RECEIVED, "refused"),
    _count(
        "transferred", "转接量", "本期收到的诉求中转接有关平台或单位的。", "12", facts.RECEIVED, "transferred"
    ),
    _count("merged", "并单量", "本期收到的诉求中并入其他工单办理的。", "14(3)", facts.RECEIVED, "merged"),
    _count(
        "dispatched",
        "派单量",
        "本期首次派单、由承办单位办理的工单数；口径同办结率的分母。",
        "27",
        facts.DISPATCHED,
        None,
    ),
    _count("assigned", "任务量", "本期派给各单位（牵头、协办）的任务数。", "27", facts.ASSIGNED, None),
    _count("called_back", "回访量", "本期有结果的回访数。", "14(7)", facts.CALLED_BACK, None),
)
"""Every indicator, in the order a report shows them."""

BY_KEY: Final[Mapping[str, Indicator]] = {each.key: each for each in INDICATORS}

# --- medians -------------------------------------------------------------------------------------------------------------

HOURS: Final = (
    *range(1, 13),
    *range(14, 25, 2),
    *range(28, 49, 4),
    *range(56, 97, 8),
    *range(108, 241, 12),
    *range(264, 721, 24),
)
"""Where the buckets of durations end, in hours: a bucket is told by where it begins."""

MOST_DAYS: Final = 60
"""Working days from which on durations share one bucket."""


# --- values --------------------------------------------------------------------------------------------------------------

Counts = Mapping[str, Sequence[int]]
"""Of each kind of fact the cube's columns summed: n, m1, …, m6, then the sums."""


class Figure(NamedTuple):
    """One indicator for one cut: numerator and denominator (None: a count), the median, what is beside it.

    A mean's numerator is a sum of seconds or working days.
    """

    key: str
    numerator: int
    denominator: int | None
    median: int | None
    beside: tuple[int, ...]

    @property
    def value(self) -> Fraction | None:
        """Exact: a fraction of 1, hours or working days, a number; None where there is nothing to divide by."""
        if self.denominator is None:
            return Fraction(self.numerator)
        scale = 3600 if BY_KEY[self.key].unit == "hours" else 1
        return Fraction(self.numerator, self.denominator * scale) if self.denominator else None


_WIDTH: Final = 1 + MOST_MARKS + len(SUMS)
_NOTHING: Final = (0,) * _WIDTH
_BLOCKS: Final = tuple(
    dict.fromkeys([*((what,) for what in facts.MARKS), *(each.whats for each in INDICATORS)])
)
"""What counts are laid out as, one after the other: each kind of fact, then each sum of several that an indicator counts."""


class _Places(NamedTuple):
    """Where an indicator's numbers lie in counts laid out."""

    key: str
    top: int
    bottom: int | None
    beside: tuple[int, ...]
    median: Measure | None
    unit: Unit


def _places(each: Indicator) -> _Places:
    start = _BLOCKS.index(each.whats) * _WIDTH

    def place(mark: str | None) -> int:
        return start + facts.column(each.whats[0], mark)

    return _Places(
        each.key,
        place(each.top) if each.sums is None else start + 1 + MOST_MARKS + SUMS.index(each.sums),
        None if each.unit == "count" else place(each.bottom),
        tuple(place(one.mark) for one in each.beside),
        each.median,
        each.unit,
    )


_READ: Final = {each.key: _places(each) for each in INDICATORS}


def figures_of(wanted: Iterable[Indicator], counts: Counts, medians: Mapping[str, int]) -> dict[str, Figure]:
    """These indicators' figures from counted facts, and the bucket in which each measure's median lies."""
    flat: list[int] = []
    for whats in _BLOCKS:
        if len(whats) == 1:
            flat.extend(counts.get(whats[0], _NOTHING))
        else:
            flat.extend(map(sum, zip(*(counts.get(what, _NOTHING) for what in whats), strict=True)))
    told = {}
    for indicator in wanted:
        key, top, bottom, beside, measure, unit = _READ[indicator.key]
        bucket = medians.get(measure) if measure is not None else None
        told[key] = Figure(
            key,
            flat[top],
            None if bottom is None else flat[bottom],
            None if bucket is None else _at(bucket, unit),
            tuple([flat[each] for each in beside]),
        )
    return told


def _at(bucket: int, unit: Unit) -> int:
    """Where a bucket begins, in working days or hours."""
    return bucket if unit == "workdays" or bucket == 0 else HOURS[bucket - 1]


def shown(value: Fraction | None, unit: Unit) -> str | None:
    """A value as reports write it: a fraction of 1 to four decimals, times to two, counts whole; halves go up."""
    if value is None:
        return None
    exact = Decimal(value.numerator) / Decimal(value.denominator)
    digits = {"percent": "0.0001", "count": "1"}.get(unit, "0.01")
    return str(exact.quantize(Decimal(digits), ROUND_HALF_UP))
