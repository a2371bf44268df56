"""Several workers on one port: started, replaced when they die, stopped together."""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from types import FrameType

from prometheus_client import CollectorRegistry

from recommender.placements import DEFAULT_FILE, read_placements
from serving.bundle_source import BundleSource, ServingModel
from serving.settings import Settings
from serving.telemetry import Metrics, mark_process_dead
from serving.worker import FAILED, STOP_SIGNALS, run_worker

logger = logging.getLogger(__name__)
RESPAWN_SECONDS = 1.0


class Supervisor:
    """Keeps one worker per socket alive.

    It loads the model once and forks, so that workers share its pages. It keeps the sockets
    until it is told to stop, so connections in the queue of a worker that died are answered by
    its successor.
    """

    def __init__(self, settings: Settings, sockets: list[socket.socket]) -> None:
        self._settings = settings
        self._sockets = sockets
        self._slots: dict[int, int] = {}
        self._starts: dict[int, float] = {}
        self._is_stopping = False

    def run(self, started: Callable[[], None]) -> int:
        """Supervise until told to stop; then stop every worker, wait, and return the exit code."""
        model = self._load()
        for number in STOP_SIGNALS:
            signal.signal(number, self._stop)
        gc.collect()
        gc.freeze()  # workers then share these pages for good
        for slot in range(len(self._sockets)):
            self._spawn(slot, model)
        started()
        has_failed = False
        while self._slots:
            has_failed |= self._reap(model)
        return FAILED if has_failed else 0

    def _load(self) -> ServingModel | None:
        placements = read_placements(self._settings.placements or DEFAULT_FILE)
        models = BundleSource(
            self._settings.layout.bundles, placements, math.inf, Metrics(CollectorRegistry())
        )
        models.load_first()
        mark_process_dead(os.getpid())  # what this process uses must not show as in use
        return models.current if models.current.is_loaded else None

    def _spawn(self, slot: int, model: ServingModel | None) -> None:
        self._starts[slot] = time.monotonic()
        # No stop may come between the look, the fork and the note of its pid.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        if not self._is_stopping:
            pid = os.fork()
            if pid == 0:
                self._work(slot, model)
            self._slots[pid] = slot
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _work(self, slot: int, model: ServingModel | None) -> None:
        """The life of a worker; it never returns."""
        code = FAILED
        try:
            listener = self._sockets.pop(slot)
            self._close_sockets()  # a port is closed when nobody holds its socket any more
            code = run_worker(self._settings, listener, lambda: None, model)
        except Exception:
            logger.exception("worker failed")
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self, model: ServingModel | None) -> bool:
        """Wait for one worker to end; put another one in its place unless all are to stop.

        Returns
        -------
        bool
            It ended badly though it was told to stop.
        """
        pid, status = os.wait()
        slot = self._slots.pop(pid)
        mark_process_dead(pid)
        code = os.waitstatus_to_exitcode(status)
        if self._is_stopping:
            return code != 0
        logger.error("worker ended", extra={"slot": slot, "exit_code": code})
        if code != 0:  # one that dies young is not started in a tight loop
            time.sleep(max(0.0, RESPAWN_SECONDS - (time.monotonic() - self._starts[slot])))
        self._spawn(slot, model)
        return False

    def _close_sockets(self) -> None:
        for listener in self._sockets:
            listener.close()

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - signal API
        self._is_stopping = True
        # Else the system would go on taking connections that no worker will answer.
        self._close_sockets()
        for pid in list(self._slots):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
