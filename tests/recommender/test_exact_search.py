from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.kernel_parts.retrieval import best
from recommender.exact_search import ExactIndex, products
from recommender.slate import ScoredItems

Vectors = np.ndarray
Rng = np.random.Generator


def flat(rng: Rng, n: int, factors: int) -> Vectors:
    """Directions: all of length 1."""
    found = rng.normal(size=(n, factors))
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def clustered(rng: Rng, n: int, factors: int) -> Vectors:
    centres = rng.normal(size=(4, factors))
    lengths = np.exp(rng.normal(size=(n, 1)))
    return (centres[rng.integers(4, size=n)] + 0.1 * rng.normal(size=(n, factors))) * lengths


def gappy(rng: Rng, n: int, factors: int) -> Vectors:
    """Many vectors of nothing at all, as of items that nobody touched."""
    return rng.normal(size=(n, factors)) * (rng.random((n, 1)) < 0.3)


def spiky(rng: Rng, n: int, factors: int) -> Vectors:
    """One large number each, beside which the codes of the others are worth little."""
    found = 0.01 * rng.normal(size=(n, factors))
    found[np.arange(n), rng.integers(factors, size=n)] += 5
    return found


SHAPES: dict[str, Callable[[Rng, int, int], Vectors]] = {
    "random": lambda rng, n, factors: rng.normal(size=(n, factors)),
    "flat": flat,
    "clustered": clustered,
    "gappy": gappy,
    "spiky": spiky,
    "ties": lambda rng, n, factors: rng.integers(-1, 2, size=(n, factors)),
    "one point": lambda rng, n, factors: np.tile(rng.normal(size=factors), (n, 1)),
    "tiny": lambda rng, n, factors: rng.normal(size=(n, factors)) * 1e-22,
    "vanishing": lambda rng, n, factors: rng.normal(size=(n, factors)) * 1e-43,
    "huge": lambda rng, n, factors: rng.normal(size=(n, factors)) * 1e17,
}
shops = st.fixed_dictionaries(
    {
        "shape": st.sampled_from(sorted(SHAPES)),
        "items": st.integers(1, 400),
        "factors": st.sampled_from([1, 2, 7, 16, 33, 64, 130]),
        "open_share": st.sampled_from([0.0, 0.01, 0.2, 0.9, 1.0]),
        "n": st.sampled_from([1, 2, 5, 20, 500]),
        "seed": st.integers(0, 2**32 - 1),
    }
)


def scanned(vectors: Vectors, query: Vectors, eligible: Vectors, n: int) -> ScoredItems:
    """All products, and the best of them."""
    scores = vectors @ query
    scores[~eligible] = 0
    return best(np.arange(len(vectors), dtype=np.int32), scores, n)


def drawn(shop: dict[str, object]) -> tuple[Vectors, Vectors, Vectors, int]:
    """Vectors, a query near some of them, what is eligible, and how many are asked for."""
    rng = np.random.default_rng(shop["seed"])
    vectors = SHAPES[shop["shape"]](rng, shop["items"], shop["factors"]).astype(np.float32)
    query = vectors[rng.integers(len(vectors), size=3)].sum(axis=0)
    eligible = rng.random(len(vectors)) < shop["open_share"]
    return vectors, query.astype(np.float32), eligible, shop["n"]


@settings(max_examples=300, deadline=None)
@given(shops)
def test_it_finds_what_a_scan_of_everything_finds(shop: dict[str, object]) -> None:
    vectors, query, eligible, n = drawn(shop)
    found = best(*ExactIndex.of(vectors).contenders(query, eligible, n), n)
    expected = scanned(vectors, query, eligible, n)
    assert found.item_idx.tolist() == expected.item_idx.tolist()
    assert found.scores.tolist() == expected.scores.tolist()


@settings(max_examples=300, deadline=None)
@given(shops)
def test_the_bounds_alone_never_rule_out_what_is_among_the_best(shop: dict[str, object]) -> None:
    vectors, query, eligible, n = drawn(shop)
    left = ExactIndex.of(vectors).survivors(query, eligible, n)
    assert len(np.unique(left)) == len(left)
    assert eligible[left].all()
    assert np.isin(scanned(vectors, query, eligible, n).item_idx, left).all()


