"""Boosts and buries: items move up or down by a factor on their position."""

from __future__ import annotations

import numpy as np

from recommender.merchandising.active import WINDOW, ActiveRules
from recommender.merchandising.shop_rules import BoostRule
from recommender.ranking import Ranking
from recommender.terms import BoolArray, Float64Array, Int64Array


def boosted(ranking: Ranking, active: ActiveRules) -> Ranking:
    """The best of a ranking, ordered by position divided by the factors of all rules that match.

    Positions, not scores: scores have any scale and sign, and change with every model, while
    "from 10th to about 5th" stays what it is. The transform is monotone, so a factor of 1 changes
    nothing, one above 1 never lowers an item, and items that no rule is about keep their order.
    Ties go to the item that stood higher.
    """
    if not active.is_ordering:
        return ranking
    kept = min(len(ranking), WINDOW)
    items, factors = ranking.item_idx[:kept], np.ones(kept)
    order: Int64Array = np.arange(kept)
    for rule in active.of(BoostRule):
        matched = active.matches(rule, items)
        factors[matched] *= rule.factor
        order = _noted(active, rule, ranking, order, (factors, matched))
    return ranking.take(_order(factors).tolist())


def _order(factors: Float64Array) -> Int64Array:
    return np.argsort(np.arange(1, len(factors) + 1) / factors, kind="stable")


def _noted(
    active: ActiveRules,
    rule: BoostRule,
    ranking: Ranking,
    before: Int64Array,
    now: tuple[Float64Array, BoolArray],
) -> Int64Array:
    """The order with one more rule, with its moves noted; computed only for an explanation."""
    if active.trace is None:
        return before
    factors, matched = now
    order, items = _order(factors), ranking.item_idx
    about = items[: len(matched)][matched].tolist()
    active.trace.reordered(rule.name, items[before].tolist(), items[order].tolist(), about)
    return order
