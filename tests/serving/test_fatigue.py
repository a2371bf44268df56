"""What was shown and ignored, as the service hears of it; and all lists of a page at once."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recommender.placements import read_placements
from tests.serving.service import (
    TestClient,
    decisions,
    event,
    in_process,
    item_ids,
    make_keys,
    publish_shop,
)

BUDGET = """
[fatigue]
session_budget = 2
when_spent = "empty"
[placements.home]
limit = 4
[placements.quiet]
[placements.quiet.fatigue]
session_budget = 1
when_spent = "default"
"""


def ask(client: TestClient, **body: Any) -> Any:
    return client.post("/v1/recommendations", json={"placement": "home", "limit": 5} | body)


def ask_page(client: TestClient, *places: str, **body: Any) -> Any:
    listed = [{"placement": name, "limit": 4} for name in places]
    return client.post("/v1/recommendations/page", json={"placements": listed} | body)


def show(client: TestClient, answer: Any, visitor_id: str = "ann") -> None:
    """Tell the service that an answer was shown."""
    body = answer.json()
    shown = event(visitor_id, kind="view_item_list") | {
        "items": [{"item_id": each["item_id"]} for each in body["items"]],
        "recommendation_id": body["recommendation_id"],
    }
    assert client.post("/v1/events", json=[shown]).json()["accepted"] == 1


def test_what_is_ignored_gives_way_in_the_next_answer(client: TestClient) -> None:
    first = ask(client, visitor_id="ann")
    show(client, first)
    second = ask(client, visitor_id="ann", explain=True)
    assert item_ids(second) != item_ids(first)
    told = second.json()["explanation"]["fatigue"]
    assert {each["item_id"] for each in told["items"]} == set(item_ids(first))
    assert told["acted"] is None
    assert 0 < told["gain"] < 1
    for each in told["items"]:
        assert each["ignored"] == 1
        assert each["discount"] < 1
    # All went down alike, so the first of them may still be the best there is.
    assert sum(each["after"] > each["before"] for each in told["items"]) >= 4
    assert item_ids(ask(client, visitor_id="bob")) == item_ids(first)
    assert item_ids(ask(client, visitor_id="ann", personalize=False)) == item_ids(first)


def test_an_interaction_forgives_the_showings(client: TestClient) -> None:
    first = ask(client, visitor_id="ann", placement="next")
    show(client, first)
    (top, *_) = item_ids(first)
    client.post("/v1/events", json=[event("ann", top)])
    told = ask(client, visitor_id="ann", placement="next", explain=True).json()
    assert top not in {each["item_id"] for each in told["explanation"]["fatigue"]["items"]}


def test_an_item_rests_and_the_record_says_so(root: Path) -> None:
    with in_process(root) as client:
        for _ in range(4):
            shown = event("ann", "item-00", "view_item_list") | {"recommendation_id": "r"}
            client.post("/v1/events", json=[shown])
        answer = ask(client, visitor_id="ann", explain=True)
    assert "item-00" not in item_ids(answer)
    (told,) = answer.json()["explanation"]["fatigue"]["items"]
    assert (told["item_id"], told["cap"], told["after"]) == ("item-00", "item_per_session", None)
    (record,) = decisions(root)
    assert record.fatigue == (("item_per_session", 1),)
    assert record.attributes_used["exposures"] == 1
    assert record.page_key is None


def test_a_spent_budget_is_told_and_a_click_restores_it(root: Path, tmp_path: Path) -> None:
    file = tmp_path / "placements.toml"
    file.write_text(BUDGET)
    with in_process(root, placements=file) as client:
        for _ in range(2):
            last = ask(client, visitor_id="ann")
            assert "reason" not in last.json()
            show(client, last)
        spent = ask(client, visitor_id="ann", explain=True).json()
        assert (spent["items"], spent["reason"]) == ([], "suppressed")
        assert spent["explanation"]["fatigue"]["acted"] == "session_budget"
        quiet = ask(client, visitor_id="ann", placement="quiet")
        assert "reason" not in quiet.json()
        assert len(item_ids(quiet)) == 5
        client.post("/v1/events", json=[event("ann", item_ids(last)[0], "select_item")])
        assert len(item_ids(ask(client, visitor_id="ann"))) == 5
    noted = [record.fatigue for record in decisions(root)]
    assert (("session_budget", 1),) in noted


# ---- pages -------------------------------------------------------------------------------------


def test_the_lists_of_a_page_share_no_item_and_earlier_ones_win(root: Path) -> None:
    with in_process(root) as client:
        client.post("/v1/events", json=[event("ann", "item-06"), event("ann", "item-04")])
        alone = ask(client, visitor_id="ann", limit=4)
        answer = ask_page(client, "home", "next", "home", visitor_id="ann")
    body = answer.json()
    lists = [[item["item_id"] for item in each["items"]] for each in body["answers"]]
    assert lists[0] == item_ids(alone)
    assert [len(each) for each in lists] == [4, 4, 4]
    assert len({item for each in lists for item in each}) == 12
    assert [each["placement"] for each in body["answers"]] == ["home", "next", "home"]
    _, *records = decisions(root)
    assert [each.decision_id for each in records] == [
        each["recommendation_id"] for each in body["answers"]
    ]
    assert {each.page_key for each in records} == {body["page_id"]}
    assert uuid.UUID(body["page_id"]).version == 7
    assert body["page_id"] not in {each.decision_id for each in records}


def test_a_page_is_answered_whole_or_not_at_all(root: Path) -> None:
    with in_process(root) as client:
        answer = ask_page(client, "home", "nowhere")
        assert (answer.status_code, answer.json()["code"]) == (404, "unknown_placement")
        assert ask_page(client).status_code == 422
        assert ask_page(client, *["home"] * 11).status_code == 422
        assert ask_page(client, "home", dry_run=True).status_code == 200
    assert decisions(root) == []


def test_a_page_has_what_a_single_answer_has(client: TestClient) -> None:
    parts = {"explain": True, "return_properties": True, "filter": {"category": "garden"}}
    (one,) = ask_page(client, "next", exclude_item_ids=["item-02"], **parts).json()["answers"]
    same = ask(client, placement="next", limit=4, exclude_item_ids=["item-02"], **parts).json()
    for body in (one, same):
        del body["recommendation_id"], body["took_ms"], body["next_cursor"]
    assert one == same


def test_a_browser_key_gets_no_more_from_a_page(root: Path) -> None:
    keys = make_keys(root)
    with in_process(root, dev=False) as client:
        for body, status in (({"explain": True}, 403), ({}, 403)):
            answer = client.post(
                "/v1/recommendations/page",
                json={"placements": [{"placement": "home"}]} | body,
                headers={"X-API-Key": keys["browser"]},
            )
            assert answer.status_code == status


@pytest.fixture(scope="module")
def page_client(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("pages") / "shop"
    publish_shop(root)
    with in_process(root) as client:
        yield client


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(read_placements())), st.integers(1, 8)),
        min_size=1,
        max_size=6,
    ),
    st.sets(st.sampled_from([f"item-{i:02d}" for i in range(20)]), max_size=6),
    st.lists(st.sampled_from([f"item-{i:02d}" for i in range(20)]), max_size=3),
)
def test_no_item_stands_twice_on_a_page(
    page_client: TestClient, places: list[tuple[str, int]], hidden: set[str], about: list[str]
) -> None:
    body = {
        "placements": [{"placement": name, "limit": limit} for name, limit in places],
        "exclude_item_ids": sorted(hidden),
        "context": {"item_ids": about},
    }
    answers = page_client.post("/v1/recommendations/page", json=body).json()["answers"]
    shown = [item["item_id"] for each in answers for item in each["items"]]
    assert len(set(shown)) == len(shown)
    assert not hidden & set(shown)
    for (_, limit), each in zip(places, answers, strict=True):
        assert len(each["items"]) <= limit
