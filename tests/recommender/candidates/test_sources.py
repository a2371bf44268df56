from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.bundle_manifest import SourceInfo
from recommender.candidates.als import AlsSource
from recommender.candidates.build import build_source
from recommender.candidates.neighbours import NeighbourSource
from recommender.candidates.popularity import PopularInCategorySource, PopularitySource
from recommender.candidates.returns import ReturnsSource
from recommender.candidates.source import CandidateSource, first_eligible
from recommender.errors import BundleError
from recommender.seeds import NO_SEEDS, PART_CODES, Seeds
from recommender.terms import EVENT_CODES, PURCHASE, VIEW_ITEM
from tests.bundles import shop_bundle

BUNDLE = shop_bundle()
N = len(BUNDLE.catalogue)


def seeds(
    items: list[int],
    weights: list[float] | None = None,
    event: str = VIEW_ITEM,
    part: str = "session",
) -> Seeds:
    return Seeds(
        np.array(items, np.int32),
        np.full(len(items), EVENT_CODES[event], np.int32),
        np.array(weights or [1.0] * len(items), np.float32),
        np.zeros(len(items), np.float32),
        np.full(len(items), PART_CODES[part], np.int32),
    )


some_seeds = st.builds(
    lambda rows, event, ages: replace(
        seeds([row[0] for row in rows], [row[1] for row in rows], event),
        ages=np.array(ages[: len(rows)], np.float32),
    ),
    st.lists(st.tuples(st.integers(0, N - 1), st.floats(1e-3, 10)), max_size=12),
    st.sampled_from([VIEW_ITEM, PURCHASE]),
    st.lists(st.floats(0, 1e8), min_size=12, max_size=12),
)
masks = st.lists(st.booleans(), min_size=N, max_size=N).map(lambda rows: np.array(rows, np.bool_))


@pytest.mark.parametrize("name", sorted(BUNDLE.sources))
@given(given_seeds=some_seeds, eligible=masks, n=st.integers(1, 30))
def test_every_source_keeps_the_contract(
    name: str, given_seeds: Seeds, eligible: np.ndarray, n: int
) -> None:
    found = BUNDLE.sources[name].candidates(given_seeds, eligible, n)
    assert len(found) <= n
    assert len(set(found.item_idx.tolist())) == len(found)
    assert eligible[found.item_idx].all()
    assert (found.scores > 0).all()
    assert np.isfinite(found.scores).all()
    assert (np.diff(found.scores) <= 0).all()
    assert found.item_idx.dtype == np.int32
    assert found.scores.dtype == np.float32


PERSONAL = [
    *("als", "item_knn", "two_steps", "session_knn", "session_knn_near", "returns"),
    *("popular_in_category", "content", "buy_again"),
]


@pytest.mark.parametrize("name", PERSONAL)
def test_without_seeds_a_personal_source_proposes_nothing(name: str) -> None:
    assert not len(BUNDLE.sources[name].candidates(NO_SEEDS, np.ones(N, np.bool_), 5))


@given(
    st.integers(1, 8),
    st.lists(st.tuples(st.integers(0, 29), st.floats(0.01, 20)), min_size=1, max_size=40),
    st.floats(0.1, 40),
)
def test_folding_in_solves_the_normal_equations(
    factors: int, rows: list[tuple[int, float]], alpha: float
) -> None:
    y = np.random.default_rng(factors).normal(size=(30, factors)).astype(np.float32)
    penalty = 0.5 * np.eye(factors)
    source = AlsSource(y, np.linalg.inv(y.T @ y + penalty).astype(np.float32), alpha)
    r = np.zeros(30)
    for item, weight in rows:
        r[item] += weight
    excess = alpha * r
    target = (1 + excess) * (r > 0)
    expected = np.linalg.solve(y.T @ y + (y.T * excess) @ y + penalty, y.T @ target)
    found = source.fold_in(seeds([item for item, _ in rows], [weight for _, weight in rows]))
    np.testing.assert_allclose(found, expected, rtol=5e-3, atol=5e-3)


def test_neighbours_add_up_over_the_seeds_of_their_event_types() -> None:
    idx = np.array([[1, 2], [2, -1], [0, 1]], np.int32)
    weight = np.array([[0.5, 0.25], [1.0, 0.0], [0.1, 0.1]], np.float32)
    everyone = np.ones(3, np.bool_)
    found = NeighbourSource(idx, weight).candidates(seeds([0, 1], [2.0, 1.0]), everyone, 5)
    assert dict(zip(found.item_idx.tolist(), found.scores.tolist(), strict=True)) == {
        2: 1.5,
        1: 1.0,
    }
    bought = NeighbourSource(idx, weight, (PURCHASE,))
    assert not len(bought.candidates(seeds([0, 1]), everyone, 5))
    assert len(bought.candidates(seeds([0], event=PURCHASE), everyone, 5)) == 2


