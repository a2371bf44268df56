"""What sort of suggestion each ranked item is, and how many of a sort may stand where.

An item is of the first of these kinds that holds and is wanted:

``resume``
    left open: put into the cart in an earlier visit; one of two items of a category that were
    looked at in turn; or looked at in `VIEWED_OFTEN` turns. Not bought since, nor dismissed.
``buy_again``
    bought before, and due: see `recommender.candidates.buy_again`.
``complement``
    goes with something in the cart, and replaces nothing in it.
``item``
    everything else.

Notation of substitutes: two items *meet* in a visit that looks at both (v times) and in one that
buys both (b times). The *lift* of a pair is its share b / (b + v), shrunk, relative to that of all
pairs. Below `SUBSTITUTE_BELOW` they are compared rather than combined: one replaces the other. A
pair that is not listed has the lift of its categories; where even that is unknown, items of one
category replace each other. Estimated in `training.models.meetings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from recommender.bundle import ModelBundle
from recommender.candidates.buy_again import BuyAgainSource
from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.placements import Placement
from recommender.query import Query
from recommender.ranking import Ranking
from recommender.rules import Eligibility
from recommender.slate import ScoredItems
from recommender.terms import (
    ADD_TO_CART,
    BUY_AGAIN,
    COMPLEMENT,
    DISMISS,
    ITEM,
    MICROS_PER_SECOND,
    OFF,
    PURCHASE,
    REMOVE_FROM_CART,
    RESUME,
    VIEW_ITEM,
    BoolArray,
    Float32Array,
    Int32Array,
)

SUBSTITUTE_BELOW: Final = 1.0
VIEWED_OFTEN: Final = 3
COMPLEMENT_SOURCES: Final = ("cart_purchase", "purchase_purchase", "view_cart")
# A neighbour says that items go together from this part of the best neighbour's weight on.
LEAST_EVIDENCE: Final = 0.1
_CART_SEEN: Final = 20  # of a longer cart, the lines changed last

Kinds = Mapping[int, str]
"""Kind of each item that is not a plain one, by item index."""


def wanted_kinds(query: Query, placement: Placement) -> tuple[str, ...]:
    """The kinds that may be in an answer: those that are asked for, else the placement's."""
    return placement.kinds if query.kinds is None else query.kinds


def kinds_of(
    ranking: Ranking,
    proposed: Mapping[str, ScoredItems],
    query: Query,
    bundle: ModelBundle,
    placement: Placement,
) -> Kinds:
    """Kind of each ranked item that is not a plain one."""
    wanted, ids = wanted_kinds(query, placement), bundle.catalogue.ids
    if query.personalize == OFF or not len(ranking):
        return {}
    found: dict[int, str] = {}
    if COMPLEMENT in wanted and query.cart_items:
        cart = ids.indices(query.cart_items[:_CART_SEEN])
        found |= dict.fromkeys(complements(ranking.item_idx, cart, bundle).tolist(), COMPLEMENT)
    if BUY_AGAIN in wanted and BUY_AGAIN in proposed:
        found |= dict.fromkeys(_due(proposed[BUY_AGAIN], bundle).tolist(), BUY_AGAIN)
    if RESUME in wanted:
        found |= dict.fromkeys(ids.indices(left_open(query, bundle.catalogue)), RESUME)
    return found


def _due(proposed: ScoredItems, bundle: ModelBundle) -> Int32Array:
    """What the source of this kind proposes and holds for likely enough, int32 (≤ n,)."""
    source = bundle.sources[BUY_AGAIN]
    if not isinstance(source, BuyAgainSource):
        return proposed.item_idx[:0]
    least = bundle.manifest.info.sources[BUY_AGAIN].params.get("due", 0.0)
    return proposed.item_idx[source.probabilities(proposed) >= np.float32(least)]


