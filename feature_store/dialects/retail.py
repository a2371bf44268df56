"""Google Retail (Vertex AI Search for commerce) user events, v2 and the older v1beta shape.

Format: https://cloud.google.com/retail/docs/user-events. Addresses and agents in ``userInfo`` are
not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feature_store.dialects.names import RETAIL, name_fields
from feature_store.dialects.reading import (
    Fields,
    Raw,
    first,
    inner,
    number,
    recommendation,
    text_id,
)

_MARKS: Final = ("visitorId", "userInfo", "productDetails", "productEventDetail", "eventDetail")


def matches(raw: Raw) -> bool:
    """True for the marks of a Retail user event."""
    return "eventType" in raw and (
        any(mark in raw for mark in _MARKS) or "productEventDetails" in raw
    )


def translate(raw: Raw) -> Fields:
    """A user event as fields of our own shape."""
    event = {
        **inner(raw, "eventDetail"),
        **inner(raw, "productEventDetail"),
        **inner(raw, "productEventDetails"),
        **raw,
    }
    payment, user = inner(event, "purchaseTransaction"), inner(raw, "userInfo")
    items = _items(event)
    return {
        **name_fields(RETAIL, raw.get("eventType")),
        "event_id": text_id(first(raw, "eventId", "event_id")),
        "ts": first(raw, "eventTime"),
        "visitor_id": text_id(first(raw, "visitorId") or first(user, "visitorId")),
        "user_id": text_id(first(user, "userId")),
        "session_id": text_id(first(raw, "sessionId")),
        "items": items,
        "currency": first(payment, "currencyCode") or _item_currency(event),
        "value": number(first(payment, "revenue")),
        "transaction_id": text_id(first(payment, "id")),
        "search_term": first(event, "searchQuery"),
        "placement": text_id(first(raw, "placement")),
        "recommendation_id": text_id(first(event, "attributionToken", "recommendationToken"))
        or recommendation(raw),
        "params": _params(raw, event),
    }


def _products(event: Raw) -> object:
    details = event.get("productDetails")
    if isinstance(event.get("productEventDetails"), list | tuple):
        return event["productEventDetails"]
    return details


def _items(event: Raw) -> object:
    products = _products(event)
    if not isinstance(products, list | tuple):
        return products
    return [_item(item) if isinstance(item, Mapping) else item for item in products]


def _item(detail: Raw) -> Fields:
    product = {**detail, **inner(detail, "product")}
    price = first(inner(product, "priceInfo"), "price")
    return {
        "item_id": text_id(first(product, "id")),
        "item_name": first(product, "title"),
        "item_brand": _head(product.get("brands")),
        **_levels(_head(product.get("categories"))),
        "price": number(
            price if price is not None else first(product, "displayPrice", "originalPrice")
        ),
        "quantity": number(first(detail, "quantity")),
    }


def _head(values: object) -> object:
    return values[0] if isinstance(values, list | tuple) and values else None


def _levels(category: object) -> Fields:
    """Retail writes a category as ``"Shoes > Running"``; GA4 gives each level a field."""
    if not isinstance(category, str):
        return {"item_category": category}
    levels = category.split(" > ", 4)
    names = ["item_category", *(f"item_category{number}" for number in range(2, 6))]
    return dict(zip(names, levels, strict=False))


def _item_currency(event: Raw) -> object:
    products = _products(event)
    for detail in products if isinstance(products, list | tuple) else ():
        if isinstance(detail, Mapping):
            found = first(inner(detail, "product", "priceInfo"), "currencyCode")
            if found is not None or (found := first(detail, "currencyCode")) is not None:
                return found
    return None


def _params(raw: Raw, event: Raw) -> Fields:
    params: Fields = {
        name: first(event, name)
        for name in ("cartId", "pageViewId", "uri", "referrerUri", "entity", "filter", "orderBy")
        if first(event, name) is not None
    }
    experiments = event.get("experimentIds")
    if isinstance(experiments, list | tuple) and all(isinstance(name, str) for name in experiments):
        params["experimentIds"] = ",".join(experiments)
    page_category = _head(event.get("pageCategories"))
    if page_category is not None:
        params["pageCategory"] = page_category
    if raw.get("eventType") == "promotion-not-offered":
        params["offered"] = False
    return params
