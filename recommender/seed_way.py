"""The kernels of `recommender.seeds`: the way that the seeds are, walked from its newest step."""

from __future__ import annotations

from typing import Final

import numpy as np

from recommender.compiled import kernel
from recommender.terms import (
    MICROS_PER_SECOND,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
)

# An interaction so old that its weight underflows still counts as known: it stays above zero.
_LEAST: Final = float(np.finfo(np.float32).tiny)


@kernel
def decayed(
    weights: Float64Array, ages: Int64Array, half_life: float
) -> tuple[Float32Array, Float32Array]:
    """Weights that halve with every half-life of age, and the ages in seconds: float32 (n,) both.

    Parameters
    ----------
    weights, ages
        float64 (n,), positive; microseconds, int64 (n,).
    """
    lasting, seconds = np.empty(len(ages), np.float32), np.empty(len(ages), np.float32)
    for place in range(len(ages)):
        age = ages[place] / MICROS_PER_SECOND
        seconds[place] = age
        lasting[place] = max(weights[place] * np.exp2(-age / half_life), _LEAST)
    return lasting, seconds


@kernel
def without_part(
    part: int, fields: tuple[Int32Array, Int32Array, Float32Array, Float32Array, Int32Array]
) -> tuple[Int32Array, Int32Array, Float32Array, Float32Array, Int32Array]:
    """The fields of the seeds that are not of this part of the query, in their order."""
    item_idx, event_codes, weights, ages, parts = fields
    kept = np.flatnonzero(parts != part)
    return item_idx[kept], event_codes[kept], weights[kept], ages[kept], parts[kept]


@kernel
def walked(item_idx: Int32Array, ages: Float32Array) -> tuple[Int32Array, Int32Array, Int32Array]:
    """The lag of each seed, the distinct items newest first, and the lag of each: int32.

    Parameters
    ----------
    item_idx, ages
        Oldest first, int32 and float32 (n,).
    """
    count = len(item_idx)
    lags = np.empty(count, np.int32)
    items, behind = np.empty(count, np.int32), np.empty(count, np.int32)
    met, lag, moment = 0, -1, np.float32(-1)
    for place in range(count - 1, -1, -1):
        is_new = True
        for other in range(met):
            is_new &= items[other] != item_idx[place]
        if is_new:
            # Of each moment, the first item that was not met later opens it.
            if ages[place] != moment:
                lag += 1
            moment = ages[place]
            items[met], behind[met] = item_idx[place], lag
            met += 1
        lags[place] = lag
    return lags, items[:met], behind[:met]


@kernel
def summed(item_idx: Int32Array, weights: Float32Array) -> tuple[Int32Array, Float32Array]:
    """Each item once, ascending, with its weights summed: int32 (m,), float32 (m,)."""
    order = np.argsort(item_idx, kind="mergesort")
    items, sums = np.empty(len(order), np.int32), np.empty(len(order), np.float32)
    count, total = 0, 0.0
    for place in range(len(order)):
        row = order[place]
        if place == 0 or item_idx[row] != items[count - 1]:
            items[count], total = item_idx[row], 0.0
            count += 1
        total += weights[row]
        sums[count - 1] = total
    return items[:count], sums[:count]
