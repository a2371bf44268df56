"""Intervals of figures over shoppers, also where there are a million of them.

Shoppers are drawn with replacement (see `training.evaluation.bootstrap`). Where there are more
than `MOST_BLOCKS` of them, they are first dealt at random to as many blocks of equal size, and
blocks are drawn: shoppers are independent, so the variance of a sum over them is that of the sum
over blocks, and the draws stay small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recommender.terms import BoolArray, Float64Array, Int64Array
from training.evaluation.bootstrap import Bootstrap, Interval
from training.sections import EvaluationSpec

MOST_BLOCKS: Final = 1_000
# A share of two visits out of two has an interval of no width: the draws cannot know what they have
# not seen. Below this many no share is given; the counts say what there is to say.
LEAST: Final = 20


@dataclass(frozen=True, slots=True)
class Resampling:
    """Draws of blocks of shoppers, b blocks.

    Parameters
    ----------
    block
        Block of each shopper, int64 (shoppers,).
    """

    draws: Bootstrap
    block: Int64Array

    @classmethod
    def of(cls, shoppers: int, spec: EvaluationSpec) -> Resampling:
        """Deal the shoppers and draw, with the seed, rounds and confidence of a spec."""
        blocks = min(max(shoppers, 1), MOST_BLOCKS)
        dealt = np.random.default_rng(spec.seed).permutation(shoppers) % blocks
        drawing = (spec.bootstrap_rounds, spec.confidence, spec.seed)
        return cls(Bootstrap.draw(blocks, *drawing), dealt.astype(np.int64))

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return int(self.draws.counts.shape[1])

    def totals(self, shopper: Int64Array, values: npt.NDArray[Any] | None = None) -> Float64Array:
        """Sum of one value per element by block, float64 (b,); without values the number."""
        found = np.bincount(self.block[shopper], values, self.blocks)
        return np.asarray(found, np.float64)

    def mean(self, shopper: Int64Array, values: npt.NDArray[Any]) -> Interval | None:
        """Mean of one value per element, each of one shopper; None of fewer than `LEAST`."""
        if len(shopper) < LEAST:
            return None
        return self.draws.ratio(self.totals(shopper, values), self.totals(shopper))

    def difference(
        self, shopper: Int64Array, values: npt.NDArray[Any], chosen: BoolArray
    ) -> Interval | None:
        """Mean of the chosen minus mean of the others; None of fewer than `LEAST` of either."""
        if min(chosen.sum(), (~chosen).sum()) < LEAST:
            return None
        (here, drawn_here), (there, drawn_there) = (
            self._means(shopper[part], values[part]) for part in (chosen, ~chosen)
        )
        drawn = drawn_here - drawn_there
        return self.draws.around(here - there, drawn[~np.isnan(drawn)])

    def against_mean(
        self, shopper: Int64Array, values: npt.NDArray[Any], chosen: BoolArray
    ) -> Interval | None:
        """Mean of the chosen divided by mean of all; None of fewer than `LEAST`, or of zeros."""
        if chosen.sum() < LEAST or not values.any():
            return None
        here, drawn_here = self._means(shopper[chosen], values[chosen])
        whole, drawn_whole = self._means(shopper, values)
        usable = ~np.isnan(drawn_here) & (drawn_whole > 0)
        return self.draws.around(here / whole, drawn_here[usable] / drawn_whole[usable])

    def _means(self, shopper: Int64Array, values: npt.NDArray[Any]) -> tuple[float, Float64Array]:
        """Mean of the whole and of each draw, float64 (rounds,); NaN where a draw has none."""
        sums, sizes = self.totals(shopper, values), self.totals(shopper)
        drawn, drawn_sizes = self.draws.counts @ sums, self.draws.counts @ sizes
        means = np.full(len(drawn), np.nan)
        np.divide(drawn, drawn_sizes, out=means, where=drawn_sizes > 0)
        return float(sums.sum() / sizes.sum()), means
