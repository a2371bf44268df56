"""From candidates to one ranking: a weighted blend of source scores, then the ladder below it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from recommender.candidates.popularity import first_eligible
from recommender.catalogue import Catalogue
from recommender.placements import Placement
from recommender.query import Query
from recommender.slate import ScoredItems
from recommender.terms import (
    POPULAR,
    POPULAR_IN_CATEGORY,
    BoolArray,
    Float32Array,
    Int32Array,
)


@dataclass(frozen=True, slots=True)
class Ranking:
    """Scored items and where each came from, best first.

    Parameters
    ----------
    item_idx
        int32 (n,), no item twice.
    scores
        float32 (n,), falling.
    sources
        Name of the source that contributed most, per item.
    levels
        Rung of the ladder that each item came from.
    """

    item_idx: Int32Array
    scores: Float32Array
    sources: tuple[str, ...]
    levels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.item_idx)


def contributions(
    proposed: Mapping[str, ScoredItems], weights: Mapping[str, float]
) -> tuple[Int32Array, Float32Array, tuple[str, ...]]:
    """What each source adds to the score of each candidate.

    A source's scores are divided by its best one, so that each source speaks in 0..1, and
    multiplied by its weight.

    Returns
    -------
    item_idx
        int32 (n,), ascending.
    parts
        float32 (sources, n).
    names
        The sources, in the order of the rows.
    """
    names = tuple(name for name, items in proposed.items() if len(items) and weights.get(name, 0))
    if not names:
        return np.empty(0, np.int32), np.empty((0, 0), np.float32), ()
    item_idx = np.unique(np.concatenate([proposed[name].item_idx for name in names]))
    parts = np.zeros((len(names), len(item_idx)), np.float32)
    for row, name in enumerate(names):
        items = proposed[name]
        columns = np.searchsorted(item_idx, items.item_idx)
        parts[row, columns] = items.scores * np.float32(weights[name] / items.scores[0])
    return item_idx.astype(np.int32), parts, names


def blend(proposed: Mapping[str, ScoredItems], weights: Mapping[str, float], level: str) -> Ranking:
    """Rank the union of all candidates by the sum of their contributions; ties by item index."""
    item_idx, parts, names = contributions(proposed, weights)
    if not names:
        return Ranking(item_idx, np.empty(0, np.float32), (), ())
    scores = parts.sum(axis=0)
    order = np.argsort(-scores, kind="stable")
    strongest = parts.argmax(axis=0)[order].tolist()
    return Ranking(
        item_idx[order],
        scores[order],
        tuple(names[row] for row in strongest),
        (level,) * len(order),
    )


def fill(
    ranking: Ranking, query: Query, catalogue: Catalogue, placement: Placement, mask: BoolArray
) -> Ranking:
    """Append items of the lower rungs until the list is long enough.

    The score of a filled item is its popularity relative to the best of its rung, scaled so that
    it never exceeds the score above it.

    Parameters
    ----------
    mask
        Eligible items, bool (items,).
    """
    open_items = mask.copy()
    open_items[ranking.item_idx] = False
    for rung in placement.ladder:
        missing = query.limit - len(ranking)
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
        category = query.category or _context_category(query, catalogue)
        return catalogue.in_category(category) if category else catalogue.popular_order[:0]
    return np.array(list(dict.fromkeys(catalogue.ids.indices(placement.static_items))), np.int32)


def _context_category(query: Query, catalogue: Catalogue) -> str | None:
    for index in catalogue.ids.indices(query.context_items):
        if (category := catalogue.category_of(index)) is not None:
            return category
    return None


def _append(ranking: Ranking, chosen: Int32Array, popularity: Float32Array, rung: str) -> Ranking:
    if not len(chosen):
        return ranking
    ceiling = ranking.scores[-1] if len(ranking) else np.float32(1)
    relative = np.minimum.accumulate(popularity) / max(float(popularity[0]), 1e-12)
    source = "popularity" if rung == POPULAR else rung
    return Ranking(
        np.concatenate([ranking.item_idx, chosen]),
        np.concatenate([ranking.scores, (ceiling * np.minimum(relative, 1)).astype(np.float32)]),
        ranking.sources + (source,) * len(chosen),
        ranking.levels + (rung,) * len(chosen),
    )
