"""One record on disk: a frame that says where it begins, how long it is and whether it is whole.

Layout, little endian::

    0   4  marker, bytes that never occur in UTF-8 text
    4   4  CRC-32 over everything behind it
    8   4  length of the body, unsigned
    12  1  kind: E event, D decision, V confirmed view, S segment start, F segment end, X erased
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
EXPOSURE: Final = ord("V")
START: Final = ord("S")
END: Final = ord("F")
ERASED: Final = ord("X")
INDEXED: Final = (EVENT, EXPOSURE)
ENTRY_BYTES: Final = 32
MAX_BODY_BYTES: Final = 4 << 20

_HEAD = struct.Struct("<4sI")
_LENGTH = struct.Struct("<I")
_BODY = struct.Struct("<BBq")
_CHECKED = struct.Struct("<IBBq")  # length and head of the body
_FRAME = struct.Struct("<4sIIBBq")
_BODY_AT = _HEAD.size + _LENGTH.size
_WINDOW_BYTES = 1 << 20


class Frame(NamedTuple):
    """A whole record.

    Parameters
    ----------
    offset, end
        First byte, and first byte after it, in the segment.
    kind
        `EVENT`, `DECISION`, `EXPOSURE`, `START`, `END` or what a later version writes.
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
    length = _BODY.size + len(entries) + len(payload)
    if length > MAX_BODY_BYTES:
        raise ValueError(f"a record of {length} bytes; at most {MAX_BODY_BYTES} are written")
    checked = _CHECKED.pack(length, kind, len(entries) // ENTRY_BYTES, time) + entries + payload
    return _HEAD.pack(MARKER, zlib.crc32(checked)) + checked


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
        for found in self.portions():
            if isinstance(found, Damage):
                yield found
            else:
                yield from found

    def portions(self) -> Iterator[list[Frame] | Damage]:
        """The same, with the frames of up to a megabyte at a time: cheaper per frame."""
        position = self._start
        while position < self._size:
            frames = self._frames_of_window(position)
            if frames:
                position = frames[-1].end
                yield frames
            if position >= self._size or self._is_longer_than_window(position):
                continue
            damage = self._damage_at(position)
            yield damage
            if damage.torn:
                return
            position = damage.end

    def _frames_of_window(self, position: int) -> list[Frame]:
        """Whole frames from `position` on, up to the first that is none or not in the buffer."""
        base, buffer = self._base, self._buffer
        at, limit = position - base, len(buffer)
        frames: list[Frame] = []
        while at + _FRAME.size <= limit:
            marker, crc, length, kind, count, time = _FRAME.unpack_from(buffer, at)
            end = at + _BODY_AT + length
            if marker != MARKER or not _BODY.size <= length <= MAX_BODY_BYTES or end > limit:
                break
            if zlib.crc32(buffer[at + _HEAD.size : end]) != crc:
                break
            begin = at + _FRAME.size
            text = begin + count * ENTRY_BYTES
            entries, payload = buffer[begin:text], buffer[text:end]
            frames.append(Frame(base + at, base + end, kind, time, entries, payload))
            at = end
        return frames

    def _is_longer_than_window(self, position: int) -> bool:
        """Load what is needed to see the frame at `position`; False if that was there already."""
        need = _FRAME.size
        head = self._buffer[position - self._base :][: _FRAME.size] if self._buffer else b""
        if len(head) == _FRAME.size:
            marker, _, length, *_ = _FRAME.unpack(head)
            if marker == MARKER and length <= MAX_BODY_BYTES:
                need = _BODY_AT + length
        have = self._base + len(self._buffer) - position if self._buffer else 0
        if have >= need:
            return False
        self._load(position, need)
        return len(self._buffer) > have

    def _damage_at(self, position: int) -> Damage:
        following = self._next_marker(position + 1)
        if following is not None:
            return Damage(position, following, torn=False)
        return Damage(position, self._size, torn=not self._is_complete(position))

    def _is_complete(self, position: int) -> bool:
        """Whether a frame of the stated length would fit: then it is damaged, not unfinished."""
        self._load(position, _FRAME.size)
        if len(self._buffer) < _FRAME.size:
            return False
        marker, _, length, *_ = _FRAME.unpack_from(self._buffer)
        plausible = marker == MARKER and length <= MAX_BODY_BYTES
        return plausible and position + _BODY_AT + int(length) <= self._size

    def _next_marker(self, position: int) -> int | None:
        while position < self._size:
            self._load(position, len(MARKER))
            found = self._buffer.find(MARKER)
            if found >= 0:
                return position + found
            if len(self._buffer) < _WINDOW_BYTES:
                return None
            position += len(self._buffer) - len(MARKER) + 1
        return None

    def _load(self, position: int, need: int) -> None:
        """Make the buffer begin at `position`; fewer than `need` bytes mean the end."""
        want = min(max(need, _WINDOW_BYTES), self._size - position)
        parts: list[bytes] = []
        while want > 0 and (
            part := os.pread(self._descriptor, want, position + sum(map(len, parts)))
        ):
            parts.append(part)
            want -= len(part)
        self._base, self._buffer = position, b"".join(parts)