def fitted_kinds(
    ranking: Ranking,
    kinds: Kinds,
    query: Query,
    placement: Placement,
    eligibility: Eligibility,
) -> tuple[Ranking, Eligibility]:
    """Leave out what is not wanted or beyond `Placement.at_most`, and apply `kind_order`.

    What is left out does not come back by the ladder: it is no longer eligible.
    """
    takes_items = ITEM in wanted_kinds(query, placement)
    kept = _kept(ranking, kinds, placement.at_most, takes_items=takes_items)
    if kept.all() and takes_items:
        return in_kind_order(ranking, kinds, placement.kind_order), eligibility
    dropped = ranking.item_idx[~kept]
    ranking = in_kind_order(ranking.take(np.flatnonzero(kept)), kinds, placement.kind_order)
    mask = eligibility.mask.copy() if takes_items else np.zeros_like(eligibility.mask)
    mask[dropped if takes_items else ranking.item_idx] = not takes_items
    left = eligibility.count - len(dropped) if takes_items else len(ranking)
    removed = eligibility.count - left
    by_kind = (("kinds", removed),) if removed else ()
    return ranking, Eligibility(mask, (*eligibility.removed, *by_kind), left)


def in_kind_order(ranking: Ranking, kinds: Kinds, order: Sequence[str]) -> Ranking:
    """Items of the kinds in `order` first, kind by kind; within a kind, and of the rest, as before.

    No score is above the one before it: an item that was moved down keeps at most the score of the
    last one that was put before it.
    """
    if not order or not len(ranking):
        return ranking
    first = {kind: number for number, kind in enumerate(order)}
    places = np.full(len(ranking), first.get(ITEM, len(order)))
    for row, kind in _labelled(ranking, kinds):
        places[row] = first.get(kind, len(order))
    moved = ranking.take(np.argsort(places, kind="stable"))
    return replace(moved, scores=np.minimum.accumulate(moved.scores))


def _labelled(ranking: Ranking, kinds: Kinds) -> list[tuple[int, str]]:
    """Row and kind of each ranked item that is not a plain one, best first."""
    items = ranking.item_idx.tolist()
    return [(row, kinds[item]) for row, item in enumerate(items) if item in kinds]


def _kept(
    ranking: Ranking, kinds: Kinds, at_most: Mapping[str, int], *, takes_items: bool
) -> BoolArray:
    """The rows that are wanted, and among the first so many of their kind, bool (n,)."""
    kept = np.ones(len(ranking), np.bool_)
    if takes_items and not at_most:
        return kept
    rows: dict[str, list[int]] = {}
    plain = np.ones(len(ranking), np.bool_)
    for row, kind in _labelled(ranking, kinds):
        rows.setdefault(kind, []).append(row)
        plain[row] = False
    for kind, most in at_most.items():
        kept[rows.get(kind, [])[most:]] = False
    most_plain = at_most.get(ITEM, len(ranking)) if takes_items else 0
    kept[np.flatnonzero(plain)[most_plain:]] = False
    return kept


def left_open(query: Query, catalogue: Catalogue) -> set[str]:
    """Items that the shopper put into the cart, compared, or looked at often, and did not buy."""
    at_micros = round(query.at.timestamp() * MICROS_PER_SECOND)
    past = [each for each in (*query.history, *query.session) if each.ts <= at_micros]
    settled: dict[str, int] = {}
    carted: dict[str, int] = {}
    earlier = {(item_id, ts) for item_id, done, ts in query.history if done == ADD_TO_CART}
    for item_id, done, ts in past:
        if done in {PURCHASE, DISMISS}:
            settled[item_id] = max(ts, settled.get(item_id, ts))
        elif done == ADD_TO_CART and (item_id, ts) in earlier:
            carted[item_id] = ts
        elif done == REMOVE_FROM_CART:
            carted.pop(item_id, None)
    unsettled = [each for each in past if each.ts > settled.get(each.item_id, -1)]
    in_cart = {item_id for item_id, ts in carted.items() if ts > settled.get(item_id, -1)}
    turns = _turns([each.item_id for each in unsettled if each.event_type == VIEW_ITEM])
    often = {item_id for item_id in set(turns) if turns.count(item_id) >= VIEWED_OFTEN}
    return in_cart | often | _compared(turns, catalogue)


def _turns(viewed: Sequence[str]) -> list[str]:
    """The items looked at, one entry per turn: reloading a page is no turn."""
    return [item for place, item in enumerate(viewed) if place == 0 or viewed[place - 1] != item]


