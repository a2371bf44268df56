"""Short lists that training draws up (what rises, what is new): what is close to the shopper first.

One class for `trend`, `new_items` and `early_adopters`: they differ in how the list is made, not in
how it is answered from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

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

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of item j: score_j · (everybody + closeness_j)."""
        listed = (self.items, self.scores, self.everybody)
        proposals.counts[row] = _listed(
            listed, self._attributes(), _start(seeds), eligible, proposals.row(row)
        )

    def closeness(self, seeds: Seeds, items: Int32Array) -> Float64Array:
        """Between 0 and 1, float64 (m,).

        The mean over category, brand and price of: the share of the seeds' weight that has the
        item's category; its brand; and exp(-z²/2), where z is the distance of the item's log price
        from the seeds' weighted mean, in their standard deviations. An attribute that no seed has
        does not take part; an item without it is not close in it.
        """
        return _closeness(items, self._attributes(), _start(seeds))

    def _attributes(self) -> Attributes:
        catalogue = self.catalogue
        return Attributes(catalogue.item_category, catalogue.item_brand, catalogue.item_price)


class Attributes(NamedTuple):
    """What an item may share with the seeds."""

    category: Int32Array
    brand: Int32Array
    price: Float32Array


class Start(NamedTuple):
    """Items of the seeds, and their weights."""

    items: Int32Array
    weights: Float32Array


def _start(seeds: Seeds) -> Start:
    return Start(seeds.item_idx, seeds.weights)


@kernel
def _listed(
    listed: tuple[Int32Array, Float32Array, float],
    attributes: Attributes,
    start: Start,
    eligible: BoolArray,
    into: tuple[Int32Array, Float32Array],
) -> int:
    items, scores, everybody = listed
    worth = np.zeros(len(items), np.float32)
    closeness = _closeness(items, attributes, start)
    for place in range(len(items)):
        if eligible[items[place]]:
            worth[place] = scores[place] * (everybody + closeness[place])
    return keep_best(items, worth, into[0], into[1])


@kernel
def _closeness(items: Int32Array, attributes: Attributes, start: Start) -> Float64Array:
    sums = np.zeros(len(items))
    parts = 0
    parts += _add_shares(sums, items, attributes.category, start)
    parts += _add_shares(sums, items, attributes.brand, start)
    parts += _add_nearness(sums, items, attributes.price, start)
    return sums / max(parts, 1)


@kernel
def _add_shares(sums: Float64Array, items: Int32Array, labels: Int32Array, start: Start) -> int:
    """Add the share of the seeds' weight with the label of each item; 0: no seed has any."""
    total = 0.0
    for place in range(len(start.items)):
        if labels[start.items[place]] >= 0:
            total += start.weights[place]
    if total == 0:
        return 0
    for place in range(len(items)):
        label = labels[items[place]]
        if label < 0:
            continue
        same = 0.0
        for seed in range(len(start.items)):
            if labels[start.items[seed]] == label:
                same += start.weights[seed]
        sums[place] += same / total
    return 1


@kernel
def _add_nearness(sums: Float64Array, items: Int32Array, prices: Float32Array, start: Start) -> int:
    """Add the closeness of each item's log price to those of the seeds; 0: no seed has a price."""
    total, mean, square = 0.0, 0.0, 0.0
    for place in range(len(start.items)):
        if prices[start.items[place]] > UNKNOWN_PRICE:
            total += start.weights[place]
            mean += start.weights[place] * np.log(np.float64(prices[start.items[place]]))
    if total == 0:
        return 0
    mean /= total
    for place in range(len(start.items)):
        if prices[start.items[place]] > UNKNOWN_PRICE:
            apart = np.log(np.float64(prices[start.items[place]])) - mean
            square += start.weights[place] * apart * apart
    spread = max(_LEAST_SPREAD, np.sqrt(square / total))
    for place in range(len(items)):
        price = np.float64(prices[items[place]])
        if price > UNKNOWN_PRICE:
            sums[place] += np.exp(-0.5 * ((np.log(price) - mean) / spread) ** 2)
    return 1
