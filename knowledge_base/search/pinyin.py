"""Pinyin of what is indexed, and what somebody typing Latin letters may mean by them.

Syllables are indexed *soft*: zh = z, ch = c, sh = s, and without a final -ng's g, as many speakers hear and type them.
"""

import re
from dataclasses import dataclass
from functools import cache, lru_cache

from knowledge_base.search.folding import DATA
from knowledge_base.search.words import han_runs, words

_SOFT = re.compile("(?<=[zcs])h|(?<=n)g$")
_LONGEST_TYPED = 48


@lru_cache(maxsize=8192)
def soft(syllable: str) -> str:
    """The syllable as it is indexed. A prefix of a syllable stays a prefix of it."""
    return _SOFT.sub("", syllable)


# --- of an entry (writer) ----------------------------------------------------------------------------------------------


@lru_cache(maxsize=65_536)
def spoken(word: str) -> tuple[str, ...]:
    """The syllables of a Han word, one for each character, with the reading that fits the word."""
    from pypinyin import lazy_pinyin  # 60 MB: only who writes the index needs it

    found = tuple(s.replace("ü", "v") for s in lazy_pinyin(list(word) if len(word) == 1 else word))
    if len(found) != len(word):
        found = tuple(lazy_pinyin(char)[0] for char in word)
    return tuple(s if s.isascii() and s.isalpha() else "?" for s in found)


def aligned(folded: str) -> list[str]:
    """The syllable of each character of a folded text, "" for what is not Han."""
    import rjieba

    found: list[str] = []
    for word in rjieba.cut(folded):
        found += spoken(word) if word and han_runs(word) == [word] else [""] * len(word)
    return found


@dataclass(frozen=True, slots=True)
class Sounds:
    """The tokens of the fields `sound`, `initials` and `spelled`."""

    sound: list[str]
    initials: list[str]
    spelled: list[str]


def sounds(folded: str, syllables: list[str]) -> Sounds:
    """What of a heading can be found by ear: syllables and pairs of them, first letters, whole words."""
    sound: list[str] = []
    initials: list[str] = []
    stretch: list[str] = []
    for syllable in [*syllables, ""]:
        if syllable:
            stretch.append(syllable)
            continue
        sound += map(soft, stretch)
        sound += map(pair, stretch, stretch[1:])
        letters = "".join(each[0] for each in stretch)
        initials += (letters[k : k + n] for n in (3, 4) for k in range(len(letters) - n + 1))
        stretch = []
    several = [spoken(word) for word in words(folded)]
    initials += ["".join(s[0] for s in each) for each in several if len(each) == 2]
    return Sounds(sound, initials, ["".join(each) for each in several])


@lru_cache(maxsize=131_072)
def pair(first: str, second: str) -> str:
    return f"+{soft(first)}_{soft(second)}"


# --- of a query (reader) -----------------------------------------------------------------------------------------------


@cache
def _readings() -> tuple[frozenset[str], dict[str, tuple[str, ...]]]:
    """Every syllable, and the possible readings of each character."""
    lines = (DATA / "readings.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" ") for line in lines if not line.startswith("#")]
    readings: dict[str, tuple[str, ...]] = {}
    for syllable, chars in rows:
        for char in chars:
            readings[char] = (*readings.get(char, ()), syllable)
    return frozenset(syllable for syllable, _ in rows), readings


def readings(char: str) -> tuple[str, ...]:
    """How a character may be read; nothing for a rare one or no character."""
    return _readings()[1].get(char, ())


@cache
def _beginnings() -> frozenset[str]:
    syllables = _readings()[0]
    return frozenset(each[:n] for each in syllables for n in range(1, len(each) + 1))


@lru_cache(maxsize=4096)
def typed(letters: str) -> tuple[str, ...] | None:
    """`letters` as syllables, the last perhaps only begun: shenfenzh → shen, fen, zh. None where they are no pinyin.

    Of several ways the one with the fewest syllables counts.
    """
    letters = letters[:_LONGEST_TYPED].replace("ü", "v")
    syllables, beginnings = _readings()[0], _beginnings()
    best: list[tuple[str, ...] | None] = [None] * (len(letters) + 1)
    best[0] = ()
    for end in range(1, len(letters) + 1):
        last = end == len(letters)
        for start in range(max(0, end - 6), end):
            before, part = best[start], letters[start:end]
            if before is None or not (part in syllables or (last and part in beginnings)):
                continue
            if best[end] is None or len(before) + 1 < len(best[end] or ()):
                best[end] = (*before, part)
    return best[-1]


def is_whole(syllable: str) -> bool:
    return syllable in _readings()[0]
