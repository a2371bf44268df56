"""Segment's e-commerce specification, which RudderStack and PostHog share.

Format: https://segment.com/docs/connections/spec/ecommerce/v2/. Traits of `identify` calls are
not read: who somebody is does not help to recommend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feature_store.dialects.names import SEGMENT, name_fields
from feature_store.dialects.reading import (
    Fields,
    Raw,
    first,
    inner,
    number,
    recommendation,
    scalars,
    text_id,
    whole,
)
from feature_store.event_rules import RECOMMENDATION_NAMES

_CALLS: Final = frozenset({"track", "identify", "page", "screen", "group", "alias"})
_MARKS: Final = ("messageId", "anonymousId", "distinct_id", "originalTimestamp")
_PRODUCT: Final = (
    "product_id",
    "sku",
    "name",
    "brand",
    "category",
    "variant",
    "price",
    "quantity",
    "coupon",
    "position",
)
_TAKEN: Final = (
    "products",
    "order_id",
    "revenue",
    "currency",
    "query",
    "list_id",
    "session_id",
    "page_type",
    "device",
    *RECOMMENDATION_NAMES,
)


def matches(raw: Raw) -> bool:
    """True for the marks of a Segment, RudderStack or PostHog call."""
    return (
        any(mark in raw for mark in _MARKS)
        or ("event" in raw and "properties" in raw)
        or raw.get("type") in tuple(_CALLS)
    )


def translate(raw: Raw) -> Fields:
    """A call as fields of our own shape."""
    properties = inner(raw, "properties")
    return {
        **name_fields(SEGMENT, _name(raw)),
        **_who(raw, properties),
        "event_id": text_id(first(raw, "messageId", "message_id", "uuid", "event_id")),
        "ts": first(raw, "timestamp", "originalTimestamp", "sentAt", "receivedAt"),
        "items": _items(properties),
        "currency": first(properties, "currency"),
        "value": number(first(properties, "revenue", "value", "total")),
        "transaction_id": text_id(first(properties, "order_id")),
        "search_term": first(properties, "query"),
        "placement": text_id(first(properties, "list_id")),
        "recommendation_id": recommendation(properties),
        "page_type": first(properties, "page_type"),
        "device": first(properties, "device", "$device_type")
        or first(inner(raw, "context", "device"), "type"),
        "params": _params(properties),
    }


def _name(raw: Raw) -> object:
    return raw.get("type") if raw.get("type", "track") != "track" else raw.get("event")


def _who(raw: Raw, properties: Raw) -> Fields:
    user = first(raw, "userId", "user_id")
    if raw.get("event") == "$identify":  # PostHog
        user, visitor = first(raw, "distinct_id"), first(properties, "$anon_distinct_id")
    else:
        user = user if user is not None else first(properties, "$user_id")
        visitor = first(raw, "anonymousId", "anonymous_id")
        visitor = visitor or first(properties, "$device_id") or first(raw, "distinct_id")
    context = inner(raw, "context")
    return {
        # Calls from a shop's server know the user only; the user then is the visitor.
        "visitor_id": text_id(visitor if visitor is not None else user),
        "user_id": text_id(user),
        "session_id": text_id(
            first(properties, "session_id", "$session_id")
            or first(context, "sessionId", "session_id")
        ),
    }


def _items(properties: Raw) -> object:
    products = properties.get("products")
    if isinstance(products, list | tuple):
        return [_item(item) if isinstance(item, Mapping) else item for item in products]
    if products is not None:
        return products
    return [] if first(properties, "product_id", "sku") is None else [_item(properties)]


def _item(product: Raw) -> Fields:
    return {
        "item_id": text_id(first(product, "product_id", "sku")),
        "item_name": first(product, "name"),
        "item_brand": first(product, "brand"),
        "item_category": first(product, "category"),
        "item_variant": first(product, "variant"),
        "index": whole(first(product, "position")),
        "price": number(first(product, "price")),
        "quantity": number(first(product, "quantity")),
        "coupon": first(product, "coupon"),
        "recommendation_id": recommendation(product),
    }


def _params(properties: Raw) -> Fields:
    is_product = first(properties, "product_id", "sku") is not None and not properties.get(
        "products"
    )
    left = scalars(properties, (*_TAKEN, *_PRODUCT) if is_product else _TAKEN)
    # Properties with a dollar sign are PostHog's own, dozens per event.
    return {name: value for name, value in left.items() if not name.startswith("$")}
