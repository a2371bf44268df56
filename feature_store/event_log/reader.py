"""Reading the log: every record of every segment, from where the last reading ended.

Works on segments that another process is writing. Nothing that is on disk can make it raise:
damaged, unknown and unreadable records are passed over and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from feature_store.event_log.frame import (
    DECISION,
    END,
    ERASED,
    EVENT,
    EXPOSURE,
    MAGIC,
    START,
    Damage,
    Frame,
    FrameScanner,
)
from feature_store.event_log.segment import SegmentName, list_segments, open_for_reading
from feature_store.records import DecisionRecord, EventRecord, ExposureRecord, LogRecord

_DECODE: dict[int, Callable[[bytes], LogRecord]] = {
    EVENT: msgspec.json.Decoder(EventRecord).decode,
    DECISION: msgspec.json.Decoder(DecisionRecord).decode,
    EXPOSURE: msgspec.json.Decoder(ExposureRecord).decode,
}


class LogEntry(NamedTuple):
    """One record and where it lies.

    Parameters
    ----------
    segment
        File name in the log folder.
    offset, end
        First byte of the record, first byte after it; `end` is the position to resume from.
    """

    segment: str
    offset: int
    end: int
    record: LogRecord


@dataclass(slots=True)
class ReadCounts:
    """What a reading met.

    Parameters
    ----------
    events, decisions, exposures
        Records returned.
    unknown
        Whole records of a kind that this version does not know.
    unreadable
        Whole records whose text is not a record of their kind.
    damaged
        Places where a record or more was destroyed.
    skipped_bytes
        Bytes of unknown, unreadable and damaged records.
    torn_bytes
        Bytes of unfinished last records; they are looked at again next time.
    """

    segments: int = 0
    events: int = 0
    decisions: int = 0
    exposures: int = 0
    unknown: int = 0
    unreadable: int = 0
    damaged: int = 0
    skipped_bytes: int = 0
    torn_bytes: int = 0


class LogReader:
    """The records after `after`; iterate once, then keep `positions` for the next time.

    Parameters
    ----------
    folder
        ``StoreLayout.log``.
    after
        Segment name → position, from an earlier reader's `positions`.

    Attributes
    ----------
    positions
        Segment name → end of the last record returned or passed over; segments that exist only.
    counts
        What was met so far.
    """

    def __init__(self, folder: Path, after: Mapping[str, int] | None = None) -> None:
        self._folder = folder
        self._after = dict(after or {})
        self.positions: dict[str, int] = {}
        self.counts = ReadCounts()

    def __iter__(self) -> Iterator[LogEntry]:
        for name in list_segments(self._folder):
            yield from self._segment(name)

    def _segment(self, name: SegmentName) -> Iterator[LogEntry]:
        segment = str(name)
        start = self._after.get(segment, 0)
        self.positions[segment] = start
        try:
            with open_for_reading(self._folder / segment) as (descriptor, size):
                self.counts.segments += 1
                for found in _frames(descriptor, start, size):
                    entry = self._entry(segment, found)
                    if entry is not None:
                        yield entry
        except FileNotFoundError:
            del self.positions[segment]

    def _entry(self, segment: str, found: Frame | Damage) -> LogEntry | None:
        if isinstance(found, Damage):
            self._count_damage(segment, found)
            return None
        self.positions[segment] = found.end
        if found.kind in (START, END, ERASED):
            return None
        record = self._record(found)
        if record is None:
            self.counts.skipped_bytes += found.end - found.offset
            return None
        return LogEntry(segment, found.offset, found.end, record)

    def _count_damage(self, segment: str, damage: Damage) -> None:
        if damage.torn:
            self.counts.torn_bytes += damage.end - damage.offset
            return
        self.positions[segment] = damage.end
        self.counts.damaged += 1
        self.counts.skipped_bytes += damage.end - damage.offset

    def _record(self, frame: Frame) -> LogRecord | None:
        decode = _DECODE.get(frame.kind)
        if decode is None:
            self.counts.unknown += 1
            return None
        try:
            record = decode(frame.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            self.counts.unreadable += 1
            return None
        self.counts.events += frame.kind == EVENT
        self.counts.decisions += frame.kind == DECISION
        self.counts.exposures += frame.kind == EXPOSURE
        return record


def read_records(folder: Path, after: Mapping[str, int] | None = None) -> Iterator[LogEntry]:
    """Records of a log folder; `LogReader` also gives counts and positions."""
    return iter(LogReader(folder, after))


def _frames(descriptor: int, start: int, size: int) -> Iterator[Frame | Damage]:
    # The first bytes name the format. A file without them is scanned all the same: a flipped byte
    # there must not cost the records behind it.
    return iter(FrameScanner(descriptor, max(start, len(MAGIC)), size))
