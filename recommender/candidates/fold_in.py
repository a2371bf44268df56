"""The kernel of `recommender.candidates.als`: a shopper's factors from what they did.

Notation as there: X holds the factors of m seed items, Z = X P, G = Z Xᵀ.
"""

from __future__ import annotations

import numpy as np

from recommender.candidates.row_sums import add_rows
from recommender.compiled import kernel
from recommender.terms import Float32Array, Float64Array, Int32Array


@kernel
def folded_in(
    items: Int32Array,
    weights: Float32Array,
    item_factors: Float32Array,
    factor_inverse: Float32Array,
    params: tuple[float, float, float],
) -> Float32Array:
    """User factors u = Zᵀ (c - (D⁻¹ + G)⁻¹ G c), float32 (factors,).

    Parameters
    ----------
    items, weights
        Distinct items and r of each, int32 and float32 (m,).
    params
        alpha, regularization and frequency_exponent of `recommender.candidates.als.AlsSource`.
    """
    alpha, regularization, exponent = params
    excess = alpha * weights.astype(np.float64)
    factors = item_factors[items]
    if exponent == 0:
        projected = _projected(factors, factor_inverse)
    else:
        growth = (1.0 + excess.sum() / len(item_factors)) ** exponent - 1.0
        projected = _damped(factors, factor_inverse, np.float32(regularization * growth))
    gram = _gram(projected, factors)
    share = np.zeros(len(items))
    for row in range(len(items)):
        for column in range(len(items)):
            share[row] += gram[row, column] * (1.0 + excess[column])
        gram[row, row] += 1.0 / excess[row]
    _solve(gram, share)
    user_factors = np.zeros(factors.shape[1], np.float32)
    for row in range(len(items)):
        part = np.float32(1.0 + excess[row] - share[row])
        for factor in range(len(user_factors)):
            user_factors[factor] += part * projected[row, factor]
    return user_factors


@kernel
def _projected(factors: Float32Array, factor_inverse: Float32Array) -> Float32Array:
    """Z, float32 (m, factors)."""
    projected = np.zeros(factors.shape, np.float32)
    for row in range(len(factors)):
        add_rows(projected[row], factors[row], factor_inverse)
    return projected


@kernel
def _damped(factors: Float32Array, factor_inverse: Float32Array, more: np.float32) -> Float32Array:
    """Z for a diagonal P that is regularised by so much more."""
    projected = np.empty(factors.shape, np.float32)
    for factor in range(factors.shape[1]):
        damping = np.float32(1) / factor_inverse[factor, factor] + more
        for row in range(factors.shape[0]):
            projected[row, factor] = factors[row, factor] / damping
    return projected


@kernel
def _gram(projected: Float32Array, factors: Float32Array) -> Float64Array:
    """G, float64 (m, m)."""
    gram = np.zeros((len(factors), len(factors)), np.float32)
    turned = factors.T.copy()
    for row in range(len(factors)):
        add_rows(gram[row], projected[row], turned)
    return gram.astype(np.float64)


@kernel
def _solve(system: Float64Array, right: Float64Array) -> None:
    """Solve in place, by elimination with row pivots; the solution stands in `right`."""
    n = len(right)
    for step in range(n):
        pivot = step + np.abs(system[step:, step]).argmax()
        for column in range(step, n):
            given = system[pivot, column]
            system[pivot, column], system[step, column] = system[step, column], given
        right[step], right[pivot] = right[pivot], right[step]
        for row in range(step + 1, n):
            own, above = system[row], system[step]
            ratio = own[step] / above[step]
            for column in range(step, n):
                own[column] -= ratio * above[column]
            right[row] -= ratio * right[step]
    for step in range(n - 1, -1, -1):
        for column in range(step + 1, n):
            right[step] -= system[step, column] * right[column]
        right[step] /= system[step, step]
