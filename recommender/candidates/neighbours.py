"""Items that follow from the shopper's items: neighbours and co-visitation as stored lists."""

from __future__ import annotations

from dataclasses import dataclass

from recommender.candidates.source import summed, top
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Float32Array, Int32Array


@dataclass(frozen=True, slots=True)
class NeighbourSource:
    """Weighted sum over the neighbour lists of the seeds.

    Parameters
    ----------
    neighbour_idx
        Neighbours of each item, int32 (items, width), padded with -1.
    neighbour_weight
        Their weights, float32 (items, width), padded with 0.
    seed_events
        Event types that this source starts from; empty means all.
    lag_decay
        What a seed counts for each later moment that it is behind, in (0, 1].
    """

    neighbour_idx: Int32Array
    neighbour_weight: Float32Array
    seed_events: tuple[str, ...] = ()
    lag_decay: float = 1.0

    def candidates(self, seeds: Seeds, eligible: BoolArray, n: int) -> ScoredItems:
        """Score of item j: the sum over seeds i of seed weight times w(i → j)."""
        chosen = seeds.of_types(self.seed_events)
        if self.lag_decay < 1:
            chosen = chosen.decayed(self.lag_decay)
        seed_items, seed_weights = chosen.summed()
        neighbours = self.neighbour_idx[seed_items].ravel()
        weights = (self.neighbour_weight[seed_items] * seed_weights[:, None]).ravel()
        kept = neighbours >= 0
        kept &= eligible[neighbours]
        return top(*summed(neighbours[kept], weights[kept]), n)
