"""From what was chosen to the slate: items and ways at their positions, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, replace

from recommender.acceptance import at_place
from recommender.explore_settings import NO_EXPLORATION, ExploreSettings
from recommender.fatigue_note import Fatigue
from recommender.kinds import Kinds
from recommender.merchandising.active import ActiveRules
from recommender.merchandising.arrangement import PINNED, PROMOTED, Arrangement
from recommender.navigation import Way
from recommender.policy import NO_LEEWAY, Choice, Leeway, SlatePolicy
from recommender.rules import Eligibility
from recommender.slate import NOT_EXPLORED, Explored, Slate, SlateItem, SlateWay
from recommender.terms import (
    BUY_AGAIN,
    COMPLEMENT,
    ITEM,
    LADDER,
    POPULAR_IN_CATEGORY,
    RESUME,
    STATIC,
)

CANDIDATES_KEPT = 20

# Neutral codes: they say what the item has to do with other items, never anything about a person.
REASONS = {
    "als": "related",
    "item_knn": "similar",
    "linear": "related",
    "view_view": "viewed_next",
    "seen_together": "viewed_next",
    "two_steps": "viewed_next",
    "embedding": "related",
    "encoder": "viewed_next",
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
    PINNED: "featured",
    PROMOTED: "featured",
}
KIND_REASONS = {RESUME: "seen_before", BUY_AGAIN: "bought_before", COMPLEMENT: "goes_with"}
WAY_REASON = "often_next"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What the stages of the pipeline came to.

    Parameters
    ----------
    active
        The question, the catalogue and the shop's rules.
    eligibility
        What may be shown.
    arrangement
        The ranking to show from.
    fatigue
        What rest, caps and budgets did.
    kinds
        Of the items that are not plain ones.
    ways
        Suggestions where to go, by rank.
    promised
        Predicted acceptance of each place, see `recommender.acceptance`; ways have none.
    explore
        What may be left to chance.
    """

    active: ActiveRules
    eligibility: Eligibility
    arrangement: Arrangement
    fatigue: Fatigue
    kinds: Kinds
    ways: tuple[Way, ...]
    promised: tuple[float, ...] = ()
    explore: ExploreSettings = NO_EXPLORATION


def slate_of(chosen: Chosen, policy: SlatePolicy) -> Slate:
    """The slate that a policy makes of it."""
    arrangement, limit, seed = (
        chosen.arrangement,
        chosen.active.query.limit,
        chosen.active.query.seed,
    )
    ids, leeway, kept = chosen.active.catalogue.ids, NO_LEEWAY, CANDIDATES_KEPT
    if not (chosen.explore.is_idle or seed is None):
        leeway, kept = leeway_of(chosen), max(kept, limit + chosen.explore.reach)
    choices = policy.choose(arrangement.ranking, limit, leeway, seed)
    if len(leeway.spare):
        arrangement = replace(arrangement, ranking=arrangement.ranking.joined(leeway.spare))
        chosen = replace(chosen, arrangement=arrangement)
    ranking, placed = arrangement.ranking, arrangement.placed
    shown, standing = placed_ways(len(choices), chosen.ways, limit)
    items = tuple(
        _item(choice, position, place, chosen)
        for place, (position, choice) in enumerate(zip(shown, choices, strict=False))
    )
    candidates = zip(ranking.item_idx[:kept].tolist(), ranking.scores[:kept].tolist(), strict=True)
    # What a rule put there says nothing of how personal the answer is.
    own = [choice.row for choice in choices if choice.row not in placed]
    levels = {ranking.levels[row] for row in own or [choice.row for choice in choices]}
    return Slate(
        items=items,
        fallback_level=min(levels, key=LADDER.index, default=STATIC),
        policy=policy.name,
        eligible_count=chosen.eligibility.count,
        filters=chosen.eligibility.removed,
        candidates=tuple((ids.id(index), score) for index, score in candidates),
        fatigue=chosen.fatigue,
        rules_version=chosen.active.bound.rules.version,
        ways=tuple(_way(way, position, items) for position, way in standing),
        explored=NOT_EXPLORED if leeway is NO_LEEWAY else _explored(leeway, seed, items),
    )


def leeway_of(chosen: Chosen) -> Leeway:
    """What of the list may be left to chance; only plain items that no rule placed ever are."""
    arrangement, kinds = chosen.arrangement, chosen.kinds
    fixed, spare = {*arrangement.placed}, arrangement.spare
    if kinds:
        end = chosen.active.query.limit + chosen.explore.reach
        items = arrangement.ranking.item_idx[:end].tolist()
        fixed |= {row for row, item in enumerate(items) if item in kinds}
        plain = [row for row, item in enumerate(spare.item_idx.tolist()) if item not in kinds]
        spare = spare.take(plain)
    spare = spare.take(range(min(chosen.explore.reach, len(spare))))
    scale = arrangement.is_one_scale
    return Leeway(chosen.explore, fixed, arrangement.replaceable, spare, scale)


def _explored(leeway: Leeway, seed: int | None, items: tuple[SlateItem, ...]) -> Explored:
    slots = tuple([item.position for item in items if item.propensity < 1])
    return Explored(leeway.settings, seed, slots)


def placed_ways(
    items: int, ways: tuple[Way, ...], limit: int
) -> tuple[list[int], list[tuple[int, Way]]]:
    """Positions of the items, and the ways with theirs, of one list of at most `limit`."""
    length = min(items + len(ways), limit)
    standing = [(min(way.rank, items + 1 + n), way) for n, way in enumerate(ways)]
    standing = [(position, way) for position, way in standing if position <= length]
    taken = {position for position, _ in standing}
    return [each for each in range(1, length + 1) if each not in taken], standing


def _item(choice: Choice, position: int, place: int, chosen: Chosen) -> SlateItem:
    ranking, row = chosen.arrangement.ranking, choice.row
    index, source = int(ranking.item_idx[row]), ranking.sources[row]
    kind = chosen.kinds.get(index, ITEM)
    return SlateItem(
        item_id=chosen.active.catalogue.ids.id(index),
        position=position,
        score=float(ranking.scores[row]),
        kind=kind,
        source=source,
        reason=KIND_REASONS.get(kind) or REASONS.get(source, "related"),
        propensity=choice.propensity,
        promotion=chosen.arrangement.placed.get(row),
        acceptance=at_place(chosen.promised, place),
    )


def _way(way: Way, position: int, items: tuple[SlateItem, ...]) -> SlateWay:
    """A way in its place: it scores as the item below it, or the last one above it."""
    below = [item.score for item in items if item.position > position]
    above = [item.score for item in items[-1:]]
    score = (below or above or [1.0])[0]
    return SlateWay(way.kind, way.target, position, score, WAY_REASON, 1.0, way.worth)
