"""Every route against every scope, made from the application itself."""

from __future__ import annotations

import hashlib
import re
from itertools import combinations
from pathlib import Path

import httpx
import msgspec
import pytest
from fastapi import FastAPI
from starlette.routing import Route

from serving.app import ENDPOINTS, create_app
from serving.endpoint import Endpoint, mount
from serving.security import SCOPES, WRITE, KeyFile, StoredKey
from serving.settings import Settings
from tests.serving.service import TestClient, in_process

SCOPE_SETS = [frozenset(chosen) for n in range(4) for chosen in combinations(SCOPES, n)]


def routes_of(app: FastAPI) -> set[tuple[str, str]]:
    return {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }


def test_no_route_is_without_a_rule() -> None:
    app = create_app(Settings(dev=True))
    rules = set(app.state.access.rules)
    assert {(m, p.replace(":path", "")) for m, p in routes_of(app)} == {
        (m, p.replace(":path", "")) for m, p in rules
    }
    assert all(isinstance(route, Route) for route in app.routes)  # no mounts, no websockets


def test_a_route_without_a_rule_is_not_reachable(tmp_path: Path) -> None:
    app = create_app(Settings(root=tmp_path / "shop", dev=True))

    @app.get("/secret")
    async def secret() -> dict[str, str]:
        return {"secret": "told"}

    assert ("GET", "/secret") in routes_of(app) - set(app.state.access.rules)
    with TestClient(app) as client:
        answer = client.get("/secret")
        assert answer.status_code == 404
        assert answer.json()["code"] == "unknown_path"


def key_for(scopes: frozenset[str]) -> str:
    return "key-" + "-".join(sorted(scopes))


@pytest.fixture
def guarded(root: Path) -> object:
    stored = [
        StoredKey(
            key_for(scopes),
            hashlib.sha256(key_for(scopes).encode()).hexdigest(),
            tuple(sorted(scopes)),
        )
        for scopes in SCOPE_SETS
    ]
    (root / "keys.json").write_bytes(msgspec.json.encode(KeyFile(tuple(stored))))
    with in_process(root, dev=False) as client:
        yield client


def call(client: TestClient, endpoint: Endpoint, headers: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{.*\}", "someone", endpoint.path)
    return client.request(endpoint.method, path, headers=headers)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda each: f"{each.method} {each.path}")
def test_route_by_scope(guarded: TestClient, endpoint: Endpoint) -> None:
    for headers in ({}, {"X-API-Key": "unknown"}, {"Authorization": "Basic abc"}):
        answer = call(guarded, endpoint, headers)
        assert (answer.status_code == 401) == bool(endpoint.scopes), answer.text
        if endpoint.scopes:
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.json()["code"] == "key_missing_or_unknown"
    for scopes in SCOPE_SETS:
        answer = call(guarded, endpoint, {"X-API-Key": key_for(scopes)})
        may = not endpoint.scopes or bool(endpoint.scopes & scopes)
        assert (answer.status_code not in (401, 403)) == may, (scopes, answer.text)
        assert answer.status_code < 500


def test_a_browser_key_only_writes() -> None:
    open_to_writers = {(each.method, each.path) for each in ENDPOINTS if WRITE in each.scopes}
    assert open_to_writers == {
        ("POST", "/v1/events"),
        ("POST", "/v1/exposures"),
        ("PUT", "/v1/visitors/{visitor_id:path}/preferences"),
        ("DELETE", "/v1/visitors/{visitor_id:path}"),  # which refuses browser keys itself
    }


def test_health_and_openapi_are_the_only_public_routes() -> None:
    assert {each.path for each in ENDPOINTS if not each.scopes} == {
        "/health/live",
        "/health/ready",
        "/openapi.json",
    }


def test_two_rules_for_one_route_are_a_mistake() -> None:
    app = create_app(Settings(dev=True))
    with pytest.raises(ValueError, match="two rules"):
        mount(app, app.state.access, ENDPOINTS[:1])


def test_without_keys_nothing_starts(root: Path) -> None:
    from recommender.errors import ConfigError

    with pytest.raises(ConfigError, match="keys"), in_process(root, dev=False):
        pass


def test_cors_is_an_allow_list(root: Path) -> None:
    ask = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,x-api-key",
    }
    with in_process(root, cors_origins=("https://shop.example",)) as client:
        good = {"Origin": "https://shop.example"}
        answer = client.request("OPTIONS", "/v1/events", headers=good | ask)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        answer = client.post("/v1/events", json=[], headers=good)
        assert answer.headers["access-control-allow-origin"] == "https://shop.example"
        refused = client.post("/v1/nothing", json=[], headers=good)
        assert refused.headers["access-control-allow-origin"] == "https://shop.example"
        for origin in ("https://evil.example", "null", "https://shop.example.evil"):
            answer = client.request("OPTIONS", "/v1/events", headers={"Origin": origin} | ask)
            assert "access-control-allow-origin" not in answer.headers
    with in_process(root) as client:
        answer = client.request("OPTIONS", "/v1/events", headers=good | ask)
        assert answer.status_code == 405
        assert "access-control-allow-origin" not in answer.headers
