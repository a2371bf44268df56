"""The one thread per process that writes groups, syncs decisions, rotates and retries."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from feature_store.erasures import Erasures
from feature_store.event_log.disk import Disk
from feature_store.event_log.store import LogStore, LogStoreOptions, open_store
from feature_store.intake_commit import EventSink, GroupCommit, LogSink, decode_events
from feature_store.intake_counters import IntakeCounters
from feature_store.intake_items import Submission
from feature_store.layout import StoreLayout
from feature_store.quarantine import Quarantine
from feature_store.verdicts import Verdict
from recommender.errors import StorageBusyError, StorageError, StorageFullError

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class IntakeOptions:
    """How events are taken in.

    Parameters
    ----------
    max_waiting_events
        More than this many waiting are refused with `StorageBusyError`.
    max_group_events
        A group takes no further submission beyond this.
    sync_seconds
        Decisions are synced this long after the first one, plus the time a sync takes.
    retry_seconds
        How long a full disk, or a log that does not open, is left alone.
    quarantine_bytes
        Size of the quarantine folder, at most.
    """

    log: LogStoreOptions = field(default_factory=LogStoreOptions)
    max_waiting_events: int = 20_000
    max_group_events: int = 4_000
    sync_seconds: float = 0.02
    retry_seconds: float = 1.0
    quarantine_bytes: int = 512 << 20


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the thread works with once the log is open."""

    store: LogStore
    quarantine: Quarantine
    commit: GroupCommit


