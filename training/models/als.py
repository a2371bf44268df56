"""Weighted matrix factorisation of implicit feedback (Hu, Koren, Volinsky 2008).

By `implicit`, unless the regularisation is to grow with what a row has done: see `frequency_als`.

Notation: r_ui weight of a pair, c_ui = 1 + alpha r_ui confidence, Y item factors, λ regularisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits

from recommender.terms import Float32Array
from training.models.frequency_als import fit_factors
from training.sections import AlsSpec

# Rows are solved independently, so threads change the time and not the bits; on small input they
# mostly wait for each other.
_WORTH_THREADS = 200_000
_ONE_THREAD = 1  # implicit runs its own threads; nested BLAS threads fight with them


@dataclass(frozen=True, slots=True)
class Factors:
    """A factor model.

    Parameters
    ----------
    user_factors
        float32 (users, factors).
    item_factors
        Y, float32 (items, factors).
    inverse
        (YᵀY + λI)⁻¹, float32 (factors, factors): what folding in needs. Diagonal where the
        regularisation grows with the row.
    """

    user_factors: Float32Array
    item_factors: Float32Array
    inverse: Float32Array


def confidence(user_items: sparse.csr_array, alpha: float) -> sparse.csr_matrix:
    """Matrix to feed to `implicit` with its own alpha at 1, float32 (users, items).

    `implicit` takes a stored value as c_ui itself (it adds (c - 1) y yᵀ to YᵀY and c y to the right
    side), and its alpha multiplies that value: ``alpha * r``, not the paper's ``1 + alpha * r``.
    """
    confident = sparse.csr_matrix(user_items, dtype=np.float32)
    confident.data = (1.0 + alpha * user_items.data).astype(np.float32)
    return confident


def factorise(user_items: sparse.csr_array, spec: AlsSpec) -> Factors:
    """Fit the model; the same input and seed give the same bits.

    Parameters
    ----------
    user_items
        Weights r, float (users, items), positive where stored.
    """
    fit = fit_factors if spec.frequency_exponent else _by_implicit
    with threadpool_limits(_ONE_THREAD, "blas"):
        user_factors, item_factors = fit(user_items, spec)
        # An item that nobody touched keeps a trace of its random start; it must not score.
        item_factors[np.bincount(user_items.indices, minlength=user_items.shape[1]) == 0] = 0
        inverse = factor_inverse(item_factors, spec.regularization)
    if spec.frequency_exponent:
        # The factors are turned so that only rounding is left beside the diagonal: see `AlsSource`.
        inverse = np.diag(np.diagonal(inverse)).copy()
    return Factors(user_factors, item_factors, inverse)


def _by_implicit(user_items: sparse.csr_array, spec: AlsSpec) -> tuple[Float32Array, Float32Array]:
    """User and item factors with one regularisation for all rows."""
    from implicit.cpu.als import AlternatingLeastSquares

    # The import may have brought a BLAS of its own along, which has to be told as well.
    with threadpool_limits(_ONE_THREAD, "blas"):
        model = AlternatingLeastSquares(
            factors=spec.factors,
            regularization=spec.regularization,
            alpha=1.0,
            iterations=spec.iterations,
            num_threads=1 if user_items.nnz < _WORTH_THREADS else 0,
            random_state=spec.seed,
        )
        model.fit(confidence(user_items, spec.alpha), show_progress=False)
    return (
        np.ascontiguousarray(model.user_factors, np.float32),
        np.ascontiguousarray(model.item_factors, np.float32),
    )


def factor_inverse(item_factors: Float32Array, regularization: float) -> Float32Array:
    """(YᵀY + λI)⁻¹ in float64, given back as float32 (factors, factors)."""
    exact = item_factors.astype(np.float64)
    gram = exact.T @ exact + regularization * np.eye(exact.shape[1])
    return np.ascontiguousarray(np.linalg.inv(gram), np.float32)
