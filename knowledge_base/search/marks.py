"""Where a hit says what was asked: ranges to mark, and the passage to show."""

from collections.abc import Iterable, Sequence

from knowledge_base.search.documents import Shown
from knowledge_base.search.entry import Range, Snippet
from knowledge_base.search.folding import Folded
from knowledge_base.search.pinyin import readings, soft, typed
from knowledge_base.search.query import Question, Term
from knowledge_base.search.ranking import nearest, places
from knowledge_base.search.words import HAN

SNIPPET = 120
"""Characters of a passage shown."""
_BEFORE = 24
_STOPS = "。！？；\n"


def marked_terms(question: Question) -> tuple[Term, ...]:
    """What to mark: not single Han characters, unless nothing else was asked."""
    several = tuple(term for term in question.terms if len(term.token) > 1 or not _is_han(term.token))
    also = tuple(Term(word, 0.5) for word in sorted(set().union(*question.alike.values())))
    if several or also:
        return several + also
    return tuple(Term(char, 1.0) for char in question.folded if _is_han(char))[:4] or question.terms


def marks(text: Folded, found: list[tuple[int, Term]], heard: Sequence[str] = ()) -> tuple[Range, ...]:
    """The characters of the text as written that say a term found there, or sound like what was typed."""
    ranges = [(at, at + len(term.token)) for at, term in found]
    for letters in heard:
        ranges += _by_ear(text.text, letters)
    return tuple(text.range_of(start, end) for start, end in merged(ranges))


def merged(ranges: Iterable[Range]) -> list[Range]:
    """Ranges in order, those that touch made one."""
    found: list[Range] = []
    for start, end in sorted(ranges):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


Part = tuple[str, Folded, list[tuple[int, Term]]]
"""A part of an entry's text: its name, and which terms stand where in it."""


def parts(shown: Shown, terms: Sequence[Term]) -> list[Part]:
    """The answer first, then the guide's fields."""
    texts = [("answer", Folded(shown.answer)), *((name, Folded(text)) for name, text in shown.guide)]
    return [(name, text, places(text.text, terms)) for name, text in texts]


def passage(among: Sequence[Part]) -> Snippet:
    """The stretch of the answer, or of a guide field, in which most of what was asked stands together."""
    (part, text, found), best, where = among[0], 0.0, 0
    for name, written, here in among:
        near, begin = nearest(here, SNIPPET - _BEFORE)
        if near > best + 1e-9:
            part, text, found, best, where = name, written, here, near, begin
    start = _beginning(text.text, where)
    end = min(start + SNIPPET, len(text.text))
    inside = [(at - start, term) for at, term in found if at >= start and at + len(term.token) <= end]
    first, last = text.range_of(start, end)
    cut = Folded(text.written[first:last])
    return Snippet(part, first, last, cut.written, marks(cut, inside))


def _beginning(text: str, where: int) -> int:
    """Where the sentence begins that leads to `where`, if it does so shortly before; else a little before."""
    earliest = max(0, where - _BEFORE)
    stop = max(text.rfind(each, earliest, where) for each in _STOPS)
    return stop + 1 if stop >= 0 else earliest


def _by_ear(text: str, letters: str) -> list[Range]:
    """Stretches that sound like typed letters, as initials or as syllables."""
    found: list[Range] = []
    heard = [readings(char) for char in text[:400]]
    syllables = typed(letters) or ()
    for at in range(len(heard)):
        initials = all(
            at + k < len(heard) and any(r[0] == letter for r in heard[at + k])
            for k, letter in enumerate(letters)
        )
        if initials and len(letters) > 1:
            found.append((at, at + len(letters)))
        said = 0
        for syllable in syllables:
            if at + said < len(heard) and any(soft(r).startswith(soft(syllable)) for r in heard[at + said]):
                said += 1
            else:
                break
        if said > 1 or (said and said == len(syllables)):
            found.append((at, at + said))
    return found


def _is_han(text: str) -> bool:
    return text[0] >= HAN[0]
