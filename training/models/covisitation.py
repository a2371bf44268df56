"""Which items occur close to each other, by event type: "viewed next", "bought together".

Notation: a *step* is everything of one event type that a shopper did at one moment (a view, a
basket); a *group* is a session or a whole shopper. For steps s before t of one group, d steps and Δ
seconds apart, an item i of s and an item j of t gain

    position_decay ** (d - 1) * 2 ** (-Δ / half_life) / sqrt(|s| |t|)

and for d = 0 (one basket, pairs of one event type) both directions gain 1 / |s|: a wholesale basket
of 100 lines says about as much of each item as a small one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import sparse

from recommender.terms import BoolArray, Float64Array, Int32Array, Int64Array
from training.models.neighbours import NeighbourLists, strongest
from training.models.popularity import MICROS_PER_DAY
from training.sections import CovisitationSpec, PairSpec

_STEPS_AT_ONCE = 500_000


@dataclass(frozen=True, slots=True)
class Steps:
    """Steps of all groups, with the items of each.

    Parameters
    ----------
    group
        Group of each step, int64 (steps,), not falling.
    ts
        Moment of each step, microseconds, int64 (steps,), not falling within a group.
    earlier, later
        Items of each step that may stand first and second in a pair: float64 (steps, items), a
        stored value is ``1 / sqrt(|step|)``.
    is_same_type
        Both stand for the same event type, so items of one step are pairs as well.
    """

    group: Int64Array
    ts: Int64Array
    earlier: sparse.csr_array
    later: sparse.csr_array
    is_same_type: bool


@dataclass(frozen=True, slots=True)
class PairRows:
    """Events of the two types of a pair; all arrays (rows,), in the order (group, ts).

    Parameters
    ----------
    step
        int64, not falling.
    is_earlier, is_later
        Of the pair's first, second event type.
    """

    group: Int64Array
    step: Int64Array
    ts: Int64Array
    item_idx: Int32Array
    is_earlier: BoolArray
    is_later: BoolArray

    def __getitem__(self, kept: BoolArray) -> PairRows:
        return PairRows(
            self.group[kept],
            self.step[kept],
            self.ts[kept],
            self.item_idx[kept],
            self.is_earlier[kept],
            self.is_later[kept],
        )


def steps_of(rows: PairRows, items: int, *, max_basket: int, max_steps: int) -> Steps:
    """Steps of the rows: of each group the last `max_steps`, of each step `max_basket` items.

    An item that occurs several times in a step counts once. Of a larger basket the items with the
    lowest indices are kept.
    """
    kept = _latest_steps(rows, max_steps)
    rows = rows[kept]
    step = _dense(rows.step)
    first = np.flatnonzero(np.diff(step, prepend=-1))
    sides = [
        _basket_matrix(step[side], rows.item_idx[side], (len(first), items), max_basket)
        for side in (rows.is_earlier, rows.is_later)
    ]
    same = bool(np.array_equal(rows.is_earlier, rows.is_later))
    return Steps(rows.group[first], rows.ts[first], sides[0], sides[1], same)


def pair_weights(steps: Steps, spec: PairSpec) -> sparse.csr_array:
    """Weight of each directed item pair, float64 (items, items); the diagonal is left out."""
    items = steps.earlier.shape[1]
    total = sparse.csr_array((items, items), dtype=np.float64)
    for start, stop in _blocks(steps.group):
        total = total + _block_weights(steps, spec, start, stop)
    return without_diagonal(total)


def neighbour_lists(
    weights: sparse.csr_array, spec: PairSpec, settings: CovisitationSpec
) -> NeighbourLists:
    """Best followers of each item.

    The share of i's weight that goes to j, shrunk where i was seldom seen, and damped by how common
    j is: ``w_ij / (w_i. + smoothing) / (w_.j / mean) ** popularity_damping``.
    """
    outgoing = weights.sum(axis=1) + spec.smoothing
    incoming = weights.sum(axis=0)
    mean = incoming[incoming > 0].mean() if weights.nnz else 1.0
    common = np.maximum(incoming / mean, 1e-12) ** -spec.popularity_damping
    scaled = weights.copy()
    row = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    scaled.data = weights.data / outgoing[row] * common[weights.indices]
    return strongest(scaled, settings.neighbours)


def without_diagonal(weights: sparse.csr_array) -> sparse.csr_array:
    """The matrix without its diagonal, in canonical form."""
    entries = weights.tocoo()
    kept = entries.row != entries.col
    found = sparse.csr_array(
        (entries.data[kept], (entries.row[kept], entries.col[kept])), shape=weights.shape
    )
    found.sum_duplicates()
    return found


def _block_weights(steps: Steps, spec: PairSpec, start: int, stop: int) -> sparse.csr_array:
    group, ts = steps.group[start:stop], steps.ts[start:stop]
    earlier, later = steps.earlier[start:stop], steps.later[start:stop]
    found = sparse.csr_array((earlier.shape[1],) * 2, dtype=np.float64)
    if steps.is_same_type:
        found = found + earlier.T @ earlier
    for distance in range(1, min(spec.max_distance, stop - start - 1) + 1):
        near = np.flatnonzero(group[:-distance] == group[distance:])
        weight = _reach(ts[near + distance] - ts[near], distance, spec)
        found = found + earlier[near].T @ (sparse.diags_array(weight) @ later[near + distance])
    return sparse.csr_array(found)


def _reach(gap: Int64Array, distance: int, spec: PairSpec) -> Float64Array:
    decayed: Float64Array = np.exp2(-gap / (spec.half_life_days * MICROS_PER_DAY))
    return decayed * spec.position_decay ** (distance - 1)


def _blocks(group: Int64Array) -> list[tuple[int, int]]:
    """Stretches of whole groups, each of about `_STEPS_AT_ONCE` steps."""
    wanted = np.arange(_STEPS_AT_ONCE, len(group), _STEPS_AT_ONCE)
    borders = np.searchsorted(group, group[wanted]) if len(wanted) else wanted
    bounds = np.unique(np.concatenate([[0], borders, [len(group)]])).tolist()
    return list(pairwise(bounds))


def _latest_steps(rows: PairRows, max_steps: int) -> BoolArray:
    step = _dense(rows.step)
    last_row = np.flatnonzero(np.diff(rows.group, append=np.iinfo(np.int64).max))
    sizes = np.diff(last_row, prepend=-1)
    last_step = np.repeat(step[last_row], sizes)
    latest: BoolArray = last_step - step < max_steps
    return latest


def _dense(step: Int64Array) -> Int64Array:
    """Steps renumbered without gaps, from 0."""
    return (np.cumsum(np.diff(step, prepend=step[:1]) != 0)).astype(np.int64)


def _basket_matrix(
    step: Int64Array, item_idx: Int32Array, shape: tuple[int, int], max_basket: int
) -> sparse.csr_array:
    baskets = sparse.csr_array((np.ones(len(step)), (step, item_idx)), shape=shape)
    baskets.sum_duplicates()
    rank = np.arange(baskets.nnz) - np.repeat(baskets.indptr[:-1], np.diff(baskets.indptr))
    size = np.minimum(np.diff(baskets.indptr), max_basket)
    baskets.data = np.where(rank < max_basket, 1.0, 0.0) / np.sqrt(
        np.repeat(np.maximum(size, 1), np.diff(baskets.indptr))
    )
    baskets.eliminate_zeros()
    return baskets
