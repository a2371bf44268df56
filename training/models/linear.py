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
from training.models.neighbours import NO_ITEM, NeighbourLists, strongest_of
from training.sections import LinearSpec

_ROWS_AT_ONCE = 1_000
_FEW = 0.05


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
    gram = sparse.csr_array(fitted.transposed @ fitted.normalised)
    items = gram.shape[0]
    # Where most pairs never met, their zeros cost more than the indices of the others.
    pairs = gram if gram.nnz < _FEW * items**2 else gram.toarray()
    parts = (slice(start, start + _ROWS_AT_ONCE) for start in range(0, items, _ROWS_AT_ONCE))
    return strongest_of((_weights(gram[part], pairs, fitted) for part in parts), items, width)


def _weights(
    rows: sparse.csr_array, pairs: sparse.csr_array | Float32Array, fitted: GraphFilter
) -> Float32Array:
    """Of some rows of the Gram matrix those of the filter, float32 (rows, items)."""
    once: Float32Array = rows.toarray()
    twice: Float32Array = once @ pairs if fitted.sharpness else once
    thrice: Float32Array = twice @ pairs if fitted.sharpness else once
    weights: Float32Array = sharpened((once, twice, thrice), fitted.sharpness) * fitted.item_scale
    return weights


def _spread(lists: NeighbourLists, block: Int32Array, items: int) -> NeighbourLists:
    """The block's lists among all items."""
    idx = np.full((items, lists.idx.shape[1]), NO_ITEM, np.int32)
    weight = np.zeros(idx.shape, np.float32)
    idx[block] = np.where(lists.idx == NO_ITEM, NO_ITEM, block[lists.idx])
    weight[block] = lists.weight
    return NeighbourLists(idx, weight)