def test_returns_are_the_own_items_by_weight() -> None:
    found = ReturnsSource().candidates(seeds([3, 5, 3], [1, 1.5, 1]), np.ones(N, np.bool_), 5)
    assert found.item_idx.tolist() == [3, 5]
    assert found.scores.tolist() == [2.0, 1.5]


def test_popularity_is_the_stored_order() -> None:
    eligible = np.ones(N, np.bool_)
    eligible[1] = False
    found = PopularitySource(BUNDLE.catalogue).candidates(NO_SEEDS, eligible, 3)
    assert found.item_idx.tolist() == [0, 2, 3]


def test_popular_in_category_stays_in_the_categories_of_the_seeds() -> None:
    source: CandidateSource = PopularInCategorySource(BUNDLE.catalogue)
    found = source.candidates(seeds([1]), np.ones(N, np.bool_), 50)
    assert set(found.item_idx.tolist()) == set(range(1, N, 2))


@given(st.permutations(range(30)), st.sets(st.integers(0, 29)), st.integers(1, 10))
def test_first_eligible_is_the_filtered_head(order: list[int], open_: set[int], n: int) -> None:
    mask = np.isin(np.arange(30), sorted(open_))
    found = first_eligible(np.array(order, np.int32), mask, n)
    assert found.tolist() == [i for i in order if i in open_][:n]


def diagonal_arrays(regularization: float) -> dict[str, np.ndarray]:
    """Factors with a diagonal Gram matrix, and its regularised inverse."""
    factors = np.zeros((N, 3), np.float32)
    for item in range(N):
        factors[item, item % 3] = 1 + item / N
    gram = factors.T @ factors + regularization * np.eye(3)
    return {"item_factors": factors, "factor_inverse": np.linalg.inv(gram).astype(np.float32)}


@given(given_seeds=some_seeds.filter(len), exponent=st.floats(0, 1))
def test_regularisation_grows_with_the_history(given_seeds: Seeds, exponent: float) -> None:
    """Against the normal equations with the shopper's own regularisation, solved directly."""
    params = {"alpha": 2.0, "regularization": 0.5, "frequency_exponent": exponent}
    arrays = diagonal_arrays(0.5)
    source = build_source("als", SourceInfo(params=params), arrays, BUNDLE.catalogue)
    assert isinstance(source, AlsSource)
    items, weights = given_seeds.summed()
    y = arrays["item_factors"].astype(np.float64)
    own = 0.5 * (1 + 2.0 * weights.astype(np.float64).sum() / N) ** exponent
    x, c = y[items], 1 + 2.0 * weights.astype(np.float64)
    system = y.T @ y + own * np.eye(3) + x.T @ np.diag(c - 1) @ x
    assert source.fold_in(given_seeds) == pytest.approx(np.linalg.solve(system, x.T @ c), abs=1e-3)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"frequency_exponent": 1.5}, r"frequency_exponent=1\.5"),
        ({"frequency_exponent": 0.5, "regularization": -1.0}, r"regularization=-1\.0"),
    ],
)
def test_senseless_regularisation_is_refused(params: dict[str, float], message: str) -> None:
    info = SourceInfo(params={"alpha": 1.0} | params)
    with pytest.raises(BundleError, match=message):
        build_source("als", info, diagonal_arrays(0.5), BUNDLE.catalogue)


def test_growing_regularisation_needs_a_diagonal_inverse() -> None:
    info = SourceInfo(params={"alpha": 1.0, "frequency_exponent": 0.5})
    full = diagonal_arrays(0.5) | {"factor_inverse": np.ones((3, 3), np.float32)}
    with pytest.raises(BundleError, match="diagonal factor_inverse"):
        build_source("als", info, full, BUNDLE.catalogue)


def test_whether_a_source_chooses_from_the_pool_is_a_yes_or_a_no() -> None:
    params = {**BUNDLE.manifest.info.sources["als"].params, "of_pool": 2.0}
    with pytest.raises(BundleError, match=r"of_pool=2.0; accepted: 0 or 1"):
        build_source("als", SourceInfo(params=params), BUNDLE.arrays, BUNDLE.catalogue)
