"""An open-loop load: questions leave when it is their time, whether the ones before came back.

A closed loop asks less while a service is slow, and so hides that it is. Here a question that has
to wait for a free moment of this process, a connection or an answer has waited all the same: its
time counts from the moment that was planned for it.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import urlsplit

ANSWER_SECONDS = 10.0
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """One request of the load.

    Parameters
    ----------
    kind
        What its figures are put together under.
    name
        Of what it carries: the id of an event; empty for a question.
    """

    kind: str
    path: str
    body: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question.

    Parameters
    ----------
    planned
        Seconds of the loop's clock.
    ms
        From then to the answer, a second try included.
    status
        0 where no answer came at all.
    tries
        2 where the first connection broke before the answer.
    body
        Of the answer.
    """

    question: Question
    planned: float
    ms: float
    status: int
    tries: int
    body: bytes


class _Connection(asyncio.Protocol):
    """One connection with one request on it at a time."""

    def __init__(self) -> None:
        self._buffer = b""
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def is_open(self) -> bool:
        """Whether it can be asked on."""
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(f"{exc}"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, rest = self._buffer.partition(b"\r\n\r\n")
        if not separator or self._answer is None or self._answer.done():
            return
        found = _LENGTH.search(head)
        size = int(found[1]) if found else 0
        if len(rest) >= size:
            self._buffer = rest[size:]
            self._answer.set_result((int(head.split(b" ", 2)[1]), rest[:size]))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises `OSError` where the connection breaks."""
        if self._transport is None:
            raise ConnectionResetError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Let go of it."""
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Loader:
    """Asks one service, over as many connections as it takes.

    Parameters
    ----------
    questions
        What is asked, in turn.
    """

    url: str
    questions: Iterator[Question]
    outcomes: list[Outcome] = field(default_factory=list)
    _idle: deque[_Connection] = field(default_factory=deque)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set)

    async def run(self, per_second: float, until: Callable[[], bool]) -> None:
        """Ask at an even pace until it is enough; then wait for the last answers."""
        loop = asyncio.get_running_loop()
        planned = loop.time()
        while not until():
            await asyncio.sleep(max(0.0, planned - loop.time()))
            while planned <= loop.time():
                self._send(planned)
                planned += 1 / per_second
        await self.settle()

    async def flat_out(self, connections: int, seconds: float) -> float:
        """Ask without pause over so many connections; answers per second."""
        loop = asyncio.get_running_loop()
        until, done = loop.time() + seconds, len(self.outcomes)

        async def caller() -> None:
            while loop.time() < until:
                await self._ask(next(self.questions), loop.time())

        await asyncio.gather(*(caller() for _ in range(connections)))
        return (len(self.outcomes) - done) / seconds

    async def settle(self) -> None:
        """Wait until every question has its outcome."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def close(self) -> None:
        """Wait until every question has its outcome, and let go of the connections."""
        await self.settle()
        while self._idle:
            self._idle.pop().close()
        await asyncio.sleep(0.01)  # until the loop has closed them

    def _send(self, planned: float) -> None:
        task = asyncio.create_task(self._ask(next(self.questions), planned))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _ask(self, question: Question, planned: float) -> None:
        request = self._encoded(question)
        status, body, tries = 0, b"", 0
        while status == 0 and tries < 2:
            tries += 1
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status, body = await self._try(request, is_again=tries > 1)
            except (OSError, TimeoutError):
                continue
        ms = (asyncio.get_running_loop().time() - planned) * 1000
        self.outcomes.append(Outcome(question, planned, ms, status, tries, body))

    async def _try(self, request: bytes, *, is_again: bool) -> tuple[int, bytes]:
        # What broke once may have broken more connections than one: a second try has its own.
        connection = await (self._new() if is_again else self._connection())
        try:
            answer = await connection.ask(request)
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.popleft()  # the longest idle: so all workers get their share
            if connection.is_open:
                return connection
        return await self._new()

    async def _new(self) -> _Connection:
        parts = urlsplit(self.url)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, parts.hostname, parts.port)
        return connection

    def _encoded(self, question: Question) -> bytes:
        head = (
            f"POST {question.path} HTTP/1.1\r\nHost: shop.example\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(question.body)}\r\n\r\n"
        )
        return head.encode() + question.body
