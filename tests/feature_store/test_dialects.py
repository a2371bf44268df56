"""Envelopes, and rules that hold for every dialect."""

from __future__ import annotations

import pytest

from feature_store.dialects import normalise, split_batch
from recommender.errors import InvalidEventError

MICROS = 1_795_255_200_123_000


def test_envelopes_of_other_systems_are_split() -> None:
    protocol = {"client_id": "c", "events": [{"name": "view_cart"}, {"name": "search"}]}
    assert split_batch(protocol) == [
        {"client_id": "c", "name": "view_cart"},
        {"client_id": "c", "name": "search"},
    ]
    segment = {"batch": [{"type": "track"}, 5], "sentAt": "t", "writeKey": "secret"}
    assert split_batch(segment) == [{"type": "track", "sentAt": "t"}, 5]
    payload = {"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4"}
    assert split_batch({**payload, "data": [{"eid": "e1"}]}) == [{"eid": "e1"}]
    assert split_batch({"requests": [{"path": "/purchases/"}]}) == [{"path": "/purchases/"}]
    assert split_batch({"event_type": "view_cart"}) == [{"event_type": "view_cart"}]
    assert split_batch("x") == ["x"]


def test_an_envelope_of_one_is_one_event() -> None:
    event = normalise(
        {
            "client_id": "c",
            "timestamp_micros": MICROS,
            "events": [{"name": "view_item", "params": {"items": [{"item_id": "x"}]}}],
        },
        0,
    )
    assert (event.visitor_id, event.ts) == ("c", MICROS)


@pytest.mark.parametrize(
    "raw",
    [
        {"client_id": "c", "events": [{"name": "view_cart"}] * 2},
        {"eventType": "Click", "itemId": "x", "userId": "u", "impression": ["x", "y"]},
        {"events": []},
        {"batch": [1]},
    ],
)
def test_an_envelope_of_several_is_not_one_event(raw: dict) -> None:
    with pytest.raises(InvalidEventError, match="one at a time") as refusal:
        normalise(raw, 0)
    assert refusal.value.code == "batch"


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"product_id": 1.5}, "bad_id"),
        ({"product_id": "x", "price": "nan"}, "bad_number"),
        ({"product_id": "x", "price": "1e999"}, "bad_number"),
        ({"product_id": "x", "price": "9,90"}, "bad_number"),
        ({"product_id": "x", "quantity": 0}, "bad_number"),
        ({"product_id": "x", "currency": "€"}, "bad_currency"),
        ({"product_id": True}, "bad_id"),
        ({"products": "x"}, "bad_items"),
        ({"products": [5]}, "bad_items"),
        ({"products": [{}]}, "missing_field"),
        ({"products": [{"sku": "x"}] * 201}, "too_many_items"),
        ({}, "missing_items"),
        ({"product_id": "x", "note": "x" * 3000}, "bad_params"),
        ({"product_id": "x", "note": "write to a@b.de"}, "personal_data"),
        ({"product_id": "x", "phone": "+49 1"}, "personal_data"),
        ({"product_id": "x", "nested": {"email": "a"}}, "personal_data"),
    ],
)
def test_foreign_events_meet_the_same_rules(properties: dict, code: str) -> None:
    raw = {
        "type": "track",
        "event": "Product Viewed",
        "messageId": "m",
        "anonymousId": "a",
        "timestamp": "2026-11-21T10:00:00Z",
        "properties": properties,
    }
    with pytest.raises(InvalidEventError) as refusal:
        normalise(raw, 0)
    assert refusal.value.code == code
