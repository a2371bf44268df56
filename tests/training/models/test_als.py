from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender.candidates.als import AlsSource
from recommender.seeds import Seeds
from training.models.als import confidence, factor_inverse, factorise
from training.sections import AlsSpec

SPEC = AlsSpec(factors=6, iterations=15, alpha=4.0, regularization=0.1)
TWO_COLOURS = AlsSpec(factors=2, iterations=15, alpha=4.0)  # the board has rank 2
FEW = settings(max_examples=4)  # each example fits a model


def checkerboard(users: int = 30, items: int = 16, seed: int = 0) -> sparse.csr_array:
    """Weights where user u deals with item i only if u + i is even, with every fourth left out."""
    rng = np.random.default_rng(seed)
    u, i = np.indices((users, items))
    weights = rng.uniform(0.5, 3.0, (users, items)) * ((u + i) % 2 == 0)
    return sparse.csr_array(weights * (rng.random((users, items)) < 0.75))


def test_confidence_is_one_plus_alpha_r_where_something_happened() -> None:
    weights = sparse.csr_array(np.array([[0.0, 0.5], [2.0, 0.0]]))
    assert confidence(weights, 4.0).toarray().tolist() == [[0, 3.0], [9.0, 0]]


def test_the_factors_solve_the_papers_equation() -> None:
    """Equation 4 and 5 of Hu, Koren, Volinsky with c = 1 + alpha r, for the side solved last."""
    weights = checkerboard()
    spec = AlsSpec(factors=6, iterations=60, alpha=4.0, regularization=0.1)
    model = factorise(weights, spec)
    x = model.user_factors.astype(np.float64)
    dense = weights.toarray()
    for item in range(dense.shape[1]):
        c = 1 + spec.alpha * dense[:, item]
        p = (dense[:, item] > 0).astype(float)
        exact = np.linalg.solve(
            x.T @ np.diag(c) @ x + spec.regularization * np.eye(spec.factors), x.T @ (c * p)
        )
        # implicit takes a few conjugate-gradient steps per sweep instead of solving exactly.
        assert model.item_factors[item] == pytest.approx(exact, abs=0.02)


def test_the_right_square_is_recommended() -> None:
    weights = checkerboard()
    model = factorise(weights, TWO_COLOURS)
    scores = model.user_factors @ model.item_factors.T
    u, i = np.indices(scores.shape)
    own = (u + i) % 2 == 0
    assert scores[own].min() > scores[~own].max()


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not() -> None:
    weights = checkerboard(200, 80)
    one, two = factorise(weights, SPEC), factorise(weights, SPEC)
    for name in ("user_factors", "item_factors", "inverse"):
        assert getattr(one, name).tobytes() == getattr(two, name).tobytes()
        assert getattr(one, name).dtype == np.float32
    other = factorise(weights, AlsSpec(factors=6, iterations=30, seed=1))
    assert not np.array_equal(other.item_factors, one.item_factors)


def test_an_item_that_nobody_touched_has_no_factors() -> None:
    weights = sparse.csr_array(np.array([[1.0, 0, 2.0], [1.0, 0, 0]]))
    model = factorise(weights, SPEC)
    assert not model.item_factors[1].any()
    assert model.item_factors[[0, 2]].any(axis=1).all()


def test_the_inverse_is_that_of_the_regularised_gram_matrix() -> None:
    factors = np.random.default_rng(0).random((50, 5)).astype(np.float32)
    inverse = factor_inverse(factors, 0.3)
    gram = factors.astype(np.float64).T @ factors + 0.3 * np.eye(5)
    assert inverse @ gram == pytest.approx(np.eye(5), abs=1e-4)


@pytest.mark.parametrize("exponent", [0.0, 0.7])
@FEW
@given(seed=st.integers(0, 20))
def test_folding_in_a_training_history_ranks_like_the_trained_factor(
    exponent: float, seed: int
) -> None:
    """The serving side's fold-in and the training side's convention are one and the same."""
    weights = checkerboard(40, 20, seed)
    spec = replace(SPEC, frequency_exponent=exponent)
    model = factorise(weights, spec)
    source = AlsSource(model.item_factors, model.inverse, spec.alpha, spec.regularization, exponent)
    everything = np.ones(20, np.bool_)
    agreement = []
    for user in range(0, 40, 5):
        start, stop = weights.indptr[user : user + 2]
        items = weights.indices[start:stop].astype(np.int32)
        nothing = np.zeros(len(items), np.int32)
        strength = weights.data[start:stop].astype(np.float32)
        seeds = Seeds(items, nothing, strength, nothing.astype(np.float32), nothing)
        folded = source.candidates(seeds, everything, 8).item_idx
        trained = np.argsort(-(model.item_factors @ model.user_factors[user]), kind="stable")[:8]
        agreement.append(len(set(folded.tolist()) & set(trained.tolist())) / 8)
    assert np.mean(agreement) > 0.9


@FEW
@given(seed=st.integers(0, 10))
def test_relabelling_shoppers_and_items_only_permutes_the_scores(seed: int) -> None:
    weights = checkerboard(60, 20)
    rng = np.random.default_rng(seed)
    users, items = rng.permutation(60), rng.permutation(20)
    model = factorise(weights, TWO_COLOURS)
    moved = factorise(sparse.csr_array(weights[users][:, items]), TWO_COLOURS)
    plain = model.user_factors @ model.item_factors.T
    permuted = moved.user_factors @ moved.item_factors.T
    # The start is random, so equal only as far as the iterations have settled.
    assert permuted == pytest.approx(plain[users][:, items], abs=0.05)
