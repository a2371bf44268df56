"""What a candidate source is, and the two helpers that all of them share."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Float32Array, Int32Array


class CandidateSource(Protocol):
    """Proposes items for a shopper."""

    def candidates(self, seeds: Seeds, eligible: BoolArray, n: int) -> ScoredItems:
        """At most n eligible items with a positive score, best first.

        Parameters
        ----------
        eligible
            bool (items,); only these may be proposed.
        """
        ...


def top(item_idx: Int32Array, scores: Float32Array, n: int) -> ScoredItems:
    """The n best with a positive score, best first; ties by item index.

    Parameters
    ----------
    item_idx
        int32 (m,), no item twice.
    scores
        float32 (m,).
    """
    kept = np.flatnonzero(scores > 0)
    if len(kept) > n:
        # Everything at or above the n-th score, so that ties at the border are broken by index too.
        border = np.partition(scores[kept], len(kept) - n)[len(kept) - n]
        kept = kept[scores[kept] >= border]
    best = kept[np.lexsort((item_idx[kept], -scores[kept]))[:n]]
    return ScoredItems(item_idx[best], scores[best])


def summed(item_idx: Int32Array, scores: Float32Array) -> tuple[Int32Array, Float32Array]:
    """Each item once with its scores summed: int32 (m,), float32 (m,)."""
    items, inverse = np.unique(item_idx, return_inverse=True)
    return items.astype(np.int32), np.bincount(inverse, scores, len(items)).astype(np.float32)
