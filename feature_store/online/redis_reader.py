"""Reading one shopper from Redis on an event loop, in one round trip, without waiting for long.

All questions of a process go over one connection, one behind the other, and the answers come in
the same order. When the first of them has waited too long, the connection is given up and with it
every question on it; nobody waits for the next connection, which `probe` makes.

Written on hiredis rather than redis-py's asyncio client, which takes three to four times the
processor time for the same answer (`python -m benchmarks.redis_clients`).
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any, cast

import hiredis

from feature_store.online.redis_target import RedisTarget
from feature_store.online.redis_value import READ_WITH_LINK, redis_key, unpack
from feature_store.online.store import Clock
from feature_store.online.visitors import Pair, keys_of
from recommender.errors import StorageError

_TICK_SECONDS = 0.001
_CONNECT_SECONDS = 0.1


class Connection(asyncio.Protocol):
    """One connection, and the questions on it that have no answer yet.

    Parameters
    ----------
    patience
        Seconds that a question may wait.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader(replyError=hiredis.ReplyError)
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._transport: asyncio.Transport | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._was_late = False

    @property
    def is_open(self) -> bool:
        """Whether questions may be asked."""
        return self._transport is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """As asyncio calls it."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """As asyncio calls it."""
        self._was_late = False
        try:
            self._reader.feed(data)
            while (answer := self._reader.gets()) is not False:
                self._resolve(answer)
        except (hiredis.HiredisError, IndexError) as error:
            self.give_up(f"what came is no answer: {error!r}")

    def connection_lost(self, exc: Exception | None) -> None:
        """As asyncio calls it."""
        self.give_up(f"the connection broke: {exc}")

    def ask(self, *command: str | bytes) -> asyncio.Future[Any]:
        """Send a command; its answer, or `StorageError`."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self._transport is None:
            answer.set_exception(StorageError("there is no connection"))
            return answer
        self._waiting.append((self._loop.time(), answer))
        self._transport.write(hiredis.pack_command(command))  # type: ignore[arg-type]
        if self._watch is None:
            self._watch = self._loop.call_later(self._patience, self._look)
        return answer

    def settle(self, patience: float) -> None:
        """Wait so long from now on: what is usual, and not what a first acquaintance takes."""
        self._patience = patience

    def give_up(self, why: str) -> None:
        """Close, and fail every question that has no answer."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        while self._waiting:
            _, answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(StorageError(why))

    def _resolve(self, answer: Any) -> None:
        _, waiting = self._waiting.popleft()
        if waiting.done():  # whoever asked has gone
            return
        if isinstance(answer, hiredis.ReplyError):
            waiting.set_exception(StorageError(f"{answer}"))
        else:
            waiting.set_result(answer)

    def _look(self) -> None:
        """Whether the oldest question has waited too long."""
        self._watch = None
        if not self._waiting:
            return
        left = self._waiting[0][0] + self._patience - self._loop.time()
        if left <= 0 and self._was_late:
            self.give_up(f"no answer within {self._patience * 1000:.0f} ms")
            return
        # When it was this process that had no time, the answer lies in the socket: look there once.
        self._was_late = left <= 0
        self._watch = self._loop.call_later(max(left, _TICK_SECONDS), self._look)


def _is_pair(answer: object) -> bool:
    return (
        isinstance(answer, list)
        and len(answer) == 2
        and all(each is None or isinstance(each, bytes) for each in answer)
    )


class RedisReader:
    """Reads shoppers from a server that `feature_store.online.redis.RedisStore` writes to.

    It belongs to one event loop.

    Parameters
    ----------
    clock
        Now, microseconds since the epoch, UTC.
    patience
        Seconds that an answer may take.
    """

    def __init__(self, target: RedisTarget, clock: Clock, patience: float) -> None:
        self._target, self._clock, self._patience = target, clock, patience
        self._connection: Connection | None = None

    @property
    def is_connected(self) -> bool:
        """Whether a question would be sent at all."""
        return self._connection is not None and self._connection.is_open

    async def read(self, visitor_id: str, user_id: str | None) -> Pair:
        """Values of a visitor, and of the user named or linked, in one round trip.

        Raises
        ------
        StorageError
            No answer, or none in time, or there is no connection.
        """
        connection = self._connection
        if connection is None:
            raise StorageError("there is no connection")
        keys = [redis_key(key) for key in keys_of(visitor_id, user_id)]
        if user_id:
            answer = await connection.ask("MGET", *keys)
        else:
            answer = await connection.ask("EVAL", READ_WITH_LINK, "1", *keys)
        if not _is_pair(answer):
            connection.give_up("it speaks of something else")
            raise StorageError(f"{self._target} answered something else than a pair of values")
        now = self._clock()
        return unpack(answer[0], now), unpack(answer[1], now)

    async def probe(self) -> None:
        """Ask for a sign of life, on a new connection if there is none. Raises `StorageError`."""
        if not self.is_connected:
            await self._connect()
        assert self._connection is not None  # noqa: S101 - made above
        await self._connection.ask("PING")

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.give_up("the reader is closed")

    async def _connect(self) -> None:
        target, loop = self._target, asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience + _CONNECT_SECONDS):
                _, connection = await loop.create_connection(
                    lambda: Connection(self._patience + _CONNECT_SECONDS),
                    target.host,
                    target.port,
                    ssl=ssl.create_default_context() if target.tls else None,
                )
        except (OSError, TimeoutError) as error:
            raise StorageError(f"cannot connect to {target}: {error!r}") from error
        try:
            await self._introduce(connection)
        except StorageError as error:
            connection.give_up("it was refused")
            raise StorageError(f"{target}: {error}") from error
        connection.settle(self._patience)
        self.close()
        self._connection = connection

    async def _introduce(self, connection: Connection) -> None:
        target = self._target
        if target.password is not None:
            names = [target.username] if target.username else []
            await connection.ask("AUTH", *names, target.password)
        await connection.ask("SELECT", str(target.database))
