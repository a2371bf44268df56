"""What a query says about the shopper, as indices and weights: where every source starts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from recommender.ids import IdMap
from recommender.query import Interaction
from recommender.terms import EVENT_CODES, MICROS_PER_SECOND, Float32Array, Int32Array


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
    """

    item_idx: Int32Array
    event_codes: Int32Array
    weights: Float32Array

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
        )

    def of_types(self, event_types: tuple[str, ...]) -> Seeds:
        """The seeds of these event types; all of them where none is named."""
        if not event_types:
            return self
        kept = np.isin(self.event_codes, [EVENT_CODES[name] for name in event_types])
        return Seeds(self.item_idx[kept], self.event_codes[kept], self.weights[kept])

    def summed(self) -> tuple[Int32Array, Float32Array]:
        """Each item once, ascending, with its weights summed: int32 (m,), float32 (m,)."""
        items, inverse = np.unique(self.item_idx, return_inverse=True)
        return items, np.bincount(inverse, self.weights, len(items)).astype(np.float32)


NO_SEEDS = Seeds(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))


def seeds_of(
    interactions: Iterable[Interaction],
    ids: IdMap,
    at_micros: int,
    event_weights: Mapping[str, float],
    half_life_seconds: float,
) -> Seeds:
    """Resolve interactions to seeds.

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
    decay = np.exp2(-np.array(ages, np.float64) / (half_life_seconds * MICROS_PER_SECOND))
    # An interaction so old that its weight underflows still counts as known: keep it above zero.
    decayed = np.maximum(np.array(weights) * decay, np.finfo(np.float32).tiny)
    return Seeds(
        np.array(item_idx, np.int32), np.array(codes, np.int32), decayed.astype(np.float32)
    )
