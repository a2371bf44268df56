"""From what was chosen to the slate: items and ways at their positions, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

from recommender.acceptance import at_places
from recommender.explore_settings import NO_EXPLORATION, ExploreSettings
from recommender.fatigue_note import Fatigue
from recommender.kinds import Kinds
from recommender.listing import Listing
from recommender.merchandising.active import ActiveRules
from recommender.merchandising.arrangement import PINNED, PROMOTED, Arrangement
from recommender.navigation import Way
from recommender.pace import UNKNOWN_PACE, Pace
from recommender.pace_table import NEUTRAL, PaceStyle
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
        The list to show from.
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

    def over(
        self,
        arrangement: Arrangement,
        kinds: Kinds | None = None,
        ways: tuple[Way, ...] | None = None,
    ) -> Chosen:
        """The same with another list, and other kinds and ways where they are given."""
        return Chosen(
            self.active,
            self.eligibility,
            arrangement,
            self.fatigue,
            self.kinds if kinds is None else kinds,
            self.ways if ways is None else ways,
            self.promised,
            self.explore,
        )


class Told(NamedTuple):
    """What an answer tells of how it came about, see `recommender.slate.Slate`."""

    pace: Pace = UNKNOWN_PACE
    style: PaceStyle = NEUTRAL
    changed_share: float | None = None


UNTOLD: Final = Told()


def slate_of(chosen: Chosen, policy: SlatePolicy, told: Told = UNTOLD) -> Slate:
    """The slate that a policy makes of it."""
    active, listing, placed = chosen.active, chosen.arrangement.listing, chosen.arrangement.placed
    limit, seed, leeway, kept = active.query.limit, active.query.seed, NO_LEEWAY, CANDIDATES_KEPT
    if not (chosen.explore.is_idle or seed is None):
        leeway, kept = leeway_of(chosen), max(kept, limit + chosen.explore.reach)
    choices = policy.choose(listing, limit, leeway, seed)
    listing = listing.joined(leeway.spare)
    item_ids = active.catalogue.ids.ids_at(listing.items)
    shown, standing = placed_ways(len(choices), chosen.ways, limit)
    items = _items(item_ids, listing, choices[: len(shown)], shown, chosen)
    rows = [row for row, _ in choices]
    # What a rule put there says nothing of how personal the answer is.
    own = [row for row in rows if row not in placed] if placed else rows
    levels = {listing.origins[row].level for row in own or rows}
    return Slate(
        items,
        min(levels, key=LADDER.index, default=STATIC),
        policy.name,
        chosen.eligibility.count,
        chosen.eligibility.removed,
        tuple(zip(item_ids[:kept], listing.scores, strict=False)),
        chosen.fatigue,
        active.bound.rules.version,
        tuple([_way(way, position, items) for position, way in standing]),
        *told,
        NOT_EXPLORED if leeway is NO_LEEWAY else _explored(leeway, seed, items),
    )


def leeway_of(chosen: Chosen) -> Leeway:
    """What of the list may be left to chance; only plain items that no rule placed ever are."""
    arrangement, kinds, reach = chosen.arrangement, chosen.kinds, chosen.explore.reach
    fixed, spare = {*arrangement.placed}, arrangement.spare
    if kinds:
        items = arrangement.listing.items[: chosen.active.query.limit + reach]
        fixed.update([row for row, item in enumerate(items) if item in kinds])
        spare = spare.take([row for row, item in enumerate(spare.items) if item not in kinds])
    return Leeway(
        chosen.explore,
        fixed,
        arrangement.replaceable,
        spare.first(reach),
        arrangement.is_one_scale,
    )


def _explored(leeway: Leeway, seed: int | None, items: tuple[SlateItem, ...]) -> Explored:
    slots = tuple([item.position for item in items if item.propensity < 1])
    return Explored(leeway.settings, seed, slots)


def placed_ways(
    items: int, ways: tuple[Way, ...], limit: int
) -> tuple[Sequence[int], list[tuple[int, Way]]]:
    """Positions of the items, and the ways with theirs, of one list of at most `limit`."""
    length = min(items + len(ways), limit)
    if not ways:
        return range(1, length + 1), []
    standing = [(min(way.rank, items + 1 + n), way) for n, way in enumerate(ways)]
    standing = [(position, way) for position, way in standing if position <= length]
    taken = {position for position, _ in standing}
    return [each for each in range(1, length + 1) if each not in taken], standing


def _items(
    item_ids: Sequence[str],
    listing: Listing,
    choices: Sequence[Choice],
    shown: Sequence[int],
    chosen: Chosen,
) -> tuple[SlateItem, ...]:
    """The items at their positions, made column by column: every answer makes a dozen or two."""
    if not choices:
        return ()
    rows, propensities = zip(*choices, strict=True)
    placed, nothing = chosen.arrangement.placed, (None,) * len(rows)
    sources, kinds = [listing.origins[row].source for row in rows], [ITEM] * len(rows)
    reasons = [REASONS.get(source, "related") for source in sources]
    if kind_of := chosen.kinds:
        kinds = [kind_of.get(listing.items[row], ITEM) for row in rows]
        reasons = [KIND_REASONS.get(*each) for each in zip(kinds, reasons, strict=True)]
    columns = (
        [item_ids[row] for row in rows],
        shown,
        [listing.scores[row] for row in rows],
        kinds,
        sources,
        reasons,
        propensities,
        [placed.get(row) for row in rows] if placed else nothing,
        at_places(chosen.promised, len(rows)),
        nothing,
        nothing,
    )
    return tuple(map(_item_of, zip(*columns, strict=True)))


# What `SlateItem._make` does, without a call of Python for each.
_item_of = partial(tuple.__new__, SlateItem)


def _way(way: Way, position: int, items: tuple[SlateItem, ...]) -> SlateWay:
    """A way in its place: it scores as the item below it, or the last one above it."""
    below = [item.score for item in items if item.position > position]
    above = [item.score for item in items[-1:]]
    score = (below or above or [1.0])[0]
    return SlateWay(way.kind, way.target, position, score, WAY_REASON, 1.0, way.worth)
