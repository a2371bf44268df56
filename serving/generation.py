"""One model and the workers that share its pages; another model is another generation.

The process loads the model, asks it the canary questions, which also compile its kernels and fill
its caches, and then forks: a worker begins with everything ready and copies nothing. It replaces
workers that die, and ends when it is told to stop or, its successor in place, to retire.
"""

from __future__ import annotations

import gc
import logging
import mmap
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from recommender.placements import DEFAULT_FILE, read_placements
from serving.arm_models import ArmModels
from serving.backoff import Backoff
from serving.board import Board
from serving.bundle_source import BundleSource
from serving.children import ended, forked, hold_signals, next_signal, tell
from serving.experiment_source import build_experiments
from serving.inherited_model import REFUSAL, Inheritance
from serving.settings import Settings
from serving.shared_metrics import drop_gauges, gather
from serving.spread import Spread
from serving.telemetry import Metrics
from serving.worker import FAILED, RETIRE_SIGNAL, STOP_SIGNALS, Shared, run_worker

logger = logging.getLogger(__name__)
READY, REFUSED, NOTHING = "ready", "refused", "nothing"
TICK_SECONDS, STARTING_TICK_SECONDS = 1.0, 0.02
LOADING_NICENESS = 5
RETIRE_ONE_SECONDS = 1.0
OWN_MODULES = "recommender."


@dataclass(slots=True)
class Slot:
    """One place of a worker: its socket, and who is in it."""

    listener: socket.socket
    pid: int | None = None
    started: float = 0.0
    due: float = 0.0
    is_leaving: bool = False
    backoff: Backoff = field(default_factory=Backoff)


class Generation:
    """The life of that process.

    Parameters
    ----------
    is_first
        There are no workers yet: whatever was delivered, something must serve. Otherwise only
        the version that is pointed at will do, and where it is refused there is no generation.
    told
        Where it says how it stands: ``state``, ``version``, ``refusal``, ``pids`` of its workers,
        and ``modules`` of ours that its model needed.
    news
        What its workers are to hear from the supervisor.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: list[socket.socket],
        told: Board,
        news: Board,
        *,
        is_first: bool,
    ) -> None:
        self._settings = settings
        self._slots = [Slot(each) for each in sockets]
        self._told, self._news, self._is_first = told, news, is_first
        self._started = mmap.mmap(-1, len(sockets))
        self._spread = Spread(len(sockets))
        self._word: dict[str, object] = {}
        self._parent = os.getppid()
        self._is_stopping = self._is_retiring = self._has_failed = self._is_ready = False
        self._retire_next = 0.0

    def run(self) -> int:
        """Load, fork, and look after the workers until the last one has gone."""
        hold_signals()
        inheritance = self._load()
        if inheritance is None:
            return 0
        while not self._is_over():
            self._step(inheritance)
        return FAILED if self._has_failed else 0

    def _load(self) -> Inheritance | None:
        """The model in memory; None where there is to be no generation."""
        found: list[Inheritance | None] = []

        def work() -> None:
            # Those who serve meanwhile go first. Only this thread is slowed down: what is forked
            # later is not, and could not be made faster again.
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOADING_NICENESS)
            found.append(self._read())

        loader = threading.Thread(target=work, name="loader")
        loader.start()
        loader.join()
        drop_gauges(os.getpid())  # what this process uses must not show as in use
        gc.collect()
        gc.freeze()  # workers then share these pages for good
        return found[0] if found else None

    def _read(self) -> Inheritance | None:
        settings, metrics = self._settings, Metrics(CollectorRegistry())
        placements = read_placements(settings.placements or DEFAULT_FILE)
        source = BundleSource(settings.layout.bundles, placements, 1.0, metrics)
        if self._is_first:
            source.load_first()
        else:
            source.poll()
            if not source.current.is_loaded:
                self._say(state=REFUSED if source.refusal else NOTHING, refusal=source.refusal)
                return None
        used = [name for name in sys.modules if name.startswith(OWN_MODULES)]
        self._say(version=source.current.version, refusal=source.refusal, modules=used)
        self._news.say({REFUSAL: source.refusal})
        arms = ArmModels(settings.layout.bundles, source, placements, settings.max_arm_bundles)
        build_experiments(settings.layout.experiments, arms, placements, 1.0, metrics)
        return Inheritance(source.current, self._news, dict(arms.held))

    def _step(self, inheritance: Inheritance) -> None:
        number = next_signal(TICK_SECONDS if self._is_ready else STARTING_TICK_SECONDS)
        if number in STOP_SIGNALS or (os.getppid() != self._parent and not self._is_stopping):
            self._stop()
        elif number == RETIRE_SIGNAL:
            self._is_retiring = True
        for pid, code in ended():
            self._bury(pid, code)
        if self._is_retiring:
            self._retire()
        elif not self._is_stopping:
            self._fill(inheritance)
            self._look_whether_ready()

    def _fill(self, inheritance: Inheritance) -> None:
        now = time.monotonic()
        for number, slot in enumerate(self._slots):
            if slot.pid is None and now >= slot.due:
                slot.started = now
                slot.pid = forked(lambda number=number: self._work(number, inheritance))  # type: ignore[misc]
                self._say(pids=self._pids())

    def _work(self, number: int, inheritance: Inheritance) -> int:
        """The life of a worker."""
        for other, slot in enumerate(self._slots):
            if other != number:
                slot.listener.close()  # a port is closed when nobody holds its socket any more
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})

        def started() -> None:
            self._started[number] = 1

        shared = Shared(inheritance, self._spread.place(number))
        return run_worker(self._settings, self._slots[number].listener, started, shared)

    def _look_whether_ready(self) -> None:
        if not self._is_ready and all(self._started[:]):
            self._is_ready = True
            self._say(state=READY)

    def _bury(self, pid: int, code: int) -> None:
        slot = next(each for each in self._slots if each.pid == pid)
        slot.pid = None
        self._spread.begins(self._slots.index(slot), takes=False)
        gather(pid)
        if self._is_stopping or self._is_retiring:
            self._has_failed |= code != 0
            self._retire_next = 0.0
            return
        number = self._slots.index(slot)
        logger.error("worker ended", extra={"slot": number, "exit_code": code})
        now = time.monotonic()
        # One that was told to stop is replaced at once, one that dies young not in a tight loop.
        slot.due = now + (slot.backoff.delay(now - slot.started) if code else 0.0)
        if not self._is_ready and not self._is_first:
            self._say(state=REFUSED, refusal=f"a worker ended with {code} before it could serve")
            self._has_failed = True
            self._stop()

    def _retire(self) -> None:
        """Send the workers away, one after the other."""
        now = time.monotonic()
        staying = [slot for slot in self._slots if slot.pid is not None and not slot.is_leaving]
        if staying and now >= self._retire_next:
            staying[0].is_leaving = True
            self._retire_next = now + RETIRE_ONE_SECONDS
            tell(staying[0].pid or 0, RETIRE_SIGNAL)

    def _stop(self) -> None:
        self._is_stopping = True
        # Else the system would go on taking connections that no worker will answer.
        for slot in self._slots:
            slot.listener.close()
        for pid in self._pids():
            tell(pid, signal.SIGTERM)

    def _is_over(self) -> bool:
        return (self._is_stopping or self._is_retiring) and not self._pids()

    def _pids(self) -> list[int]:
        return [slot.pid for slot in self._slots if slot.pid is not None]

    def _say(self, **word: object) -> None:
        self._word |= word
        self._told.say(self._word)
