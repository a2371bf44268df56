"""The canonical event: what a shopper did, as every other module sees it."""

from __future__ import annotations

import msgspec

Scalar = str | int | float | bool | None


class EventItem(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One item of an event; GA4 field names. Prices in `InteractionEvent.currency`."""

    item_id: str
    item_name: str | None = None
    item_brand: str | None = None
    item_category: str | None = None
    item_category2: str | None = None
    item_category3: str | None = None
    item_category4: str | None = None
    item_category5: str | None = None
    item_variant: str | None = None
    item_list_id: str | None = None
    item_list_name: str | None = None
    index: int | None = None
    price: float | None = None
    quantity: float | None = None
    discount: float | None = None
    coupon: str | None = None

    @property
    def category_path(self) -> str | None:
        """The category levels joined by ``/``, top first."""
        levels = (
            self.item_category,
            self.item_category2,
            self.item_category3,
            self.item_category4,
            self.item_category5,
        )
        return "/".join(level for level in levels if level) or None


class InteractionEvent(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One event, normalised.

    Parameters
    ----------
    event_id
        The sender's id, or a hash of the content where it sent none.
    event_type
        Canonical name, see `recommender.terms.EVENT_TYPES`.
    ts
        When it happened, microseconds since the epoch, UTC.
    visitor_id
        Stable anonymous id of a device or browser.
    placement
        ``item_list_id`` of the event: the placement it happened in.
    original_name
        The event name as sent, where it was not the canonical one.
    params
        Further parameters, kept as sent.
    """

    event_id: str
    event_type: str
    ts: int
    visitor_id: str
    user_id: str | None = None
    session_id: str | None = None
    items: tuple[EventItem, ...] = ()
    currency: str | None = None
    value: float | None = None
    transaction_id: str | None = None
    search_term: str | None = None
    placement: str | None = None
    recommendation_id: str | None = None
    page_type: str | None = None
    device: str | None = None
    original_name: str | None = None
    params: dict[str, Scalar] = {}
