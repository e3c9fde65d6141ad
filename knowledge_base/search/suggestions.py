"""«Did you mean»: the words of the index that sound or look most like what was typed and not found."""

from collections.abc import Iterable
from itertools import pairwise

import tantivy

from knowledge_base.search.disk import View
from knowledge_base.search.documents import SCHEMA, limited, shown
from knowledge_base.search.folding import fold
from knowledge_base.search.pinyin import pair, readings, soft
from knowledge_base.search.words import han_runs

_LONGEST = 24
_CANDIDATES = 24
_LONGEST_WORD = 6
SAME_SOUND = 0.25
"""What a character costs that sounds the same; another one costs 1."""
MOST_COST = 0.3
"""Of the length of what was typed."""


def suggestion(folded: str, view: View, must: list[tantivy.Query]) -> str | None:
    """Other words for a query that found little, from headings that have all of `must`; None where none come close."""
    typed_text = "".join(folded.split())
    if not 2 <= len(typed_text) <= _LONGEST:
        return None
    if typed_text.isascii():
        return _for_letters(typed_text, view, must)
    if han_runs(typed_text) != [typed_text]:
        return None
    headings = _headings(_sounding(typed_text), view, must)
    best = min((_closest(typed_text, each) for each in headings), default=None)
    if best is None or best[0] > MOST_COST * len(typed_text) or best[1] in typed_text:
        return None
    return best[1]


def _for_letters(letters: str, view: View, must: list[tantivy.Query]) -> str | None:
    """A word whose pinyin is nearly what was typed."""
    if not letters.isalpha() or len(letters) < 4:
        return None
    distance = 1 if len(letters) < 8 else 2
    query = tantivy.Query.fuzzy_term_query(SCHEMA, "spelled", letters, distance=distance)
    found: list[tuple[int, int, str]] = []
    seen: set[str] = set()
    for heading in _headings([query], view, must):
        for start in range(len(heading)):
            for end in range(start + 2, min(start + _LONGEST_WORD, len(heading)) + 1):
                if (word := heading[start:end]) not in seen:
                    seen.add(word)
                    cost = min(
                        (_edits(letters, each) for each in _spellings(word, len(letters), distance)),
                        default=9,
                    )
                    found += [(cost, -len(word), word)] if cost <= distance else []
    return min(found)[2] if found else None


def _spellings(word: str, length: int, distance: int) -> list[str]:
    """The first few ways to spell a word, of about the length typed."""
    found = [""]
    for char in word:
        found = [before + each for before in found for each in readings(char)[:2]][:8]
    return [each for each in found if abs(len(each) - length) <= distance]


def _sounding(text: str) -> list[tantivy.Query]:
    """Headings with a pair of syllables, or of characters, of the text."""
    tokens: dict[tuple[str, str], None] = {}
    for first, second in pairwise(text):
        tokens["heading", first + second] = None
        for a in readings(first)[:3]:
            for b in readings(second)[:3]:
                tokens["sound", pair(a, b)] = None
    for char in text if len(text) <= 4 else "":
        tokens["heading", char] = None
    return [tantivy.Query.term_query(SCHEMA, name, token, "basic") for name, token in tokens]


def _headings(queries: list[tantivy.Query], view: View, must: list[tantivy.Query]) -> Iterable[str]:
    if not queries:
        return
    query = limited(tantivy.Query.boolean_query([(tantivy.Occur.Should, each) for each in queries]), must)
    for _, address in view.best(query, _CANDIDATES):
        yield from han_runs(fold(shown(view.document(address)).question))


def _closest(text: str, heading: str) -> tuple[float, str]:
    """What it costs to turn the text into the stretch of the heading that is most like it, and that stretch."""
    heard = [frozenset(map(soft, readings(char))) for char in text]
    said = [frozenset(map(soft, readings(char))) for char in heading]
    row: list[tuple[float, int]] = [(0.0, start) for start in range(len(heading) + 1)]
    for i, char in enumerate(text):
        following = [(row[0][0] + 1.0, 0)]
        for j, other in enumerate(heading):
            same = 0.0 if char == other else SAME_SOUND if heard[i] & said[j] else 1.0
            following.append(
                min(
                    (row[j][0] + same, row[j][1]),
                    (row[j + 1][0] + 1.0, row[j + 1][1]),
                    (following[j][0] + 1.0, following[j][1]),
                )
            )
        row = following
    cost, start, end = min((cost, start, end) for end, (cost, start) in enumerate(row))
    return cost, heading[start:end]


def _edits(one: str, other: str) -> int:
    """How many letters have to be put in, taken out, changed, or swapped with their neighbour."""
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        following = [i]
        for j, b in enumerate(other, 1):
            cost = min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                cost = min(cost, before[j - 2] + 1)
            following.append(cost)
        before, row = row, following
    return row[-1]
