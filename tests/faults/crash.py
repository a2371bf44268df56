"""Rounds of SIGKILL against several writers of one log, and what must be true afterwards."""

from __future__ import annotations

import multiprocessing
import os
import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from feature_store.event_log import LogReader
from feature_store.layout import StoreLayout
from feature_store.records import EventRecord
from tests.faults.log_worker import work

WRITERS = 4
SHARED_IDS = 3000
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.log_worker"])


@dataclass(slots=True)
class Outcome:
    """What the rounds brought.

    Parameters
    ----------
    acknowledged
        Event ids that some process said to be stored (accepted or duplicate).
    accepted
        How often each id was said to be accepted.
    decisions
        Decision ids that `record` returned for.
    logged
        How often each event or decision id is in the log.
    missing, repeated
        Acknowledged ids not in the log; ids in the log more than once.
    """

    rounds: int = 0
    acknowledged: set[str] = field(default_factory=set)
    accepted: Counter[str] = field(default_factory=Counter)
    decisions: set[str] = field(default_factory=set)
    logged: Counter[str] = field(default_factory=Counter)
    damaged: int = 0

    @property
    def missing(self) -> set[str]:
        return (self.acknowledged | self.decisions) - self.logged.keys()

    @property
    def repeated(self) -> set[str]:
        return {each for each, count in self.logged.items() if count > 1}

    def summary(self) -> str:
        return (
            f"{self.rounds} rounds, {WRITERS} writers: {len(self.acknowledged)} events and "
            f"{len(self.decisions)} decisions acknowledged, {len(self.missing)} missing, "
            f"{len(self.repeated)} repeated, {self.damaged} damaged records"
        )


class Writer:
    """A process under test; its output is collected while it lives.

    It is forked from a server that has imported everything, so that rounds are short.
    """

    def __init__(self, root: Path, stream: int, number: int) -> None:
        receive, send = _CONTEXT.Pipe(duplex=False)
        self.process = _CONTEXT.Process(
            target=work, args=(str(root), str(stream), str(number), str(SHARED_IDS), send)
        )
        self.process.start()
        send.close()
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._collect, args=(receive,))
        self._thread.start()

    def wait_ready(self, seconds: float = 60) -> None:
        """Until it has recovered and opened the log."""
        deadline = time.monotonic() + seconds
        while not self.lines:
            assert self.process.is_alive(), "ended by itself; its error is on standard error"
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.001)

    def kill(self) -> None:
        """SIGKILL, then take what it has said."""
        assert self.process.is_alive(), "ended by itself; its error is on standard error"
        self.finish()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def finish(self) -> None:
        """Kill it if it lives."""
        self.process.kill()
        self.process.join()
        self._thread.join()

    def _collect(self, receive: Connection) -> None:
        with open(receive.fileno(), "rb", closefd=False) as stream:
            for line in stream:
                # A line that the kill cut short was never said.
                if line.endswith(b"\n"):
                    self.lines.append(line.decode())
        receive.close()


def crash_rounds(root: Path, rounds: int, seed: int = 1) -> Outcome:
    """Kill one or all of four writers at random moments, again and again; then read the log."""
    rng = random.Random(seed)
    outcome = Outcome(rounds)
    writers = {stream: Writer(root, stream, 0) for stream in range(WRITERS)}
    try:
        for number in range(1, rounds + 1):
            everybody = rng.random() < 0.2
            victims = list(writers) if everybody else rng.sample(list(writers), 2)
            # Now and then a process dies while it starts and recovers what the last one left.
            for stream in victims:
                if rng.random() < 0.9:
                    writers[stream].wait_ready()
            time.sleep(rng.uniform(0.0, 0.08))
            for stream in victims:
                writers[stream].kill()
                _take(outcome, writers[stream])
                writers[stream] = Writer(root, stream, number)
    finally:
        for writer in writers.values():
            writer.finish()
            _take(outcome, writer)
    _read(outcome, root)
    return outcome


def _take(outcome: Outcome, writer: Writer) -> None:
    for line in writer.lines:
        kind, *words = line.split()
        if kind == "decision":
            outcome.decisions.update(words)
        elif kind == "events":
            for event_id, status in (word.rsplit("=", 1) for word in words):
                outcome.acknowledged.add(event_id)
                outcome.accepted[event_id] += status == "a"


def _read(outcome: Outcome, root: Path) -> None:
    reader = LogReader(StoreLayout(root).log)
    for entry in reader:
        record = entry.record
        is_event = isinstance(record, EventRecord)
        outcome.logged[record.event.event_id if is_event else record.decision_id] += 1
    outcome.damaged = reader.counts.damaged + reader.counts.unreadable
