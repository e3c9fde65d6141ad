"""What a text is made of for the index: character bigrams, words of three and more characters, Latin and digit runs.

Two-character words are bigrams anyway. Bigrams find what the dictionary does not know; long words tell 公积金 from 公积.
"""

import re
from collections.abc import Iterator
from operator import add
from typing import NamedTuple

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
_RUN = re.compile(f"[{HAN}]+|[a-z0-9]+(?:\\.[0-9]+)*|[^\\W{HAN}]", re.IGNORECASE)
_HAN_RUN = re.compile(f"[{HAN}]+")
_LONGEST_TOKEN = 64
_LONGEST_WORD = 12


class Run(NamedTuple):
    """A stretch of one script in a folded text."""

    start: int
    text: str
    is_han: bool


def runs(folded: str) -> Iterator[Run]:
    """The runs of Han, of Latin letters and digits, and single letters of other scripts, in order."""
    for match in _RUN.finditer(folded):
        text = match.group()
        yield Run(match.start(), text[:_LONGEST_TOKEN] if text[0] < "\u3400" else text, text[0] >= "\u3400")


def tokens(folded: str) -> list[str]:
    """Every token of a folded text, repeated as often as it stands there."""
    import rjieba  # here, not above: its dictionary takes 33 MB of every process that only imports this

    found: list[str] = []
    for text in _RUN.findall(folded):
        if len(text) > 1 and text[0] >= "\u3400":
            found += map(add, text, text[1:])
        else:
            found.append(text[:_LONGEST_TOKEN])
    found += [word for word in rjieba.cut(folded) if 2 < len(word) <= _LONGEST_WORD and word[0] >= "\u3400"]
    return found


def characters(folded: str) -> list[str]:
    """Each different Han character of a folded text, for a query of a single one."""
    return list(dict.fromkeys(char for run in _HAN_RUN.findall(folded) for char in run))


def words(folded: str) -> list[str]:
    """The Han words of two and more characters, as the dictionary cuts them, also those inside longer words."""
    import rjieba

    found: list[str] = []
    for run in _HAN_RUN.findall(folded):
        found += [word for word in rjieba.cut_for_search(run) if 2 <= len(word) <= _LONGEST_WORD]
    return found


def han_runs(folded: str) -> list[str]:
    return _HAN_RUN.findall(folded)
