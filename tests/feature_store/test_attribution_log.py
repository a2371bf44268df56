from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from feature_store.attribution_log import attribute_all, frames_of
from feature_store.ingest import ingest
from feature_store.layout import StoreLayout
from feature_store.records import DecisionItem, DecisionRecord
from tests.serving.service import event, in_process, item_ids, publish_shop


@dataclass
class Visible:
    item_id: str
    slot: int


@dataclass
class Exposure:
    decision_id: str
    items_visible: tuple[Visible, ...]
    ts_server: int


def record(decision_id: str, at: int) -> DecisionRecord:
    return DecisionRecord(
        decision_id, "r", at, 0, "w", "key", "next", "top", "m", "c", "v", "session",
        (DecisionItem("a", 1, 1.0, "als"), DecisionItem("b", 2, 1.0, "als")), 9,
    )  # fmt: skip


def test_records_become_frames() -> None:
    seen = Exposure("d1", (Visible("b", 2),), 7)
    decisions, exposures = frames_of([record("d1", 5), seen, record("d2", 50), object()], 0, 50)
    assert decisions["decision_id"].to_list() == ["d1", "d1"]
    assert decisions["slot"].to_list() == [1, 2]
    assert exposures.rows() == [("d1", "b", 7)]


def test_a_served_answer_is_credited_with_what_followed(tmp_path: Path) -> None:
    root = tmp_path / "shop"
    publish_shop(root)
    with in_process(root) as client:
        body = {"placement": "next", "limit": 2, "visitor_id": "ann"}
        asked = client.post("/v1/recommendations", json=body)
        first, second = item_ids(asked)
        by_id = {"recommendation_id": asked.json()["recommendation_id"]}
        for each in (event("ann", first, **by_id), event("ann", second), event("bob", second)):
            client.post("/v1/events", json=each)
    ingest(StoreLayout(root).log, "desirepath-log", StoreLayout(root))
    found = attribute_all(StoreLayout(root))
    assert found.outcomes == {"recommendation_id": 1, "window": 1, "no_suggestion": 1}
    assert found.credited["slot"].sort().to_list() == [1, 2]
