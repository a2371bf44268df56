"""Touchpoints: where a shopper was and what they did there, act by act.

Notation
--------
An *act* is all that one shopper did of one type at one moment. What a page shows of itself is no
act: a list or promotion that appears within `PAGE_MICROS` of the row before it belongs to the page
of that row; and the view that a click has opened is one act with the click, as in
`recommender.trail`. A *touchpoint* is the type of an act with, for lists, promotions and item
pages, the placement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from recommender.terms import (
    ADD_PAYMENT_INFO,
    ADD_SHIPPING_INFO,
    ADD_TO_CART,
    ADD_TO_WISHLIST,
    BEGIN_CHECKOUT,
    DISMISS,
    EVENT_CODES,
    EVENT_TYPES,
    PLACEMENT,
    PURCHASE,
    REMOVE_FROM_CART,
    REVIEW,
    SEARCH,
    SELECT_ITEM,
    SELECT_PROMOTION,
    SHARE,
    VIEW_CART,
    VIEW_ITEM,
    VIEW_ITEM_LIST,
    VIEW_PROMOTION,
    BoolArray,
    Int64Array,
)
from training.reports.log_rows import LogRows

PAGE_MICROS: Final = 2_000_000
MOST: Final = 24
OTHER: Final = "other places"

_WORDS: Final = {
    VIEW_ITEM_LIST: "list",
    SELECT_ITEM: "item via list",
    VIEW_ITEM: "item page",
    SEARCH: "search",
    ADD_TO_WISHLIST: "wish list",
    ADD_TO_CART: "into cart",
    REMOVE_FROM_CART: "out of cart",
    VIEW_CART: "cart",
    BEGIN_CHECKOUT: "checkout",
    ADD_SHIPPING_INFO: "shipping",
    ADD_PAYMENT_INFO: "payment",
    VIEW_PROMOTION: "promotion",
    SELECT_PROMOTION: "promotion clicked",
    DISMISS: "dismissed",
    SHARE: "shared",
    REVIEW: "review",
    PURCHASE: "purchase",
}
_PLACED: Final = (VIEW_ITEM_LIST, SELECT_ITEM, VIEW_ITEM, VIEW_PROMOTION, SELECT_PROMOTION)
_SHOWN: Final = (VIEW_ITEM_LIST, VIEW_PROMOTION)
_NO_PLACE: Final = -1
_FOLDED: Final = -2


@dataclass(frozen=True, slots=True)
class Touchpoint:
    """A kind of act.

    Parameters
    ----------
    placement
        None where the log names none, or the type has none; `OTHER` for the rare ones together.
    """

    event_type: str
    placement: str | None

    @property
    def label(self) -> str:
        """Name for people."""
        word = _WORDS[self.event_type]
        return f"{word}: {self.placement}" if self.placement is not None else word


@dataclass(frozen=True, slots=True)
class Acts:
    """Acts in row order, a of them.

    Parameters
    ----------
    row
        Row at which each begins, int64 (a,).
    touch
        Index of its touchpoint, int64 (a,); -1 for a purchase.
    touchpoints
        The most frequent first, at most `MOST`.
    """

    row: Int64Array
    touch: Int64Array
    touchpoints: tuple[Touchpoint, ...]


def acts_of(rows: LogRows) -> Acts:
    """Every act of a log."""
    heads = np.flatnonzero(_begins_act(rows))
    kinds = _kinds(rows, heads)
    is_purchase = kinds[:, 0] == EVENT_CODES[PURCHASE]
    found, touch = _folded(kinds[~is_purchase], rows.visit[heads[~is_purchase]], MOST)
    names = rows.names[PLACEMENT]
    touchpoints = tuple(Touchpoint(EVENT_TYPES[c], _place(p, names)) for c, p in found)
    whole = np.full(len(heads), -1, np.int64)
    whole[~is_purchase] = touch
    return Acts(heads, whole, touchpoints)


def _begins_act(rows: LogRows) -> BoolArray:
    begins = np.ones(len(rows), np.bool_)
    before = np.logical_or.reduce(
        [np.diff(each) != 0 for each in (rows.shopper, rows.ts, rows.event_code)]
    )
    begins[1:] = before
    same_visit = np.diff(rows.visit) == 0
    soon = same_visit & (np.diff(rows.ts) <= PAGE_MICROS)
    begins[1:] &= ~(rows.is_type(*_SHOWN)[1:] & soon)
    return begins & ~_opened(rows)


def _opened(rows: LogRows) -> BoolArray:
    """Rows of views that a click has opened, bool (n,)."""
    opened = np.zeros(len(rows), np.bool_)
    trail = rows.trail
    opened[rows.on_trail] = (trail.event_code == EVENT_CODES[VIEW_ITEM]) & ~trail.begins_step
    return opened


def _kinds(rows: LogRows, heads: Int64Array) -> Int64Array:
    """Event code and placement of each act, int64 (a, 2)."""
    code = rows.event_code[heads]
    placement = rows.placement[heads].copy()
    # A list without a name, on a page where another list has one, is that page.
    act = np.searchsorted(heads, np.arange(len(rows)), side="right") - 1
    named = np.flatnonzero(rows.is_type(*_SHOWN) & (rows.placement >= 0))
    of_act, first = np.unique(act[named], return_index=True)
    page = np.full(len(heads), _NO_PLACE, np.int64)
    page[of_act] = rows.placement[named[first]]
    is_shown = np.isin(code, [EVENT_CODES[name] for name in _SHOWN])
    placement = np.where(is_shown, page, placement)
    has_place = np.isin(code, [EVENT_CODES[name] for name in _PLACED])
    return np.column_stack([code, np.where(has_place, placement, _NO_PLACE)]).astype(np.int64)


def _folded(
    kinds: Int64Array, visit: Int64Array, most: int
) -> tuple[list[tuple[int, int]], Int64Array]:
    """The most frequent kinds by visits, the rest by type alone; and the number of each act's."""
    unique, inverse = np.unique(kinds, axis=0, return_inverse=True)
    inverse = inverse.reshape(-1)
    visits = _visits_with(inverse, visit, len(unique))
    order = np.lexsort((np.arange(len(unique)), -visits))
    room = most if len(order) <= most else most - len(np.unique(unique[:, 0]))
    unique[order[room:], 1] = np.where(unique[order[room:], 1] == _NO_PLACE, _NO_PLACE, _FOLDED)
    folded, again = np.unique(unique, axis=0, return_inverse=True)
    touch = again.reshape(-1)[inverse]
    visits = _visits_with(touch, visit, len(folded))
    order = np.lexsort((np.arange(len(folded)), -visits))
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    return [(int(code), int(place)) for code, place in folded[order]], rank[touch]


def _visits_with(kind: Int64Array, visit: Int64Array, kinds: int) -> Int64Array:
    pairs = np.unique(kind.astype(np.int64) + visit * max(kinds, 1))
    return np.bincount(pairs % max(kinds, 1), minlength=kinds).astype(np.int64)


def _place(number: int, names: tuple[str, ...]) -> str | None:
    if number == _NO_PLACE:
        return None
    return OTHER if number == _FOLDED else names[number]
