"""Items that follow from the shopper's items: neighbours and co-visitation as stored lists."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.candidates.best import best
from recommender.compiled import kernel
from recommender.scratch import scratch
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array


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
        sums = scratch("neighbour_sums", len(eligible), np.float64)
        worth = seeds.worth(self.seed_events, self.lag_decay)
        lists = (self.neighbour_idx, self.neighbour_weight)
        return ScoredItems(*_listed(lists, worth, eligible, sums, n))


@kernel
def _listed(
    lists: tuple[Int32Array, Float32Array],
    seeds: tuple[Int32Array, Float32Array],
    eligible: BoolArray,
    sums: Float64Array,
    n: int,
) -> tuple[Int32Array, Float32Array]:
    """The n best eligible neighbours by summed weights; `sums` is zero, and so at the end."""
    neighbours, weights = lists
    items, strengths = seeds
    found = np.empty(items.shape[0] * neighbours.shape[1], np.int32)
    count = 0
    for place in range(items.shape[0]):
        for column in range(neighbours.shape[1]):
            item = neighbours[items[place], column]
            if item < 0 or not eligible[item]:
                continue
            if sums[item] == 0:
                found[count] = item
                count += 1
            sums[item] += weights[items[place], column] * strengths[place]
    scores = np.empty(count, np.float32)
    for place in range(count):
        # What came back to 0 in between is there twice: the second time with nothing.
        scores[place] = sums[found[place]]
        sums[found[place]] = 0
    return best(found[:count], scores, n)
