"""Items near the shopper in an implicit-feedback factor model, by folding in what they did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recommender.candidates.proposals import Proposals
from recommender.candidates.source import CandidateSource
from recommender.seeds import Seeds
from recommender.terms import BoolArray, Float32Array, Int32Array

if TYPE_CHECKING:
    from recommender.exact_search import ExactIndex


@dataclass(frozen=True, slots=True)
class AlsSource(CandidateSource):
    """Weighted matrix factorisation for implicit feedback (Hu, Koren, Volinsky 2008).

    Parameters
    ----------
    item_factors
        Y, float32 (items, factors).
    factor_inverse
        P = (YᵀY + λI)⁻¹, float32 (factors, factors).
    alpha
        Confidence is ``c = 1 + alpha * r`` where r is the summed seed weight of an item.
    regularization
        λ; looked at only where it grows with the history.
    frequency_exponent
        e: a history of summed weight s over I items is regularised by λ (1 + alpha s / I)^e
        (Rendle et al. 2021). Above 0, P has to be diagonal, so that it is known for every λ.
    index
        Y, to be searched; None: it is scanned.
    is_of_pool
        See `recommender.candidates.source.PoolSource`.
    """

    item_factors: Float32Array
    factor_inverse: Float32Array
    alpha: float
    regularization: float = 0.0
    frequency_exponent: float = 0.0
    index: ExactIndex | None = None
    is_of_pool: bool = False

    def fill(self, seeds: Seeds, eligible: BoolArray, proposals: Proposals, row: int) -> None:
        """The best of the whole catalogue for the folded-in shopper."""
        if not len(seeds):
            return
        user_factors = self.fold_in(seeds)
        if self.index is None:
            proposals.keep_of_all(row, self.item_factors @ user_factors, eligible)
        else:
            n = proposals.room
            proposals.keep(row, *self.index.contenders(user_factors, eligible, n))

    def fill_from(self, pool: Int32Array, seeds: Seeds, proposals: Proposals, row: int) -> None:
        """The best of a pool for the folded-in shopper."""
        from recommender.candidates.row_sums import products

        if len(seeds):
            proposals.keep(row, pool, products(self.item_factors, pool, self.fold_in(seeds)))

    def fold_in(self, seeds: Seeds) -> Float32Array:
        """User factors float32 (factors,) of a shopper who did this.

        Solves (YᵀY + λI + Xᵀ D X) u = Xᵀ c, equation 4 of the paper, where X holds the factors of
        the seed items and D = diag(c - 1). With Z = X P and G = Z Xᵀ the Woodbury identity gives
        u = Zᵀ (c - (D⁻¹ + G)⁻¹ G c): one small system of the size of the history.
        """
        # Kernels come in only where there is a model, see `recommender.compiled`.
        from recommender.candidates.fold_in import folded_in

        params = (self.alpha, self.regularization, self.frequency_exponent)
        return folded_in(*seeds.summed(), self.item_factors, self.factor_inverse, params)
