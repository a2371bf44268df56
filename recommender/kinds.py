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
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final

import numpy as np

from recommender.bundle import ModelBundle
from recommender.candidates.buy_again import BuyAgainSource
from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.placements import Placement
from recommender.query import Query
from recommender.ranking import Ranking
from recommender.rules import Eligibility
from recommender.slate import ScoredItems
from recommender.substitutes import Pairs
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
    Int32Array,
)

VIEWED_OFTEN: Final = 3
COMPLEMENT_SOURCES: Final = ("cart_purchase", "purchase_purchase", "view_cart")
# A neighbour says that items go together from this part of the best neighbour's weight on.
LEAST_EVIDENCE: Final = 0.1
_SETTLING: Final = frozenset((PURCHASE, DISMISS))
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
        found |= dict.fromkeys(complements(ranking.item_idx, cart, bundle), COMPLEMENT)
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
    labelled = _labelled(ranking, kinds)
    rows = _dropped(ranking, labelled, placement.at_most, takes_items=takes_items)
    if not rows and takes_items:
        return in_kind_order(ranking, labelled, placement.kind_order), eligibility
    kept = np.ones(len(ranking), np.bool_)
    kept[rows] = False
    dropped = ranking.item_idx[rows]
    ranking = ranking.take(np.flatnonzero(kept))
    ranking = in_kind_order(ranking, _labelled(ranking, kinds), placement.kind_order)
    mask = eligibility.mask.copy() if takes_items else np.zeros_like(eligibility.mask)
    mask[dropped if takes_items else ranking.item_idx] = not takes_items
    left = eligibility.count - len(dropped) if takes_items else len(ranking)
    removed = eligibility.count - left
    by_kind = (("kinds", removed),) if removed else ()
    return ranking, Eligibility(mask, (*eligibility.removed, *by_kind), left)


def in_kind_order(
    ranking: Ranking, labelled: Sequence[tuple[int, str]], order: Sequence[str]
) -> Ranking:
    """Items of the kinds in `order` first, kind by kind; within a kind, and of the rest, as before.

    No score is above the one before it: an item that was moved down keeps at most the score of the
    last one that was put before it.

    Parameters
    ----------
    labelled
        Row and kind of each item that is not a plain one.
    """
    if not order or not len(ranking):
        return ranking
    first = {kind: number for number, kind in enumerate(order)}
    places = np.full(len(ranking), first.get(ITEM, len(order)))
    for row, kind in labelled:
        places[row] = first.get(kind, len(order))
    moved = ranking.take(np.argsort(places, kind="stable"))
    return replace(moved, scores=np.minimum.accumulate(moved.scores))


def _labelled(ranking: Ranking, kinds: Kinds) -> list[tuple[int, str]]:
    """Row and kind of each ranked item that is not a plain one, best first."""
    if not kinds:
        return []
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.lookup import found

    items = sorted(kinds)
    rows, which = found(ranking.item_idx, np.array(items, np.int32))
    return [(row, kinds[items[at]]) for row, at in zip(rows.tolist(), which.tolist(), strict=True)]


def _dropped(
    ranking: Ranking,
    labelled: Sequence[tuple[int, str]],
    at_most: Mapping[str, int],
    *,
    takes_items: bool,
) -> list[int]:
    """The rows that are not wanted, or not among the first so many of their kind."""
    if takes_items and not at_most:
        return []
    rows: dict[str, list[int]] = {}
    for row, kind in labelled:
        rows.setdefault(kind, []).append(row)
    dropped = [row for kind, most in at_most.items() for row in rows.get(kind, [])[most:]]
    most_plain = at_most.get(ITEM, len(ranking)) if takes_items else 0
    if most_plain < len(ranking):
        plain = np.ones(len(ranking), np.bool_)
        plain[[row for row, _ in labelled]] = False
        dropped += np.flatnonzero(plain)[most_plain:].tolist()
    return dropped


def left_open(query: Query, catalogue: Catalogue) -> set[str]:
    """Items that the shopper put into the cart, compared, or looked at often, and did not buy."""
    viewed, carted, settled = _marks(query)
    in_cart = {item_id for item_id, ts in carted.items() if ts > settled.get(item_id, -1)}
    turns = _turns([item_id for item_id, ts in viewed if ts > settled.get(item_id, -1)])
    if len(turns) == len(set(turns)):
        return in_cart
    often = {item_id for item_id, count in Counter(turns).items() if count >= VIEWED_OFTEN}
    return in_cart | often | _compared(turns, catalogue)


def _marks(query: Query) -> tuple[list[tuple[str, int]], dict[str, int], dict[str, int]]:
    """Looks, what is in the cart from an earlier visit, what is settled: each with its time."""
    at_micros = round(query.at.timestamp() * MICROS_PER_SECOND)
    viewed: list[tuple[str, int]] = []
    carted: dict[str, int] = {}
    settled: dict[str, int] = {}
    for part in (query.history, query.session):
        for item_id, done, ts in part:
            if ts > at_micros:
                continue
            if done == VIEW_ITEM:
                viewed.append((item_id, ts))
            elif done == ADD_TO_CART and part is query.history:
                carted[item_id] = ts
            elif done in _SETTLING:
                settled[item_id] = max(ts, settled.get(item_id, ts))
            elif done == REMOVE_FROM_CART:
                carted.pop(item_id, None)
    return viewed, carted, settled


def _turns(viewed: Sequence[str]) -> list[str]:
    """The items looked at, one entry per turn: reloading a page is no turn."""
    return [item for item, _ in groupby(viewed)]


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


def complements(item_idx: Int32Array, cart: Sequence[int], bundle: ModelBundle) -> list[int]:
    """Those of some items that go with the cart and replace nothing in it."""
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.lookup import found

    fitting = _goes_with(tuple(cart), bundle)
    _, rows = found(item_idx, fitting)
    listed: list[int] = fitting[rows].tolist()
    return listed


def _goes_with(cart: tuple[int, ...], bundle: ModelBundle) -> Int32Array:
    """All that goes with a cart and replaces nothing in it, rising, int32 (n,)."""
    if (found := bundle.goes_with.get(cart)) is None:
        near = (
            [each for name in COMPLEMENT_SOURCES for each in _near(cart[0], bundle.arrays, name)]
            if len(cart) == 1
            else [each for item in cart for each in _goes_with((item,), bundle).tolist()]
        )
        listed = np.array(sorted({*near}.difference(cart)), np.int32)
        found = listed[~Pairs.of(bundle).replaces(listed, cart).any(axis=1)]
        bundle.goes_with.keep(cart, found)
    return found


def _near(item: int, arrays: Mapping[str, Any], source: str) -> list[int]:
    idx = arrays.get(f"neighbours_{source}_idx")
    if idx is None:
        return []
    row, weight = idx[item], arrays[f"neighbours_{source}_weight"][item]
    strong = weight >= LEAST_EVIDENCE * weight.max(initial=0.0)
    found: list[int] = row[strong & (row >= 0)].tolist()
    return found
