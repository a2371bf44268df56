"""Rounds of SIGKILL against several writers of one log, and what must be true afterwards."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from feature_store.event_log import LogReader
from feature_store.layout import StoreLayout
from feature_store.records import EventRecord
from tests.conftest import ROOT

WRITERS = 4
SHARED_IDS = 3000


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
    """A process under test; its output is collected while it lives."""

    def __init__(self, root: Path, stream: int, number: int) -> None:
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.log_worker",
                *map(str, (root, stream, number, SHARED_IDS)),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        self.lines: list[str] = []
        self.errors = b""
        self._threads = [
            threading.Thread(target=self._collect),
            threading.Thread(target=self._collect_errors),
        ]
        for thread in self._threads:
            thread.start()

    def wait_ready(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while not self.lines:
            assert self.process.poll() is None, self.errors.decode()
            assert time.monotonic() < deadline, "not ready in time"
            time.sleep(0.002)

    def kill(self) -> None:
        assert self.process.poll() is None, f"ended by itself: {self.errors.decode()}"
        os.kill(self.process.pid, signal.SIGKILL)
        self.finish()

    def finish(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as stream:
            for line in stream:
                # A line that the kill cut short was never said.
                if line.endswith(b"\n"):
                    self.lines.append(line.decode())

    def _collect_errors(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as stream:
            self.errors = stream.read()


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
