"""Items that the shopper dealt with before: a large part of next steps goes back to them."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.candidates.source import top
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray


@dataclass(frozen=True, slots=True)
class ReturnsSource:
    """The shopper's own items by decayed, weighted frequency."""

    def candidates(self, seeds: Seeds, eligible: BoolArray, n: int) -> ScoredItems:
        """Score of an item: the sum of the weights of its seeds."""
        items, weights = seeds.summed()
        kept = eligible[items]
        return top(items[kept], weights[kept], n)
