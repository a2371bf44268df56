"""How much less an item is worth after it was shown and ignored, and how that fades with time.

A table d[n, b]: the probability of a click on an item that was ignored n times before (rows
n = 1..`MOST_COUNTED`), the last time in age bin b (see `AGE_EDGES_SECONDS`), relative to an item
that was not. The idea is that of impression discounting: Lee, Lakshmanan, Tiwari and Shah 2014,
"Modeling impression discounting in large-scale recommender systems", KDD. `training` learns it;
a bundle without it is answered with `DEFAULT_DISCOUNT`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender.errors import BundleError
from recommender.exposures import MOST_COUNTED
from recommender.terms import MICROS_PER_SECOND, Float32Array, Int64Array

ARRAY: Final = "impression_discount"
AGE_EDGES_SECONDS: Final = (3_600, 86_400, 3 * 86_400, 7 * 86_400)
"""Between the age bins: within the hour, the day, three days, the week, longer ago."""
AGES: Final = len(AGE_EDGES_SECONDS) + 1

_EDGES = np.array(AGE_EDGES_SECONDS, np.int64) * MICROS_PER_SECOND
_EDGE_LIST: Final[list[int]] = _EDGES.tolist()


def _default() -> Float32Array:
    """exp(-0.3 n w) with w = 2^(-age / 7 days) at 0, ½, 2, 5 and 14 days."""
    faded = 2.0 ** (-np.array([0.0, 0.5, 2.0, 5.0, 14.0]) / 7.0)
    counts = np.arange(1, MOST_COUNTED + 1)
    table = np.exp(-0.3 * counts[:, None] * faded[None, :]).astype(np.float32)
    table.setflags(write=False)
    return table


DEFAULT_DISCOUNT: Final[Float32Array] = _default()
"""Used where a log holds too few exposures to learn from, float32 (`MOST_COUNTED`, `AGES`)."""


def age_bins(ages: Int64Array) -> Int64Array:
    """Bin of each age in microseconds, int64 (n,)."""
    return np.searchsorted(_EDGES, ages, side="right").astype(np.int64)


def discounts(table: Float32Array, ignored: Iterable[int], ages: Iterable[int]) -> list[float]:
    """The discount of each item, in (0, 1]; 1 where nothing was ignored.

    Parameters
    ----------
    table
        float32 (`MOST_COUNTED`, `AGES`).
    ignored
        Ignored exposures of each, 0 or more; those beyond the table count as its last row.
    ages
        Time since the last of them, microseconds; what is still to come counts as now.
    """
    # A plain loop: of a few dozen items, calls of numpy would cost more.
    shares: list[list[float]] = table.tolist()
    last = len(shares)
    return [
        shares[min(count, last) - 1][bisect_right(_EDGE_LIST, age)] if count > 0 else 1.0
        for count, age in zip(ignored, ages, strict=True)
    ]


def check_discount(table: npt.NDArray[np.generic]) -> None:
    """Raise `BundleError` unless it is a table of shares that fall with n and rise with age."""
    if table.shape != (MOST_COUNTED, AGES):
        raise BundleError(f"{ARRAY}: shape {table.shape}; accepted: {(MOST_COUNTED, AGES)}")
    shares = np.asarray(table, np.float32)
    if not ((shares > 0) & (shares <= 1)).all():
        raise BundleError(f"{ARRAY}: values outside 0..1; accepted: above 0 and at most 1")
    if (np.diff(shares, axis=0) > 0).any() or (np.diff(shares, axis=1) < 0).any():
        raise BundleError(
            f"{ARRAY}: rises with the number of showings or falls with age; accepted: neither"
        )
