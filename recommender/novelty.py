"""How many items of a list are new to the shopper: kept within the bounds of the visit's pace.

An item is *new* where the shopper has not met it and its category is not that of any of the last
`LAST_ITEMS` items that the shopper met; an item without a category is new where it was not met.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Final

import numpy as np

from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.pace_table import PaceStyle
from recommender.query import Query
from recommender.reordered import Reordered
from recommender.seeds import Seeds
from recommender.terms import Int32Array

LAST_ITEMS: Final = 5


def paced(
    ranking: Reordered, query: Query, style: PaceStyle, seeds: Seeds, catalogue: Catalogue
) -> Reordered:
    """The ranking with a first page of `query.limit` items that meets the bounds of a style.

    Of a page of n items, at least ⌈n · novelty_at_least⌉ and at most ⌊n · novelty_at_most⌋ are new,
    as far as the ranking has candidates for it. The best of each sort stay, in their order; those
    put aside follow behind the page.
    """
    size = min(query.limit, len(ranking))
    if not style.bounds_novelty or not size or not len(seeds):
        return ranking
    # Kernels come in only where there is a model, see `recommender.compiled`.
    from recommender.newness import first_page

    least, most = size * style.novelty_at_least - 1e-9, size * style.novelty_at_most + 1e-9
    known, bounds = _known(query, seeds, catalogue), (ceil(least), floor(most))
    order = first_page(ranking.item_idx, catalogue.item_category, known, size, bounds)
    return ranking.take(order) if len(order) else ranking


def _known(query: Query, seeds: Seeds, catalogue: Catalogue) -> tuple[Int32Array, Int32Array]:
    """Categories of the last items met, and the items that were met, rising: int32."""
    last, _ = seeds.distinct(LAST_ITEMS)
    near = {*catalogue.item_category[last].tolist()} - {NO_CATEGORY}
    met = {item_id for item_id, _, _ in (*query.history, *query.session)}
    met.update(query.cart_items, query.context_items)
    items = sorted({*catalogue.ids.indices(met)})
    return np.array([*near], np.int32), np.array(items, np.int32)
