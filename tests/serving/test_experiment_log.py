from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.memory import MemoryStore
from feature_store.online.visitors import Visitors
from tests.serving.service import TestClient, in_process, publish_shop
from tests.training.evaluation.experiment.trial import FIRST, KEY, NAMES, answer

PATH = f"/v1/experiments/{KEY}"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> object:
    root = tmp_path_factory.mktemp("log") / "shop"
    publish_shop(root)
    intake = Intake(
        StoreLayout(root), Visitors(MemoryStore(lambda: FIRST)), lambda: FIRST, writer="other"
    )
    for n in range(40):
        assert intake.record(answer(n, f"v{n}", ("control", "treatment")[n % 2], n)) is not None
    intake.close()
    with in_process(root) as found:
        yield found


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the log were large: it is read by a process of its own."""
    monkeypatch.setattr("serving.routes.experiment_log.SMALL_LOG_BYTES", 0)


def test_a_child_says_the_same_and_finds_nothing_either(client: TestClient, large: None) -> None:
    here = client.get(f"{PATH}/health")
    assert here.json()["arms"][0]["subjects"] == 20
    answered = client.get("/v1/experiments/other/health")
    assert (answered.status_code, answered.json()["code"]) == (404, "unknown_experiment")
    assert "no answer of experiment 'other'" in answered.json()["detail"]


def test_health_is_that_of_the_log(client: TestClient) -> None:
    answered = client.get(f"{PATH}/health")
    assert answered.status_code == 200
    assert answered.headers["Cache-Control"] == "no-store"
    found = answered.json()
    assert [(arm["variant"], arm["subjects"]) for arm in found["arms"]] == [
        ("control", 20),
        ("treatment", 20),
    ]
    assert (found["sample_ratio_p"], found["is_mismatch"]) == (1.0, False)
    assert client.get(f"{PATH}/health?phase=0").json() == found


def test_what_the_log_does_not_have_is_not_found(client: TestClient) -> None:
    for path in ("/v1/experiments/other/health", f"{PATH}/health?phase=3"):
        answered = client.get(path)
        assert (answered.status_code, answered.json()["code"]) == (404, "unknown_experiment")


def test_an_export_is_read_page_by_page(client: TestClient) -> None:
    rows, cursor, more = [], None, "true"
    while more == "true":
        params = {"limit": "7"} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{PATH}/export", params=params)
        assert page.status_code == 200
        assert page.headers["Content-Type"].startswith("application/x-ndjson")
        rows += [json.loads(line) for line in page.text.splitlines()]
        cursor, more = page.headers["X-Next-Cursor"], page.headers["X-More"]
    assert [row["subject_id"] for row in rows] == [NAMES.of("visitor", f"v{n}") for n in range(40)]
    assert set(rows[0]) == {"timestamp", "experiment_id", "variation_id", "subject_id"}
    assert client.get(f"{PATH}/export", params={"cursor": cursor}).text == ""


def test_parquet_is_written_elsewhere(client: TestClient) -> None:
    answered = client.get(f"{PATH}/export?format=parquet")
    assert (answered.status_code, answered.json()["code"]) == (406, "no_such_format")
    assert f"desirepath experiment export {KEY}" in answered.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/experiments/%20/health",
        "/v1/experiments/-x/export",
        f"{PATH}/export?limit=0",
        f"{PATH}/export?cursor=x",
        f"{PATH}/export?format=csv",
        f"{PATH}/health?phase=-1",
    ],
)
def test_what_is_not_acceptable_is_refused(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 422


def test_a_position_beyond_the_end_is_an_empty_page(client: TestClient) -> None:
    cursor = client.get(f"{PATH}/export").headers["X-Next-Cursor"]
    places = json.loads(base64.urlsafe_b64decode(cursor))
    assert "other.1" in places
    for number, status in ((2**40, 200), (10**30, 422), (-1, 422)):
        beyond = {writer: [number, number] for writer in places}
        text = base64.urlsafe_b64encode(json.dumps(beyond).encode()).decode()
        answered = client.get(f"{PATH}/export", params={"cursor": text})
        assert answered.status_code == status
        assert answered.text == "" or status == 422


def test_one_look_at_a_time(client: TestClient) -> None:
    looks = client.app.state.service.looks
    looks.enter()
    try:
        answered = client.get(f"{PATH}/health")
    finally:
        looks.leave()
    assert (answered.status_code, answered.json()["code"]) == (503, "overloaded")
    assert client.get(f"{PATH}/health").status_code == 200


def test_a_child_that_fails_is_said(
    client: TestClient, large: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.routes.experiment_log._JOB", "no_such_module")
    answered = client.get(f"{PATH}/health")
    assert (answered.status_code, answered.json()["code"]) == (503, "log_not_read")
    assert answered.headers["Retry-After"] == "30"


def test_a_log_that_nobody_has_written_to(tmp_path: Path) -> None:
    publish_shop(tmp_path / "shop")
    with in_process(tmp_path / "shop") as fresh:
        assert fresh.get(f"{PATH}/health").status_code == 404
        assert fresh.get(f"{PATH}/export").text == ""
