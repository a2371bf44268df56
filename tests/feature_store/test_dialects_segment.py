"""Segment, RudderStack and PostHog calls."""

from __future__ import annotations

import pytest

from feature_store.dialects import normalise
from feature_store.events import EventItem, InteractionEvent
from recommender.errors import InvalidEventError

MICROS = 1_795_255_200_123_000


def test_a_segment_product_event() -> None:
    event = normalise(
        {
            "type": "track",
            "event": "Product Added",
            "messageId": "m1",
            "anonymousId": "a1",
            "userId": 97980,
            "timestamp": "2026-11-21T10:00:00.123Z",
            "originalTimestamp": "2026-11-21T09:00:00.000Z",
            "context": {"ip": "1.2.3.4", "sessionId": 42, "device": {"type": "ios"}},
            "properties": {
                "product_id": 507,
                "sku": "G-32",
                "name": "Monopoly",
                "brand": "Hasbro",
                "category": "Games",
                "variant": "200 pieces",
                "price": "18.99",
                "quantity": 1,
                "coupon": "MAY",
                "position": 3,
                "cart_id": "c1",
                "list_id": "home",
                "attribution_token": "r1",
                "image": {"url": "x"},
            },
        },
        0,
    )
    assert event == InteractionEvent(
        event_id="m1",
        event_type="add_to_cart",
        ts=MICROS,
        visitor_id="a1",
        user_id="97980",
        session_id="42",
        items=(
            EventItem(
                "507",
                item_name="Monopoly",
                item_brand="Hasbro",
                item_category="Games",
                item_variant="200 pieces",
                index=3,
                price=18.99,
                quantity=1.0,
                coupon="MAY",
                recommendation_id="r1",
            ),
        ),
        placement="home",
        recommendation_id="r1",
        device="ios",
        original_name="Product Added",
        params={"cart_id": "c1"},
    )


def test_a_segment_order() -> None:
    event = normalise(
        {
            "type": "track",
            "event": "Order Completed",
            "messageId": "m",
            "userId": "u",
            "originalTimestamp": "2026-11-21T10:00:00.123Z",
            "properties": {
                "order_id": "50314b8e",
                "affiliation": "Store",
                "total": 27.5,
                "revenue": 25.0,
                "currency": "usd",
                "products": [
                    {"product_id": "507", "price": 19, "quantity": 1},
                    {"sku": "46493", "price": 8},
                ],
            },
        },
        0,
    )
    assert (event.visitor_id, event.user_id, event.ts) == ("u", "u", MICROS)
    assert (event.transaction_id, event.value, event.currency) == ("50314b8e", 25.0, "USD")
    assert [item.item_id for item in event.items] == ["507", "46493"]
    assert event.params == {"affiliation": "Store", "total": 27.5}


def test_segment_identify() -> None:
    raw = {
        "type": "identify",
        "messageId": "m",
        "anonymousId": "a",
        "userId": "u",
        "timestamp": "2026-11-21T10:00:00.123Z",
        "traits": {"plan": "gold"},
    }
    event = normalise(raw, 0)
    assert (event.event_type, event.visitor_id, event.user_id) == ("identify", "a", "u")
    assert event.params == {}
    with pytest.raises(InvalidEventError) as refusal:
        normalise({**raw, "traits": {"email": "a@b.de"}}, 0)
    assert refusal.value.code == "personal_data"


@pytest.mark.parametrize("kind", ["page", "screen", "group", "alias"])
def test_other_segment_calls_are_refused(kind: str) -> None:
    with pytest.raises(InvalidEventError, match=kind) as refusal:
        normalise({"type": kind, "messageId": "m", "anonymousId": "a"}, 0)
    assert refusal.value.code == "unknown_event"


def test_a_posthog_event() -> None:
    event = normalise(
        {
            "event": "Products Searched",
            "distinct_id": "d1",
            "uuid": "p1",
            "timestamp": "2026-11-21T10:00:00.123Z",
            "properties": {
                "query": "rake",
                "$session_id": "s1",
                "$device_type": "Desktop",
                "$browser": "Firefox",
                "shade": "dark",
            },
        },
        0,
    )
    assert (event.event_id, event.visitor_id, event.session_id) == ("p1", "d1", "s1")
    assert (event.search_term, event.device, event.params) == ("rake", "Desktop", {"shade": "dark"})


def test_posthog_identify() -> None:
    event = normalise(
        {
            "event": "$identify",
            "distinct_id": "u1",
            "timestamp": "2026-11-21T10:00:00.123Z",
            "properties": {"$anon_distinct_id": "anon"},
        },
        0,
    )
    assert (event.event_type, event.visitor_id, event.user_id) == ("identify", "anon", "u1")
