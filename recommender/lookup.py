"""The kernel that finds a few items among many: what of a ranking was ignored, or is of a kind."""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel
from recommender.terms import Int32Array, Int64Array


@kernel
def found(item_idx: Int32Array, known: Int32Array) -> tuple[Int64Array, Int64Array]:
    """Places of the items that are among some others, and the row of each there: int64 (≤ n,) both.

    Parameters
    ----------
    item_idx
        int32 (n,), in any order.
    known
        int32 (k,), rising.
    """
    places = np.empty(len(item_idx), np.int64)
    rows = np.empty(len(item_idx), np.int64)
    count = 0
    # Most are not. A bit for each known item, by its last six bits, says so of most of them.
    bits = np.uint64(0)
    for item in known:
        bits |= np.uint64(1) << np.uint64(item & 63)
    for place in range(len(item_idx)):
        item = item_idx[place]
        if (bits >> np.uint64(item & 63)) & np.uint64(1):
            row = np.searchsorted(known, item)
            if row < len(known) and known[row] == item:
                places[count], rows[count] = place, row
                count += 1
    return places[:count], rows[:count]
