"""How sure a mean is: percentile bootstrap over shoppers (Efron, Tibshirani 1993, chapter 13).

Shoppers are the unit, because answers to one shopper are not independent. Differences are paired:
both models answer the same shoppers, and the same draw of shoppers is used for both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recommender.terms import Float64Array


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Draws of n shoppers with replacement, as how often each was drawn.

    Parameters
    ----------
    counts
        float64 (rounds, n); each row sums to n.
    confidence
        Share of the draws that an interval covers.
    """

    counts: Float64Array
    confidence: float

    @classmethod
    def draw(cls, users: int, rounds: int, confidence: float, seed: int) -> Bootstrap:
        """Draw once, to be used for every metric: the same seed gives the same draws."""
        rng = np.random.default_rng(seed)
        counts = np.stack(
            [np.bincount(rng.integers(users, size=users), minlength=users) for _ in range(rounds)]
        )
        return cls(counts.astype(np.float64), confidence)

    def interval(self, values: Float64Array) -> Interval:
        """Interval of the mean of one value per shopper, float64 (n,).

        Shoppers whose value is NaN do not take part: a slice is drawn as part of the whole. Raises
        `ValueError` when none does.
        """
        present = ~np.isnan(values)
        if not present.any():
            raise ValueError("no shopper has a value; leave the group out and count it")
        drawn = self.counts[:, present]
        sums, sizes = drawn @ values[present], drawn.sum(axis=1)
        low, high = self._tails(sums[sizes > 0] / sizes[sizes > 0])
        return Interval(float(values[present].mean()), low, high)

    def ratio(self, sums: Float64Array, counts: Float64Array) -> Interval:
        """Interval of Σ sums / Σ counts, both per shopper, float64 (n,).

        For a mean over what shoppers have several of, such as journeys: shoppers are drawn, and
        each brings all of theirs. Raises `ValueError` when the counts sum to 0.
        """
        whole = counts.sum()
        if whole <= 0:
            raise ValueError("nothing to count; leave the group out")
        drawn, sizes = self.counts @ sums, self.counts @ counts
        low, high = self._tails(drawn[sizes > 0] / sizes[sizes > 0])
        return Interval(float(sums.sum() / whole), low, high)

    def around(self, value: float, draws: Float64Array) -> Interval:
        """Interval of a figure that was computed for the whole and for each draw, (rounds,)."""
        return Interval(value, *self._tails(draws))

    def _tails(self, draws: Float64Array) -> tuple[float, float]:
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [tail, 1 - tail])
        return float(low), float(high)
