from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from training.models.item_knn import item_neighbours
from training.sections import ItemKnnSpec

FEW = settings(max_examples=10)


def weights_of(seed: int, users: int = 30, items: int = 12) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    return sparse.csr_array(
        rng.uniform(0.1, 4, (users, items)) * (rng.random((users, items)) < 0.3)
    )


def naive_cosine(r: np.ndarray) -> np.ndarray:
    norms = np.sqrt((r**2).sum(axis=0))
    return (r.T @ r) / np.maximum(np.outer(norms, norms), 1e-12)


def naive_bm25(r: np.ndarray, k1: float, b: float) -> np.ndarray:
    users = r.shape[0]
    # Items are documents, shoppers are terms: who touched everything says little.
    n_items = r.shape[1]
    idf = np.log(n_items) - np.log1p((r > 0).sum(axis=1))
    length = r.sum(axis=0)
    norm = (1 - b) + b * length / length.mean()
    weighted = np.zeros_like(r)
    for u in range(users):
        for i in range(n_items):
            if r[u, i] > 0:
                weighted[u, i] = r[u, i] * (k1 + 1) / (k1 * norm[i] + r[u, i]) * idf[u]
    return weighted.T @ weighted


@pytest.mark.parametrize("weighting", ["cosine", "bm25"])
@FEW
@given(seed=st.integers(0, 30))
def test_neighbours_are_the_largest_weights_of_the_definition(weighting: str, seed: int) -> None:
    weights = weights_of(seed)
    spec = ItemKnnSpec(neighbours=4, weighting=weighting)
    dense = weights.toarray()
    expected = naive_cosine(dense) if weighting == "cosine" else naive_bm25(dense, spec.k1, spec.b)
    np.fill_diagonal(expected, 0)
    lists = item_neighbours(weights, spec)
    for item, (others, values) in enumerate(zip(lists.idx, lists.weight, strict=True)):
        best = np.sort(expected[item][expected[item] > 1e-9])[::-1][:4]
        kept = others >= 0
        assert values[kept] == pytest.approx(best, rel=1e-5)
        assert expected[item][others[kept]] == pytest.approx(values[kept], rel=1e-5)


def test_two_items_of_the_same_shoppers_have_cosine_one() -> None:
    weights = sparse.csr_array(np.array([[1.0, 2.0, 0], [3.0, 6.0, 0], [0, 0, 1.0]]))
    lists = item_neighbours(weights, ItemKnnSpec(weighting="cosine"))
    assert lists.idx[0].tolist() == [1]
    assert math.isclose(float(lists.weight[0, 0]), 1.0, rel_tol=1e-6)
    assert lists.idx[2].tolist() == [-1]


@FEW
@given(seed=st.integers(0, 20))
def test_relabelling_shoppers_and_items_only_permutes_the_lists(seed: int) -> None:
    weights = weights_of(3)
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(30), rng.permutation(12)
    spec = ItemKnnSpec(neighbours=12, weighting="cosine")
    plain = item_neighbours(weights, spec)
    moved = item_neighbours(sparse.csr_array(weights[users][:, items]), spec)

    def as_table(lists, names) -> dict:
        return {
            (names[i], names[j]): pytest.approx(float(w), rel=1e-5)
            for i, (row, ws) in enumerate(zip(lists.idx, lists.weight, strict=True))
            for j, w in zip(row, ws, strict=True)
            if j >= 0
        }

    assert as_table(moved, items) == as_table(plain, np.arange(12))


def test_the_same_input_gives_the_same_bits() -> None:
    one, two = (item_neighbours(weights_of(1, 400, 90), ItemKnnSpec()) for _ in range(2))
    assert one.idx.tobytes() == two.idx.tobytes()
    assert one.weight.tobytes() == two.weight.tobytes()
