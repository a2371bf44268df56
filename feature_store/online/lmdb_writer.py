"""One thread that writes for its whole process: many changes, one LMDB transaction.

LMDB has one writer at a time over all processes. A batch is what has queued up while the last one
was committed, at most `MAX_BATCH_CHANGES` keys and about `MAX_BATCH_SECONDS`, so that a single
change waits for nothing and a flood shares its commits.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

import lmdb

from feature_store.file_lock import FileLock
from feature_store.online.lmdb_file import storage_error
from recommender.errors import StorageError

Transaction: TypeAlias = "lmdb.Transaction[bytes]"

MAX_BATCH_CHANGES = 1_000
MAX_BATCH_SECONDS = 0.010
WRITE_TIMEOUT_SECONDS = 30.0

_LOG = logging.getLogger(__name__)


class Task(Protocol):
    """Work inside a write transaction; may be run again when the transaction had to start over."""

    @property
    def changes(self) -> int:
        """How many keys it touches."""
        ...

    def run(self, transaction: Transaction) -> object:
        """Do it; an exception that is no LMDB error concerns this task alone."""
        ...


@dataclass(slots=True)
class _Job:
    task: Task
    done: Future[object] = field(default_factory=Future)


class ChangeError(Exception):
    """A task's own exception, on its way to the caller."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


class BatchingWriter:
    """The writer thread of one environment.

    Parameters
    ----------
    environment
        Written by this thread only, within this process.
    readers
        Held by every reader of this process; taken here before the map is moved.
    write_lock
        Held around every write transaction; all processes share the file. Closed with the writer.
    idle
        Called about every `idle_seconds` in this thread, between batches.
    """

    def __init__(
        self,
        environment: lmdb.Environment,
        readers: threading.Lock,
        write_lock: FileLock,
        idle: Callable[[], None],
        idle_seconds: float = 60.0,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._environment, self._readers = environment, readers
        self._writing, self._write_lock = threading.Lock(), write_lock
        self._idle, self._idle_seconds = idle, idle_seconds
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._submitting, self._closed = threading.Lock(), False
        self._thread = threading.Thread(target=self._loop, name="online-store-writer", daemon=True)
        self._thread.start()

    def run(self, task: Task) -> object:
        """Run a task and wait for its commit; raises what the task raised, or `StorageError`."""
        if threading.current_thread() is self._thread:
            raise StorageError("a change function may not call its own store")
        job = _Job(task)
        with self._submitting:
            if self._closed:
                raise StorageError("this online store is closed")
            self._queue.put(job)
        try:
            return job.done.result(WRITE_TIMEOUT_SECONDS)
        except TimeoutError as error:
            raise StorageError(
                f"not committed within {WRITE_TIMEOUT_SECONDS:.0f} s; it may still be: "
                "another process holds the write lock, or the disk hangs"
            ) from error

    def adopt_map_size(self) -> None:
        """Follow a map that another process has grown. Not with `readers` held."""
        with self._writing, self._readers:
            self._environment.set_mapsize(0)

    def close(self) -> None:
        """Finish what is queued and stop."""
        with self._submitting:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join()
        self._write_lock.close()

    def _loop(self) -> None:
        waiting: list[_Job] = []
        last_idle = time.monotonic()
        running = True
        while running or waiting:
            if running:
                running = self._fetch(waiting, last_idle + self._idle_seconds - time.monotonic())
            if waiting:
                waiting = waiting[self._write(waiting) :]
            if running and time.monotonic() - last_idle >= self._idle_seconds:
                self._call_idle()
                last_idle = time.monotonic()

    def _fetch(self, waiting: list[_Job], patience: float) -> bool:
        """Append what is queued to `waiting`; False once the writer is told to stop."""
        changes = sum(job.task.changes for job in waiting)
        try:
            while changes < MAX_BATCH_CHANGES:
                job = self._queue.get(timeout=0 if waiting else max(patience, 0))
                if job is None:
                    return False
                waiting.append(job)
                changes += job.task.changes
        except queue.Empty:
            pass
        return True

    def _write(self, jobs: list[_Job]) -> int:
        """Commit the first jobs, answer them and say how many they were."""
        try:
            with self._writing, self._write_lock.held():
                outcomes = self._attempt_until_it_fits(jobs)
        except Exception as error:  # noqa: BLE001 - every waiting caller must hear of it
            failure = storage_error("cannot write", error, Path(self._environment.path()))
            for job in jobs:
                job.done.set_exception(failure)
            return len(jobs)
        for job, outcome in zip(jobs, outcomes, strict=False):
            _answer(job, outcome)
        self.counts.update(
            batches=1, changes=sum(job.task.changes for job in jobs[: len(outcomes)])
        )
        return len(outcomes)

    def _attempt_until_it_fits(self, jobs: list[_Job]) -> list[object]:
        while True:
            try:
                return self._attempt(jobs)
            except lmdb.MapFullError:
                with self._readers:
                    self._environment.set_mapsize(self._environment.info()["map_size"] * 2)
                self.counts["map_grown"] += 1
            except lmdb.MapResizedError:
                with self._readers:
                    self._environment.set_mapsize(0)

    def _attempt(self, jobs: list[_Job]) -> list[object]:
        outcomes: list[object] = []
        with self._environment.begin(write=True) as transaction:
            until = time.monotonic() + MAX_BATCH_SECONDS
            for job in jobs:
                outcomes.append(_outcome(job.task, transaction))
                if time.monotonic() > until:
                    break
        return outcomes

    def _call_idle(self) -> None:
        try:
            with self._writing, self._write_lock.held():
                self._idle()
        except Exception:  # noqa: BLE001 - housekeeping must not end the writer
            _LOG.warning("housekeeping of the online store failed", exc_info=True)


def _outcome(task: Task, transaction: Transaction) -> object:
    try:
        return task.run(transaction)
    except ChangeError as error:
        return error


def _answer(job: _Job, outcome: object) -> None:
    if isinstance(outcome, ChangeError):
        job.done.set_exception(outcome.cause)
    else:
        job.done.set_result(outcome)
