"""Records encoded ahead of the lock under which sequence numbers are given."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from feature_store.event_log.frame import DECISION, EVENT, EXPOSURE, encode_frame
from feature_store.records import DecisionRecord, EventRecord, ExposureRecord

_ENCODE = msgspec.json.Encoder().encode
_SEQ = b'"seq":0,"writer":'


class PreparedEvent(NamedTuple):
    """An encoded event, view or decision that only lacks its sequence number.

    Parameters
    ----------
    time
        Of the frame, microseconds.
    entries
        Index entries, see `feature_store.event_log.frame`.
    head, tail
        The JSON text before and after the sequence number.
    """

    time: int
    entries: bytes
    head: bytes
    tail: bytes
    kind: int = EVENT

    @property
    def size(self) -> int:
        """Bytes of JSON, about."""
        return len(self.head) + len(self.tail) + len(_SEQ)

    def frame(self, seq: int) -> bytes:
        """The record as it goes to disk."""
        payload = b'%b"seq":%d,"writer":%b' % (self.head, seq, self.tail)
        return encode_frame(self.kind, self.time, self.entries, payload)


def prepare_event(record: EventRecord, entries: bytes) -> PreparedEvent:
    """Encode an event whose `seq` is 0. Raises what msgspec raises for text that is not Unicode."""
    # The last match is the record's own: behind it there is only the writer's name and flags.
    head, _, tail = _ENCODE(record).rpartition(_SEQ)
    return PreparedEvent(record.received_at, entries, head, tail)


def prepare_exposure(record: ExposureRecord, entries: bytes) -> PreparedEvent:
    """Encode a view whose `seq` is 0. Raises as `prepare_event`."""
    head, _, tail = _ENCODE(record).rpartition(_SEQ)
    return PreparedEvent(record.ts_server, entries, head, tail, EXPOSURE)


def prepare_decision(record: DecisionRecord, writer: str) -> PreparedEvent:
    """Encode a decision, whatever its `seq`, as one of this writer. Raises as `prepare_event`."""
    # In front of both there are plain values, and a quote inside a text is escaped: the first
    # match is the record's own.
    head, _, rest = _ENCODE(record).partition(b'"seq":')
    tail = _ENCODE(writer) + rest[rest.index(b',"subject_key":') :]
    return PreparedEvent(record.ts_server, b"", head, tail, DECISION)
