"""Confirmed views: counted once, durable before the answer, in a record of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from feature_store.layout import StoreLayout
from feature_store.records import ExposureRecord, VisibleItem
from tests.serving.experiments import ask, refused
from tests.serving.service import TestClient, decisions, in_process, make_keys, records

URL = "/v1/exposures"


def view(exposure_id: str = "x1", **more: Any) -> dict[str, Any]:
    return {
        "exposure_id": exposure_id,
        "recommendation_id": "r1",
        "items": [{"item_id": "item-01", "slot": 2}],
    } | more


def send(client: TestClient, *views: dict[str, Any]) -> httpx.Response:
    return client.post(URL, json={"exposures": list(views)})


def counts(answer: httpx.Response) -> tuple[int, int, int]:
    assert answer.status_code == 202, answer.text
    told = answer.json()
    return told["accepted"], told["duplicates"], len(told["rejected"])


def exposures(root: Path) -> list[ExposureRecord]:
    return [each for each in records(root) if isinstance(each, ExposureRecord)]


def test_a_view_is_recorded_before_the_answer(root: Path, client: TestClient) -> None:
    answer = ask(client, exposure="on_confirm")
    recommendation_id = answer["recommendation_id"]
    (decision,) = decisions(root)
    assert decision.exposure == "on_confirm"
    seen = view(
        recommendation_id=recommendation_id,
        ts="2026-01-31T10:15:00Z",
        viewport={"width": 390, "height": 844},
    )
    assert counts(send(client, seen)) == (1, 0, 0)
    (record,) = exposures(root)  # read from disk while the service runs
    assert record.decision_id == recommendation_id
    assert record.items_visible == (VisibleItem("item-01", 2),)
    assert (record.ts_client, record.viewport) == (1_769_854_500_000_000, (390, 844))
    assert record.ts_server > decision.ts_server
    assert (record.seq, record.writer) == (decision.seq + 1, decision.writer)


def test_a_view_counts_once_also_after_a_restart_without_index(root: Path) -> None:
    with in_process(root) as client:
        assert counts(send(client, view("a"), view("b"), view("a"))) == (2, 1, 0)
        conflict = send(client, view("a", recommendation_id="r2"), view("c"))
        assert counts(conflict) == (1, 0, 1)
        assert conflict.json()["rejected"][0]["code"] == "conflict"
    index = StoreLayout(root).dedup
    for path in index.rglob("*.mdb"):
        path.unlink()  # it is rebuilt from the log
    with in_process(root) as client:
        assert counts(send(client, view("a"), view("b"), view("d"))) == (1, 2, 0)
    assert [each.exposure_id for each in exposures(root)] == ["a", "b", "c", "d"]
    numbers = [each.seq for each in exposures(root)]
    assert numbers == sorted(set(numbers))


def test_one_bad_view_does_not_sink_the_others(client: TestClient) -> None:
    answer = send(client, view("a"), view("b", ts="yesterday"))
    assert counts(answer) == (1, 0, 1)
    assert answer.json()["rejected"][0]["index"] == 1
    for bad in (view(items=[]), view(items=[{"item_id": "x", "slot": 0}]), view(more=1), {}):
        assert send(client, bad).status_code == 422
    assert send(client).status_code == 422
    assert refused(client, exposure="never")[0] == 422


def test_a_view_is_no_event(root: Path, client: TestClient) -> None:
    send(client, view())
    known = client.get("/v1/visitors/v").json()
    assert known["exposures"] == known["interactions"] == []
    assert not (root / "quarantine").exists() or not list((root / "quarantine").glob("*.jsonl"))
    metrics = client.get("/metrics").text
    assert 'desirepath_exposures_total{status="accepted"} 1.0' in metrics


def test_a_beacon_carries_its_key_inside(root: Path) -> None:
    keys = make_keys(root)
    with in_process(root, dev=False) as client:
        for key, status in ((keys["browser"], 202), ("other", 401), (None, 401)):
            body = {"exposures": [view()]} | ({"api_key": key} if key else {})
            headers = {"Content-Type": "text/plain;charset=UTF-8"}
            answer = client.post(URL, content=json.dumps(body).encode(), headers=headers)
            assert answer.status_code == status
