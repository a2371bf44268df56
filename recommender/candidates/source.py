"""What a candidate source is, and what all of them share."""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from recommender.seeds import Seeds
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Float32Array, Int32Array

_INDEX_BITS: Final = np.uint64(32)


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
    if len(kept) > 4 * n:
        # Everything at or above the n-th score, so that ties at the border are broken by index too.
        border = np.partition(scores[kept], len(kept) - n)[len(kept) - n]
        kept = kept[scores[kept] >= border]
    # One number per item, smaller for what is better. The bits of floats above 0 rise as they do.
    keys = (~scores[kept].view(np.uint32)).astype(np.uint64)
    keys <<= _INDEX_BITS
    keys |= item_idx[kept].astype(np.uint64)
    keys.sort()
    keys = keys[:n]
    best = (~(keys >> _INDEX_BITS).astype(np.uint32)).view(np.float32)
    return ScoredItems(keys.astype(np.uint32).view(np.int32), best)


def first_eligible(order: Int32Array, eligible: BoolArray, n: int) -> Int32Array:
    """The first n eligible items of an order, int32 (≤ n,), without looking at all of it."""
    found: list[int] = []
    for start in range(0, len(order), 4 * n):
        block = order[start : start + 4 * n]
        found.extend(block[eligible[block]].tolist())
        if len(found) >= n:
            break
    return np.array(found[:n], np.int32)
