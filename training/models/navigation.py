"""What going to a category, a search or the checkout is worth: for `recommender.navigation`.

The worth of a target in a state is a mean over the moments of the state (see
`recommender.navigation`), shrunk towards the same mean over all states with as full a cart,

    J(s, a) = (Σ_s + κ J_0(a)) / (n(s) + κ).

Moments and steps are those of `recommender.trail`; the purchase that counts is the first that
follows in the visit. A next step on the very item of the last one (into the cart with it) goes to
no target: nothing that a list could show would shorten it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from recommender.ids import StringArray
from recommender.journey import LOOKBACK_MICROS
from recommender.terms import (
    ADD_TO_CART,
    EVENT_CODES,
    REMOVE_FROM_CART,
    BoolArray,
    Float32Array,
    Float64Array,
    Int32Array,
    Int64Array,
)
from recommender.trail import Trail, rows_before
from training.known_events import KnownEvents
from training.sections import NavigationSpec

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
class _Moments:
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


def learn_ways(
    events: KnownEvents,
    item_category: Int32Array,
    categories: int,
    searches: Searches,
    settings: NavigationSpec,
) -> dict[str, npt.NDArray[np.generic]]:
    """Arrays of `recommender.navigation.Ways`; none where too few visits buy.

    Parameters
    ----------
    item_category
        int32 (items,), -1 where unknown.
    """
    number, terms = searches.numbered(settings.min_visitors, settings.max_terms)
    moments = _moments(events, item_category, (categories, settings.decay), (searches, number))
    if int(moments.pays.sum()) < settings.min_purchases:
        return {}
    states, decay = 2 * (categories + 1), settings.decay
    seen = np.bincount(moments.state, minlength=states).astype(np.float64)

    def joint(target: Int64Array, size: int, cost: float) -> sparse.csr_array:
        there = (target != NOTHING) & (moments.value > 0)
        place = (moments.state[there], target[there])
        found = sparse.csr_array((moments.value[there] * cost, place), shape=(states, size))
        found.sum_duplicates()
        return found

    shrink = _Shrinking(seen, settings.prior)
    category, category_worth = shrink.best(
        joint(moments.category, categories, decay), settings.categories
    )
    term, term_worth = shrink.best(joint(moments.term, len(terms), decay), settings.terms)
    pays = joint(np.where(moments.pays, 0, NOTHING), 1, 1.0)
    packed = StringArray.from_strings(terms)
    return {
        "way_item_worth": shrink.curve(joint(moments.item, events.items, 1.0), settings.ranks),
        "way_category": category,
        "way_category_worth": category_worth,
        "way_term": term,
        "way_term_worth": term_worth,
        "way_checkout_worth": shrink.column(pays),
        "term_data": packed.data,
        "term_offsets": packed.offsets,
    }


@dataclass(frozen=True, slots=True)
class _Shrinking:
    """Means per state, moved towards those of all states with as full a cart.

    Parameters
    ----------
    seen
        Moments of each state, float64 (states,); even rows have an empty cart.
    prior
        κ.
    """

    seen: Float64Array
    prior: float

    def pooled(self, joint: sparse.csr_array, filled: int) -> Float64Array:
        """J_0 of each target, float64 (targets,)."""
        total = np.asarray(joint[filled::2].sum(axis=0), np.float64).ravel()
        return total / max(float(self.seen[filled::2].sum()), 1.0)

    def best(self, joint: sparse.csr_array, width: int) -> tuple[Int32Array, Float32Array]:
        """The targets of each state that are worth most: int32, float32 (states, width)."""
        states, targets = joint.shape
        idx = np.full((states, width), NOTHING, np.int32)
        worth = np.zeros((states, width), np.float32)
        if not targets:
            return idx, worth
        pooled = [self.pooled(joint, filled) for filled in (0, 1)]
        common = [np.argsort(-each, kind="stable")[:width] for each in pooled]
        for state in range(states):
            row = slice(joint.indptr[state], joint.indptr[state + 1])
            there = np.union1d(joint.indices[row], common[state % 2])
            own = np.zeros(len(there))
            own[np.searchsorted(there, joint.indices[row])] = joint.data[row]
            means = self._mean(state, own, pooled[state % 2][there])
            order = np.argsort(-means, kind="stable")[:width]
            order = order[means[order] > 0]
            idx[state, : len(order)] = there[order]
            worth[state, : len(order)] = means[order]
        return idx, worth

    def curve(self, joint: sparse.csr_array, ranks: int) -> Float32Array:
        """Worth of the best targets of each state, rank by rank, float32 (states, ranks)."""
        curves = np.zeros((joint.shape[0], ranks), np.float32)
        pooled = [_first(self.pooled(joint, filled), ranks) for filled in (0, 1)]
        for state in range(joint.shape[0]):
            row = slice(joint.indptr[state], joint.indptr[state + 1])
            own = _first(joint.data[row], ranks)
            curves[state] = self._mean(state, own, pooled[state % 2])
        return np.minimum.accumulate(curves, axis=1)

    def column(self, joint: sparse.csr_array) -> Float32Array:
        """Worth of the one target there is, float32 (states,)."""
        own = np.asarray(joint.sum(axis=1), np.float64).ravel()
        pooled = np.array([float(self.pooled(joint, filled)[0]) for filled in (0, 1)])
        towards = np.tile(pooled, len(own) // 2)
        found = (own + self.prior * towards) / (self.seen + self.prior)
        return found.astype(np.float32)

    def _mean(self, state: int, own: Float64Array, pooled: Float64Array) -> Float64Array:
        found: Float64Array = (own + self.prior * pooled) / (self.seen[state] + self.prior)
        return found


def _first(values: npt.NDArray[np.floating], ranks: int) -> Float64Array:
    """The largest values, falling, padded with 0, float64 (ranks,)."""
    found = np.zeros(ranks)
    best = np.sort(values)[::-1][:ranks]
    found[: len(best)] = best
    return found


def _moments(
    events: KnownEvents,
    item_category: Int32Array,
    size: tuple[int, float],
    searched: tuple[Searches, Int64Array],
) -> _Moments:
    categories, decay = size
    acts, is_step = _acts(events)
    n = len(acts)
    shopper, session, ts = acts.shopper_idx, acts.session, acts.ts
    last = _last_step(
        acts, is_step
    )  # before act k, for k in 0..n: a visit may be the shopper's first
    starts = np.r_[True, session[1:] != session[:-1]] if n else np.empty(0, np.bool_)
    ends = np.r_[starts[1:], True] if n else starts
    filled = _cart_filled(acts)
    state = _state(acts, item_category, categories, last, filled)
    after = _state_after(acts, is_step, item_category, categories, last)[ends]
    purchases = np.r_[np.flatnonzero(~is_step), n]
    bought = purchases[np.searchsorted(purchases, np.arange(n))]
    buys = (bought < n) & (np.r_[session, NOTHING][bought] == session)
    steps_before = np.r_[0, np.cumsum(is_step)]
    left = steps_before[bought] - steps_before[:n]
    value = np.where(buys, decay ** np.where(buys, left, 0), 0.0)
    item = acts.item_idx.astype(np.int64)
    moves = is_step & ~((last >= 0) & (item == item[np.maximum(last, 0)]))
    category = np.where(moves, item_category[item], NOTHING).astype(np.int64)
    term = np.where(moves, _terms(shopper, ts, starts, searched), NOTHING)
    nothing = np.full(len(after), NOTHING, np.int64)
    return _Moments(
        np.r_[state, after],
        np.r_[value, np.zeros(len(after))],
        np.r_[np.where(moves, item, NOTHING), nothing],
        np.r_[category, nothing],
        np.r_[term, nothing],
        np.r_[~is_step & filled, np.zeros(len(after), np.bool_)],
    )


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


def _cart_filled(acts: KnownEvents, *, after: bool = False) -> BoolArray:
    """Whether more was added than removed since the shopper's last purchase, before each act."""
    code = acts.event_code
    change = (code == EVENT_CODES[ADD_TO_CART]).astype(np.int64)
    change -= code == EVENT_CODES[REMOVE_FROM_CART]
    total = np.r_[0, np.cumsum(change)]
    n = len(acts)
    trail = Trail(acts.shopper_idx, acts.session, acts.item_idx, code, acts.ts)
    empties = np.diff(acts.shopper_idx, prepend=-1) != 0
    if after:
        empties = empties | trail.is_purchase
    else:
        empties[1:] |= trail.is_purchase[:-1]
    base_row = np.maximum.accumulate(np.where(empties, np.arange(n), 0)) if n else np.arange(0)
    base = total[base_row]
    reached = total[1:] if after else total[:-1]
    if after:
        base = np.where(trail.is_purchase[base_row], total[base_row + 1], base)
    return np.asarray(reached - base > 0)


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


def _state_after(
    acts: KnownEvents,
    is_step: BoolArray,
    item_category: Int32Array,
    categories: int,
    last: Int64Array,
) -> Int64Array:
    here = np.where(is_step, np.arange(len(acts)), last)
    return _state(acts, item_category, categories, here, _cart_filled(acts, after=True))


def _terms(
    shopper: Int32Array,
    ts: Int64Array,
    starts: BoolArray,
    searched: tuple[Searches, Int64Array],
) -> Int64Array:
    """Term that was searched for between the act before, or half an hour ago, and each act."""
    searches, number = searched
    if not len(number) or not len(ts):
        return np.full(len(ts), NOTHING, np.int64)
    found = rows_before(searches.shopper_idx, searches.ts, shopper, ts + 1) - 1
    place = np.maximum(found, 0)
    since = np.where(starts, ts - _SEARCH_REACH_MICROS, np.r_[ts[:1], ts[:-1]])
    there = (found >= 0) & (searches.shopper_idx[place] == shopper) & (searches.ts[place] >= since)
    return np.where(there, number[place], NOTHING)
