"""The online store of several hosts: a Redis or Valkey server, one primary, not a cluster.

A change is optimistic: its keys are watched, read, changed here, and written as one transaction
that the server refuses when one of them was changed meanwhile; then it is tried again. A value is
absent once its deadline has passed by our clock; the server deletes it a day later by its own, so
that a clock which jumps ahead for a while destroys nothing.

Durability is the server's: without its append-only file a restart forgets everything. Nothing is
held that the event log does not hold too; `feature_store.online.follower` brings it back.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from feature_store.online.redis_target import RedisTarget
from feature_store.online.redis_value import (
    PREFIX,
    Link,
    deadline_of,
    leads_nowhere,
    pack,
    redis_key,
    unpack,
)
from feature_store.online.store import (
    SWEEP_GRACE_MICROS,
    Change,
    Clock,
    Values,
    changed,
    deadline,
    decode_key,
)
from recommender.errors import StorageError, StorageFullError
from recommender.terms import MICROS_PER_SECOND

SCAN_PAGE = 1_000
SWEEP_LIMIT = 5_000
_GRACE_SECONDS = SWEEP_GRACE_MICROS // MICROS_PER_SECOND
_GLOB = b"*?[]^-\\"


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """How long is waited for the server.

    Parameters
    ----------
    timeout_seconds
        For one answer, or for a connection.
    patience_seconds
        For one change whose keys others change all the time.
    """

    timeout_seconds: float = 0.25
    patience_seconds: float = 10.0


class RedisStore:
    """`OnlineStore` in Redis. Safe to share between threads, not across a fork.

    Parameters
    ----------
    clock
        Now, microseconds since the epoch, UTC.
    link
        Which values lead to another key: `feature_store.online.redis_reader` reads both at once.
    """

    def __init__(
        self,
        target: RedisTarget,
        clock: Clock,
        options: RedisOptions | None = None,
        link: Link = leads_nowhere,
    ) -> None:
        self._target, self._clock, self._link = target, clock, link
        self._options = options or RedisOptions()
        self._client = _client(target, self._options.timeout_seconds)
        self._writing = threading.Lock()
        self._pid, self._closed = os.getpid(), False
        self._sweep_cursor, self._sweep_waiting = 0, list[bytes]()

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values in the order of `keys`; see `OnlineStore`."""
        stored = self._read([redis_key(key) for key in keys])
        now = self._clock()
        return [unpack(value, now) for value in stored]

    def update(
        self,
        keys: Sequence[str],
        change: Change,
        ttl_seconds: float,
        lasting: Collection[str] = (),
    ) -> None:
        """One atomic change; see `OnlineStore`.

        An error after the change was sent leaves open whether it was made.

        Parameters
        ----------
        lasting
            Those of the keys that never expire.
        """
        names = {key: redis_key(key) for key in keys}
        expiry = _Expiry(deadline(self._clock(), ttl_seconds), ttl_seconds, lasting)
        until = time.monotonic() + self._options.patience_seconds
        # Threads of one process would only spoil each other's attempts.
        with self._writing:
            while not self._attempt(names, change, expiry):
                if time.monotonic() > until:
                    raise StorageError(
                        f"{self._target}: others changed the same keys again and again for "
                        f"{self._options.patience_seconds:g} s"
                    )
                time.sleep(random.uniform(0, 0.002))  # noqa: S311 - so that rivals part

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Live pairs by prefix; see `OnlineStore`. The keys, not the values, are held in memory."""
        start = PREFIX + prefix.encode("utf-8", "surrogatepass")
        with self._errors("read"):
            pattern = b"".join(b"\\%c" % byte if byte in _GLOB else b"%c" % byte for byte in start)
            found = self._client.scan_iter(match=pattern + b"*", count=SCAN_PAGE)
            keys = sorted(set(found))
        for at in range(0, len(keys), SCAN_PAGE):
            page = keys[at : at + SCAN_PAGE]
            stored, now = self._read(page), self._clock()
            for key, raw in zip(page, stored, strict=True):
                if (value := unpack(raw, now)) is not None:
                    yield decode_key(key[len(PREFIX) :]), value

    def sweep(self, limit: int = SWEEP_LIMIT) -> int:
        """Delete what expired more than a day ago among the next `limit` keys; returns how many.

        The server does this by itself; here for a server whose clock is behind.
        """
        if not self._sweep_waiting:
            with self._errors("read"):
                self._sweep_cursor, found = self._client.scan(
                    self._sweep_cursor, match=PREFIX + b"*", count=limit
                )
            self._sweep_waiting = cast("list[bytes]", list(found))
        page, self._sweep_waiting = self._sweep_waiting[:limit], self._sweep_waiting[limit:]
        horizon, stored = self._clock() - SWEEP_GRACE_MICROS, self._read(page)
        gone = [
            key
            for key, raw in zip(page, stored, strict=True)
            if raw is not None and deadline_of(raw) <= horizon
        ]
        for key in gone:
            self.update([decode_key(key[len(PREFIX) :])], _without_expired, 1)
        return len(gone)

    def close(self) -> None:
        """Let go of the connections."""
        if self._closed or os.getpid() != self._pid:
            return
        with self._writing:
            self._closed = True
            self._client.close()

    def _read(self, keys: list[bytes]) -> list[bytes | None]:
        with self._errors("read"):
            return cast("list[bytes | None]", self._client.mget(keys)) if keys else []

    def _attempt(self, names: dict[str, bytes], change: Change, expiry: _Expiry) -> bool:
        """One try; False when somebody else was faster."""
        pipeline = self._client.pipeline()
        try:
            before = self._watched(pipeline, names)
            after = changed(change, before)
            return not after or self._executed(pipeline, after, expiry)
        finally:
            _forget(pipeline)

    def _watched(self, pipeline: Pipeline, names: dict[str, bytes]) -> Values:
        with self._errors("read"):
            if not names:
                return {}
            pipeline.watch(*names.values())  # type: ignore[no-untyped-call]
            stored = cast("list[bytes | None]", pipeline.mget(list(names.values())))
        now = self._clock()
        return {key: unpack(raw, now) for key, raw in zip(names, stored, strict=True)}

    def _executed(self, pipeline: Pipeline, after: Values, expiry: _Expiry) -> bool:
        with self._errors("write"):
            pipeline.multi()
            for key, value in after.items():
                self._put(pipeline, key, value, expiry)
            try:
                pipeline.execute()
            except redis.WatchError:
                return False
        return True

    def _put(self, pipeline: Pipeline, key: str, value: bytes | None, expiry: _Expiry) -> None:
        if value is None:
            pipeline.delete(redis_key(key))
            return
        expires, milliseconds = expiry.of(key)
        packed = pack(expires, self._link(key, value), value)
        pipeline.set(redis_key(key), packed, px=milliseconds)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """Refuse a use that is not allowed, and translate what the server or the network says."""
        if os.getpid() != self._pid:
            raise StorageError(
                f"online store {self._target} was opened in process {self._pid} and used in "
                f"{os.getpid()}: close it before the fork and open one in each child"
            )
        if self._closed:
            raise StorageError(f"online store {self._target} is closed")
        try:
            yield
        except redis.OutOfMemoryError as error:
            raise StorageFullError(f"{self._target}: no memory left: {error}") from error
        except (redis.RedisError, OSError) as error:
            raise StorageError(f"cannot {what} {self._target}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Expiry:
    at: int
    ttl_seconds: float
    lasting: Collection[str]

    def of(self, key: str) -> tuple[int, int | None]:
        """Deadline by our clock, and milliseconds that the server keeps the value."""
        if key in self.lasting:
            return (1 << 63) - 1, None
        return self.at, int((self.ttl_seconds + _GRACE_SECONDS) * 1000)


def _without_expired(before: dict[str, bytes | None]) -> dict[str, bytes | None]:
    return {key: None for key, value in before.items() if value is None}


def _forget(pipeline: Pipeline) -> None:
    """Give the connection back without keys under watch, also after an exception."""
    try:
        pipeline.reset()
    except (redis.RedisError, OSError):
        if pipeline.connection is not None:
            pipeline.connection.disconnect()  # type: ignore[no-untyped-call]


def _client(target: RedisTarget, timeout_seconds: float) -> redis.Redis:
    return redis.Redis(
        host=target.host,
        port=target.port,
        db=target.database,
        username=target.username,
        password=target.password,
        ssl=target.tls,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        # Trying again is up to the caller, who knows what it costs to wait.
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
