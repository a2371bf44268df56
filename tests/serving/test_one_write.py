"""What is sent in one write is what uvicorn sends in two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving.protocol import bounded_protocol

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")
CLOSE = GET.replace(b"Host", b"Connection: close\r\nHost")
OLD = GET.replace(b"1.1", b"1.0")
LENGTH, TYPE = (b"content-length", b"2"), (b"content-type", b"text/plain")


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(content: bytes, **more: bool) -> dict[str, Any]:
    return {"type": "http.response.body", "body": content, **more}


CASES: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "plain": (GET, [start(LENGTH, TYPE), body(b"ok")]),
    "an error": (GET, [start(LENGTH, status=503), body(b"no")]),
    "without length": (GET, [start(TYPE), body(b"ok")]),
    "in pieces": (GET, [start(LENGTH), body(b"o", more_body=True), body(b"k")]),
    "streamed": (GET, [start(), body(b"o", more_body=True), body(b"k", more_body=True), body(b"")]),
    "head": (HEAD, [start(LENGTH), body(b"ok")]),
    "no content": (GET, [start(status=204), body(b"")]),
    "not modified": (GET, [start((b"etag", b'"x"'), status=304), body(b"")]),
    "asked to close": (CLOSE, [start(LENGTH), body(b"ok")]),
    "closes": (GET, [start(LENGTH, (b"connection", b"close")), body(b"ok")]),
    "old": (OLD, [start(LENGTH), body(b"ok")]),
    "chunked": (GET, [start((b"transfer-encoding", b"chunked")), body(b"ok")]),
    "too short": (GET, [start(LENGTH), body(b"o")]),
    "too long": (GET, [start(LENGTH), body(b"okay")]),
    "split": (GET, [start(LENGTH, (b"x-a", b"b\r\nset-cookie: c")), body(b"ok")]),
    "split by a name": (GET, [start(LENGTH, (b"x\nb", b"c")), body(b"ok")]),
    "nothing": (GET, []),
    "no head": (GET, [body(b"ok")]),
    "one too many": (GET, [start(LENGTH), body(b"ok"), body(b"ok")]),
    "two heads": (GET, [start(LENGTH), start(LENGTH), body(b"ok")]),
}


async def answered(
    protocol: type[asyncio.Protocol], requests: list[bytes], app: Callable[..., Any]
) -> bytes:
    """All that comes back for these requests on one connection, sent at once."""
    config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    state.default_headers = [(b"server", b"s")]
    make: Any = protocol
    server = await asyncio.get_running_loop().create_server(
        lambda: make(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(requests))
        received = b""
        while True:
            try:
                async with asyncio.timeout(0.15):
                    part = await reader.read(65536)
            except TimeoutError:
                received += b"<open>"
                break
            if not part:
                received += b"<closed>"
                break
            received += part
        writer.close()
    return received


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore")
def test_the_bytes_are_the_same(case: str, pipelined: bool) -> None:
    request, messages = CASES[case]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        is_next = (b"x-next", b"1") in scope["headers"]
        for each in CASES["plain"][1] if is_next else messages:
            await send(each)

    later = GET.replace(b"Host", b"X-Next: 1\r\nHost")
    requests = [request, later] if pipelined else [request]
    stock = asyncio.run(answered(HttpToolsProtocol, requests, app))
    ours = asyncio.run(answered(bounded_protocol(5.0), requests, app))
    assert ours == stock


@pytest.mark.filterwarnings("ignore")
def test_an_application_that_stops_after_the_head_is_a_plain_error() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(LENGTH))

    received = asyncio.run(answered(bounded_protocol(5.0), [GET], app))
    assert received.startswith(b"HTTP/1.1 500 ")
    assert received.endswith(b"Internal Server Error<closed>")


def test_a_plain_answer_is_one_write() -> None:
    async def run() -> list[bytes]:
        written: list[bytes] = []

        class Watched(bounded_protocol(5.0)):  # type: ignore[misc]
            def connection_made(self, transport: Any) -> None:
                super().connection_made(transport)
                write = transport.write

                class Transport:
                    def __getattr__(self, name: str) -> Any:
                        return getattr(transport, name)

                    def write(self, data: bytes) -> None:
                        written.append(data)
                        write(data)

                self.transport = Transport()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send(start(LENGTH, TYPE))
            await send(body(b"ok"))

        await answered(Watched, [GET, GET], app)
        return written

    head = b"HTTP/1.1 200 OK\r\nserver: s\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\n"
    assert asyncio.run(run()) == [head + b"ok"] * 2
