"""How many items of a list are new to the shopper: kept within the bounds of the visit's pace.

An item is *new* where the shopper has not met it and its category is not that of any of the last
`LAST_ITEMS` items that the shopper met; an item without a category is new where it was not met.
"""

from __future__ import annotations

from math import ceil, floor
from typing import Final

from recommender.catalogue import NO_CATEGORY, Catalogue
from recommender.pace_table import PaceStyle
from recommender.query import Query
from recommender.ranking import Ranking
from recommender.seeds import Seeds

LAST_ITEMS: Final = 5


def paced(
    ranking: Ranking, query: Query, style: PaceStyle, seeds: Seeds, catalogue: Catalogue
) -> Ranking:
    """The ranking with a first page of `query.limit` items that meets the bounds of a style.

    Of a page of n items, at least ⌈n · novelty_at_least⌉ and at most ⌊n · novelty_at_most⌋ are new,
    as far as the ranking has candidates for it. The best of each sort stay, in their order; those
    put aside follow behind the page.
    """
    size = min(query.limit, len(ranking))
    if not style.bounds_novelty or not size or not len(seeds):
        return ranking
    new, familiar = _sorted_out(ranking, query, seeds, catalogue)
    count = sum(row < size for row in new)
    count = max(count, ceil(size * style.novelty_at_least - 1e-9))
    count = min(count, floor(size * style.novelty_at_most + 1e-9), len(new))
    count = max(count, size - len(familiar))
    page = sorted((*new[:count], *familiar[: size - count]))
    if page == list(range(size)):
        return ranking
    shown = {*page}
    return ranking.take([*page, *(row for row in range(len(ranking)) if row not in shown)])


def _sorted_out(
    ranking: Ranking, query: Query, seeds: Seeds, catalogue: Catalogue
) -> tuple[list[int], list[int]]:
    """The first rows of new and of familiar items, best first, at most `query.limit` of each."""
    categories = catalogue.item_category[ranking.item_idx].tolist()
    last, _ = seeds.distinct(LAST_ITEMS)
    near = {*catalogue.item_category[last].tolist()} - {NO_CATEGORY}
    items = ranking.item_idx.tolist()
    met = {each.item_id for each in (*query.history, *query.session)}
    met.update(query.cart_items, query.context_items)
    new: list[int] = []
    familiar: list[int] = []
    for row, category in enumerate(categories):
        elsewhere = category not in near
        if elsewhere and len(new) == query.limit:
            continue
        item_id = catalogue.ids.id(items[row]) if elsewhere else ""
        rows = new if elsewhere and item_id not in met else familiar
        if len(rows) < query.limit:
            rows.append(row)
        elif len(new) == len(familiar) == query.limit:
            break
    return new, familiar
