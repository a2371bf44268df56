"""Snowplow e-commerce: enriched events (JSON of the Analytics SDKs) and tracker payloads.

Format: https://docs.snowplow.io/docs/collecting-data/collecting-from-own-applications/ (tracker
protocol) and the schemas ``com.snowplowanalytics.snowplow.ecommerce``. Times without a zone are
UTC by Snowplow's definition.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from feature_store.dialects.names import SNOWPLOW, name_fields
from feature_store.dialects.reading import (
    Fields,
    Raw,
    first,
    number,
    recommendation,
    scalars,
    text_id,
    whole,
)
from feature_store.personal_data import refuse_personal_names

_MARKS: Final = ("domain_userid", "snowplow_ecommerce_action", "ue_pr", "ue_px", "network_userid")
_ACTION: Final = "snowplow_ecommerce_action"
_NAIVE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,9})?", re.ASCII)
_ENRICHED = re.compile(
    r"(?:contexts|unstruct_event)_com_snowplowanalytics_snowplow(?:_ecommerce)?_([a-z_]+)_\d+"
)
_SCHEMA = re.compile(r"iglu:[\w.-]+/([\w-]+)/jsonschema/[\d-]+")


def matches(raw: Raw) -> bool:
    """True for the marks of an enriched event or tracker payload."""
    return any(mark in raw for mark in _MARKS) or any(
        name.startswith("unstruct_event") for name in raw
    )


def translate(raw: Raw) -> Fields:
    """An e-commerce action or site search as fields of our own shape."""
    parts = _parts(raw)
    action, payment = _one(parts, _ACTION), _one(parts, "transaction") or _one(parts, "refund")
    items = [_item(product) for product in parts.get("product", ())]
    return {
        **name_fields(SNOWPLOW, _name(parts)),
        "event_id": text_id(first(raw, "event_id", "eid")),
        "ts": _time(first(raw, "derived_tstamp", "dtm", "dvce_created_tstamp", "collector_tstamp")),
        "visitor_id": text_id(first(raw, "domain_userid", "duid", "network_userid", "nuid")),
        "user_id": text_id(first(raw, "user_id", "uid")),
        "session_id": text_id(first(raw, "domain_sessionid", "sid")),
        "items": items,
        "currency": _currency(parts, payment),
        "value": number(first(payment, "revenue", "refund_amount") or first(action, "value")),
        "transaction_id": text_id(first(payment, "transaction_id")),
        "search_term": _terms(_one(parts, "site_search")),
        "placement": text_id(first(action, "name")),
        "recommendation_id": recommendation(raw, action),
        "page_type": first(_one(parts, "page"), "type"),
        "device": first(raw, "dvce_type"),
        "params": _params(parts),
    }


def _parts(raw: Raw) -> dict[str, list[Raw]]:
    """All entities by their short name; the event itself is one of them."""
    parts: dict[str, list[Raw]] = {}
    for name, value in raw.items():
        match = _ENRICHED.fullmatch(name)
        short = match.group(1) if match else name if name in {_ACTION, "product"} else None
        if short is not None:
            parts.setdefault(short, []).extend(_objects(value))
    for schema, data in _self_described(raw):
        parts.setdefault(schema, []).append(data)
    return parts


def _objects(value: object) -> list[Raw]:
    values = value if isinstance(value, list | tuple) else [value]
    return [item for item in values if isinstance(item, Mapping)]


def _self_described(raw: Raw) -> list[tuple[str, Raw]]:
    event = _decoded(raw, "ue_pr", "ue_px").get("data")
    contexts = _decoded(raw, "co", "cx").get("data")
    found = []
    for entity in (*_objects(event), *_objects(contexts)):
        schema, data = entity.get("schema"), entity.get("data")
        match = _SCHEMA.fullmatch(schema) if isinstance(schema, str) else None
        if match and isinstance(data, Mapping):
            found.append((match.group(1), data))
    return found


def _decoded(raw: Raw, plain: str, encoded: str) -> Raw:
    """The JSON a tracker put into one field, as text or base64."""
    value = raw.get(plain)
    if value is None and isinstance(raw.get(encoded), str):
        value = _from_base64(str(raw[encoded]))
    if isinstance(value, str | bytes):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return {}
        refuse_personal_names(value)
    return value if isinstance(value, Mapping) else {}


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return None


def _one(parts: Mapping[str, list[Raw]], name: str) -> Raw:
    found = parts.get(name)
    return found[0] if found else {}


def _name(parts: Mapping[str, list[Raw]]) -> object:
    return "site_search" if "site_search" in parts else first(_one(parts, _ACTION), "type")


def _time(value: object) -> object:
    return f"{value}Z" if isinstance(value, str) and _NAIVE.fullmatch(value) else value


def _terms(search: Raw) -> object:
    terms = search.get("terms")
    if isinstance(terms, list | tuple) and all(isinstance(term, str) for term in terms):
        return " ".join(terms) or None
    return terms


def _currency(parts: Mapping[str, list[Raw]], payment: Raw) -> object:
    sources = (payment, *parts.get("product", ()), _one(parts, "cart"))
    return next((found for source in sources if (found := first(source, "currency"))), None)


def _item(product: Raw) -> Fields:
    category = first(product, "category")
    levels = category.split("/", 4) if isinstance(category, str) else [category]
    names = ["item_category", *(f"item_category{number}" for number in range(2, 6))]
    return {
        "item_id": text_id(first(product, "id")),
        "item_name": first(product, "name"),
        "item_brand": first(product, "brand"),
        "item_variant": first(product, "variant"),
        **{name: level for name, level in zip(names, levels, strict=False) if level},
        "price": number(first(product, "price")),
        "quantity": number(first(product, "quantity")),
        "index": whole(first(product, "position")),
        "coupon": first(product, "coupon_code"),
        "recommendation_id": recommendation(product),
    }


def _params(parts: Mapping[str, list[Raw]]) -> Fields:
    checkout, refund = _one(parts, "checkout_step"), _one(parts, "refund")
    promotion = {f"promotion_{k}": v for k, v in scalars(_one(parts, "promotion"), ()).items()}
    return {
        **scalars(checkout, ("account_type", "billing_address", "billing_postcode")),
        **({"refund_reason": reason} if (reason := first(refund, "refund_reason")) else {}),
        **promotion,
    }
