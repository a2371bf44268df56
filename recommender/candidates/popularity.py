"""What many choose: overall, and in the categories that the shopper deals with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.candidates.source import top
from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Int32Array


def first_eligible(order: Int32Array, eligible: BoolArray, n: int) -> Int32Array:
    """The first n eligible items of an order, int32 (≤ n,), without looking at all of it."""
    found: list[int] = []
    for start in range(0, len(order), 4 * n):
        block = order[start : start + 4 * n]
        found.extend(block[eligible[block]].tolist())
        if len(found) >= n:
            break
    return np.array(found[:n], np.int32)


@dataclass(frozen=True, slots=True)
class PopularitySource:
    """The most popular items; needs no seeds."""

    catalogue: Catalogue

    def candidates(self, seeds: Seeds, eligible: BoolArray, n: int) -> ScoredItems:  # noqa: ARG002 - popularity is the same for all
        """Score of an item: its decayed popularity."""
        chosen = first_eligible(self.catalogue.popular_order, eligible, n)
        return top(chosen, self.catalogue.popularity[chosen], n)


@dataclass(frozen=True, slots=True)
class PopularInCategorySource:
    """The most popular items of the categories that the seeds belong to."""

    catalogue: Catalogue

    def candidates(self, seeds: Seeds, eligible: BoolArray, n: int) -> ScoredItems:
        """Score of an item: its popularity times the share of the seeds in its category."""
        categories = self.catalogue.item_category[seeds.item_idx]
        known = categories != NO_CATEGORY
        shares = np.bincount(categories[known], seeds.weights[known])
        present = np.flatnonzero(shares)
        if not len(present):
            return ScoredItems(np.empty(0, np.int32), np.empty(0, np.float32))
        offsets = self.catalogue.category_items_offsets
        members = [
            first_eligible(self.catalogue.category_items[offsets[c] : offsets[c + 1]], eligible, n)
            for c in present
        ]
        # A parent category lists the items of its children as well: count each item once.
        items = np.unique(np.concatenate(members)).astype(np.int32)
        own = self.catalogue.item_category[items]
        share = np.zeros(len(items))
        in_range = (own >= 0) & (own < len(shares))
        share[in_range] = shares[own[in_range]] / shares.sum()
        return top(items, (self.catalogue.popularity[items] * share).astype(np.float32), n)
