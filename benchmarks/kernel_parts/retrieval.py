"""The n best of a whole catalogue: `recommender.exact_search` beside numpy, and beside a scan."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial

import numpy as np

from benchmarks.kernel_parts.catalogues import Catalogue
from benchmarks.kernel_parts.turns import in_turns
from recommender.candidates.proposals import Proposals
from recommender.exact_search import ExactIndex, products
from recommender.slate import ScoredItems
from recommender.terms import BoolArray, Float32Array, Int32Array

NUMPY, SCAN, EXACT = "numpy", "scan", "exact"
_CHECKED = 50


@dataclass(frozen=True)
class Retrieved:
    """One row of the table; microseconds of one query.

    Parameters
    ----------
    ratio
        Median beside that of numpy in the same turns.
    recall, same_lists
        Of the exact search: mean share of numpy's n best that it finds, and share of the queries
        for which it gives the list of the scan: same items, same order, same bits of the scores.
    index_seconds, index_share
        What the index takes: to build it, and its bytes beside those of the vectors.
    """

    catalogue: str
    items: int
    factors: int
    n: int
    way: str
    median_us: float
    p10_us: float
    p90_us: float
    ratio: float
    recall: float | None = None
    same_lists: float | None = None
    index_seconds: float | None = None
    index_share: float | None = None


@dataclass(frozen=True)
class Ways:
    """What is compared, over one catalogue.

    Parameters
    ----------
    eligible
        bool (items,); numpy's way does not look at it.
    """

    catalogue: Catalogue
    index: ExactIndex
    eligible: BoolArray

    def numpy(self, turn: int, n: int) -> Int32Array:
        """Product and argpartition, as one would write it."""
        scores = self.catalogue.vectors @ self.query(turn)
        best = np.argpartition(scores, -n)[-n:]
        return best[np.argsort(-scores[best])].astype(np.int32)

    def scan(self, turn: int, n: int) -> ScoredItems:
        """What a source does without an index."""
        scores = self.catalogue.vectors @ self.query(turn)
        scores[~self.eligible] = 0
        return best(np.arange(len(scores), dtype=np.int32), scores, n)

    def exact(self, turn: int, n: int) -> ScoredItems:
        """What a source does with an index."""
        return best(*self.index.contenders(self.query(turn), self.eligible, n), n)

    def query(self, turn: int) -> Float32Array:
        """The queries one after the other, and again."""
        return self.catalogue.queries[turn % len(self.catalogue.queries)]


def best(item_idx: Int32Array, scores: Float32Array, n: int) -> ScoredItems:
    """The n best with a positive score, as a source proposes them."""
    found = Proposals.empty(("alone",), n, 0)
    found.keep(0, item_idx, scores)
    return found["alone"]


def retrieve(catalogue: Catalogue, lengths: Sequence[int], repeats: int) -> list[Retrieved]:
    """All ways in turns, for each length of the list."""
    began = time.perf_counter()
    index = ExactIndex.of(catalogue.vectors)
    seconds = time.perf_counter() - began
    ways = Ways(catalogue, index, np.ones(len(catalogue.vectors), np.bool_))
    return [row for n in lengths for row in _rows(ways, n, repeats, seconds)]


def _rows(ways: Ways, n: int, repeats: int, index_seconds: float) -> list[Retrieved]:
    calls: dict[str, Callable[[int], object]] = {
        NUMPY: lambda turn: ways.numpy(turn, n),
        SCAN: lambda turn: ways.scan(turn, n),
        EXACT: lambda turn: ways.exact(turn, n),
    }
    taken = in_turns(calls, repeats)
    items, factors = ways.catalogue.vectors.shape
    row = partial(Retrieved, ways.catalogue.name, items, factors, n)
    measured = {
        way: row(way, *astuple(spent), round(spent.median / taken[NUMPY].median, 4))
        for way, spent in taken.items()
    }
    recall, same = agreement(ways, n)
    measured[EXACT] = replace(
        measured[EXACT],
        recall=recall,
        same_lists=same,
        index_seconds=round(index_seconds, 3),
        index_share=round(ways.index.nbytes / ways.catalogue.vectors.nbytes, 3),
    )
    return list(measured.values())


def agreement(ways: Ways, n: int) -> tuple[float, float]:
    """Of the exact search: recall beside numpy's n best above 0, share of lists as the scan's."""
    recalls, same = [], []
    for turn in range(min(_CHECKED, len(ways.catalogue.queries))):
        best = ways.numpy(turn, n)
        wanted = best[products(ways.catalogue.vectors, best, ways.query(turn)) > 0]
        found, scanned = ways.exact(turn, n), ways.scan(turn, n)
        recalls.append(float(np.isin(wanted, found.item_idx).mean()) if len(wanted) else 1.0)
        same.append(
            np.array_equal(found.item_idx, scanned.item_idx)
            and np.array_equal(found.scores, scanned.scores)
        )
    return float(np.mean(recalls)), float(np.mean(same))
