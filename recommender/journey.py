"""Journeys: the way to a purchase, its length, and how much of it a list could have saved.

The one place for these definitions; training, reports and experiments use them.

Notation
--------
*Trail* and *step* as in `recommender.trail`. A *purchase* is a purchase event; those of one visit
with no step between them are one purchase, because some shops log each line of an order on its
own. Its *journey* are the shopper's rows after the previous purchase, or from `LOOKBACK_DAYS`
before it, whichever is later, up to the purchase. There is one journey per purchase, and one
*path* per different item bought in it; figures of a journey are means over its paths, so that a
basket of thirty lines counts as much as one of one.

With steps numbered from 0 and n of them before the purchase,

- *steps to purchase* = n;
- *first sight* f of an item = number of the first step on it, n where the purchase is the first;
- *first shown* g = the smallest i such that the item was in the top k given only what had happened
  before step i; `NEVER` where there is none below f;
- *steps saved@k* = max(f - g, 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recommender.terms import ADD_TO_CART, EVENT_CODES, BoolArray, Float64Array, Int64Array
from recommender.trail import IntArray, Trail

LOOKBACK_DAYS: Final = 7
LOOKBACK_MICROS: Final = LOOKBACK_DAYS * 86_400_000_000
NEVER: Final = int(np.iinfo(np.int64).max)


@dataclass(frozen=True, slots=True)
class Journeys:
    """The journeys of a trail: m of them, with p paths, over the s steps of the whole trail.

    Parameters
    ----------
    purchase_row
        Row at which each purchase begins, int64 (m,), ascending.
    first_row
        Row at which each journey begins, int64 (m,); the purchase's where nothing came before.
    steps
        Steps to purchase, int64 (m,).
    first_step
        Position of step 0 of each journey in `step_rows`, int64 (m,).
    step_rows
        Row at which each step of the trail begins, int64 (s,).
    path_journey, path_item
        Journey and item of each path, int64 (p,), ascending; each pair once.
    first_sight
        Of each path, int64 (p,), 0 to the steps of its journey.
    """

    purchase_row: Int64Array
    first_row: Int64Array
    steps: Int64Array
    first_step: Int64Array
    step_rows: Int64Array
    path_journey: Int64Array
    path_item: Int64Array
    first_sight: Int64Array

    def __len__(self) -> int:
        return len(self.purchase_row)

    def rows_of_steps(self, journey: int) -> Int64Array:
        """Row at which each step of one journey begins, int64 (steps,)."""
        first = self.first_step[journey]
        return self.step_rows[first : first + self.steps[journey]]


def journeys_of(trail: Trail, lookback_micros: int = LOOKBACK_MICROS) -> Journeys:
    """Every journey of a trail, in the order of the rows.

    Nothing after a purchase, with its last line, changes its journey.
    """
    begins = trail.begins_step
    steps_before = np.r_[0, np.cumsum(begins, dtype=np.int64)]
    rows = np.flatnonzero(trail.is_purchase)
    opens = _opens_purchase(trail, rows, steps_before)
    purchase = np.cumsum(opens) - 1
    purchase_row = rows[opens]
    first_row = _first_rows(trail, purchase_row, _last_rows(rows, purchase), lookback_micros)
    first_step = steps_before[first_row]
    steps = steps_before[purchase_row] - first_step
    path_journey, path_item = _paths(purchase, trail.item_idx[rows])
    seen_row = _seen_rows(trail, path_item, first_row[path_journey], purchase_row[path_journey])
    number = steps_before[seen_row + 1] - 1 - first_step[path_journey]
    unseen = seen_row == purchase_row[path_journey]
    # A page that was opened just before the journey begins with its view: still step 0.
    sight = np.where(unseen, steps[path_journey], np.maximum(number, 0))
    step_rows = np.flatnonzero(begins)
    return Journeys(
        purchase_row, first_row, steps, first_step, step_rows, path_journey, path_item, sight
    )


def _opens_purchase(trail: Trail, rows: Int64Array, steps_before: Int64Array) -> BoolArray:
    """Purchase rows that begin a purchase: another visit, or a step since the row before."""
    opens = np.ones(len(rows), np.bool_)
    opens[1:] = np.diff(trail.session[rows]) != 0
    opens[1:] |= np.diff(trail.shopper_idx[rows]) != 0
    opens[1:] |= np.diff(steps_before[rows]) != 0
    return opens


def _last_rows(rows: Int64Array, purchase: Int64Array) -> Int64Array:
    return rows[np.flatnonzero(np.r_[np.diff(purchase) != 0, np.ones(min(len(rows), 1), bool)])]


def _first_rows(
    trail: Trail, purchase_row: Int64Array, last_row: Int64Array, lookback_micros: int
) -> Int64Array:
    shopper = trail.shopper_idx[purchase_row]
    earliest = trail.ts[purchase_row] - lookback_micros
    first_row = trail.first_at_or_after(shopper, earliest)
    same = shopper[1:] == shopper[:-1]
    first_row[1:] = np.maximum(first_row[1:], np.where(same, last_row[:-1] + 1, 0))
    return first_row


def _paths(purchase: Int64Array, item_idx: IntArray) -> tuple[Int64Array, Int64Array]:
    width = int(item_idx.max()) + 1 if len(item_idx) else 1
    pairs = np.unique(purchase * width + item_idx.astype(np.int64))
    return pairs // width, pairs % width


def _seen_rows(
    trail: Trail, item: Int64Array, first_row: Int64Array, purchase_row: Int64Array
) -> Int64Array:
    """First row of a step on each item from `first_row` on, else `purchase_row`."""
    n = len(trail)
    rows = np.flatnonzero(trail.is_step)
    keys = np.sort(trail.item_idx[rows].astype(np.int64) * n + rows)
    found = np.r_[keys, NEVER][np.searchsorted(keys, item * n + first_row)]
    return np.where(found < item * n + purchase_row, found - item * n, purchase_row)


def steps_saved(first_sight: Int64Array, first_shown: Int64Array) -> Int64Array:
    """max(f - g, 0) of each path, int64 (p,); g is `NEVER` where the item was not shown before f.

    Never negative, and never more than the first sight.
    """
    if len(first_shown) and int(first_shown.min()) < 0:
        raise ValueError(f"first_shown={int(first_shown.min())}; accepted: 0 or more, or NEVER")
    return np.where(first_shown < first_sight, first_sight - first_shown, 0)


def mean_over_paths(values: npt.NDArray[Any], path_journey: Int64Array) -> Float64Array:
    """Mean of the values (p,) of each journey's paths, float64 (m,); every journey has a path."""
    counts = np.bincount(path_journey)
    return np.asarray(np.bincount(path_journey, values) / counts, np.float64)


