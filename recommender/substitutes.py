"""Which items replace each other, rather than going together: what a cart is not to be offered.

Notation: two items *meet* in a visit that looks at both (v times) and in one that
buys both (b times). The *lift* of a pair is its share b / (b + v), shrunk, relative to that of all
pairs. Below `SUBSTITUTE_BELOW` they are compared rather than combined: one replaces the other. A
pair that is not listed has the lift of its categories; where even that is unknown, items of one
category replace each other. Estimated in `training.models.meetings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recommender.bundle import ModelBundle
from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.terms import BoolArray, Float32Array, Int32Array

SUBSTITUTE_BELOW: Final = 1.0


@dataclass(frozen=True, slots=True)
class Pairs:
    """How pairs of items meet.

    Parameters
    ----------
    idx, lift
        Items that each item meets most, padded with -1, and the lift of each pair: int32, float32
        (items, width). None where the log says nothing about pairs.
    category, category_lift
        The same of categories, int32, float32 (categories, category width).
    """

    catalogue: Catalogue
    idx: Int32Array | None = None
    lift: Float32Array | None = None
    category: Int32Array | None = None
    category_lift: Float32Array | None = None

    @classmethod
    def of(cls, bundle: ModelBundle) -> Pairs:
        """The pairs of a bundle."""
        got: Mapping[str, Any] = bundle.arrays
        names = ("pair_idx", "pair_lift", "pair_category", "pair_category_lift")
        return cls(bundle.catalogue, *(got.get(name) for name in names))

    def replaces(self, items: Int32Array, cart: Sequence[int]) -> BoolArray:
        """Whether each of n items replaces each of m others, bool (n, m)."""
        found = np.empty((len(items), len(cart)), np.bool_)
        for column, other in enumerate(cart):
            found[:, column] = self._replaces_one(items, other)
        return found

    def _replaces_one(self, items: Int32Array, other: int) -> BoolArray:
        own = int(self.catalogue.item_category[other])
        categories = self.catalogue.item_category[items]
        same: BoolArray = (categories == own) & (own != NO_CATEGORY)
        if self.idx is None or self.lift is None or self.category is None:
            return same
        lifts = np.where(same, 0.0, np.inf)
        if own != NO_CATEGORY and self.category_lift is not None:
            _look_up(lifts, categories, self.category[own], self.category_lift[own])
        # The lift of a pair is the same both ways, but only one of the two may list the other.
        row, column = np.nonzero(self.idx[items] == other)
        lifts[row] = self.lift[items[row], column]
        _look_up(lifts, items, self.idx[other], self.lift[other])
        replaced: BoolArray = lifts < SUBSTITUTE_BELOW
        return replaced


def _look_up(
    lifts: npt.NDArray[np.float64], keys: Int32Array, listed: Int32Array, values: Float32Array
) -> None:
    """Put the value of each key that is listed into `lifts`, in place."""
    row, column = np.nonzero((keys[:, None] == listed[None, :]) & (keys[:, None] >= 0))
    lifts[row] = values[column]
