"""Sorting by the digits of numbers: a kernel that other kernels call.

A sort that compares guesses wrong at every other step, and each wrong guess costs a processor what
twenty additions do; of a few hundred numbers that never were in this order before, that is most of
the time. To sort by digits (Knuth, TAOCP 3, 5.2.5, from the lowest one up) takes no guess.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recommender.compiled import kernel
from recommender.terms import Int32Array

_DIGITS, _BITS = 4, 8
_VALUES = 1 << _BITS


@kernel
def by_digits(keys: npt.NDArray[np.uint32]) -> Int32Array:
    """Places of the keys, smallest key first; of equal keys, the earlier place. int32 (n,)."""
    n = len(keys)
    places, moved = np.arange(n).astype(np.int32), np.empty(n, np.int32)
    ends = np.zeros((_DIGITS, _VALUES), np.int32)
    for key in keys:
        for digit in range(_DIGITS):
            ends[digit, (key >> np.uint32(_BITS * digit)) & np.uint32(_VALUES - 1)] += 1
    for digit in range(_DIGITS):
        shift, place_of, total = np.uint32(_BITS * digit), ends[digit], 0
        if n > 0 and place_of[(keys[0] >> shift) & np.uint32(_VALUES - 1)] == n:
            continue  # all the same
        for value in range(_VALUES):
            place_of[value], total = total, total + place_of[value]
        for place in places:
            value = (keys[np.uint32(place)] >> shift) & np.uint32(_VALUES - 1)
            moved[np.uint32(place_of[value])] = place
            place_of[value] += 1
        places, moved = moved, places
    return places
