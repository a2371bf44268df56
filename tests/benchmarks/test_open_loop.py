"""The open-loop load, against servers that stand still, hang up, close and never answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import cycle
from typing import Any

import pytest

from benchmarks import open_loop
from benchmarks.open_loop import Loader, Question, request_bytes

QUESTION = Question("asked", request_bytes("GET", "/", {}, b"", "shop"))
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Answer = Callable[[int], Awaitable[bytes]]


class Server:
    """Answers with what `answer` makes of the number of the question; hangs up after nothing."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked = 0
        self.connected = 0
        self._serving: set[asyncio.Task[None]] = set()

    def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connected += 1
        self._serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def stop(self) -> None:
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(EOFError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                said = await self.answer(self.asked)
                if not said:
                    break
                writer.write(said)


@contextlib.asynccontextmanager
async def loading(server: Server, **limits: Any) -> AsyncIterator[Loader]:
    listening = await asyncio.start_server(server.connect, "127.0.0.1", 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        loader = Loader(f"http://127.0.0.1:{port}", cycle([QUESTION]), **limits)
        yield loader
        await loader.close()
        await server.stop()


def loaded(server: Server, per_second: float, seconds: float, **limits: Any) -> Loader:
    async def run() -> Loader:
        async with loading(server, **limits) as loader:
            await loader.run(per_second, seconds)
        return loader

    return asyncio.run(run())


def always(said: bytes) -> Answer:
    async def answer(_: int) -> bytes:
        return said

    return answer


def test_a_request_has_the_length_of_its_body() -> None:
    asked = request_bytes("POST", "/a", {"X-API-Key": "k"}, "ü".encode(), "shop")
    head = b"POST /a HTTP/1.1\r\nHost: shop\r\nX-API-Key: k\r\nContent-Length: 2\r\n\r\n"
    assert asked == head + "ü".encode()
    assert QUESTION.request == b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"


def test_an_answer_that_comes_late_is_counted_from_when_it_was_due() -> None:
    """The server stands still for a while: those who were due meanwhile have waited, too."""
    stall, rate, seconds = 0.3, 200.0, 1.0

    async def answer(number: int) -> bytes:
        if number == 1:
            time.sleep(stall)  # the loader stands still with it
        return GOOD

    met = loaded(Server(answer), rate, seconds)
    assert len(met.outcomes) == int(rate * seconds)
    assert all(each.is_good and each.body == b"{}" for each in met.outcomes)
    # A closed loop would have met one slow answer; here all that were due in the pause are slow.
    assert sum(each.ms > 1e3 * stall / 3 for each in met.outcomes) > rate * stall / 2
    assert met.late > rate * stall / 2


def test_a_question_waits_for_one_of_so_many_connections_and_its_time_counts() -> None:
    async def answer(number: int) -> bytes:
        await asyncio.sleep(0.2)
        return GOOD

    server = Server(answer)
    met = loaded(server, 1000.0, 0.008, connections=2)
    assert server.connected == 2
    assert [each.is_good for each in met.outcomes] == [True] * 8
    # Four pairs, one after the other.
    assert min(each.ms for each in met.outcomes[6:]) > 4 * 200 - 50


def test_without_a_number_there_are_as_many_connections_as_it_takes() -> None:
    everybody = asyncio.Event()

    async def answer(number: int) -> bytes:
        if number == 8:
            everybody.set()
        await everybody.wait()
        return GOOD

    server = Server(answer)
    met = loaded(server, 1000.0, 0.008)
    assert server.connected == 8
    assert all(each.is_good for each in met.outcomes)


def test_connections_can_be_open_before_the_first_question() -> None:
    server = Server(always(GOOD))

    async def run() -> tuple[int, Loader]:
        async with loading(server, connections=3) as loader:
            await loader.open()
            await asyncio.sleep(0.05)  # the server hears of it
            before = server.connected
            await loader.run(100.0, 0.1)
        return before, loader

    before, met = asyncio.run(run())
    assert (before, server.connected) == (3, 3)
    assert all(each.is_good for each in met.outcomes)


def test_a_server_that_hangs_up_is_no_answer() -> None:
    server = Server(always(b""))
    met = loaded(server, 50.0, 0.2, tries=1)
    assert [(each.status, each.tries, each.is_good) for each in met.outcomes] == [
        (0, 1, False)
    ] * 10
    assert server.connected == 10


def test_what_broke_is_sent_again_over_a_new_connection() -> None:
    async def answer(number: int) -> bytes:
        return b"" if number in (1, 4, 5) else GOOD

    async def run() -> Loader:
        async with loading(Server(answer)) as loader:
            for _ in range(4):
                await loader.run(1000.0, 0.001)  # one
        return loader

    # The first is sent as 1 and 2, the second as 3, the third as 4 and 5, the last as 6.
    found = [(each.status, each.tries) for each in asyncio.run(run()).outcomes]
    assert found == [(200, 2), (200, 1), (0, 2), (200, 1)]


def test_an_answer_that_never_comes_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_loop, "ANSWER_SECONDS", 0.5)

    async def answer(number: int) -> bytes:
        if number == 1:
            await asyncio.sleep(5)
        return GOOD

    met = loaded(Server(answer), 2.0, 1.0, connections=1, tries=1)
    assert [each.status for each in met.outcomes] == [0, 200]
    assert met.outcomes[0].ms >= 500


@pytest.mark.parametrize(
    ("said", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", 10),
        (b"HTTP/1.0 202 Accepted\r\nContent-Length: 2\r\n\r\n{}", 10),
        (b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length:2\r\n\r\n{}", 1),
        (GOOD, 1),
    ],
)
def test_a_connection_is_kept_unless_the_answer_ends_it(said: bytes, connections: int) -> None:
    server = Server(always(said))
    met = loaded(server, 100.0, 0.1, connections=1, tries=1)
    assert [each.is_good for each in met.outcomes] == [True] * 10
    assert server.connected == connections


def test_a_server_that_speaks_no_http_gives_no_answer() -> None:
    met = loaded(Server(always(b"what?\r\n\r\n")), 50.0, 0.1, tries=1)
    assert [each.status for each in met.outcomes] == [0] * 5


def test_callers_without_pause_are_counted_as_well() -> None:
    async def answer(_: int) -> bytes:
        await asyncio.sleep(0.01)
        return GOOD

    server = Server(answer)

    async def run() -> tuple[float, Loader]:
        async with loading(server) as loader:
            return await loader.flat_out(4, 0.2), loader

    per_second, met = asyncio.run(run())
    assert server.connected == 4
    assert per_second == len(met.outcomes) / 0.2
    assert len(met.outcomes) >= 4
