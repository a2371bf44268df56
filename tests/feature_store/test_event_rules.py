"""Our own shape: what is accepted, and what each refusal is called."""

from __future__ import annotations

import pytest

from feature_store.dialects import normalise
from feature_store.event_rules import MAX_ITEMS, NEEDS_ITEM
from feature_store.events import EventItem
from recommender import terms
from recommender.errors import InvalidEventError

NOW = 1_795_255_200_000_000
ITEM = {"item_id": "x"}
FULL = {
    "event_id": "e1",
    "event_type": "purchase",
    "ts": NOW,
    "visitor_id": "v",
    "user_id": "u",
    "session_id": "s",
    "items": [
        {
            "item_id": "x",
            "item_name": "n",
            "item_brand": "b",
            "item_category": "c",
            "item_category2": "c2",
            "item_category3": "c3",
            "item_category4": "c4",
            "item_category5": "c5",
            "item_variant": "red",
            "item_list_id": "home",
            "item_list_name": "Home",
            "index": 3,
            "price": 9.5,
            "quantity": 2.0,
            "discount": 0.5,
            "coupon": "C",
            "recommendation_id": "r",
        }
    ],
    "currency": "EUR",
    "value": 19.0,
    "transaction_id": "T",
    "search_term": "rake",
    "placement": "cart",
    "recommendation_id": "r",
    "page_type": "cart",
    "device": "mobile",
    "original_name": "Order Completed",
    "params": {"coupon": "C"},
}


def test_every_field_of_our_shape_is_kept() -> None:
    event = normalise(FULL, 0)
    (item,) = event.items
    for name, value in FULL.items():
        if name != "items":
            assert getattr(event, name) == value
    for name, value in FULL["items"][0].items():  # type: ignore[union-attr]
        assert getattr(item, name) == value


def test_null_is_the_same_as_absent() -> None:
    short = {"event_type": "view_cart", "ts": NOW, "visitor_id": "v"}
    assert normalise({**short, "user_id": None, "items": None, "params": None}, 0) == normalise(
        short, 0
    )


@pytest.mark.parametrize("alias", ["recommId", "attribution_token", "request_id"])
def test_the_recommendation_id_comes_back_under_any_of_its_names(alias: str) -> None:
    raw = {"event_type": "view_item", "ts": NOW, "visitor_id": "v", "items": [ITEM]}
    assert normalise({**raw, alias: "r"}, 0).recommendation_id == "r"
    by_item = normalise({**raw, "items": [{**ITEM, alias: "r"}]}, 0)
    assert by_item.items[0].recommendation_id == "r"
    assert by_item.recommendation_id == "r"


def test_item_list_id_is_the_placement() -> None:
    raw = {"event_type": "view_item", "ts": NOW, "visitor_id": "v", "items": [ITEM]}
    assert normalise({**raw, "item_list_id": "home"}, 0).placement == "home"
    assert normalise({**raw, "items": [{**ITEM, "item_list_id": "pdp"}]}, 0).placement == "pdp"


def test_items_that_disagree_leave_the_event_without() -> None:
    items = [{**ITEM, "recommendation_id": "r1"}, {"item_id": "y", "recommendation_id": "r2"}]
    event = normalise({"event_type": "view_cart", "ts": NOW, "visitor_id": "v", "items": items}, 0)
    assert event.recommendation_id is None
    assert [item.recommendation_id for item in event.items] == ["r1", "r2"]


def test_two_hundred_items_pass() -> None:
    items = [{"item_id": str(number)} for number in range(MAX_ITEMS)]
    event = normalise({**FULL, "items": items}, 0)
    assert event.items[-1] == EventItem(str(MAX_ITEMS - 1))


@pytest.mark.parametrize("kind", terms.EVENT_TYPES)
def test_each_type_says_what_it_needs(kind: str) -> None:
    bare = {"event_type": kind, "ts": NOW, "visitor_id": "v"}
    needs = {
        **dict.fromkeys(NEEDS_ITEM, "missing_items"),
        "refund": "missing_items",
        "search": "missing_field",
        "identify": "missing_field",
    }
    if kind not in needs:
        assert normalise(bare, 0).event_type == kind
        return
    with pytest.raises(InvalidEventError) as refusal:
        normalise(bare, 0)
    assert refusal.value.code == needs[kind]
    helped = {"search": {"search_term": "s"}, "identify": {"user_id": "u"}}
    assert normalise({**bare, **helped.get(kind, {"items": [ITEM]})}, 0).event_type == kind


