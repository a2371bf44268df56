"""What events say about a shopper, as facts for `feature_store.online.state`.

An event given twice is counted twice: duplicates are removed before (`feature_store.dedup`).
Facts carry the time of their event, so a late event takes its place instead of the last word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from feature_store.events import EventItem, InteractionEvent
from feature_store.online.cart import CartChange
from feature_store.online.state import (
    DEFAULT_LIMITS,
    Preference,
    Purchased,
    StateLimits,
    VisitorState,
    bought_in_all,
    joined,
    latest_preference,
)
from recommender.exposures import SHIPPED_PLACEMENTS, is_ours
from recommender.query import NO_ITEM, Interaction
from recommender.terms import (
    ADD_TO_CART,
    ADD_TO_WISHLIST,
    DISMISS,
    INTERACTION_TYPES,
    MOVE_TYPES,
    PREFERENCES,
    PURCHASE,
    REFUND,
    REMOVE_FROM_CART,
    VIEW_ITEM_LIST,
)

MAX_TERM_CHARACTERS = 100
_REMEMBERED = frozenset(INTERACTION_TYPES)
_MOVES = frozenset(MOVE_TYPES)


def apply_event(
    state: VisitorState, event: InteractionEvent, limits: StateLimits = DEFAULT_LIMITS
) -> VisitorState:
    """State that knows of one more event, whenever that happened."""
    return apply_events(state, (event,), limits)


def apply_events(
    state: VisitorState, events: Iterable[InteractionEvent], limits: StateLimits = DEFAULT_LIMITS
) -> VisitorState:
    """State that knows of further events, in any order."""
    return joined(state, facts(events, limits.placements), limits)


def facts(
    events: Iterable[InteractionEvent], placements: frozenset[str] = SHIPPED_PLACEMENTS
) -> VisitorState:
    """What events say by themselves, unbounded and in no order; only `joined` may use it.

    Parameters
    ----------
    placements
        Where lists are ours even without a recommendation id.
    """
    events = list(events)
    shown = [
        (event.ts, item.item_id, event.placement_of(item) or "")
        for event in events
        if event.event_type == VIEW_ITEM_LIST
        for item in event.items
        if is_ours(event.recommendation_of(item), event.placement_of(item), placements)
    ]
    times = [event.ts for event in events]
    touched = [(event, item) for event in events for item in _items(event)]
    return VisitorState(
        recent=tuple(
            [Interaction(item.item_id, event.event_type, event.ts) for event, item in touched]
        ),
        cart=_cart(touched),
        purchased=_purchased(touched),
        dismissed=_latest(touched, DISMISS),
        wished=_latest(touched, ADD_TO_WISHLIST),
        searches=tuple(
            (event.ts, event.search_term[:MAX_TERM_CHARACTERS])
            for event in events
            if event.search_term
        ),
        moves=tuple(
            [
                Interaction(_found(event), event.event_type, event.ts)
                for event in events
                if event.event_type in _MOVES
            ]
        ),
        totals=dict(Counter(event.event_type for event in events)),
        first_seen=min(times, default=0),
        last_seen=max(times, default=0),
        first_bought=min(
            (event.ts for event, _ in touched if event.event_type == PURCHASE), default=0
        ),
        preference=latest_preference(
            *(preference_fact(event.event_type, event.ts) for event in events)
        ),
        exposures=_exposures(shown),
        lists=tuple({(ts, placement) for ts, _, placement in shown}),
    )


def cart_change(event_type: str, ts: int, pieces: float | None) -> CartChange | None:
    """What an event says about a cart line, None when nothing.

    Without a quantity one piece is added, but the whole line is removed.
    """
    if event_type == ADD_TO_CART:
        added = 1.0 if pieces is None else pieces
        return CartChange(ts, is_set=False, quantity=added) if added > 0 else None
    if event_type == REMOVE_FROM_CART:
        if pieces is None:
            return CartChange(ts, is_set=True, quantity=0.0)
        return CartChange(ts, is_set=False, quantity=-pieces) if pieces > 0 else None
    return None


def purchase_fact(event_type: str, ts: int) -> Purchased | None:
    """What an event says about an item having been bought, None when nothing."""
    if event_type == PURCHASE:
        return Purchased(1, ts)
    return Purchased(-1, 0) if event_type == REFUND else None


def preference_fact(event_type: str, ts: int) -> Preference | None:
    """What an event says about how much of the shopper may take part, None when nothing."""
    level = PREFERENCES.get(event_type)
    return None if level is None else Preference(ts, level)


def _exposures(shown: list[tuple[int, str, str]]) -> dict[str, tuple[int, ...]]:
    exposures: dict[str, tuple[int, ...]] = {}
    for ts, item_id, _ in shown:
        exposures[item_id] = (*exposures.get(item_id, ()), ts)
    return exposures


def _items(event: InteractionEvent) -> tuple[EventItem, ...]:
    """Items that the event says something about; a list shown says nothing about its items."""
    return event.items if event.event_type in _REMEMBERED else ()


def _found(event: InteractionEvent) -> str:
    """First item of a list that the shopper went to, such as a category.

    A list that somebody placed beside a page, or that this service suggested, says where the page
    put it and nothing about where the shopper went.
    """
    if event.event_type != VIEW_ITEM_LIST or not event.items:
        return NO_ITEM
    first = event.items[0]
    is_placed = event.placement_of(first) or event.recommendation_of(first)
    return NO_ITEM if is_placed else first.item_id


def _cart(touched: list[tuple[InteractionEvent, EventItem]]) -> dict[str, tuple[CartChange, ...]]:
    cart: dict[str, tuple[CartChange, ...]] = {}
    for event, item in touched:
        if change := cart_change(event.event_type, event.ts, item.quantity):
            cart[item.item_id] = (*cart.get(item.item_id, ()), change)
    return cart


def _purchased(touched: list[tuple[InteractionEvent, EventItem]]) -> dict[str, Purchased]:
    purchased: dict[str, Purchased] = {}
    for event, item in touched:
        if bought := purchase_fact(event.event_type, event.ts):
            before = purchased.get(item.item_id, Purchased(0, 0))
            purchased[item.item_id] = bought_in_all(before, bought)
    return purchased


def _latest(touched: list[tuple[InteractionEvent, EventItem]], event_type: str) -> dict[str, int]:
    """When each item had an event of this type last."""
    latest: dict[str, int] = {}
    for event, item in touched:
        if event.event_type == event_type:
            latest[item.item_id] = max(event.ts, latest.get(item.item_id, 0))
    return latest
