"""Random numbers by address instead of by order.

Notation: a *key* is a uint64 that stands for a shopper, one of their visits or one page of a visit;
a *purpose* is a small integer that tells apart the draws made with one key. A draw is a pure
function of (key, purpose, column), so a shopper behaves the same whoever else is simulated, and
thousands of sessions advance together in one array operation.

The mixing function is the finaliser of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable
pseudorandom number generators", OOPSLA, figure 16), a bijection of the 64-bit integers.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from recommender.terms import Float64Array, Int64Array

Keys: TypeAlias = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_COLUMNS = 4096
_SMALLEST = 2.0**-53


def _mix(values: Keys) -> Keys:
    """SplitMix64 finaliser, element by element."""
    mixed = values ^ (values >> np.uint64(30))
    mixed *= _FIRST
    mixed ^= mixed >> np.uint64(27)
    mixed *= _SECOND
    mixed ^= mixed >> np.uint64(31)
    return mixed


def root_keys(rng: np.random.Generator, n: int) -> Keys:
    """Give `n` keys, uint64 (n,); key i depends on the generator's state and on i, not on `n`."""
    root = rng.integers(0, 2**63, dtype=np.uint64)
    return derive(np.full(n, root, np.uint64), np.arange(n))


def derive(keys: Keys, address: int | npt.NDArray[np.integer]) -> Keys:
    """Give the key of a part (a visit of a shopper, a page of a visit), uint64 (n,).

    Parameters
    ----------
    keys
        uint64 (n,).
    address
        Number of the part, ≥ 0; a scalar or (n,).
    """
    offset = (np.atleast_1d(address).astype(np.uint64) + np.uint64(1)) * _GOLDEN
    return _mix(_mix(keys) + offset)


def uniform(keys: Keys, purpose: int, columns: int = 0) -> Float64Array:
    """Draw uniformly from [0, 1).

    Parameters
    ----------
    columns
        0: float64 (n,); k > 0: float64 (n, k) of independent draws, k ≤ 4096.
    """
    numbers = np.arange(max(columns, 1), dtype=np.uint64) + np.uint64(purpose * _COLUMNS + 1)
    bits = _mix(keys[:, None] + (numbers * _GOLDEN)[None, :])
    draws = (bits >> np.uint64(11)) * _SMALLEST
    return np.asarray(draws if columns else draws[:, 0], np.float64)


def normal(keys: Keys, purpose: int, columns: int = 0) -> Float64Array:
    """Draw from the standard normal distribution (Box and Muller 1958); shapes as `uniform`."""
    pairs = uniform(keys, purpose, 2 * max(columns, 1))
    half = pairs.shape[1] // 2
    radius = np.sqrt(-2.0 * np.log1p(-pairs[:, :half]))
    draws = radius * np.cos(2.0 * np.pi * pairs[:, half:])
    return draws if columns else draws[:, 0]


def pick(draws: Float64Array, weights: npt.NDArray[Any]) -> Int64Array:
    """Choose one column per row in proportion to its weight.

    Parameters
    ----------
    draws
        float64 (n,) from `uniform`.
    weights
        (n, k) or (k,), ≥ 0, each row with a positive sum.

    Returns
    -------
    int64 (n,) in 0..k-1; a column of weight 0 is never chosen.
    """
    reached = np.cumsum(np.broadcast_to(weights, (len(draws), weights.shape[-1])), axis=1)
    return np.asarray((reached <= (draws * reached[:, -1])[:, None]).sum(axis=1), np.int64)
