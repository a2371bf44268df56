"""Items that follow from the shopper's items: neighbours and co-visitation as stored lists."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from recommender.candidates.best import best
from recommender.compiled import kernel
from recommender.scratch import scratch
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import EVENT_CODES, BoolArray, Float32Array, Float64Array, Int32Array

# However far behind, a step counts: a worth of 0 says that its item was not met.
_LEAST: Final = np.finfo(np.float32).tiny


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
        work = (
            scratch("neighbour_sums", len(eligible), np.float64),
            scratch("seed_worth", len(eligible), np.float64),
        )
        lists = Lists(self.neighbour_idx, self.neighbour_weight, self._types(), self.lag_decay)
        steps = Steps(seeds.item_idx, seeds.event_codes, seeds.weights, seeds.ages)
        return ScoredItems(*_listed(lists, steps, eligible, work, n))

    def _types(self) -> int:
        """The event types that count, one bit each."""
        return sum(1 << EVENT_CODES[name] for name in self.seed_events) or -1


class Lists(NamedTuple):
    """The fields of a source; `types` has the bit of each event type that counts."""

    neighbours: Int32Array
    weights: Float32Array
    types: int
    lag_decay: float


class Steps(NamedTuple):
    """The fields of `Seeds` that say how much each counts."""

    items: Int32Array
    codes: Int32Array
    weights: Float32Array
    ages: Float32Array


@kernel
def _listed(
    lists: Lists,
    steps: Steps,
    eligible: BoolArray,
    work: tuple[Float64Array, Float64Array],
    n: int,
) -> tuple[Int32Array, Float32Array]:
    """The n best eligible neighbours by summed weights; `work` is zero, and so at the end."""
    sums, worth = work
    items = _worth(lists, steps, worth)
    found = np.empty(items.shape[0] * lists.neighbours.shape[1], np.int32)
    count = 0
    for seed in items:
        strength = np.float32(worth[seed])
        worth[seed] = 0
        for column in range(lists.neighbours.shape[1]):
            item = lists.neighbours[seed, column]
            if item < 0 or not eligible[item]:
                continue
            if sums[item] == 0:
                found[count] = item
                count += 1
            sums[item] += lists.weights[seed, column] * strength
    scores = np.empty(count, np.float32)
    for place in range(count):
        # What came back to 0 in between is there twice: the second time with nothing.
        scores[place] = sums[found[place]]
        sums[found[place]] = 0
    return best(found[:count], scores, n)


@kernel
def _worth(lists: Lists, steps: Steps, worth: Float64Array) -> Int32Array:
    """The items that count, ascending; the decayed weight of each is added up in `worth`.

    Lags are those of `Seeds.lags` among the steps that count.
    """
    items = np.empty(steps.items.shape[0], np.int32)
    count, lag, moment = 0, -1, np.float32(-1)
    for place in range(steps.items.shape[0] - 1, -1, -1):
        if not (lists.types >> steps.codes[place]) & 1:
            continue
        item = steps.items[place]
        if worth[item] == 0:
            items[count] = item
            count += 1
            if steps.ages[place] != moment:
                lag += 1
            moment = steps.ages[place]
        decayed = np.float64(steps.weights[place]) * lists.lag_decay**lag
        worth[item] += max(np.float32(decayed), _LEAST)
    return np.sort(items[:count])
