"""Groups of shoppers and of targets that a mean hides.

A shopper slice keeps whole shoppers. A target slice keeps, of each shopper, the targets of one
group: the shopper is scored on those alone and does not take part without any.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.catalogue import Catalogue
from training.split import HoldOut

# Item groups and the share of all popularity up to which each goes, the most popular items first.
ITEM_GROUPS: Final[dict[str, float]] = {"head": 0.5, "middle": 0.8, "tail": 1.0}


@dataclass(frozen=True, slots=True)
class Slice:
    """One group.

    Parameters
    ----------
    group
        What divides: ``shopper``, ``item`` or ``category``.
    targets
        Targets of each shopper that belong to it; empty: the shopper does not take part.
    """

    group: str
    name: str
    targets: tuple[frozenset[str], ...]


def slices_of(hold_out: HoldOut, catalogue: Catalogue, max_categories: int) -> list[Slice]:
    """New and returning shoppers, item groups, and the categories with most targets."""
    return [
        _by_shopper(hold_out, "new", lambda query_idx: not is_returning(hold_out, query_idx)),
        _by_shopper(hold_out, "returning", lambda query_idx: is_returning(hold_out, query_idx)),
        *item_slices(hold_out, catalogue),
        *_categories(hold_out, catalogue, max_categories),
    ]


def is_returning(hold_out: HoldOut, query_idx: int) -> bool:
    """Something was known about the shopper at the moment of asking."""
    query = hold_out.queries[query_idx]
    return bool(query.history or query.session)


def item_slices(hold_out: HoldOut, catalogue: Catalogue) -> list[Slice]:
    """Targets among head, middle and tail items."""
    group = group_of(catalogue)
    return [
        _by_target(hold_out, "item", name, lambda i, name=name: group.get(i, "tail") == name)  # type: ignore[misc]
        for name in ITEM_GROUPS
    ]


def group_of(catalogue: Catalogue) -> dict[str, str]:
    """Group of each item; an item that the catalogue does not know belongs to the tail.

    The head is the fewest items that hold half of all popularity, head and middle together are the
    fewest that hold four fifths, the tail is the rest.
    """
    order = catalogue.popular_order
    mass = np.cumsum(catalogue.popularity[order], dtype=np.float64)
    if not len(mass) or mass[-1] <= 0:
        return {}
    names = list(ITEM_GROUPS)
    # The last group takes what is left: nothing may fall out of it by rounding.
    ends = [int(np.searchsorted(mass, ITEM_GROUPS[name] * mass[-1])) + 1 for name in names[:-1]]
    group = np.searchsorted(ends, np.arange(len(order)), "right")
    ids = (catalogue.ids.id(int(item_idx)) for item_idx in order)
    return {item_id: names[place] for item_id, place in zip(ids, group.tolist(), strict=True)}


def _by_shopper(hold_out: HoldOut, name: str, belongs: Callable[[int], bool]) -> Slice:
    kept = (
        wanted if belongs(query_idx) else frozenset[str]()
        for query_idx, wanted in enumerate(hold_out.targets)
    )
    return Slice("shopper", name, tuple(kept))


def _by_target(hold_out: HoldOut, group: str, name: str, belongs: Callable[[str], bool]) -> Slice:
    kept = (frozenset(filter(belongs, wanted)) for wanted in hold_out.targets)
    return Slice(group, name, tuple(kept))


def _categories(hold_out: HoldOut, catalogue: Catalogue, limit: int) -> Sequence[Slice]:
    category = {
        item_id: top
        for item_id in frozenset().union(*hold_out.targets)
        if (top := _top_category(item_id, catalogue)) is not None
    }
    sizes = Counter(category[i] for wanted in hold_out.targets for i in wanted if i in category)
    largest = sorted(sizes, key=lambda name: (-sizes[name], name))[:limit]
    return [
        _by_target(hold_out, "category", name, lambda i, name=name: category.get(i) == name)  # type: ignore[misc]
        for name in largest
    ]


def _top_category(item_id: str, catalogue: Catalogue) -> str | None:
    item_idx = catalogue.ids.index(item_id)
    path = None if item_idx is None else catalogue.category_of(item_idx)
    return path.split("/")[0] if path else None