def test_a_purchase_without_a_transaction_is_accepted() -> None:
    raw = {k: v for k, v in FULL.items() if k != "transaction_id"}
    assert normalise(raw, 0).transaction_id is None


def test_a_whole_order_may_be_refunded_by_its_transaction_alone() -> None:
    raw = {"event_type": "refund", "ts": NOW, "visitor_id": "v", "transaction_id": "T"}
    assert normalise(raw, 0).items == ()


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"event_type": "buy"}, "unknown_event", "accepted: view_item_list"),
        ({"event_type": 5}, "bad_text", "event_type=5"),
        ({"event_type": None}, "missing_field", "event_type is missing"),
        ({"visitor_id": None}, "missing_field", "visitor_id is missing"),
        ({"visitor_id": ""}, "bad_id", "visitor_id=''"),
        ({"event_id": "x" * 257}, "bad_id", "event_id='xxx"),
        ({"ts": "yesterday"}, "bad_ts", "ts='yesterday'"),
        ({"items": {}}, "bad_items", "items=an object"),
        ({"items": ["x"]}, "bad_items", r"items\[0\]='x'"),
        ({"items": [{}]}, "missing_field", r"items\[0\].item_id is missing"),
        ({"items": [ITEM] * 201}, "too_many_items", "at most 200"),
        ({"items": [{**ITEM, "price": "9"}]}, "bad_number", r"items\[0\].price='9'"),
        ({"items": [{**ITEM, "price": -1}]}, "bad_number", r"items\[0\].price=-1"),
        ({"items": [{**ITEM, "quantity": 0}]}, "bad_number", r"items\[0\].quantity=0"),
        ({"items": [{**ITEM, "index": 1.5}]}, "bad_number", r"items\[0\].index=1.5"),
        ({"items": [{**ITEM, "colour": "red"}]}, "unknown_field", r"items\[0\].'colour'"),
        ({"items": [{**ITEM, "item_name": "\ud800"}]}, "bad_text", "item_name"),
        ({"currency": "EURO"}, "bad_currency", "currency='EURO'"),
        ({"value": float("nan")}, "bad_number", "value=nan"),
        ({"colour": "red"}, "unknown_field", "'colour' is not known; accepted: event_id"),
        ({"verdict": "accepted"}, "unknown_field", "'verdict'"),
        ({"params": {"a": []}}, "bad_params", "params.'a'"),
        ({"request_id": "other"}, "conflicting_fields", "recommendation_id"),
        ({"item_list_id": "other"}, "conflicting_fields", "placement"),
        ({"user_id": "a@shop.de"}, "personal_data", "user_id holds an email address"),
        ({"visitor_id": "a@shop.de"}, "personal_data", "visitor_id"),
        ({"session_id": "a@shop.de"}, "personal_data", "session_id"),
        ({"search_term": "mail a@shop.de"}, "personal_data", "search_term"),
        ({"params": {"note": "a@shop.de"}}, "personal_data", "params.'note'"),
        ({"params": {"phone": "123"}}, "personal_data", "'phone'"),
        ({"email": "a"}, "personal_data", "'email'"),
        ({"items": [{**ITEM, "phone": "1"}]}, "personal_data", "'phone'"),
    ],
)
def test_refusals(change: dict, code: str, says: str) -> None:
    with pytest.raises(InvalidEventError, match=says) as refusal:
        normalise({**FULL, **change}, 0)
    assert refusal.value.code == code


def test_personal_data_are_not_repeated_in_the_refusal() -> None:
    with pytest.raises(InvalidEventError) as refusal:
        normalise({**FULL, "user_id": "secret@shop.de"}, 0)
    assert "secret" not in refusal.value.detail


@pytest.mark.parametrize("raw", [None, 5, "x", [], [{}], True])
def test_only_objects_are_events(raw: object) -> None:
    with pytest.raises(InvalidEventError) as refusal:
        normalise(raw, 0)
    assert refusal.value.code == "bad_event"
