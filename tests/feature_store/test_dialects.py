"""Fields of events as other systems really send them."""

from __future__ import annotations

import base64
import json

import pytest

from feature_store.dialects import normalise, split_batch
from feature_store.events import EventItem, InteractionEvent
from recommender.errors import InvalidEventError

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


PREFIX = "com_snowplowanalytics_snowplow_ecommerce"


def test_an_enriched_snowplow_event() -> None:
    event = normalise(
        {
            "event_id": "e1",
            "event_name": "snowplow_ecommerce_action",
            "collector_tstamp": "2026-11-21 10:00:05.000",
            "derived_tstamp": "2026-11-21 10:00:00.123",
            "domain_userid": "d1",
            "domain_sessionid": "s1",
            "user_id": "u1",
            f"unstruct_event_{PREFIX}_snowplow_ecommerce_action_1": {"type": "transaction"},
            f"contexts_{PREFIX}_transaction_1": [
                {"transaction_id": "T1", "revenue": 20, "currency": "GBP"}
            ],
            f"contexts_{PREFIX}_product_1": [
                {
                    "id": "P1",
                    "name": "Hat",
                    "brand": "B",
                    "category": "clothes/hats",
                    "price": 10,
                    "list_price": 12,
                    "currency": "GBP",
                    "quantity": 2,
                    "position": 1,
                    "inventory_status": "in_stock",
                }
            ],
        },
        0,
    )
    assert event == InteractionEvent(
        event_id="e1",
        event_type="purchase",
        ts=MICROS,
        visitor_id="d1",
        user_id="u1",
        session_id="s1",
        items=(
            EventItem(
                "P1",
                item_name="Hat",
                item_brand="B",
                item_category="clothes",
                item_category2="hats",
                price=10.0,
                quantity=2.0,
                index=1,
            ),
        ),
        currency="GBP",
        value=20.0,
        transaction_id="T1",
        original_name="transaction",
    )


def _iglu(name: str, data: dict) -> dict:
    schema = f"iglu:com.snowplowanalytics.snowplow.ecommerce/{name}/jsonschema/1-0-0"
    return {"schema": schema, "data": data}


def _tracker(*, encoded: bool) -> dict:
    unstructured = json.dumps(
        _iglu(
            "unstruct_event",
            _iglu("snowplow_ecommerce_action", {"type": "list_click", "name": "home"}),
        )
    )
    contexts = json.dumps(
        {
            "schema": "iglu:x/contexts/jsonschema/1-0-0",
            "data": [_iglu("product", {"id": "P1", "currency": "EUR", "price": 1.5})],
        }
    )
    raw = {"aid": "shop", "eid": "e1", "dtm": str(MICROS // 1000), "duid": "d1", "sid": "s1"}
    if not encoded:
        return {**raw, "ue_pr": unstructured, "co": contexts}
    pack = [
        base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
        for text in (unstructured, contexts)
    ]
    return {**raw, "ue_px": pack[0], "cx": pack[1]}


@pytest.mark.parametrize("encoded", [False, True])
def test_a_snowplow_tracker_payload(encoded: bool) -> None:
    event = normalise(_tracker(encoded=encoded), 0)
    assert (event.event_id, event.event_type, event.ts) == ("e1", "select_item", MICROS)
    assert (event.visitor_id, event.session_id, event.placement) == ("d1", "s1", "home")
    assert event.items == (EventItem("P1", price=1.5),)
    assert event.currency == "EUR"


@pytest.mark.parametrize("broken", ["{", "[1]", "\ud800", "[" * 100_000, 5, None])
def test_a_tracker_payload_that_does_not_decode_is_refused(broken: object) -> None:
    with pytest.raises(InvalidEventError) as refusal:
        normalise({**_tracker(encoded=False), "ue_pr": broken}, 0)
    assert refusal.value.code == "unknown_event"


def test_personal_data_inside_a_tracker_payload_are_found() -> None:
    hidden = json.dumps({"data": [_iglu("user", {"id": "1", "email": "a@b.de"})]})
    with pytest.raises(InvalidEventError) as refusal:
        normalise({**_tracker(encoded=False), "co": hidden}, 0)
    assert refusal.value.code == "personal_data"


def test_a_snowplow_site_search() -> None:
    event = normalise(
        {
            "event_id": "e",
            "domain_userid": "d",
            "derived_tstamp": "2026-11-21T10:00:00.123Z",
            "unstruct_event_com_snowplowanalytics_snowplow_site_search_1": {
                "terms": ["garden", "rake"]
            },
        },
        0,
    )
    assert (event.event_type, event.search_term) == ("search", "garden rake")
    assert event.original_name == "site_search"


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


PUT_EVENTS = {
    "trackingId": "t",
    "sessionId": "s1",
    "userId": "u1",
    "eventList": [
        {
            "eventId": "e1",
            "eventType": "Click",
            "itemId": "x",
            "sentAt": 1_795_255_200,
            "eventValue": 4.5,
            "recommendationId": "r1",
            "impression": ["x", "y"],
        },
        {"eventType": "View", "itemId": "y", "sentAt": 1_795_255_201},
    ],
}


def test_a_personalize_batch_is_split_and_its_impressions_are_events() -> None:
    shown, click, view = (normalise(raw, 0) for raw in split_batch(PUT_EVENTS))
    assert (shown.event_type, shown.event_id) == ("view_item_list", "e1/impression")
    assert [item.item_id for item in shown.items] == ["x", "y"]
    assert shown.recommendation_id == "r1"
    assert (click.event_id, click.event_type, click.value) == ("e1", "select_item", 4.5)
    assert (click.visitor_id, click.user_id, click.session_id) == ("u1", "u1", "s1")
    assert (view.event_type, view.items) == ("view_item", (EventItem("y"),))


def test_a_personalize_event_before_login_has_the_session_as_visitor() -> None:
    event = normalise(
        {"eventType": "View", "itemId": "y", "sentAt": 1_795_255_201, "sessionId": "s"}, 0
    )
    assert (event.visitor_id, event.user_id) == ("s", None)


def test_a_recombee_request() -> None:
    event = normalise(
        {
            "method": "POST",
            "path": "/purchases/",
            "params": {
                "userId": "u",
                "itemId": "x",
                "timestamp": "2026-11-21T10:00:00.123Z",
                "amount": 2,
                "price": 9.5,
                "profit": 1,
                "recommId": "r1",
                "cascadeCreate": True,
            },
        },
        0,
    )
    assert (event.event_type, event.original_name) == ("purchase", "Purchase")
    assert event.items == (EventItem("x", quantity=2.0, price=9.5),)
    assert (event.recommendation_id, event.params) == ("r1", {"profit": 1})


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


@pytest.mark.parametrize("raw", [PUT_EVENTS, {"events": []}, {"batch": [1]}])
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
