"""One spelling for what a reader takes for the same: width, case, traditional characters.

Folding keeps track of where each folded character came from, so that a place found in the folded text can be marked in
the text as written.
"""

import unicodedata
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from pathlib import Path

DATA = Path(__file__).parent / "data"


class _Spelling(dict[int, str]):
    """Code point → folded text, learnt as characters turn up. Never empty, so that lengths can tell identity."""

    def __missing__(self, point: int) -> str:
        char = chr(point)
        known = not "\ud800" <= char <= "\udfff"
        folded = unicodedata.normalize("NFKC", char).lower() or " " if known else "\ufffd"
        folded = "".join(_SIMPLIFIED.get(each, each) for each in _SHORTENED.get(char, folded))
        if len(self) < 50_000:
            self[point] = folded
        return folded


def _simplified() -> dict[str, str]:
    lines = (DATA / "traditional.txt").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    return {old: new for k in range(0, len(rows), 2) for old, new in zip(rows[k], rows[k + 1], strict=True)}


_SIMPLIFIED = _simplified()
_SHORTENED = {"…": ".", "⋯": "."}
"""Common signs that would grow: texts that keep their length need no map from folded to written."""
_SPELLING = _Spelling()


def fold(text: str) -> str:
    """`text` in NFKC, lower case and simplified characters, character by character."""
    return text.translate(_SPELLING)


@dataclass(frozen=True)
class Folded:
    """A text as written, and folded."""

    written: str

    @cached_property
    def text(self) -> str:
        return fold(self.written)

    def range_of(self, start: int, end: int) -> tuple[int, int]:
        """The characters of `written` that `text[start:end]` came from."""
        if len(self.text) == len(self.written) or start >= end:  # each character folds to at least one
            return start, end
        ends = self._ends
        return bisect_right(ends, start), min(bisect_right(ends, end - 1) + 1, len(self.written))

    @cached_property
    def _ends(self) -> list[int]:
        """Where in `text` the folding of each written character ends."""
        return list(accumulate(map(len, map(_SPELLING.__getitem__, map(ord, self.written)))))
