"""Pairs of characters: by them two people's words about one thing are told alike. Pure but for `Commonness`, which is taught.

A pair is one integer of 32 bits, its two characters side by side. Only pairs of Han characters count: digits, punctuation and what is
starred say nothing of the matter.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

MOST_CHARACTERS: Final = 2000
MOST_GRAMS: Final = 400
_HIDDEN: Final = "［已隐去］"


def grams(*texts: str) -> list[int]:
    """The different pairs of Han characters of these texts, in their order, up to `MOST_GRAMS`."""
    found: dict[int, None] = {}
    for text in texts:
        for first, second in pairwise(text[:MOST_CHARACTERS].replace(_HIDDEN, "　")):
            if "一" <= first <= "鿿" and "一" <= second <= "鿿":
                found[(ord(first) << 16 | ord(second)) - 2**31] = None
                if len(found) == MOST_GRAMS:
                    return list(found)
    return list(found)


@dataclass(frozen=True, slots=True)
class Sample:
    """How many of `size` tickets have each pair, those with but one left out; `all` is about how many tickets there are."""

    at: datetime
    size: int
    all: int
    counts: Mapping[int, int]


class Commonness:
    """How common each pair is among a platform's newest tickets, learnt anew every ten minutes from a sample of them.

    It only weighs: with no sample every pair counts the same.
    """

    OLD: Final = timedelta(minutes=10)

    def __init__(self) -> None:
        self._samples: dict[int, Sample] = {}

    def is_old(self, platform_id: int, at: datetime) -> bool:
        """Whether the platform's sample is to be taken anew."""
        known = self._samples.get(platform_id)
        return known is None or not timedelta(0) <= at - known.at < self.OLD

    def learn(self, platform_id: int, sample: Sample) -> None:
        """Take this sample for the platform's."""
        self._samples[platform_id] = sample

    def weights(self, platform_id: int, wanted: Iterable[int]) -> dict[int, float]:
        """Each pair's weight (its idf in the sample): the rarer the heavier."""
        known = self._samples.get(platform_id)
        if known is None:
            return dict.fromkeys(wanted, 1.0)
        return {gram: math.log((known.size + 2) / (known.counts.get(gram, 0) + 1)) + 0.1 for gram in wanted}

    def rarest(self, platform_id: int, wanted: Iterable[int], most_rows: int) -> list[int]:
        """The rarest of these pairs, as many as about `most_rows` tickets have between them, one at least."""
        known = self._samples.get(platform_id)
        if known is None or known.size == 0:
            return list(wanted)[:12]
        scale = max(1.0, known.all / known.size)
        chosen: list[int] = []
        rows = 0.0
        for gram in sorted(wanted, key=lambda gram: known.counts.get(gram, 0)):
            rows += known.counts.get(gram, 0.5) * scale
            if chosen and rows > most_rows:
                break
            chosen.append(gram)
        return chosen
