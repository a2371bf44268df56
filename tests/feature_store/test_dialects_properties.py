"""Whatever arrives: an event or a refusal, never anything else; and events are fixed points."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.dialects import (
    ga4,
    normalise,
    personalize,
    retail,
    segment,
    snowplow,
    split_batch,
)
from feature_store.dialects.names import NAMES
from feature_store.event_rules import FIELDS
from feature_store.events import EventItem, InteractionEvent, dedup_keys
from recommender import terms
from recommender.errors import InvalidEventError

NOW = 1_795_255_200_000_000

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
# Words that lead into the translators; values are arbitrary.
WORDS = st.sampled_from(
    [
        *FIELDS,
        *EventItem.__struct_fields__,
        *("event", "properties", "products", "type", "messageId", "anonymousId", "userId"),
        *("distinct_id", "context", "timestamp", "order_id", "revenue", "product_id", "sku"),
        *("event_name", "event_timestamp", "user_pseudo_id", "event_params", "params", "name"),
        *("ecommerce", "client_id", "key", "value", "int_value", "item_params", "device"),
        *("eventType", "visitorId", "productDetails", "product", "priceInfo", "categories"),
        *("purchaseTransaction", "eventTime", "brands", "experimentIds", "pageCategories"),
        *("itemId", "sentAt", "impression", "eventList", "path", "requests", "batch", "data"),
        *("domain_userid", "ue_pr", "ue_px", "co", "cx", "schema", "derived_tstamp", "terms"),
        "unstruct_event_com_snowplowanalytics_snowplow_ecommerce_snowplow_ecommerce_action_1",
        "contexts_com_snowplowanalytics_snowplow_ecommerce_product_1",
    ]
)
NAME_VALUES = st.sampled_from([name for table in NAMES.values() for name in table])
SHAPES = st.recursive(
    SCALARS | NAME_VALUES | st.just(NOW) | st.just("x"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=25,
)
OBJECTS = st.dictionaries(WORDS, SHAPES, max_size=8)


def _outcome(raw: object, dialect: str | None = None) -> InteractionEvent | None:
    try:
        return normalise(raw, NOW, dialect)
    except InvalidEventError as error:
        json.dumps([error.code, error.detail], ensure_ascii=False).encode()
        return None


@given(raw=VALUES)
def test_arbitrary_json_is_an_event_or_a_refusal(raw: object) -> None:
    _outcome(raw)
    split_batch(raw)


@given(raw=OBJECTS)
def test_likely_objects_are_an_event_or_a_refusal(raw: dict) -> None:
    event = _outcome(raw)
    if event is not None:
        assert _again(event) == event


@pytest.mark.parametrize("dialect", ["ga4", "segment", "snowplow", "retail", "personalize"])
@given(raw=OBJECTS, name=NAME_VALUES)
def test_every_translator_takes_any_object(dialect: str, raw: dict, name: str) -> None:
    heads = {
        "ga4": {"event_name": name},
        "segment": {"type": "track", "event": name},
        "snowplow": {"snowplow_ecommerce_action": {"type": name}},
        "retail": {"eventType": name},
        "personalize": {"eventType": name},
    }
    _outcome({**raw, **heads[dialect]}, dialect)


@pytest.mark.parametrize("module", [ga4, segment, snowplow, retail, personalize])
@given(raw=OBJECTS)
def test_marks_are_looked_for_without_an_error(module, raw: dict) -> None:
    assert module.matches(raw) in {True, False}


IDS = st.text(min_size=1, max_size=64).filter(lambda text: "@" not in text and "%40" not in text)
NUMBERS = st.floats(0, 1e9, allow_nan=False)
ITEMS = st.builds(
    dict,
    item_id=IDS,
    price=st.none() | NUMBERS,
    quantity=st.none() | st.floats(1e-3, 1e6),
    item_name=st.none() | st.text(max_size=50),
    index=st.none() | st.integers(0, 10**6),
    item_list_id=st.none() | IDS,
)
GOOD = st.fixed_dictionaries(
    {
        "event_type": st.sampled_from(terms.EVENT_TYPES),
        "ts": st.integers(NOW - 10**15, NOW),
        "visitor_id": IDS,
        "user_id": IDS,
        "items": st.lists(ITEMS, min_size=1, max_size=4),
    },
    optional={
        "event_id": IDS,
        "session_id": IDS,
        "transaction_id": IDS,
        "value": st.floats(-1e9, 1e9),
        "params": st.dictionaries(
            st.sampled_from(["a", "b", "c"]), st.integers(-(2**63), 2**63 - 1) | NUMBERS
        ),
    },
)


def _again(event: InteractionEvent) -> InteractionEvent:
    return normalise(json.loads(msgspec.json.encode(event)), NOW + 1)


@given(raw=GOOD)
def test_a_good_event_is_a_fixed_point_and_survives_json(raw: dict) -> None:
    event = normalise(raw, NOW)
    assert _again(event) == event
    assert dedup_keys(_again(event)) == dedup_keys(event)
    assert normalise(raw, NOW + 12345) == event


@given(visitor=IDS, item=IDS)
def test_ids_are_byte_exact_in_every_dialect(visitor: str, item: str) -> None:
    raws = (
        {"event_type": "view_item", "visitor_id": visitor, "items": [{"item_id": item}], "ts": NOW},
        {
            "event": "Product Viewed",
            "anonymousId": visitor,
            "timestamp": NOW,
            "properties": {"product_id": item},
        },
        {
            "eventType": "detail-page-view",
            "visitorId": visitor,
            "eventTime": NOW,
            "productDetails": [{"product": {"id": item}}],
        },
        {
            "event_name": "view_item",
            "user_pseudo_id": visitor,
            "event_timestamp": NOW,
            "items": [{"item_id": item}],
        },
    )
    for raw in raws:
        event = _again(normalise(json.loads(json.dumps(raw)), 0))
        assert event.visitor_id.encode() == visitor.encode()
        assert event.items[0].item_id.encode() == item.encode()
