"""A contestant under arrivals at a fixed rate: its figures, its process, the highest rate."""

from __future__ import annotations

import os
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle, islice
from pathlib import Path
from threading import Thread

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.latency_parts.contestants import Contestant
from benchmarks.latency_parts.fixed_rate import CONNECTIONS, Load, highest, load_of
from benchmarks.latency_parts.phases import OpenLoad
from benchmarks.latency_parts.processes import Startable
from benchmarks.open_loop import Loader, Outcome, Question


@given(st.floats(0.1, 1e4), st.floats(0.01, 1.0))
def test_the_highest_rate_is_found_by_halving(most: float, share: float) -> None:
    limit = most * share
    tried: list[float] = []

    def bears(rate: float) -> bool:
        tried.append(rate)
        return rate <= limit

    found = highest(bears, most, 12)
    assert found <= limit
    assert limit - found <= most / 2**12
    assert tried[0] == most


def test_whatever_is_no_success_is_an_error_and_has_no_part_in_the_times() -> None:
    question = Question("", b"")
    loader = Loader("http://shop", cycle([question]))
    loader.outcomes += [Outcome(question, 0.0, 5.0, status, 1, b"") for status in (0, 404, 503)]
    loader.late = 2
    assert load_of(loader, 50.04) == Load(50.0, 0, float("inf"), float("inf"), errors=3, late=2)
    loader.outcomes += [Outcome(question, 0.0, ms, 200, 1, b"") for ms in (1.0, 2.00049, 3.0)]
    assert load_of(loader, 50.0) == Load(50.0, 3, 2.0, 3.0, errors=3, late=2)


def test_a_process_of_its_own_asks_the_questions_of_a_contestant_in_turn(tmp_path: Path) -> None:
    asked: list[tuple[str, str | None, bytes]] = []

    class Answering(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["X-API-Key"], body))
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    class Server(ThreadingHTTPServer):
        request_queue_size = CONNECTIONS

    contestant = Contestant(Startable("shop", (), 0, "/"), "a key", tmp_path, "/v1/questions")
    with Server(("127.0.0.1", 0), Answering) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        cpus = frozenset(os.sched_getaffinity(0))
        load = OpenLoad(contestant, url, visitors=3, cpus=cpus, seconds=1)
        found = load.run(load.written(tmp_path / "plan.json"), 20.0)
        server.shutdown()
        thread.join()
    assert found.keys() == {"rate", "answered", "p50_ms", "p99_ms", "errors", "late"}
    assert (found["rate"], found["answered"], found["errors"]) == (20.0, 20, 0)
    assert found["p50_ms"] > 0
    expected = [("/v1/questions", "a key", body.encode()) for body in contestant.bodies(3)]
    assert Counter(asked) == Counter(islice(cycle(expected), 20))
