"""The kernels of `recommender.ranking`: what all sources propose, brought together and ordered.

Notation: s sources, each with a row of proposals as `recommender.candidates.proposals` has them;
the *share* of an item is its score relative to the best one of its row.
"""

from __future__ import annotations

import numpy as np

from recommender.candidates.best import keep_best, ordered
from recommender.candidates.proposals import Rows
from recommender.compiled import kernel
from recommender.terms import BoolArray, Float32Array, Int32Array, Int64Array


@kernel
def blended(
    rows: Rows, weights: Float32Array, heard: BoolArray, most: int, place_of: Int32Array
) -> tuple[Int32Array, Float32Array, Int64Array, int]:
    """Items by the weighted sum of their shares; ties by item index.

    Parameters
    ----------
    weights
        Of each source, not negative, float32 (s,).
    heard
        The sources that take part, bool (s,).
    most
        How many items are wanted.
    place_of
        Zero for all items, and so at the end.

    Returns
    -------
    The best items, their sums, the row of the source that added most to each, and how many items
    there are in all: int32 (≤ most,), float32, int64.
    """
    found, sums, strongest = _added_up(rows, weights, heard, place_of)
    best, worth = _best(found, sums, most)
    by = np.empty(len(best), np.int64)
    for place in range(len(best)):
        by[place] = strongest[place_of[best[place]] - 1]
    for item in found:
        place_of[item] = 0
    return best, worth, by, len(found)


@kernel
def _added_up(
    rows: Rows, weights: Float32Array, heard: BoolArray, place_of: Int32Array
) -> tuple[Int32Array, Float32Array, Int64Array]:
    """Items as they come, their sums, and the strongest source; `place_of` has places plus 1."""
    item_idx, scores, counts = rows
    total = int(counts.sum())
    found, strongest = np.empty(total + 1, np.int32), np.empty(total + 1, np.int64)
    sums, largest = np.zeros(total + 1, np.float32), np.zeros(total + 1, np.float32)
    count, first = 0, -1
    for row in range(len(counts)):
        if not heard[row] or counts[row] == 0:
            continue
        first = row if first < 0 else first
        best, weight = scores[row, 0], weights[row]
        for column in range(counts[row]):
            # Written whether it changes something or not: a wrong guess takes longer.
            item = np.uint32(item_idx[row, column])
            is_new = place_of[item] == 0
            place = np.uint32(count if is_new else place_of[item] - 1)
            count += is_new
            found[place], place_of[item] = item, place + 1
            part = scores[row, column] / best * weight
            sums[place] += part
            # Where nothing is added, the first source stands for it.
            before = first if is_new else strongest[place]
            strongest[place] = row if part > largest[place] else before
            largest[place] = max(part, largest[place])
    return found[:count], sums[:count], strongest


@kernel
def _best(item_idx: Int32Array, sums: Float32Array, most: int) -> tuple[Int32Array, Float32Array]:
    """The best items, those with a sum of 0 at the end: int32, float32 (≤ most,)."""
    if len(sums) <= most:
        return ordered(item_idx, sums)
    found, worth = np.empty(most, np.int32), np.empty(most, np.float32)
    count = keep_best(item_idx, sums, found, worth)
    if count < most:
        rest = np.sort(item_idx[sums == 0])
        found[count:], worth[count:] = rest[: most - count], 0
    return ordered(found, worth)


@kernel
def everything(rows: Rows, place_of: Int32Array) -> Int32Array:
    """All items of some proposals, as they come, each once: int32 (m,).

    Parameters
    ----------
    place_of
        Zero for all items, and so at the end.
    """
    item_idx, _, counts = rows
    found, count = np.empty(int(counts.sum()) + 1, np.int32), 0
    for row in range(len(counts)):
        for column in range(counts[row]):
            item = np.uint32(item_idx[row, column])
            found[count] = item
            count += place_of[item] == 0
            place_of[item] = 1
    for item in found[:count]:
        place_of[item] = 0
    return found[:count]


@kernel
def said_of(
    item_idx: Int32Array, rows: Rows, place_of: Int32Array
) -> tuple[Float32Array, Float32Array]:
    """What each source says of some items, and the shares of that: float32 (s, m) each.

    Parameters
    ----------
    item_idx
        int32 (m,), none twice.
    place_of
        Zero for all items, and so at the end.
    """
    proposed, scores, counts = rows
    for place in range(len(item_idx)):
        place_of[item_idx[place]] = place + 1
    said = np.zeros((len(counts), len(item_idx)), np.float32)
    shares = np.zeros((len(counts), len(item_idx)), np.float32)
    # One place more, before the others, for whatever is not asked for: to ask would take longer.
    every = np.zeros(len(item_idx) + 1, np.float32)
    for row in range(len(counts)):
        if counts[row] == 0:
            continue
        every[:] = 0
        for column in range(counts[row]):
            every[np.uint32(place_of[np.uint32(proposed[row, column])])] = scores[row, column]
        best = scores[row, 0]
        for place in range(len(item_idx)):
            said[row, place] = every[place + 1]
            shares[row, place] = every[place + 1] / best
    for item in item_idx:
        place_of[item] = 0
    return said, shares
