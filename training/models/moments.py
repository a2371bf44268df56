"""Moments of visits, the state of each, and where it went: for `training.models.navigation`.

There is a moment before each step and each purchase, and one after the last of a visit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender.journey import LOOKBACK_MICROS
from recommender.terms import (
    ADD_TO_CART,
    EVENT_CODES,
    PURCHASE,
    REMOVE_FROM_CART,
    BoolArray,
    Float64Array,
    Int32Array,
    Int64Array,
)
from recommender.trail import Trail, rows_before
from training.known_events import KnownEvents

NOTHING: Final = -1
_SEARCH_REACH_MICROS: Final = 30 * 60 * 1_000_000  # how long before a visit's first step


@dataclass(frozen=True, slots=True)
class Searches:
    """Searches by shopper, then in time; all (n,)."""

    shopper_idx: Int32Array
    ts: Int64Array
    term: npt.NDArray[np.object_]

    @classmethod
    def none(cls) -> Searches:
        """A log without any."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, object))

    def numbered(self, min_visitors: int, most: int) -> tuple[Int64Array, list[str]]:
        """Number of each search's term, int64 (n,), and the terms.

        Only terms that so many different shoppers searched for have a number, the most searched
        ones first; all others are -1. What one person typed never gets into a bundle.
        """
        terms, of_row = np.unique(self.term.astype(np.str_), return_inverse=True)
        whose = np.unique(of_row * np.int64(1 << 32) + self.shopper_idx) >> 32
        visitors = np.bincount(whose, minlength=len(terms))
        listed = np.lexsort((terms, -visitors))[:most]
        listed = listed[visitors[listed] >= min_visitors]
        number = np.full(len(terms), NOTHING, np.int64)
        number[listed] = np.arange(len(listed))
        return number[of_row], terms[listed].tolist()


@dataclass(frozen=True, slots=True)
class Moments:
    """One moment before each act (a step or a purchase), and one after the last of each visit.

    Parameters
    ----------
    state
        Row of `recommender.navigation.Ways`, int64 (m,).
    value
        d^r, 0 where the visit buys nothing any more, float64 (m,).
    item, category, term
        Target that the next act goes to, -1 for none, int64 (m,).
    pays
        The next act is the purchase of what is in the cart, bool (m,).
    """

    state: Int64Array
    value: Float64Array
    item: Int64Array
    category: Int64Array
    term: Int64Array
    pays: BoolArray


def moments_of(
    events: KnownEvents,
    item_category: Int32Array,
    size: tuple[int, float],
    searched: tuple[Searches, Int64Array],
) -> Moments:
    """The moments of a log.

    Parameters
    ----------
    item_category
        int32 (items,), -1 where unknown.
    size
        Number of categories, and d.
    searched
        The searches and the number of each one's term, -1 for none.
    """
    categories, decay = size
    acts, is_step = _acts(events)
    # Before act k; the act before it may be another shopper's.
    last = _last_step(acts, is_step)
    starts = np.diff(acts.session, prepend=NOTHING) != 0
    ends = np.diff(acts.session, append=NOTHING) != 0
    filled, still_filled = _cart_filled(acts)
    here = np.where(is_step, np.arange(len(acts)), last)
    after = _state(acts, item_category, categories, here, still_filled)[ends]
    item = acts.item_idx.astype(np.int64)
    moves = is_step & ~((last >= 0) & (item == item[np.maximum(last, 0)]))
    targets = (item, item_category[item].astype(np.int64), _terms(acts, starts, searched))
    nothing = np.full(len(after), NOTHING, np.int64)
    to_item, to_category, to_term = (
        np.r_[np.where(moves, each, NOTHING), nothing] for each in targets
    )
    return Moments(
        np.r_[_state(acts, item_category, categories, last, filled), after],
        np.r_[_values(acts, is_step, decay), np.zeros(len(after))],
        to_item,
        to_category,
        to_term,
        np.r_[~is_step & filled, np.zeros(len(after), np.bool_)],
    )


