"""A linear item-item model in closed form: a polynomial filter of the user-item graph.

R̃ = D_u^-a R D_i^-1/2 is the normalised interaction matrix (D: row and column sums; a tames busy
shoppers), scaled to a largest singular value of 1, and G = R̃ᵀR̃ its Gram matrix over items. The
scores of a history x are

    s = D_i^q · G (I - c G)² · x.

G alone smooths over the graph (Shen et al. 2021, "How powerful is graph convolution for
recommendation?", the linear filter of GF-CF); the factor (I - c G)² holds back the few strongest
directions, which only say what is popular (the sharpening of Choi et al. 2023, "Blurring-sharpening
process models for collaborative filtering", in three terms); D_i^q gives popular items back what
the normalisation took. Nothing is iterated and nothing is random.

Notation: c sharpness, q popularity exponent, b histories that are scored together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy import sparse

from recommender.terms import Float32Array, Float64Array
from training.sections import LinearSpec

_POWER_STEPS = 60
_SETTLED = 1e-6

Terms: TypeAlias = tuple[Float32Array, Float32Array, Float32Array]
"""G x, G² x and G³ x."""


@dataclass(frozen=True, slots=True)
class GraphFilter:
    """The fitted model.

    Parameters
    ----------
    normalised
        R̃, float32 (users, items), largest singular value 1 (or 0 where nobody did anything).
    transposed
        The same by items, float32 (items, users).
    item_strength
        D_i, summed weight of each item, float64 (items,).
    popularity_exponent
        q, 0..1.
    sharpness
        c, 0..1.
    """

    normalised: sparse.csr_array
    transposed: sparse.csr_array
    item_strength: Float64Array
    popularity_exponent: float
    sharpness: float

    @property
    def item_scale(self) -> Float32Array:
        """D_i^q, float32 (items,); 0 for an item that nobody touched."""
        return _power(self.item_strength, self.popularity_exponent).astype(np.float32)

    def scores(self, histories: sparse.csr_array) -> Float32Array:
        """Scores of every item for some histories, float32 (b, items).

        Parameters
        ----------
        histories
            Weights, float (b, items).
        """
        signal = np.ascontiguousarray(histories.toarray().T, np.float32)
        terms = self.smoothed(signal)
        return np.ascontiguousarray(self.combined(terms).T)

    def smoothed(self, signal: Float32Array) -> Terms:
        """G x, G² x and G³ x of dense columns, each float32 (items, b)."""
        once = self._smooth(signal)
        twice = self._smooth(once)
        return once, twice, self._smooth(twice)

    def combined(self, terms: Terms) -> Float32Array:
        """D_i^q (G - 2c G² + c² G³) x from its three terms, float32 (items, b)."""
        return sharpened(terms, self.sharpness) * self.item_scale[:, None]

    def _smooth(self, signal: Float32Array) -> Float32Array:
        smooth: Float32Array = self.transposed @ (self.normalised @ signal)
        return smooth


def sharpened(terms: Terms, sharpness: float) -> Float32Array:
    """G (I - cG)² x from G x, G² x and G³ x."""
    once, twice, thrice = terms
    if not sharpness:
        return once
    mixed: Float32Array = once - np.float32(2 * sharpness) * twice
    mixed += np.float32(sharpness**2) * thrice
    return mixed


def fit_filter(user_items: sparse.csr_array, spec: LinearSpec) -> GraphFilter:
    """Normalise the interactions.

    Parameters
    ----------
    user_items
        Weights r, float (users, items), positive where stored.
    """
    matrix = user_items.astype(np.float64)
    by_user = np.asarray(matrix.sum(axis=1), np.float64)
    by_item = np.asarray(matrix.sum(axis=0), np.float64)
    matrix = sparse.diags_array(_power(by_user, -spec.user_exponent)) @ matrix
    matrix = sparse.csr_array(matrix @ sparse.diags_array(_power(by_item, -0.5)))
    matrix.data /= largest_singular_value(matrix) or 1.0
    normalised = matrix.astype(np.float32)
    by_items = sparse.csr_array(normalised.T)
    return GraphFilter(normalised, by_items, by_item, spec.popularity_exponent, spec.sharpness)


def largest_singular_value(matrix: sparse.csr_array) -> float:
    """By power iteration from the column sums, which a matrix without negative entries allows.

    The best direction of such a matrix has no negative entry either, so the start is never
    orthogonal to it.
    """
    direction = np.asarray(matrix.sum(axis=0), np.float64)
    value = 0.0
    for _ in range(_POWER_STEPS):
        length = float(np.linalg.norm(direction))
        if not length:
            return 0.0
        direction = matrix.T @ (matrix @ (direction / length))
        before, value = value, float(np.sqrt(np.linalg.norm(direction)))
        if abs(value - before) < _SETTLED * value:
            break
    return value


def _power(sums: Float64Array, exponent: float) -> Float64Array:
    """Each sum ** exponent, and 0 for what nobody touched."""
    touched = sums > 0
    found: Float64Array = np.where(touched, np.where(touched, sums, 1.0) ** exponent, 0.0)
    return found
