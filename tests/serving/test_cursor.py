"""More of the same list: nothing twice, the same arm and model, and no cursor of others."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.layout import StoreLayout
from recommender.bundle_folder import publish
from serving.cursor import unseal
from serving.errors import Problem
from tests.bundles import saved_bundle
from tests.serving.experiments import ask, make, put, refused, spec
from tests.serving.service import TestClient, decisions, event, in_process, publish_shop, wait_for


def ids_of(answer: dict) -> list[str]:
    return [each["item_id"] for each in answer["items"] if "item_id" in each]


def pages(client: TestClient, **question: object) -> list[dict]:
    """All pages of a list."""
    found = [ask(client, **question)]
    while cursor := found[-1].get("next_cursor"):
        found.append(ask(client, **question, cursor=cursor))
        assert len(found) < 50
    return found


def test_pages_repeat_nothing_and_reach_everything(root: Path, client: TestClient) -> None:
    client.post("/v1/events", json=[event("v", "item-04"), event("v", "item-06")])
    found = pages(client, limit=4, exclude_item_ids=["item-09"])
    shown = [item for page in found for item in ids_of(page)]
    assert len(set(shown)) == len(shown) >= 15
    assert "item-09" not in shown
    assert "next_cursor" not in found[-1]
    recorded = decisions(root)
    assert [each.continues for each in recorded] == [
        None,
        *[found[0]["recommendation_id"]] * (len(found) - 1),
    ]
    everything = ask(client, limit=100, exclude_item_ids=["item-09"])
    assert set(shown) == set(ids_of(everything))


def test_pages_stay_in_their_arm(root: Path, client: TestClient) -> None:
    etag = make(client, "test", {"key": "control"}, {"key": "short", "placement": {"limit": 3}})
    first = ask(client)
    arm = first["assignments"][0]["variant"]
    other = 0.999 if arm == "short" else 0.001
    weights = [
        {"key": "control", "weight": other},
        {"key": "short", "weight": 1 - other, "placement": {"limit": 3}},
    ]
    changed = put(client, "test", spec(*weights), etag)
    second = ask(client, cursor=first["next_cursor"])
    assert second["assignments"][0]["variant"] == arm
    assert len(second["items"]) == len(first["items"])
    assert decisions(root)[-1].assignments == decisions(root)[0].assignments
    put(client, "test", spec(*weights, status="paused"), changed.headers["etag"])
    question = {"visitor_id": "v", "cursor": first["next_cursor"]}
    assert refused(client, **question) == (410, "cursor_expired")


def test_a_tried_arm_stays_tried(root: Path, client: TestClient) -> None:
    make(client, "test", {"key": "control"}, {"key": "short", "placement": {"limit": 3}})
    first = ask(client, force={"test": "short"})
    assert len(ask(client, cursor=first["next_cursor"])["items"]) == 3
    assert [each.qa for each in decisions(root)] == [True, True]


def test_the_names_of_the_log_stay_inside(root: Path, client: TestClient) -> None:
    make(client, "test", unit="user")
    question = {"visitor_id": "v", "user_id": "u"}
    cursor = ask(client, **question)["next_cursor"]
    ask(client, **question, cursor=cursor)
    first, second = decisions(root)
    assert first.assignments == second.assignments
    unit_key = first.assignments[0].unit_key
    assert unit_key is not None
    content = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert unit_key.encode() not in content
    assert first.subject_key.encode() not in content
    other = {"visitor_id": "v", "user_id": "w", "cursor": cursor}
    assert refused(client, **other) == (422, "cursor_foreign")


def test_cursors_of_others_are_refused(client: TestClient) -> None:
    cursor = ask(client, context={"category": "c0"})["next_cursor"]
    good = {"visitor_id": "v", "context": {"category": "c0"}, "cursor": cursor}
    assert client.post("/v1/recommendations", json={"placement": "home"} | good).status_code == 200
    for change in (
        {"visitor_id": "w"},
        {"visitor_id": None},
        {"placement": "cart"},
        {"context": {}},
        {"personalize": False},
        {"kinds": ["item"]},
    ):
        assert refused(client, **(good | change)) == (422, "cursor_foreign"), change
    for bad in (cursor[:-4], "A" + cursor[1:], "é", "!", "AAAA", cursor + "AAAA"):
        if bad != cursor:
            assert refused(client, **(good | {"cursor": bad})) == (422, "cursor_invalid"), bad


@given(word=st.text(max_size=60))
def test_no_word_is_a_cursor_by_chance(word: str) -> None:
    with pytest.raises(Problem) as refusal:
        unseal(word, b"s" * 32)
    assert (refusal.value.status, refusal.value.code) == (422, "cursor_invalid")


def test_another_shop_does_not_take_it(root: Path, tmp_path: Path, client: TestClient) -> None:
    cursor = ask(client)["next_cursor"]
    publish_shop(tmp_path / "other")
    with in_process(tmp_path / "other") as other:
        assert refused(other, visitor_id="v", cursor=cursor) == (422, "cursor_invalid")


def test_a_list_ends_with_its_model(root: Path, tmp_path: Path, client: TestClient) -> None:
    first = ask(client)
    saved_bundle(tmp_path / "next", seed=1)
    version = publish(tmp_path / "next", StoreLayout(root).bundles)
    wait_for(lambda: ask(client)["model_version"] == version)
    question = {"visitor_id": "v", "cursor": first["next_cursor"]}
    assert refused(client, **question) == (410, "cursor_expired")


def test_a_list_of_a_page_goes_on(client: TestClient) -> None:
    question = {"placements": [{"placement": "home", "limit": 4}], "visitor_id": "v"}
    (first,) = client.post("/v1/recommendations/page", json=question).json()["answers"]
    assert set(ids_of(first)).isdisjoint(ids_of(ask(client, cursor=first["next_cursor"])))


def test_the_cacheable_form_goes_on_too(client: TestClient) -> None:
    first = client.get("/v1/recommendations?placement=home&limit=5").json()
    params = {"placement": "home", "limit": 5, "cursor": first["next_cursor"]}
    second = client.get("/v1/recommendations", params=params).json()
    assert set(ids_of(first)).isdisjoint(ids_of(second))