@dataclass(frozen=True, slots=True)
class VisitLengths:
    """How visits went.

    Parameters
    ----------
    steps
        Steps up to the first purchase of the visit, or up to its end, int64 (v,).
    is_bought
        Whether there was a purchase, bool (v,).
    carted_after
        Steps up to and with the first one into the cart, int64 (v,); `NEVER` without one before
        the purchase.
    """

    steps: Int64Array
    is_bought: BoolArray
    carted_after: Int64Array


def visit_lengths(
    trail: Trail, shopper_idx: IntArray, start: Int64Array, end: Int64Array
) -> VisitLengths:
    """Length and outcome of visits, each from `start` to `end` (microseconds, both included)."""
    first, stop = (trail.first_at_or_after(shopper_idx, ts) for ts in (start, end + 1))
    purchases = np.r_[np.flatnonzero(trail.is_purchase), NEVER]
    bought_row = purchases[np.searchsorted(purchases, first)]
    is_bought = bought_row < stop
    last = np.where(is_bought, bought_row, stop)
    steps_before = np.r_[0, np.cumsum(trail.begins_step, dtype=np.int64)]
    carts = np.r_[np.flatnonzero(trail.event_code == EVENT_CODES[ADD_TO_CART]), NEVER]
    cart_row = carts[np.searchsorted(carts, first)]
    is_carted = cart_row < last
    carted = steps_before[np.where(is_carted, cart_row, -1) + 1] - steps_before[first]
    steps = steps_before[last] - steps_before[first]
    return VisitLengths(steps, is_bought, np.where(is_carted, carted, NEVER))


def survival(bought: Float64Array, left: Float64Array) -> Float64Array:
    """Kaplan-Meier estimate of S(t) = P(more than t further steps to a purchase).

    S(t) = Π_{s≤t} (1 - d_s / n_s), Kaplan and Meier 1958; d_s visits bought after s further steps,
    n_s visits had neither bought nor ended before that. A visit that ended without a purchase is
    *censored*: it says that the way was longer than this, not that it was short. One that ended
    after s steps was at risk of buying after s steps.

    Parameters
    ----------
    bought, left
        How many visits bought, or ended without a purchase, after t = 0, 1, … further steps,
        (..., T); any leading axes, for example bootstrap rounds.

    Returns
    -------
    array
        float64 (..., T). Where nobody is left at risk the curve stays where it was.
    """
    ended = bought + left
    at_risk = np.cumsum(ended[..., ::-1], axis=-1)[..., ::-1]
    hazard = np.divide(bought, at_risk, out=np.zeros(ended.shape), where=at_risk > 0)
    return np.asarray(np.cumprod(1.0 - hazard, axis=-1))


def remaining_steps(bought: Float64Array, left: Float64Array, horizon: int) -> Float64Array:
    """Expected further steps to a purchase, restricted to the horizon: E[min(T, h)], (...).

    E[min(T, h)] = Σ_{t<h} S(t), the restricted mean of the survival curve (Irwin 1949). It is
    *truncated at h*: steps beyond are not counted, so a stage at which nearly nobody buys has h.
    Without censoring and with h above the longest way it is the plain mean.

    Parameters
    ----------
    bought, left
        See `survival`.
    horizon
        h, steps, at least 1.
    """
    if horizon < 1:
        raise ValueError(f"horizon={horizon}; accepted: 1 step or more")
    curve = survival(bought, left)[..., :horizon]
    beyond = horizon - curve.shape[-1]
    last = curve[..., -1] if curve.shape[-1] else np.ones(curve.shape[:-1])
    return np.asarray(curve.sum(axis=-1) + max(beyond, 0) * last)
