"""Kinds of suggestions over HTTP, and in the decision record."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_store.layout import StoreLayout
from recommender.bundle_folder import publish
from recommender.placements import Placement
from recommender.query import Query
from recommender.terms import KINDS, NAVIGATION_KINDS
from serving.app import wall_clock
from serving.static_list import static_slate
from tests.bundles import AT, saved_knowing_bundle
from tests.serving.service import TestClient, decisions, event, in_process


@pytest.fixture
def root(tmp_path: Path) -> Path:
    saved_knowing_bundle(tmp_path / "made")
    publish(tmp_path / "made", StoreLayout(tmp_path / "shop").bundles)
    return tmp_path / "shop"


@pytest.fixture
def shop(root: Path) -> Iterator[TestClient]:
    with in_process(root) as client:
        yield client


def ask(client: TestClient, **body: Any) -> Any:
    answer = client.post("/v1/recommendations", json={"placement": "home"} | body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_way_has_a_target_and_no_item(shop: TestClient) -> None:
    wanted = {"limit": 5, "return_properties": True, "kinds": list(KINDS)}
    entries = ask(shop, visitor_id="ann", **wanted)["items"]
    assert [each["rank"] for each in entries] == [1, 2, 3, 4, 5]
    (way,) = (each for each in entries if each["kind"] in NAVIGATION_KINDS)
    assert way.items() >= {"kind": "category", "category": "kitchen", "rank": 2}.items()
    assert not {"item_id", "query", "properties"} & way.keys()
    assert way["reason"] == {"code": "often_next"}
    items = [each for each in entries if each is not way]
    assert all(each["item_id"] and "category" not in each for each in items)


def test_the_checkout_has_no_target_and_a_search_has_its_words(shop: TestClient) -> None:
    cart = {"cart_item_ids": ["item-02"]}
    entries = ask(shop, visitor_id="ann", context=cart, kinds=["item", "checkout"])["items"]
    assert entries[0].keys() == {"kind", "rank", "reason", "score"}
    assert entries[0]["kind"] == "checkout"
    (way,) = (e for e in ask(shop, kinds=["item", "search"])["items"] if e["kind"] == "search")
    assert way["query"] == "knife"


def test_who_knows_items_only_gets_items_only(shop: TestClient) -> None:
    asked = ask(shop, visitor_id="ann", kinds=["item"])
    assert {each["kind"] for each in asked["items"]} == {"item"}
    for placement in ("item", "cart", "category", "next", "similar"):
        context = {"item_ids": ["item-02"], "cart_item_ids": ["item-04"]}
        entries = ask(shop, placement=placement, context=context)["items"]
        assert all("item_id" in each for each in entries), placement


@pytest.mark.parametrize("kinds", [[], ["advertisement"], "item"])
def test_unknown_kinds_are_refused(shop: TestClient, kinds: object) -> None:
    answer = shop.post("/v1/recommendations", json={"placement": "home", "kinds": kinds})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


def test_the_record_holds_ways_beside_items(root: Path) -> None:
    with in_process(root) as client:
        past = event("ann", "item-02", "add_to_cart")
        assert client.post("/v1/events", json=[past]).json()["accepted"] == 1
        answer = ask(client, visitor_id="ann", limit=4, kinds=list(KINDS))
    (record,) = decisions(root)
    ways = {way.slot: (way.kind, way.target, way.p_slot) for way in record.ways}
    assert ways == {1: ("checkout", None, 1.0)}
    slots = sorted([*ways, *(item.slot for item in record.items)])
    assert slots == [each["rank"] for each in answer["items"]] == [1, 2, 3, 4]
    assert [item.kind for item in record.items] == [e["kind"] for e in answer["items"][1:]]
    expected = math.fsum(math.log(item.p_slot) for item in record.items)
    assert record.slate_propensity_log == pytest.approx(expected)


def test_what_was_left_on_one_device_is_resumed_on_another(root: Path) -> None:
    an_hour_ago = wall_clock() - 3_600_000_000
    left = event("phone", "item-08", "add_to_cart", ts=an_hour_ago)
    who = [
        event(device, kind="identify", user_id="ann", items=[]) for device in ("phone", "laptop")
    ]
    with in_process(root) as client:
        told = client.post("/v1/events", json=[left, *who]).json()
        assert told["accepted"] == 3, told
        entries = ask(client, visitor_id="laptop", limit=12)["items"]
        (resumed,) = (each for each in entries if each["kind"] == "resume")
    assert (resumed["item_id"], resumed["reason"]) == ("item-08", {"code": "seen_before"})


def test_the_static_list_keeps_to_the_kinds_too() -> None:
    place = Placement("p", static_items=("a", "b", "c"), at_most={"item": 2})
    asked = Query(at=AT, placement="p")
    assert [item.item_id for item in static_slate(asked, place).items] == ["a", "b"]
    assert static_slate(asked.but(kinds=("resume",)), place).items == ()
