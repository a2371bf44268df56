"""Index of the dedup keys seen lately, shared by all server processes of one data folder.

Whoever holds the write transaction decides verdicts, so that duplicates are exact across processes.
It is taken under a lock of our own. LMDB's is a robust mutex in shared memory, and those can lose a
wake-up: a waiter that is woken and killed at once, while another process takes the free lock past
it, leaves the remaining waiters asleep for ever (seen after about 300 kills of four contending
writers, Linux 6.18, glibc 2.36). The kernel keeps an flock, so no killed process can spoil it.

LMDB runs without syncs: the log is the truth, and the index is rebuilt from it after a power cut.

Two generations of eight days each: lookups see both, insertions go to the current one, and a
generation is dropped as a whole when the next but one begins. A key is thus known for 8 to 16 days:
longer than the 7 days after which an event is refused for its age, even where its clock, up to a
day ahead, was clamped.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import lmdb

from feature_store.event_log.frame import ENTRY_BYTES
from feature_store.events import DedupKey
from feature_store.file_lock import FileLock
from feature_store.lmdb_lock import reserve_lock_file
from feature_store.verdicts import DAY_MICROS
from recommender.errors import StorageError, StorageFullError

GENERATION_MICROS: Final = 8 * DAY_MICROS
KEY_BYTES: Final = 16
MAX_READERS: Final = 126
MAX_MAP_BYTES: Final = 1 << 44
_FULL_SHARE = 0.7
_PAGE_BYTES = 4096
_GENERATION = b"generation"
_OFFSET = struct.Struct(">Q")


Pair: TypeAlias = tuple[bytes, bytes]
"""A hashed dedup key, `KEY_BYTES` long, and the payload digest stored under it."""


class Known(Enum):
    """What the index says about an event."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


def index_pairs(keys: Iterable[DedupKey]) -> tuple[Pair, ...]:
    """Dedup keys as they are stored, under 16 bytes of their BLAKE2b."""
    return tuple(
        (hashlib.blake2b(key.encode(), digest_size=KEY_BYTES).digest(), digest)
        for key, digest in keys
    )


def split_entries(entries: bytes) -> list[Pair]:
    """The pairs of a logged record."""
    if len(entries) == ENTRY_BYTES:  # nearly always; the rebuild of an index lives on it
        return [(entries[:KEY_BYTES], entries[KEY_BYTES:])]
    return [
        (entries[start : start + KEY_BYTES], entries[start + KEY_BYTES : start + ENTRY_BYTES])
        for start in range(0, len(entries), ENTRY_BYTES)
    ]


def judge_pairs(pairs: Iterable[Pair], known: Mapping[bytes, bytes]) -> Known:
    """Whether an event was accepted before: any of its keys with its digest says so."""
    verdict = Known.NEW
    for key, digest in pairs:
        found = known.get(key)
        if found == digest:
            return Known.DUPLICATE
        if found is not None:
            verdict = Known.CONFLICT
    return verdict


class DedupIndex:
    """The LMDB environment. One open index per process and folder; not to be used after a fork.

    Parameters
    ----------
    folder
        Where the environment lies; made if need be.
    map_bytes
        Size to begin with; it doubles when it gets full.
    """

    def __init__(self, folder: Path, map_bytes: int = 1 << 30) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / "write.lock")
        try:
            reserve_lock_file(folder, MAX_READERS)
            with self._lock.held():  # else another process may grow the map in the middle of it
                self._env = lmdb.open(
                    str(folder),
                    map_size=map_bytes,
                    max_dbs=8,
                    max_readers=MAX_READERS,
                    sync=False,
                    metasync=False,
                    readahead=False,
                )
                self._open_databases()
        except (lmdb.Error, OSError):
            self._abandon()
            raise

    @contextmanager
    def transaction(self, now: int) -> Iterator[DedupTransaction]:
        """The one write transaction; waits for that of another process.

        Parameters
        ----------
        now
            Microseconds since the epoch; begins a new generation when it is time.

        Raises
        ------
        StorageError
            LMDB refused; nothing was changed. `StorageFullError` for want of disk.
        """
        try:
            with self._lock.held(), self._begin() as txn:
                databases = (self._slots, self._meta, self._tails, self._finished)
                yield DedupTransaction(txn, databases, now)
        except lmdb.MapFullError as error:
            self.grow()
            raise StorageError(
                f"dedup index: its map was full and has been doubled: {error}"
            ) from error
        except lmdb.DiskError as error:
            raise StorageFullError(f"dedup index: {error}") from error
        except lmdb.Error as error:
            raise StorageError(f"dedup index: {error}") from error

    def grow(self) -> None:
        """Double the map."""
        size = self._env.info()["map_size"]
        if size < MAX_MAP_BYTES:
            self._env.set_mapsize(2 * size)

    @property
    def size_bytes(self) -> int:
        """Bytes in use."""
        return int(self._env.info()["last_pgno"] + 1) * _PAGE_BYTES

    def close(self) -> None:
        """Write everything out and close."""
        self._env.sync(True)  # noqa: FBT003 - LMDB's own signature
        self._env.close()
        self._lock.close()

    def _begin(self) -> Any:
        self._make_room()
        return self._adopting(lambda: self._env.begin(write=True))

    def _open_databases(self) -> None:
        names = (b"even", b"odd", b"meta", b"tails", b"finished")
        even, odd, self._meta, self._tails, self._finished = (
            self._adopting(partial(self._env.open_db, name)) for name in names
        )
        self._slots = [even, odd]
        self._env.reader_check()

    def _abandon(self) -> None:
        """Close what was opened before opening failed."""
        if hasattr(self, "_env"):
            self._env.close()
        self._lock.close()

    def _adopting(self, action: Callable[[], Any]) -> Any:
        """Do something; where another process has made the map larger, take over its size."""
        while True:
            try:
                return action()
            except lmdb.MapResizedError:
                self._env.set_mapsize(0)

    def _make_room(self) -> None:
        info = self._env.info()
        if (info["last_pgno"] + 1) * _PAGE_BYTES > _FULL_SHARE * info["map_size"]:
            self.grow()