class Committer:
    """Queue and thread. See `feature_store.intake.Intake` for the parameters."""

    def __init__(
        self,
        layout: StoreLayout,
        prefix: str,
        clock: Callable[[], int],
        sink: EventSink | LogSink,
        options: IntakeOptions,
        disk: Disk,
    ) -> None:
        self.counters = IntakeCounters()
        self.failure: StorageError | None = None
        self.tried = threading.Event()
        self._layout = layout
        self._prefix = prefix
        self._clock = clock
        self._sink = sink
        self._options = options
        self._disk = disk
        self._waiting: deque[Submission] = deque()
        self._wake = threading.Condition()
        self._is_closing = False
        self._is_sync_due = False
        self._opened: _Opened | None = None
        self._retry_at = 0.0
        self._synced_at = 0.0
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)

    @property
    def store(self) -> LogStore | None:
        """The open log; None while it could not be opened, and after the end."""
        return self._opened.store if self._opened else None

    def start(self) -> None:
        """Start the thread, which opens the log; `tried` is set after the first attempt."""
        self._thread.start()

    def submit(self, submission: Submission) -> None:
        """Queue a submission; its future is resolved sooner or later, also with a refusal."""
        count = len(submission.events)
        with self._wake:
            refusal = self._refusal(count)
            if refusal is None:
                self._waiting.append(submission)
                self.counters.waiting_events += count
                self._wake.notify()
        if refusal is not None:
            submission.future.set_exception(refusal)

    def sync_soon(self) -> None:
        """Something was written that is to be synced without anybody waiting for it."""
        if not self._is_sync_due:
            self._is_sync_due = True
            with self._wake:
                self._wake.notify()

    def close(self) -> None:
        """Store what is waiting, sync, close, end the thread."""
        with self._wake:
            self._is_closing = True
            self._wake.notify()
        self._thread.join()

    def _refusal(self, count: int) -> StorageError | None:
        if self._is_closing:
            return StorageError("the intake is closed")
        waiting = self.counters.waiting_events
        if waiting and waiting + count > self._options.max_waiting_events:
            self.counters.busy_refusals += 1
            return StorageBusyError(f"{waiting} events wait to be written; send again later")
        return None

    def _run(self) -> None:
        self._ready()
        self.tried.set()
        while (group := self._take()) is not None:
            if group:
                self._answer(group)
            opened = self._ready()
            if opened is not None and (not group or self._is_sync_late()):
                self._sync(opened)
        self._close_opened()

    def _take(self) -> list[Submission] | None:
        """The next group; empty when it is time to sync or to try again, None at the end."""
        with self._wake:
            self._wake.wait_for(self._is_woken, self._patience())
            if self._is_sync_due and not self._has_work():
                self._wake.wait_for(self._has_work, self._options.sync_seconds)
            if not self._waiting:
                return None if self._is_closing else []
            group: list[Submission] = []
            size = 0
            while self._waiting and size < self._options.max_group_events:
                group.append(self._waiting.popleft())
                size += len(group[-1].events)
            return group

    def _patience(self) -> float | None:
        return self._options.retry_seconds if self.failure is not None else None

    def _is_sync_late(self) -> bool:
        # Groups sync what they find written, unless all their events are known already.
        waited = time.monotonic() - self._synced_at
        return self._is_sync_due and waited > self._options.sync_seconds

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._is_closing

    def _is_woken(self) -> bool:
        return self._has_work() or self._is_sync_due

    def _answer(self, group: Sequence[Submission]) -> None:
        """Commit a group and resolve its futures, whatever happens."""
        results: list[list[Verdict]] = []
        failure: StorageError | None = None
        try:
            results = self._committed(group)
        except StorageError as error:
            failure = error
        except Exception as error:  # a defect must not end the thread that answers everybody
            _LOGGER.exception("a group could not be committed")
            failure = StorageError(f"a group could not be committed: {error!r}")
        with self._wake:
            self.counters.waiting_events -= sum(len(each.events) for each in group)
        for position, submission in enumerate(group):
            if not submission.future.set_running_or_notify_cancel():
                continue
            if failure is not None:
                submission.future.set_exception(failure)
            else:
                submission.future.set_result(results[position])

    def _committed(self, group: Sequence[Submission]) -> list[list[Verdict]]:
        opened = self._ready()
        if opened is None:
            raise self.failure or StorageError(f"{self._layout.log}: the log is not open")
        try:
            results = opened.commit.commit(group, self._clock())
        except StorageError as error:
            # After a failed sync a new segment may do at once; a full disk takes a while.
            self._note(error, pause=isinstance(error, StorageFullError))
            raise
        if opened.quarantine.is_dirty:
            self._is_sync_due = True
        return results

    def _ready(self) -> _Opened | None:
        """Open what is not open, begin a segment when one is due. None: `failure` says why not."""
        if self.failure is not None and time.monotonic() < self._retry_at:
            return None
        try:
            if self._opened is None:
                self._opened = self._open()
            self._begin_due_segment(self._opened)
        except StorageError as error:
            self._note(error, pause=True)
            return None
        except Exception as error:  # as in _answer
            _LOGGER.exception("the log could not be opened")
            self._note(StorageError(f"the log could not be opened: {error!r}"), pause=True)
            return None
        self.failure = None
        return self._opened

    def _open(self) -> _Opened:
        options = self._options
        store = open_store(
            self._layout, self._prefix, self._clock, options.log, self.counters, self._disk
        )
        quarantine = Quarantine(
            self._layout.quarantine, store.writer.writer, options.quarantine_bytes, self.counters
        )
        erasures = Erasures(self._layout.erasures)
        commit = GroupCommit(store, quarantine, self._sink, self.counters, erasures)
        self.counters.recovered_events += store.recovered.events
        commit.apply(decode_events(store.recovered.unapplied))
        return _Opened(store, quarantine, commit)

    def _begin_due_segment(self, opened: _Opened) -> None:
        now = self._clock()
        writer = opened.store.writer
        if not writer.is_due(now):
            return
        try:
            opened.commit.begin_segment(now)
        except StorageError:
            if writer.segment is None:
                raise
            self.counters.rotation_failures += 1

    def _sync(self, opened: _Opened) -> None:
        self._is_sync_due = False
        try:
            opened.store.writer.sync()
        except StorageError as error:
            self._note(error, pause=False)
        opened.quarantine.sync()
        self._synced_at = time.monotonic()

    def _note(self, error: StorageError, *, pause: bool) -> None:
        self.counters.storage_failures += 1
        if self.failure is None:  # once per spell, not once per try
            _LOGGER.warning("the log could not be written: %s", error)
        self.failure = error
        self._retry_at = time.monotonic() + (self._options.retry_seconds if pause else 0.0)

    def _close_opened(self) -> None:
        opened = self._opened
        if opened is None:
            return
        opened.quarantine.close()
        try:
            opened.store.close(self._clock())
        except StorageError as error:
            _LOGGER.warning("the log could not be closed in order: %s", error)
