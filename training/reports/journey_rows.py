"""The journeys of a report: purchases of the period with all that led to them.

Journeys, steps and first sights are those of `recommender.journey`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.journey import Journeys, journeys_of, mean_over_paths
from recommender.terms import BoolArray, Float64Array, Int64Array
from recommender.trail import Trail, rows_before
from training.engine import Period
from training.reports.log_rows import LogRows

NO_STEP: Final = "purchases left out: no step before"
MAY_BE_LONGER: Final = "journeys that reach back to the beginning of the log: may be longer"


@dataclass(frozen=True, slots=True)
class JourneyRows:
    """Journeys with a step that end in a purchase of the period, m of them, with p paths.

    Parameters
    ----------
    trail_row
        Row of the log of each row of the trail, int64.
    steps_before
        Steps that began before each row of the log, int64 (n + 1,).
    chosen
        Number of each journey in `whole`, int64 (m,).
    first_row
        Row of the log at which each journey begins, of whatever type, int64 (m,).
    shopper
        int64 (m,).
    steps, visits
        Steps to purchase, and visits that they were made in; int64 (m,).
    path_journey
        Position of each path's journey among the chosen, int64 (p,).
    path_item, first_sight
        int64 (p,).
    """

    trail: Trail
    trail_row: Int64Array
    steps_before: Int64Array
    whole: Journeys
    chosen: Int64Array
    first_row: Int64Array
    shopper: Int64Array
    steps: Int64Array
    visits: Int64Array
    path_journey: Int64Array
    path_item: Int64Array
    first_sight: Int64Array
    counts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def purchase_row(self) -> Int64Array:
        """Row of the log at which each purchase begins, int64 (m,)."""
        return self.trail_row[self.whole.purchase_row[self.chosen]]

    @property
    def first_number(self) -> Int64Array:
        """Steps that began before the journey, int64 (m,)."""
        return self.whole.first_step[self.chosen]

    def mean_of_paths(self, values: Float64Array | Int64Array) -> Float64Array:
        """Mean of a value of each path, by journey, float64 (m,)."""
        return mean_over_paths(values, self.path_journey)

    def journey_of_rows(self, rows: Int64Array) -> Int64Array:
        """Journey that each row of the log belongs to, -1 for none, int64."""
        if not len(self):
            return np.full(len(rows), -1, np.int64)
        place = np.searchsorted(self.purchase_row, rows)
        journey = np.minimum(place, len(self) - 1)
        inside = (place < len(self)) & (self.first_row[journey] <= rows)
        return np.where(inside, journey, -1).astype(np.int64)


def journey_rows(rows: LogRows, period: Period, lookback_micros: int) -> JourneyRows:
    """The journeys of the purchases made in the period."""
    trail, on_trail = rows.trail, rows.on_trail
    whole = journeys_of(trail, lookback_micros)
    begins = np.zeros(len(rows), np.bool_)
    begins[on_trail] = trail.begins_step
    bought_at = trail.ts[whole.purchase_row]
    inside = bought_at >= period.start
    chosen = np.flatnonzero(inside & (whole.steps > 0))
    mine = np.isin(whole.path_journey, chosen)
    begun = bought_at[chosen] - lookback_micros < rows.ts.min()
    counts = {
        "purchases": int(inside.sum()),
        NO_STEP: int((inside & (whole.steps == 0)).sum()),
        "journeys": len(chosen),
        MAY_BE_LONGER: int(begun.sum()),
    }
    return JourneyRows(
        trail=trail,
        trail_row=np.flatnonzero(on_trail),
        steps_before=np.r_[0, np.cumsum(begins, dtype=np.int64)],
        whole=whole,
        chosen=chosen,
        first_row=_first_rows(rows, trail, whole, chosen, lookback_micros),
        shopper=trail.shopper_idx[whole.purchase_row[chosen]].astype(np.int64),
        steps=whole.steps[chosen],
        visits=_visits(trail, whole, chosen),
        path_journey=np.searchsorted(chosen, whole.path_journey[mine]).astype(np.int64),
        path_item=whole.path_item[mine],
        first_sight=whole.first_sight[mine],
        counts=counts,
    )


def _first_rows(
    rows: LogRows, trail: Trail, whole: Journeys, chosen: Int64Array, lookback_micros: int
) -> Int64Array:
    """First row of the log after the purchase before, or within the lookback, int64 (m,).

    Earlier than the trail's first row where the shopper saw a list before the first step.
    """
    bought = whole.purchase_row[chosen]
    earliest = rows_before(
        rows.shopper, rows.ts, trail.shopper_idx[bought], trail.ts[bought] - lookback_micros
    )
    before = np.maximum(whole.first_row[chosen] - 1, 0)
    follows = trail.is_purchase[before] & (before < whole.first_row[chosen])
    follows &= trail.shopper_idx[before] == trail.shopper_idx[bought]
    after_purchase = np.flatnonzero(rows.on_trail)[before] + 1
    return np.maximum(earliest, np.where(follows, after_purchase, 0)).astype(np.int64)


def _visits(trail: Trail, whole: Journeys, chosen: Int64Array) -> Int64Array:
    """Visits from the first step to the purchase of each journey, int64 (m,)."""
    first = whole.step_rows[whole.first_step[chosen]]
    last = whole.purchase_row[chosen]
    begins: BoolArray = np.r_[True, np.diff(trail.session) != 0][: len(trail)]
    number = np.cumsum(begins)
    return np.asarray(number[last] - number[first] + 1, np.int64)
