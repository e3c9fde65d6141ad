"""主题用词: the words a theme is known by. A word is told only if tickets of several callers have it, and no name of a person is one."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from hotline.privacy.masking import mask_text

CALLERS: Final = 3
"""A word that fewer callers than these used is nobody's business."""

MOST_WORDS: Final = 6
_READ: Final = 200
_SAID: Final = frozenset(
    {
        "反映", "希望", "请问", "咨询", "投诉", "建议", "举报", "求助", "来电", "部门", "有关", "相关",
        "尽快", "处理", "解决", "问题", "情况", "没有", "现在", "已经", "一直", "怎么", "如何", "什么",
        "可以", "需要", "进行", "表示", "市民", "群众", "工作", "人员", "小时", "今天", "昨天", "目前",
        "多次", "严重", "影响", "联系", "回复", "答复", "核实", "办理", "一个", "几天", "这里", "那里",
        "我们", "自己", "他们", "大家", "邻居", "登记", "左右", "附近",
    }
)  # fmt: skip
_HAN: Final = re.compile(r"[一-鿿]{2,8}")


@dataclass(frozen=True, slots=True)
class Said:
    """One ticket's title, the beginning of what it says, and who asked (None: unknown, all of them counted as one)."""

    title: str
    begins: str
    caller: object


def words(said: Sequence[Said]) -> list[str]:
    """The words most of these tickets have, those of titles before those of contents; at most six.

    Names of persons, as the segmenter knows them, names of places, and whatever fewer than `CALLERS` callers used are left out.
    """
    seen: dict[str, set[object]] = {}
    counts: Counter[str] = Counter()
    for one in said[:_READ]:
        titled = set(_told(one.title))
        for word in titled | set(_told(one.begins)):
            counts[word] += 4 if word in titled else 1
            seen.setdefault(word, set()).add(one.caller)
    shared = [word for word in counts if len(seen[word]) >= CALLERS]
    shared.sort(key=lambda word: (-counts[word] * min(len(word), 4), word))
    return [word for word in shared if mask_text(word) == word][:MOST_WORDS]


def _told(text: str) -> Iterable[str]:
    import rjieba  # its dictionary takes 33 MB: not of every server process

    for word, kind in rjieba.tag(mask_text(text)):
        if (
            kind[:2] not in ("nr", "ns")
            and kind[:1] in ("n", "v", "a")
            and word not in _SAID
            and _is_word(word)
        ):
            yield word


@cache
def _is_word(word: str) -> bool:
    return _HAN.fullmatch(word) is not None
