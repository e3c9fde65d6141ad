"""Groups of words that mean the same (同义词). A text with any word of a group carries the group's one token."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from functools import cache

from knowledge_base.search.folding import DATA, fold


class Synonyms:
    """Groups of at least two words each; a word may stand in several groups."""

    def __init__(self, groups: Iterable[Sequence[str]]) -> None:
        self._tokens: dict[str, list[str]] = {}
        known: list[str] = []
        for group in groups:
            each = [word for word in dict.fromkeys(fold(w).strip() for w in group) if len(word) > 1]
            if len(each) > 1:
                known.append(" ".join(each))
                for word in each:
                    self._tokens.setdefault(word, []).append("§" + re.sub(r"\s", "_", each[0]))
        longest_first = sorted(self._tokens, key=lambda word: (-len(word), word))
        self._any = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self.digest = hashlib.sha256("\n".join(sorted(known)).encode()).hexdigest()[:16]

    def tokens(self, folded: str) -> list[str]:
        """The tokens of the groups that a folded text has a word of, each once."""
        if self._any is None:
            return []
        return list(dict.fromkeys(t for word in set(self._any.findall(folded)) for t in self._tokens[word]))

    def alike(self, folded: str) -> dict[str, set[str]]:
        """Each word of a group that a folded text has, with all words of its groups."""
        if self._any is None:
            return {}
        return {
            found: {
                w for w, tokens in self._tokens.items() if not set(self._tokens[found]).isdisjoint(tokens)
            }
            for found in set(self._any.findall(folded))
        }


@cache
def shipped() -> Synonyms:
    lines = (DATA / "synonyms.txt").read_text(encoding="utf-8").splitlines()
    return Synonyms(line.split() for line in lines if line and not line.startswith("#"))
