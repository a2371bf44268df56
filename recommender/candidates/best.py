"""The best of some scored items, the first of an order: kernels that other kernels call.

Scores are compared by their bits, as int32: those of positive floats rise as the floats do, and
what is not positive has bits that are not.
"""

from __future__ import annotations

import numpy as np

from recommender.candidates.radix import by_digits
from recommender.compiled import kernel
from recommender.terms import BoolArray, Float32Array, Int32Array


@kernel
def ordered(item_idx: Int32Array, scores: Float32Array) -> tuple[Int32Array, Float32Array]:
    """Items of positive or zero scores, best first; ties by item index: int32, float32 (m,)."""
    bits = scores.view(np.uint32)
    order = by_digits(~bits)
    found, worth = item_idx[order], scores[order]
    begin, is_rising = 0, True
    for place in range(1, len(found) + 1):
        if place < len(found) and worth[place] == worth[begin]:
            is_rising &= found[place] > found[place - 1]
            continue
        if not is_rising:
            found[begin:place] = np.sort(found[begin:place])
        begin, is_rising = place, True
    return found, worth


@kernel
def keep_best(
    item_idx: Int32Array, scores: Float32Array, found: Int32Array, worth: Float32Array
) -> int:
    """Write the best with a positive score: the very best first, the others in no order.

    Of equal scores, the smaller item indices are better.

    Parameters
    ----------
    found, worth
        Where to write items and scores, int32 and float32 (n,).

    Returns
    -------
    How many there are, at most n.
    """
    bits, into = scores.view(np.int32), worth.view(np.int32)
    above, ties = _cut(bits, len(found))
    count, first = 0, 0
    for place in range(len(bits)):
        if bits[place] > above:
            found[count], into[count] = item_idx[place], bits[place]
            if into[count] > into[first]:
                first = count
            count += 1
    if ties > 0:
        tied = np.sort(item_idx[bits == above])
        for item in tied[:ties]:
            found[count], into[count] = item, above
            count += 1
    if count > 0:
        found[0], found[first] = found[first], found[0]
        into[0], into[first] = into[first], into[0]
    return count


@kernel
def keep_best_of_all(
    scores: Float32Array, eligible: BoolArray, found: Int32Array, worth: Float32Array
) -> int:
    """The same of a score for each item of the catalogue, float32 (items,), if it is eligible.

    The scores of the others become 0.
    """
    for item in range(len(scores)):
        scores[item] = scores[item] if eligible[item] else 0
    return keep_best(np.arange(len(scores)).astype(np.int32), scores, found, worth)


@kernel
def _cut(bits: Int32Array, n: int) -> tuple[int, int]:
    """Bits above which everything is among the n best, and how many with just these bits are.

    Found by halving: to count what is not below a number takes no branch, so that a processor does
    it for many scores at once, and no guess of it is ever wrong.
    """
    if _not_below(bits, 1) <= n:
        return 0, 0
    low, high, higher = 1, int(bits.max()) + 1, 0
    while high - low > 1:
        middle = (low + high) // 2
        count = _not_below(bits, middle)
        if count == n:
            return middle - 1, 0
        if count > n:
            low = middle
        else:
            high, higher = middle, count
    return low, n - higher


@kernel
def _not_below(bits: Int32Array, least: int) -> int:
    bound, count = np.int32(least), np.int32(0)
    for place in range(len(bits)):
        # All in 32 bits, or a processor does it for half as many at once.
        count = np.int32(count + np.int32(bits[place] >= bound))
    return int(count)


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
