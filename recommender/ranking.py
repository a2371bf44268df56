"""From candidates to one ranking: a weighted blend of source scores, then the ladder below it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from recommender.candidates.proposals import Proposals
from recommender.candidates.source import first_eligible
from recommender.catalogue import Catalogue
from recommender.filters.context import page_category
from recommender.placements import Placement
from recommender.query import Query
from recommender.slate import ScoredItems
from recommender.terms import (
    POPULAR,
    POPULAR_IN_CATEGORY,
    BoolArray,
    Float32Array,
    Int32Array,
    Int64Array,
)

ORIGINS_KEPT: Final = 256


class Origin(NamedTuple):
    """Where an item came from.

    Parameters
    ----------
    source
        Name of the source that contributed most.
    level
        Rung of the ladder.
    """

    source: str
    level: str


@lru_cache(maxsize=ORIGINS_KEPT)
def origins_of(sources: tuple[str, ...], level: str) -> tuple[Origin, ...]:
    """The origins of some sources at one rung."""
    return tuple([Origin(source, level) for source in sources])


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scored items and where each came from, best first.

    Parameters
    ----------
    item_idx
        int32 (n,), no item twice.
    scores
        float32 (n,); falling until a shop's rule moves an item, which keeps the score it has.
    origins
        Row of `known` that says where each item came from, int64 (n,). Text for each would take
        longer than all that is done with it.
    known
        The origins that there are.
    """

    item_idx: Int32Array
    scores: Float32Array
    origins: Int64Array
    known: tuple[Origin, ...]

    @classmethod
    def of_one(cls, item_idx: Int32Array, scores: Float32Array, origin: Origin) -> Ranking:
        """Items that all came from the same."""
        return cls(item_idx, scores, np.zeros(len(item_idx), np.int64), (origin,))

    def __len__(self) -> int:
        return len(self.item_idx)

    def take(self, rows: Sequence[int] | Int64Array) -> Ranking:
        """These rows, in this order, each with the score that it has."""
        chosen = np.asarray(rows, np.int64)
        return Ranking(self.item_idx[chosen], self.scores[chosen], self.origins[chosen], self.known)

    def joined(self, below: Ranking) -> Ranking:
        """These rows, and others below them."""
        return Ranking(
            np.concatenate([self.item_idx, below.item_idx]),
            np.concatenate([self.scores, below.scores]),
            np.concatenate([self.origins, below.origins + len(self.known)]),
            self.known + below.known,
        )

    def listed_origins(self, most: int | None = None) -> list[Origin]:
        """Where each of the first so many items came from; all without a number."""
        known = self.known
        return [known[row] for row in self.origins[:most].tolist()]


NO_RANKING: Final = Ranking(
    np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64), ()
)


@dataclass(frozen=True, slots=True)
class Blended:
    """The best of all that the sources propose, in order of a blended score.

    Parameters
    ----------
    proposals
        s sources.
    item_idx
        int32 (n,), best first; ties by item index.
    scores
        Blended scores, float32 (n,), falling.
    strongest
        Row of the source that added most, int64 (n,).
    pool
        How many items there were before the best n were taken.
    """

    proposals: Proposals
    item_idx: Int32Array
    scores: Float32Array
    strongest: Int64Array
    pool: int

    def __len__(self) -> int:
        return len(self.item_idx)

    def ranking(self, level: str) -> Ranking:
        """A ranking of one rung."""
        known = origins_of(self.proposals.names, level)
        return Ranking(self.item_idx, self.scores, self.strongest, known)

    def reordered(self, scores: Float32Array) -> Blended:
        """The same items in the order of new scores; those that are equal stay as they were.

        Parameters
        ----------
        scores
            Of each item, not negative, float32 (n,).
        """
        from recommender.candidates.radix import by_digits

        order = by_digits(~scores.view(np.uint32))
        return Blended(
            self.proposals, self.item_idx[order], scores[order], self.strongest[order], self.pool
        )

    def shares(self) -> tuple[Float32Array, Float32Array]:
        """What each source says of each item, 0 where it does not propose it: float32 (s, n) each.

        Returns
        -------
        The scores, and the same relative to the best score of the source, in 0..1: so that each
        speaks as loudly.
        """
        from recommender.pooling import said_of

        return said_of(self.item_idx, self.proposals.rows, self.proposals.place_of)

    def parts(self, weights: Mapping[str, float]) -> Float32Array:
        """What each source adds to the blended score of each item, float32 (s, n)."""
        own = np.array([weights.get(name, 0.0) for name in self.proposals.names], np.float32)
        parts: Float32Array = self.shares()[1] * own[:, None]
        return parts


def blend(
    proposed: Mapping[str, ScoredItems],
    weights: Mapping[str, float],
    most: int | None = None,
    *,
    of_all: bool = False,
) -> Blended:
    """Order what is proposed by the sum of what its sources add: their weights times the shares.

    Parameters
    ----------
    most
        How many items are wanted; None: all.
    of_all
        Sources without a weight bring in their items, too, with what they have by others.
    """
    proposals = proposed if isinstance(proposed, Proposals) else Proposals.of(proposed)
    if not len(proposals):
        nothing = np.empty(0, np.int32)
        return Blended(proposals, nothing, np.empty(0, np.float32), np.empty(0, np.int64), 0)
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.pooling import blended

    own = np.array([weights.get(name, 0.0) for name in proposals.names], np.float32)
    heard = np.ones(len(own), np.bool_) if of_all else own > 0
    wanted = proposals.item_idx.size if most is None else most
    best = blended(proposals.rows, own, heard, wanted, proposals.place_of)
    return Blended(proposals, *best)


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
        Sources that were asked.
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
    scores = (ceiling * np.minimum(relative, 1)).astype(np.float32)
    return ranking.joined(Ranking.of_one(chosen, scores, Origin(source, rung)))
