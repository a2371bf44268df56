"""The kernel of `recommender.fatigue`: a ranking in the order of its discounted ranks, mixed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from recommender.compiled import kernel
from recommender.lookup import found
from recommender.terms import Float32Array, Float64Array, Int32Array, Int64Array

_LANES = 8


class Settled(NamedTuple):
    """What came of a ranking of n items.

    Parameters
    ----------
    order
        Places of what is left, in the new order, int64 (m,).
    scores
        The score that stands at the discounted rank of each, between two of them in proportion,
        float32 (m,).
    gain
        Share of its strength that the list kept.
    changes
        Of the places that are or were in the list, those of items that went down or away: place,
        row in what was ignored or -1, number of the cap or 0, and new place, counted from 1, or 0
        for away; int64 (changes, 4), by place.
    """

    order: Int64Array
    scores: Float32Array
    gain: float
    changes: Int64Array


def settled(
    ranked: tuple[Int32Array, Float32Array, Int64Array],
    ignored: tuple[Int32Array, Float64Array],
    mix: tuple[Int32Array, Int64Array],
    constant: float,
    limit: int,
) -> Settled:
    """Look each ranked item up in what was ignored, rank anew, and keep so many of each label.

    Parameters
    ----------
    ranked
        Items and scores, best first, int32 and float32 (n,), at least one; and the number of the
        cap that rests each for its brand or category, 0 for none, int64 (n,). The caps that act
        here are written into it. Named tuples would cost more than all of this takes.
    ignored
        Items, rising, int32 (e,); the discount of the strength of each, in (0, 1], and the number
        of the cap that rests each by itself, 0 for none, float64 (2, e).
    mix
        For each attribute that is mixed, the label of each ranked item, -1 for none, int32 (a, n);
        how many of a label there may be, and the number of that cap, int64 (a, 2).
    constant
        c of `recommender.fatigue`.
    limit
        Length of the list, 1 to 128.
    """
    return Settled(*_settled(ranked, ignored, mix, constant, limit))


@kernel
def _settled(
    ranked: tuple[Int32Array, Float32Array, Int64Array],
    ignored: tuple[Int32Array, Float64Array],
    mix: tuple[Int32Array, Int64Array],
    constant: float,
    limit: int,
) -> tuple[Int64Array, Float32Array, float, Int64Array]:
    """The same as a plain tuple: a kernel unpickles the class of a named one at every call."""
    item_idx, scores, cap = ranked
    labels, most = mix
    ignored_idx, told = ignored
    count = len(item_idx)
    row = np.full(count, -1, np.int64)
    discount = np.ones(count)
    rank = np.empty(count)
    for place in range(count):
        rank[place] = max(place + 1.0 + constant - constant, place + 1.0)
    places, rows = found(item_idx, ignored_idx)
    for at in range(len(places)):
        place, row[places[at]] = places[at], rows[at]
        discount[place] = told[0, rows[at]]
        if told[1, rows[at]] > 0:
            cap[place] = int(told[1, rows[at]])
        rank[place] = max((place + 1.0 + constant) / discount[place] - constant, place + 1.0)
    order = _mixed(_by_rank(rank), cap, labels, most)
    shown = min(limit, count)
    whole = _strength(np.arange(shown), np.ones(shown), constant)
    gain = _strength(order[:shown], discount, constant) / whole
    changes = _changes(order, row, discount, cap, limit)
    return order, _scores_at(rank, order, scores), gain, changes


@kernel
def _by_rank(rank: Float64Array) -> Int64Array:
    """Places by rank, ties by place: few are not where they were, so both sorts are merged."""
    order = np.empty(len(rank), np.int64)
    lowered = np.empty(len(rank), np.int64)
    many = 0
    for place in range(len(rank)):
        if rank[place] > place + 1.0:
            lowered[many] = place
            many += 1
    lowered = lowered[:many]
    lowered = lowered[np.argsort(rank[lowered], kind="mergesort")]
    filled = waiting = 0
    for place in range(len(rank)):
        if rank[place] > place + 1.0:
            continue
        while waiting < many and _is_before(rank, lowered[waiting], place):
            order[filled] = lowered[waiting]
            filled += 1
            waiting += 1
        order[filled] = place
        filled += 1
    order[filled:] = lowered[waiting:]
    return order


@kernel
def _is_before(rank: Float64Array, one: int, other: int) -> bool:
    return bool(rank[one] < rank[other] or (rank[one] == rank[other] and one < other))


@kernel
def _mixed(order: Int64Array, cap: Int64Array, labels: Int32Array, most: Int64Array) -> Int64Array:
    """What rests by no cap, and is not too much of one label; that is noted in `cap`."""
    kept = np.empty(len(order), np.int64)
    left = 0
    for place in order:
        if cap[place] == 0:
            kept[left] = place
            left += 1
    kept = kept[:left]
    for number in range(len(most)):
        counts = np.zeros(max(labels[number].max(), 0) + 1, np.int64)
        left = 0
        for place in kept:
            label = labels[number, place]
            if label >= 0:
                counts[label] += 1
                if counts[label] > most[number, 0]:
                    cap[place] = most[number, 1]
                    continue
            kept[left] = place
            left += 1
        kept = kept[:left]
    return kept


@kernel
def _scores_at(rank: Float64Array, order: Int64Array, scores: Float32Array) -> Float32Array:
    """The score that stands at each discounted rank, between two of them in proportion."""
    scored = np.empty(len(order), np.float32)
    last = len(scores) - 1
    for place in range(len(order)):
        at = rank[order[place]] - 1.0
        below = int(at)
        if below >= last:
            scored[place] = scores[last]
            continue
        slope = np.float64(scores[below + 1]) - np.float64(scores[below])
        scored[place] = slope * (at - below) + scores[below]
    return scored


@kernel
def _strength(places: Int64Array, discount: Float64Array, constant: float) -> float:
    """Sum of the discounted strength at some places, at most 128.

    Added up as numpy adds (eight lanes, in pairs), so that figures stay what they were in logs.
    """
    lanes = np.zeros(_LANES)
    whole = len(places) // _LANES * _LANES
    for at in range(whole):
        place = places[at]
        lanes[at % _LANES] += 1.0 / (place + 1.0 + constant) * discount[place]
    total = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + (
        (lanes[4] + lanes[5]) + (lanes[6] + lanes[7])
    )
    for at in range(whole, len(places)):
        place = places[at]
        total += 1.0 / (place + 1.0 + constant) * discount[place]
    return float(total)


@kernel
def _changes(
    order: Int64Array, row: Int64Array, discount: Float64Array, cap: Int64Array, limit: int
) -> Int64Array:
    """See `Settled.changes`."""
    after = np.zeros(len(row), np.int64)
    for at in range(len(order)):
        after[order[at]] = at + 1
    listed = np.empty((min(2 * limit, len(row)), 4), np.int64)
    count = 0
    for place in range(len(row)):
        is_listed = place < limit or 0 < after[place] <= limit
        if is_listed and (cap[place] > 0 or discount[place] != 1.0):
            listed[count, 0], listed[count, 1] = place, row[place]
            listed[count, 2], listed[count, 3] = cap[place], after[place]
            count += 1
    return listed[:count]
