"""An open-loop load: questions leave when it is their time, whether the ones before came back.

A closed loop asks less while a service is slow, and so hides what its callers would have waited
(coordinated omission). Here a question that has to wait for a free moment of this process, a
connection or an answer has waited all the same: its time counts from the moment that was planned
for it.
"""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, cast
from urllib.parse import urlsplit

ANSWER_SECONDS: Final = 10.0
LATE_SECONDS: Final = 0.001
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CONNECTION = re.compile(rb"\r\nconnection: *([a-z-]+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Question:
    """One request of the load.

    Parameters
    ----------
    kind
        What its figures are put together under.
    request
        All of its bytes, as `request_bytes` makes them.
    name
        Of what it carries: the id of an event; empty for a question.
    """

    kind: str
    request: bytes
    name: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question.

    Parameters
    ----------
    planned
        Seconds of `time.monotonic`: uvloop's own clock has milliseconds.
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

    @property
    def is_good(self) -> bool:
        """Whether it was answered with success."""
        return 200 <= self.status < 300


def request_bytes(
    method: str, target: str, headers: Mapping[str, str], body: bytes, host: str
) -> bytes:
    """One HTTP request."""
    named = {"Host": host, **headers}
    if body:
        named["Content-Length"] = f"{len(body)}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


def _closes(head: bytes) -> bool:
    """Whether the connection ends with this answer: HTTP/1.0 has to say that it does not."""
    found = _CONNECTION.search(head)
    said = found[1].lower() if found else b""
    return said == b"close" or (head.startswith(b"HTTP/1.0 ") and said != b"keep-alive")


class _Connection(asyncio.Protocol):
    """One connection with one request on it at a time."""

    def __init__(self) -> None:
        self._received = bytearray()
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
        self._received += data
        head, separator, rest = bytes(self._received).partition(b"\r\n\r\n")
        if not separator or self._answer is None or self._answer.done():
            return
        found = _LENGTH.search(head)
        size = int(found[1]) if found else 0
        if len(rest) >= size:
            self._answer.set_result((int(head.split(b" ", 2)[1]), rest[:size]))
            if _closes(head):
                self.close()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises `OSError` where the connection breaks."""
        if self._transport is None:
            raise ConnectionResetError("closed")
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        """Let go of it."""
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Loader:
    """Asks one service.

    Parameters
    ----------
    questions
        What is asked, in turn.
    connections
        At most so many at once: a question that finds all of them busy waits for one. Without a
        number there are as many as it takes.
    tries
        How often a question is sent while its connections break.
    late
        Questions that were sent more than `LATE_SECONDS` after their moment because this process
        itself was not on time; where they are many, the figures are of the loader.
    """

    url: str
    questions: Iterator[Question]
    connections: int = sys.maxsize
    tries: int = 2
    outcomes: list[Outcome] = field(default_factory=list, init=False)
    late: int = field(default=0, init=False)
    _free: asyncio.Semaphore = field(init=False)
    _idle: deque[_Connection] = field(default_factory=deque, init=False)
    _under_way: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self._free = asyncio.Semaphore(self.connections)

    async def open(self) -> None:
        """Connect as often as it may, so that no question has to wait for that."""
        while len(self._idle) < self.connections:
            self._idle.append(await self._new())

    async def run(self, per_second: float, seconds: float) -> None:
        """Ask at an even pace for so long; then wait for the last answers."""
        begin = time.monotonic()
        for number in range(int(per_second * seconds)):
            planned = begin + number / per_second
            while (wait := planned - time.monotonic()) > 0:
                # uvloop's timers have milliseconds; the last of it is yielded away.
                await asyncio.sleep(wait if wait > 0.001 else 0)
            self.late += time.monotonic() - planned > LATE_SECONDS
            self._send(planned)
        await self.settle()

    async def flat_out(self, callers: int, seconds: float) -> float:
        """So many callers ask without pause; answers per second."""
        until, done = time.monotonic() + seconds, len(self.outcomes)

        async def caller() -> None:
            while time.monotonic() < until:
                await self._ask(next(self.questions), time.monotonic())

        await asyncio.gather(*(caller() for _ in range(callers)))
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
        status, body, tries = 0, b"", 0
        while status == 0 and tries < self.tries:
            tries += 1
            try:
                async with asyncio.timeout(ANSWER_SECONDS), self._free:
                    status, body = await self._try(question.request, is_again=tries > 1)
            except OSError:  # a timeout is one, too
                continue
        ms = (time.monotonic() - planned) * 1000
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
        host, port = str(parts.hostname), parts.port or 80
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(_Connection, host, port)
        return connection
