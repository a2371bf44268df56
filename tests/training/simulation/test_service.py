"""The shop against a real HTTP server on this machine that takes events as the service does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from feature_store.dialects import normalise
from recommender.errors import InvalidEventError, InvalidInputError, StorageError
from recommender.placements import read_placements
from serving.schemas import RecommendationRequest
from tests.training.simulation.shops import START
from training.simulation.recommenders import PageContext
from training.simulation.run import RunRequest, RunResult, live_start, run_against
from training.simulation.service import (
    LARGEST_BATCH,
    Connection,
    EventSender,
    ServiceRecommender,
)

ITEMS = [f"sku-{number:05d}" for number in range(1, 5)]


@dataclass
class Received:
    """What the server got: events, and questions with whether it knew the session by then."""

    events: list[dict[str, object]] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    asked: list[tuple[dict[str, Any], bool]] = field(default_factory=list)
    batches: list[int] = field(default_factory=list)
    keys: set[str | None] = field(default_factory=set)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else every answer waits for a delayed ACK
    received: Received
    status = 200

    def do_POST(self) -> None:
        body = msgspec.json.decode(self.rfile.read(int(self.headers["Content-Length"])))
        self.received.keys.add(self.headers["X-API-Key"])
        answer = self.take(body) if self.path == "/v1/events" else self.suggest(body)
        encoded = msgspec.json.encode(answer)
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(encoded)))
        self.end_headers()
        self.wfile.write(encoded)

    def take(self, body: list[dict[str, object]]) -> dict[str, object]:
        rejected = []
        for index, raw in enumerate(body):
            try:
                normalise(raw, int(str(raw["ts"])))
            except InvalidEventError as error:
                rejected.append({"index": index, "code": error.code, "detail": error.detail})
        self.received.events.extend(body)
        self.received.sessions.update(str(event.get("session_id")) for event in body)
        self.received.batches.append(len(body))
        return {"accepted": len(body) - len(rejected), "duplicates": 0, "rejected": rejected}

    def suggest(self, body: dict[str, object]) -> dict[str, object]:
        known = body["session_id"] in self.received.sessions
        self.received.asked.append((body, known))
        number = len(self.received.asked)
        return {
            "recommendation_id": f"answer-{number}",
            "items": [{"item_id": one, "rank": 1} for one in ITEMS],
            "placement": body["placement"],
        }

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving(status: int = 200) -> Iterator[tuple[str, Received]]:
    received = Received()
    handler = type("One", (Handler,), {"received": received, "status": status})
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def delivered(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[RunResult, Received, Path]]:
    out = tmp_path_factory.mktemp("against") / "run"
    with serving() as (url, received):
        request = RunRequest(out, START, shoppers=120, days=3, items=60, seed=1)
        connection = Connection(url, "secret-key")
        result = run_against(request, connection)
        connection.close()
        yield result, received, out


def test_every_event_arrives_and_is_accepted(delivered: tuple[RunResult, Received, Path]) -> None:
    result, received, out = delivered
    assert len(received.events) == result.events == result.delivery["accepted"]
    assert result.delivery["rejected"] == {}
    written = [
        msgspec.json.decode(line) for line in (out / "events.jsonl").read_bytes().splitlines()
    ]
    assert {event["event_id"] for event in written} == {
        event["event_id"] for event in received.events
    }
    assert max(received.batches) <= LARGEST_BATCH


def test_events_of_a_page_arrive_before_its_question(
    delivered: tuple[RunResult, Received, Path],
) -> None:
    _, received, _ = delivered
    viewing = [(body, known) for body, known in received.asked if body["placement"] == "item"]
    assert len(viewing) > 50
    assert all(body["context"]["item_ids"] for body, _ in viewing)
    assert all(known for _, known in viewing)


def test_events_of_a_visitor_arrive_in_their_order(
    delivered: tuple[RunResult, Received, Path],
) -> None:
    _, received, _ = delivered
    last: dict[str, int] = {}
    for event in received.events:
        session, ts = event.get("session_id"), int(str(event["ts"]))
        if session is not None:
            assert last.get(str(session), 0) < ts
            last[str(session)] = ts


def test_questions_are_those_that_the_service_takes(
    delivered: tuple[RunResult, Received, Path],
) -> None:
    _, received, _ = delivered
    placements = read_placements()
    for body, _ in received.asked:
        question = msgspec.convert(body, RecommendationRequest)
        assert question.placement in placements
        assert question.visitor_id
    assert {body["placement"] for body, _ in received.asked} == {"home", "category", "item", "cart"}


def test_answers_are_shown_and_named(delivered: tuple[RunResult, Received, Path]) -> None:
    result, received, _ = delivered
    assert result.delivery["answers"] == len(received.asked) > 100
    named = [
        event
        for event in received.events
        if event["event_type"] == "view_item_list" and "recommendation_id" in event
    ]
    assert named
    shown = {item["item_id"] for event in named for item in event["items"]}  # type: ignore[attr-defined]
    assert shown <= set(ITEMS)
    assert received.keys == {"secret-key"}


def test_a_service_that_refuses_or_is_down_stops_the_run(tmp_path: Path) -> None:
    request = RunRequest(tmp_path / "run", START, shoppers=50, days=1, items=60)
    with serving(status=503) as (url, _):
        connection = Connection(url)
        with pytest.raises(StorageError, match="answered 503"):
            run_against(request, connection)
        connection.close()
    again = RunRequest(tmp_path / "again", START, shoppers=50, days=1, items=60)
    with pytest.raises(StorageError, match="cannot be reached"):
        run_against(again, Connection(url))


def test_a_run_longer_than_a_service_remembers_is_refused(tmp_path: Path) -> None:
    request = RunRequest(tmp_path / "run", START, days=8)
    with pytest.raises(InvalidInputError, match="days=8"):
        run_against(request, Connection("http://127.0.0.1:1"))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1:1", "http://example.com", "127.0.0.1:80", "http://localhost/v1"]
)
def test_only_this_machine_is_called(url: str) -> None:
    with pytest.raises(InvalidInputError, match="this machine only"):
        Connection(url)


def test_a_live_run_is_over_when_it_starts() -> None:
    now = datetime(2026, 11, 21, 18, 47, tzinfo=UTC)
    assert live_start(now, 3) == datetime(2026, 11, 18, tzinfo=UTC)


def test_the_truth_is_kept_of_a_live_run_too(delivered: tuple[RunResult, Received, Path]) -> None:
    result, _, out = delivered
    assert pl.read_parquet(out / "truth/sessions.parquet").height == result.visits


def test_who_names_no_limit_leaves_the_length_to_the_placement() -> None:
    page = PageContext(0, "v", None, "s", "phone", "home", None, None, None, (), 8)
    with serving() as (url, received):
        connection = Connection(url)
        for names in (True, False):
            asker = ServiceRecommender(connection, EventSender(connection), names_limit=names)
            assert asker(page).item_ids == ITEMS
        connection.close()
    (named, _), (unnamed, _) = received.asked
    assert named["limit"] == 8
    assert unnamed == {name: value for name, value in named.items() if name != "limit"}
