"""The pace of a visit, from its events over HTTP to the answer and its explanation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from feature_store.layout import StoreLayout
from recommender.bundle import save_bundle
from recommender.bundle_folder import publish
from recommender.pace import FEATURES
from serving.app import wall_clock
from tests.bundles import shop_arrays, shop_info
from tests.paces import pace_arrays
from tests.serving.service import TestClient, decisions, in_process, item_ids

SECOND = 1_000_000
SEEN = ("item-00", "item-01", "item-05", "item-00", "item-04")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save_bundle(tmp_path / "made", shop_arrays() | pace_arrays(), shop_info())
    publish(tmp_path / "made", StoreLayout(tmp_path / "shop").bundles)
    return tmp_path / "shop"


def visit(client: TestClient, visitor_id: str, gap: int, *item_ids: str) -> None:
    """Look at items one after the other, so many seconds apart, until now."""
    now = wall_clock()
    body = [
        {
            "event_type": "view_item",
            "visitor_id": visitor_id,
            "ts": now - (len(item_ids) - 1 - n) * gap * SECOND,
            "items": [{"item_id": item_id}],
        }
        for n, item_id in enumerate(item_ids)
    ]
    assert client.post("/v1/events", json=body).json()["accepted"] == len(body)


def ask(client: TestClient, **body: Any) -> Any:
    answer = client.post("/v1/recommendations", json={"placement": "home", "explain": True} | body)
    assert answer.status_code == 200, answer.text
    return answer


def test_a_hurried_and_a_browsing_visitor_who_met_the_same_get_different_answers(
    root: Path,
) -> None:
    with in_process(root) as client:
        visit(client, "quick", 2, *SEEN)
        visit(client, "slow", 70, *SEEN)
        quick, slow = (ask(client, visitor_id=each) for each in ("quick", "slow"))
    assert [each.json()["session_mode"] for each in (quick, slow)] == ["hurried", "browsing"]
    assert (len(item_ids(quick)), len(item_ids(slow))) == (5, 8)  # of 12
    assert item_ids(quick) != item_ids(slow)[: len(item_ids(quick))]
    for answer in (quick, slow):
        told, body = answer.json()["explanation"]["pace"], answer.json()
        assert told["mode"] == body["session_mode"]
        assert told["confidence"] == body["session_mode_confidence"] >= 0.6
        assert told["steps"] == len(SEEN)
        assert list(told["features"]) == list(FEATURES)
        assert (told["asked"], told["given"]) == (12, len(body["items"]))
    assert quick.json()["explanation"]["pace"]["novelty_at_most"] < 1
    assert slow.json()["explanation"]["pace"]["novelty_at_least"] > 0


def test_the_mode_is_known_from_the_third_event_on_and_is_in_the_decision_record(
    root: Path,
) -> None:
    with in_process(root) as client:
        modes = []
        for item_id in ("item-00", "item-02", "item-04"):
            visit(client, "ann", 0, item_id)
            modes.append(ask(client, visitor_id="ann").json()["session_mode"])
    assert modes[:2] == ["unknown", "unknown"]
    assert modes[2] != "unknown"
    kept = decisions(root)
    assert [each.session_mode for each in kept] == modes
    assert [each.session_mode_confidence > 0 for each in kept] == [False, False, True]


def test_searches_and_category_lists_count_as_events(root: Path) -> None:
    now = wall_clock()
    moves: list[dict[str, Any]] = [
        {"event_type": "search", "search_term": "rake"},
        {"event_type": "view_item_list", "items": [{"item_id": "item-00"}]},
        {"event_type": "view_cart"},
    ]
    with in_process(root) as client:
        for n, move in enumerate(moves):
            body = move | {"visitor_id": "ann", "ts": now - (3 - n) * 20 * SECOND}
            assert client.post("/v1/events", json=[body]).json()["accepted"] == 1
        told = ask(client, visitor_id="ann").json()["explanation"]["pace"]
    assert told["steps"] == 3
    assert told["mode"] != "unknown"
    assert told["features"]["entry_search"] == told["features"]["latest_cart"] == 1


@pytest.mark.parametrize("body", [{"personalize": False}, {"visitor_id": "stranger"}])
def test_who_is_unknown_or_wants_to_be_has_no_pace(root: Path, body: dict[str, Any]) -> None:
    with in_process(root) as client:
        visit(client, "quick", 2, *SEEN)
        answer = ask(client, **({"visitor_id": "quick"} | body)).json()
    assert (answer["session_mode"], answer["session_mode_confidence"]) == ("unknown", 0)
    assert len(answer["items"]) == 12
    assert answer["explanation"]["pace"]["features"] == {}


def test_an_asked_limit_is_an_upper_bound(root: Path) -> None:
    with in_process(root) as client:
        visit(client, "quick", 2, *SEEN)
        assert 1 <= len(item_ids(ask(client, visitor_id="quick", limit=5))) < 5
        assert len(item_ids(ask(client, visitor_id="quick", limit=1))) == 1
