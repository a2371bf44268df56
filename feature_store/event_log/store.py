"""Opening the log and its index for one process, in the order that makes it safe beside others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import lmdb

from feature_store.atomic_file import storage_error, write_atomic
from feature_store.dedup import DedupIndex
from feature_store.event_log.claim import claim_writer
from feature_store.event_log.disk import Disk
from feature_store.event_log.recovery import (
    RecoveryCounts,
    forget_missing,
    recover_segments,
    stream_position,
)
from feature_store.event_log.segment import boot_id
from feature_store.event_log.writer import SegmentOptions, SegmentWriter
from feature_store.file_lock import FileLock, exclusive
from feature_store.intake_counters import IntakeCounters
from feature_store.layout import StoreLayout
from recommender.errors import StorageError


@dataclass(frozen=True, slots=True)
class LogStore:
    """An open log: writer and index of this process, and the locks that say so."""

    writer: SegmentWriter
    index: DedupIndex
    recovered: RecoveryCounts
    locks: tuple[FileLock, ...]

    def close(self, now: int) -> None:
        """End the open segment in order, mark it finished, give the locks back."""
        self.writer.close()
        try:
            with self.index.transaction(now) as txn:
                for segment in self.writer.take_closed():
                    txn.finish(segment)
        finally:
            self.index.close()
            for lock in self.locks:
                lock.close()


@dataclass(frozen=True, slots=True)
class LogStoreOptions:
    """How the log is kept.

    Parameters
    ----------
    segments
        When a segment ends.
    dedup_map_bytes
        Size of the index to begin with; it grows.
    """

    segments: SegmentOptions = field(default_factory=SegmentOptions)
    dedup_map_bytes: int = 1 << 30


def open_store(
    layout: StoreLayout,
    prefix: str,
    clock: Callable[[], int],
    options: LogStoreOptions,
    counters: IntakeCounters,
    disk: Disk,
) -> LogStore:
    """Claim a writer name, recover what dead processes left, be ready to begin a segment.

    Raises `StorageError`, and then holds nothing.
    """
    held: list[FileLock] = []
    index: DedupIndex | None = None
    try:
        layout.log.mkdir(parents=True, exist_ok=True)
        layout.dedup.mkdir(parents=True, exist_ok=True)
        with exclusive(layout.log / "start.lock"):
            users = FileLock(layout.dedup / "users.lock")
            held.append(users)
            index = _open_index(layout.dedup, users, options.dedup_map_bytes)
            users.share()
            name, claim = claim_writer(layout.log, prefix)
            held.append(claim)
            recovered = recover_segments(index, layout.log, name, clock())
            with index.transaction(clock()) as txn:
                known = txn.segments()
            position = stream_position(layout.log, name, known)
            forget_missing(index, layout.log, clock())
        writer = SegmentWriter(layout.log, position, options.segments, counters, disk)
        return LogStore(writer, index, recovered, tuple(held))
    except (OSError, StorageError) as error:
        if index is not None:
            index.close()
        for lock in held:
            lock.close()
        if isinstance(error, OSError):
            raise storage_error(error, layout.log) from error
        raise


def _open_index(folder: Path, users: FileLock, map_bytes: int) -> DedupIndex:
    """Open the index; alone and after a power cut, or when it does not open, begin an empty one.

    `recover_segments` then fills it from the log, since it knows of no finished segment.
    """
    environment, mark = folder / "index", folder / "boot_id"
    if users.try_take():
        if not mark.is_file() or mark.read_text() != boot_id():
            _discard(environment)
        try:
            index = DedupIndex(environment, map_bytes)
        except lmdb.Error:
            _discard(environment)
            index = DedupIndex(environment, map_bytes)
        write_atomic(mark, boot_id().encode())
        return index
    try:
        return DedupIndex(environment, map_bytes)
    except lmdb.Error as error:
        raise StorageError(
            f"{environment}: other processes use it, and it does not open: {error}"
        ) from error


def _discard(environment: Path) -> None:
    if environment.exists():
        shutil.rmtree(environment)
