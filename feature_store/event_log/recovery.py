"""After a death: which records are logged and not yet indexed, and where streams go on.

A process may die, or lose the index, between writing a group and indexing it. Whoever holds the
index next finds those records behind the indexed offset (`index_tails`), so that a retry of theirs
is a duplicate. At start-up the segments without a living owner are cut back to their last whole
record and finished (`recover_segments`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec

from feature_store.dedup import (
    GENERATION_MICROS,
    DedupIndex,
    DedupTransaction,
    Pair,
    split_entries,
)
from feature_store.event_log.claim import try_claim
from feature_store.event_log.frame import (
    DECISION,
    END,
    ERASED,
    EVENT,
    INDEXED,
    MAGIC,
    Damage,
    Frame,
    FrameScanner,
)
from feature_store.event_log.segment import (
    SegmentEnd,
    SegmentName,
    boot_id,
    list_segments,
    open_for_reading,
    read_start,
)
from feature_store.event_log.writer import MAX_SEGMENT_SECONDS, StreamPosition
from recommender.terms import MICROS_PER_SECOND

Keep: TypeAlias = Callable[[str, bytes], None]

_LOGGER = logging.getLogger(__name__)
_LOT = 100_000
_TAIL_BYTES = 64 << 10
_HORIZON_MICROS = 2 * GENERATION_MICROS + MAX_SEGMENT_SECONDS * MICROS_PER_SECOND


_NUMBERED = (*INDEXED, DECISION, ERASED, END)


class _Numbered(msgspec.Struct):
    seq: int


@dataclass(slots=True)
class RecoveryCounts:
    """What start-up found.

    Parameters
    ----------
    segments
        Segments without an owner that were finished.
    events
        Events put into the index.
    torn_bytes
        Bytes of unfinished last records, cut off.
    unapplied
        JSON of events that were logged and not indexed when their process died: the online store
        has not seen them.
    """

    segments: int = 0
    events: int = 0
    torn_bytes: int = 0
    unapplied: list[bytes] = field(default_factory=list)


def index_tails(txn: DedupTransaction, folder: Path, own: str | None, keep: Keep) -> int:
    """Index the events that writers left behind their indexed offset when they died.

    Writers add events only while they hold the write transaction, so whatever event lies there now
    belongs to a process that died, or whose index refused; decisions may lie there at any time.

    Parameters
    ----------
    own
        The caller's open segment, left out: it knows that it holds nothing unindexed.
    keep
        Takes segment name and JSON of each event found.

    Returns
    -------
    int
        Events found.
    """
    found = 0
    for segment, offset in txn.tails().items():
        if segment == own:
            continue
        try:
            if (folder / segment).stat().st_size > offset:
                found += _index_tail(txn, folder / segment, offset, keep)
        except FileNotFoundError:
            txn.forget(segment)
    return found


def recover_segments(index: DedupIndex, folder: Path, own: str, now: int) -> RecoveryCounts:
    """Finish all segments whose writer lives no more, those of the caller's own name included.

    The caller holds the start-up lock and has claimed the writer name `own`.
    """
    counts = RecoveryCounts()
    with index.transaction(now) as txn:
        finished, tails = txn.finished(), txn.tails()
    names = list_segments(folder)
    for writer in dict.fromkeys(name.writer for name in names):
        lock = None if writer == own else try_claim(folder, writer)
        if lock is None and writer != own:
            continue
        for name in names:
            if name.writer == writer and str(name) not in finished:
                _recover(index, folder / str(name), tails.get(str(name)), now, counts)
        if lock is not None:
            lock.close()
    return counts


def forget_missing(index: DedupIndex, folder: Path, now: int) -> None:
    """Drop what the index remembers of segments that were removed."""
    with index.transaction(now) as txn:
        for gone in txn.segments() - {str(name) for name in list_segments(folder)}:
            txn.forget(gone)


def stream_position(folder: Path, writer: str, known: Iterable[str]) -> StreamPosition:
    """Where a claimed stream goes on: no number of a segment or a record is used twice.

    After a power cut records that were not synced may be missing at the end. Then one number is
    left out, so that the gap shows.

    Parameters
    ----------
    known
        Names of segments that once were.
    """
    names = [name for name in list_segments(folder) if name.writer == writer]
    parsed = [name for name in map(SegmentName.parse, known) if name and name.writer == writer]
    number = max((name.number for name in [*names, *parsed]), default=0) + 1
    seq, may_miss = 0, None
    for name in reversed(names):
        start, (last, is_closed) = read_start(folder / str(name)), _last_seq(folder / str(name))
        # A process killed while it began a segment leaves one without a start. That never held a
        # record, since a start is durable before there is one: what went before it tells.
        if may_miss is None and (start is not None or last is not None):
            may_miss = (start is None or start.boot_id != boot_id()) and not is_closed
        seq = max(seq, start.first_seq if start else 0, -1 if last is None else last + 1)
        if last is not None:
            break
    return StreamPosition(writer, number, seq + int(may_miss or False))


def _index_tail(txn: DedupTransaction, path: Path, offset: int, keep: Keep) -> int:
    with open_for_reading(path) as (descriptor, size):
        events, end = _unindexed(descriptor, offset, size)
        if events:
            try:
                os.fdatasync(descriptor)  # what is called a duplicate must be durable
            except OSError as error:
                _LOGGER.warning("%s: could not be synced, not indexed: %s", path, error)
                return 0
    for event in events:
        txn.insert(split_entries(event.entries), event.time)
        if event.kind == EVENT:
            keep(path.name, event.payload)
    txn.set_tail(path.name, end)
    return len(events)


def _unindexed(descriptor: int, offset: int, size: int) -> tuple[list[Frame], int]:
    events, end = [], offset
    for found in FrameScanner(descriptor, max(offset, len(MAGIC)), size):
        if isinstance(found, Damage):
            if found.torn:
                break
        elif found.kind in INDEXED:
            events.append(found)
        end = found.end
    return events, end


def _recover(
    index: DedupIndex, path: Path, offset: int | None, now: int, counts: RecoveryCounts
) -> None:
    start = read_start(path)
    with index.transaction(now) as txn:
        if start is None or offset is not None or now - start.created_at < _HORIZON_MICROS:
            _insert(txn, _cut_and_scan(path, offset or 0, counts), counts, keep=offset is not None)
        txn.finish(path.name)
    counts.segments += 1


def _insert(
    txn: DedupTransaction,
    portions: Iterable[Sequence[Frame]],
    counts: RecoveryCounts,
    *,
    keep: bool,
) -> None:
    """Index events in large sorted lots, by generation: far faster than one by one."""
    lots: dict[int, list[Pair]] = {}
    for events in portions:
        for event in events:
            generation = event.time // GENERATION_MICROS
            lots.setdefault(generation, []).extend(split_entries(event.entries))
        counts.events += len(events)
        if keep:
            applied = (event for event in events if event.kind == EVENT)
            counts.unapplied.extend(event.payload for event in applied)
        if max(map(len, lots.values()), default=0) >= _LOT:
            _insert_lots(txn, lots)
    _insert_lots(txn, lots)


def _insert_lots(txn: DedupTransaction, lots: dict[int, list[Pair]]) -> None:
    for generation, pairs in lots.items():
        txn.insert(pairs, generation * GENERATION_MICROS)
    lots.clear()


def _cut_and_scan(path: Path, offset: int, counts: RecoveryCounts) -> Iterator[list[Frame]]:
    """Events and views from `offset` on; a torn end is cut off, and everything made durable."""
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        for found in FrameScanner(descriptor, max(offset, len(MAGIC)), size).portions():
            if isinstance(found, Damage):
                _cut(descriptor, path, found, counts)
            else:
                yield [frame for frame in found if frame.kind in INDEXED]
        os.fdatasync(descriptor)
    finally:
        os.close(descriptor)


def _cut(descriptor: int, path: Path, damage: Damage, counts: RecoveryCounts) -> None:
    # A file of another format is not ours to cut.
    if not damage.torn or os.pread(descriptor, len(MAGIC), 0) != MAGIC:
        return
    os.ftruncate(descriptor, damage.offset)
    counts.torn_bytes += damage.end - damage.offset
    _LOGGER.warning("%s: cut %d bytes of an unfinished record", path, damage.end - damage.offset)


def _last_seq(path: Path) -> tuple[int | None, bool]:
    """Number of the last record, and whether the segment was closed in order."""
    with open_for_reading(path) as (descriptor, size):
        last = None
        for start in (max(len(MAGIC), size - _TAIL_BYTES), len(MAGIC)):
            for found in FrameScanner(descriptor, start, size):
                if isinstance(found, Frame) and found.kind in _NUMBERED:
                    last = found
            if last is not None:
                break
    if last is None:
        return None, False
    try:
        if last.kind == END:
            return msgspec.json.decode(last.payload, type=SegmentEnd).next_seq - 1, True
        return msgspec.json.decode(last.payload, type=_Numbered).seq, False
    except msgspec.DecodeError:
        return None, False
