"""From a question to an answer: seeds → candidates → rules → score → ladder → policy → slate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from recommender.bundle import ModelBundle
from recommender.catalogue import Catalogue
from recommender.kinds import Kinds, arranged, kinds_of, wanted_kinds
from recommender.navigation import Way
from recommender.placements import Placement
from recommender.policy import Choice, SlatePolicy
from recommender.query import Interaction, Query
from recommender.ranking import Blended, Proposed, Ranking, blend, fill, pool_of, reordered
from recommender.rules import Eligibility, eligible_items, on_page
from recommender.seeds import NO_SEEDS, Seeds, seeds_of
from recommender.slate import ScoredItems, Slate, SlateItem, SlateWay
from recommender.terms import (
    ADD_TO_CART,
    BUY_AGAIN,
    COMPLEMENT,
    ITEM,
    MICROS_PER_SECOND,
    PERSONALISED,
    POPULAR_IN_CATEGORY,
    RESUME,
    SESSION,
    SIMILAR,
    STATIC,
    VIEW_ITEM,
    BoolArray,
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
KIND_REASONS = {RESUME: "seen_before", BUY_AGAIN: "bought_before", COMPLEMENT: "goes_with"}
WAY_REASON = "often_next"


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
    eligibility = eligible_items(query, bundle.catalogue, placement)
    level, seeds = find_seeds(query, bundle, placement)
    page = on_page(eligibility, query, bundle.catalogue, placement)
    proposed = propose(seeds, bundle, placement, page)
    ranking = rank(proposed, level, seeds, bundle, placement)
    kinds = kinds_of(ranking, proposed, query, bundle, placement)
    ranking, eligibility = arranged(ranking, kinds, query, placement, eligibility)
    ranking = fill(ranking, query, bundle.catalogue, placement, eligibility.mask)
    ways = find_ways(query, bundle, placement, eligibility.mask)
    return _slate(query, bundle.catalogue, ranking, policy, eligibility, (kinds, ways))


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


def find_ways(
    query: Query, bundle: ModelBundle, placement: Placement, mask: BoolArray
) -> tuple[Way, ...]:
    """Where to go instead of looking at an item, where the placement or the query wants that."""
    if bundle.ways is None:
        return ()
    return bundle.ways.best(query, wanted_kinds(query, placement), mask, placement.navigation)


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
    beside: tuple[Kinds, tuple[Way, ...]],
) -> Slate:
    kinds, ways = beside
    choices = policy.choose(ranking, query.limit)
    item_idx, scores = ranking.item_idx.tolist(), ranking.scores.tolist()
    shown, standing = _placed(len(choices), ways, query.limit)
    items = tuple(
        _item(choice, position, ranking, kinds, catalogue)
        for position, choice in zip(shown, choices, strict=False)
    )
    kept = range(min(CANDIDATES_KEPT, len(ranking)))
    return Slate(
        items=items,
        fallback_level=ranking.levels[choices[0].row] if choices else STATIC,
        policy=policy.name,
        eligible_count=int(np.count_nonzero(eligibility.mask)),
        filters=eligibility.removed,
        candidates=tuple((catalogue.ids.id(item_idx[row]), scores[row]) for row in kept),
        ways=tuple(_way(way, position, items) for position, way in standing),
    )


def _placed(
    items: int, ways: tuple[Way, ...], limit: int
) -> tuple[list[int], list[tuple[int, Way]]]:
    """Positions of the items, and the ways with theirs, of one list of at most `limit`."""
    length = min(items + len(ways), limit)
    standing = [(min(way.rank, items + 1 + n), way) for n, way in enumerate(ways)]
    standing = [(position, way) for position, way in standing if position <= length]
    taken = {position for position, _ in standing}
    return [each for each in range(1, length + 1) if each not in taken], standing


def _item(
    choice: Choice, position: int, ranking: Ranking, kinds: Kinds, catalogue: Catalogue
) -> SlateItem:
    index, source = int(ranking.item_idx[choice.row]), ranking.sources[choice.row]
    kind = kinds.get(index, ITEM)
    return SlateItem(
        item_id=catalogue.ids.id(index),
        position=position,
        score=float(ranking.scores[choice.row]),
        kind=kind,
        source=source,
        reason=KIND_REASONS.get(kind) or REASONS.get(source, "related"),
        propensity=choice.propensity,
    )


def _way(way: Way, position: int, items: tuple[SlateItem, ...]) -> SlateWay:
    """A way in its place: it scores as the item below it, or the last one above it."""
    below = [item.score for item in items if item.position > position]
    above = [item.score for item in items[-1:]]
    score = (below or above or [1.0])[0]
    return SlateWay(way.kind, way.target, position, score, WAY_REASON, 1.0, way.worth)
