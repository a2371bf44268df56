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

from recommender.compiled import kernel
from recommender.exposures import MOST_COUNTED, TAKEN_UP_WITHIN_MICROS
from recommender.impression_discount import AGES, DEFAULT_DISCOUNT, age_bins
from recommender.terms import BoolArray, Float32Array, Float64Array, Int32Array, Int64Array
from training.sections import ImpressionDiscountSpec

POSITIONS: Final = 20
_OWN_PRIOR: Final = 0.2
# No value of the table moves by more than this share of it in another round.
_SETTLED: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Exposures:
    """Exposures of the shoppers to items, one row each.

    Parameters
    ----------
    shopper, item, place
        int32 (n,), 0-based.
    touched
        Whether the shopper had interacted with the item before, bool (n,).
    ignored, age
        How often the item had been ignored before, int32 (n,), and microseconds since the last
        time, int64 (n,); 0 where it had not been.
    clicked
        bool (n,).
    """

    shopper: Int32Array
    item: Int32Array
    place: Int32Array
    touched: BoolArray
    ignored: Int32Array
    age: Int64Array
    clicked: BoolArray

    def __len__(self) -> int:
        return len(self.item)

    @property
    def cell(self) -> Int32Array:
        """Cell k of each exposure, int32 (n,)."""
        found = np.zeros(len(self), np.int32)
        again = np.flatnonzero(self.ignored)
        row = np.minimum(self.ignored[again], MOST_COUNTED) - 1
        found[again] = 1 + row * AGES + age_bins(self.age[again])
        return found


def counted(
    pair: Int64Array, ts: Int64Array, touched_pair: Int64Array, touched_ts: Int64Array
) -> tuple[Int32Array, Int64Array, BoolArray]:
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
    order = np.lexsort((touched_ts, touched_pair))
    return _counted(pair, ts, touched_pair[order], touched_ts[order])


@kernel
def _counted(
    pair: Int64Array, ts: Int64Array, touched_pair: Int64Array, touched_ts: Int64Array
) -> tuple[Int32Array, Int64Array, BoolArray]:
    ignored, age = np.zeros(len(pair), np.int32), np.zeros(len(pair), np.int64)
    known = np.zeros(len(pair), np.bool_)
    touch, count, is_known = 0, 0, False
    for row in range(len(pair)):
        if row == 0 or pair[row] != pair[row - 1]:
            count, is_known = 0, False
            while touch < len(touched_pair) and touched_pair[touch] < pair[row]:
                touch += 1
        # What happened at the moment of an exposure forgives it, so it comes after.
        while (
            touch < len(touched_pair)
            and touched_pair[touch] == pair[row]
            and touched_ts[touch] < ts[row]
        ):
            count, is_known = 0, True
            touch += 1
        ignored[row], known[row] = count, is_known
        if count:
            age[row] = ts[row] - ts[row - 1]
        count += 1
    return ignored, age, known


def taken_up(
    pair: Int64Array, ts: Int64Array, click_pair: Int64Array, click_ts: Int64Array
) -> BoolArray:
    """Which exposures were taken up: each click is of the last one before it, within half an hour.

    Parameters
    ----------
    pair, ts
        As in `counted`.
    """
    order = np.lexsort((click_ts, click_pair))
    return _taken_up(pair, ts, click_pair[order], click_ts[order])


@kernel
def _taken_up(
    pair: Int64Array, ts: Int64Array, click_pair: Int64Array, click_ts: Int64Array
) -> BoolArray:
    clicked = np.zeros(len(pair), np.bool_)
    after = 0
    for click in range(len(click_pair)):
        of, at = click_pair[click], click_ts[click]
        while after < len(pair) and (pair[after] < of or (pair[after] == of and ts[after] <= at)):
            after += 1
        if after and pair[after - 1] == of and at - ts[after - 1] <= TAKEN_UP_WITHIN_MICROS:
            clicked[after - 1] = True
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
    cell, clicked = exposures.cell, exposures.clicked
    effects = [
        _Effect(exposures.shopper, clicked, _OWN_PRIOR),
        _Effect(exposures.item, clicked, _OWN_PRIOR),
        _Effect(exposures.touched.astype(np.int32), clicked, _OWN_PRIOR),
        _Effect(exposures.place, clicked, 0.0),
    ]
    clicks = np.bincount(cell[clicked], minlength=len(prior)).astype(np.float64)
    relative, expected = prior.copy(), np.zeros(len(prior))
    # What all effects together expect of each exposure; each is taken out while it is fitted.
    rate = relative[cell]
    for _ in range(settings.rounds):
        for effect in effects:
            effect.refit(rate)
        expected = _taken_out(cell, relative, rate)
        before, relative = relative, (clicks + settings.prior * prior) / (expected + settings.prior)
        relative[0] = 1.0
        _brought_in(cell, relative, rate)
        if np.abs(relative / before - 1).max() < _SETTLED:
            break
    return relative, expected


class _Effect:
    """One factor of the model, a value for each label."""

    def __init__(self, labels: Int32Array, clicked: BoolArray, prior: float) -> None:
        self._labels, self._prior = labels, prior
        size = int(labels.max(initial=-1)) + 1
        self._taken = np.bincount(labels[clicked], minlength=size)
        self._values = np.ones(size)

    def refit(self, rate: Float64Array) -> None:
        """Set this factor to what was taken up over what the others expect, in the rates (n,)."""
        sums = _taken_out(self._labels, self._values, rate) + self._prior
        # Where nothing was ever taken up the value stays above 0, so that it can be divided by.
        self._values = np.maximum((self._taken + self._prior) / np.maximum(sums, 1e-12), 1e-12)
        _brought_in(self._labels, self._values, rate)


@kernel
def _taken_out(labels: Int32Array, values: Float64Array, rate: Float64Array) -> Float64Array:
    """Divide the rates by a factor, in place, and say their sums by label."""
    sums = np.zeros(len(values))
    for row in range(len(labels)):
        rate[row] /= values[labels[row]]
        sums[labels[row]] += rate[row]
    return sums


@kernel
def _brought_in(labels: Int32Array, values: Float64Array, rate: Float64Array) -> None:
    """Multiply the rates by a factor, in place."""
    for row in range(len(labels)):
        rate[row] *= values[labels[row]]
