"""Writing the log: one process, one writer name, one open segment.

Two threads write: the committer appends groups of events and syncs; any thread appends decisions.
The lock between them is held around the write to the operating system, never around a sync. Only
the committer closes a segment, since it may be syncing one when a decision fails.

A group that could not be written or synced leaves no byte behind, and its segment is closed for
ever: a reader may have seen, and remembered a position behind, records that are no longer there.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from feature_store.atomic_file import storage_error
from feature_store.event_log.disk import Disk
from feature_store.event_log.prepared import PreparedEvent, prepare_decision
from feature_store.event_log.segment import SegmentStart, boot_id
from feature_store.event_log.segment_file import SegmentFile
from feature_store.intake_counters import IntakeCounters
from feature_store.records import DecisionRecord
from recommender.errors import ConfigError, StorageError
from recommender.terms import MICROS_PER_SECOND

MAX_SEGMENT_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """When a segment ends.

    Parameters
    ----------
    segment_bytes
        After this size.
    segment_seconds
        At this age; at most a day, so that its start says how old its records may be.
    """

    segment_bytes: int = 64 << 20
    segment_seconds: int = 3600

    def __post_init__(self) -> None:
        if not 0 < self.segment_seconds <= MAX_SEGMENT_SECONDS:
            raise ConfigError(
                f"segment_seconds {self.segment_seconds}: wanted 1 to {MAX_SEGMENT_SECONDS}"
            )
        if self.segment_bytes < 1:
            raise ConfigError(f"segment_bytes {self.segment_bytes}: wanted 1 or more")


class StreamPosition(NamedTuple):
    """Where a writer's stream goes on: its name, next segment number, next sequence number."""

    writer: str
    number: int
    seq: int


class Span(NamedTuple):
    """Where a group lies in its segment."""

    segment: str
    start: int
    end: int


class SegmentWriter:
    """Appends records and makes them durable. See the module for the rules.

    Parameters
    ----------
    folder
        ``StoreLayout.log``.
    position
        Where the stream goes on; its writer name must be claimed.
    """

    def __init__(
        self,
        folder: Path,
        position: StreamPosition,
        options: SegmentOptions,
        counters: IntakeCounters,
        disk: Disk,
    ) -> None:
        self.writer = position.writer
        self.folder = folder
        self._number = position.number
        self._seq = position.seq
        self._options = options
        self._counters = counters
        self._disk = disk
        self._lock = threading.Lock()
        self._open: SegmentFile | None = None
        self._broken: list[SegmentFile] = []
        self._closed: list[str] = []

    @property
    def next_seq(self) -> int:
        """Number that the next record will get."""
        return self._seq

    @property
    def segment(self) -> str | None:
        """Name of the open segment."""
        current = self._open
        return current.name if current else None

    @property
    def is_dirty(self) -> bool:
        """Whether something is written and not yet synced."""
        current = self._open
        return current is not None and current.size > current.synced

    def is_due(self, now: int) -> bool:
        """Whether a new segment should begin. `now` in microseconds."""
        current = self._open
        if current is None:
            return True
        age_seconds = (now - current.created_at) / MICROS_PER_SECOND
        is_old = age_seconds >= self._options.segment_seconds
        return is_old or current.size >= self._options.segment_bytes

    def take_closed(self) -> list[str]:
        """Names of segments closed since the last call; nothing is ever added to them."""
        with self._lock:
            broken, self._broken = self._broken, []
        for segment in broken:
            segment.abandon()
            self._closed.append(segment.name)
        closed, self._closed = self._closed, []
        return closed

    def put_back_closed(self, closed: list[str]) -> None:
        """Have `take_closed` return these again."""
        self._closed = closed + self._closed

    def begin_segment(self, now: int) -> str:
        """Begin a new segment and close the old one. Returns the new name.

        Raises `StorageError`; the old segment is then still open.
        """
        # A number is used once, also when that fails: a reader may remember a position in it.
        start = SegmentStart(self.writer, self._number, now, self._seq, boot_id())
        self._number += 1
        fresh = SegmentFile(self.folder, start, self._disk, self._counters)
        with self._lock:
            old, self._open, next_seq = self._open, fresh, self._seq
        self._seal(old, next_seq)
        return fresh.name

    def append_events(self, events: Sequence[PreparedEvent]) -> Span:
        """Hand a group to the operating system: all of it or, with `StorageError`, nothing."""
        with self._lock:
            current = self._current()
            start = current.size
            frames = [event.frame(seq) for seq, event in enumerate(events, self._seq)]
            try:
                current.write(b"".join(frames))
            except OSError as error:
                self._open, failure = None, error
            else:
                self._seq += len(frames)
                return Span(current.name, start, current.size)
        current.close_at_size()
        self._closed.append(current.name)
        raise storage_error(failure, current.path) from failure

    def append_decisions(self, decisions: Sequence[DecisionRecord]) -> range:
        """Hand decisions to the operating system in one piece; returns the numbers they took.

        Fewer than there are decisions where only the first of them could be written. Raises
        `StorageError` where none could; they then took no number and left no byte.
        """
        prepared = [prepare_decision(each, self.writer) for each in decisions]
        with self._lock:
            current = self._current()
            first, failure = self._seq, None
            frames = [each.frame(seq) for seq, each in enumerate(prepared, first)]
            try:
                current.write(b"".join(frames))
                count = len(frames)
            except OSError as error:
                count, failure = self._kept(current, frames), error
            current.decisions += count
            self._seq = first + count
        if failure is not None and not count:
            raise storage_error(failure, current.path) from failure
        return range(first, first + count)

    def sync(self) -> None:
        """Make everything written so far survive a power cut.

        Raises `StorageError`; what was written since the last sync is then gone, and its segment.
        """
        with self._lock:
            current = self._open
            if current is None:
                return
            size, decisions = current.size, current.decisions
        if size == current.synced:
            return
        try:
            current.sync(size, decisions)
        except OSError as error:
            with self._lock:
                self._open = None
            current.abandon()
            self._closed.append(current.name)
            raise storage_error(error, current.path) from error

    def close(self) -> None:
        """Sync and close the open segment with a mark that nothing is missing behind it."""
        with self._lock:
            old, self._open, next_seq = self._open, None, self._seq
        self._seal(old, next_seq)

    def _seal(self, segment: SegmentFile | None, next_seq: int) -> None:
        if segment is not None:
            segment.seal(next_seq)
            self._closed.append(segment.name)

    def _current(self) -> SegmentFile:
        if self._open is None:
            raise StorageError(f"{self.folder}: no segment is open")
        return self._open

    def _kept(self, segment: SegmentFile, frames: Sequence[bytes]) -> int:
        # At most a part of one record stays behind: a reader stops in front of it, and finds the
        # next record in its place.
        try:
            return segment.keep_whole(frames)
        except OSError:
            self._open = None
            self._broken.append(segment)
            return 0
