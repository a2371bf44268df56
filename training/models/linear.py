"""Item lists of the linear model: what each popular item says of the other popular ones.

Row i is the filter's answer to a history of item i alone (see `graph_filter`). The model
is linear, so the answer to a whole history is the weighted sum over its items, which is what the
service computes from stored lists. Within a block of popular items the Gram matrix is dense and
small; memory is bounded by the block whatever the length of the log.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.terms import Float32Array, Int32Array
from training.models.graph_filter import GraphFilter, fit_filter, sharpened
from training.models.neighbours import NO_ITEM, NeighbourLists, strongest
from training.sections import LinearSpec

_ROWS_AT_ONCE = 1_000


def linear_neighbours(user_items: sparse.csr_array, spec: LinearSpec) -> NeighbourLists:
    """Lists of each item; items outside the popular block have none and are in none.

    Parameters
    ----------
    user_items
        Weights r, float (users, items), positive where stored.
    """
    block = popular_block(user_items, spec.max_items)
    fitted = fit_filter(sparse.csr_array(user_items[:, block]), spec)
    # One thread: sums in a fixed order, so that the same input gives the same bits.
    with threadpool_limits(1, "blas"):
        lists = _block_lists(fitted, spec.neighbours)
    return _spread(lists, block, user_items.shape[1])


def popular_block(user_items: sparse.csr_array, max_items: int) -> Int32Array:
    """The items that most shoppers dealt with, ascending, int32 (≤ max_items,)."""
    shoppers = np.bincount(user_items.indices, minlength=user_items.shape[1])
    order = np.argsort(-shoppers, kind="stable")[:max_items]
    return np.sort(order[shoppers[order] > 0]).astype(np.int32)


def _block_lists(fitted: GraphFilter, width: int) -> NeighbourLists:
    gram: Float32Array = (fitted.transposed @ fitted.normalised).toarray()
    items = len(gram)
    parts = [
        _rows(gram, slice(start, min(start + _ROWS_AT_ONCE, items)), fitted, width)
        for start in range(0, items, _ROWS_AT_ONCE)
    ]
    return strongest(sparse.csr_array(sparse.vstack(parts, "csr")), width) if parts else _nothing()


def _rows(gram: Float32Array, rows: slice, fitted: GraphFilter, width: int) -> sparse.csr_array:
    """The `width` best of some rows, float32 (rows, items), before they are sorted."""
    once: Float32Array = gram[rows]
    twice: Float32Array = once @ gram if fitted.sharpness else once
    thrice: Float32Array = twice @ gram if fitted.sharpness else once
    weights = sharpened((once, twice, thrice), fitted.sharpness) * fitted.item_scale
    weights[np.arange(len(weights)), np.arange(rows.start, rows.stop)] = 0
    if width < weights.shape[1]:
        border = np.partition(weights, -width, axis=1)[:, -width, None]
        weights[weights < border] = 0
    weights[weights < 0] = 0
    return sparse.csr_array(weights)


def _spread(lists: NeighbourLists, block: Int32Array, items: int) -> NeighbourLists:
    """The block's lists among all items."""
    idx = np.full((items, lists.idx.shape[1]), NO_ITEM, np.int32)
    weight = np.zeros(idx.shape, np.float32)
    idx[block] = np.where(lists.idx == NO_ITEM, NO_ITEM, block[lists.idx])
    weight[block] = lists.weight
    return NeighbourLists(idx, weight)


def _nothing() -> NeighbourLists:
    return NeighbourLists(np.full((0, 1), NO_ITEM, np.int32), np.zeros((0, 1), np.float32))
