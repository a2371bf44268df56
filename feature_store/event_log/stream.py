"""The events of one writer in the order written, from a place in its stream on."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from feature_store.event_log.frame import EVENT, MAGIC, Damage, Frame, FrameScanner
from feature_store.event_log.segment import SegmentName, list_segments, open_for_reading
from feature_store.events import InteractionEvent
from feature_store.records import EventRecord

_LOGGER = logging.getLogger(__name__)
_DECODE = msgspec.json.Decoder(EventRecord).decode


class Place(NamedTuple):
    """A place between two records of a stream; later ones are greater.

    Parameters
    ----------
    number
        Of the segment.
    offset
        First byte behind the record before it.
    """

    number: int = 0
    offset: int = 0


class Portion(NamedTuple):
    """Some events, and the place behind the last of them."""

    events: list[InteractionEvent]
    end: Place


def end_of(folder: Path, writer: str) -> Place:
    """The place behind everything of a stream that is on disk now."""
    own = [name for name in list_segments(folder) if name.writer == writer]
    return Place(own[-1].number, (folder / str(own[-1])).stat().st_size) if own else Place()


def portions(folder: Path, writer: str, after: Place, until: Place, size: int) -> Iterator[Portion]:
    """The events between two places, some `size` at a time; the last portion may have none.

    What is no record, or cannot be read as an event, is passed over.
    """
    events: list[InteractionEvent] = []
    for name in list_segments(folder):
        if name.writer != writer or not after.number <= name.number <= until.number:
            continue
        for frame in _frames(folder, name, after, until):
            events += _decoded(frame)
            if len(events) >= size:
                yield Portion(events, Place(name.number, frame.end))
                events = []
    yield Portion(events, until)


def place_of(segment: str, offset: int) -> Place:
    """The place at an offset of a named segment."""
    name = SegmentName.parse(segment)
    if name is None:
        raise ValueError(f"{segment!r} is no segment")
    return Place(name.number, offset)


def writers(names: Sequence[SegmentName]) -> list[str]:
    """The streams of these segments, each once."""
    return list(dict.fromkeys(name.writer for name in names))


def _frames(folder: Path, name: SegmentName, after: Place, until: Place) -> Iterator[Frame]:
    try:
        with open_for_reading(folder / str(name)) as (descriptor, size):
            start = after.offset if name.number == after.number else 0
            end = until.offset if name.number == until.number else size
            scanner = FrameScanner(descriptor, max(start, len(MAGIC)), min(end, size))
            for found in scanner:
                if not isinstance(found, Damage) and found.kind == EVENT:
                    yield found
    except FileNotFoundError:
        _LOGGER.warning("%s has gone before it was read", os.fspath(folder / str(name)))


def _decoded(frame: Frame) -> list[InteractionEvent]:
    try:
        return [_DECODE(frame.payload).event]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
