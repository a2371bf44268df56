"""From candidates to one ranking: a weighted blend of source scores, then the ladder below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Final

import numpy as np

from recommender.candidates.source import first_eligible
from recommender.catalogue import Catalogue
from recommender.filters.context import page_category
from recommender.placements import Placement
from recommender.query import Query
from recommender.scratch import scratch
from recommender.slate import ScoredItems
from recommender.terms import (
    POPULAR,
    POPULAR_IN_CATEGORY,
    BoolArray,
    Float32Array,
    Int32Array,
    Int64Array,
    Names,
)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scored items and where each came from, best first.

    Parameters
    ----------
    item_idx
        int32 (n,), no item twice.
    scores
        float32 (n,); falling until a shop's rule moves an item, which keeps the score it has.
    sources
        Name of the source that contributed most, per item, text (n,).
    levels
        Rung of the ladder that each item came from, text (n,).
    """

    item_idx: Int32Array
    scores: Float32Array
    sources: Names
    levels: Names

    def __len__(self) -> int:
        return len(self.item_idx)

    def take(self, rows: Sequence[int] | Int64Array) -> Ranking:
        """These rows, in this order, each with the score that it has."""
        chosen = np.asarray(rows, np.int64)
        return Ranking(
            self.item_idx[chosen], self.scores[chosen], self.sources[chosen], self.levels[chosen]
        )

    def joined(self, below: Ranking) -> Ranking:
        """These rows, and others below them."""
        return Ranking(
            np.concatenate([self.item_idx, below.item_idx]),
            np.concatenate([self.scores, below.scores]),
            np.concatenate([self.sources, below.sources]),
            np.concatenate([self.levels, below.levels]),
        )


def same_text(text: str, n: int) -> Names:
    """One text n times, (n,)."""
    return np.full(n, text, np.object_)


NO_RANKING: Final = Ranking(
    np.empty(0, np.int32), np.empty(0, np.float32), same_text("", 0), same_text("", 0)
)


@dataclass(frozen=True, slots=True)
class Pool:
    """The union of what all sources propose.

    Parameters
    ----------
    item_idx
        int32 (n,), ascending.
    names
        The sources that take part.
    scores
        What each source says of each item, float32 (sources, n); 0 where it does not propose it.
    shares
        The same relative to the best score of the source, in 0..1: so that each speaks as loudly.
    """

    item_idx: Int32Array
    names: tuple[str, ...]
    scores: Float32Array
    shares: Float32Array

    def weighted(self, weights: Mapping[str, float]) -> Float32Array:
        """What each source adds to the blended score of each item, float32 (sources, n)."""
        own = np.array([weights.get(name, 0.0) for name in self.names], np.float32)
        parts: Float32Array = self.shares * own[:, None]
        return parts


def pool_of(
    proposed: Mapping[str, ScoredItems], weights: Mapping[str, float] | None = None
) -> Pool:
    """Bring together what the sources propose: those with a positive weight, or all of them."""
    names = tuple(
        name
        for name, items in proposed.items()
        if len(items) and (weights is None or weights.get(name, 0))
    )
    if not names:
        return Pool(np.empty(0, np.int32), (), *(np.empty((0, 0), np.float32),) * 2)
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.pooling import pooled

    listed = [proposed[name] for name in names]
    every = np.concatenate([each.item_idx for each in listed])
    said = np.concatenate([each.scores for each in listed])
    ends = np.array([*accumulate(map(len, listed))], np.int64)
    place_of = scratch("pool_place", 1 << int(every.max()).bit_length(), np.int32)
    item_idx, scores, shares = pooled(every, said, ends, place_of)
    return Pool(item_idx, names, scores, shares)


@dataclass(frozen=True, slots=True)
class Blended:
    """A pool in order of its blended score; ties by item index.

    Parameters
    ----------
    order
        Column of the pool in each place, best first, int64 (n,).
    scores
        Blended scores, float32 (n,), falling.
    strongest
        Row of the source that added most, int64 (n,).
    """

    pool: Pool
    order: Int64Array
    scores: Float32Array
    strongest: Int64Array

    def ranking(self, level: str, most: int | None = None) -> Ranking:
        """The order, or the first so many of it, as a ranking of one rung."""
        order = self.order[:most]
        return Ranking(
            self.pool.item_idx[order],
            self.scores[:most],
            np.array(self.pool.names, np.object_)[self.strongest[:most]],
            same_text(level, len(order)),
        )


def blend(pool: Pool, weights: Mapping[str, float]) -> Blended:
    """Order a pool by the sum of what its sources add."""
    if not pool.names:
        nothing = np.empty(0, np.int64)
        return Blended(pool, nothing, np.empty(0, np.float32), nothing)
    from recommender.pooling import blended

    own = np.array([weights.get(name, 0.0) for name in pool.names], np.float32)
    return Blended(pool, *blended(pool.shares, own))


def reordered(ranking: Ranking, scores: Float32Array) -> Ranking:
    """The first items of a ranking in the order of new scores, without the rest.

    Parameters
    ----------
    scores
        One for each of the first items, float32 (≤ n,).
    """
    order = np.argsort(-scores, kind="stable")
    return replace(ranking.take(order), scores=scores[order])


@dataclass(frozen=True, slots=True)
class Proposed:
    """The candidates that are to be ranked.

    Parameters
    ----------
    item_idx
        int32 (c,), best first by blended score.
    blend
        float32 (c,), falling.
    sources
        Sources that proposed something.
    scores, shares
        float32 (sources, c).
    pool
        How many candidates there were before the best c were taken.
    """

    item_idx: Int32Array
    blend: Float32Array
    sources: tuple[str, ...]
    scores: Float32Array
    shares: Float32Array
    pool: int


def fill(
    ranking: Ranking,
    query: Query,
    catalogue: Catalogue,
    placement: Placement,
    mask: BoolArray,
    length: int,
) -> Ranking:
    """Append items of the lower rungs until the list has this length.

    The score of a filled item is its popularity relative to the best of its rung, scaled so that
    it never exceeds the score above it.

    Parameters
    ----------
    mask
        Eligible items, bool (items,).
    length
        How long that is; None: what the query asks for.
    """
    open_items = mask.copy()
    open_items[ranking.item_idx] = False
    for rung in placement.ladder:
        missing = (length or query.limit) - len(ranking)
        if missing <= 0:
            break
        chosen = first_eligible(_rung_items(rung, query, catalogue, placement), open_items, missing)
        open_items[chosen] = False
        ranking = _append(ranking, chosen, catalogue.popularity[chosen], rung)
    return ranking


def _rung_items(rung: str, query: Query, catalogue: Catalogue, placement: Placement) -> Int32Array:
    if rung == POPULAR:
        return catalogue.popular_order
    if rung == POPULAR_IN_CATEGORY:
        category = page_category(query, catalogue)
        return catalogue.in_category(category) if category else catalogue.popular_order[:0]
    return np.array(list(dict.fromkeys(catalogue.ids.indices(placement.static_items))), np.int32)


def _append(ranking: Ranking, chosen: Int32Array, popularity: Float32Array, rung: str) -> Ranking:
    if not len(chosen):
        return ranking
    ceiling = ranking.scores[-1] if len(ranking) else np.float32(1)
    relative = np.minimum.accumulate(popularity) / max(float(popularity[0]), 1e-12)
    source = "popularity" if rung == POPULAR else rung
    filled = Ranking(
        chosen,
        (ceiling * np.minimum(relative, 1)).astype(np.float32),
        same_text(source, len(chosen)),
        same_text(rung, len(chosen)),
    )
    return ranking.joined(filled)
