"""How much of the catalogue an arm shows, comparable between arms of different size.

A larger arm shows more items for its size alone, so both are thinned to the same number m of shown
items: the number of different ones expected in m of n showings drawn without replacement (Hurlbert
1971, *The nonconcept of species diversity*), with n_i showings of item i,

    E = Σ_i ( 1 - C(n - n_i, m) / C(n, m) ).
"""

from __future__ import annotations

import numpy as np

from recommender.terms import Int64Array


def thinned(showings: Int64Array, size: int) -> float:
    """Different items expected among `size` showings.

    Parameters
    ----------
    showings
        How often each item was shown, int64 (items,), each at least 1.
    size
        m, 0 to the sum of the showings.
    """
    n = int(showings.sum())
    if not 0 <= size <= n:
        raise ValueError(f"size={size}; accepted: 0 to {n}")
    steps = np.arange(n + 1, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log(steps[1:]))])
    kinds, number = np.unique(showings, return_counts=True)
    left = n - kinds
    possible = left >= size
    # log of C(n - n_i, m) / C(n, m); m! is in both.
    ratio = logs[left[possible]] - logs[left[possible] - size] - logs[n] + logs[n - size]
    missed = float((number[possible] * np.exp(ratio)).sum())
    return float(number.sum()) - missed