def _compared(turns: Sequence[str], catalogue: Catalogue) -> set[str]:
    """Both of two items of one category that were looked at as first, second, first."""
    pairs = {
        (first, second)
        for first, second, third in zip(turns, turns[1:], turns[2:], strict=False)
        if first == third
    }
    return {item for pair in pairs if _same_category(pair, catalogue) for item in pair}


def _same_category(pair: tuple[str, str], catalogue: Catalogue) -> bool:
    own = catalogue.item_category[catalogue.ids.indices(pair)].tolist()
    return len(own) == 2 and own[0] == own[1] != NO_CATEGORY


def complements(item_idx: Int32Array, cart: Sequence[int], bundle: ModelBundle) -> Int32Array:
    """Those of some items that go with the cart and replace nothing in it, int32 (≤ n,)."""
    with_cart = set[int]().union(*(_goes_with(item, bundle) for item in cart)).difference(cart)
    fitting = np.array(sorted(with_cart.intersection(item_idx.tolist())), np.int32)
    replaces = Pairs.of(bundle).replaces(fitting, cart)
    return fitting[~replaces.any(axis=1)]


def _goes_with(item: int, bundle: ModelBundle) -> frozenset[int]:
    """Neighbours of an item in the cart whose weight says something."""
    if (found := bundle.goes_with.get(item)) is None:
        found = frozenset(
            each for name in COMPLEMENT_SOURCES for each in _near(item, bundle.arrays, name)
        )
        bundle.goes_with.keep(item, found)
    return found


def _near(item: int, arrays: Mapping[str, Any], source: str) -> list[int]:
    idx = arrays.get(f"neighbours_{source}_idx")
    if idx is None:
        return []
    row, weight = idx[item], arrays[f"neighbours_{source}_weight"][item]
    strong = weight >= LEAST_EVIDENCE * weight.max(initial=0.0)
    found: list[int] = row[strong & (row >= 0)].tolist()
    return found


@dataclass(frozen=True, slots=True)
class Pairs:
    """How pairs of items meet.

    Parameters
    ----------
    idx, lift
        Items that each item meets most, padded with -1, and the lift of each pair: int32, float32
        (items, width). None where the log says nothing about pairs.
    category, category_lift
        The same of categories, int32, float32 (categories, category width).
    """

    catalogue: Catalogue
    idx: Int32Array | None = None
    lift: Float32Array | None = None
    category: Int32Array | None = None
    category_lift: Float32Array | None = None

    @classmethod
    def of(cls, bundle: ModelBundle) -> Pairs:
        """The pairs of a bundle."""
        got: Mapping[str, Any] = bundle.arrays
        names = ("pair_idx", "pair_lift", "pair_category", "pair_category_lift")
        return cls(bundle.catalogue, *(got.get(name) for name in names))

    def replaces(self, items: Int32Array, cart: Sequence[int]) -> BoolArray:
        """Whether each of n items replaces each of m others, bool (n, m)."""
        found = np.empty((len(items), len(cart)), np.bool_)
        for column, other in enumerate(cart):
            found[:, column] = self._replaces_one(items, other)
        return found

    def _replaces_one(self, items: Int32Array, other: int) -> BoolArray:
        own = int(self.catalogue.item_category[other])
        categories = self.catalogue.item_category[items]
        same: BoolArray = (categories == own) & (own != NO_CATEGORY)
        if self.idx is None or self.lift is None or self.category is None:
            return same
        lifts = np.where(same, 0.0, np.inf)
        if own != NO_CATEGORY and self.category_lift is not None:
            _look_up(lifts, categories, self.category[own], self.category_lift[own])
        # The lift of a pair is the same both ways, but only one of the two may list the other.
        row, column = np.nonzero(self.idx[items] == other)
        lifts[row] = self.lift[items[row], column]
        _look_up(lifts, items, self.idx[other], self.lift[other])
        replaced: BoolArray = lifts < SUBSTITUTE_BELOW
        return replaced


def _look_up(
    lifts: npt.NDArray[np.float64], keys: Int32Array, listed: Int32Array, values: Float32Array
) -> None:
    """Put the value of each key that is listed into `lifts`, in place."""
    row, column = np.nonzero((keys[:, None] == listed[None, :]) & (keys[:, None] >= 0))
    lifts[row] = values[column]
