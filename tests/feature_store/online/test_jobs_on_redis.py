"""Jobs beside the service, with the online store on Redis: materialise, erase, the quarantine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feature_store.erase import erase
from feature_store.erasures import Erasures
from feature_store.ingest import ingest
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.log_replay import replay_into_log
from feature_store.materialise import materialise_store
from feature_store.online.erase import Eraser
from feature_store.online.follower import LogFollower
from feature_store.online.opening import open_store
from feature_store.online.visitors import Visitors
from recommender.errors import ConfigError, InvalidEventError, StorageBusyError, StorageError
from tests.feature_store.log_cases import event, submit
from tests.redis_server import RedisServer, needs_redis, started

pytestmark = needs_redis
HOUR = 3_600_000_000


def clock() -> int:
    return time.time_ns() // 1000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    server = started(tmp_path / "redis")
    yield server
    server.stop()


@pytest.fixture
def layout(tmp_path: Path) -> StoreLayout:
    """A shop whose service has stopped; its log is in the tables."""
    layout = StoreLayout(tmp_path / "shop")
    store = open_store(layout, clock)
    intake = Intake(layout, Visitors(store), clock)
    now = clock()
    submit(intake, [event("a", now - HOUR), event("b", now - HOUR, visitor_id="v2", user_id="u")])
    intake.close()
    store.close()
    ingest(layout.log, "desirepath-log", layout)
    return layout


def totals(layout: StoreLayout, server: RedisServer, visitor_id: str) -> dict[str, int]:
    store = open_store(layout, clock, server.url)
    try:
        return Visitors(store).get(visitor_id, None, datetime.now(UTC)).totals
    finally:
        store.close()


def test_an_empty_server_is_filled_and_filling_it_again_counts_nothing_twice(
    layout: StoreLayout, server: RedisServer
) -> None:
    for _ in range(2):
        report = materialise_store(layout, clock, redis_url=server.url)
        assert report.visitors.put == 2
        for visitor_id in ("v1", "v2"):
            assert totals(layout, server, visitor_id) == {"view_item": 1}
    server.flush()
    materialise_store(layout, clock, views=["visitor_activity"], redis_url=server.url)
    assert totals(layout, server, "v1") == {"view_item": 1}


def test_nothing_is_brought_in_while_the_service_is_behind(
    layout: StoreLayout, server: RedisServer
) -> None:
    store = open_store(layout, clock, server.url)
    follower = LogFollower(store, layout.log)  # type: ignore[arg-type]
    intake = Intake(layout, follower, clock)
    submit(intake, [event("c", clock())])
    with pytest.raises(StorageBusyError, match="try again"):
        materialise_store(layout, clock, redis_url=server.url)
    follower.look()
    materialise_store(layout, clock, redis_url=server.url)
    assert totals(layout, server, "v1") == {"view_item": 2}
    intake.close()
    store.close()


def test_the_remains_of_an_erased_shopper_are_swept(
    layout: StoreLayout, server: RedisServer
) -> None:
    materialise_store(layout, clock, redis_url=server.url)
    store, erasures = open_store(layout, clock, server.url), Erasures(layout.erasures)
    visitors = Visitors(store, erased_at=erasures.erased_at)
    copy = store.get_many(["v:v1"])[0]
    Eraser(store, visitors, erasures, clock, lambda kind, name: f"{kind}-{name}").erase("v1")
    assert store.get_many(["v:v1"]) == [None]
    store.update(["v:v1"], lambda _: {"v:v1": copy}, 60)  # an old copy came back
    assert erase(layout, clock, server.url).states == 1
    assert store.get_many(["v:v1"]) == [None]
    store.close()


def test_events_of_the_quarantine_count_once(layout: StoreLayout, server: RedisServer) -> None:
    late = b'{"event_type": "view_item", "visitor_id": "v3", "event_id": "q", "ts": %d, '
    late += b'"items": [{"item_id": "i"}]}'
    store = open_store(layout, clock)
    intake = Intake(layout, Visitors(store), clock)
    refused = InvalidEventError("invalid_value", "it was taken for wrong")
    intake.submit([refused], [late % (clock() - HOUR)]).result(10)
    intake.close()
    store.close()
    report = replay_into_log(layout, clock, redis_url=server.url)
    assert report.submitted == {"accepted": 1}
    materialise_store(layout, clock, redis_url=server.url)
    assert totals(layout, server, "v3") == {"view_item": 1}


def test_a_server_that_is_away_or_misnamed_is_said(
    layout: StoreLayout, server: RedisServer
) -> None:
    server.kill()
    with pytest.raises(StorageError, match="cannot read redis://127"):
        materialise_store(layout, clock, redis_url=server.url)
    with pytest.raises(ConfigError, match="accepted: redis://"):
        materialise_store(layout, clock, redis_url="shop")