def _values(acts: KnownEvents, is_step: BoolArray, decay: float) -> Float64Array:
    """d^r of each act, r being the steps from it to the next purchase of its visit, else 0."""
    n = len(acts)
    purchases = np.r_[np.flatnonzero(~is_step), n]
    bought = purchases[np.searchsorted(purchases, np.arange(n))]
    buys = np.r_[acts.session, NOTHING][bought] == acts.session
    steps_before = np.r_[0, np.cumsum(is_step)]
    left = np.where(buys, steps_before[bought] - steps_before[:n], 0)
    return np.where(buys, decay**left, 0.0)


def _acts(events: KnownEvents) -> tuple[KnownEvents, BoolArray]:
    """Steps and purchases, one row each, and which are steps."""
    trail = Trail(events.shopper_idx, events.session, events.item_idx, events.event_code, events.ts)
    is_step, is_purchase = trail.begins_step, trail.is_purchase
    kept = np.flatnonzero(is_step | is_purchase)
    again = np.zeros(len(kept), np.bool_)
    same = events.session[kept[1:]] == events.session[kept[:-1]]
    again[1:] = is_purchase[kept[1:]] & is_purchase[kept[:-1]] & same
    chosen = np.zeros(len(events), np.bool_)
    chosen[kept[~again]] = True
    return events[chosen], is_step[chosen]


def _last_step(acts: KnownEvents, is_step: BoolArray) -> Int64Array:
    """Row of the shopper's last step before each act, in a week; -1 for none; int64 (n,)."""
    n = len(acts)
    upto = np.maximum.accumulate(np.where(is_step, np.arange(n), NOTHING)) if n else np.arange(0)
    last = np.r_[NOTHING, upto[:-1]] if n else upto
    place = np.maximum(last, 0)
    own = acts.shopper_idx[place] == acts.shopper_idx if n else np.empty(0, np.bool_)
    near = acts.ts - acts.ts[place] <= LOOKBACK_MICROS if n else own
    return np.where((last >= 0) & own & near, last, NOTHING)


def _cart_filled(acts: KnownEvents) -> tuple[BoolArray, BoolArray]:
    """Whether more was added than removed since the shopper's last purchase.

    Before and after each act, bool (n,) each.
    """
    code = acts.event_code
    change = (code == EVENT_CODES[ADD_TO_CART]).astype(np.int64)
    change -= code == EVENT_CODES[REMOVE_FROM_CART]
    total = np.r_[0, np.cumsum(change)]
    starts = np.diff(acts.shopper_idx, prepend=-1) != 0
    is_purchase = code == EVENT_CODES[PURCHASE]
    emptied = np.where(is_purchase, total[1:], total[:-1])
    since = np.maximum.accumulate(np.where(starts | is_purchase, np.arange(len(acts)), 0))
    after = np.asarray(total[1:] > emptied[since])
    return np.r_[False, after][: len(acts)] & ~starts, after


def _state(
    acts: KnownEvents,
    item_category: Int32Array,
    categories: int,
    last: Int64Array,
    filled: BoolArray,
) -> Int64Array:
    own = item_category[acts.item_idx[np.maximum(last, 0)]].astype(np.int64)
    category = np.where((last >= 0) & (own >= 0), own, categories)
    return 2 * category + filled


def _terms(
    acts: KnownEvents, starts: BoolArray, searched: tuple[Searches, Int64Array]
) -> Int64Array:
    """Term that was searched for between the act before, or half an hour ago, and each act."""
    searches, number = searched
    shopper, ts = acts.shopper_idx, acts.ts
    if not len(number) or not len(ts):
        return np.full(len(ts), NOTHING, np.int64)
    found = rows_before(searches.shopper_idx, searches.ts, shopper, ts + 1) - 1
    place = np.maximum(found, 0)
    since = np.where(starts, ts - _SEARCH_REACH_MICROS, np.r_[ts[:1], ts[:-1]])
    there = (found >= 0) & (searches.shopper_idx[place] == shopper) & (searches.ts[place] >= since)
    return np.where(there, number[place], NOTHING)
