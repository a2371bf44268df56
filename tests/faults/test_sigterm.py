"""Told to stop, the service takes leave: nobody inside is turned away, nothing answered is lost."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from feature_store.records import EventRecord
from tests.serving.load import load
from tests.serving.service import (
    Process,
    decisions,
    event,
    publish_shop,
    records,
    running,
    start,
    workers,
)

# 15 keep the suite quick; 50 and more were run by hand.
RESTARTS = 15


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    publish_shop(folder)
    return folder


def stop_under_load(process: Process) -> tuple[list[str], int, set[str]]:
    told = threading.Event()
    with load(process.url, 4, give_up=told.is_set) as tally:
        time.sleep(0.3)
        told.set()
        process.child.send_signal(signal.SIGTERM)
        process.child.wait(30)
    ids = {answer["recommendation_id"] for answer in tally.answers}
    return tally.failures, process.stop(), ids


@pytest.mark.parametrize("workers", ["1", "2"])
def test_nobody_is_turned_away_and_every_answer_is_in_the_log(root: Path, workers: str) -> None:
    for _ in range(3):
        failures, code, answered = stop_under_load(start(root, "--dev", "--workers", workers))
        assert failures == []
        assert code == 0
        assert len(answered) > 20
        assert answered <= {record.decision_id for record in decisions(root)}


def knock(process: Process, failures: list[str]) -> None:
    """Open a connection for every question until none is taken."""
    while True:
        with process.client() as client:
            try:
                client.get("/health/live")
            except httpx.ConnectError:
                return
            except httpx.TransportError as error:
                failures.append(repr(error))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_connection_that_is_taken_is_answered_to_the_last(root: Path, workers: str) -> None:
    process = start(root, "--dev", "--workers", workers)
    failures: list[str] = []
    callers = [threading.Thread(target=knock, args=(process, failures)) for _ in range(4)]
    for caller in callers:
        caller.start()
    time.sleep(0.2)
    assert process.stop() == 0
    for caller in callers:
        caller.join()
    assert failures == []


def test_readiness_goes_first_and_a_slow_caller_still_gets_an_answer(root: Path) -> None:
    process = start(root, "--dev")
    address = urlsplit(process.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as slow:
        slow.sendall(
            b"POST /v1/recommendations HTTP/1.1\r\nHost: shop\r\n"
            b'Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{"placement":'
        )
        time.sleep(0.2)
        process.child.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with process.client() as client:
            ready = client.get("/health/ready")
            assert ready.status_code == 503
            assert ready.headers["connection"] == "close"
            assert client.get("/health/live").status_code == 200
        time.sleep(1.0)  # the notice is over, the port is closed, the caller is still inside
        with pytest.raises(httpx.ConnectError), process.client() as client:
            client.get("/health/live")
        slow.sendall(b'"home"}')
        answer = b""
        while chunk := slow.recv(65536):
            answer += chunk
    assert answer.startswith(b"HTTP/1.1 200")
    assert process.stop() == 0
    assert len(decisions(root)) == 1


def test_a_caller_who_never_ends_is_left_after_the_time_set(root: Path) -> None:
    env = {"DESIREPATH_DRAIN_SECONDS": "1", "DESIREPATH_DRAIN_NOTICE_SECONDS": "0"}
    process = start(root, "--dev", env=env)
    address = urlsplit(process.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as stuck:
        stuck.sendall(b"POST /v1/events HTTP/1.1\r\nHost: shop\r\nContent-Length: 9\r\n")
        stuck.sendall(b"Content-Type: application/json\r\n\r\n[")
        time.sleep(0.2)
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 5


def test_who_has_connected_and_is_slow_to_ask_gets_an_answer(root: Path) -> None:
    process = start(root, "--dev", env={"DESIREPATH_DRAIN_NOTICE_SECONDS": "0"})
    address = urlsplit(process.url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as slow:
        time.sleep(0.2)
        process.child.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        slow.sendall(b"GET /health/live HTTP/1.1\r\nHost: shop\r\n\r\n")
        answer = slow.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200")
    assert process.stop() == 0


def test_who_has_connected_and_asks_nothing_does_not_hold_it_up(root: Path) -> None:
    process = start(root, "--dev", env={"DESIREPATH_DRAIN_NOTICE_SECONDS": "0"})
    address = urlsplit(process.url)
    with socket.create_connection((address.hostname, address.port), timeout=20):
        time.sleep(0.2)
        started = time.monotonic()
        assert process.stop() == 0
        assert time.monotonic() - started < 5


def test_a_second_signal_does_not_wait(root: Path) -> None:
    process = start(root, "--dev", env={"DESIREPATH_DRAIN_NOTICE_SECONDS": "20"})
    process.child.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    started = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - started < 10


def test_events_taken_in_are_in_the_log(root: Path) -> None:
    process = start(root, "--dev")
    sent: list[str] = []

    def send() -> None:
        with process.client() as client:
            for number in range(10_000):
                try:
                    answer = client.post("/v1/events", json=event("ann", event_id=f"e-{number}"))
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    sent.append(f"e-{number}")

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(0.5)
    assert process.stop() == 0
    sender.join()
    stored = {each.event.event_id for each in records(root) if isinstance(each, EventRecord)}
    assert len(sent) > 5
    assert set(sent) <= stored


@pytest.mark.slow
def test_rolling_restarts_cost_no_request(root: Path) -> None:
    """One worker after the other is told to stop; its successor takes over the socket."""
    env = {"DESIREPATH_DRAIN_NOTICE_SECONDS": "0.1"}
    with (
        running(root, "--dev", "--workers", "2", env=env) as process,
        load(process.url, 3) as tally,
    ):
        for restart in range(RESTARTS):
            before = workers(process)
            assert len(before) == 2
            os.kill(before[restart % 2], signal.SIGTERM)
            deadline = time.monotonic() + 20
            while len(now := workers(process)) < 2 or before[restart % 2] in now:
                assert time.monotonic() < deadline
                time.sleep(0.01)
    assert tally.failures == []
    assert len(tally.answers) > 200
