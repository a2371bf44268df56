"""What many choose lately: each interaction counts its weight, halved every half-life."""

from __future__ import annotations

import numpy as np

from recommender.terms import Float32Array, Float64Array, Int32Array, Int64Array
from training.sections import SECONDS_PER_DAY

MICROS_PER_DAY = SECONDS_PER_DAY * 1_000_000


def decay(ts: Int64Array, at: int, half_life_days: float) -> Float64Array:
    """2 ** (-age / half-life) of moments before `at` (microseconds), float64, in (0, 1]."""
    ages = np.maximum(at - ts, 0) / MICROS_PER_DAY
    return np.exp2(-ages / half_life_days)


def mass(item_idx: Int32Array, weights: Float64Array, items: int) -> Float64Array:
    """Sum of the weights of each item, float64 (items,)."""
    return np.bincount(item_idx, weights, items).astype(np.float64)


def popularity(item_idx: Int32Array, weights: Float64Array, items: int) -> Float32Array:
    """Sum of decayed weights of each item, float32 (items,), not negative."""
    return mass(item_idx, weights, items).astype(np.float32)
