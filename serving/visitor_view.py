"""A visitor's state as the pipeline asks for it, and as an operator sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from feature_store.online.state import VisitorState
from recommender.query import Interaction
from recommender.terms import DISMISS, PURCHASE
from serving.schemas import KnownInteraction, KnownPurchase, VisitorResponse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Known:
    """What the pipeline may know about a shopper; see `recommender.query.Query`."""

    history: tuple[Interaction, ...] = ()
    session: tuple[Interaction, ...] = ()
    cart_items: tuple[str, ...] = ()


def known_of(state: VisitorState, at: datetime, gap: timedelta) -> Known:
    """History, running session and cart.

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
    return Known(history, session, tuple(reversed(state.cart_items)))


def visitor_response(visitor_id: str, state: VisitorState) -> VisitorResponse:
    """Everything known, newest first."""
    return VisitorResponse(
        visitor_id=visitor_id,
        user_id=state.user_id,
        first_seen=_moment(state.first_seen),
        last_seen=_moment(state.last_seen),
        totals=state.totals,
        interactions=[
            KnownInteraction(each.item_id, each.event_type, rfc3339(each.ts))
            for each in reversed(state.recent)
        ],
        cart=state.cart_items,
        purchases=[
            KnownPurchase(item_id, each.times, rfc3339(each.last))
            for item_id, each in reversed(state.purchased_items.items())
        ],
        dismissed_item_ids=list(reversed(state.dismissed_items)),
        searches=[term for _, term in reversed(state.searches)],
    )


def moment_of(micros: int) -> datetime:
    """A moment in UTC, of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=micros)


def rfc3339(micros: int) -> str:
    """A moment as text, in UTC."""
    return moment_of(micros).isoformat().replace("+00:00", "Z")


def _moment(micros: int) -> str | None:
    return rfc3339(micros) if micros else None
