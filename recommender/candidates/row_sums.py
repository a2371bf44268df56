"""Weighted sums of rows and within rows.

A few rows of a hundred numbers are added up sooner here than a call of BLAS begins.
"""

from __future__ import annotations

import numpy as np

from recommender.compiled import kernel, summing_kernel
from recommender.terms import Float32Array, Int32Array


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


@summing_kernel
def products(rows: Float32Array, chosen: Int32Array, vector: Float32Array) -> Float32Array:
    """Products of some rows with a vector, float32 (m,): read where they lie, copied nowhere.

    Parameters
    ----------
    rows, chosen, vector
        float32 (n, f), int32 (m,) and float32 (f,).
    """
    found = np.empty(len(chosen), np.float32)
    for place in range(len(chosen)):
        row, total = rows[np.uint32(chosen[place])], np.float32(0)
        for column in range(len(vector)):
            total += row[column] * vector[column]
        found[place] = total
    return found


@summing_kernel
def lengths(rows: Float32Array, chosen: Int32Array) -> Float32Array:
    """Euclidean lengths of some rows, float32 (m,), of arrays as `products` takes them."""
    found = np.empty(len(chosen), np.float32)
    for place in range(len(chosen)):
        row, total = rows[np.uint32(chosen[place])], np.float32(0)
        for column in range(len(row)):
            total += row[column] * row[column]
        found[place] = np.sqrt(total)
    return found
