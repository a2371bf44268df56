"""Adam (Kingma and Ba 2015) on the rows of a table that a step touches."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from recommender.compiled import kernel
from recommender.terms import Float32Array, Int64Array

_FIRST: Final = 0.9
_SECOND: Final = 0.999
_EPSILON: Final = 1e-8


class _Moments(NamedTuple):
    """A table, and the decayed means of its gradients and of their squares."""

    rows: Float32Array
    mean: Float32Array
    square: Float32Array


class RowAdam:
    """A table and the moments of its gradients; rows that a step does not name stay as they are.

    Attributes
    ----------
    rows
        The table, float32 (rows, columns).
    """

    def __init__(self, rows: Float32Array) -> None:
        self.rows = rows
        self._moments = _Moments(rows, np.zeros_like(rows), np.zeros_like(rows))
        self._steps = 0

    def step(self, index: Int64Array, gradient: Float32Array, rate: float) -> None:
        """Go down the gradient of these rows, float32 (len(index), columns); none named twice."""
        self._steps += 1
        pace = np.float32(rate / (1 - _FIRST**self._steps))
        scale = np.float32(1 / (1 - _SECOND**self._steps))
        _step(self._moments, index, np.ascontiguousarray(gradient), pace, scale)

    def step_all(self, gradient: Float32Array, rate: float) -> None:
        """Go down the gradient of all rows."""
        self.step(np.arange(len(self.rows)), gradient, rate)


@kernel
def _step(
    moments: _Moments,
    index: Int64Array,
    gradient: Float32Array,
    pace: np.float32,
    scale: np.float32,
) -> None:
    first, second, epsilon = np.float32(_FIRST), np.float32(_SECOND), np.float32(_EPSILON)
    other_first, other_second = np.float32(1 - _FIRST), np.float32(1 - _SECOND)
    rows, mean, square = moments
    for place in range(len(index)):
        row = index[place]
        for column in range(rows.shape[1]):
            slope = gradient[place, column]
            new = first * mean[row, column] + other_first * slope
            new_square = second * square[row, column] + other_second * slope * slope
            mean[row, column], square[row, column] = new, new_square
            rows[row, column] -= pace * new / (np.sqrt(new_square * scale) + epsilon)
