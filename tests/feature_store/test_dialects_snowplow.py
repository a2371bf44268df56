"""Snowplow enriched events and tracker payloads."""

from __future__ import annotations

import base64
import json

import pytest

from feature_store.dialects import normalise
from feature_store.events import EventItem, InteractionEvent
from recommender.errors import InvalidEventError

MICROS = 1_795_255_200_123_000


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
