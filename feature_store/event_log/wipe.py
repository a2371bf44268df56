"""Taking erased shoppers out of segments that nobody writes any more.

A record keeps its place and length, so every position in a segment stays what it was: an event
becomes a frame of kind ``X`` that holds its sequence number and blanks, a decision loses its
subject and is filled up with blanks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from feature_store.event_log.claim import try_claim
from feature_store.event_log.frame import (
    DECISION,
    END,
    ERASED,
    EVENT,
    MAGIC,
    Frame,
    FrameScanner,
    encode_frame,
)
from feature_store.event_log.segment import SegmentName, list_segments
from feature_store.events import InteractionEvent
from feature_store.file_lock import exclusive
from feature_store.records import DecisionRecord
from recommender.errors import DataError

IsErased = Callable[[InteractionEvent | DecisionRecord], bool]


class _Event(msgspec.Struct):
    event: InteractionEvent
    seq: int


_EVENT = msgspec.json.Decoder(_Event)
_DECISION = msgspec.json.Decoder(DecisionRecord)
_ANONYMOUS: dict[str, Any] = {
    "subject_key": "",
    "subject_type": "anonymous",
    "session_key": None,
    "context": {},
    "attributes_used": {},
}


@dataclass(slots=True)
class WipeCounts:
    """What was done to the log.

    Parameters
    ----------
    events, decisions
        Events wiped, and decisions made anonymous.
    waiting
        Records in segments that a live process still writes: the next run takes them.
    """

    events: int = 0
    decisions: int = 0
    waiting: int = 0


def wipe_segments(folder: Path, is_erased: IsErased) -> WipeCounts:
    """Wipe what is erased out of all segments of a log folder. May be repeated, and killed."""
    counts = WipeCounts()
    for writer, names in groupby(list_segments(folder), lambda name: name.writer):
        *closed, last = names
        for name in closed:
            _wipe(folder / str(name), is_erased, counts)
        _wipe_last(folder, writer, last, is_erased, counts)
    return counts


def _wipe_last(
    folder: Path, writer: str, last: SegmentName, is_erased: IsErased, counts: WipeCounts
) -> None:
    # Nobody starts meanwhile; so a name that is free now has no writer until this is done.
    with exclusive(folder / "start.lock"):
        claim = try_claim(folder, writer)
        if claim is not None:
            try:
                _wipe(folder / str(last), is_erased, counts)
            finally:
                claim.close()
            return
    with _opened(folder / str(last), os.O_RDONLY) as (descriptor, size):
        frames = list(_frames(descriptor, size))
        waiting = [new for frame in frames if (new := _wiped(frame, is_erased)) is not None]
    if frames and frames[-1].kind == END:
        _wipe(folder / str(last), is_erased, counts)
    else:
        counts.waiting += len(waiting)


def _wipe(path: Path, is_erased: IsErased, counts: WipeCounts) -> None:
    with _opened(path, os.O_RDWR) as (descriptor, size):
        for frame in _frames(descriptor, size):
            if (new := _wiped(frame, is_erased)) is None:
                continue
            os.pwrite(descriptor, new, frame.offset)
            counts.events += frame.kind == EVENT
            counts.decisions += frame.kind == DECISION
        os.fdatasync(descriptor)


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[tuple[int, int]]:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        yield descriptor, os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


def _frames(descriptor: int, size: int) -> Iterator[Frame]:
    found = FrameScanner(descriptor, len(MAGIC), size)
    return (frame for frame in found if isinstance(frame, Frame))


def _wiped(frame: Frame, is_erased: IsErased) -> bytes | None:
    """The bytes to put in place of a frame; None where it stays."""
    try:
        if frame.kind == EVENT:
            event = _EVENT.decode(frame.payload)
            return _erased(frame, event.seq) if is_erased(event.event) else None
        if frame.kind == DECISION:
            decision = _DECISION.decode(frame.payload)
            return _anonymous(frame, decision) if is_erased(decision) else None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # unreadable for every reader
    return None


def _erased(frame: Frame, seq: int) -> bytes:
    room = len(frame.entries) + len(frame.payload)
    return _same_length(
        frame, encode_frame(ERASED, frame.time, b"", (b'{"seq":%d}' % seq).ljust(room))
    )


def _anonymous(frame: Frame, decision: DecisionRecord) -> bytes:
    arms = tuple(msgspec.structs.replace(each, unit_key=None) for each in decision.assignments)
    anonymous = msgspec.structs.replace(decision, **_ANONYMOUS, assignments=arms)
    text = msgspec.json.encode(anonymous)
    if len(text) > len(frame.payload):  # nothing of it may stay
        return _erased(frame, decision.seq)
    return _same_length(
        frame, encode_frame(DECISION, frame.time, frame.entries, text.ljust(len(frame.payload)))
    )


def _same_length(frame: Frame, new: bytes) -> bytes:
    if len(new) != frame.end - frame.offset:
        raise DataError(f"{len(new)} bytes for a record of {frame.end - frame.offset}")
    return new
