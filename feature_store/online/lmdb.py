"""The online store of one host: LMDB, read by any number of processes at memory speed.

Durability, stated: a change outlives its process from the moment `update` returns, because its
pages are with the operating system; nothing is fsynced (measured: 20 us a commit against 1 to
9 ms), so a power loss may lose or damage the store. It holds nothing that the event log does not:
a damaged store is moved aside at open and `desirepath materialise` fills a new one.

On disk a value is its deadline (8 bytes, big-endian, microseconds) and then the caller's bytes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import lmdb

from feature_store.file_lock import FileLock
from feature_store.online.lmdb_file import open_lmdb, storage_error, write_lock_path
from feature_store.online.lmdb_writer import BatchingWriter, ChangeError, Transaction
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

DEFAULT_MAP_BYTES = 1 << 30
SCAN_PAGE = 1_000
SWEEP_LIMIT = 5_000

_HEADER = 8
_Result = TypeVar("_Result")


class LmdbStore:
    """`OnlineStore` in an LMDB folder. Safe to share between threads, not across a fork.

    Parameters
    ----------
    path
        Folder, created when missing; not on a network disk.
    clock
        Now, microseconds since the epoch, UTC.
    map_size_bytes
        First size of the memory map; doubled whenever it is full.
    """

    def __init__(self, path: Path, clock: Clock, map_size_bytes: int = DEFAULT_MAP_BYTES) -> None:
        self._path, self._clock, self._pid = path, clock, os.getpid()
        self._file = open_lmdb(path, map_size_bytes, clock())
        self._environment = self._file.environment
        self._readers = threading.Lock()
        self._sweep_from, self._closed = b"", False
        self._writer = BatchingWriter(
            self._environment, self._readers, FileLock(write_lock_path(path)), self._housekeep
        )
        self._writer.counts["set_aside"] = int(self._file.set_aside is not None)

    @property
    def counts(self) -> dict[str, int]:
        """Since it was opened: batches, changes, map_grown, set_aside, stale_readers, swept."""
        return dict(self._writer.counts)

    def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """Values in the order of `keys`; see `OnlineStore`."""
        encoded = [encode_key(key) for key in keys]
        raw = self._read(lambda transaction: [transaction.get(key) for key in encoded])
        if not any(raw):
            return raw
        now = self._clock()
        return [_live(value, now) for value in raw]

    def update(self, keys: Sequence[str], change: Change, ttl_seconds: float) -> None:
        """One atomic change; see `OnlineStore`."""
        self._check()
        now = self._clock()
        self._writer.run(_Update(encode_keys(keys), change, now, deadline(now, ttl_seconds)))

    def scan(self, prefix: str) -> Iterator[tuple[str, bytes]]:
        """Live pairs by prefix, read a page at a time; see `OnlineStore`."""
        start = prefix.encode("utf-8", "surrogatepass")
        after, page = start, self._page(start, start)
        while page:
            now = self._clock()
            for key, raw in page:
                if (value := _live(raw, now)) is not None:
                    yield decode_key(key), value
            after = page[-1][0] + b"\0"
            page = self._page(after, start) if len(page) == SCAN_PAGE else []

    def sweep(self, limit: int = SWEEP_LIMIT) -> int:
        """Delete what expired more than a day ago among the next `limit` keys; returns how many.

        The writer thread does this about once a minute; each goes on where the last ended.
        """
        self._check()
        return self._advance_sweep(self._writer.run(self._sweep_task(limit)))

    def close(self) -> None:
        """Finish what is queued, write everything to disk and let go."""
        if self._closed or os.getpid() != self._pid:
            return
        self._closed = True
        self._writer.close()
        with self._readers:
            self._file.close()

    def _check(self) -> None:
        if os.getpid() != self._pid:
            raise StorageError(
                f"online store {self._path} was opened in process {self._pid} and used in "
                f"{os.getpid()}: close it before the fork and open one in each child"
            )
        if self._closed:
            raise StorageError(f"online store {self._path} is closed")

    def _read(self, read: Callable[[Transaction], _Result]) -> _Result:
        """Run `read` in a transaction that ends here."""
        while True:
            try:
                with self._readers:
                    self._check()
                    with self._environment.begin() as transaction:
                        return read(transaction)
            except lmdb.MapResizedError:
                self._writer.adopt_map_size()
            except lmdb.Error as error:
                raise storage_error(f"cannot read {self._path}", error, self._path) from error

    def _page(self, after: bytes, prefix: bytes) -> list[tuple[bytes, bytes]]:
        def read(transaction: Transaction) -> list[tuple[bytes, bytes]]:
            cursor = transaction.cursor()
            if not (cursor.set_range(after) if after else cursor.first()):
                return []
            page = islice(cursor, SCAN_PAGE)
            return [(key, raw) for key, raw in page if key.startswith(prefix)]

        return self._read(read)

    def _housekeep(self) -> None:
        self._writer.counts["stale_readers"] += int(self._environment.reader_check())
        with self._environment.begin(write=True) as transaction:
            swept = self._sweep_task(SWEEP_LIMIT).run(transaction)
        self._advance_sweep(swept)

    def _sweep_task(self, limit: int) -> _Sweep:
        return _Sweep(self._sweep_from, limit, self._clock() - SWEEP_GRACE_MICROS)

    def _advance_sweep(self, swept: object) -> int:
        assert isinstance(swept, Swept)  # noqa: S101 - what _Sweep.run returns
        self._sweep_from = swept.next_key
        self._writer.counts["swept"] += swept.removed
        return swept.removed


@dataclass(frozen=True, slots=True)
class _Update:
    encoded: dict[str, bytes]
    change: Change
    now: int
    expires: int

    @property
    def changes(self) -> int:
        return len(self.encoded)

    def run(self, transaction: Transaction) -> None:
        before = {key: _live(transaction.get(raw), self.now) for key, raw in self.encoded.items()}
        try:
            after = changed(self.change, before)
        except Exception as error:
            raise ChangeError(error) from error
        header = self.expires.to_bytes(_HEADER, "big")
        for key, value in after.items():
            if value is None:
                transaction.delete(self.encoded[key])
            else:
                transaction.put(self.encoded[key], header + value)


@dataclass(frozen=True, slots=True)
class Swept:
    """Result of one sweep: how many values went, and the key to go on from."""

    removed: int
    next_key: bytes


@dataclass(frozen=True, slots=True)
class _Sweep:
    start: bytes
    limit: int
    horizon: int

    @property
    def changes(self) -> int:
        return self.limit

    def run(self, transaction: Transaction) -> Swept:
        cursor = transaction.cursor()
        if not (cursor.set_range(self.start) if self.start else cursor.first()):
            return Swept(0, b"")
        seen = [(key, _deadline(value)) for key, value in islice(cursor, self.limit)]
        expired = [key for key, expires in seen if expires <= self.horizon]
        for key in expired:
            transaction.delete(key)
        return Swept(len(expired), seen[-1][0] + b"\0" if len(seen) == self.limit else b"")


def _deadline(raw: bytes) -> int:
    return int.from_bytes(raw[:_HEADER], "big")


def _live(raw: bytes | None, now: int) -> bytes | None:
    return raw[_HEADER:] if raw is not None and _deadline(raw) > now else None
