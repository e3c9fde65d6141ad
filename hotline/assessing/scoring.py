"""得分: how a figure becomes points: linear between a start and a target, by steps, or so much off for each case. Pure and exact."""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hotline.fields import Order

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000, max_digits=12, decimal_places=6)]


class Step(Order):
    """From this value on (or down to it, where lower is better) this share of the weight is earned."""

    at: Amount
    share: Annotated[Decimal, Field(ge=0, le=1, max_digits=7, decimal_places=6)]


class Curve(Order):
    """计分曲线. linear: nothing at `start`, all at `target` (which may lie below it); step: the first of `steps` reached; deduct: `each` points
    off for every case."""

    kind: Literal["linear", "step", "deduct"] = Field(
        description="linear 线性、step 分档、deduct 逐件扣分", examples=["linear"]
    )
    start: Amount | None = Field(default=None, description="线性：得 0 分的值", examples=["0.8"])
    target: Amount | None = Field(default=None, description="线性：得满分的值", examples=["0.98"])
    steps: list[Step] = Field(default=[], max_length=20, description="分档：由好到差")
    lower_is_better: bool = Field(default=False, description="分档：值越低越好")
    each: Amount | None = Field(default=None, description="逐件扣分：每件扣几分")

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "linear" and (self.start is None or self.target is None or self.start == self.target):
            raise ValueError("线性计分须有不同的 start 和 target")
        if self.kind == "deduct" and not self.each:
            raise ValueError("逐件扣分须有 each")
        if self.kind == "step":
            if not self.steps:
                raise ValueError("分档计分须有 steps")
            values = [step.at for step in self.steps]
            shares = [step.share for step in self.steps]
            ordered = sorted(set(values), reverse=not self.lower_is_better)
            if values != ordered or shares != sorted(shares, reverse=True):
                raise ValueError("分档须由好到差排列，得分比例不得回升")
        return self


def share_of(curve: Curve, value: Fraction, weight: Decimal) -> Fraction:
    """The share of the weight, 0 to 1, that a value earns."""
    if curve.kind == "linear":
        assert curve.start is not None
        assert curve.target is not None
        start, target = Fraction(curve.start), Fraction(curve.target)
        return min(Fraction(1), max(Fraction(0), (value - start) / (target - start)))
    if curve.kind == "deduct":
        assert curve.each is not None
        return max(Fraction(0), 1 - Fraction(curve.each) * max(value, Fraction(0)) / Fraction(weight))
    for step in curve.steps:
        reached = value <= Fraction(step.at) if curve.lower_is_better else value >= Fraction(step.at)
        if reached:
            return Fraction(step.share)
    return Fraction(0)


def rounded(points: Fraction) -> Decimal:
    """Points as they are told: two decimals, halves up."""
    return (Decimal(points.numerator) / Decimal(points.denominator)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def in_words(curve: Curve, *, percent: bool) -> str:
    """The curve in words, as it stands beside the points."""

    def value(amount: Decimal | None) -> str:
        return f"{float((amount or 0) * 100):g}%" if percent else f"{float(amount or 0):g}"

    if curve.kind == "linear":
        return f"{value(curve.start)}得0分、{value(curve.target)}得满分，其间按比例"
    if curve.kind == "deduct":
        return f"每件扣{float(curve.each or 0):g}分，扣完为止"
    bound = "不高于" if curve.lower_is_better else "不低于"
    steps = "；".join(f"{bound}{value(step.at)}得{float(step.share * 100):g}%" for step in curve.steps)
    return f"{steps}；其余不得分"
