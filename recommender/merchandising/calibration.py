"""The shopper's mix of categories, and how far a list is from it (Steck 2018).

H. Steck, *Calibrated Recommendations*, RecSys 2018, https://doi.org/10.1145/3240323.3240372.

Notation: p the shopper's mix over g categories, q the mix of a list of k items; equation 6 of the
paper is ``KL(p || (1 - a) q + a p)`` with a = 0.01.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.catalogue import Catalogue
from recommender.merchandising.shop_rules import CalibrationRule
from recommender.seeds import Seeds
from recommender.terms import Float64Array, Int32Array, Int64Array

SMOOTHING: Final = 0.01
OTHER: Final = -1


@dataclass(slots=True)
class CategoryMix:
    """A shopper's mix, and that of a list which grows item by item.

    Parameters
    ----------
    shares
        p, float64 (g,), positive, summing to 1.
    groups
        For each candidate, its place in `shares`, or g for any other category; int64 (rows,).
    counts
        Items of the list so far by place, float64 (g,); those of other categories count in
        `length` only.
    """

    shares: Float64Array
    groups: Int64Array
    counts: Float64Array
    length: int = 0

    def divergence(self) -> Float64Array:
        """Divergence of the list with each candidate added, float64 (rows,), not negative."""
        # One item more changes the term of its own category alone.
        kept, grown = self._terms(self.counts), self._terms(self.counts + 1)
        total = kept.sum()
        by_group: Float64Array = np.append(total - kept + grown, total)
        return by_group[self.groups]

    def _terms(self, counts: Float64Array) -> Float64Array:
        mixed = (1 - SMOOTHING) / (self.length + 1) * counts + SMOOTHING * self.shares
        terms: Float64Array = self.shares * np.log(self.shares / mixed)
        return terms

    def add(self, row: int) -> None:
        """Put a candidate on the list."""
        if (group := int(self.groups[row])) < len(self.shares):
            self.counts[group] += 1
        self.length += 1


def category_mix(
    rule: CalibrationRule, seeds: Seeds, items: Int32Array, groups_of: Int32Array
) -> CategoryMix | None:
    """The shopper's mix beside these candidates; None with too little history.

    The mix is that of the seeds from earlier and the running visit, by their weights.

    Parameters
    ----------
    items
        Item indices of the candidates, int32 (rows,).
    groups_of
        Category of each item of the catalogue at the rule's depth, see `groups_of_items`.
    """
    done = seeds.of_part("history", "session")
    groups = groups_of[done.item_idx]
    known = groups != OTHER
    if np.count_nonzero(known) < rule.min_history:
        return None
    present, places = np.unique(groups[known], return_inverse=True)
    weights = np.bincount(places, done.weights[known].astype(np.float64))
    own = groups_of[items]
    place = np.minimum(np.searchsorted(present, own), len(present) - 1)
    found = np.where(present[place] == own, place, len(present))
    return CategoryMix(weights / weights.sum(), found, np.zeros(len(present)))


def groups_of_items(catalogue: Catalogue, depth: int) -> Int32Array:
    """For each item, its category cut to the first levels of its path, as a number, or `OTHER`."""
    paths = catalogue.categories.ids.tolist()
    cut = ["/".join(path.split("/")[:depth]) for path in paths]
    numbers = {path: number for number, path in enumerate(dict.fromkeys(cut))}
    # One more at the end, where the code of an unknown category (-1) leads.
    groups = np.array([*(numbers[path] for path in cut), OTHER], np.int32)
    of_items: Int32Array = groups[catalogue.item_category]
    return of_items
