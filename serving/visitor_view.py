"""A visitor's state as an operator sees it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from feature_store.online.state import VisitorState
from serving.schemas import KnownExposure, KnownInteraction, KnownPurchase, VisitorResponse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
        exposures=[
            KnownExposure(item_id, len(times), rfc3339(times[-1]))
            for item_id, times in reversed(state.exposures.items())
        ],
    )


def moment_of(micros: int) -> datetime:
    """A moment in UTC, of microseconds since the epoch."""
    return EPOCH + timedelta(microseconds=micros)


def rfc3339(micros: int) -> str:
    """A moment as text, in UTC."""
    return moment_of(micros).isoformat().replace("+00:00", "Z")


def _moment(micros: int) -> str | None:
    return rfc3339(micros) if micros else None
