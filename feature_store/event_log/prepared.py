"""Events encoded ahead of the lock under which sequence numbers are given."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from feature_store.event_log.frame import EVENT, encode_frame
from feature_store.records import EventRecord

_ENCODE = msgspec.json.Encoder().encode
_SEQ = b'"seq":0,"writer":'


class PreparedEvent(NamedTuple):
    """An encoded event that only lacks its sequence number.

    Parameters
    ----------
    time
        `EventRecord.received_at`, microseconds.
    entries
        Index entries, see `feature_store.event_log.frame`.
    head, tail
        The JSON text before and after the sequence number.
    """

    time: int
    entries: bytes
    head: bytes
    tail: bytes

    @property
    def size(self) -> int:
        """Bytes of JSON, about."""
        return len(self.head) + len(self.tail) + len(_SEQ)

    def frame(self, seq: int) -> bytes:
        """The record as it goes to disk."""
        payload = b'%b"seq":%d,"writer":%b' % (self.head, seq, self.tail)
        return encode_frame(EVENT, self.time, self.entries, payload)


def prepare_event(record: EventRecord, entries: bytes) -> PreparedEvent:
    """Encode an event whose `seq` is 0. Raises what msgspec raises for text that is not Unicode."""
    # The last match is the record's own: behind it there is only the writer's name and flags.
    head, _, tail = _ENCODE(record).rpartition(_SEQ)
    return PreparedEvent(record.received_at, entries, head, tail)
