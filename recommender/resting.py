"""The kernel of `recommender.fatigue`: a ranking in the order of its discounted ranks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recommender.compiled import kernel
from recommender.terms import Float32Array, Float64Array, Int32Array, Int64Array


class Ignored(NamedTuple):
    """What was ignored, by rising item index.

    Parameters
    ----------
    item_idx
        int32 (e,).
    discount
        Of the strength of each, in (0, 1], float64 (e,).
    cap
        Number of the cap that rests each by itself, 0 for none, int64 (e,).
    """

    item_idx: Int32Array
    discount: Float64Array
    cap: Int64Array


class Lowered(NamedTuple):
    """What came of each ranked item.

    Parameters
    ----------
    row
        Row in what was ignored, -1 for an item that was not; int64 (n,).
    discount
        float64 (n,).
    cap
        int64 (n,).
    rank
        Discounted rank, float64 (n,), never above the rank.
    order
        The places that do not rest, by discounted rank; int64 (≤ n,).
    """

    row: Int64Array
    discount: Float64Array
    cap: Int64Array
    rank: Float64Array
    order: Int64Array


@kernel
def lowered(item_idx: Int32Array, cap: Int64Array, ignored: Ignored, constant: float) -> Lowered:
    """Look each ranked item up in what was ignored, and rank anew.

    Parameters
    ----------
    item_idx
        Best first, int32 (n,).
    cap
        What rests each item for its brand or category, 0 for nothing; int64 (n,).
    constant
        c of `recommender.fatigue`.
    """
    count = len(item_idx)
    row = np.full(count, -1, np.int64)
    discount = np.ones(count)
    rank = np.empty(count)
    for place in range(count):
        at = np.searchsorted(ignored.item_idx, item_idx[place])
        if at < len(ignored.item_idx) and ignored.item_idx[at] == item_idx[place]:
            row[place] = at
            discount[place] = ignored.discount[at]
            if ignored.cap[at] > 0:
                cap[place] = ignored.cap[at]
        plain = place + 1.0
        rank[place] = max((plain + constant) / discount[place] - constant, plain)
    order = np.argsort(rank, kind="mergesort")
    kept = np.empty(count, np.int64)
    left = 0
    for place in order:
        if cap[place] == 0:
            kept[left] = place
            left += 1
    return Lowered(row, discount, cap, rank, kept[:left])


@kernel
def scores_at(rank: Float64Array, order: Int64Array, scores: Float32Array) -> Float32Array:
    """The score that stands at each discounted rank, between two of them in proportion."""
    found = np.empty(len(order), np.float32)
    last = len(scores) - 1
    for place in range(len(order)):
        at = rank[order[place]] - 1.0
        below = int(at)
        if below >= last:
            found[place] = scores[last]
            continue
        slope = np.float64(scores[below + 1]) - np.float64(scores[below])
        found[place] = slope * (at - below) + scores[below]
    return found
