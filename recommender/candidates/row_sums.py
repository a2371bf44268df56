"""Weighted sums of rows: kernels that other kernels call.

A few rows of a hundred numbers are added up sooner here than a call of BLAS begins.
"""

from __future__ import annotations

from recommender.compiled import kernel
from recommender.terms import Float32Array


@kernel
def add_rows(total: Float32Array, parts: Float32Array, rows: Float32Array) -> None:
    """Add parts of some rows to a total, four rows at a time: it is read and written less often.

    Parameters
    ----------
    total
        float32 (f,).
    parts, rows
        float32 (m,) and (m, f).
    """
    whole = len(parts) // 4 * 4
    for first in range(0, whole, 4):
        a, b, c, d = parts[first], parts[first + 1], parts[first + 2], parts[first + 3]
        in_a, in_b, in_c, in_d = rows[first], rows[first + 1], rows[first + 2], rows[first + 3]
        for place in range(len(total)):
            first_two = a * in_a[place] + b * in_b[place]
            total[place] += first_two + (c * in_c[place] + d * in_d[place])
    for row in range(whole, len(parts)):
        for place in range(len(total)):
            total[place] += parts[row] * rows[row, place]
