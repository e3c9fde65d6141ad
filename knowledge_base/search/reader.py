"""Searching the index: what an agent types while the caller is still talking."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import tantivy

from knowledge_base.search.disk import IndexBroken, Opened, View
from knowledge_base.search.documents import (
    every_entry,
    filter_query,
    folded,
    key_of,
    limited,
    shown,
    valid_on,
)
from knowledge_base.search.entry import Filters, Hit, Results, Validity
from knowledge_base.search.folding import Folded
from knowledge_base.search.marks import marked_terms, marks, parts, passage
from knowledge_base.search.query import Question, Term, ask
from knowledge_base.search.ranking import Candidate, Found, places, weigh
from knowledge_base.search.suggestions import suggestion
from knowledge_base.search.synonyms import Synonyms, shipped
from knowledge_base.search.words import runs, tokens

MOST_HITS = 50
_CANDIDATES = 32
_DEEP = 400
"""So many are looked through for valid ones where the best are not."""
_WEAK = 0.15
"""A hit whose score is less than this share of the best one's is left out."""
_POOR = 0.7
"""Where the best hits have less than this share of the characters asked for, other words are proposed."""
_EXPIRED_SHOWN = 2
"""So many that no longer count keep a place on the page, below those that do, where they fit better."""


class Reader:
    """The index of `folder`, for any number of threads. Follows every commit of its writer."""

    def __init__(self, folder: Path, synonyms: Synonyms | None = None) -> None:
        self._opened = Opened(folder)
        self._synonyms = synonyms or shipped()
        self._popular: OrderedDict[object, Results] = OrderedDict()
        self._lock = threading.Lock()

    def search(self, text: str, *, on: date, filters: Filters | None = None, limit: int = 10) -> Results:
        """The best entries for anything typed, complete or not; the most told for nothing. Raises nothing.

        `on` is the day in China that decides what is valid. Entries that are not stand below all that are.
        """
        filters, limit = filters or Filters(), max(1, min(limit, MOST_HITS))
        try:
            view = self._opened.view()
            if view is None:
                return Results(ready=False)
            if not text.strip():
                return self._most_told(view, on, filters, limit)
            return self._found(view, text, on, filters, limit)
        except IndexBroken:
            self._opened.broken()
            return Results(ready=False)

    def cursor(self) -> str | None:
        """How far the index follows the feed of entries; None where there is no index."""
        try:
            view = self._opened.view()
            return view.cursor() if view is not None else None
        except IndexBroken:
            self._opened.broken()
            return None

    def _found(self, view: View, text: str, on: date, filters: Filters, limit: int) -> Results:
        question = ask(text, view, self._synonyms)
        found: list[Candidate] = []
        if question.query is not None:
            found = _candidates(view, question, on, filters, limit)
            for each in found:
                weigh(each, question.terms)
        page = _page(found, limit)
        terms = marked_terms(question)
        said = [_said(each, question) for each in page[:3]]
        covered = max((_covered(question.plain, each) for each in said), default=0.0)
        heard = bool(question.heard) and bool(page)
        other = (
            suggestion(question.folded, view, filter_query(filters, on))
            if covered < _POOR and not heard
            else None
        )
        hits = tuple(_hit(each, terms, question.heard) for each in page)
        answered = max((_answered(question, each) for each in said), default=0.0)
        return Results(hits, did_you_mean=other, answered=1.0 if heard else answered)

    def _most_told(self, view: View, on: date, filters: Filters, limit: int) -> Results:
        asked = (self._opened.stamp, on, filters, limit)
        with self._lock:
            if asked in self._popular:
                self._popular.move_to_end(asked)
                return self._popular[asked]
        wanted = [every_entry(), *filter_query(filters, on), *([] if filters.only_valid else valid_on(on))]
        query = tantivy.Query.boolean_query([(tantivy.Occur.Must, each) for each in wanted])
        addresses = view.most(query, limit, "popularity")
        found = _read(view, _judged(view, [(0.0, address) for address in addresses], on))
        results = Results(tuple(_hit(each, (), ()) for each in found), popular=True)
        with self._lock:
            self._popular[asked] = results
            while len(self._popular) > 64:
                self._popular.popitem(last=False)
        return results


