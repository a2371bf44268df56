from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.simulation.chance import derive, normal, pick, root_keys, uniform


def keys_of(seed: int, n: int) -> np.ndarray:
    return root_keys(np.random.default_rng(seed), n)


@given(seed=st.integers(0, 2**32), n=st.integers(1, 50), more=st.integers(0, 50))
def test_a_key_does_not_depend_on_how_many_there_are(seed: int, n: int, more: int) -> None:
    assert np.array_equal(keys_of(seed, n), keys_of(seed, n + more)[:n])


@given(seed=st.integers(0, 2**32), rows=st.lists(st.integers(0, 19), min_size=1, max_size=20))
def test_a_draw_depends_on_its_own_key_only(seed: int, rows: list[int]) -> None:
    keys = keys_of(seed, 20)
    assert np.array_equal(uniform(keys, 3, 5)[rows], uniform(keys[rows], 3, 5))
    assert np.array_equal(normal(keys, 3, 5)[rows], normal(keys[rows], 3, 5))


def test_uniform_draws_fill_the_unit_interval_evenly() -> None:
    draws = uniform(keys_of(1, 200_000), 0)
    assert draws.min() >= 0.0
    assert draws.max() < 1.0
    counts = np.histogram(draws, bins=20, range=(0.0, 1.0))[0]
    # chi-square with 19 degrees of freedom; 43.8 is its 0.999 quantile
    assert ((counts - 10_000) ** 2 / 10_000).sum() < 43.8


def test_normal_draws_have_mean_zero_and_variance_one() -> None:
    draws = normal(keys_of(2, 200_000), 4)
    assert abs(draws.mean()) < 0.01
    assert abs(draws.std() - 1.0) < 0.01
    assert abs((np.abs(draws) < 1.0).mean() - 0.6827) < 0.005


def test_purposes_columns_and_parts_are_independent() -> None:
    keys = keys_of(3, 50_000)
    draws = [
        uniform(keys, 0),
        uniform(keys, 1),
        uniform(keys, 0, 3)[:, 2],
        uniform(derive(keys, 0), 0),
        uniform(derive(keys, 1), 0),
    ]
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert np.abs(correlation).max() < 0.02


@given(
    weights=st.lists(st.sampled_from([0.0, 0.5, 1.0, 7.0]), min_size=1, max_size=8).filter(any),
    seed=st.integers(0, 1000),
)
def test_a_choice_of_weight_zero_is_never_picked(weights: list[float], seed: int) -> None:
    chosen = pick(uniform(keys_of(seed, 200), 0), np.array(weights))
    assert all(weights[one] > 0.0 for one in chosen)


def test_choices_follow_their_weights() -> None:
    chosen = pick(uniform(keys_of(5, 100_000), 0), np.array([1.0, 3.0]))
    assert abs(chosen.mean() - 0.75) < 0.01
