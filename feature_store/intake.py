"""The door to the durable log: events get a verdict once they are on disk, decisions are noted.

One committer thread per process takes all waiting submissions as one group, so that a hundred
callers share one sync. Files and the index are opened lazily in the process that uses them: make
the intake before or after a fork, but use it on one side only.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from feature_store.event_log.claim import check_writer
from feature_store.event_log.disk import Disk
from feature_store.intake_commit import EventSink, LogSink
from feature_store.intake_committer import Committer, IntakeOptions
from feature_store.intake_counters import IntakeCounters
from feature_store.intake_items import Submission, Submitted
from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord
from feature_store.verdicts import Verdict
from recommender.errors import StorageError

__all__ = ["EventSink", "Intake", "IntakeCounters", "IntakeOptions", "Verdict"]

_LOGGER = logging.getLogger(__name__)


class Intake:
    """Takes events and decisions of one process.

    Parameters
    ----------
    visitors
        Told about accepted events before their verdicts are given out.
    clock
        Microseconds since the epoch, UTC.
    writer
        Name of the stream; a number is added, the lowest that no live process holds.
    disk
        The system calls; tests make them fail.
    """

    def __init__(
        self,
        layout: StoreLayout,
        visitors: EventSink | LogSink,
        clock: Callable[[], int],
        writer: str = "serve",
        options: IntakeOptions | None = None,
        disk: Disk | None = None,
    ) -> None:
        check_writer(writer)
        self._log = layout.log
        self._clock = clock
        self._committer = Committer(
            layout, writer, clock, visitors, options or IntakeOptions(), disk or Disk()
        )
        self._starting = threading.Lock()
        self._pid: int | None = None
        self._is_closed = False
        self._is_losing = False

    @property
    def counters(self) -> IntakeCounters:
        """What was done since the process began."""
        return self._committer.counters

    @property
    def writer(self) -> str | None:
        """Name under which this process writes; None before the log is open."""
        store = self._committer.store
        return store.writer.writer if store else None

    def open(self) -> None:
        """Recover and open now rather than at the first use.

        Raises `StorageError`; the intake goes on trying, and may be used all the same.
        """
        committer = self._started()
        committer.tried.wait()
        if committer.failure is not None:
            raise committer.failure

    def submit(
        self,
        events: Sequence[Submitted],
        raws: Sequence[bytes],
        arrived_at: int | None = None,
    ) -> Future[list[Verdict]]:
        """Store events and confirmed views.

        Parameters
        ----------
        events
            Each is an event, a confirmed view, or the reason why it is none. Of a view `ts_server`,
            `seq` and `writer` are set here.
        raws
            The bytes of each as sent, for quarantine.
        arrived_at
            When they first arrived, microseconds, if that is not now: for a replay.

        Returns
        -------
        Future
            A verdict for each, in order, once accepted events are durable, indexed and applied.
            Or `StorageFullError`, `StorageBusyError` or another `StorageError`: none was accepted.
        """
        if len(events) != len(raws):
            raise ValueError(f"{len(events)} events and {len(raws)} raws; as many are wanted")
        now = self._clock()
        submission = Submission(events, raws, now, now if arrived_at is None else arrived_at)
        if self._is_closed:
            submission.future.set_exception(StorageError("the intake is closed"))
        else:
            self._started().submit(submission)
        return submission.future

    def record(self, decision: DecisionRecord) -> int | None:
        """Hand a decision to the operating system, at once, in the calling thread.

        Its `seq` and `writer` are set here. It is synced soon after.

        Returns
        -------
        int or None
            Its sequence number; None when it could not be written, which is counted.
        """
        return self.record_all((decision,))[0]

    def record_all(self, decisions: Sequence[DecisionRecord]) -> list[int | None]:
        """As `record`, of several in one write; one that cannot be written costs no other."""
        try:
            taken = self._append(decisions)
        except (StorageError, ValueError, OverflowError, TypeError) as error:
            if len(decisions) > 1:
                return [self.record(each) for each in decisions]
            self.counters.decisions_lost += 1
            if not self._is_losing:  # once per spell, not once per answer
                _LOGGER.warning("decision records are being lost: %s", error)
            self._is_losing = True
            return [None]
        self._is_losing = False
        self.counters.decisions += len(taken)
        self._committer.sync_soon()
        return [*taken, *(self.record(each) for each in decisions[len(taken) :])]

    def next_seq(self) -> int:
        """Number that the next record would get now; `record` decides. 0 while nothing is open."""
        store = self._committer.store
        return store.writer.next_seq if store else 0

    def close(self) -> None:
        """Store what is waiting, sync everything, close. May be called twice."""
        with self._starting:
            is_running = self._pid == os.getpid() and not self._is_closed
            self._is_closed = True
        if is_running:
            self._committer.close()

    def _append(self, decisions: Sequence[DecisionRecord]) -> range:
        if self._is_closed:
            raise StorageError("the intake is closed")
        committer = self._started()
        if not committer.tried.is_set():
            committer.tried.wait()
        if committer.store is None:
            raise StorageError(f"{self._log}: the log is not open: {committer.failure}")
        return committer.store.writer.append_decisions(decisions)

    def _started(self) -> Committer:
        if self._pid == os.getpid():
            return self._committer
        with self._starting:
            if self._pid is None and not self._is_closed:
                self._pid = os.getpid()
                self._committer.start()
        if self._pid != os.getpid():
            raise StorageError("this intake is closed, or was opened before a fork")
        return self._committer
