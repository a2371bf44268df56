"""Walks: each visit as the touchpoints that it went through, up to its first purchase or its end.

A *stop* is a run of acts at one touchpoint; a walk is the sequence of its stops. The unit is the
visit, not the journey: a journey of several visits ends in a purchase by definition, so counting
journeys beside abandoned visits would make coming back a perfect sign of buying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.journey import visit_lengths
from recommender.terms import PURCHASE, BoolArray, Int64Array
from training.engine import Period
from training.reports.log_rows import LogRows
from training.reports.touchpoints import Acts, Touchpoint

UNDER_WAY: Final = "visits left out: under way when the period began"
MAY_GO_ON: Final = "visits whose last event lies within the session gap of the end: may go on"
AFTER: Final = "acts after the first purchase of their visit: not walked"


@dataclass(frozen=True, slots=True)
class Walks:
    """Visits that begin in a period, v of them, with a acts and s stops before any purchase.

    Parameters
    ----------
    shopper
        int64 (v,).
    is_bought
        bool (v,).
    steps
        Steps as in `recommender.journey`, up to the first purchase or the end, int64 (v,).
    act_visit, act_touch, act_row, act_number
        Visit, touchpoint and row of each act, and its number in the visit from 0; int64 (a,).
    stop_visit, stop_touch
        The same of each stop, int64 (s,).
    """

    touchpoints: tuple[Touchpoint, ...]
    shopper: Int64Array
    is_bought: BoolArray
    steps: Int64Array
    act_visit: Int64Array
    act_touch: Int64Array
    act_row: Int64Array
    act_number: Int64Array
    stop_visit: Int64Array
    stop_touch: Int64Array
    counts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.shopper)

    @property
    def stop_begin(self) -> Int64Array:
        """Position of each visit's first stop, and the number of stops, int64 (v + 1,)."""
        return np.searchsorted(self.stop_visit, np.arange(len(self) + 1)).astype(np.int64)

    @property
    def stops(self) -> Int64Array:
        """Stops of each visit, int64 (v,)."""
        return np.diff(self.stop_begin)

    @property
    def act_is_exit(self) -> BoolArray:
        """Acts after which a visit ended without a purchase, bool (a,)."""
        return _last_of(self.act_visit) & ~self.is_bought[self.act_visit]

    @property
    def stop_is_exit(self) -> BoolArray:
        """Stops after which a visit ended without a purchase, bool (s,)."""
        return _last_of(self.stop_visit) & ~self.is_bought[self.stop_visit]

    def has(self, touch: int) -> BoolArray:
        """Visits that were at a touchpoint, bool (v,)."""
        present = np.zeros(len(self), np.bool_)
        present[self.stop_visit[self.stop_touch == touch]] = True
        return present


def walks_of(rows: LogRows, acts: Acts, period: Period, gap_micros: int) -> Walks:
    """Walks of the visits that begin in the period."""
    begin = np.flatnonzero(np.r_[True, np.diff(rows.visit) != 0])
    end = np.r_[begin[1:], len(rows)] - 1
    inside = rows.ts[begin] >= period.start
    under_way = ~inside & (rows.ts[end] >= period.start)
    bought_row = _first_purchase(rows, begin)
    number = np.where(inside, np.cumsum(inside) - 1, -1)
    visit = number[rows.visit[acts.row]]
    before = acts.row < bought_row[rows.visit[acts.row]]
    kept = (visit >= 0) & before & (acts.touch >= 0)
    shopper = rows.shopper[begin[inside]].astype(np.int64)
    lengths = visit_lengths(rows.trail, shopper, rows.ts[begin[inside]], rows.ts[end[inside]])
    counts = {
        "visits": int(inside.sum()),
        UNDER_WAY: int(under_way.sum()),
        MAY_GO_ON: int((rows.ts[end[inside]] >= period.end - gap_micros).sum()),
        "acts": int(kept.sum()),
        AFTER: int(((visit >= 0) & ~before & (acts.touch >= 0)).sum()),
    }
    act_visit, act_touch = visit[kept], acts.touch[kept]
    is_stop = np.r_[True, (np.diff(act_visit) != 0) | (np.diff(act_touch) != 0)][: kept.sum()]
    return Walks(
        touchpoints=acts.touchpoints,
        shopper=shopper,
        is_bought=bought_row[inside] < len(rows),
        steps=lengths.steps,
        act_visit=act_visit,
        act_touch=act_touch,
        act_row=acts.row[kept],
        act_number=_number_within(act_visit),
        stop_visit=act_visit[is_stop],
        stop_touch=act_touch[is_stop],
        counts=counts,
    )


def _first_purchase(rows: LogRows, begin: Int64Array) -> Int64Array:
    """Row of the first purchase of each visit; the number of rows where there is none."""
    first = np.full(len(begin), len(rows), np.int64)
    purchases = np.flatnonzero(rows.is_type(PURCHASE))
    np.minimum.at(first, rows.visit[purchases], purchases)
    return first


def _number_within(group: Int64Array) -> Int64Array:
    """Place of each element within its group, from 0; groups are runs."""
    place = np.arange(len(group))
    begins = np.r_[True, np.diff(group) != 0][: len(group)]
    return place - np.maximum.accumulate(np.where(begins, place, 0))


def _last_of(group: Int64Array) -> BoolArray:
    """The last element of each run, bool."""
    return np.asarray(np.r_[np.diff(group) != 0, True][: len(group)], np.bool_)
