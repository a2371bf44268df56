"""Matrix factorisation whose regularisation grows with what a row has done (Rendle et al. 2021).

"Revisiting the performance of iALS on item recommendation benchmarks" regularises a row by its
share of the loss: λ_u = λ (1 + alpha s_u / I)^e, with s_u the sum of the row's weights, I the
number of columns (each counts 1 where nothing happened) and e the frequency exponent (nu in the
paper): 0 is `implicit`'s rule, 1 the paper's choice. `implicit` has one λ for all rows, so this
is solved here, exactly:

    x_u = (YᵀY + λ_u I + Zᵀ D Z)⁻¹ Zᵀ c

with Z the factors of the row's n columns, D = diag(alpha r) and c = 1 + alpha r.
In the basis in which YᵀY is diagonal, P = (YᵀY + λ_u I)⁻¹ is diagonal for every λ_u, and with
K = Z P Zᵀ the Woodbury identity leaves one system of the row's own size:
x_u = P Zᵀ (c - (D⁻¹ + K)⁻¹ K c).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from recommender.terms import Float32Array
from training.sections import AlsSpec

_SPREAD = 0.1  # of the random start: small against what the first sweep makes of it


def row_regularization(rows: sparse.csr_array, spec: AlsSpec) -> Float32Array:
    """λ_u of each row, float32 (rows,)."""
    strength = np.asarray(rows.sum(axis=1), np.float64)
    share = 1 + spec.alpha * strength / max(1, rows.shape[1])
    scaled: Float32Array = (spec.regularization * share**spec.frequency_exponent).astype(np.float32)
    return scaled


def fit_factors(user_items: sparse.csr_array, spec: AlsSpec) -> tuple[Float32Array, Float32Array]:
    """User and item factors, float32 (users, factors) and (items, factors); YᵀY is diagonal.

    Parameters
    ----------
    user_items
        Weights r, float (users, items), positive where stored.
    """
    by_user = user_items.astype(np.float32)
    by_item = sparse.csr_array(by_user.T)
    users, items = (row_regularization(rows, spec) for rows in (by_user, by_item))
    spread = _SPREAD / np.sqrt(spec.factors)
    start = np.random.default_rng(spec.seed).normal(0, spread, (by_user.shape[1], spec.factors))
    item_factors = start.astype(np.float32)
    for _ in range(spec.iterations):
        user_factors = solve_rows(by_user, *diagonal_basis(item_factors), users, spec.alpha)
        item_factors = solve_rows(by_item, *diagonal_basis(user_factors), items, spec.alpha)
    item_factors, spectrum = diagonal_basis(item_factors)
    return solve_rows(by_user, item_factors, spectrum, users, spec.alpha), item_factors


def diagonal_basis(factors: Float32Array) -> tuple[Float32Array, Float32Array]:
    """The factors turned so that their Gram matrix is diagonal, and that diagonal, float32 (f,)."""
    spectrum, basis = np.linalg.eigh((factors.T @ factors).astype(np.float64))
    turned = np.ascontiguousarray(factors @ basis.astype(np.float32))
    return turned, np.maximum(spectrum, 0).astype(np.float32)


def solve_rows(
    rows: sparse.csr_array,
    factors: Float32Array,
    spectrum: Float32Array,
    regularization: Float32Array,
    alpha: float,
) -> Float32Array:
    """Best factors of each row given the other side's, float32 (rows, factors); 0 for empty rows.

    Parameters
    ----------
    factors, spectrum
        As `diagonal_basis` gives them.
    regularization
        λ_u, float32 (rows,).
    """
    found = np.zeros((rows.shape[0], factors.shape[1]), np.float32)
    for row in np.flatnonzero(np.diff(rows.indptr)):
        part = slice(rows.indptr[row], rows.indptr[row + 1])
        # A weight so small that it underflows still counts as known.
        excess = np.maximum(np.float32(alpha) * rows.data[part], np.finfo(np.float32).tiny)
        own, damping = factors[rows.indices[part]], spectrum + regularization[row]
        solve = _by_history if len(own) <= len(damping) else _by_factor
        found[row] = solve(own, damping, excess)
    return found


def _by_history(own: Float32Array, damping: Float32Array, excess: Float32Array) -> Float32Array:
    projected = own / damping
    gram = projected @ own.T
    confidence = 1 + excess
    correction = np.linalg.solve(gram + np.diag(1 / excess), gram @ confidence)
    found: Float32Array = (confidence - correction) @ projected
    return found


def _by_factor(own: Float32Array, damping: Float32Array, excess: Float32Array) -> Float32Array:
    system = (own.T * excess) @ own + np.diag(damping)
    found: Float32Array = np.linalg.solve(system, (1 + excess) @ own)
    return found
