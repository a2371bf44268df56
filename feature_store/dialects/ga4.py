"""GA4: BigQuery export rows, Measurement Protocol and gtag events, dataLayer pushes.

Formats: https://support.google.com/analytics/answer/7029846 (export) and
https://developers.google.com/analytics/devguides/collection/protocol/ga4/reference (protocol).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from feature_store.dialects.names import GA4, name_fields
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

_TYPED_VALUES: Final = ("string_value", "int_value", "float_value", "double_value")
_TEXTS: Final = (
    "item_name",
    "item_brand",
    "item_category",
    "item_category2",
    "item_category3",
    "item_category4",
    "item_category5",
    "item_variant",
    "item_list_name",
    "coupon",
)
_TAKEN: Final = (
    "items",
    "client_id",
    "ga_session_id",
    "session_id",
    "item_id",
    "item_list_id",
    "currency",
    "value",
    "transaction_id",
    "search_term",
    "page_type",
    "event_id",
    "user_id",
    *RECOMMENDATION_NAMES,
)


def matches(raw: Raw) -> bool:
    """True for the marks of a GA4 event."""
    return (
        "event_name" in raw
        or "user_pseudo_id" in raw
        or ("name" in raw and ("params" in raw or "client_id" in raw))
        or ("event" in raw and "ecommerce" in raw)
    )


def translate(raw: Raw) -> Fields:
    """A GA4 event as fields of our own shape."""
    params = _params(raw)
    shop = inner(raw, "ecommerce")
    ids = {**params, **{name: value for name, value in raw.items() if value is not None}}
    return {
        **name_fields(GA4, first(raw, "event_name", "name", "event")),
        "event_id": text_id(first(ids, "event_id")),
        "ts": first(raw, "event_timestamp", "timestamp_micros", "timestamp", "ts"),
        "visitor_id": text_id(
            first(ids, "user_pseudo_id", "client_id", "app_instance_id", "visitor_id")
        ),
        "user_id": text_id(first(ids, "user_id")),
        "session_id": text_id(first(params, "ga_session_id", "session_id")),
        "items": _items(raw, params, shop),
        "currency": first(params, "currency") or first(shop, "currency"),
        "value": number(_value(params, shop)),
        "transaction_id": text_id(first(params, "transaction_id") or first(shop, "transaction_id")),
        "search_term": first(params, "search_term"),
        "placement": text_id(first(params, "item_list_id") or first(shop, "item_list_id")),
        "recommendation_id": recommendation(params, shop),
        "page_type": first(params, "page_type"),
        "device": first(inner(raw, "device"), "category"),
        "params": scalars(params, _TAKEN),
    }


def _params(raw: Raw) -> Raw:
    """Event parameters; a list of key and typed value in the export, an object elsewhere."""
    for name in ("event_params", "params"):
        value = raw.get(name)
        if isinstance(value, list | tuple):
            return _keyed(value)
        if isinstance(value, Mapping):
            return value
    return {}


def _keyed(records: list[object] | tuple[object, ...]) -> Fields:
    named = (record for record in records if isinstance(record, Mapping))
    return {
        record["key"]: _typed(record.get("value"))
        for record in named
        if isinstance(record.get("key"), str)
    }


def _typed(value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    if isinstance(value.get("int_value"), str):  # the export writes 64-bit integers as text
        return whole(value["int_value"])
    return next((value[name] for name in _TYPED_VALUES if value.get(name) is not None), None)


def _value(params: Raw, shop: Raw) -> object:
    own = first(params, "value")
    return own if own is not None else first(shop, "value", "purchase_revenue", "refund_value")


def _items(raw: Raw, params: Raw, shop: Raw) -> object:
    for source in (raw, params, shop):
        items = source.get("items")
        if isinstance(items, list | tuple):
            return [_item(item) if isinstance(item, Mapping) else item for item in items]
        if items is not None:
            return items
    # `share` and custom events name their one item as a parameter.
    return [] if first(params, "item_id") is None else [_item(params)]


def _item(item: Raw) -> Fields:
    extra = item.get("item_params")
    more = _keyed(extra) if isinstance(extra, list | tuple) else {}
    return {
        "item_id": text_id(first(item, "item_id")),
        **{name: first(item, name) for name in _TEXTS},
        "item_list_id": text_id(first(item, "item_list_id")),
        "index": whole(first(item, "index", "item_list_index")),
        "price": number(first(item, "price")),
        "quantity": number(first(item, "quantity")),
        "discount": number(first(item, "discount")),
        "recommendation_id": recommendation(item, more),
    }
