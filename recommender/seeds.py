"""What a query says about the shopper, as indices and weights: where every source starts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import numpy as np

from recommender.ids import IdMap
from recommender.query import Interaction
from recommender.terms import (
    EVENT_CODES,
    MICROS_PER_SECOND,
    BoolArray,
    Float32Array,
    Int32Array,
)

Found = TypeVar("Found")
# Parts of a query, in the order in which seeds are joined.
PART_CODES: Final[dict[str, int]] = {"history": 0, "session": 1, "cart": 2, "context": 3}


@dataclass(frozen=True, slots=True)
class Seeds:
    """Known items that a shopper dealt with.

    Parameters
    ----------
    item_idx
        int32 (n,), oldest first; an item may occur several times.
    event_codes
        `recommender.terms.EVENT_CODES` of each, int32 (n,).
    weights
        Event weight times recency decay, float32 (n,), positive.
    ages
        Seconds from each to the moment of asking, float32 (n,), not negative.
    parts
        Which part of the query each is from, a code of `PART_CODES`, int32 (n,).
    """

    item_idx: Int32Array
    event_codes: Int32Array
    weights: Float32Array
    ages: Float32Array
    parts: Int32Array
    _kept: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.item_idx)

    @classmethod
    def joined(cls, parts: Iterable[Seeds]) -> Seeds:
        """All seeds of several parts, in their order."""
        listed = [part for part in parts if len(part)] or [NO_SEEDS]
        return cls(
            np.concatenate([part.item_idx for part in listed]),
            np.concatenate([part.event_codes for part in listed]),
            np.concatenate([part.weights for part in listed]),
            np.concatenate([part.ages for part in listed]),
            np.concatenate([part.parts for part in listed]),
        )

    def of_part(self, *names: str) -> Seeds:
        """The seeds of these parts of the query."""
        return self[_among(self.parts, [PART_CODES[name] for name in names])]

    def steps(self) -> Seeds:
        """The steps of the way: what is in the cart got there by one, and the page is the last one.

        Where nothing else is known, the cart is the way.
        """
        return self._once("steps", self._steps)

    def _steps(self) -> Seeds:
        cart = self.parts == PART_CODES["cart"]
        return self if cart.all() or not cart.any() else self[~cart]

    def __getitem__(self, kept: BoolArray) -> Seeds:
        return Seeds(
            self.item_idx[kept],
            self.event_codes[kept],
            self.weights[kept],
            self.ages[kept],
            self.parts[kept],
        )

    def lags(self) -> Int32Array:
        """How many later moments each seed is behind, int32 (n,); the newest have lag 0.

        Everything of one moment (a basket, the items of a page) has one lag, and a moment counts
        only where it brought an item that no later one had: looking twice at the same thing does
        not push the rest away.
        """
        return self._once("lags", self._lags)

    def _lags(self) -> Int32Array:
        # A plain loop, here and below: of a few dozen seeds, calls of numpy would cost more.
        lags: list[int] = []
        lag, moment, met = -1, -1.0, set()
        for item, age in zip(self.item_idx[::-1].tolist(), self.ages[::-1].tolist(), strict=True):
            if item not in met:
                met.add(item)
                # Of each moment, the first item that was not met later opens it.
                lag, moment = lag + (age != moment), age
            lags.append(lag)
        return np.array(lags[::-1], np.int32)

    def distinct(self, most: int) -> tuple[Int32Array, Int32Array]:
        """The latest distinct items and the lag of each, newest first: int32 (≤ most,) each."""
        items, lags = self._once("distinct", self._distinct)
        return items[:most], lags[:most]

    def _distinct(self) -> tuple[Int32Array, Int32Array]:
        found: dict[int, int] = {}
        items, lags = self.item_idx[::-1].tolist(), self.lags()[::-1].tolist()
        for item, lag in zip(items, lags, strict=True):
            found.setdefault(item, lag)
        return np.array([*found], np.int32), np.array([*found.values()], np.int32)

    def summed(self) -> tuple[Int32Array, Float32Array]:
        """Each item once, ascending, with its weights summed: int32 (m,), float32 (m,)."""
        return self._once("summed", self._summed)

    def _summed(self) -> tuple[Int32Array, Float32Array]:
        sums: dict[int, float] = {}
        for item, weight in zip(self.item_idx.tolist(), self.weights.tolist(), strict=True):
            sums[item] = sums.get(item, 0.0) + weight
        items = sorted(sums)
        return np.array(items, np.int32), np.array([sums[item] for item in items], np.float32)

    def _once(self, name: str, make: Callable[[], Found]) -> Found:
        """What several sources ask for is worked out for the first of them."""
        if (found := self._kept.get(name)) is None:
            found = self._kept[name] = make()
        return found


def _among(codes: Int32Array, wanted: list[int]) -> BoolArray:
    """Which codes are among these few, bool (n,); `numpy.isin` takes several times as long."""
    found: BoolArray = (codes[:, None] == np.array(wanted, np.int32)).any(axis=1)
    return found


NO_SEEDS = Seeds(
    np.empty(0, np.int32),
    np.empty(0, np.int32),
    np.empty(0, np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.int32),
)


def seeds_of(
    interactions: Iterable[Interaction],
    ids: IdMap,
    at_micros: int,
    event_weights: Mapping[str, float],
    half_life_seconds: float,
    part: str,
) -> Seeds:
    """Resolve interactions of one part of a query, a name of `PART_CODES`, to seeds.

    Unknown items, event types without a positive weight and interactions after `at_micros` are
    left out. An interaction of age a weighs ``event_weight * 2 ** (-a / half_life)``.
    """
    rows = [
        (index, EVENT_CODES[event_type], weight, at_micros - ts)
        for item_id, event_type, ts in interactions
        if (weight := event_weights.get(event_type, 0.0)) > 0
        and ts <= at_micros
        and (index := ids.index(item_id)) is not None
    ]
    if not rows:
        return NO_SEEDS
    item_idx, codes, weights, ages = zip(*rows, strict=True)
    seconds = np.array(ages, np.float64) / MICROS_PER_SECOND
    decay = np.exp2(-seconds / half_life_seconds)
    # An interaction so old that its weight underflows still counts as known: keep it above zero.
    decayed = np.maximum(np.array(weights) * decay, np.finfo(np.float32).tiny)
    return Seeds(
        np.array(item_idx, np.int32),
        np.array(codes, np.int32),
        decayed.astype(np.float32),
        seconds.astype(np.float32),
        np.full(len(rows), PART_CODES[part], np.int32),
    )
