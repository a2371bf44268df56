"""Connections that do not come to the point, over real sockets."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.serving.service import Process, publish_shop, running

PATIENCE = 0.5
HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LENGTH = HEAD + b"Content-Length: 1000\r\n\r\n["
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n1\r\n[\r\n"
UNKNOWN = LENGTH.replace(b"/v1/events", b"/nowhere")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    root = tmp_path_factory.mktemp("protocol") / "shop"
    publish_shop(root)
    with running(root, "--dev", "--body-timeout-seconds", str(PATIENCE)) as process:
        yield process


def connect(service: Process) -> socket.socket:
    address = urlsplit(service.url)
    assert address.port is not None
    return socket.create_connection((address.hostname or "", address.port), timeout=0.05)


def drip(connection: socket.socket, drop: bytes, seconds: float) -> tuple[bytes, float]:
    """Send a drop now and then until the connection ends: what came back, and after how long."""
    started, received = time.monotonic(), b""
    while (passed := time.monotonic() - started) < seconds:
        try:
            if drop:
                connection.sendall(drop)
            if not (part := connection.recv(65536)):
                return received, passed
            received += part
        except TimeoutError:
            continue
        except (ConnectionResetError, BrokenPipeError):
            return received, passed
    raise AssertionError(f"still open after {seconds} s; received {received!r:.200}")


@pytest.mark.parametrize(
    ("first", "drop", "status"),
    [
        (b"GET /health/live HTTP/1.1\r\nHost: x\r\nX-Slow: ", b"a", b""),
        (b"GET /health", b"", b""),
        (LENGTH, b" ", b"408"),
        (CHUNKED, b"1\r\n \r\n", b"408"),
        (LENGTH, b"", b"408"),
        (UNKNOWN, b" ", b"404"),
        (HEAD + b"Content-Length: 99999999\r\n\r\n", b" " * 1000, b"413"),
    ],
    ids=["head", "half a line", "body", "chunks", "stalled body", "refused body", "large body"],
)
def test_who_never_comes_to_the_end_is_answered_and_closed(
    service: Process, first: bytes, drop: bytes, status: bytes
) -> None:
    with connect(service) as connection:
        connection.sendall(first)
        received, seconds = drip(connection, drop, 10 * PATIENCE)
    assert received[9:12] == status
    assert seconds > 0.8 * PATIENCE


@pytest.mark.parametrize("ending", [b"", b"\r\nX-B: b" * 10], ids=["one header", "many"])
def test_a_head_without_end_is_refused_by_size(service: Process, ending: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(b"GET /health/live HTTP/1.1\r\nX-A: ")
        received, _ = drip(connection, b"a" * 20_000 + ending, 10 * PATIENCE)
    assert received.startswith(b"HTTP/1.1 400 ")


def test_what_follows_a_chunked_body_is_no_header(service: Process) -> None:
    with connect(service) as connection:
        trailers = b"0\r\nX-Request-ID: from-the-trailer\r\n\r\n"
        connection.sendall(CHUNKED + b"1\r\n]\r\n" + trailers)
        time.sleep(0.2)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 202 ")
        assert b"from-the-trailer" not in answer


def ask(connection: socket.socket, request: bytes) -> bytes:
    """Status of the one answer to a request; all of it is read."""
    connection.settimeout(5)
    connection.sendall(request)
    received = connection.recv(65536)
    while b"}" not in received:
        received += connection.recv(65536)
    return received[9:12]


def test_an_idle_connection_stays_for_the_next_request(service: Process) -> None:
    question = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with connect(service) as connection:
        for _ in range(2):
            time.sleep(2 * PATIENCE)
            assert ask(connection, question) == b"200"
        # A refused request whose body did arrive leaves the connection as good as it was.
        assert ask(connection, UNKNOWN + b" " * 999) == b"404"
        time.sleep(2 * PATIENCE)
        assert ask(connection, question) == b"200"