class DedupTransaction:
    """Lookups and changes under the write lock. All or nothing."""

    def __init__(self, txn: Any, databases: tuple[Any, ...], now: int) -> None:
        self._txn = txn
        self._slots, self._meta, self._tails, self._finished = databases
        self.generation = self._advance(now // GENERATION_MICROS)

    def lookup(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Digests of those keys that are known."""
        known: dict[bytes, bytes] = {}
        for generation in (self.generation - 1, self.generation):
            with self._txn.cursor(self._slots[generation % 2]) as cursor:
                known.update(cursor.getmulti(keys))
        return known

    def insert(self, pairs: Sequence[Pair], time: int | None = None) -> None:
        """Remember accepted events; a key that is known keeps its first digest.

        Parameters
        ----------
        time
            When they arrived, microseconds; None for now. What is too old to keep is passed over.
        """
        generation = self.generation if time is None else time // GENERATION_MICROS
        if not self.generation - 1 <= generation:
            return
        with self._txn.cursor(self._slots[min(generation, self.generation) % 2]) as cursor:
            # In order, so that neighbouring keys find their page in the cache.
            cursor.putmulti(sorted(pairs), overwrite=False)

    def count(self) -> int:
        """Keys known."""
        return sum(self._txn.stat(slot)["entries"] for slot in self._slots)

    def tails(self) -> dict[str, int]:
        """Segments that may still grow → bytes of them that are indexed."""
        with self._txn.cursor(self._tails) as cursor:
            return {key.decode(): _OFFSET.unpack(value)[0] for key, value in cursor}

    def set_tail(self, segment: str, offset: int) -> None:
        """A segment is indexed up to `offset`."""
        self._txn.put(segment.encode(), _OFFSET.pack(offset), db=self._tails)

    def finish(self, segment: str) -> None:
        """A segment is closed and indexed; it is never looked at again."""
        self._txn.delete(segment.encode(), db=self._tails)
        self._txn.put(segment.encode(), b"", db=self._finished)

    def finished(self) -> set[str]:
        """Segments that were finished."""
        with self._txn.cursor(self._finished) as cursor:
            return {key.decode() for key in cursor.iternext(values=False)}

    def segments(self) -> set[str]:
        """All segments that the index remembers."""
        return self.finished() | self.tails().keys()

    def forget(self, segment: str) -> None:
        """A segment no longer exists."""
        for database in (self._tails, self._finished):
            self._txn.delete(segment.encode(), db=database)

    def _advance(self, now: int) -> int:
        stored = self._txn.get(_GENERATION, db=self._meta)
        current = _OFFSET.unpack(stored)[0] if stored is not None else None
        if current is not None and now <= current:  # also when the clock was set back
            return int(current)
        if current is not None:
            for generation in range(max(current + 1, now - 1), now + 1):
                self._txn.drop(self._slots[generation % 2], delete=False)
        self._txn.put(_GENERATION, _OFFSET.pack(now), db=self._meta)
        return now
