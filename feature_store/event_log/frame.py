"""One record on disk: a frame that says where it begins, how long it is and whether it is whole.

Layout, little endian::

    0   4  marker, bytes that never occur in UTF-8 text
    4   4  length of the body, unsigned
    8   4  CRC-32 over length and body
    12  1  kind: E event, D decision, S segment start, F segment end
    13  1  number of index entries
    14  8  time, microseconds since the epoch, signed: arrival of an event, answer of a decision
    22     index entries, 32 bytes each: hashed dedup key, payload digest
           JSON text, UTF-8, up to the end of the body

The index entries are what the dedup index holds, so that it can be rebuilt without parsing JSON,
and says the same after a clock was clamped or a schema grew.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

MAGIC: Final = b"DPLOG1\r\n"
MARKER: Final = b"\xff\xc1\xfe\xc0"
EVENT: Final = ord("E")
DECISION: Final = ord("D")
START: Final = ord("S")
END: Final = ord("F")
ENTRY_BYTES: Final = 32
MAX_BODY_BYTES: Final = 4 << 20

_HEAD = struct.Struct("<4sII")
_BODY = struct.Struct("<BBq")
_LENGTH = struct.Struct("<I")
_WINDOW_BYTES = 1 << 20
MIN_FRAME_BYTES: Final = _HEAD.size + _BODY.size


class Frame(NamedTuple):
    """A whole record.

    Parameters
    ----------
    offset, end
        First byte, and first byte after it, in the segment.
    kind
        `EVENT`, `DECISION`, `START`, `END` or what a later version writes.
    time
        Microseconds since the epoch, UTC.
    entries
        Index entries joined, a multiple of `ENTRY_BYTES`.
    payload
        JSON, not parsed.
    """

    offset: int
    end: int
    kind: int
    time: int
    entries: bytes
    payload: bytes


class Damage(NamedTuple):
    """Bytes that are no record.

    Parameters
    ----------
    torn
        True: the end of the segment looks like a write that did not finish, and may still grow.
        False: a record was damaged; the next one begins at `end`.
    """

    offset: int
    end: int
    torn: bool


def encode_frame(kind: int, time: int, entries: bytes, payload: bytes) -> bytes:
    """Bytes of one record. Raises `ValueError` when it is larger than `MAX_BODY_BYTES`."""
    body = _BODY.pack(kind, len(entries) // ENTRY_BYTES, time) + entries + payload
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"a record of {len(body)} bytes; at most {MAX_BODY_BYTES} are written")
    length = _LENGTH.pack(len(body))
    return _HEAD.pack(MARKER, len(body), zlib.crc32(body, zlib.crc32(length))) + body


class FrameScanner:
    """Frames and damages of an open segment, in order. Never raises on what it reads.

    After one flipped byte exactly that record is missing: a wrong length fails the CRC, and the
    next marker cannot be text, so the scan goes on there.

    Parameters
    ----------
    descriptor
        Open for reading; its file position is not used.
    start, size
        Bytes to look at: ``start <= offset < size``.
    """

    def __init__(self, descriptor: int, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._start = start
        self._size = size
        self._base = start
        self._buffer = b""

    def __iter__(self) -> Iterator[Frame | Damage]:
        position = self._start
        while position < self._size:
            found = self._frame_at(position) or self._damage_at(position)
            yield found
            if isinstance(found, Damage) and found.torn:
                return
            position = found.end

    def _frame_at(self, position: int) -> Frame | None:
        at = position - self._base
        if at + _HEAD.size > len(self._buffer):
            at = self._load(position, _HEAD.size)
            if _HEAD.size > len(self._buffer):
                return None
        marker, length, crc = _HEAD.unpack_from(self._buffer, at)
        if marker != MARKER or not _BODY.size <= length <= MAX_BODY_BYTES:
            return None
        if at + _HEAD.size + length > len(self._buffer):
            at = self._load(position, _HEAD.size + length)
        start, end = at + _HEAD.size, at + _HEAD.size + length
        buffer = self._buffer
        if end > len(buffer):
            return None
        if zlib.crc32(buffer[start:end], zlib.crc32(buffer[at + 4 : at + 8])) != crc:
            return None
        kind, count, time = _BODY.unpack_from(buffer, start)
        text = start + _BODY.size + count * ENTRY_BYTES
        entries = buffer[start + _BODY.size : text]
        return Frame(position, self._base + end, kind, time, entries, buffer[text:end])

    def _damage_at(self, position: int) -> Damage:
        following = self._next_marker(position + 1)
        if following is not None:
            return Damage(position, following, torn=False)
        return Damage(position, self._size, torn=not self._is_complete(position))

    def _is_complete(self, position: int) -> bool:
        """Whether a frame of the stated length would fit: then it is damaged, not unfinished."""
        at = self._load(position, _HEAD.size)
        if len(self._buffer) < _HEAD.size:
            return False
        marker, length, _ = _HEAD.unpack_from(self._buffer, at)
        plausible = marker == MARKER and length <= MAX_BODY_BYTES
        return plausible and position + _HEAD.size + int(length) <= self._size

    def _next_marker(self, position: int) -> int | None:
        while position < self._size:
            at = self._load(position, len(MARKER))
            found = self._buffer.find(MARKER, at)
            if found >= 0:
                return self._base + found
            if len(self._buffer) < _WINDOW_BYTES:
                return None
            position = self._base + len(self._buffer) - len(MARKER) + 1
        return None

    def _load(self, position: int, need: int) -> int:
        """Make the buffer begin at `position`; fewer than `need` bytes mean the end. Returns 0."""
        want = min(max(need, _WINDOW_BYTES), self._size - position)
        parts: list[bytes] = []
        while want > 0 and (
            part := os.pread(self._descriptor, want, position + sum(map(len, parts)))
        ):
            parts.append(part)
            want -= len(part)
        self._base, self._buffer = position, b"".join(parts)
        return 0
