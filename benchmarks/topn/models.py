"""What is compared: each model as a function from users of the training file to scores."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from benchmarks.topn.metric import Scorer
from recommender.terms import Float32Array, Int64Array
from training.models.als import Factors
from training.models.graph_filter import GraphFilter
from training.models.item_knn import item_neighbours
from training.models.neighbours import NO_ITEM
from training.sections import ItemKnnSpec


def popularity(known: sparse.csr_array) -> Scorer:
    """Number of users of an item."""
    counts = known.sum(axis=0).astype(np.float32)
    return lambda users: np.tile(counts, (len(users), 1))


def item_knn(known: sparse.csr_array, spec: ItemKnnSpec) -> Scorer:
    """Sum over the user's items of the stored lists, as the service does it."""
    lists = item_neighbours(known, spec)
    item, place = np.nonzero(lists.idx != NO_ITEM)
    shape = (known.shape[1], known.shape[1])
    weights = sparse.csr_array((lists.weight[item, place], (item, lists.idx[item, place])), shape)
    return lambda users: (known[users] @ weights).toarray()


def factor_model(factors: Factors) -> Scorer:
    """Inner products of trained factors."""

    def scores(users: Int64Array) -> Float32Array:
        found: Float32Array = factors.user_factors[users] @ factors.item_factors.T
        return found

    return scores


def linear_model(known: sparse.csr_array, fitted: GraphFilter) -> Scorer:
    """The filter's answer to whole histories, over all items."""
    return lambda users: fitted.scores(known[users])
