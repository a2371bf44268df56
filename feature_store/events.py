"""The canonical event: what a shopper did, and what makes two events the same.

`feature_store.dialects.normalise` makes them; their rules are in `feature_store.event_rules`.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import msgspec

from recommender.terms import PURCHASE

Scalar = str | int | float | bool | None

DIGEST_BYTES: Final = 16
_ENCODER: Final = msgspec.json.Encoder(order="deterministic")


class EventItem(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One item of an event; GA4 field names. Prices in `InteractionEvent.currency`.

    Parameters
    ----------
    recommendation_id
        The answer that suggested this item, where the sender carries it per item.
    """

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
    recommendation_id: str | None = None

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
    arrival_time
        True: the sender gave no time and `ts` is the time of arrival.
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
    arrival_time: bool = False

    def placement_of(self, item: EventItem) -> str | None:
        """Where this item stood: its own list, else the event's."""
        return item.item_list_id or self.placement

    def recommendation_of(self, item: EventItem) -> str | None:
        """The answer that suggested this item: its own, else the event's."""
        return item.recommendation_id or self.recommendation_id


class DedupKey(NamedTuple):
    """One key under which an event may be known already.

    Parameters
    ----------
    key
        ``"e:" + event_id`` or ``"t:" + transaction_id``; at most 258 bytes of UTF-8.
    digest
        16 bytes. Same key and same digest: a duplicate. Same key, other digest: a conflict.
    """

    key: str
    digest: bytes


def payload_digest(event: InteractionEvent) -> bytes:
    """Digest of what an event says: all but `event_id`, and `ts` where that is the arrival.

    Take it before a time in the future is replaced, else a retry looks like another event.

    Returns
    -------
    bytes
        16 bytes of BLAKE2b over the canonical JSON (fields in order, parameters sorted).
    """
    ts = 0 if event.arrival_time else event.ts
    return _digest(_ENCODER.encode(msgspec.structs.replace(event, event_id="", ts=ts)))


def transaction_digest(event: InteractionEvent) -> bytes:
    """Digest of what was bought: items with quantity and price in any order, value, currency.

    Browser and server often both report a purchase, with ids and times of their own;
    those are left out.
    """
    lines = sorted(
        (item.item_id, float(item.quantity or 1), item.price or 0.0) for item in event.items
    )
    return _digest(_ENCODER.encode((lines, event.value, event.currency)))


def dedup_keys(event: InteractionEvent) -> tuple[DedupKey, ...]:
    """Every key of an event; it is a duplicate when any is known with the same digest."""
    own = DedupKey(f"e:{event.event_id}", payload_digest(event))
    if event.event_type != PURCHASE or event.transaction_id is None:
        return (own,)
    return own, DedupKey(f"t:{event.transaction_id}", transaction_digest(event))


def content_id(event: InteractionEvent) -> str:
    """Id for an event that was sent without one: a function of its content alone."""
    return f"h-{payload_digest(event).hex()}"


def _digest(payload: bytes) -> bytes:
    return hashlib.blake2b(payload, digest_size=DIGEST_BYTES).digest()
