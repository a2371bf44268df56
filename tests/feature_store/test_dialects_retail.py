"""Google Retail user events, new and old."""

from __future__ import annotations

import pytest

from feature_store.dialects import normalise
from feature_store.events import EventItem, InteractionEvent

MICROS = 1_795_255_200_123_000


def test_a_google_retail_event() -> None:
    event = normalise(
        {
            "eventType": "purchase-complete",
            "visitorId": "v1",
            "eventTime": "2026-11-21T10:00:00.123Z",
            "sessionId": "s1",
            "cartId": "c1",
            "pageViewId": "pv1",
            "experimentIds": ["e1", "e2"],
            "attributionToken": "r1",
            "userInfo": {"userId": "u1", "ipAddress": "1.2.3.4", "userAgent": "x"},
            "pageCategories": ["Shoes > Running"],
            "purchaseTransaction": {"id": "T1", "revenue": 40.5, "currencyCode": "EUR"},
            "productDetails": [
                {
                    "product": {
                        "id": "P1",
                        "title": "Shoe",
                        "brands": ["B"],
                        "categories": ["Shoes > Running"],
                        "priceInfo": {"price": 20.25, "currencyCode": "EUR"},
                    },
                    "quantity": 2,
                }
            ],
        },
        0,
    )
    assert event == InteractionEvent(
        event_id=event.event_id,
        event_type="purchase",
        ts=MICROS,
        visitor_id="v1",
        user_id="u1",
        session_id="s1",
        items=(
            EventItem(
                "P1",
                item_name="Shoe",
                item_brand="B",
                item_category="Shoes",
                item_category2="Running",
                price=20.25,
                quantity=2.0,
            ),
        ),
        currency="EUR",
        value=40.5,
        transaction_id="T1",
        recommendation_id="r1",
        original_name="purchase-complete",
        params={
            "cartId": "c1",
            "pageViewId": "pv1",
            "experimentIds": "e1,e2",
            "pageCategory": "Shoes > Running",
        },
    )


@pytest.mark.parametrize("name", ["productEventDetail", "productEventDetails"])
def test_the_older_retail_shape(name: str) -> None:
    event = normalise(
        {
            "eventType": "detail-page-view",
            "eventTime": "2026-11-21T10:00:00.123Z",
            "userInfo": {"visitorId": "v1", "userId": "u1"},
            "eventDetail": {"pageViewId": "pv", "recommendationToken": "r1"},
            name: {"productDetails": [{"id": "P1", "displayPrice": 3.5, "currencyCode": "EUR"}]},
        },
        0,
    )
    assert (event.visitor_id, event.user_id, event.recommendation_id) == ("v1", "u1", "r1")
    assert event.items == (EventItem("P1", price=3.5),)
    assert (event.currency, event.params) == ("EUR", {"pageViewId": "pv"})


def test_a_promotion_that_was_not_offered_says_so() -> None:
    raw = {
        "eventType": "promotion-not-offered",
        "visitorId": "v",
        "eventTime": "2026-11-21T10:00:00Z",
    }
    assert normalise(raw, 0).params == {"offered": False}
    assert normalise({**raw, "eventType": "promotion-offered"}, 0).params == {}
