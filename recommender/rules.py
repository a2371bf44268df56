"""Which items may be shown at all: stock, what the shopper has done with, shop rules, filters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from recommender.catalogue import Catalogue
from recommender.discretion import hidden_items, without_sensitive
from recommender.filters.conditions import filter_expression
from recommender.filters.evaluation import matching
from recommender.merchandising.active import ActiveRules
from recommender.personalisation import permitted
from recommender.placements import Placement
from recommender.query import Query
from recommender.terms import ADD_TO_CART, DISMISS, PURCHASE, REFUND, BoolArray

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
    count
        How many are left. It is carried along: to count a whole catalogue takes its time.
    """

    mask: BoolArray
    removed: tuple[tuple[str, int], ...]
    count: int

    def within(self, other: BoolArray) -> Eligibility:
        """What is among other items, too, bool (items,)."""
        mask = self.mask & other
        return Eligibility(mask, self.removed, int(np.count_nonzero(mask)))


def eligible_items(
    query: Query, catalogue: Catalogue, placement: Placement, rules: ActiveRules | None = None
) -> Eligibility:
    """Apply stock, discretion, exclusions, the placement's and the shop's rules, and the filter.

    Raises
    ------
    InvalidInputError
        The filter names an unknown attribute or an unacceptable value.
    """
    mask = catalogue.item_available.copy()
    left = catalogue.available
    removed = [("unavailable", len(mask) - left)]
    # First, so that no count tells what a shopper did with an item that is hidden anyway.
    if placement.sensitive_categories:
        mask &= ~hidden_items(query, catalogue, placement)
        removed.append(("sensitive", left - (left := int(np.count_nonzero(mask)))))
    for name, item_ids in _exclusions(query, placement, catalogue):
        gone = [index for index in {*catalogue.ids.indices(item_ids)} if mask[index]]
        if gone:
            mask[gone] = False
            left -= len(gone)
            removed.append((name, len(gone)))
    for rule, matched in rules.excluded() if rules else ():
        mask &= ~matched
        removed.append((f"rule:{rule.name}", left - (left := int(np.count_nonzero(mask)))))
    if (wanted := filter_expression(query.filter)) is not None:
        mask &= matching(wanted, without_sensitive(query, catalogue, placement), catalogue)
        removed.append(("filter", left - (left := int(np.count_nonzero(mask)))))
    return Eligibility(mask, tuple([entry for entry in removed if entry[1]]), left)


def on_page(
    eligibility: Eligibility, query: Query, catalogue: Catalogue, placement: Placement
) -> Eligibility:
    """Keep what sources may propose to the page's category, where the placement wants that.

    The ladder may still fill the list from outside; a category of which nothing may be shown
    changes nothing.
    """
    if not placement.within_category or query.category is None:
        return eligibility
    inside = np.zeros(len(catalogue), np.bool_)
    inside[catalogue.in_category(query.category)] = True
    near = eligibility.within(inside)
    return near if near.count else eligibility


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
    # What may not take part must not show in what is missing, either.
    query = permitted(query, placement)
    for rule in placement.exclude:
        if rule != "durable":
            yield rule, EXCLUSION_RULES[rule](query, placement)
        elif catalogue is not None:
            yield rule, resting_ids(query, catalogue)


def _done(query: Query, event_type: str | None, within: timedelta | None) -> Iterable[str]:
    if event_type is None:
        found = [*query.history, *query.session]
    else:
        parts = (query.history, query.session)
        found = [each for part in parts for each in part if each.event_type == event_type]
    if not found or within is None:
        return [each.item_id for each in found]
    oldest = (query.at - within).timestamp() * 1e6
    return [each.item_id for each in found if each.ts >= oldest]


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
