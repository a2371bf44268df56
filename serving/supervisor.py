"""Several workers on one port: a generation of them per model, replaced and stopped together."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from recommender.bundle_folder import POINTER, read_pointer
from recommender.errors import BundleError
from serving.backoff import Backoff
from serving.board import Board
from serving.bundle_source import NO_MODEL, signature_of
from serving.children import ended, forked, hold_signals, next_signal, tell
from serving.generation import NOTHING, READY, REFUSED, Generation
from serving.inherited_model import REFUSAL
from serving.settings import Settings
from serving.shared_metrics import gather
from serving.telemetry import Metrics
from serving.worker import FAILED, RETIRE_SIGNAL, STOP_SIGNALS

logger = logging.getLogger(__name__)
TICK_SECONDS, WAITING_TICK_SECONDS = 1.0, 0.02
# What brings in numba: a second of processor time, and 55 MiB.
KERNELS = "recommender.compiled"
# A swap waits for the one before it, so that at most three models are in memory at a time.
MOST_RETIRING = 1


@dataclass(slots=True)
class Child:
    """A generation, seen from the supervisor."""

    pid: int
    told: Board
    news: Board
    started: float = field(default_factory=time.monotonic)

    @property
    def word(self) -> dict[str, Any]:
        """What it says of itself, see `Generation`."""
        return self.told.heard()

    @property
    def version(self) -> str:
        """Version of its model."""
        return str(self.word.get("version", NO_MODEL))


class Supervisor:
    """Keeps one generation of workers in service, and brings in another one for another model.

    It holds the sockets until it is told to stop, so connections in the queue of a worker that
    died are answered by its successor. It loads nothing itself: what a bundle may do to the process
    that loads it, it does not do to this one.
    """

    def __init__(self, settings: Settings, sockets: list[socket.socket]) -> None:
        self._settings, self._sockets = settings, sockets
        self._bundles = settings.layout.bundles
        self._metrics = Metrics()
        self._current: Child | None = None
        self._candidate: Child | None = None
        self._retiring: dict[int, Child] = {}
        self._orphans: list[int] = []
        self._tried: tuple[int, ...] | None = None
        self._poll_at, self._start_at = 0.0, 0.0
        self._backoff = Backoff()
        self._is_stopping = self._has_failed = False

    def run(self, started: Callable[[], None]) -> int:
        """Supervise until told to stop; then stop every worker, wait, and return the exit code."""
        hold_signals()
        if signature_of(self._bundles):
            self._import([KERNELS])
        gc.collect()
        gc.freeze()
        announced = False
        while not (self._is_stopping and not self._children()):
            self._step()
            if self._current and not announced:
                announced = True
                started()
        return FAILED if self._has_failed else 0

    def _children(self) -> dict[int, Child]:
        present = [each for each in (self._current, self._candidate) if each]
        return {each.pid: each for each in present} | self._retiring

    def _step(self) -> None:
        waits = self._candidate or not self._current
        poll = min(TICK_SECONDS, self._settings.bundle_poll_seconds)
        if next_signal(WAITING_TICK_SECONDS if waits else poll) in STOP_SIGNALS:
            self._stop()
        for pid, code in ended():
            self._bury(pid, code)
        self._forget_orphans()
        if not self._is_stopping:
            self._promote()
            self._poll()

    def _promote(self) -> None:
        """Put the candidate in service once its workers answer; its predecessor retires."""
        candidate = self._candidate
        if candidate is None or candidate.word.get("state") != READY:
            return
        before, self._current, self._candidate = self._current, candidate, None
        refusal = candidate.word.get(REFUSAL)
        self._metrics.bundle_refused.set(bool(refusal))
        logger.info("generation in service", extra={"version": candidate.version})
        if before:
            self._retiring[before.pid] = before
            tell(before.pid, RETIRE_SIGNAL)
        self._retire_orphans()
        self._import(candidate.word.get("modules", []))

    def _import(self, names: list[str]) -> None:
        """Have here what models need: generations are forked from this process.

        It is numba that counts. Where a model is delivered it comes in before the first fork, so
        that all share its pages; else once a generation says what its model needed.
        """
        if missing := [name for name in names if name not in sys.modules]:
            for name in missing:
                importlib.import_module(name)
            gc.freeze()

    def _poll(self) -> None:
        now = time.monotonic()
        if self._candidate or len(self._retiring) >= MOST_RETIRING:
            return
        if self._current is None:
            if now >= self._start_at:
                self._begin(is_first=True)
            return
        if now < self._poll_at:
            return
        self._poll_at = now + self._settings.bundle_poll_seconds
        signature = signature_of(self._bundles)
        if signature != self._tried:
            self._tried = signature
            self._follow(self._current)

    def _follow(self, current: Child) -> None:
        """Do what the changed pointer says."""
        try:
            pointer = read_pointer(self._bundles)
        except BundleError as error:
            self._metrics.bundle_swaps.labels("refused").inc()
            logger.error("bundle refused", extra={"version": POINTER, "reason": str(error)})  # noqa: TRY400 - the reason is said
            return self._refuse(f"{POINTER}: {error}")
        if pointer is None:
            return None
        if pointer.version == current.version:
            return self._refuse(None)
        return self._begin(is_first=False)

    def _begin(self, *, is_first: bool) -> None:
        self._tried = signature_of(self._bundles)
        told, news = Board(), Board()
        settings, sockets = self._settings, self._sockets

        def live() -> int:
            return Generation(settings, sockets, told, news, is_first=is_first).run()

        self._candidate = Child(forked(live), told, news)

    def _bury(self, pid: int, code: int) -> None:
        gather(pid)
        child = self._children().get(pid)
        if child is None:  # an orphan, where this process adopts them
            return
        if self._is_stopping:
            self._has_failed |= code != 0
        if child is self._candidate:
            self._candidate = None
            if self._current:
                self._refuse_candidate(child, code)
            else:
                self._start_later(child, code)
        elif child is self._current:
            self._current = None
            self._adopt(child)
            self._start_later(child, code)
        elif self._retiring.pop(pid, None) and code < 0:
            self._adopt(child)
            self._retire_orphans()

    def _adopt(self, child: Child) -> None:
        """Its workers go on without their parent."""
        self._orphans += child.word.get("pids", [])

    def _retire_orphans(self) -> None:
        for pid in self._orphans:
            tell(pid, RETIRE_SIGNAL)

    def _start_later(self, child: Child, code: int) -> None:
        lived = time.monotonic() - child.started
        self._start_at = time.monotonic() + self._backoff.delay(lived)
        if not self._is_stopping:
            logger.error("generation ended", extra={"exit_code": code, "version": child.version})

    def _refuse_candidate(self, child: Child, code: int) -> None:
        word = child.word
        if self._is_stopping or word.get("state") == NOTHING:
            return
        if word.get("state") == REFUSED:
            return self._refuse(str(word[REFUSAL]))
        self._metrics.bundle_swaps.labels("refused").inc()
        reason = f"the process that loaded it ended with {code}"
        logger.error("bundle refused", extra={"version": child.version, "reason": reason})
        return self._refuse(reason)

    def _refuse(self, reason: str | None) -> None:
        """What is delivered is not in use, for this reason; None: it is."""
        self._metrics.bundle_refused.set(reason is not None)
        if self._current:
            self._current.news.say({REFUSAL: reason})

    def _forget_orphans(self) -> None:
        """Those that have ended since; nobody tells who did not fork them."""
        for pid in list(self._orphans):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                self._orphans.remove(pid)
                gather(pid)

    def _stop(self) -> None:
        self._is_stopping = True
        # Else the system would go on taking connections that no worker will answer.
        for listener in self._sockets:
            with contextlib.suppress(OSError):
                listener.close()
        for pid in (*self._children(), *self._orphans):
            tell(pid, signal.SIGTERM)
