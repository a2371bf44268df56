"""Adam (Kingma and Ba 2015) on the rows of a table that a step touches."""

from __future__ import annotations

import numpy as np

from recommender.terms import Float32Array, Int64Array

_FIRST, _SECOND, _EPSILON = 0.9, 0.999, np.float32(1e-8)


class RowAdam:
    """A table and the moments of its gradients; rows that a step does not name stay as they are.

    Attributes
    ----------
    rows
        The table, float32 (rows, columns).
    """

    def __init__(self, rows: Float32Array) -> None:
        self.rows = rows
        self._mean = np.zeros_like(rows)
        self._square = np.zeros_like(rows)
        self._steps = 0

    def step(self, index: Int64Array, gradient: Float32Array, rate: float) -> None:
        """Go down the gradient of these rows, float32 (len(index), columns); none named twice."""
        self._steps += 1
        mean = _FIRST * self._mean[index] + (1 - _FIRST) * gradient
        square = _SECOND * self._square[index] + (1 - _SECOND) * gradient**2
        self._mean[index], self._square[index] = mean, square
        mean = mean / (1 - _FIRST**self._steps)
        root = np.sqrt(square / (1 - _SECOND**self._steps)) + _EPSILON
        self.rows[index] -= np.float32(rate) * (mean / root)
