from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from feature_store.erasures import Erasures
from feature_store.online.visitors import Visitors
from feature_store.records import EventRecord
from recommender.errors import StorageError
from tests.serving.service import TestClient, event, in_process, make_keys, records


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
    assert [each["item_id"] for each in state["dismissed"]] == ["item-04"]
    assert state["stage"] == "first_time"
    # One look 1, one cart 2, one purchase 5, one dismissal -3, all of one brand: 5 / (10 + 11).
    assert state["brand_affinity"] == [{"brand": "acme", "score": 0.2381}]
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


def test_the_journal_has_wishes_and_can_be_kept_as_a_file(client: TestClient) -> None:
    client.post("/v1/events", json=event("ann", "item-05", "add_to_wishlist"))
    answer = client.get("/v1/visitors/ann?format=json")
    assert answer.headers["content-disposition"] == 'attachment; filename="visitor.json"'
    assert [each["item_id"] for each in answer.json()["wish_list"]] == ["item-05"]
    plain = client.get("/v1/visitors/ann")
    assert plain.json() == answer.json()
    assert "content-disposition" not in plain.headers
    assert client.get("/v1/visitors/ann?format=csv").json()["code"] == "invalid_value"


def test_a_dismissed_brand_is_below_nothing(client: TestClient) -> None:
    client.post("/v1/events", json=event("ann", "item-12", "dismiss"))
    assert known(client, "ann")["brand_affinity"] == [{"brand": "zenith", "score": -0.2308}]
    assert known(client, "ann")["stage"] == "prospect"


# ---- preferences -----------------------------------------------------------------------------


def wish(client: TestClient, visitor_id: str, level: object) -> httpx.Response:
    path = f"/v1/visitors/{quote(visitor_id, safe='')}/preferences"
    return client.put(path, json={"personalize": level})


@pytest.mark.parametrize("visitor_id", ["ann", "a/b", "é", "x/preferences"])
def test_a_wish_is_remembered_and_the_last_one_holds(client: TestClient, visitor_id: str) -> None:
    assert known(client, visitor_id)["preferences"] == {"personalize": "full", "since": None}
    for level in ("off", "light", "full", "light"):
        answer = wish(client, visitor_id, level)
        assert (answer.status_code, answer.json()["personalize"]) == (200, level)
    assert known(client, visitor_id)["preferences"] == answer.json()


def test_a_wish_is_in_the_log_before_its_answer(client: TestClient, root: Path) -> None:
    wish(client, "ann", "off")
    events = [each.event for each in records(root) if isinstance(each, EventRecord)]
    assert [(each.event_type, each.visitor_id) for each in events] == [("personalize_off", "ann")]


