"""The order of the candidates: BM25 of the whole, plus how near one another the words stand and how well they fill the heading."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import tantivy

from knowledge_base.search.documents import folded
from knowledge_base.search.entry import Validity
from knowledge_base.search.query import Term

NEAR = 120
"""Characters in which the words of one thought stand."""
NEARNESS, HEADING_FIT = 0.7, 0.5
"""Weights beside the BM25 score, all in units of idf."""
POPULARITY = 0.05
"""What a much-told entry gains at most, as a share of its score."""
AREA = 0.02
"""What an entry of the very village gains over one of the whole country, as a share of its score."""
_MOST_PLACES = 24


@dataclass(frozen=True, slots=True)
class Found:
    """What the index says of a document without reading it."""

    address: tantivy.DocAddress
    score: float
    """BM25."""
    validity: Validity
    popularity: int
    depth: int
    """Digits of its area's code that tell: 0 for everywhere, 12 for a village."""


@dataclass(slots=True)
class Candidate:
    document: tantivy.Document
    found: Found
    score: float


def weigh(candidate: Candidate, terms: Sequence[Term]) -> None:
    """Add to the candidate's BM25 score."""
    if terms:
        heading, _, body = folded(candidate.document)
        found = places(f"{heading}\n{body}", terms)
        near, _ = nearest(found, NEAR)
        candidate.score += NEARNESS * near + HEADING_FIT * _fit(heading, found)
    told = candidate.found.popularity / (candidate.found.popularity + 20)
    candidate.score *= 1 + POPULARITY * told + AREA * candidate.found.depth / 12


def places(text: str, terms: Sequence[Term]) -> list[tuple[int, Term]]:
    """Where the terms stand in a folded text, in order."""
    found: list[tuple[int, Term]] = []
    for term in terms:
        token, at = term.token, text.find(term.token)
        for _ in range(_MOST_PLACES):
            if at < 0:
                break
            found.append((at, term))
            at = text.find(token, at + 1)
    found.sort(key=lambda each: each[0])
    return found


def nearest(found: list[tuple[int, Term]], width: int) -> tuple[float, int]:
    """The most idf of different terms that begin within `width` characters, and where the first of them stands."""
    best, where, begin, here = 0.0, 0, 0, 0.0
    inside: Counter[str] = Counter()
    for at, term in found:
        inside[term.token] += 1
        if inside[term.token] == 1:
            here += term.idf
        while found[begin][0] < at - width:
            left = found[begin][1]
            inside[left.token] -= 1
            if not inside[left.token]:
                here -= left.idf
            begin += 1
        if here > best + 1e-9:
            best, where = here, found[begin][0]
    return best, where


def _fit(heading: str, found: list[tuple[int, Term]]) -> float:
    """Idf of what stands in the heading, times the share of the heading that it fills."""
    filled, end, size = 0, 0, len(heading)
    tokens: dict[str, float] = {}
    for at, term in found:
        until = at + len(term.token)
        if until > size:
            break
        tokens[term.token] = term.idf
        filled += max(0, until - max(at, end))
        end = max(end, until)
    return sum(tokens.values()) * filled / max(size, 1)
