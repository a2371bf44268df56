"""Item neighbours by who interacted with what: cosine or BM25 weights, by `implicit`.

Cosine: w(i, j) = Σ_u r_ui r_uj / (|r_i| |r_j|). BM25 (Robertson, Zaragoza 2009, equation
3.15) weighs each r_ui with items as documents and shoppers as terms, then takes inner products.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from training.models.neighbours import NeighbourLists, strongest
from training.sections import ItemKnnSpec

_WORTH_THREADS = 200_000  # below this number of pairs threads cost more than they save


def item_neighbours(user_items: sparse.csr_array, spec: ItemKnnSpec) -> NeighbourLists:
    """Neighbours of each item.

    Parameters
    ----------
    user_items
        Weights r, float (users, items), positive where stored.
    """
    from implicit.nearest_neighbours import all_pairs_knn

    weighted = _weighted(user_items, spec)
    threads = 1 if user_items.nnz < _WORTH_THREADS else 0
    with threadpool_limits(1, "blas"):
        # One more than asked for: an item is always its own nearest neighbour, and is left out.
        similar = all_pairs_knn(
            weighted, spec.neighbours + 1, show_progress=False, num_threads=threads
        )
    similarity = sparse.csr_array(similar)
    similarity.sum_duplicates()
    return strongest(similarity, spec.neighbours)


def _weighted(user_items: sparse.csr_array, spec: ItemKnnSpec) -> sparse.csr_matrix:
    # implicit's own recommender classes hand coordinate lists to their kernel, which warns: these
    # are the same weights, in rows.
    from implicit.nearest_neighbours import bm25_weight, normalize

    item_users = sparse.csr_matrix(user_items.T, dtype=np.float64)
    if spec.weighting == "bm25":
        weighted = bm25_weight(item_users, spec.k1, spec.b)
    else:
        weighted = normalize(item_users)
    return sparse.csr_matrix(weighted.T)
