"""The online store without a disk: for tests, demos and a service that may forget."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence

from feature_store.online.store import (
    SWEEP_GRACE_MICROS,
    Change,
    Clock,
    changed,
    deadline,
    decode_key,
    encode_key,
    encode_keys,
)
from recommender.errors import StorageError


class MemoryStore:
    """`OnlineStore` in a dict. Safe to share between threads.

    Parameters
    ----------
    clock
        Now, microseconds since the epoch, UTC.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[bytes, tuple[int, bytes]] | None = {}
        self._lock = threading.Lock()

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values in the order of `keys`; see `OnlineStore`."""
        encoded = [encode_key(key) for key in keys]
        with self._lock:
            return [self._live(key) for key in encoded]

    def update(self, keys: Sequence[str], change: Change, ttl_seconds: float) -> None:
        """One atomic change; see `OnlineStore`."""
        encoded = encode_keys(keys)
        expires = deadline(self._clock(), ttl_seconds)
        with self._lock:
            entries = self._open_entries()
            after = changed(change, {key: self._live(raw) for key, raw in encoded.items()})
            for key, value in after.items():
                if value is None:
                    entries.pop(encoded[key], None)
                else:
                    entries[encoded[key]] = (expires, bytes(value))

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Live pairs by prefix; see `OnlineStore`."""
        start = prefix.encode("utf-8", "surrogatepass")
        with self._lock:
            keys = sorted(key for key in self._open_entries() if key.startswith(start))
        for key in keys:
            with self._lock:
                value = self._live(key)
            if value is not None:
                yield decode_key(key), value

    def sweep(self, limit: int = 10_000) -> int:
        """Forget up to `limit` values that expired more than a day ago; returns how many."""
        horizon = self._clock() - SWEEP_GRACE_MICROS
        with self._lock:
            entries = self._open_entries()
            gone = [key for key, (expires, _) in entries.items() if expires <= horizon][:limit]
            for key in gone:
                del entries[key]
        return len(gone)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._entries = None

    def _open_entries(self) -> dict[bytes, tuple[int, bytes]]:
        if self._entries is None:
            raise StorageError("this memory store is closed")
        return self._entries

    def _live(self, key: bytes) -> bytes | None:
        entry = self._open_entries().get(key)
        return entry[1] if entry is not None and entry[0] > self._clock() else None
