"""What a running visit shows of its pace: gaps, depth, spread, searches, returns, cart, entry.

Notation: a *step* is one event of a visit. A list shown within a second of the event before it
belongs to that event's page and is none; nor is the view of an item that was selected just before.
A *gap* is the time from the last event of a page to the next step, in seconds; what follows within
a second was not read, and is no gap. Steps have a *place*: an item, a search, a list, or the cart
and the checkout.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log
from typing import Final

from recommender.query import Interaction, Visit
from recommender.terms import (
    ADD_TO_CART,
    INTERACTION_TYPES,
    MICROS_PER_SECOND,
    MOVE_TYPES,
    REMOVE_FROM_CART,
    SEARCH,
    SELECT_ITEM,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
)

PLACES: Final = ("item", "search", "list", "cart")
ITEM, SEARCHED, LISTED, CART = range(len(PLACES))
_PLACE: Final[dict[str, int]] = {
    **dict.fromkeys(MOVE_TYPES, CART),
    **dict.fromkeys(INTERACTION_TYPES, ITEM),
    SEARCH: SEARCHED,
    VIEW_ITEM_LIST: LISTED,
}
_OPENS: Final = frozenset((SELECT_ITEM, VIEW_ITEM))
NOWHERE: Final = -1
CategoryOf = Callable[[str], int]

# What is compared with the shop's own distribution. Of each gap, it is that of its kind.
GAPS: Final = ("gap_after_item", "gap_elsewhere")
MEASURES: Final = (
    "steps",
    "items",
    "categories",
    "top_category_share",
    "category_entropy",
    "nowhere_share",
    "turned_share",
    "search_share",
    "list_share",
    "cart_share",
    "carts",
    "in_cart",
    "again_share",
    "reload_share",
    "known_share",
    "met_before",
)


class Signs:
    """Counts over the events of one visit, fed one by one, oldest first.

    Parameters
    ----------
    visit
        Its `met_before` counts; its events are not fed.
    category_of
        Category of an item id, as an index; negative where it is not known.

    Attributes
    ----------
    steps
        How many so far.
    gaps
        Kind (a place in `GAPS`) and seconds of each, oldest first.
    entry, latest
        Place of the first and of the latest step; `NOWHERE` before the first.
    entry_is_known
        The first step was about an item met before the visit.
    entry_is_nowhere
        The first step was a list without a category, such as the first page of the shop.
    """

    def __init__(self, visit: Visit, category_of: CategoryOf) -> None:
        self._met_before = visit.met_before
        self._category_of = category_of
        self.steps = 0
        self.gaps: list[tuple[int, float]] = []
        self.entry = self.latest = NOWHERE
        self.entry_is_known = self.entry_is_nowhere = False
        self._places = [0] * len(PLACES)
        self._categories: dict[int, int] = {}
        self._items: dict[str, int] = {}
        self._open = self._selected = ""
        self._listed = NOWHERE
        self._ended = 0
        self._nowhere = self._turned = self._again = self._reloads = self._known = 0
        self._carts = 0
        self._in_cart: set[str] = set()

    def would_step(self, event: Interaction) -> bool:
        """Whether the next event is a step of its own."""
        if not self._is_same_page(event.ts):
            return True
        if event.event_type == VIEW_ITEM:
            return self._selected != event.item_id
        return event.event_type != VIEW_ITEM_LIST

    def feed(self, event: Interaction) -> None:
        """Take the next event into account."""
        item_id, event_type, ts = event
        place = _PLACE[event_type]
        since = ts - self._ended
        if since < MICROS_PER_SECOND and not self.would_step(event):
            self._ended = ts
            self._selected = ""
            if place == LISTED:
                self._show(item_id)
            return
        self._selected = item_id if event_type == SELECT_ITEM else ""
        if not self.steps:
            self.entry = place
            self.entry_is_known = place == ITEM and item_id in self._met_before
        elif since >= MICROS_PER_SECOND:
            self.gaps.append((0 if self.latest == ITEM else 1, since / MICROS_PER_SECOND))
        self._ended = ts
        self.steps += 1
        self._places[place] += 1
        if place == ITEM:
            self._meet(item_id, event_type)
        elif place == LISTED:
            self._list(item_id)
        else:
            self._listed = NOWHERE
        self.latest = place

    def measures(self) -> list[float]:
        """The values of `MEASURES`; there must have been a step."""
        steps, items = self.steps, len(self._items)
        placed = sum(self._categories.values())
        counts = self._categories.values()
        entropy = log(placed) - sum(n * log(n) for n in counts) / placed if placed else 0.0
        views = max(self._places[ITEM], 1)
        return [
            steps,
            items,
            len(self._categories),
            max(counts) / placed if placed else 1.0,
            entropy,
            self._nowhere / steps,
            self._turned / steps,
            self._places[SEARCHED] / steps,
            self._places[LISTED] / steps,
            self._places[CART] / steps,
            self._carts,
            len(self._in_cart),
            self._again / views,
            self._reloads / views,
            self._known / max(items, 1),
            len(self._met_before),
        ]

    def _is_same_page(self, ts: int) -> bool:
        return self.steps > 0 and ts - self._ended < MICROS_PER_SECOND

    def _show(self, item_id: str) -> None:
        """A list beside another event of its page: says what a search or a list is about."""
        if self.latest not in (SEARCHED, LISTED) or self._listed >= 0 or not item_id:
            return
        self._listed = self._categorise(item_id)
        if self.latest == LISTED and self._listed >= 0:
            self._nowhere -= 1
            self.entry_is_nowhere &= self.steps > 1

    def _list(self, item_id: str) -> None:
        before = self._listed
        self._listed = self._categorise(item_id) if item_id else NOWHERE
        self._nowhere += self._listed < 0
        if self.steps == 1:
            self.entry_is_nowhere = self._listed < 0
        self._turned += 0 <= self._listed == before

    def _meet(self, item_id: str, event_type: str) -> None:
        if event_type == ADD_TO_CART:
            self._carts += 1
            self._in_cart.add(item_id)
        elif event_type == REMOVE_FROM_CART:
            self._in_cart.discard(item_id)
        if event_type in _OPENS:
            if item_id == self._open:
                self._reloads += 1
            elif item_id in self._items:
                self._again += 1
            self._open = item_id
            self._listed = NOWHERE
        if item_id not in self._items:
            self._items[item_id] = 1
            self._known += item_id in self._met_before
        self._categorise(item_id)

    def _categorise(self, item_id: str) -> int:
        category = self._category_of(item_id)
        if category >= 0:
            self._categories[category] = self._categories.get(category, 0) + 1
        return category
