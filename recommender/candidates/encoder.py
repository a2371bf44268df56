"""Items near a learnt encoding of the latest steps of the way; see `training.models.encoder`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.seeds import Seeds
from recommender.terms import BoolArray, Float32Array, Int32Array

if TYPE_CHECKING:
    from recommender.exact_search import ExactIndex

# Cosines that differ by less may have the same score, or for τ above 1 that times τ: more than the
# subtraction, the division and the exponential (4 units in the last place each) round.
_MAY_TIE: Final = 1e-6


@dataclass(frozen=True, slots=True)
class EncoderSource(CandidateSource):
    """Next items by direction: the way and the items are vectors of one space.

    Parameters
    ----------
    vectors
        Directions, rows of length 1, or 0 for an item that nothing is known of; float32
        (items, factors).
    lengths
        How much each item says of what comes, float32 (items,).
    lag_weights
        Weight of a step by its lag, float32 (depth,); steps of a larger lag say nothing.
    temperature
        τ: an item at cosine c scores exp((c - 1) / τ).
    index
        The vectors of the items with a length, to be searched; None: they are scanned.
    is_of_pool
        See `recommender.candidates.source.PoolSource`.
    is_known
        The items with a length, bool (items,).
    """

    vectors: Float32Array
    lengths: Float32Array
    lag_weights: Float32Array
    temperature: float
    index: ExactIndex | None = None
    is_of_pool: bool = False
    is_known: BoolArray = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "is_known", self.lengths > 0)

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """The best of the whole catalogue for the way."""
        way = self.encode(*seeds.steps().distinct(len(self.lag_weights)))
        if not way.any():
            return
        if self.index is None:
            scores = self._scores(self.vectors @ way)
            proposals.keep_of_all(row, scores, eligible & self.is_known)
            return
        n, within = proposals.room, _MAY_TIE * max(1.0, self.temperature)
        near, cosines = self.index.contenders(way, eligible, n, above=-np.inf, within=within)
        proposals.keep(row, near, self._scores(cosines))

    def fill_from(self, pool: Int32Array, seeds: Seeds, proposals: Proposals, row: int) -> None:
        """The best of a pool for the way."""
        from recommender.candidates.row_sums import products

        way = self.encode(*seeds.steps().distinct(len(self.lag_weights)))
        if way.any():
            known = pool[self.is_known[pool]]
            proposals.keep(row, known, self._scores(products(self.vectors, known, way)))

    def _scores(self, cosines: Float32Array) -> Float32Array:
        scores: Float32Array = np.exp((cosines - 1) / np.float32(self.temperature))
        return scores

    def encode(self, met: Int32Array, lags: Int32Array) -> Float32Array:
        """The way as a vector of length 1, or 0 where nothing is known of it; float32 (factors,).

        Parameters
        ----------
        met, lags
            Distinct items and the lag of each, newest first, int32 (m,).
        """
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.candidates.encoded_way import encoded

        return encoded(met, lags, self.lag_weights, self.lengths, self.vectors)
