"""From question to answer: seeds → candidates → rules → score → ladder → pace → policy → slate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from recommender.bundle import ModelBundle
from recommender.catalogue import Catalogue
from recommender.novelty import varied
from recommender.placements import Placement
from recommender.policy import SlatePolicy
from recommender.query import Interaction, Query
from recommender.ranking import Blended, Proposed, Ranking, blend, fill, pool_of, reordered
from recommender.rules import Eligibility, eligible_items, on_page
from recommender.seeds import NO_SEEDS, Seeds, seeds_of
from recommender.slate import ScoredItems, Slate, SlateItem
from recommender.terms import (
    ADD_TO_CART,
    MICROS_PER_SECOND,
    PERSONALISED,
    POPULAR_IN_CATEGORY,
    SESSION,
    SIMILAR,
    STATIC,
    VIEW_ITEM,
)

CANDIDATES_KEPT = 20

# Which part of the query makes an answer how personal, most personal first.
_LEVELS = {PERSONALISED: ("history",), SESSION: ("session", "cart"), SIMILAR: ("context",)}

# Neutral codes: they say what the item has to do with other items, never anything about a person.
REASONS = {
    "als": "related",
    "item_knn": "similar",
    "linear": "related",
    "view_view": "viewed_next",
    "seen_together": "viewed_next",
    "two_steps": "viewed_next",
    "session_knn": "viewed_next",
    "session_knn_near": "viewed_next",
    "view_cart": "goes_with",
    "cart_purchase": "goes_with",
    "purchase_purchase": "bought_together",
    "returns": "seen_before",
    "popularity": "popular",
    POPULAR_IN_CATEGORY: "popular_in_category",
    "trend": "rising",
    "new_items": "new",
    "early_adopters": "rising",
    "content": "similar",
    "buy_again": "seen_before",
    STATIC: "featured",
}


def recommend(
    query: Query, bundle: ModelBundle, placement: Placement, policy: SlatePolicy
) -> Slate:
    """Answer one query.

    The same query, bundle, placement and policy give the same slate. A valid query always gets
    one; it is empty only when no item may be shown.

    Raises
    ------
    InvalidInputError
        The query's attribute filter is not acceptable.
    """
    pace = bundle.pace(query.visit)
    style = placement.style(pace)
    query = replace(query, limit=style.limit(query.limit))
    eligibility = eligible_items(query, bundle.catalogue, placement)
    level, seeds = find_seeds(query, bundle, placement)
    page = on_page(eligibility, query, bundle.catalogue, placement)
    proposed = propose(seeds, bundle, placement, page)
    ranking = rank(proposed, level, seeds, bundle, placement)
    ranking = fill(ranking, query, bundle.catalogue, placement, eligibility.mask)
    ranking = varied(ranking, query, style, seeds, bundle.catalogue)
    slate = _slate(query, bundle.catalogue, ranking, policy, eligibility)
    return replace(slate, pace=pace, style=style)


def propose(
    seeds: Seeds, bundle: ModelBundle, placement: Placement, eligibility: Eligibility
) -> dict[str, ScoredItems]:
    """Candidates of each source that takes part; none without seeds."""
    if not len(seeds):
        return {}
    return {
        name: source.candidates(seeds, eligibility.mask, placement.candidates)
        for name, source in bundle.sources.items()
        if not placement.sources or name in placement.sources
    }


def rank(
    proposed: Mapping[str, ScoredItems],
    level: str,
    seeds: Seeds,
    bundle: ModelBundle,
    placement: Placement,
) -> Ranking:
    """Blend what the sources propose, and let the ranker order the best of it, if there is one."""
    ranker = bundle.ranker
    if ranker is None:
        weights = bundle.manifest.info.blend
        return blend(pool_of(proposed, weights), weights).ranking(level)
    blended = blend(pool_of(proposed), ranker.shortlist)
    ranking = blended.ranking(level)
    if not len(ranking):
        return ranking
    shortlist = shortlisted(blended, ranker.candidates)
    return reordered(ranking, ranker.scores(shortlist, seeds, placement))


def shortlisted(blended: Blended, most: int) -> Proposed:
    """The best of a blend, as the ranker takes it."""
    pool, order = blended.pool, blended.order[:most]
    return Proposed(
        pool.item_idx[order],
        blended.scores[:most],
        pool.names,
        pool.scores[:, order],
        pool.shares[:, order],
        len(blended.order),
    )


def find_seeds(query: Query, bundle: ModelBundle, placement: Placement) -> tuple[str, Seeds]:
    """What the sources start from, and the rung of the ladder that this is."""
    at_micros = round(query.at.timestamp() * MICROS_PER_SECOND)
    parts = dict(_seed_parts(query, placement, at_micros))
    resolved = {name: _resolve(part, bundle, at_micros, name) for name, part in parts.items()}
    if len(session := resolved.get("session", NO_SEEDS)) and (page := resolved.get("context")):
        # The last step was to open this very page. Counted again it would count twice where the
        # storefront's event is there before its question, and once where it is not.
        resolved["context"] = page[page.item_idx != session.item_idx[-1]]
    seeds = Seeds.joined(resolved.values())
    for level, names in _LEVELS.items():
        if any(len(resolved[name]) for name in names if name in resolved):
            return level, seeds
    return SIMILAR, seeds


def explain(
    query: Query, bundle: ModelBundle, placement: Placement, limit: int = CANDIDATES_KEPT
) -> list[tuple[str, dict[str, float]]]:
    """What each source adds to the best candidates: (item_id, source → part of the score)."""
    eligibility = eligible_items(query, bundle.catalogue, placement)
    _, seeds = find_seeds(query, bundle, placement)
    page = on_page(eligibility, query, bundle.catalogue, placement)
    proposed = propose(seeds, bundle, placement, page)
    weights = bundle.manifest.info.blend
    pool = pool_of(proposed, weights)
    if not pool.names:
        return []
    parts, ids = pool.weighted(weights), bundle.catalogue.ids
    best = blend(pool, weights).order[:limit]
    return [
        (ids.id(int(pool.item_idx[i])), dict(zip(pool.names, parts[:, i].tolist(), strict=True)))
        for i in best
    ]


def _seed_parts(
    query: Query, placement: Placement, at_micros: int
) -> Iterable[tuple[str, tuple[Interaction, ...]]]:
    parts = {
        "history": query.history if query.personalize else (),
        "session": query.session if query.personalize else (),
        "cart": _as_interactions(
            query.cart_items if query.personalize else (), ADD_TO_CART, at_micros
        ),
        "context": _as_interactions(query.context_items, VIEW_ITEM, at_micros),
    }
    return ((name, part) for name, part in parts.items() if part and name in placement.seeds)


def _as_interactions(
    item_ids: Iterable[str], event_type: str, at_micros: int
) -> tuple[Interaction, ...]:
    return tuple(Interaction(item_id, event_type, at_micros) for item_id in item_ids)


def _resolve(
    interactions: Iterable[Interaction], bundle: ModelBundle, at_micros: int, part: str
) -> Seeds:
    info = bundle.manifest.info
    return seeds_of(
        interactions,
        bundle.catalogue.ids,
        at_micros,
        info.event_weights,
        info.seed_half_life_seconds,
        part,
    )


def _slate(
    query: Query,
    catalogue: Catalogue,
    ranking: Ranking,
    policy: SlatePolicy,
    eligibility: Eligibility,
) -> Slate:
    choices = policy.choose(ranking, query.limit)
    ids, item_idx, scores = catalogue.ids, ranking.item_idx.tolist(), ranking.scores.tolist()
    items = tuple(
        SlateItem(
            item_id=ids.id(item_idx[choice.row]),
            position=position,
            score=scores[choice.row],
            kind="item",
            source=ranking.sources[choice.row],
            reason=REASONS.get(ranking.sources[choice.row], "related"),
            propensity=choice.propensity,
        )
        for position, choice in enumerate(choices, start=1)
    )
    kept = range(min(CANDIDATES_KEPT, len(ranking)))
    return Slate(
        items=items,
        fallback_level=ranking.levels[choices[0].row] if choices else STATIC,
        policy=policy.name,
        eligible_count=int(np.count_nonzero(eligibility.mask)),
        filters=eligibility.removed,
        candidates=tuple((ids.id(item_idx[row]), scores[row]) for row in kept),
    )
