"""Which items may be shown at all: stock, what the shopper has done with, shop rules, filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from recommender.catalogue import Catalogue
from recommender.filters.conditions import filter_expression
from recommender.filters.evaluation import matching
from recommender.merchandising.active import ActiveRules
from recommender.personalisation import permitted
from recommender.placements import Placement
from recommender.query import Interaction, Query
from recommender.terms import DISMISS, PURCHASE, BoolArray


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


def eligible_items(
    query: Query, catalogue: Catalogue, placement: Placement, rules: ActiveRules | None = None
) -> Eligibility:
    """Apply stock, exclusions, the placement's and the shop's rules and the filter, in this order.

    Raises
    ------
    InvalidInputError
        The filter names an unknown attribute or an unacceptable value.
    """
    mask = catalogue.item_available.copy()
    left = int(np.count_nonzero(mask))
    removed = [("unavailable", len(mask) - left)]
    for name, item_ids in _exclusions(query, placement):
        mask[catalogue.ids.indices(item_ids)] = False
        removed.append((name, left - (left := int(np.count_nonzero(mask)))))
    for rule, matched in rules.excluded() if rules else ():
        mask &= ~matched
        removed.append((f"rule:{rule.name}", left - (left := int(np.count_nonzero(mask)))))
    if (wanted := filter_expression(query.filter)) is not None:
        mask &= matching(wanted, query, catalogue)
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
    inside = np.zeros(len(catalogue), np.bool_)
    inside[catalogue.in_category(query.category)] = True
    inside &= eligibility.mask
    return replace(eligibility, mask=inside) if inside.any() else eligibility


def excluded_ids(query: Query, placement: Placement) -> frozenset[str]:
    """Items that the caller or a rule of the placement keeps out, whatever the catalogue is."""
    named = _exclusions(query, placement)
    return frozenset(item_id for _, item_ids in named for item_id in item_ids)


def _exclusions(query: Query, placement: Placement) -> Iterable[tuple[str, Iterable[str]]]:
    if query.exclude_items:
        yield "excluded", query.exclude_items
    # What may not take part must not show in what is missing, either.
    query = permitted(query, placement)
    for rule in placement.exclude:
        yield rule, EXCLUSION_RULES[rule](query, placement)


def _done(query: Query, event_type: str | None, within: timedelta | None) -> Iterable[str]:
    interactions: tuple[Interaction, ...] = (*query.history, *query.session)
    oldest = (query.at - within).timestamp() * 1e6 if within else -math.inf
    return {
        item_id
        for item_id, done, ts in interactions
        if ts >= oldest and (event_type is None or done == event_type)
    }


EXCLUSION_RULES: Mapping[str, Callable[[Query, Placement], Iterable[str]]] = {
    "context": lambda query, _: query.context_items,
    "cart": lambda query, _: query.cart_items,
    "dismissed": lambda query, _: _done(query, DISMISS, None),
    "purchased": lambda query, placement: _done(query, PURCHASE, placement.purchased_within),
    "seen": lambda query, placement: _done(query, None, placement.seen_within),
}
