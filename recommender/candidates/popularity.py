"""What many choose: overall, and in the categories that the shopper deals with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.candidates.best import first, keep_best
from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.catalogue import Catalogue
from recommender.compiled import kernel
from recommender.scratch import scratch
from recommender.seeds import Seeds
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array


@dataclass(frozen=True, slots=True)
class PopularitySource(CandidateSource):
    """The most popular items; needs no seeds."""

    catalogue: Catalogue

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:  # noqa: ARG002 - popularity is the same for all
        """Score of an item: its decayed popularity."""
        catalogue = self.catalogue
        proposals.counts[row] = _popular(
            catalogue.popular_order, catalogue.popularity, eligible, proposals.row(row)
        )


@dataclass(frozen=True, slots=True)
class PopularInCategorySource(CandidateSource):
    """The most popular items of the categories that the seeds belong to."""

    catalogue: Catalogue

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of an item: its popularity times the share of the seeds in its category.

        A parent category lists the items of its children as well: each is counted once.
        """
        catalogue = self.catalogue
        lists = (catalogue.category_items, catalogue.category_items_offsets)
        own = (catalogue.item_category, catalogue.popularity)
        seen = scratch("seen_in_category", len(eligible), np.bool_)
        start = (seeds.item_idx, seeds.weights)
        into = proposals.row(row)
        proposals.counts[row] = _popular_near(lists, own, start, eligible, seen, into)


@kernel
def _popular(
    order: Int32Array,
    popularity: Float32Array,
    eligible: BoolArray,
    into: tuple[Int32Array, Float32Array],
) -> int:
    found = first(order, eligible, len(into[0]))
    return keep_best(found, popularity[found], into[0], into[1])


@kernel
def _popular_near(
    lists: tuple[Int32Array, Int64Array],
    own: tuple[Int32Array, Float32Array],
    start: tuple[Int32Array, Float32Array],
    eligible: BoolArray,
    seen: BoolArray,
    into: tuple[Int32Array, Float32Array],
) -> int:
    """The first n of each category of the seeds, each once; `seen` is false, and so at the end."""
    members, offsets = lists
    category, popularity = own
    n = len(into[0])
    shares = _shares(category, start, len(offsets) - 1)
    found = np.empty(n * np.count_nonzero(shares), np.int32)
    count = 0
    for label in np.flatnonzero(shares):
        for item in first(members[offsets[label] : offsets[label + 1]], eligible, n):
            if not seen[item]:
                seen[item] = True
                found[count] = item
                count += 1
    scores = np.zeros(count, np.float32)
    for place in range(count):
        item = found[place]
        seen[item] = False
        if category[item] >= 0:
            scores[place] = popularity[item] * shares[category[item]]
    return keep_best(found[:count], scores, into[0], into[1])


@kernel
def _shares(
    category: Int32Array, start: tuple[Int32Array, Float32Array], labels: int
) -> Float64Array:
    """Share of the seeds' weight in each category, float64 (labels,)."""
    sums = np.zeros(labels)
    for place in range(len(start[0])):
        label = category[start[0][place]]
        if label >= 0:
            sums[label] += start[1][place]
    shares: Float64Array = sums / max(sums.sum(), 1e-300)
    return shares
