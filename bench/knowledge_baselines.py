"""Two plain ways to search, to see the knowledge index beside: BM25 over words, and TF-IDF over character n-grams."""

import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

import numpy as np
import rjieba

Splitter = Callable[[str], list[str]]


def jieba_words(text: str) -> list[str]:
    """The dictionary's words in search mode, without signs."""
    folded = unicodedata.normalize("NFKC", text).lower()
    return [word for word in rjieba.cut_for_search(folded) if any(char.isalnum() for char in word)]


def char_ngrams(text: str) -> list[str]:
    """One to three characters that follow one another, whatever they are."""
    folded = "".join(unicodedata.normalize("NFKC", text).lower().split())
    return [folded[k : k + n] for n in (1, 2, 3) for k in range(len(folded) - n + 1)]


class Bm25:
    """Okapi BM25 with k1 = 1.2 and b = 0.75, every term of the query once."""

    def __init__(self, texts: Sequence[str], split: Splitter) -> None:
        self._split = split
        counts = [Counter(split(text)) for text in texts]
        lengths = np.array([max(each.total(), 1) for each in counts], dtype=float)
        self._count, norm = len(texts), 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
        postings: dict[str, tuple[list[int], list[int]]] = defaultdict(lambda: ([], []))
        for number, each in enumerate(counts):
            for term, times in each.items():
                postings[term][0].append(number)
                postings[term][1].append(times)
        self._weights: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        for term, (holders, often) in postings.items():
            at, counted = np.array(holders), np.array(often, dtype=float)
            idf = math.log(1 + (self._count - len(holders) + 0.5) / (len(holders) + 0.5))
            self._weights[term] = at, idf * counted * 2.2 / (counted + norm[at])

    def scores(self, query: str) -> np.ndarray:
        found = np.zeros(self._count)
        for term in dict.fromkeys(self._split(query)):
            if term in self._weights:
                where, weight = self._weights[term]
                found[where] += weight
        return found


class TfIdf:
    """Cosine of sublinear TF × smoothed idf, as the usual vectoriser has it."""

    def __init__(self, texts: Sequence[str], split: Splitter) -> None:
        self._split, self._count = split, len(texts)
        counts = [Counter(split(text)) for text in texts]
        having = Counter(term for each in counts for term in each)
        self._idf = {term: math.log((1 + self._count) / (1 + n)) + 1 for term, n in having.items()}
        postings: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, each in enumerate(counts):
            weights = self._weights(each)
            length = math.sqrt(sum(weight * weight for weight in weights.values())) or 1.0
            for term, weight in weights.items():
                postings[term].append((number, weight / length))
        self._postings = {
            term: (np.array([n for n, _ in each]), np.array([w for _, w in each]))
            for term, each in postings.items()
        }

    def scores(self, query: str) -> np.ndarray:
        found = np.zeros(self._count)
        for term, weight in self._weights(Counter(self._split(query))).items():
            where, weights = self._postings[term]
            found[where] += weight * weights
        return found

    def _weights(self, counts: Counter[str]) -> dict[str, float]:
        return {t: (1 + math.log(n)) * self._idf[t] for t, n in counts.items() if t in self._idf}
