"""How much less a suggestion is taken up after it was ignored, learnt from the exposures of a log.

Notation: shopper u, item i, place p (placement and position), t whether the shopper had dealt with
the item before, cell k: how often the item had been ignored and how long ago, see
`recommender.impression_discount`; k = 0 is "not ignored". Of each exposure y = 1 if it was taken
up. Raw click rates by k mislead: what stays ignored is less attractive, whoever ignores it clicks
less, and an item that was just looked at (k = 0 again) is less wanted. Therefore a log-linear model
with an effect of each (the idea of Lee et al. 2014; fixed effects of a Poisson model do not bias
each other, Cameron and Trivedi 2013, "Regression analysis of count data", 9.4)::

    E y = a_u · b_i · c_p · g_t · d_k,        d_0 = 1

fitted by iterative proportional fitting: each factor in turn is set to what was taken up over what
the others expect (Deming and Stephan 1940). Shopper and item are shrunk towards 1 by `_OWN_PRIOR`
expected clicks, d_k towards the default table by `prior` of them. Last the table is made to fall
with the number of showings and to rise with age (pooled adjacent violators).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import isotonic_regression

from recommender.exposures import MOST_COUNTED, TAKEN_UP_WITHIN_MICROS
from recommender.impression_discount import AGES, DEFAULT_DISCOUNT, age_bins
from recommender.terms import BoolArray, Float32Array, Float64Array, Int64Array
from training.sections import ImpressionDiscountSpec

POSITIONS: Final = 20
_OWN_PRIOR: Final = 0.2


@dataclass(frozen=True, slots=True)
class Exposures:
    """Exposures of the shoppers to items, one row each.

    Parameters
    ----------
    shopper, item, place
        int64 (n,), 0-based.
    touched
        Whether the shopper had interacted with the item before, bool (n,).
    ignored, age
        How often the item had been ignored before, and microseconds since the last time; 0 where
        it had not been. int64 (n,).
    clicked
        bool (n,).
    """

    shopper: Int64Array
    item: Int64Array
    place: Int64Array
    touched: BoolArray
    ignored: Int64Array
    age: Int64Array
    clicked: BoolArray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def cell(self) -> Int64Array:
        """Cell k of each exposure, int64 (n,)."""
        row = np.minimum(self.ignored, MOST_COUNTED) - 1
        return np.where(self.ignored > 0, 1 + row * AGES + age_bins(self.age), 0)


def counted(
    pair: Int64Array, ts: Int64Array, touched_pair: Int64Array, touched_ts: Int64Array
) -> tuple[Int64Array, Int64Array, BoolArray]:
    """How often and how long ago each exposure's item had been ignored, as serving counts it.

    And whether the shopper had ever interacted with it before.

    See `recommender.exposures.ignored_exposures`, asked just before the exposure.

    Parameters
    ----------
    pair, ts
        Shopper and item as one number, and time of each exposure; sorted, no two alike.
    touched_pair, touched_ts
        The same of every interaction, in any order.
    """
    pairs, times = np.concatenate([pair, touched_pair]), np.concatenate([ts, touched_ts])
    is_touch = np.repeat([False, True], [len(pair), len(touched_pair)])
    # What happened at the moment of an exposure forgives it, so it comes after.
    order = np.lexsort((is_touch, times, pairs))
    pairs, times, is_touch = pairs[order], times[order], is_touch[order]
    before = np.cumsum(~is_touch) - ~is_touch
    begins = np.diff(pairs, prepend=pairs[:1] - 1) != 0
    forgiven = np.maximum.accumulate(np.where(begins | is_touch, before, 0))
    places = np.flatnonzero(~is_touch)
    ignored = (before - forgiven)[places]
    age = np.where(ignored > 0, np.diff(times[places], prepend=times[:1]), 0)
    touches = np.cumsum(is_touch)
    known = touches > np.maximum.accumulate(np.where(begins, touches - is_touch, 0))
    return ignored.astype(np.int64), age.astype(np.int64), known[places]


def taken_up(
    pair: Int64Array, ts: Int64Array, click_pair: Int64Array, click_ts: Int64Array
) -> BoolArray:
    """Which exposures were taken up: each click is of the last one before it, within half an hour.

    Parameters
    ----------
    pair, ts
        As in `counted`.
    """
    pairs, times = np.concatenate([pair, click_pair]), np.concatenate([ts, click_ts])
    row = np.concatenate([np.arange(len(pair)), np.full(len(click_pair), -1)])
    order = np.lexsort((row < 0, times, pairs))
    pairs, times, row = pairs[order], times[order], row[order]
    # Rows of exposures rise in this order, so the last one so far is the largest.
    last = np.maximum.accumulate(row)
    clicks = np.flatnonzero((row < 0) & (last >= 0))
    shown = last[clicks]
    fits = (pair[shown] == pairs[clicks]) & (times[clicks] - ts[shown] <= TAKEN_UP_WITHIN_MICROS)
    clicked = np.zeros(len(pair), np.bool_)
    clicked[shown[fits]] = True
    return clicked


def learn_discount(exposures: Exposures, settings: ImpressionDiscountSpec) -> Float32Array | None:
    """The table, float32 (`MOST_COUNTED`, `AGES`), or None where the log holds too little."""
    repeated = exposures.ignored > 0
    if int((repeated & exposures.clicked).sum()) < settings.min_clicks:
        return None
    relative, expected = _fitted(exposures, settings)
    table = relative[1:].reshape(MOST_COUNTED, AGES)
    weight = expected[1:].reshape(MOST_COUNTED, AGES) + settings.prior
    return monotone(table, weight)


def monotone(table: Float64Array, weight: Float64Array) -> Float32Array:
    """The nearest table in (0, 1] that falls with each row and rises with each column.

    Rows, then columns, by pooled adjacent violators; the running extremes then mend what little the
    second pass broke of the first.
    """
    table = np.array([isotonic(*row) for row in zip(table, weight, strict=True)])
    columns = zip(table.T, weight.T, strict=True)
    table = np.array([-isotonic(-column, weights) for column, weights in columns]).T
    table = np.minimum.accumulate(np.maximum.accumulate(table, axis=1), axis=0)
    return np.clip(table, 1e-3, 1.0).astype(np.float32)


def isotonic(values: Float64Array, weights: Float64Array) -> Float64Array:
    """The rising sequence nearest to `values` in weighted squares, float64 (n,).

    Pooled adjacent violators: Barlow, Bartholomew, Bremner and Brunk 1972, 1.2.
    """
    return np.asarray(isotonic_regression(values, weights=weights).x, np.float64)


def _fitted(
    exposures: Exposures, settings: ImpressionDiscountSpec
) -> tuple[Float64Array, Float64Array]:
    """Values d by cell, and the clicks that the other factors expect there; float64 (cells,)."""
    prior = np.concatenate([[1.0], DEFAULT_DISCOUNT.astype(np.float64).ravel()])
    cell, clicked = exposures.cell, exposures.clicked.astype(np.float64)
    effects = [
        _Effect(exposures.shopper, clicked, _OWN_PRIOR),
        _Effect(exposures.item, clicked, _OWN_PRIOR),
        _Effect(exposures.touched.astype(np.int64), clicked, _OWN_PRIOR),
        _Effect(exposures.place, clicked, 0.0),
    ]
    clicks = np.asarray(np.bincount(cell, clicked, len(prior)), np.float64)
    relative = prior.copy()
    expected: Float64Array = np.zeros(len(prior))
    # What all effects together expect of each exposure; each is taken out while it is fitted.
    rate = relative[cell]
    for _ in range(settings.rounds):
        for effect in effects:
            rate = effect.refitted(rate)
        rate /= relative[cell]
        expected = np.asarray(np.bincount(cell, rate, len(prior)), np.float64)
        relative = (clicks + settings.prior * prior) / (expected + settings.prior)
        relative[0] = 1.0
        rate *= relative[cell]
    return relative, expected


class _Effect:
    """One factor of the model, a value for each label."""

    def __init__(self, labels: Int64Array, clicked: Float64Array, prior: float) -> None:
        self._labels, self._prior = labels, prior
        self._taken = np.bincount(labels, clicked)
        self._values = np.ones(len(self._taken))

    def refitted(self, rate: Float64Array) -> Float64Array:
        """The rates (n,) after this factor was set to what was taken up over what is expected."""
        others = rate / self._values[self._labels]
        sums = np.bincount(self._labels, others) + self._prior
        # Where nothing was ever taken up the value stays above 0, so that it can be divided by.
        self._values = np.maximum((self._taken + self._prior) / np.maximum(sums, 1e-12), 1e-12)
        return np.asarray(others * self._values[self._labels])
