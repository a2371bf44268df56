"""The shop's usual time between two purchases of one shopper, for `recommender.stage`.

The median over all pairs of consecutive purchases. Only intervals that were completed can be seen,
so it is too short for a log that is not much longer than they are; `StageLimits.lapse_factor`
allows for that. What follows within half a day is the same purchase.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from recommender.candidates.buy_again import ONE_PURCHASE_DAYS
from recommender.terms import PURCHASE, Float32Array
from training.known_events import KnownEvents
from training.models.popularity import MICROS_PER_DAY

LEAST_INTERVALS: Final = 20
"""Of fewer a median says nothing."""


def usual_interval(events: KnownEvents) -> Float32Array:
    """Seconds, float32 (1,), as a bundle has them; (0,) where too few purchases were repeated."""
    bought = events.of_types((PURCHASE,))
    order = np.lexsort((bought.ts, bought.shopper_idx))
    shopper, ts = bought.shopper_idx[order], bought.ts[order]
    seconds = np.diff(ts)[np.diff(shopper) == 0] / 1e6
    intervals = seconds[seconds > ONE_PURCHASE_DAYS * MICROS_PER_DAY / 1e6]
    if len(intervals) < LEAST_INTERVALS:
        return np.empty(0, np.float32)
    return np.array([np.median(intervals)], np.float32)
