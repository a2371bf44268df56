"""GA4 as the export, the protocol and the data layer write it."""

from __future__ import annotations

from feature_store.dialects import normalise
from feature_store.events import EventItem, InteractionEvent

MICROS = 1_795_255_200_123_000


def test_a_row_of_the_ga4_export() -> None:
    event = normalise(
        {
            "event_date": "20261121",
            "event_timestamp": str(MICROS),
            "event_name": "purchase",
            "user_pseudo_id": "1234.5678",
            "user_id": "u1",
            "event_params": [
                {"key": "ga_session_id", "value": {"int_value": "1795255000"}},
                {"key": "currency", "value": {"string_value": "EUR"}},
                {"key": "value", "value": {"double_value": 25.5}},
                {"key": "page_type", "value": {"string_value": "checkout"}},
                {"key": "engagement_time_msec", "value": {"int_value": "12"}},
                {"key": "recommendation_id", "value": {"string_value": "r1"}},
                {"key": "empty", "value": {}},
            ],
            "device": {"category": "mobile"},
            "ecommerce": {"transaction_id": "T1", "purchase_revenue": 24.0},
            "items": [
                {
                    "item_id": "SKU_1",
                    "item_name": "Tee",
                    "item_brand": "(not set)",
                    "item_category": "Apparel",
                    "item_category2": "Adult",
                    "item_variant": "green",
                    "price": "10.01",
                    "quantity": "2",
                    "item_list_id": "home",
                    "item_list_index": "4",
                    "coupon": "",
                    "item_params": [{"key": "recommId", "value": {"string_value": "r1"}}],
                    "promotion_id": "P",
                },
            ],
        },
        0,
    )
    assert event == InteractionEvent(
        event_id=event.event_id,
        event_type="purchase",
        ts=MICROS,
        visitor_id="1234.5678",
        user_id="u1",
        session_id="1795255000",
        items=(
            EventItem(
                "SKU_1",
                item_name="Tee",
                item_category="Apparel",
                item_category2="Adult",
                item_variant="green",
                item_list_id="home",
                index=4,
                price=10.01,
                quantity=2.0,
                recommendation_id="r1",
            ),
        ),
        currency="EUR",
        value=25.5,
        transaction_id="T1",
        placement="home",
        recommendation_id="r1",
        page_type="checkout",
        device="mobile",
        params={"engagement_time_msec": 12},
    )
    assert event.event_id.startswith("h-")


def test_ga4_falls_back_to_the_ecommerce_record() -> None:
    event = normalise(
        {
            "event_name": "purchase",
            "event_timestamp": MICROS,
            "user_pseudo_id": "v",
            "ecommerce": {
                "transaction_id": "T",
                "purchase_revenue": 24.0,
                "items": [{"item_id": 7}],
            },
        },
        0,
    )
    assert (event.transaction_id, event.value) == ("T", 24.0)
    assert event.items == (EventItem("7"),)


def test_a_ga4_share_names_its_item_as_a_parameter() -> None:
    event = normalise(
        {
            "name": "share",
            "client_id": "v",
            "timestamp_micros": MICROS,
            "params": {"method": "link", "item_id": "x"},
        },
        0,
    )
    assert event.items == (EventItem("x"),)
    assert event.params == {"method": "link"}


def test_a_data_layer_push() -> None:
    event = normalise(
        {
            "event": "add_to_cart",
            "client_id": "v",
            "event_id": "e",
            "ts": MICROS,
            "ecommerce": {"currency": "EUR", "value": 3, "items": [{"item_id": "x"}]},
        },
        0,
    )
    assert (event.event_id, event.event_type, event.currency, event.value) == (
        "e",
        "add_to_cart",
        "EUR",
        3.0,
    )
