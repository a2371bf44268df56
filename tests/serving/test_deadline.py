"""A deadline over HTTP: what is slow costs stages, never the answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from recommender.candidates.popularity import PopularitySource
from tests.serving.service import TestClient, decisions, in_process

PAGE = {"item_ids": ["item-02"]}


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is popular is found after 30 ms."""
    fill = PopularitySource.fill

    def late(self: PopularitySource, *asked: Any) -> None:
        time.sleep(0.03)
        fill(self, *asked)

    monkeypatch.setattr(PopularitySource, "fill", late)


def ask(client: TestClient, path: str = "/v1/recommendations", **body: Any) -> dict[str, Any]:
    answer = client.post(path, json={"visitor_id": "ann", "context": PAGE} | body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.usefixtures("slow")
def test_a_slow_stage_makes_an_answer_of_fewer_stages(root: Path) -> None:
    with in_process(root) as client:
        hurried = ask(client, placement="next", deadline_ms=20)
        patient = ask(client, placement="next", deadline_ms=60_000)
    assert hurried["items"]
    assert hurried["late"] is True
    assert "late" not in patient
    first, second = decisions(root)
    assert (first.degraded_reason, second.degraded_reason) == ("deadline", None)


@pytest.mark.usefixtures("slow")
def test_all_lists_of_a_page_share_one_deadline(root: Path) -> None:
    places = [{"placement": "next", "limit": 5}, {"placement": "similar", "limit": 5}]
    with in_process(root) as client:
        answers = ask(client, "/v1/recommendations/page", placements=places, deadline_ms=20)
    assert [each["late"] for each in answers["answers"]] == [True, True]
    assert all(each["items"] for each in answers["answers"])


@pytest.mark.usefixtures("slow")
def test_a_late_answer_is_not_put_into_caches(root: Path) -> None:
    with in_process(root) as client:
        url = "/v1/recommendations?placement=similar&item_id=item-02"
        late = client.get(f"{url}&deadline_ms=20")
        whole = client.get(url)
    assert late.headers["cache-control"] == "no-store"
    assert "max-age" in whole.headers["cache-control"]


@pytest.mark.parametrize("deadline", [0, -5, 60_001, 1.5, "20"])
def test_a_deadline_that_is_none_is_refused(root: Path, deadline: object) -> None:
    with in_process(root) as client:
        body = {"placement": "home", "deadline_ms": deadline}
        answer = client.post("/v1/recommendations", json=body)
    assert answer.status_code == 422
    assert "deadline_ms" in answer.json()["detail"]
