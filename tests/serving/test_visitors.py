from __future__ import annotations

from urllib.parse import quote

import pytest

from tests.serving.service import TestClient, event


def known(client: TestClient, visitor_id: str) -> dict:
    answer = client.get("/v1/visitors/" + quote(visitor_id, safe=""))
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_is_known_newest_first(client: TestClient) -> None:
    now = event("x")["ts"]
    body = [
        event("ann", "item-01", ts=now - 60_000_000),
        event("ann", "item-02", "add_to_cart", ts=now - 50_000_000),
        event("ann", "item-03", "purchase", transaction_id="t-1", ts=now - 40_000_000),
        event("ann", "item-04", "dismiss", ts=now - 30_000_000),
        event("ann", "item-05", "search", search_term="rake", ts=now - 20_000_000),
        event("ann", "item-06", "view_item_list", recommendation_id="r", ts=now - 15_000_000),
        event("ann", "item-06", "view_item_list", recommendation_id="s", ts=now - 10_000_000),
    ]
    assert client.post("/v1/events", json=body).json()["accepted"] == 7
    state = known(client, "ann")
    assert state["interactions"][0]["item_id"] == "item-04"
    assert state["cart"] == {"item-02": 1.0}
    assert [each["item_id"] for each in state["purchases"]] == ["item-03"]
    assert state["purchases"][0]["count"] == 1
    assert state["dismissed_item_ids"] == ["item-04"]
    assert state["searches"] == ["rake"]
    (shown,) = state["exposures"]
    assert (shown["item_id"], shown["count"]) == ("item-06", 2)
    assert shown["last"] == state["last_seen"]
    assert state["totals"]["purchase"] == 1
    assert state["first_seen"] < state["last_seen"]
    assert state["last_seen"].endswith("Z")


def test_an_unknown_visitor_has_the_same_shape(client: TestClient) -> None:
    client.post("/v1/events", json=event("ann"))
    stranger = known(client, "stranger")
    assert stranger.keys() == known(client, "ann").keys()
    assert (stranger["first_seen"], stranger["interactions"]) == (None, [])


@pytest.mark.parametrize("visitor_id", ["a/b", "a b", "é", "😀", "%2F", "\x00", "a?b#c", "//", "+"])
def test_any_id_comes_through_the_path(client: TestClient, visitor_id: str) -> None:
    client.post("/v1/events", json=event(visitor_id))
    state = known(client, visitor_id)
    assert state["visitor_id"] == visitor_id
    assert state["totals"] == {"view_item": 1}


def test_ids_that_are_none_are_refused(client: TestClient) -> None:
    assert client.get("/v1/visitors/%ff").json()["code"] == "invalid_utf8"
    assert client.get("/v1/visitors/" + "a" * 257).status_code == 422
    assert client.get("/v1/visitors/").status_code == 404


def test_a_user_is_merged_from_all_devices(client: TestClient) -> None:
    client.post("/v1/events", json=[event("phone", "item-01", user_id="u-1")])
    client.post("/v1/events", json=[event("laptop", "item-02", user_id="u-1")])
    items = [each["item_id"] for each in known(client, "phone")["interactions"]]
    assert sorted(items) == ["item-01", "item-02"]
