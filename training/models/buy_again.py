"""How often each item is bought again, and after how long: for `recommender.candidates.buy_again`.

Notation: item i was bought in n_i purchases, of which r_i were repeated by the same shopper, after
intervals whose logarithms (of days) have mean l_i and squared deviations. A purchase can only be
seen to be repeated within the time T that the log goes on after it, so that the expected number of
repeats is p Σ F(T): the repeat probability is estimated as r / Σ F(T), where F is the distribution
of all intervals. Everything is shrunk: the item towards its category, the category towards all
items, each with a prior of κ purchases (for p) or κ repeats (for the interval),

    p_i = (r_i + κ p_c) / (Σ F(T) + κ),    m_i = (Σ log intervals + κ m_c) / (r_i + κ).

Intervals that are longer than the log cannot be seen, so m is too short for what is bought every
few years; p is small there, which is what counts.

The *demand* of an item is ((s_i + 1) / (s_max + 1))^¼, where s_i counts its purchases, halved every
`half_life_days`.

An item is *durable* if a purchase of it is repeated within its time of rest with a probability
p_i F_i(rest) below a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from recommender.candidates.buy_again import ONE_PURCHASE_DAYS
from recommender.terms import PURCHASE, Float32Array, Float64Array, Int32Array
from training.known_events import KnownEvents
from training.models.popularity import MICROS_PER_DAY, decay, mass

_DEMAND_EXPONENT = 0.25
_LEAST_SD = 0.3  # of the log interval: nobody is as regular as a clock


@dataclass(frozen=True, slots=True)
class Repeats:
    """Repeat probability and log interval of each item, float32 (items,).

    Parameters
    ----------
    seen
        Repeats in the whole log.
    """

    probability: Float32Array
    log_mean: Float32Array
    log_sd: Float32Array
    seen: int


def demand(events: KnownEvents, half_life_days: float) -> Float32Array:
    """How well each item sells now, float32 (items,), in 0..1, never 0; 1 for the best seller."""
    bought = events.of_types((PURCHASE,))
    sold = mass(bought.item_idx, decay(bought.ts, events.until, half_life_days), events.items) + 1
    found: Float32Array = ((sold / sold.max(initial=1.0)) ** _DEMAND_EXPONENT).astype(np.float32)
    return found


def rest_days(repeats: Repeats, days: float, durable: float) -> Float32Array:
    """How long each item rests after its purchase: `days` if it is durable, else 0; (items,)."""
    z = (np.log(max(days, 1e-6)) - repeats.log_mean) / repeats.log_sd
    return np.where(repeats.probability * ndtr(z) < durable, days, 0.0).astype(np.float32)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Per item or group: chances to repeat Σ F(T), repeats, Σ log, Σ log²; float64 (m,)."""

    chances: Float64Array
    repeats: Float64Array
    logs: Float64Array
    squares: Float64Array

    def grouped(self, group: Int32Array) -> _Sums:
        """Sums over the members of each group; -1 is a group of its own, the last one."""
        size = int(group.max(initial=-1)) + 2
        place = np.where(group < 0, size - 1, group)
        parts = (self.chances, self.repeats, self.logs, self.squares)
        return _Sums(*(mass(place, each, size) for each in parts))


def repeat_intervals(events: KnownEvents, item_category: Int32Array, prior: float) -> Repeats:
    """Estimate from the purchases of a log.

    Parameters
    ----------
    item_category
        int32 (items,), -1 where unknown.
    prior
        κ.
    """
    item, interval, remaining = _purchases(events)
    is_repeat = np.isfinite(interval)
    logs = np.log(np.where(is_repeat, interval, 1.0))
    if not is_repeat.any():
        nothing = np.zeros(events.items, np.float32)
        return Repeats(nothing, nothing, nothing + 1, 0)
    spread = max(_LEAST_SD, float(logs[is_repeat].std()))
    # F of `recommender.candidates.buy_again.interval_share`, of all purchases at once.
    chance = ndtr((np.log(np.maximum(remaining, 1e-6)) - logs[is_repeat].mean()) / spread)
    sums = _Sums(
        *(
            mass(item, each, events.items)
            for each in (chance, is_repeat.astype(np.float64), logs, logs**2)
        )
    )
    overall = _shrunk(sums.grouped(np.zeros(events.items, np.int32)), (0.0, 0.0, 1.0), 1e-9)
    everything = (overall[0][0], overall[1][0], overall[2][0])
    by_category = _shrunk(sums.grouped(item_category), everything, prior)
    own = tuple(each[item_category] for each in by_category)
    probability, log_mean, log_sd = _shrunk(sums, own, prior)
    return Repeats(
        probability.clip(0, 0.99).astype(np.float32),
        log_mean.astype(np.float32),
        log_sd.astype(np.float32),
        int(is_repeat.sum()),
    )


def _purchases(events: KnownEvents) -> tuple[Int32Array, Float64Array, Float64Array]:
    """Each purchase: item, days until its repeat (infinity: none), days until the log ends."""
    bought = events.of_types((PURCHASE,))
    order = np.lexsort((bought.ts, bought.item_idx, bought.shopper_idx))
    shopper, item = bought.shopper_idx[order], bought.item_idx[order]
    days = bought.ts[order] / MICROS_PER_DAY
    same = np.zeros(len(days), np.bool_)
    same[1:] = (shopper[1:] == shopper[:-1]) & (item[1:] == item[:-1])
    # Lines of one purchase count once: only what comes half a day later is another one.
    gap = np.diff(days, prepend=0.0)
    kept = ~(same & (gap <= ONE_PURCHASE_DAYS))
    shopper, item, days, same = shopper[kept], item[kept], days[kept], same[kept]
    interval = np.full(len(days), np.inf)
    follows = np.flatnonzero(same)
    interval[follows - 1] = days[follows] - days[follows - 1]
    return item, interval, events.until / MICROS_PER_DAY - days


def _shrunk(
    sums: _Sums, towards: tuple[float | Float64Array, ...], prior: float
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Probability, mean and standard deviation of the log interval, moved towards a prior."""
    probability, mean, sd = towards
    own_probability = (sums.repeats + prior * probability) / (sums.chances + prior)
    weight = sums.repeats + prior
    own_mean = (sums.logs + prior * mean) / weight
    second = (sums.squares + prior * (np.square(sd) + np.square(mean))) / weight
    variance = np.maximum(second - own_mean**2, _LEAST_SD**2)
    return own_probability, own_mean, np.sqrt(variance)
