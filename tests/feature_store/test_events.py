"""What makes two events the same."""

from __future__ import annotations

import json
import subprocess
import sys

import msgspec
import pytest
from msgspec.structs import replace

from feature_store.dialects import normalise
from feature_store.events import (
    EventItem,
    InteractionEvent,
    content_id,
    dedup_keys,
    payload_digest,
    transaction_digest,
)
from recommender.errors import InvalidEventError

NOW = 1_795_000_000_000_000
PURCHASE = InteractionEvent(
    "p1",
    "purchase",
    NOW,
    "v",
    items=(EventItem("a", price=2.0, quantity=1.0), EventItem("b", price=3.0)),
    value=5.0,
    currency="EUR",
    transaction_id="T1",
)


def test_the_payload_digest_leaves_the_event_id_out_and_nothing_else() -> None:
    digest = payload_digest(PURCHASE)
    assert len(digest) == 16
    assert payload_digest(replace(PURCHASE, event_id="other")) == digest
    others = (
        {"ts": NOW + 1},
        {"visitor_id": "w"},
        {"items": PURCHASE.items[::-1]},
        {"value": 5.01},
        {"params": {"a": 1}},
        {"user_id": "u"},
    )
    digests = {payload_digest(replace(PURCHASE, **change)) for change in others}
    assert len(digests | {digest}) == len(others) + 1


def test_the_order_of_parameters_does_not_matter() -> None:
    one, two = {"a": 1, "b": "x"}, {"b": "x", "a": 1}
    assert payload_digest(replace(PURCHASE, params=one)) == payload_digest(
        replace(PURCHASE, params=two)
    )


def test_digests_are_the_same_in_another_process() -> None:
    code = (
        "from feature_store.events import *\n"
        "print(payload_digest(InteractionEvent('e', 'view_cart', 10**15, 'v')).hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert (
        run.stdout.strip() == payload_digest(InteractionEvent("e", "view_cart", 10**15, "v")).hex()
    )


def test_an_event_without_a_time_is_the_same_whenever_it_arrives() -> None:
    raw = {"event_id": "e", "event_type": "view_cart", "visitor_id": "v"}
    first, retry = normalise(raw, NOW), normalise(raw, NOW + 60_000_000)
    assert (first.ts, retry.ts) == (NOW, NOW + 60_000_000)
    assert dedup_keys(first) == dedup_keys(retry)
    timed = normalise({**raw, "ts": NOW}, NOW)
    assert dedup_keys(timed) != dedup_keys(first)


def test_only_purchases_with_a_transaction_have_a_second_key() -> None:
    assert [key.key for key in dedup_keys(PURCHASE)] == ["e:p1", "t:T1"]
    assert [key.key for key in dedup_keys(replace(PURCHASE, transaction_id=None))] == ["e:p1"]
    assert [key.key for key in dedup_keys(replace(PURCHASE, event_type="refund"))] == ["e:p1"]


def test_two_reports_of_one_purchase_agree_on_the_transaction_key_only() -> None:
    server = replace(PURCHASE, event_id="s", ts=NOW + 5, visitor_id="u", items=PURCHASE.items[::-1])
    (own, transaction), (other, same) = dedup_keys(PURCHASE), dedup_keys(server)
    assert own != other
    assert transaction == same


@pytest.mark.parametrize(
    "change",
    [
        {"items": (EventItem("a", price=2.0, quantity=2.0), EventItem("b", price=3.0))},
        {"items": (EventItem("a", price=2.0, quantity=1.0),)},
        {"value": 6.0},
        {"currency": "USD"},
    ],
)
def test_another_purchase_under_the_same_transaction_is_a_conflict(change: dict) -> None:
    assert transaction_digest(replace(PURCHASE, **change)) != transaction_digest(PURCHASE)


def test_a_missing_quantity_is_one_piece() -> None:
    explicit = replace(
        PURCHASE, items=(PURCHASE.items[0], replace(PURCHASE.items[1], quantity=1.0))
    )
    assert transaction_digest(explicit) == transaction_digest(PURCHASE)


def test_an_event_without_an_id_gets_one_from_its_content() -> None:
    raw = {"event_type": "view_cart", "ts": NOW, "visitor_id": "v"}
    event = normalise(raw, NOW)
    assert event.event_id == content_id(event)
    assert normalise(raw, NOW + 1).event_id == event.event_id
    assert normalise({**raw, "ts": NOW + 1}, NOW).event_id != event.event_id


def test_an_event_without_id_and_time_is_refused() -> None:
    with pytest.raises(InvalidEventError, match="ts is missing") as refusal:
        normalise({"event_type": "view_cart", "visitor_id": "v"}, NOW)
    assert refusal.value.code == "missing_field"


def test_items_know_their_placement_and_recommendation() -> None:
    own = EventItem("a", item_list_id="home", recommendation_id="r1")
    event = replace(PURCHASE, items=(own, EventItem("b")), placement="cart", recommendation_id="r0")
    assert [event.placement_of(item) for item in event.items] == ["home", "cart"]
    assert [event.recommendation_of(item) for item in event.items] == ["r1", "r0"]


def test_the_category_path_joins_the_levels_that_are_there() -> None:
    assert EventItem("a", item_category="x", item_category3="z").category_path == "x/z"
    assert EventItem("a").category_path is None


def test_events_survive_json() -> None:
    text = msgspec.json.encode(PURCHASE)
    assert msgspec.json.decode(text, type=InteractionEvent) == PURCHASE
    assert normalise(json.loads(text), 0) == PURCHASE
