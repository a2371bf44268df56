"""What the shopper buys again and again, and is about to need now.

Notation: a shopper bought an item n times, the last time a days ago. A purchase is repeated with
probability p, after an interval whose logarithm (of days) is normal with mean m and standard
deviation s; F is its distribution function. The probability of a purchase within the next h days,
given that there was none in the a days since the last, is

    p (F(a + h) - F(a)) / (1 - p F(a)).

p and m are those of the item, moved towards the shopper's own: n - 1 repeats in n - 1 chances and
the n - 1 own log intervals count against a prior of κ,

    p' = (κ p + n - 1) / (κ + n - 1),    m' = (κ m + Σ log intervals) / (κ + n - 1).

Among what is due, what sells now comes first: the score is this probability times the item's
demand. A shop's seasons end, and rhythms learnt from the whole log do not know it.

The item's numbers are estimated in `training.models.buy_again`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import EVENT_CODES, PURCHASE, BoolArray, Float32Array, Float64Array

SECONDS_PER_DAY: Final = 86_400.0
# Purchases of an item within this time are one: two lines of an order, or a corrected one.
ONE_PURCHASE_DAYS: Final = 0.5


@dataclass(frozen=True, slots=True)
class BuyAgainSource(CandidateSource):
    """Bought items by how likely they are due.

    Parameters
    ----------
    repeat_probability
        p of each item, float32 (items,), 0..1; near 0 for what is bought once in a lifetime.
    interval_log_mean, interval_log_sd
        m and s of each item, of days, float32 (items,); s is positive.
    horizon_days
        h, positive.
    own_prior
        κ, positive.
    least
        Items that are less likely than this are not proposed.
    demand
        How well each item sells now beside the best seller, float32 (items,), above 0, at most 1.
    """

    repeat_probability: Float32Array
    interval_log_mean: Float32Array
    interval_log_sd: Float32Array
    horizon_days: float
    own_prior: float
    least: float
    demand: Float32Array

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """Score of an item: the probability that it is bought within the horizon, times demand."""
        is_purchase = seeds.event_codes == EVENT_CODES[PURCHASE]
        if not is_purchase.any():
            return
        bought = seeds[is_purchase]
        order = np.lexsort((-bought.ages, bought.item_idx))
        item_idx = bought.item_idx[order]
        days = bought.ages[order].astype(np.float64) / SECONDS_PER_DAY
        items, starts = np.unique(item_idx, return_index=True)
        repeats, log_intervals = own_intervals(item_idx, days, starts)
        last = days[np.append(starts[1:], len(days)) - 1]
        prior = self.own_prior
        probability = (prior * self.repeat_probability[items] + repeats) / (prior + repeats)
        mean = (prior * self.interval_log_mean[items] + log_intervals) / (prior + repeats)
        chance = due(probability, (mean, self.interval_log_sd[items]), last, self.horizon_days)
        kept = eligible[items] & (chance >= self.least)
        items, score = items[kept].astype(np.int32), (chance * self.demand[items])[kept]
        proposals.keep(row, items, score.astype(np.float32))

    def probabilities(self, proposed: ScoredItems) -> Float32Array:
        """The probability of each item that it proposed, float32 (n,)."""
        return proposed.scores / self.demand[proposed.item_idx]


def own_intervals(
    item_idx: np.ndarray, days: Float64Array, starts: np.ndarray
) -> tuple[Float64Array, Float64Array]:
    """Repeats of each item and the sum of the logs of their intervals, float64 (m,) each.

    Parameters
    ----------
    item_idx, days
        Item and age of each purchase, by item, oldest first.
    starts
        Where each item begins.
    """
    intervals = -np.diff(days, append=days[-1])
    is_repeat = np.append(item_idx[1:] == item_idx[:-1], False)
    is_repeat &= intervals > ONE_PURCHASE_DAYS
    logs = np.log(np.where(is_repeat, intervals, 1.0))
    return np.add.reduceat(is_repeat.astype(np.float64), starts), np.add.reduceat(logs, starts)


def due(
    probability: Float64Array,
    interval: tuple[Float64Array, Float32Array],
    days: Float64Array,
    horizon_days: float,
) -> Float64Array:
    """The probability above for purchases `days` ago, float64 (m,).

    Parameters
    ----------
    interval
        Mean and standard deviation of the log interval.
    """
    before = interval_share(days, *interval)
    soon = interval_share(days + horizon_days, *interval) - before
    chance: Float64Array = probability * soon / np.maximum(1.0 - probability * before, 1e-12)
    return chance


def interval_share(
    days: Float64Array, log_mean: Float64Array, log_sd: Float32Array
) -> Float64Array:
    """F: share of the intervals that are over after so many days, log-normal, float64 (m,)."""
    z = (np.log(np.maximum(days, 1e-6)) - log_mean) / (log_sd * math.sqrt(2.0))
    return np.array([0.5 * (1.0 + math.erf(each)) for each in z.tolist()])
