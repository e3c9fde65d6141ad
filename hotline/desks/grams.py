"""Pairs of characters: by them a text is searched, and two people's words about one thing told alike. Pure but for `Commonness`, taught.

A pair is one integer of 32 bits, its two UTF-16 units side by side. All pairs of a whole text are kept beside its ticket, so whatever
contains a word contains the word's pairs; a test of the text itself decides. Of likeness only pairs of Han characters speak: digits,
punctuation and what is starred say nothing of the matter.
"""

import math
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

# --- a whole text, to be searched ------------------------------------------------------------------------------------------

MOST_WANTED: Final = 12
SPANS: Final = (1, 7, 56, 448)
"""Lengths in days of the blocks of time a ticket's pairs are marked with: a search looks through the newest ones first."""

_USUAL: Final = frozenset(
    "的一是不了在人有我他这来到时大地为上们中说生国年就那和要出也得里后自以会家可下而过天去能对小多"
    "于心学之都好看起发当没成只事把还用第道想开　 ，。、；：？！（）“”《》,.;:?!()-_0123456789"
)
"""Single characters too usual to be kept one by one: whoever looks for one finds it among the newest tickets."""


def kept_of(title: str, content: str, received_at: datetime) -> list[int]:
    """What is kept of a ticket to find it by: every pair and each less usual character of its words, and when it was received.

    Letters count as small ones, more widely than any collation of the database folds them.
    """
    found: set[int] = set()
    for text in (title, content):
        folded = _folded(text)
        found.update((first << 16 | second) - 2**31 for first, second in pairwise(_units(folded)))
        found.update(ord(one) - 2**31 for one in set(folded) - _USUAL if ord(one) < 2**16)
    found.update(block for days in SPANS for block in blocks(received_at, received_at, days))
    return sorted(found)


def wanted(text: str) -> list[int]:
    """Of what is kept, that which every text containing `text` has: up to `MOST_WANTED`, none where nothing is sure.

    Letters other than a-z are left out: whether two of them are one is the database's business.
    """
    runs = "".join(one if _is_sure(one) else "\ud800" for one in text)  # a lone surrogate is in no text
    found: dict[int, None] = {}
    for run in _folded(runs).split("\ud800"):
        if len(run) == 1 == len(text) and run not in _USUAL and ord(run) < 2**16:
            found[ord(run) - 2**31] = None
        found |= dict.fromkeys((first << 16 | second) - 2**31 for first, second in pairwise(_units(run)))
    every = max(1, math.ceil(len(found) / MOST_WANTED))
    return list(found)[::every]


def blocks(since: datetime, until: datetime, days: int) -> Iterator[int]:
    """The marks of the blocks of `days` days, one of `SPANS`, that lie between these instants, both inclusive."""
    mark = 0xFFFF - SPANS.index(days) << 16
    first, last = (int(at.timestamp() // 86400) // days & 0xFFFF for at in (since, until))
    return ((mark | block) - 2**31 for block in range(first, last + 1))


def _folded(text: str) -> str:
    return text.replace("İ", "i").lower()  # the one letter whose small form is two


def _units(text: str) -> "array[int]":
    return array("H", text.encode("utf-16-le"))


def _is_sure(character: str) -> bool:
    return character.isascii() or (
        character.lower() == character == character.upper() and not unicodedata.combining(character)
    )


# --- likeness --------------------------------------------------------------------------------------------------------------

MOST_CHARACTERS: Final = 2000
MOST_GRAMS: Final = 400
_HIDDEN: Final = "［已隐去］"


def grams(*texts: str) -> list[int]:
    """The different pairs of Han characters of these texts, in their order, up to `MOST_GRAMS`: what is typed is weighed by them."""
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