def _candidates(view: View, question: Question, on: date, filters: Filters, limit: int) -> list[Candidate]:
    """The entries with the best BM25 scores; more of the valid ones where others crowd them out."""
    assert question.query is not None
    count = max(_CANDIDATES, limit)
    query = limited(question.query, filter_query(filters, on))
    found = _judged(view, view.best(query, count), on)
    if len(found) < count or _valid(found) >= limit:
        return _read(view, found)
    deeper = _judged(view, view.best(query, _DEEP), on)
    valid = [each for each in deeper[count:] if each.validity is Validity.VALID][: limit - _valid(found)]
    if len(deeper) == _DEEP and not valid and not _valid(found):
        only = filter_query(replace(filters, only_valid=True), on)
        valid = _judged(view, view.best(limited(question.query, only), limit), on)
    return _read(view, found + valid)


def _judged(view: View, hits: list[tuple[float, tantivy.DocAddress]], on: date) -> list[Found]:
    addresses = [address for _, address in hits]
    names = ("valid_from", "valid_until", "popularity", "depth")
    numbers = zip(hits, *(view.numbers(name, addresses) for name in names), strict=True)
    return [
        Found(address, score, _validity(first, last, on.toordinal()), told, depth)
        for (score, address), first, last, told, depth in numbers
    ]


def _validity(first: int, last: int, day: int) -> Validity:
    if day > last:
        return Validity.EXPIRED
    return Validity.FUTURE if day < first else Validity.VALID


def _valid(found: list[Found]) -> int:
    return sum(each.validity is Validity.VALID for each in found)


def _read(view: View, found: list[Found]) -> list[Candidate]:
    return [Candidate(view.document(each.address), each, each.score) for each in found]


def _said(candidate: Candidate, question: Question) -> set[str]:
    """Which of the tokens asked for an entry says, its synonyms included, or says in another word of the same meaning."""
    text = "\n".join(folded(candidate.document))
    sought = {*question.telling, *(term.token for term in question.terms)}
    said = {token for token in sought if token in text}
    for word, others in question.alike.items():
        if any(other in text for other in others):
            said.update(tokens(word))
    return said


def _covered(plain: str, said: set[str]) -> float:
    """The share of the letters asked for that stand in what an entry says."""
    there: set[int] = set()
    for token in said:
        at = plain.find(token)
        while at >= 0:
            there.update(range(at, at + len(token)))
            at = plain.find(token, at + 1)
    asked = sum(len(run.text) for run in runs(plain))
    return len(there) / asked if asked else 0.0


def _answered(question: Question, said: set[str]) -> float:
    """The share of what tells in the question, in idf, that an entry says."""
    asked = sum(question.telling.values())
    return sum(told for token, told in question.telling.items() if token in said) / asked if asked else 1.0


def _page(found: list[Candidate], limit: int) -> list[Candidate]:
    """What is shown: the valid ones, best first, then those that are not, best first."""
    found.sort(key=lambda each: (-each.score, key_of(each.document)))
    valid = [each for each in found if each.found.validity is Validity.VALID]
    others = [each for each in found if each.found.validity is not Validity.VALID]
    if valid:
        valid = [each for each in valid if each.score >= _WEAK * valid[0].score]
        others = [each for each in others if each.score >= _WEAK * valid[0].score]
    better = [each for each in others if valid and each.score > valid[0].score]
    kept = min(len(better), _EXPIRED_SHOWN, limit - 1) if valid else 0
    return (valid[: limit - kept] + others)[:limit]


def _hit(candidate: Candidate, terms: Sequence[Term], heard: Sequence[str]) -> Hit:
    text = shown(candidate.document)
    question, among = Folded(text.question), parts(text, terms)
    return Hit(
        text.key,
        round(candidate.score, 4),
        candidate.found.validity,
        text.question,
        marks(question, places(question.text, terms), heard),
        text.answer,
        marks(among[0][1], among[0][2]),
        passage(among),
    )
