from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from recommender.candidates.als import AlsSource
from recommender.seeds import Seeds
from training.models.als import factorise
from training.models.frequency_als import diagonal_basis, fit_factors, row_regularization
from training.sections import AlsSpec

SPEC = AlsSpec(factors=6, iterations=4, alpha=4.0, regularization=0.3, frequency_exponent=0.7)
FEW = settings(max_examples=8)


def weights_of(seed: int, users: int = 30, items: int = 16) -> sparse.csr_array:
    rng = np.random.default_rng(seed)
    return sparse.csr_array(
        rng.uniform(0.1, 4, (users, items)) * (rng.random((users, items)) < 0.4)
    )


def test_busy_rows_are_regularised_more() -> None:
    weights = sparse.csr_array(np.array([[0.0, 0, 0, 0], [1, 0, 1, 0], [8, 0, 0, 0]]))
    found = row_regularization(weights, replace(SPEC, frequency_exponent=0.5))
    assert found == pytest.approx(0.3 * np.sqrt([1, 3, 9]))


@pytest.mark.parametrize("factors", [2, 6, 40], ids=["long rows", "both", "short rows"])
@FEW
@given(seed=st.integers(0, 50))
def test_every_shopper_solves_the_normal_equations(factors: int, seed: int) -> None:
    """The paper's own formula, with the row's own regularisation, solved directly."""
    weights, spec = weights_of(seed), replace(SPEC, factors=factors)
    users, items = fit_factors(weights, spec)
    y = items.astype(np.float64)
    for row, factor in zip(weights.toarray(), users, strict=True):
        c = 1 + spec.alpha * row
        own = spec.regularization * (1 + spec.alpha * row.sum() / 16) ** 0.7
        system = y.T @ np.diag(c) @ y + own * np.eye(factors)
        assert factor == pytest.approx(np.linalg.solve(system, y.T @ (c * (row > 0))), abs=1e-4)


def test_a_vanishing_exponent_is_the_same_model_as_implicits() -> None:
    u, i = np.indices((60, 20))  # two kinds of shoppers and items: rank 2
    weights = sparse.csr_array(weights_of(1, 60, 20).toarray() * ((u + i) % 2 == 0))
    plain = AlsSpec(factors=2, iterations=30, alpha=4.0, regularization=0.5)
    by_implicit = factorise(weights, plain)
    ours = factorise(weights, replace(plain, frequency_exponent=1e-9))
    expected = by_implicit.user_factors @ by_implicit.item_factors.T
    assert ours.user_factors @ ours.item_factors.T == pytest.approx(expected, abs=0.05)


def test_the_basis_keeps_all_products_and_has_a_diagonal_gram() -> None:
    factors = np.random.default_rng(0).normal(size=(50, 5)).astype(np.float32)
    turned, spectrum = diagonal_basis(factors)
    assert turned @ turned.T == pytest.approx(factors @ factors.T, abs=1e-4)
    assert turned.T @ turned == pytest.approx(np.diag(spectrum), abs=1e-4)


@FEW
@given(seed=st.integers(0, 50))
def test_folding_in_a_training_history_gives_the_trained_factor(seed: int) -> None:
    weights = weights_of(seed)
    model = factorise(weights, SPEC)
    assert not np.count_nonzero(model.inverse - np.diag(np.diagonal(model.inverse)))
    source = AlsSource(
        model.item_factors, model.inverse, SPEC.alpha, SPEC.regularization, SPEC.frequency_exponent
    )
    for user in np.flatnonzero(np.diff(weights.indptr)):
        part = slice(*weights.indptr[user : user + 2])
        items = weights.indices[part].astype(np.int32)
        nothing = np.zeros(len(items), np.int32)
        ages = nothing.astype(np.float32)
        seeds = Seeds(items, nothing, weights.data[part].astype(np.float32), ages, nothing)
        assert source.fold_in(seeds) == pytest.approx(model.user_factors[user], abs=2e-3)


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not() -> None:
    weights = weights_of(2)
    one, two = factorise(weights, SPEC), factorise(weights, SPEC)
    assert one.user_factors.tobytes() == two.user_factors.tobytes()
    assert one.item_factors.tobytes() == two.item_factors.tobytes()
    other = factorise(weights, replace(SPEC, seed=1))
    assert not np.array_equal(other.item_factors, one.item_factors)


def test_empty_rows_and_vanishing_weights_give_finite_factors() -> None:
    weights = sparse.csr_array(np.array([[0.0, 0, 0], [1e-40, 1.0, 0], [0, 2.0, 0]]))
    model = factorise(weights, SPEC)
    assert np.isfinite(model.user_factors).all()
    assert not model.user_factors[0].any()
    assert not model.item_factors[2].any()