@pytest.mark.parametrize("body", [{}, {"personalize": True}, {"personalize": "some"}, {"x": 1}])
def test_a_wish_that_is_none_is_refused(client: TestClient, body: dict) -> None:
    answer = client.put("/v1/visitors/ann/preferences", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_value")


def test_a_wish_follows_the_shopper_over_devices(client: TestClient) -> None:
    wish(client, "phone", "off")
    client.post("/v1/events", json=[event("laptop", user_id="u-1"), event("phone", user_id="u-1")])
    assert known(client, "laptop")["preferences"]["personalize"] == "off"
    wish(client, "laptop", "full")
    assert known(client, "phone")["preferences"]["personalize"] == "full"


def test_a_wish_may_be_sent_as_an_event(client: TestClient) -> None:
    body = event("ann", kind="personalize_light") | {"items": []}
    assert client.post("/v1/events", json=body).json()["accepted"] == 1
    assert known(client, "ann")["preferences"]["personalize"] == "light"


def test_a_wish_that_answers_cannot_see_yet_is_not_promised(
    client: TestClient, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise StorageError("disk on fire")

    monkeypatch.setattr(Visitors, "apply", breaks)
    answer = wish(client, "ann", "off")
    assert (answer.status_code, answer.json()["code"]) == (503, "store_failed")
    assert len(records(root)) == 1


def test_what_is_below_a_visitor_is_no_visitor(client: TestClient) -> None:
    assert client.get("/v1/visitors/ann/preferences").json()["code"] == "method_not_allowed"
    body = {"personalize": "off"}
    for path in ("ann", "ann%2Fpreferences"):
        assert client.put(f"/v1/visitors/{path}", json=body).status_code == 405
    assert known(client, "ann/preferences")["preferences"]["since"] is None


# ---- forgetting ------------------------------------------------------------------------------


def asked(client: TestClient, visitor_id: str) -> dict:
    body = {"placement": "home", "visitor_id": visitor_id, "limit": 5}
    answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 200
    kept = ("items", "fallback_level", "session_mode", "session_mode_confidence")
    return {name: answer.json()[name] for name in kept}


@pytest.mark.parametrize("visitor_id", ["ann", "a/b", "é", "x%2Fpreferences"])
def test_right_after_an_erasure_the_shopper_is_a_stranger(
    client: TestClient, visitor_id: str
) -> None:
    path = "/v1/visitors/" + quote(visitor_id, safe="")
    nobody, unknown = asked(client, "stranger"), known(client, "stranger")
    client.post("/v1/events", json=[event(visitor_id, "item-03"), event(visitor_id, "item-04")])
    wish(client, visitor_id, "light")
    assert asked(client, visitor_id) != nobody
    answers = [client.request("DELETE", path) for _ in range(2)]
    for answer in answers:
        assert (answer.status_code, answer.json()["visitor_id"]) == (200, visitor_id)
    assert answers[0].json()["erased_at"] < answers[1].json()["erased_at"]
    assert asked(client, visitor_id) == nobody
    assert known(client, visitor_id) == unknown | {"visitor_id": visitor_id}


def test_an_erasure_goes_over_all_devices_of_the_user(client: TestClient) -> None:
    client.post("/v1/events", json=[event("phone", "item-01", user_id="u-1")])
    client.post("/v1/events", json=[event("laptop", "item-02", user_id="u-1")])
    nobody = asked(client, "stranger")
    assert client.request("DELETE", "/v1/visitors/laptop").status_code == 200
    for visitor_id in ("phone", "laptop"):
        assert known(client, visitor_id)["totals"] == {}
        assert known(client, visitor_id)["user_id"] is None
        assert asked(client, visitor_id) == nobody


def test_what_happened_before_an_erasure_is_refused_afterwards(client: TestClient) -> None:
    early = event("ann", "item-05")
    assert client.request("DELETE", "/v1/visitors/ann").status_code == 200
    answer = client.post("/v1/events", json=[early, event("ann", "item-06")]).json()
    assert (answer["accepted"], [each["code"] for each in answer["rejected"]]) == (1, ["erased"])
    assert [each["item_id"] for each in known(client, "ann")["interactions"]] == ["item-06"]


def test_an_erasure_survives_a_restart(root: Path) -> None:
    with in_process(root) as client:
        client.post("/v1/events", json=event("ann"))
        client.request("DELETE", "/v1/visitors/ann")
    with in_process(root) as client:
        assert known(client, "ann")["totals"] == {}


def test_erasing_is_for_servers(root: Path) -> None:
    keys = make_keys(root)
    with in_process(root, dev=False) as client:
        codes = {
            name: client.request("DELETE", "/v1/visitors/ann", headers={"X-API-Key": key})
            for name, key in keys.items()
        }
        assert client.request("DELETE", "/v1/visitors/ann").status_code == 401
    assert {name: each.status_code for name, each in codes.items()} == {
        "server": 200,
        "browser": 403,
        "admin": 200,
    }
    assert codes["browser"].json()["code"] == "not_for_browsers"


def test_an_erasure_that_cannot_be_kept_is_not_promised(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise StorageError("disk on fire")

    client.post("/v1/events", json=event("ann"))
    monkeypatch.setattr(Erasures, "add", breaks)
    answer = client.request("DELETE", "/v1/visitors/ann")
    assert (answer.status_code, answer.headers["retry-after"] != "") == (503, True)
    assert known(client, "ann")["totals"] == {"view_item": 1}
