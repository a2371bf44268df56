"""A load at a fixed rate: questions come when they are due, whether or not the last are answered.

A closed loop asks less when the server is slow and so hides what its callers would have waited
(coordinated omission). Here every latency is counted from the moment at which a question was due,
so that what waits for a free connection waits in the figure as well.

Run as a process of its own, on cores of its own: ``python -m benchmarks.latency_parts.open_loop``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import uvloop

CONNECTIONS = 64
PATIENCE_SECONDS = 10.0
HANG_UP_SECONDS = 0.05


@dataclass(slots=True)
class Load:
    """What one run met.

    Parameters
    ----------
    latencies
        Seconds from the due moment of each question to the end of its answer.
    late
        Questions that were sent more than a millisecond after they were due because the loader
        itself was not on time; where they are many, the figures are of the loader.
    """

    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    late: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """The figures of a run at a rate; times in milliseconds."""

    rate: float
    answered: int
    p50_ms: float
    p99_ms: float
    errors: int
    late: int


class Caller(asyncio.Protocol):
    """One connection, kept; asks one question at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._due: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Free to ask."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_connection gives
        self._transport = transport
        self._pool.callers.add(self)
        self._pool.is_free(self)

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def ask(self, request: bytes, due: float) -> None:
        """Send a question that was due at this moment of the loop's clock."""
        self._due = due
        self._received.clear()
        if self._transport:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take what has come; at the end of the answer, count it."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length, closes = _said(bytes(head))
        if len(body) < length or self._due is None:
            return
        is_good = head.startswith((b"HTTP/1.1 2", b"HTTP/1.0 2"))
        self._pool.answered(self._due, is_good=is_good)
        self._due = None
        if closes:
            self.close()
        else:
            self._pool.is_free(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - its signature
        """One question less, where one was under way, and another connection."""
        if self._due is not None:
            self._pool.answered(self._due, is_good=False)
        self._pool.is_gone(self)


def _said(head: bytes) -> tuple[int, bool]:
    """Length of the body, and whether the connection is to be closed."""
    fields = [line.split(b":", 1) for line in head.lower().split(b"\r\n")[1:] if b":" in line]
    said = {name.strip(): value.strip() for name, value in fields}
    return int(said.get(b"content-length", b"0")), said.get(b"connection") == b"close"


class Pool:
    """The connections that are free, and the questions that wait for one."""

    def __init__(self, address: tuple[str, int], load: Load) -> None:
        self._address, self._load = address, load
        self._loop = asyncio.get_running_loop()
        self._free: deque[Caller] = deque()
        self._waiting: deque[tuple[bytes, float]] = deque()
        self._opening: set[asyncio.Task[object]] = set()
        self.callers: set[Caller] = set()
        self.under_way = 0
        self._is_open = True

    async def open(self, count: int) -> None:
        """Connect so many times."""
        for _ in range(count):
            await self._loop.create_connection(lambda: Caller(self), *self._address)

    def ask(self, request: bytes, due: float) -> None:
        """Send a question now, or as soon as a connection is free."""
        self.under_way += 1
        if self._free:
            self._free.popleft().ask(request, due)
        else:
            self._waiting.append((request, due))

    def is_free(self, caller: Caller) -> None:
        """A connection has nothing to do."""
        if self._waiting:
            caller.ask(*self._waiting.popleft())
        else:
            self._free.append(caller)

    def is_gone(self, caller: Caller) -> None:
        """A connection has ended: another one takes its place."""
        self.callers.discard(caller)
        if caller in self._free:
            self._free.remove(caller)
        if self._is_open:
            task = self._loop.create_task(self.open(1))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def answered(self, due: float, *, is_good: bool) -> None:
        """A question that was due at this moment has its answer, or will have none."""
        self.under_way -= 1
        if is_good:
            self._load.latencies.append(self._loop.time() - due)
        else:
            self._load.errors += 1

    async def close(self) -> None:
        """Hang up; whatever is still under way counts as an error."""
        self._is_open = False
        for caller in list(self.callers):
            caller.close()
        await asyncio.sleep(HANG_UP_SECONDS)
        self._load.errors += self.under_way


async def loaded(
    address: tuple[str, int], requests: Sequence[bytes], rate: float, seconds: float
) -> Load:
    """Ask at this rate for so long, evenly; then wait for what is under way."""
    load = Load()
    pool = Pool(address, load)
    await pool.open(CONNECTIONS)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number, request in zip(range(int(rate * seconds)), cycle(requests), strict=False):
        due = begin + number / rate
        while (wait := due - loop.time()) > 0:
            # uvloop's timers have milliseconds; the last of it is yielded away.
            await asyncio.sleep(wait if wait > 0.001 else 0)
        load.late += loop.time() - due > 0.001
        pool.ask(request, due)
    until = time.monotonic() + PATIENCE_SECONDS
    while pool.under_way and time.monotonic() < until:
        await asyncio.sleep(0.01)
    await pool.close()
    return load


def request_bytes(
    method: str, target: str, headers: Mapping[str, str], body: str, host: str
) -> bytes:
    """One HTTP request."""
    content = body.encode()
    named = {"Host": host, **headers}
    if content:
        named["Content-Length"] = f"{len(content)}"
    lines = "".join(f"{name}: {value}\r\n" for name, value in named.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + content


def outcome(load: Load, rate: float) -> Outcome:
    """Figures of what was met; without any answer the times are infinite."""
    times = np.array(load.latencies or [np.inf]) * 1e3
    return Outcome(
        rate=round(rate, 1),
        answered=len(load.latencies),
        p50_ms=round(float(np.percentile(times, 50, method="nearest")), 3),
        p99_ms=round(float(np.percentile(times, 99, method="nearest")), 3),
        errors=load.errors,
        late=load.late,
    )


def highest(bears: Callable[[float], bool], most: float, steps: int) -> float:
    """The highest rate that is borne, by halving between 0 and `most` (which is tried first)."""
    if bears(most):
        return most
    low, high = 0.0, most
    for _ in range(steps):
        middle = (low + high) / 2
        low, high = (middle, high) if bears(middle) else (low, middle)
    return low


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--plan", type=Path, required=True, help="JSON: url, method, headers, bodies"
    )
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    given = parser.parse_args()
    plan = json.loads(given.plan.read_text(encoding="utf-8"))
    url = urlsplit(plan["url"])
    requests = [
        request_bytes(plan["method"], url.path or "/", plan["headers"], body, url.netloc)
        for body in plan["bodies"] or [""]
    ]
    address = (str(url.hostname), int(url.port or 80))
    load = uvloop.run(loaded(address, requests, given.rate, given.seconds))
    json.dump(asdict(outcome(load, given.rate)), sys.stdout)


if __name__ == "__main__":
    main()
