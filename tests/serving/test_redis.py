"""The service with its visitors in Redis: one loop, through every trouble of the server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recommender.errors import ConfigError
from serving.settings import Settings
from tests.redis_server import RedisServer, needs_redis, started
from tests.serving.service import (
    TestClient,
    decisions,
    event,
    in_process,
    item_ids,
    publish_shop,
    wait_for,
)

pytestmark = needs_redis
ASK = {"placement": "home", "visitor_id": "v-1", "limit": 5}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = started(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def shop(root: Path, server: RedisServer) -> Iterator[TestClient]:
    with in_process(root, online_store="redis", redis_url=server.url) as client:
        wait_for(lambda: not client.app.state.service.follower.counts.behind)
        yield client


def send(client: TestClient, *events: dict[str, Any]) -> None:
    answer = client.post("/v1/events", json=list(events))
    assert answer.status_code == 202, answer.text
    assert answer.json()["accepted"] == len(events)


def ask(client: TestClient, **more: Any) -> dict[str, Any]:
    answer = client.post("/v1/recommendations", json=ASK | more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def is_steady(client: TestClient) -> bool:
    service = client.app.state.service
    is_asked = service.lookup.reader.is_connected and not service.lookup.breaker.is_open
    return is_asked and not service.follower.counts.behind


def totals(client: TestClient, visitor_id: str = "v-1") -> dict[str, int]:
    answer = client.get(f"/v1/visitors/{visitor_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["totals"]


def metric(client: TestClient, line: str) -> float:
    for found in client.get("/metrics").text.splitlines():
        if found.startswith(line + " "):
            return float(found.rsplit(" ", 1)[1])
    return 0.0


def test_an_event_changes_the_very_next_answer(shop: TestClient) -> None:
    before = ask(shop)
    send(shop, event("v-1", "item-07"), event("v-1", "item-07", "add_to_cart"))
    after = ask(shop)
    assert before["fallback_level"] == "popular"
    assert after["fallback_level"] != "popular"
    assert totals(shop) == {"add_to_cart": 1, "view_item": 1}


def test_a_visitor_is_followed_over_devices(shop: TestClient) -> None:
    send(shop, event("phone", "item-07"), event("desk", "item-03"))
    send(shop, event("phone", "item-07", user_id="ann"), event("desk", "item-05", user_id="ann"))
    assert totals(shop, "phone") == totals(shop, "desk") == {"view_item": 4}
    for who in ({"visitor_id": "phone"}, {"visitor_id": None, "user_id": "ann"}):
        assert ask(shop, **who)["fallback_level"] == ask(shop, visitor_id="desk")["fallback_level"]


def test_a_question_asks_redis_once(
    shop: TestClient, server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(shop, event("phone", "item-07", user_id="ann"))
    service = shop.app.state.service
    monkeypatch.setattr(service.store, "get_many", None)  # whoever reads beside the lookup fails
    sent: list[tuple[Any, ...]] = []
    connection = service.lookup.reader._connection
    send_on = connection.ask

    def counted(*command: Any) -> Any:
        if command[0] != "PING":
            sent.append(command)
        return send_on(*command)

    monkeypatch.setattr(connection, "ask", counted)
    for question in ({"visitor_id": "phone"}, {"visitor_id": "x"}, {"user_id": "ann"}):
        sent.clear()
        ask(shop, **question)
        assert len(sent) == 1
    sent.clear()
    page = {"visitor_id": "phone", "placements": [{"placement": "home"}, {"placement": "cart"}]}
    assert shop.post("/v1/recommendations/page", json=page).status_code == 200
    assert len(sent) == 1
    sent.clear()
    ask(shop, personalize=False)
    ask(shop, visitor_id=None)
    assert sent == []


@pytest.mark.parametrize("trouble", ["kill", "hang"])
def test_without_redis_every_question_is_answered_and_no_event_is_lost(
    shop: TestClient, server: RedisServer, root: Path, trouble: str
) -> None:
    send(shop, event("v-1", "item-07"))
    getattr(server, trouble)()
    began = time.monotonic()
    answers = [ask(shop, context={"item_ids": ["item-03"]}) for _ in range(30)]
    assert time.monotonic() - began < 5
    assert all(answer["items"] for answer in answers)
    send(shop, event("v-1", "item-09"))
    assert shop.app.state.service.lookup.breaker.is_open
    assert shop.get("/v1/visitors/v-1").status_code == 503
    ready = shop.get("/health/ready")
    assert (ready.status_code, len(ready.json()["warnings"])) == (200, 2)
    assert metric(shop, 'desirepath_breaker_open{dependency="redis"}') == 1
    assert metric(shop, 'desirepath_online_reads_total{outcome="not_asked"}') > 20
    reasons = [record.degraded_reason for record in decisions(root)]
    assert reasons.count("online_store_failed") == 30
    if trouble == "kill":
        server.start()
    else:
        server.resume()
    wait_for(lambda: is_steady(shop))
    assert totals(shop) == {"view_item": 2}
    assert metric(shop, 'desirepath_breaker_turns_total{dependency="redis",to="closed"}') >= 1


def test_a_flushed_server_is_filled_again_while_questions_are_answered(
    shop: TestClient, server: RedisServer
) -> None:
    send(shop, *(event(f"v-{n}", f"item-{n % 20:02}") for n in range(100)))
    server.flush()
    while shop.app.state.service.follower.counts.lost == 0:
        item_ids(shop.post("/v1/recommendations", json=ASK))
    wait_for(lambda: is_steady(shop))
    assert totals(shop, "v-42") == {"view_item": 1}


def test_a_service_that_starts_without_redis_is_ready_and_catches_up(
    root: Path, server: RedisServer
) -> None:
    server.kill()
    with in_process(root, online_store="redis", redis_url=server.url) as client:
        assert client.get("/health/ready").status_code == 200
        send(client, event("v-1", "item-07"))
        assert ask(client)["items"]
        server.start()
        wait_for(lambda: is_steady(client))
        assert totals(client) == {"view_item": 1}


def test_a_wish_that_cannot_be_stored_is_not_promised(
    shop: TestClient, server: RedisServer
) -> None:
    server.kill()
    answer = shop.put("/v1/visitors/v-1/preferences", json={"personalize": "off"})
    assert answer.status_code == 503
    server.start()
    wait_for(lambda: is_steady(shop))
    known = shop.get("/v1/visitors/v-1").json()
    assert known["preferences"]["personalize"] == "off", "it was durable all the same"


def test_a_value_of_another_kind_is_a_stranger_and_no_trouble(
    shop: TestClient, server: RedisServer
) -> None:
    shop.app.state.service.store._client.lpush("dp:v:v-1", b"x")
    assert ask(shop)["fallback_level"] == "popular"
    assert not shop.app.state.service.lookup.breaker.is_open
    assert metric(shop, 'desirepath_online_reads_total{outcome="failed"}') == 0


def test_erasing_reaches_redis(shop: TestClient) -> None:
    send(shop, event("phone", "item-07", user_id="ann"), event("desk", "item-03", user_id="ann"))
    assert shop.request("DELETE", "/v1/visitors/phone").status_code == 200
    assert totals(shop, "desk") == totals(shop, "phone") == {}
    keys = [key for key, _ in shop.app.state.service.store.scan("")]
    assert [key for key in keys if not key.startswith("p:")] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"online_store": "disk"}, "accepted: lmdb, redis"),
        ({"online_store": "redis", "redis_url": "shop:6379"}, "accepted: redis://"),
        ({"redis_timeout_seconds": 0.0}, "accepted: 0.001 or more"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Settings(**given)


def test_no_text_of_the_settings_shows_the_password() -> None:
    settings = Settings(online_store="redis", redis_url="redis://me:hunter2@shop")
    assert "hunter2" not in repr(settings)


def test_a_missing_extra_is_said(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    for name in ("feature_store.online.redis", "feature_store.online.redis_reader"):
        monkeypatch.setitem(sys.modules, name, None)
    client = in_process(root, online_store="redis")
    with pytest.raises(ConfigError, match=r"desirepath\[redis\]"):
        client.__enter__()


def test_publishing_still_works(root: Path, shop: TestClient) -> None:
    version = publish_shop(root, seed=1)
    wait_for(lambda: ask(shop)["model_version"] == version)
