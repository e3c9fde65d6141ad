"""主题聚类: demands of one category in one county whose words overlap are one theme. Pure, and the same for the same tickets.

A ticket joins the theme with which it shares the most of the weight of its own pairs of characters (`hotline.desks.grams`), if that is at
least `ALIKE`; else it begins a theme of its own. What a theme's words are is what a quarter of its tickets have, learnt as it grows.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

ALIKE: Final = 0.30
"""Of the weight of a ticket's pairs, how much its theme must have."""

_COMMON: Final = 0.25
_MOST_THEMES: Final = 60
"""Themes of one place and category a ticket is weighed against, the largest first."""

Block = tuple[str, str]
"""A leaf category and a county's six digits."""


@dataclass(frozen=True, slots=True)
class Told:
    """One ticket as far as clustering goes: its key, its block and the pairs of its words."""

    id: int
    block: Block
    pairs: Sequence[int]


@dataclass(slots=True)
class Cluster:
    """One theme in the making: its tickets in the order of their keys, and which pairs they have how often."""

    block: Block
    tickets: list[int] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    profile: frozenset[int] = frozenset()
    _learn_at: int = 1

    def take(self, ticket: Told) -> None:
        """Add a ticket; the profile is learnt anew each time the theme has grown by half."""
        self.tickets.append(ticket.id)
        self.counts.update(ticket.pairs)
        if len(self.tickets) >= self._learn_at:
            least = max(1.0, len(self.tickets) * _COMMON)
            self.profile = frozenset(pair for pair, count in self.counts.items() if count >= least)
            self._learn_at = max(len(self.tickets) + 1, int(len(self.tickets) * 1.5))


Weights = Mapping[int, float]


def weights_of(tickets: Iterable[Told]) -> dict[int, float]:
    """Each pair's weight: the rarer among these tickets the heavier."""
    counts: Counter[int] = Counter()
    size = 0
    for ticket in tickets:
        counts.update(ticket.pairs)
        size += 1
    return {pair: math.log((size + 2) / (count + 1)) + 0.1 for pair, count in counts.items()}


def clustered(tickets: Sequence[Told], weights: Weights) -> list[Cluster]:
    """The themes of these tickets, taken in the order of their keys; the largest first."""
    blocks: dict[Block, list[Cluster]] = {}
    for ticket in sorted(tickets, key=lambda each: each.id):
        themes = blocks.setdefault(ticket.block, [])
        best = nearest(ticket, themes, weights)
        if best is None:
            best = Cluster(ticket.block)
            themes.append(best)
        best.take(ticket)
        if len(themes) > 2 * _MOST_THEMES:  # what stayed alone is not weighed again
            themes.sort(key=lambda theme: -len(theme.tickets))
    found = [theme for themes in blocks.values() for theme in themes]
    return sorted(found, key=lambda theme: (-len(theme.tickets), theme.block, theme.tickets[0]))


def nearest(ticket: Told, themes: Sequence[Cluster], weights: Weights) -> Cluster | None:
    """The theme that has most of the weight of the ticket's pairs, if it has enough; of a ticket without words the first without."""
    if not ticket.pairs:
        return next((theme for theme in themes if not theme.profile), None)
    own = frozenset(ticket.pairs)
    whole = sum(weights.get(pair, 0.0) for pair in own)
    best, most = None, ALIKE * whole
    for theme in themes[:_MOST_THEMES]:
        shared = own & theme.profile
        if not shared:
            continue
        share = sum(weights.get(pair, 0.0) for pair in shared)
        if share >= most and (best is None or share > most):
            best, most = theme, share
    return best
