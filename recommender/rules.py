"""Which items may be shown at all: stock, what the shopper has done with, and attribute filters.

An attribute filter is a mapping; all conditions must hold::

    {"category": ["garden", "kitchen/knives"], "brand": "acme", "price": {"max": 30}}

A category stands for itself and its descendants. An item whose price is unknown meets no price
condition.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from recommender.catalogue import UNKNOWN_PRICE, Catalogue
from recommender.errors import InvalidInputError
from recommender.placements import Placement
from recommender.query import Interaction, Query
from recommender.terms import ADD_TO_CART, DISMISS, PURCHASE, REFUND, BoolArray

MAX_FILTER_VALUES = 100
_LARGEST_PRICE = float(np.finfo(np.float32).max)
_MICROS_PER_DAY = 86_400_000_000
# Purchases of an item within this time are one: two lines of an order, or a corrected one.
_ONE_PURCHASE_MICROS = _MICROS_PER_DAY // 2


@dataclass(frozen=True, slots=True)
class Eligibility:
    """The items that may be shown.

    Parameters
    ----------
    mask
        bool (items,).
    removed
        How many items each rule took away from what was left, by name.
    """

    mask: BoolArray
    removed: tuple[tuple[str, int], ...]


def eligible_items(query: Query, catalogue: Catalogue, placement: Placement) -> Eligibility:
    """Apply stock, exclusions, the placement's rules and the attribute filter, in this order.

    Raises
    ------
    InvalidInputError
        The filter names an unknown attribute or an unacceptable value.
    """
    mask = catalogue.item_available.copy()
    left = int(np.count_nonzero(mask))
    removed = [("unavailable", len(mask) - left)]
    for name, item_ids in _exclusions(query, placement, catalogue):
        mask[catalogue.ids.indices(item_ids)] = False
        removed.append((name, left - (left := int(np.count_nonzero(mask)))))
    if query.filter:
        mask &= filter_mask(query.filter, catalogue)
        removed.append(("filter", left - int(np.count_nonzero(mask))))
    return Eligibility(mask, tuple(entry for entry in removed if entry[1]))


def on_page(
    eligibility: Eligibility, query: Query, catalogue: Catalogue, placement: Placement
) -> Eligibility:
    """Keep what sources may propose to the page's category, where the placement wants that.

    The ladder may still fill the list from outside; a category of which nothing may be shown
    changes nothing.
    """
    if not placement.within_category or query.category is None:
        return eligibility
    inside = filter_mask({"category": query.category}, catalogue) & eligibility.mask
    return replace(eligibility, mask=inside) if inside.any() else eligibility


def excluded_ids(
    query: Query, placement: Placement, catalogue: Catalogue | None = None
) -> frozenset[str]:
    """Items that the caller or a rule of the placement keeps out, whatever else may be shown.

    Without a catalogue nobody knows which items are durable.
    """
    named = _exclusions(query, placement, catalogue)
    return frozenset(item_id for _, item_ids in named for item_id in item_ids)


def _exclusions(
    query: Query, placement: Placement, catalogue: Catalogue | None
) -> Iterable[tuple[str, Iterable[str]]]:
    if query.exclude_items:
        yield "excluded", query.exclude_items
    for rule in placement.exclude:
        # What the shopper did must not show in an answer that was asked to be impersonal.
        if rule == "durable":
            if query.personalize and catalogue is not None:
                yield rule, resting_ids(query, catalogue)
        elif rule == "context" or query.personalize:
            yield rule, EXCLUSION_RULES[rule](query, placement)


def _done(query: Query, event_type: str | None, within: timedelta | None) -> Iterable[str]:
    interactions: tuple[Interaction, ...] = (*query.history, *query.session)
    oldest = (query.at - within).timestamp() * 1e6 if within else -math.inf
    return {
        item_id
        for item_id, done, ts in interactions
        if ts >= oldest and (event_type is None or done == event_type)
    }


def resting_ids(query: Query, catalogue: Catalogue) -> Iterable[str]:
    """Durable items that the shopper bought and kept, for as long as each rests.

    An item is durable where its `Catalogue.rest_days` is above 0. Who bought it twice, half a day
    apart or more, is bound to buy it again, and it does not rest for them. A refund undoes the
    purchases before it.
    """
    at_micros = query.at.timestamp() * 1e6
    bought: dict[str, list[int]] = {}
    for item_id, done, ts in (*query.history, *query.session):
        if done == PURCHASE and ts <= at_micros:
            bought.setdefault(item_id, []).append(ts)
    for item_id, done, ts in (*query.history, *query.session):
        if done == REFUND and item_id in bought:
            bought[item_id] = [each for each in bought[item_id] if each > ts]
    for item_id, times in bought.items():
        index = catalogue.ids.index(item_id)
        if index is None or not times or max(times) - min(times) >= _ONE_PURCHASE_MICROS:
            continue
        if at_micros - max(times) < float(catalogue.rest_days[index]) * _MICROS_PER_DAY:
            yield item_id


def _carted_now(query: Query) -> Iterable[str]:
    """What is in the cart, without what was left there in an earlier visit."""
    now = {item_id for item_id, done, _ in query.session if done == ADD_TO_CART}
    left = {item_id for item_id, done, _ in query.history if done == ADD_TO_CART} - now
    return set(query.cart_items) - left


EXCLUSION_RULES: Mapping[str, Callable[[Query, Placement], Iterable[str]]] = {
    "context": lambda query, _: query.context_items,
    "cart": lambda query, _: query.cart_items,
    "carted_now": lambda query, _: _carted_now(query),
    "dismissed": lambda query, _: _done(query, DISMISS, None),
    "purchased": lambda query, placement: _done(query, PURCHASE, placement.purchased_within),
    "seen": lambda query, placement: _done(query, None, placement.seen_within),
}


def filter_mask(conditions: Mapping[str, object], catalogue: Catalogue) -> BoolArray:
    """Items that meet every condition, bool (items,). Raises `InvalidInputError`."""
    mask = np.ones(len(catalogue), np.bool_)
    for attribute, wanted in conditions.items():
        condition = FILTER_ATTRIBUTES.get(attribute)
        if condition is None:
            accepted = ", ".join(FILTER_ATTRIBUTES)
            raise InvalidInputError(
                f"filter: unknown attribute {attribute!r}; accepted: {accepted}"
            )
        mask &= condition(wanted, catalogue)
    return mask


def _texts(attribute: str, wanted: object) -> list[str]:
    values = wanted if isinstance(wanted, list | tuple) else [wanted]
    if not 1 <= len(values) <= MAX_FILTER_VALUES or not all(isinstance(v, str) for v in values):
        raise InvalidInputError(
            f"filter: {attribute}={wanted!r}; accepted: a text or 1 to {MAX_FILTER_VALUES} texts"
        )
    return [str(value) for value in values]


def _category(wanted: object, catalogue: Catalogue) -> BoolArray:
    mask = np.zeros(len(catalogue), np.bool_)
    for category in _texts("category", wanted):
        mask[catalogue.in_category(category)] = True
    return mask


def _brand(wanted: object, catalogue: Catalogue) -> BoolArray:
    mask: BoolArray = np.isin(
        catalogue.item_brand, catalogue.brands.indices(_texts("brand", wanted))
    )
    return mask


def _price(wanted: object, catalogue: Catalogue) -> BoolArray:
    if not isinstance(wanted, Mapping) or not wanted or wanted.keys() - {"min", "max"}:
        raise InvalidInputError(f'filter: price={wanted!r}; accepted: {{"min": …, "max": …}}')
    low, high = (_number(wanted.get("min", 0)), _number(wanted.get("max", math.inf)))
    if low > high:
        raise InvalidInputError(f"filter: price={wanted!r}; accepted: min not above max")
    low, high = np.clip((low, high), -_LARGEST_PRICE, _LARGEST_PRICE).astype(np.float32)
    price = catalogue.item_price
    mask: BoolArray = (price != UNKNOWN_PRICE) & (price >= low) & (price <= high)
    return mask


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise InvalidInputError(f"filter: price bound {value!r}; accepted: a number")
    return float(value)


def _available(wanted: object, catalogue: Catalogue) -> BoolArray:
    if wanted is not True:
        raise InvalidInputError(
            f"filter: available={wanted!r}; accepted: true (unavailable items are never shown)"
        )
    return catalogue.item_available


FILTER_ATTRIBUTES: Mapping[str, Callable[[object, Catalogue], BoolArray]] = {
    "category": _category,
    "brand": _brand,
    "price": _price,
    "available": _available,
}
