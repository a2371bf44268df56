"""One segment that is being written: its file, and how far it is known to be durable."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from feature_store.atomic_file import storage_error
from feature_store.event_log.disk import Disk
from feature_store.event_log.frame import END, MAGIC, START, encode_frame
from feature_store.event_log.segment import SegmentEnd, SegmentName, SegmentStart
from feature_store.intake_counters import IntakeCounters


class SegmentFile:
    """Appends to one segment and ends it in one of three ways.

    `seal` ends it in order, `close_at` cuts off a group that was not written whole, `abandon` gives
    up everything since the last sync: after a failed one the kernel has dropped the pages, and
    another sync would report a success that did not happen.

    Attributes
    ----------
    size
        Bytes written.
    synced
        Bytes that survive a power cut.
    decisions, decisions_synced
        Decision records among them.
    """

    def __init__(
        self, folder: Path, start: SegmentStart, disk: Disk, counters: IntakeCounters
    ) -> None:
        self.name = str(SegmentName(start.writer, start.number))
        self.path = folder / self.name
        self.created_at = start.created_at
        self.size = 0
        self.synced = 0
        self.decisions = 0
        self.decisions_synced = 0
        self._disk = disk
        self._counters = counters
        self._descriptor = self._create(start)

    def write(self, data: bytes) -> None:
        """Hand bytes to the operating system. After an `OSError` a part may be in the file."""
        self._disk.write(self._descriptor, data)
        self.size += len(data)
        self._counters.bytes_written += len(data)

    def sync(self, size: int, decisions: int) -> None:
        """Make the first `size` bytes, with that many decisions, durable."""
        self._timed_sync()
        self.synced, self.decisions_synced = size, decisions

    def keep_whole(self, frames: Sequence[bytes]) -> int:
        """Keep of frames whose common `write` failed those that are there whole; how many.

        A reader may have seen them. What lies behind them is dropped, or an `OSError` raised.
        """
        there, kept = self._disk.size(self._descriptor) - self.size, 0
        for frame in frames:
            if (there := there - len(frame)) < 0:
                break
            self.size += len(frame)
            self._counters.bytes_written += len(frame)
            kept += 1
        self.cut()
        return kept

    def cut(self) -> None:
        """Drop what a failed write left behind `size`."""
        self._disk.truncate(self._descriptor, self.size)

    def seal(self, next_seq: int) -> None:
        """End it with a mark that nothing is missing behind it."""
        try:
            payload = msgspec.json.encode(SegmentEnd(next_seq))
            self.write(encode_frame(END, self.created_at, b"", payload))
        except OSError:
            self._counters.storage_failures += 1
        self.close_at_size()

    def close_at_size(self) -> None:
        """End it without a mark: drop what lies behind `size`, make the rest durable.

        A segment without a record goes altogether: a full disk is tried again and again.
        """
        try:
            self.cut()
            self._timed_sync()
        except OSError:
            self.abandon()
            return
        self._disk.close(self._descriptor)
        if self.size == self._head_bytes:
            self._disk.remove(self.path)

    def abandon(self) -> None:
        """End it where it was last durable; what came after was never acknowledged."""
        self._counters.segments_abandoned += 1
        self._counters.decisions_lost += self.decisions - self.decisions_synced
        try:
            self._disk.truncate(self._descriptor, self.synced)
        except OSError:
            # What stays behind was never acknowledged and is never indexed; tables drop repeats.
            self._counters.storage_failures += 1
        self._disk.close(self._descriptor)

    def _create(self, start: SegmentStart) -> int:
        data = MAGIC + encode_frame(START, start.created_at, b"", msgspec.json.encode(start))
        try:
            descriptor = self._disk.create(self.path)
        except OSError as error:
            raise storage_error(error, self.path) from error
        try:
            self._begin(descriptor, data)
        except OSError as error:
            self._disk.close(descriptor)
            self._disk.remove(self.path)
            raise storage_error(error, self.path) from error
        self._counters.segments_opened += 1
        return descriptor

    def _begin(self, descriptor: int, data: bytes) -> None:
        self._descriptor = descriptor
        self.write(data)
        self._timed_sync()
        self._disk.sync_folder(self.path.parent)
        self.synced = self._head_bytes = self.size

    def _timed_sync(self) -> None:
        began = time.monotonic()
        self._disk.sync(self._descriptor)
        self._counters.count_sync(time.monotonic() - began)
