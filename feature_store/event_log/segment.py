"""Names of segments, and what their first and last frames say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from feature_store.event_log.frame import MAGIC, START, Frame, FrameScanner

SUFFIX: Final = ".seg"
FORMAT: Final = 1
WRITER_PATTERN: Final = re.compile(r"[a-z0-9][a-z0-9._]{0,62}")
_NAME = re.compile(rf"({WRITER_PATTERN.pattern})-(\d{{10}}){re.escape(SUFFIX)}")
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class SegmentName(NamedTuple):
    """``<writer>-<number>.seg``; sorts by writer, then age."""

    writer: str
    number: int

    def __str__(self) -> str:
        return f"{self.writer}-{self.number:010d}{SUFFIX}"

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """The parts of a file name, or None when it is no segment."""
        found = _NAME.fullmatch(name)
        return cls(found[1], int(found[2])) if found else None


class SegmentStart(msgspec.Struct, frozen=True, tag="segment_start", tag_field="record"):
    """First frame of a segment.

    Parameters
    ----------
    created_at
        Microseconds since the epoch, UTC.
    first_seq
        Sequence number of the first record to come.
    boot_id
        Which run of the operating system wrote it; tells a power cut from a killed process.
    """

    writer: str
    number: int
    created_at: int
    first_seq: int
    boot_id: str
    format: int = FORMAT


class SegmentEnd(msgspec.Struct, frozen=True, tag="segment_end", tag_field="record"):
    """Last frame of a segment that was closed in order: nothing is missing behind it."""

    next_seq: int


def list_segments(folder: Path) -> list[SegmentName]:
    """All segments of a log folder, ordered by writer and number; none when it does not exist."""
    if not folder.is_dir():
        return []
    names = (SegmentName.parse(entry.name) for entry in os.scandir(folder))
    return sorted(name for name in names if name is not None)


@contextmanager
def open_for_reading(path: Path) -> Iterator[tuple[int, int]]:
    """Descriptor and size of a segment. Raises `FileNotFoundError` when it has gone."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        yield descriptor, os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def read_start(path: Path) -> SegmentStart | None:
    """First frame of a segment, or None when it cannot be read."""
    with open_for_reading(path) as (descriptor, size):
        first = next(iter(FrameScanner(descriptor, len(MAGIC), size)), None)
    if not isinstance(first, Frame) or first.kind != START:
        return None
    try:
        return msgspec.json.decode(first.payload, type=SegmentStart)
    except msgspec.DecodeError:
        return None


def boot_id() -> str:
    """Identity of this run of the operating system; empty where the system does not tell."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