@settings(max_examples=200, deadline=None)
@given(shops, st.sampled_from([0.0, 1e-6, 0.1]))
def test_with_products_of_any_sign_whatever_is_near_the_border_is_left(
    shop: dict[str, object], within: float
) -> None:
    vectors, query, eligible, n = drawn(shop)
    left = ExactIndex.of(vectors).survivors(query, eligible, n, above=-np.inf, within=within)
    scores = (vectors @ query)[eligible]
    border = np.sort(scores)[-n] - np.float64(within) if len(scores) >= n else -np.inf
    assert set(np.flatnonzero(eligible)[scores >= border]) <= set(left.tolist())


def test_what_numpy_rounds_up_past_others_is_left() -> None:
    """Codes without any loss: all that the margin has to make room for is numpy's own rounding."""
    rng = np.random.default_rng(4)
    query = rng.integers(32_700, 32_767, 64).astype(np.float32)
    vectors = np.tile(rng.integers(100, 126, 64), (3_000, 1))
    rows = np.arange(len(vectors))
    vectors[rows, rng.integers(1, 64, len(vectors))] += 1
    vectors[rows, rng.integers(1, 64, len(vectors))] -= 1
    vectors[:, 0], query[0] = 127, 32_767
    vectors = vectors.astype(np.float32)
    exact = np.sort(vectors.astype(np.float64) @ query)
    scores = vectors @ query
    border = np.sort(scores)[-100]
    assert (vectors[scores >= border].astype(np.float64) @ query).min() < exact[-100]
    left = ExactIndex.of(vectors).survivors(query, np.ones(len(vectors), np.bool_), 100)
    assert np.isin(np.flatnonzero(scores >= border), left).all()


@given(shops)
def test_only_members_are_found(shop: dict[str, object]) -> None:
    vectors, query, eligible, n = drawn(shop)
    members = np.arange(0, len(vectors), 3, dtype=np.int32)
    found = best(*ExactIndex.of(vectors, members).contenders(query, eligible, n), n)
    expected = scanned(vectors, query, eligible & (np.arange(len(vectors)) % 3 == 0), n)
    assert found.item_idx.tolist() == expected.item_idx.tolist()


@given(st.integers(1, 100), st.integers(1, 140), st.integers(0, 2**32 - 1))
def test_some_products_are_those_of_all_to_the_last_bit(n: int, factors: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, factors)).astype(np.float32)
    query = rng.normal(size=factors).astype(np.float32)
    items = np.flatnonzero(rng.random(n) < 0.5).astype(np.int32)
    assert products(vectors, items, query).tolist() == (vectors @ query)[items].tolist()


@pytest.mark.parametrize("shape", ["random", "flat", "clustered", "gappy"])
def test_few_are_left_to_be_scored(shape: str) -> None:
    rng = np.random.default_rng(1)
    vectors = SHAPES[shape](rng, 20_000, 64).astype(np.float32)
    query = vectors[:3].sum(axis=0)
    left = ExactIndex.of(vectors).survivors(query, np.ones(20_000, np.bool_), 20)
    assert 20 <= len(left) < 200


def test_it_takes_a_byte_a_number_and_seventeen_an_item() -> None:
    index = ExactIndex.of(np.ones((100, 24), np.float32))
    assert index.nbytes == 100 * (24 + 17)


def test_lengths_and_errors_are_never_understated() -> None:
    vectors = np.random.default_rng(2).normal(size=(500, 40)).astype(np.float32)
    index = ExactIndex.of(vectors)
    exact = vectors[index.members].astype(np.float64)
    lost = exact - index.codes * index.scales[:, None].astype(np.float64)
    assert (index.norms >= np.linalg.norm(exact, axis=1)).all()
    assert (index.errors >= np.linalg.norm(lost, axis=1)).all()
    assert (np.diff(index.norms) <= 0).all()


def test_an_empty_shop_has_no_contenders() -> None:
    index = ExactIndex.of(np.empty((0, 8), np.float32))
    items, scores = index.contenders(np.ones(8, np.float32), np.empty(0, np.bool_), 5)
    assert not len(items)
    assert not len(scores)
