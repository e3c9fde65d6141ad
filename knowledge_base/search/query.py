"""What somebody typed, as terms to look for.

A query is never parsed: there are no operators, every character is text. Words that only ask (请问, 怎么, 哪些) are left
out unless nothing else is there. Of long questions the rarest terms count.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import tantivy

from knowledge_base.search.disk import View
from knowledge_base.search.documents import SCHEMA
from knowledge_base.search.folding import fold
from knowledge_base.search.pinyin import is_whole, pair, soft, typed
from knowledge_base.search.synonyms import Synonyms
from knowledge_base.search.words import runs, tokens

LONGEST = 300
"""Characters of a query that count."""
MOST_TERMS, MOST_SOUGHT = 24, 16
"""How many terms candidates are ranked by, and found by."""
HEADING_BOOST = 0.35
_SHORT = 6
"""Up to so many terms are a handful of key words, for which the heading counts more."""
SYNONYM_BOOST = 0.8
_TELLING = 0.15
"""Of a long question's terms, those with less than this share of the rarest one's idf find nothing."""
_MOST_COMPLETIONS = 12
_MOST_INITIALS = 12
_MOST_OF_PAIRS = 0.6
_ASKING = re.compile(
    "请问一下|请问|我想问一下|我想问|想问一下|想咨询一下|咨询一下|想了解一下|麻烦问一下|您好|你好|谢谢|可不可以|能不能|是不是|"
    "有没有|是什么|为什么|什么样|什么|怎么样|怎么办理|怎么办|怎么|如何|怎样|有哪些|哪些|多少|一下|吗|呢|啊|吧"
)
_LETTERS = re.compile("[a-zü]+")


@dataclass(frozen=True, slots=True)
class Term:
    """A token looked for, and how much it tells: its idf in this index."""

    token: str
    idf: float


@dataclass(frozen=True)
class Question:
    """A query, taken apart."""

    folded: str
    plain: str = ""
    """Without the words that only ask."""
    terms: tuple[Term, ...] = ()
    """What stands in the index as written. The rarest first."""
    heard: tuple[str, ...] = ()
    """Runs of Latin letters that may be pinyin."""
    query: tantivy.Query | None = None
    """None where there is nothing to look for."""
    alike: Mapping[str, set[str]] = field(default_factory=dict)
    """Words of the question for which there are others, and all of those: to be marked too."""
    telling: Mapping[str, float] = field(default_factory=dict)
    """The rarest tokens asked for, those unknown to the index too, and how much each tells: its idf."""


def ask(text: str, view: View, synonyms: Synonyms) -> Question:
    """Take `text` apart for the index as `view` sees it."""
    written = fold(text[:LONGEST])[:LONGEST]
    folded = written.strip()
    plain = _ASKING.sub(" ", folded)
    if not any(True for _ in runs(plain)):
        plain = folded
    all_runs = list(runs(plain))
    if not all_runs:
        return Question(folded)
    latin = [run.text for run in all_runs if not run.is_han and _LETTERS.fullmatch(run.text)]
    ends_open = not written[-1:].isspace()
    last = all_runs[-1]
    groups = synonyms.tokens(plain)
    terms = _weighed([*tokens(plain), *groups], view)
    should: list[tantivy.Query] = []
    for term in _telling(terms):
        boost = SYNONYM_BOOST if term.token in groups else 1.0
        should.append(_term("text", term.token, boost))
        if len(terms) <= _SHORT:
            should.append(_term("heading", term.token, HEADING_BOOST))
    if ends_open and not last.is_han:
        should += _completed(last.text, view)
    if len(all_runs) == 1 and last.is_han and len(last.text) == 1:
        should.append(_term("heading", last.text, 1.0))
    heard = tuple(_spoken_runs(latin))
    should += [q for letters in heard for q in _by_ear(letters, view)]
    query = None
    if should:
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, each) for each in should])
    asked = tuple(term for term in terms if term.token not in groups)
    return Question(folded, plain, asked, heard, query, synonyms.alike(plain), _rarest(tokens(plain), view))


def _weighed(wanted: list[str], view: View) -> list[Term]:
    """The rarest of the tokens that the index knows."""
    count = view.count
    known: list[Term] = []
    for token in dict.fromkeys(wanted):
        having = view.having("text", token)
        if having:
            known.append(Term(token, idf(count, having)))
    known.sort(key=lambda term: -term.idf)
    return known[:MOST_TERMS]


def _rarest(wanted: list[str], view: View) -> dict[str, float]:
    """The rarest of the tokens, known or not, with their idf."""
    told = {token: idf(view.count, view.having("text", token)) for token in wanted}
    return dict(sorted(told.items(), key=lambda each: -each[1])[:MOST_TERMS])


def _telling(terms: list[Term]) -> list[Term]:
    """The terms to find candidates by: of a long question not those that most entries have."""
    if len(terms) <= _SHORT:
        return terms
    return [term for term in terms[:MOST_SOUGHT] if term.idf >= _TELLING * terms[0].idf]


def idf(count: int, having: int) -> float:
    return math.log(1 + max(count - having + 0.5, 0.5) / (having + 0.5))


def _term(name: str, token: str, boost: float) -> tantivy.Query:
    option = "freq" if name in ("text", "heading") else "basic"
    found = tantivy.Query.term_query(SCHEMA, name, token, option)
    return found if boost == 1.0 else tantivy.Query.boost_query(found, boost)


def _completed(letters: str, view: View) -> list[tantivy.Query]:
    """What the last run of letters or digits may become, the commonest first."""
    if len(letters) < 2:
        return []
    known = view.beginning("text", letters, limit=200)
    ranked = sorted(known, key=lambda each: -each[1])[:_MOST_COMPLETIONS]
    return [_term("text", token, 0.5) for token, _ in ranked if token != letters]


def _spoken_runs(latin: list[str]) -> list[str]:
    """Runs that may be pinyin; neighbours that are syllables each, or single letters, make one."""
    found: list[str] = []
    joined = False
    for letters in latin:
        single = len(letters) == 1
        whole = single or is_whole(letters)
        if found and whole and joined and (single == (len(found[-1]) == 1 or _all_single(found[-1], latin))):
            found[-1] += letters
        else:
            found.append(letters)
        joined = whole
    return [letters for letters in found if len(letters) > 1]


def _all_single(joined: str, latin: list[str]) -> bool:
    return joined not in latin and all(each in latin for each in joined)


def _by_ear(letters: str, view: View) -> list[tantivy.Query]:
    return [*_by_initials(letters), *_by_syllables(letters, view)]


def _by_initials(letters: str) -> list[tantivy.Query]:
    """All of the letters as first letters of neighbouring characters."""
    size = min(len(letters), 4)
    if len(letters) > _MOST_INITIALS:
        return []
    grams = list(dict.fromkeys(letters[k : k + size] for k in range(len(letters) - size + 1)))
    each = [_term("initials", gram, 1.0) for gram in grams]
    return each if len(each) == 1 else [tantivy.Query.boolean_query([(tantivy.Occur.Must, q) for q in each])]


def _by_syllables(letters: str, view: View) -> list[tantivy.Query]:
    """Most of the pairs of syllables; what the last one has begun, completed."""
    syllables = typed(letters)
    if syllables is None:
        return []
    *done, last = syllables
    if not done:
        return _by_one_syllable(last, view)
    pairs = [_term("sound", pair(a, b), 1.0) for a, b in pairwise(done)]
    completed = _heard_as(f"+{soft(done[-1])}_{soft(last)}", _MOST_COMPLETIONS, view)
    if not pairs:
        return completed
    if completed:
        pairs.append(tantivy.Query.disjunction_max_query(completed))
    most = max(1, math.ceil(_MOST_OF_PAIRS * len(pairs)))
    should = [(tantivy.Occur.Should, each) for each in pairs]
    return [tantivy.Query.boolean_query(should, minimum_number_should_match=most)]


def _by_one_syllable(letters: str, view: View) -> list[tantivy.Query]:
    """A single syllable says little: a whole one, or the beginning of few."""
    if not is_whole(letters) and len(letters) < 3:
        return []
    return _heard_as(soft(letters), 3, view)


def _heard_as(begun: str, most: int, view: View) -> list[tantivy.Query]:
    """What begins so by ear: itself first, then the commonest."""
    known = view.beginning("sound", begun, limit=64)
    ranked = sorted(known, key=lambda each: (each[0] != begun, -each[1]))[:most]
    return [_term("sound", token, 1.0) for token, _ in ranked]
