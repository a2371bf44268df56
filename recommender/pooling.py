"""The kernels of `recommender.ranking`: what all sources propose, brought together and ordered."""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.terms import Float32Array, Int32Array, Int64Array


@kernel
def pooled(
    every: Int32Array, said: Float32Array, ends: Int64Array, place_of: Int32Array
) -> tuple[Int32Array, Float32Array, Float32Array]:
    """The items of all sources and what each says of them: see `recommender.ranking.Pool`.

    Parameters
    ----------
    every, said
        Items and scores of the sources, one behind the other, each best first: int32, float32.
    ends
        Where each source ends, int64 (sources,).
    place_of
        Zero for all items, and so at the end.
    """
    item_idx = np.empty(len(every), np.int32)
    count = 0
    for item in every:
        if place_of[item] == 0:
            place_of[item] = 1
            item_idx[count] = item
            count += 1
    item_idx = np.sort(item_idx[:count])
    for place in range(count):
        place_of[item_idx[place]] = place
    scores = np.zeros((len(ends), count), np.float32)
    shares = np.zeros((len(ends), count), np.float32)
    begin = 0
    for source in range(len(ends)):
        for row in range(begin, ends[source]):
            scores[source, place_of[every[row]]] = said[row]
            shares[source, place_of[every[row]]] = said[row] / said[begin]
        begin = ends[source]
    for item in item_idx:
        place_of[item] = 0
    return item_idx, scores, shares


@kernel
def blended(
    shares: Float32Array, weights: Float32Array
) -> tuple[Int64Array, Float32Array, Int64Array]:
    """Columns by the weighted sum of their shares: order, sums, and the row that added most.

    Parameters
    ----------
    shares, weights
        float32 (sources, n) and (sources,), not negative.
    """
    sources, count = shares.shape
    sums = np.zeros(count, np.float32)
    most = np.zeros(count, np.float32)
    strongest = np.zeros(count, np.int64)
    for source in range(sources):
        for column in range(count):
            part = shares[source, column] * weights[source]
            sums[column] += part
            if part > most[column]:
                most[column], strongest[column] = part, source
    # One number per column, smaller for what is better; ties by column.
    bits = sums.view(np.uint32)
    keys = np.empty(count, np.uint64)
    for column in range(count):
        keys[column] = (np.uint64(~bits[column]) << np.uint64(32)) | np.uint64(column)
    keys = np.sort(keys)
    order = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
    return order, sums[order], strongest[order]
