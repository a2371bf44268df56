"""One group commit: verdicts, log, sync, index, quarantine, online store, in this order.

All of it up to the index happens under the write transaction of the dedup index, which is shared
by all processes: whoever holds it sees every event accepted before.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

import msgspec

from feature_store.dedup import DedupTransaction
from feature_store.erasures import ERASED, Erasures, erased_at
from feature_store.event_log.recovery import index_tails
from feature_store.event_log.store import LogStore
from feature_store.event_log.writer import Span
from feature_store.events import InteractionEvent
from feature_store.intake_counters import IntakeCounters
from feature_store.intake_items import Item, Submission, prepare
from feature_store.quarantine import Quarantine
from feature_store.records import EventRecord
from feature_store.verdicts import ACCEPTED, DUPLICATE, REJECTED, Verdict
from recommender.errors import StorageError

_LOGGER = logging.getLogger(__name__)
_DECODE = msgspec.json.Decoder(EventRecord).decode


class EventSink(Protocol):
    """Where accepted events go once they are durable."""

    def apply(self, events: Sequence[InteractionEvent]) -> None:
        """Take events, in the order they were accepted."""
        ...


@runtime_checkable
class LogSink(Protocol):
    """A sink that knows where in the log events lie, and can fetch from there what it missed."""

    def begin(self, writer: str) -> None:
        """The stream of `writer` is open. Raises `StorageError`."""
        ...

    def logged(self, events: Sequence[InteractionEvent], span: Span) -> None:
        """Take the events that are in the stream up to the end of `span`; never raises."""
        ...


class GroupCommit:
    """Carries out groups for one process, in the committer's thread.

    Parameters
    ----------
    sink
        Told about accepted events once they are durable and indexed.
    erasures
        What came before an erasure is refused, and not kept in quarantine either.
    """

    def __init__(
        self,
        store: LogStore,
        quarantine: Quarantine,
        sink: EventSink | LogSink,
        counters: IntakeCounters,
        erasures: Erasures,
    ) -> None:
        self._store = store
        self._erasures = erasures
        self._writer = store.writer
        self._quarantine = quarantine
        self._sink = None if isinstance(sink, LogSink) else sink
        self._counters = counters
        self._has_unindexed = False
        self._registered: str | None = None
        self._span: Span | None = None
        self._log_sink = sink if isinstance(sink, LogSink) else None
        if self._log_sink is not None:
            self._log_sink.begin(self._writer.writer)

    def commit(self, group: Sequence[Submission], now: int) -> list[list[Verdict]]:
        """Store a group. Returns the verdicts of each submission.

        Raises `StorageError`; then no event of the group was accepted.
        """
        submitted = [list(prepare(each, self._writer.writer)) for each in group]
        items = [item for part in submitted for item in part]
        self._refuse_erased(items)
        recovered = self._store_items(items, now)
        self._count(items)
        self._keep_rejects([item for item in items if item.verdict.status == REJECTED], now)
        accepted = [item.event for item in items if item.event and item.verdict.status == ACCEPTED]
        self._pass_on(recovered, accepted)
        return [[item.verdict for item in part] for part in submitted]

    def begin_segment(self, now: int) -> None:
        """Begin a new segment, and tell the index. Raises `StorageError`."""
        self._writer.begin_segment(now)
        with self._transaction(now):
            pass

    def apply(self, events: Sequence[InteractionEvent]) -> None:
        """Hand durable events to the online store; it may be behind, never the log."""
        if not events or self._sink is None:  # a `LogSink` reads other streams itself
            return
        try:
            self._sink.apply(events)
        except Exception as error:  # noqa: BLE001 - durable events are accepted, whatever fails here
            self._counters.online_failures += 1
            _LOGGER.warning("events did not reach the online store: %r", error)

    def _pass_on(self, recovered: list[InteractionEvent], accepted: list[InteractionEvent]) -> None:
        if self._log_sink is None:
            self.apply([*recovered, *accepted])
        elif accepted and self._span is not None:
            self._log_sink.logged(accepted, self._span)

    def _refuse_erased(self, items: Sequence[Item]) -> None:
        if not (subjects := self._erasures.subjects):
            return
        for item in items:
            if (event := item.event) and event.ts <= erased_at(
                subjects, event.visitor_id, event.user_id
            ):
                item.refuse(ERASED, "its shopper has been erased since")

    def _keep_rejects(self, items: Sequence[Item], now: int) -> None:
        try:
            self._quarantine.write([item.reject() for item in items], now)
        except Exception as error:  # noqa: BLE001 - as in apply: the others are stored already
            self._counters.quarantine_lost += len(items)
            _LOGGER.warning("rejected events could not be kept: %r", error)

    def _store_items(self, items: Sequence[Item], now: int) -> list[InteractionEvent]:
        """Decide, write, sync, index. Returns events that others left unindexed."""
        recovered: list[InteractionEvent] = []
        failure: StorageError | None = None
        is_durable = False
        try:
            with self._transaction(now, recovered) as txn:
                fresh = _decide(txn, items)
                try:
                    self._write(txn, fresh)
                    is_durable = True
                    txn.insert([pair for item in fresh for pair in item.pairs])
                except StorageError as error:
                    failure = error
        except StorageError as error:
            if not is_durable:
                raise failure or error from error
            # On disk, and not in the index: it will be found behind the indexed offset.
            self._has_unindexed = True
            _LOGGER.warning("accepted events will be indexed later: %s", error)
        if failure is not None:
            raise failure
        return recovered

    def _write(self, txn: DedupTransaction, fresh: Sequence[Item]) -> None:
        events = [item.prepared for item in fresh if item.prepared is not None]
        if events:
            span = self._writer.append_events(events)
            self._writer.sync()
            self._span = span
            txn.set_tail(span.segment, span.end)

    @contextmanager
    def _transaction(
        self, now: int, recovered: list[InteractionEvent] | None = None
    ) -> Iterator[DedupTransaction]:
        """The write transaction, begun with what is not indexed yet, ended with what is closed."""
        found: list[InteractionEvent] = []
        closed: list[str] = []
        segment = self._writer.segment
        try:
            with self._store.index.transaction(now) as txn:
                self._index_tails(txn, found)
                if segment is not None and segment != self._registered:
                    txn.set_tail(segment, 0)  # others must find what this process leaves behind
                yield txn
                closed = self._writer.take_closed()
                for name in closed:
                    txn.finish(name)
        except BaseException:
            self._writer.put_back_closed(closed)
            raise
        self._has_unindexed = False
        self._registered = segment
        self._counters.recovered_events += len(found)
        if recovered is None:
            self.apply(found)
        else:
            recovered.extend(found)

    def _index_tails(self, txn: DedupTransaction, found: list[InteractionEvent]) -> None:
        own = f"{self._writer.writer}-"

        def keep(segment: str, payload: bytes) -> None:
            if not segment.startswith(own):  # own events have been applied already
                found.extend(decode_events([payload]))

        skipped = None if self._has_unindexed else self._writer.segment
        index_tails(txn, self._writer.folder, skipped, keep)

    def _count(self, items: Sequence[Item]) -> None:
        counters = self._counters
        counters.groups += 1
        for item in items:
            verdict = item.verdict
            if verdict.status == ACCEPTED and item.exposure is not None:
                counters.exposures += 1
            elif verdict.status == ACCEPTED:
                counters.accepted += 1
                counters.late += verdict.late
                counters.clamped += verdict.clamped
            elif verdict.status == DUPLICATE:
                counters.duplicates += 1
            else:
                counters.rejected[verdict.code or ""] += 1


def decode_events(payloads: Sequence[bytes]) -> list[InteractionEvent]:
    """Events of logged records; those of a schema that is not known are left out."""
    events = []
    for payload in payloads:
        try:
            events.append(_DECODE(payload).event)
        except msgspec.DecodeError as error:
            _LOGGER.warning("a recovered event cannot be read: %s", error)
    return events


def _decide(txn: DedupTransaction, items: Sequence[Item]) -> list[Item]:
    """Give every item its verdict. Returns those that are to be written."""
    known = txn.lookup([key for item in items for key, _ in item.pairs])
    fresh: list[Item] = []
    for item in items:
        if item.judge(known):
            fresh.append(item)
            known.update(item.pairs)
    return fresh
