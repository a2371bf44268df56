"""Short lists that training draws up (what rises, what is new): what is close to the shopper first.

One class for `trend`, `new_items` and `early_adopters`: they differ in how the list is made, not in
how it is answered from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.candidates.source import top
from recommender.catalogue import UNKNOWN_PRICE, Catalogue
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array

# Prices this close (a factor of about 1.3) count as equal, however narrow the seeds' own range is.
_LEAST_SPREAD: Final = 0.25


@dataclass(frozen=True, slots=True)
class ShortlistSource:
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

    def candidates(self, seeds: Seeds, eligible: BoolArray, n: int) -> ScoredItems:
        """Score of item j: score_j · (everybody + closeness_j)."""
        kept = eligible[self.items]
        items = self.items[kept]
        closeness = self.everybody + self.closeness(seeds, items)
        return top(items, (self.scores[kept] * closeness).astype(np.float32), n)

    def closeness(self, seeds: Seeds, items: Int32Array) -> Float64Array:
        """Between 0 and 1, float64 (m,).

        The mean over category, brand and price of: the share of the seeds' weight that has the
        item's category; its brand; and exp(-z²/2), where z is the distance of the item's log price
        from the seeds' weighted mean, in their standard deviations. An attribute that no seed has
        does not take part; an item without it is not close in it.
        """
        shares = [
            share
            for share in (
                _same(self.catalogue.item_category, seeds, items),
                _same(self.catalogue.item_brand, seeds, items),
                _near(self.catalogue.item_price, seeds, items),
            )
            if share is not None
        ]
        if not shares:
            return np.zeros(len(items))
        mean: Float64Array = np.mean(shares, axis=0)
        return mean


def _same(attribute: Int32Array, seeds: Seeds, items: Int32Array) -> Float64Array | None:
    """Share of the seeds' weight with the attribute of each item; None: no seed has any."""
    own = attribute[seeds.item_idx]
    known = own >= 0
    if not known.any():
        return None
    # One more place, always 0, for values beyond those of the seeds and for items without any.
    weight = np.bincount(own[known], seeds.weights[known], int(own.max()) + 2)
    share = weight.astype(np.float64) / weight.sum()
    wanted = attribute[items]
    found: Float64Array = share[np.where((wanted >= 0) & (wanted < len(share)), wanted, -1)]
    return found


def _near(price: Float32Array, seeds: Seeds, items: Int32Array) -> Float64Array | None:
    """Closeness of the log price of each item to those of the seeds; None: no seed has a price."""
    own = price[seeds.item_idx].astype(np.float64)
    known = own > UNKNOWN_PRICE
    if not known.any():
        return None
    logs, weights = np.log(own[known]), seeds.weights[known].astype(np.float64)
    mean = np.average(logs, weights=weights)
    spread = max(_LEAST_SPREAD, float(np.sqrt(np.average((logs - mean) ** 2, weights=weights))))
    wanted = price[items].astype(np.float64)
    has_price = wanted > UNKNOWN_PRICE
    distance = (np.log(np.where(has_price, wanted, 1.0)) - mean) / spread
    return np.where(has_price, np.exp(-0.5 * distance**2), 0.0)
