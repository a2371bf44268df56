"""Short lists that training draws up (what rises, what is new): what is close to the shopper first.

One class for `trend`, `new_items` and `early_adopters`: they differ in how the list is made, not in
how it is answered from.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from recommender.candidates.best import keep_best
from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.catalogue import UNKNOWN_PRICE, Catalogue
from recommender.compiled import kernel
from recommender.seeds import Seeds
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array

# Prices this close (a factor of about 1.3) count as equal, however narrow the seeds' own range is.
_LEAST_SPREAD: Final = 0.25

Attributes: TypeAlias = tuple[Int32Array, Int32Array, Float64Array]
"""What items may share: category and brand of each, -1 for none, and log price, NaN for none."""


@dataclass(frozen=True, slots=True)
class ShortlistSource(CandidateSource):
    """Listed items by their own score times how close they are to the seeds.

    Parameters
    ----------
    catalogue
        Where categories, brands and prices are.
    items
        Item indices, int32 (m,), none twice.
    scores
        What each is worth to somebody unknown, float32 (m,), positive.
    everybody
        Closeness that an item has which is not close at all, above 0: the larger it is, the less
        the list depends on the shopper. Without seeds every item has it.
    """

    catalogue: Catalogue
    items: Int32Array
    scores: Float32Array
    everybody: float

    _own: Attributes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_own", self._attributes(self.items))

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of item j: score_j · (everybody + closeness_j)."""
        listed = (self.items, self.scores, self.everybody)
        start, own = self._attributes(seeds.item_idx), self._own
        proposals.counts[row] = _listed(
            listed, own, start, seeds.weights, eligible, proposals.row(row)
        )

    def closeness(self, seeds: Seeds, items: Int32Array) -> Float64Array:
        """Between 0 and 1, float64 (m,).

        The mean over category, brand and price of: the share of the seeds' weight that has the
        item's category; its brand; and exp(-z²/2), where z is the distance of the item's log price
        from the seeds' weighted mean, in their standard deviations. An attribute that no seed has
        does not take part; an item without it is not close in it.
        """
        start = self._attributes(seeds.item_idx)
        return _closeness(self._attributes(items), start, seeds.weights)

    def _attributes(self, items: Int32Array) -> Attributes:
        catalogue = self.catalogue
        return _attributes(
            items, catalogue.item_category, catalogue.item_brand, catalogue.item_price
        )


@kernel
def _attributes(
    items: Int32Array, category: Int32Array, brand: Int32Array, price: Float32Array
) -> Attributes:
    log_price = np.empty(len(items))
    for place in range(len(items)):
        known = np.float64(price[items[place]])
        log_price[place] = np.log(known) if known > UNKNOWN_PRICE else np.nan
    return category[items], brand[items], log_price


@kernel
def _listed(
    listed: tuple[Int32Array, Float32Array, float],
    own: Attributes,
    start: Attributes,
    weights: Float32Array,
    eligible: BoolArray,
    into: tuple[Int32Array, Float32Array],
) -> int:
    items, scores, everybody = listed
    worth = np.zeros(len(items), np.float32)
    closeness = _closeness(own, start, weights)
    for place in range(len(items)):
        if eligible[items[place]]:
            worth[place] = scores[place] * (everybody + closeness[place])
    return keep_best(items, worth, into[0], into[1])


@kernel
def _closeness(own: Attributes, start: Attributes, weights: Float32Array) -> Float64Array:
    sums = np.zeros(len(own[0]))
    parts = 0
    parts += _add_shares(sums, own[0], start[0], weights)
    parts += _add_shares(sums, own[1], start[1], weights)
    parts += _add_nearness(sums, own[2], start[2], weights)
    return sums / max(parts, 1)


@kernel
def _add_shares(
    sums: Float64Array, labels: Int32Array, of_seeds: Int32Array, weights: Float32Array
) -> int:
    """Add the share of the seeds' weight with the label of each item; 0: no seed has any."""
    highest = -1
    for label in of_seeds:
        highest = max(highest, label)
    if highest < 0:
        return 0
    total, same = 0.0, np.zeros(highest + 1)
    for seed in range(len(of_seeds)):
        if of_seeds[seed] >= 0:
            total += weights[seed]
            same[of_seeds[seed]] += weights[seed]
    if total == 0:
        return 0
    for place in range(len(sums)):
        if 0 <= labels[place] <= highest:
            sums[place] += same[labels[place]] / total
    return 1


@kernel
def _add_nearness(
    sums: Float64Array, log_prices: Float64Array, of_seeds: Float64Array, weights: Float32Array
) -> int:
    """Add the closeness of each item's log price to those of the seeds; 0: no seed has a price."""
    total, mean, square = 0.0, 0.0, 0.0
    for seed in range(len(of_seeds)):
        if not np.isnan(of_seeds[seed]):
            total += weights[seed]
            mean += weights[seed] * of_seeds[seed]
    if total == 0:
        return 0
    mean /= total
    for seed in range(len(of_seeds)):
        if not np.isnan(of_seeds[seed]):
            apart = of_seeds[seed] - mean
            square += weights[seed] * apart * apart
    spread = max(_LEAST_SPREAD, np.sqrt(square / total))
    for place in range(len(sums)):
        if not np.isnan(log_prices[place]):
            sums[place] += np.exp(-0.5 * ((log_prices[place] - mean) / spread) ** 2)
    return 1
