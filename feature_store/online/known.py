"""A visitor's state as the pipeline asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_store.online.state import VisitorState, micros
from recommender.query import NO_VISIT, Interaction, Visit
from recommender.terms import DISMISS, PURCHASE
from recommender.visit import visit_of


@dataclass(frozen=True, slots=True)
class Known:
    """What the pipeline may know about a shopper; see `recommender.query.Query`."""

    history: tuple[Interaction, ...] = ()
    session: tuple[Interaction, ...] = ()
    cart_items: tuple[str, ...] = ()
    visit: Visit = NO_VISIT


def known_of(state: VisitorState, at: datetime, gap: timedelta) -> Known:
    """History, running session, cart, and the running visit with its moves.

    Purchases and dismissals that are too old for the list of recent interactions still count, as
    history: an item bought or dismissed long ago must not be offered as if it were new.
    """
    history, session = state.split(at, gap)
    recent = {(item_id, event_type) for item_id, event_type, _ in (*history, *session)}
    older = [
        *(
            Interaction(item_id, PURCHASE, each.last)
            for item_id, each in state.purchased_items.items()
        ),
        *(Interaction(item_id, DISMISS, ts) for item_id, ts in state.dismissed_items.items()),
    ]
    added = [each for each in older if (each.item_id, each.event_type) not in recent]
    if added:
        history = tuple(sorted((*added, *history), key=lambda each: each.ts))
    visit = visit_of(state.recent, state.moves, micros(at), gap // timedelta(microseconds=1))
    return Known(history, session, tuple(reversed(state.cart_items)), visit)
