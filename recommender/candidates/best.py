"""The best of some scored items, the first of an order: kernels that other kernels call."""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.terms import BoolArray, Float32Array, Int32Array


@kernel
def best(item_idx: Int32Array, scores: Float32Array, n: int) -> tuple[Int32Array, Float32Array]:
    """The n best with a positive score, best first; ties by item index: int32, float32 (≤ n,)."""
    keys = np.empty(len(scores), np.uint64)
    bits = scores.view(np.uint32)
    count = 0
    for place in range(len(scores)):
        if scores[place] > 0:
            # One number per item, smaller for what is better. The bits of floats above 0 rise as
            # they do.
            keys[count] = (np.uint64(~bits[place]) << np.uint64(32)) | np.uint64(item_idx[place])
            count += 1
    keys = keys[:count]
    if count > 4 * n:
        keys = np.partition(keys, n)[:n]
    keys = np.sort(keys)[:n]
    found = np.empty(len(keys), np.int32)
    worth = np.empty(len(keys), np.uint32)
    for place in range(len(keys)):
        found[place] = np.int32(keys[place] & np.uint64(0xFFFFFFFF))
        worth[place] = ~np.uint32(keys[place] >> np.uint64(32))
    return found, worth.view(np.float32)


@kernel
def first(order: Int32Array, eligible: BoolArray, n: int) -> Int32Array:
    """The first n eligible items of an order, int32 (≤ n,), without looking at all of it."""
    found = np.empty(min(n, len(order)), np.int32)
    count = 0
    for item in order:
        if count == len(found):
            break
        if eligible[item]:
            found[count] = item
            count += 1
    return found[:count]
