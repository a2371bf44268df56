"""What lists promise and what they get: in the record, in the explanation, in the metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from feature_store.events import InteractionEvent
from feature_store.layout import StoreLayout
from feature_store.online.state import VisitorState
from recommender.acceptance import Acceptance, acceptance_arrays
from recommender.bundle import save_bundle
from recommender.bundle_folder import publish
from recommender.exposures import TAKEN_UP_WITHIN_MICROS
from recommender.query import Interaction
from recommender.terms import PURCHASE, SELECT_ITEM, VIEW_ITEM
from serving.app import wall_clock
from serving.expectation import is_first_of_its_showing
from tests.bundles import shop_arrays, shop_info
from tests.serving.service import TestClient, decisions, event, in_process, running

CURVES = Acceptance({"": (0.2, 0.1, 0.1), "home": (0.5, 0.25, 0.125)})
SECOND = 1_000_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A shop whose model has learnt what lists are worth."""
    bundle = tmp_path / "bundle"
    save_bundle(bundle, shop_arrays() | acceptance_arrays(CURVES), shop_info())
    publish(bundle, StoreLayout(tmp_path / "shop").bundles)
    return tmp_path / "shop"


@pytest.fixture
def client(root: Path) -> Iterator[TestClient]:
    with in_process(root) as client:
        yield client


def ask(client: Any, **body: Any) -> dict[str, Any]:
    asked = {"placement": "home", "limit": 4, "visitor_id": "ann"} | body
    return dict(client.post("/v1/recommendations", json=asked).json())


def told(answer: dict[str, Any], kind: str, *places: int, ago: int, **more: Any) -> dict[str, Any]:
    """An event about items of an answer, some seconds ago."""
    items = [{"item_id": answer["items"][place]["item_id"]} for place in places]
    return (
        event("ann", kind=kind)
        | {
            "ts": wall_clock() - ago * SECOND,
            "recommendation_id": answer["recommendation_id"],
            "item_list_id": "home",
            "items": items,
        }
        | more
    )


def send(client: Any, *events: dict[str, Any]) -> None:
    assert client.post("/v1/events", json=list(events)).json()["accepted"] == len(events)


def figures(client: Any, placement: str = "home") -> dict[str, float]:
    """The metrics about acceptance at a placement, by their short names."""
    return {
        sample.name.removeprefix("desirepath_").removeprefix("acceptance_"): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
        if sample.labels.get("placement") == placement
        and ("acceptance" in sample.name or "expectation" in sample.name)
        and not sample.name.endswith("_created")
    }


def test_every_item_is_recorded_and_explained_with_its_promise(
    root: Path, client: TestClient
) -> None:
    answer = ask(client, explain=True)
    explained = answer["explanation"]["acceptance"]
    assert [explained[item["item_id"]] for item in answer["items"]] == [0.5, 0.25, 0.125, 0.125]
    (record,) = decisions(root)
    assert [item.acceptance for item in record.items] == [0.5, 0.25, 0.125, 0.125]


def test_promised_when_shown_delivered_when_taken_up_once(client: TestClient) -> None:
    answer = ask(client)
    assert figures(client) == {}
    send(client, told(answer, "view_item_list", 0, 1, 2, ago=9))
    assert figures(client) == {
        "shown_total": 3,
        "predicted_total": 0.875,
        "expectation_gap": -1,
    }
    # A click, the page behind it and the cart are one; so are the events of one batch.
    send(client, told(answer, SELECT_ITEM, 1, ago=8), told(answer, VIEW_ITEM, 1, ago=7))
    send(client, told(answer, "add_to_cart", 1, ago=6))
    assert figures(client)["delivered_total"] == 1
    assert figures(client)["expectation_gap"] == pytest.approx(1 / 0.875 - 1)
    # Shown again it may be taken up again.
    again = told(answer, "view_item_list", 1, ago=5), told(answer, SELECT_ITEM, 1, ago=4)
    send(client, *again)
    assert figures(client)["delivered_total"] == 2
    assert figures(client)["predicted_total"] == 1.375


def test_what_was_not_shown_by_us_or_sent_again_does_not_count(client: TestClient) -> None:
    answer = ask(client)
    shown = told(answer, "view_item_list", 0, ago=9, event_id="once")
    send(client, shown)
    assert client.post("/v1/events", json=[shown]).json()["duplicates"] == 1
    send(client, told(answer, "view_item_list", 1, ago=8, recommendation_id=None))
    send(client, told(answer, SELECT_ITEM, 2, ago=7))  # of the answer, but never shown
    send(client, told(answer, SELECT_ITEM, 0, ago=6, recommendation_id=None))
    assert figures(client) == {"shown_total": 1, "predicted_total": 0.5, "expectation_gap": -1}


def test_placements_that_the_service_does_not_know_are_one(client: TestClient) -> None:
    answer = ask(client)
    for name in ("a", "b"):
        send(client, told(answer, "view_item_list", 0, ago=9, item_list_id=name))
    assert figures(client, "a") == {}
    assert figures(client, "other")["predicted_total"] == pytest.approx(0.4)


def test_without_a_curve_nothing_is_promised(tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    save_bundle(bundle, shop_arrays(), shop_info())
    publish(bundle, StoreLayout(tmp_path / "shop").bundles)
    with in_process(tmp_path / "shop") as client:
        answer = ask(client, explain=True)
        send(client, told(answer, "view_item_list", 0, ago=9))
        assert answer["explanation"]["acceptance"] == {}
        assert figures(client) == {}
    (record,) = decisions(tmp_path / "shop")
    assert {item.acceptance for item in record.items} == {None}


def test_the_sums_of_all_workers_make_one_gap(root: Path) -> None:
    with running(root, "--dev", "--workers", "2") as process:
        for _ in range(12):  # a connection each, so that both workers get some
            with process.client() as client:
                answer = ask(client)
                send(client, told(answer, "view_item_list", 0, ago=9))
        with process.client() as client:
            send(client, told(answer, SELECT_ITEM, 0, ago=8))
            found = figures(client)
    assert found["predicted_total"] == pytest.approx(6)
    assert found["delivered_total"] == 1
    assert found["expectation_gap"] == pytest.approx(1 / 6 - 1)


def act(kind: str, ts: int) -> InteractionEvent:
    return InteractionEvent("e", kind, ts, "ann")


def test_the_first_of_a_showing_is_told_whatever_came_when() -> None:
    acts = ((SELECT_ITEM, 20), (VIEW_ITEM, 20), (PURCHASE, 40), (SELECT_ITEM, 60))
    state = VisitorState(
        recent=tuple(Interaction("x", kind, ts) for kind, ts in acts),
        exposures={"x": (10, 50)},
    )
    found = [is_first_of_its_showing(state, "x", act(*each)) for each in acts]
    assert found == [True, False, False, True]
    assert not is_first_of_its_showing(state, "y", act(SELECT_ITEM, 20))
    late = 50 + TAKEN_UP_WITHIN_MICROS
    bare = VisitorState(exposures={"x": (50,)})
    assert is_first_of_its_showing(bare, "x", act(SELECT_ITEM, late))
    assert not is_first_of_its_showing(bare, "x", act(SELECT_ITEM, late + 1))
    assert not is_first_of_its_showing(bare, "x", act(SELECT_ITEM, 49))
