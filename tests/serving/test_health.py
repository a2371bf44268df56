"""What the probes say in each state of the service."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from feature_store.layout import StoreLayout
from recommender.bundle_folder import POINTER
from tests.serving.service import TestClient, event, in_process, publish_shop, wait_for


def probe(client: TestClient) -> tuple[int, dict]:
    answer = client.get("/health/ready")
    return answer.status_code, answer.json()


def test_ready_with_a_model(client: TestClient) -> None:
    status, body = probe(client)
    assert (status, body["status"], body["items"], body["warnings"]) == (200, "ready", 19, [])
    assert client.get("/health/live").json() == {"status": "alive"}


def test_not_ready_while_no_rung_can_serve(tmp_path: Path) -> None:
    with in_process(tmp_path / "new") as client:
        status, body = probe(client)
        assert (status, body["status"], body["model_version"]) == (503, "not_ready", "none")
        assert client.get("/health/live").status_code == 200
        publish_shop(tmp_path / "new")
        client.app.state.service.models.poll()
        # The service looks by itself as well, and may be loading at this moment.
        wait_for(lambda: probe(client)[0] == 200)


def test_a_model_without_anything_to_show_is_no_rung(tmp_path: Path) -> None:
    publish_shop(tmp_path / "shop", n=1)
    with in_process(tmp_path / "shop") as client:
        assert probe(client)[0] == 503


def test_a_refused_bundle_is_a_warning_not_an_outage(root: Path) -> None:
    with in_process(root) as client:
        before = probe(client)[1]["model_version"]
        (StoreLayout(root).bundles / POINTER).write_text("rubbish")
        client.app.state.service.models.poll()
        status, body = probe(client)
        assert (status, body["model_version"]) == (200, before)
        assert "refused" in body["warnings"][0]
        assert "desirepath_bundle_refused 1.0" in client.get("/metrics").text


def test_a_log_that_cannot_be_written_leaves_the_service_ready(root: Path) -> None:
    root.mkdir(exist_ok=True)
    (root / "log").write_text("in the way")
    with in_process(root) as client:
        assert probe(client)[0] == 200
        assert client.post("/v1/recommendations", json={"placement": "home"}).status_code == 200
        answer = client.post("/v1/events", json=event("ann"))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        text = client.get("/metrics").text
        assert "desirepath_decisions_lost_total 1.0" in text


def test_not_ready_while_it_stops(client: TestClient) -> None:
    client.app.state.service.is_draining = True
    status, body = probe(client)
    assert status == 503
    assert "stopping" in body["warnings"][0]
    answer = client.post("/v1/recommendations", json={"placement": "home"})
    assert (answer.status_code, answer.headers["connection"]) == (200, "close")
    assert client.get("/health/live").status_code == 200


def test_a_deleted_model_folder_changes_nothing_while_it_runs(root: Path) -> None:
    with in_process(root) as client:
        shutil.rmtree(StoreLayout(root).bundles)
        client.app.state.service.models.poll()
        assert probe(client)[0] == 200


@pytest.mark.parametrize(
    "name",
    [
        'desirepath_request_seconds_bucket{le="0.001",route="/v1/recommendations"}',
        'desirepath_requests_total{route="/v1/recommendations",status="200"} 1.0',
        'desirepath_recommendations_total{level="popular",placement="home"} 1.0',
        "desirepath_decisions_total 1.0",
        'desirepath_events_total{verdict="accepted"} 1.0',
        'desirepath_problems_total{code="unknown_path"} 1.0',
        "desirepath_requests_in_flight 1.0",
        "desirepath_bundle_items 19.0",
        'desirepath_bundle_swaps_total{outcome="accepted"} 1.0',
        'desirepath_intake{counter="accepted"} ',
    ],
)
def test_metrics(root: Path, name: str) -> None:
    with in_process(root) as client:
        client.post("/v1/recommendations", json={"placement": "home"})
        client.post("/v1/events", json=event("ann"))
        client.get("/nowhere")
        text = client.get("/metrics").text
        assert name in text
        version = client.app.state.service.models.current.version
        assert f'desirepath_bundle_info{{version="{version}"}} 1.0' in text
