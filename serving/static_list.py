"""The static list of a placement, without any model."""

from __future__ import annotations

from functools import lru_cache

from recommender.kinds import wanted_kinds
from recommender.placements import Placement
from recommender.query import Query
from recommender.rules import excluded_ids
from recommender.slate import Slate, SlateItem
from recommender.terms import ITEM, STATIC

STATIC_POLICY = "static"


def static_slate(query: Query, placement: Placement) -> Slate:
    """The static list of a placement, without any model.

    What the caller or a rule keeps out is left out. Nothing is known about the items, so none
    meets an attribute filter.
    """
    hidden = excluded_ids(query, placement) if _names_items(query) else frozenset()
    most = placement.at_most.get(ITEM, query.limit) if ITEM in wanted_kinds(query, placement) else 0
    count, listed = min(query.limit, most), placement.static_items
    if query.filter:
        return _slate((), count)
    if hidden.isdisjoint(listed):
        return _usual_slate(listed, count)
    return _slate(tuple(item for item in listed if item not in hidden), count)


def _slate(listed: tuple[str, ...], count: int) -> Slate:
    shown = list(dict.fromkeys(listed))
    items = tuple(
        SlateItem(item_id, position, 1.0 / position, ITEM, STATIC, "featured", 1.0)
        for position, item_id in enumerate(shown[:count], start=1)
    )
    return Slate(items, STATIC, STATIC_POLICY, len(shown))


def _names_items(query: Query) -> bool:
    """Whether there is anything that could keep an item out."""
    named = query.exclude_items or query.context_items or query.cart_items
    return bool(named or query.history or query.session)


_usual_slate = lru_cache(64)(_slate)
