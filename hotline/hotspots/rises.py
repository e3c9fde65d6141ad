"""突增: whether there were many more than usual, told by a rule that can be read out. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LEAST, TIMES, SIGMAS = 5, 1.5, 3.0
BEFORE: Final = 6
"""How many windows before are the baseline, beside those of last year."""

RULE: Final = (
    f"突增：本期件数与常年水平相比。常年水平取此前 {BEFORE} 个等长时段和去年同期前、中、后三个等长时段（有数据的）件数的中位数；"
    "波动取泊松波动（水平的平方根）与中位绝对偏差×1.4826 中较大者。"
    f"本期不少于 {LEAST} 件、不低于常年水平的 {TIMES} 倍，且高出常年水平 {SIGMAS:g} 倍波动以上的，为突增；可比时段不足 2 个的不判断。"
)
"""The rule in words, as it is printed with the figures."""


@dataclass(frozen=True, slots=True)
class Rise:
    """How this window stands against its baseline: the usual count, how many times its scatter it lies above, whether that is sudden."""

    usual: float
    score: float
    sudden: bool


def judged(count: int, baseline: Sequence[int]) -> Rise | None:
    """Judge a window's count against comparable ones by `RULE`; None where there are fewer than two."""
    if len(baseline) < 2:
        return None
    usual = float(statistics.median(baseline))
    scatter = 1.4826 * float(statistics.median(abs(each - usual) for each in baseline))
    spread = max(max(usual, 1.0) ** 0.5, scatter)
    score = (count - usual) / spread
    sudden = count >= LEAST and count >= TIMES * usual and score >= SIGMAS
    return Rise(usual, round(score, 2), sudden)
