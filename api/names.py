"""Finding a place, a category or a unit by what somebody types of its name: characters, whole pinyin, initials, any mixture of them.

«湟中 多巴», «hzdb», «duoba», «huangzhong db» find 青海省 / 西宁市 / 湟中区 / 多巴镇. Pure; nothing is loaded but the readings of characters.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from knowledge_base.search.folding import fold
from knowledge_base.search.pinyin import readings

_SUFFIXES: Final = (
    *("特别行政区", "回族土族自治县", "土族自治县", "回族自治县", "撒拉族自治县", "蒙古族自治县"),
    *(
        "藏族自治州",
        "蒙古族藏族自治州",
        "自治区",
        "自治州",
        "自治县",
        "街道办事处",
        "居民委员会",
        "村民委员会",
    ),
    *("社区", "街道", "地区", "省", "市", "州", "盟", "区", "县", "旗", "镇", "乡", "村"),
)
MOST_TYPED: Final = 60


@dataclass(frozen=True, slots=True)
class Named:
    """One thing with its names from the top down; `code` finds it too. `loose`: characters of its own name may be left out (住建局)."""

    code: str
    path: tuple[str, ...]
    loose: bool = False
    texts: tuple[tuple[str, int], ...] = field(init=False, compare=False)
    """All names in one, whole and without suffixes, each with where the own name begins in it."""
    beginnings: frozenset[str] = field(init=False, compare=False)
    """The first two letters of whatever may be typed to find it: most of a long list is out at one look."""

    def __post_init__(self) -> None:
        folded = [fold(name) for name in self.path]
        both = (folded, [_short(name) for name in folded])
        texts = dict.fromkeys(("".join(names), len("".join(names[:-1]))) for names in both)
        object.__setattr__(self, "texts", tuple(texts))
        object.__setattr__(self, "beginnings", frozenset().union(*(_beginnings(text) for text, _ in texts)))


def _short(name: str) -> str:
    for suffix in _SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix) + 1:
            return name[: -len(suffix)]
    return name


def found(typed: str, among: Iterable[Named], limit: int, near: str = "") -> list[Named]:
    """Those that fit every word typed, the best first; of equals those whose code begins with `near`, then the shorter path."""
    words = fold(typed[:MOST_TYPED]).split()
    if not words:
        return []
    ranked = []
    for one in among:
        rank = _rank(words, one)
        if rank is not None:
            away = bool(near) and not one.code.startswith(near)
            ranked.append((rank, away, len(one.path), one.code, one))
    ranked.sort(key=lambda row: row[:4])
    return [row[4] for row in ranked[:limit]]


def _rank(words: Sequence[str], one: Named) -> int | None:
    """How far down the list; None where a word fits nowhere. The last word says what is looked for, those before where it lies."""
    if len(words) == 1 and one.code.lower().startswith(words[0]):
        return 0
    last = _place(words[-1], one)
    if last is None or any(_place(word, one) is None for word in words[:-1]):
        return None
    return last


def _place(word: str, one: Named) -> int | None:
    """0 the own name, 1 its beginning, 2 within it, 3 the path or the code, 4 with characters left out."""
    ranks = []
    if not word.isascii() or word[:2] in one.beginnings:
        for text, own in one.texts:
            if (at := _find(word, text, own)) is not None:
                ranks.append(2 if at[0] > own else 0 if at[1] == len(text) else 1)
            elif _find(word, text, 0, own) is not None:
                ranks.append(3)
    if ranks:
        return min(ranks)
    if len(word) > 2 and word in one.code.lower():
        return 3
    return 4 if one.loose and _left_out(word, one.texts[0][0][one.texts[0][1] :]) else None


def _find(word: str, text: str, start: int, until: int | None = None) -> tuple[int, int] | None:
    """Where in the text, beginning from `start` on and before `until`, a run of characters is typed by `word`: [start, end)."""
    if not any(c.isascii() for c in word):
        at = text.find(word, start, None if until is None else until + len(word) - 1)
        return None if at < 0 else (at, at + len(word))
    first = word[0]
    for at in range(start, len(text) if until is None else until):
        if first == text[at] or first in _initials(text[at]):
            end = _typed_until(word, text, at)
            if end is not None:
                return at, end
    return None


def _typed_until(word: str, text: str, start: int) -> int | None:
    """The end of the run from `start` that `word` types, each character itself, by its reading or by how that begins."""
    states = {0}
    for at in range(start, len(text)):
        after: set[int] = set()
        for done in states:
            rest = word[done:]
            if rest[0] == text[at]:
                after.add(done + 1)
            for spelled in _spelled(text[at]):
                if rest.startswith(spelled):
                    after.add(done + len(spelled))
                elif spelled.startswith(rest):
                    return at + 1  # the last syllable is only begun
        if len(word) in after:
            return at + 1
        if not after:
            return None
        states = after
    return None


def _left_out(word: str, name: str) -> bool:
    """Whether the word types some of the name's characters in their order: 住建局, zhujianju, zjj; not whole syllables and initials mixed."""
    return len(word) > 1 and (_some_of(word, name, whole=True) or _some_of(word, name, whole=False))


def _some_of(word: str, name: str, *, whole: bool) -> bool:
    states = {0}
    for char in name:
        ways = [char, *(way for way in _spelled(char) if (len(way) > 1) is whole)]
        for done in tuple(states):
            states.update(done + len(way) for way in ways if word.startswith(way, done))
    return len(word) in states


@lru_cache(maxsize=8192)
def _spelled(char: str) -> tuple[str, ...]:
    """How one character may be typed in letters: each reading, softly spoken too (zh = z, -ng = -n), and its first letter or two."""
    ways: set[str] = set()
    for reading in readings(char):
        soft = reading.replace("h", "", 1) if reading[:2] in ("zh", "ch", "sh") else reading
        for each in (reading, soft):
            ways |= {each, each.removesuffix("g") if each.endswith("ng") else each, each[0]}
        if reading[:2] in ("zh", "ch", "sh"):
            ways.add(reading[:2])
    return tuple(sorted(ways, key=lambda way: (-len(way), way)))


@lru_cache(maxsize=8192)
def _initials(char: str) -> frozenset[str]:
    return frozenset(way[0] for way in _spelled(char))


def _beginnings(text: str) -> set[str]:
    found: set[str] = set()
    for at, char in enumerate(text):
        following = _initials(text[at + 1]) | {text[at + 1]} if at + 1 < len(text) else frozenset({""})
        for way in (*_spelled(char), char):
            found |= {way[:2]} if len(way) > 1 else {way, *(way + letter for letter in following)}
    return found
