"""Experiments for the tests of the service."""

from __future__ import annotations

from typing import Any

import httpx

from tests.serving.service import TestClient

URL = "/v1/experiments/"


def spec(*arms: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A running experiment whose arms have equal weights; control and treatment by default."""
    arms = arms or ({"key": "control"}, {"key": "treatment"})
    weighted = [{"weight": 1 / len(arms)} | arm for arm in arms]
    return {"arms": weighted, "status": "running", "placements": ["home"]} | more


def put(
    client: TestClient | httpx.Client, key: str, body: dict[str, Any], etag: str | None = None
) -> httpx.Response:
    """Make or change an experiment."""
    headers = {} if etag is None else {"If-Match": etag}
    return client.put(URL + key, json=body, headers=headers)


def make(client: TestClient | httpx.Client, key: str, *arms: dict[str, Any], **more: Any) -> str:
    """Make an experiment that must be acceptable; returns its ETag."""
    answer = put(client, key, spec(*arms, **more))
    assert answer.status_code == 200, answer.text
    return str(answer.headers["etag"])


def ask(client: TestClient | httpx.Client, visitor_id: str | None = "v", **more: Any) -> Any:
    """An answer at the placement `home`."""
    question = {"placement": "home", "visitor_id": visitor_id} | more
    answer = client.post("/v1/recommendations", json=question)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(client: TestClient | httpx.Client, **question: Any) -> tuple[int, str]:
    """Status and code of a question that is refused."""
    answer = client.post("/v1/recommendations", json={"placement": "home"} | question)
    return answer.status_code, answer.json()["code"]


def visitors_of(client: TestClient | httpx.Client, key: str, n: int = 40) -> dict[str, str]:
    """Visitor → arm, of some visitors, by a look-up."""
    ids = [f"v{number}" for number in range(n)]
    question = {"subjects": [{"visitor_id": each} for each in ids], "experiments": [key]}
    answer = client.post("/v1/assignments", json=question)
    assert answer.status_code == 200, answer.text
    arms = [each[0]["variant"] for each in answer.json()["assignments"]]
    return dict(zip(ids, arms, strict=True))
