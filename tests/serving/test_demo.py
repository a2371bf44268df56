from __future__ import annotations

import re
from pathlib import Path

import pytest

from recommender.errors import ConfigError
from serving.settings import Settings
from tests.serving.service import TestClient, in_process


@pytest.fixture
def client(root: Path):  # type: ignore[no-untyped-def]
    with in_process(root, demo=True) as client:
        yield client


def test_the_page_and_its_files_load_nothing_from_elsewhere(client: TestClient) -> None:
    files = ["page.css", *(f"{name}.js" for name in ("words", "behind", "visits", "page"))]
    page = client.get("/demo").text
    for path in ("/demo", *(f"/demo/{name}" for name in files)):
        assert path == "/demo" or f'"{path}"' in page
        answer = client.get(path)
        assert answer.status_code == 200
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert not re.search(r"https?://|//[a-z]+\.", answer.text)


def test_the_shelf_shows_the_catalogue_most_popular_first(client: TestClient) -> None:
    shelf = client.get("/demo/shelf").json()
    assert shelf["total"] == 20
    assert shelf["items"][0]["item_id"] == "item-00"
    assert shelf["categories"] == ["garden", "garden/seeds", "garden/tools", "kitchen"]
    kitchen = client.get("/demo/shelf", params={"category": "kitchen"}).json()
    assert {item["category"] for item in kitchen["items"]} == {"kitchen"}
    found = client.get("/demo/shelf", params={"words": "ZENITH 12"}).json()
    assert [item["item_id"] for item in found["items"]] == ["item-12"]
    assert client.get("/demo/shelf", params={"offset": "18"}).json()["offset"] == 18
    assert client.get("/demo/shelf", params={"offset": "-1"}).status_code == 422


def test_the_record_behind_an_answer_comes_from_the_log(client: TestClient) -> None:
    asked = {"placement": "home", "visitor_id": "v"}
    answer = client.post("/v1/recommendations", json=asked).json()
    record = client.get(f"/demo/decisions/{answer['recommendation_id']}").json()
    assert [item["item_id"] for item in record["items"]] == [
        item["item_id"] for item in answer["items"]
    ]
    assert record["record"] == "decision"
    assert client.get("/demo/decisions/unknown").status_code == 404


def test_the_evaluation_is_what_training_left(client: TestClient, root: Path) -> None:
    missing = client.get("/demo/evaluation")
    assert missing.status_code == 404
    assert "desirepath train" in missing.json()["detail"]
    (root / "evaluation.json").write_text('{"users": 3}')
    assert client.get("/demo/evaluation").json() == {"users": 3}


def test_the_journeys_are_there_only_once_they_were_reported(
    client: TestClient, root: Path
) -> None:
    missing = client.get("/demo/journeys")
    assert missing.status_code == 404
    assert "desirepath report journeys" in missing.json()["detail"]
    (root / "reports").mkdir()
    (root / "reports" / "journeys.html").write_text("<h1>Journeys</h1>")
    found = client.get("/demo/journeys")
    assert found.text == "<h1>Journeys</h1>"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    assert found.headers["content-type"].startswith("text/html")


def test_without_the_setting_there_is_no_demonstration(tmp_path: Path) -> None:
    with in_process(tmp_path) as client:
        for path in ("/demo", "/demo/journeys", "/demo/words.js"):
            assert client.get(path).status_code == 404
    with pytest.raises(ConfigError, match="demo"):
        Settings(root=tmp_path, demo=True)
