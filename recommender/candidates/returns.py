"""Items that the shopper dealt with before: a large part of next steps goes back to them."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.seeds import Seeds
from recommender.terms import BoolArray


@dataclass(frozen=True, slots=True)
class ReturnsSource(CandidateSource):
    """The shopper's own items by decayed, weighted frequency."""

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of an item: the sum of the weights of its seeds."""
        items, weights = seeds.summed()
        kept = eligible[items]
        proposals.keep(row, items[kept], weights[kept])
