"""Processes die at any moment: what was acknowledged is there, once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from feature_store.event_log import LogReader
from feature_store.event_log.disk import Disk
from feature_store.event_log.store import LogStoreOptions, open_store
from feature_store.intake_counters import IntakeCounters
from feature_store.layout import StoreLayout
from tests.conftest import ROOT
from tests.faults.crash import Writer, crash_rounds
from tests.faults.log_worker import TS

ROUNDS = int(os.environ.get("DESIREPATH_CRASH_ROUNDS", "50"))
REPLAYED = 100_000 if ROUNDS < 500 else 1_000_000


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_and_nothing_is_stored_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = crash_rounds(tmp_path, ROUNDS)
    with capsys.disabled():
        sys.stdout.write(f"\n{outcome.summary()}\n")
    assert len(outcome.acknowledged) > 20 * ROUNDS
    assert len(outcome.decisions) > ROUNDS
    assert outcome.missing == set()
    assert outcome.repeated == set()
    assert outcome.damaged == 0
    assert max(outcome.accepted.values()) == 1, "accepted by one process only"


@pytest.mark.slow
def test_the_log_opens_and_its_numbers_have_no_gap_after_kills(tmp_path: Path) -> None:
    crash_rounds(tmp_path, 3, seed=2)
    layout = StoreLayout(tmp_path)
    store = open_store(layout, "w", lambda: TS, LogStoreOptions(), IntakeCounters(), Disk())
    store.close(TS)
    by_writer: dict[str, list[int]] = {}
    for entry in LogReader(layout.log):
        by_writer.setdefault(entry.record.writer, []).append(entry.record.seq)
    assert set(by_writer) >= {"w.1", "w.2", "w.3", "w.4"}
    for seqs in by_writer.values():
        assert seqs == list(range(len(seqs))), "a killed process loses nothing"


REPLAY = """
import sys, os
from pathlib import Path
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from tests.faults.log_worker import NoSink, TS, make_event
intake = Intake(StoreLayout(Path(sys.argv[1])), NoSink(), lambda: TS, "w")
intake.open()
os.write(1, b"ready\\n")
counts = {"accepted": 0, "duplicate": 0}
batch = 1000
futures = []
for start in range(0, int(sys.argv[2]), batch):
    ids = [f"r{n}" for n in range(start, start + batch)]
    futures.append(intake.submit([make_event(each) for each in ids], [b""] * batch))
    if len(futures) > 4:
        for verdict in futures.pop(0).result():
            counts[verdict.status] += 1
for future in futures:
    for verdict in future.result():
        counts[verdict.status] += 1
print(counts["accepted"], counts["duplicate"], flush=True)
intake.close()
"""


def replay(root: Path, seconds: float | None) -> str:
    """Send all events; killed after so many seconds, or left to finish. Returns what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", REPLAY, str(root), str(REPLAYED)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    with process.stdout as stream:
        assert stream.readline() == "ready\n"
        if seconds is not None:
            time.sleep(seconds)
            process.send_signal(signal.SIGKILL)
        said = stream.read()
    process.wait()
    return said


@pytest.mark.slow
def test_events_sent_twice_across_a_kill_are_counted_once(tmp_path: Path) -> None:
    assert replay(tmp_path, 0.8) == "", "killed on its way"
    accepted, duplicates = map(int, replay(tmp_path, None).split())
    assert accepted + duplicates == REPLAYED
    assert duplicates > 0
    assert replay(tmp_path, None).split() == ["0", str(REPLAYED)]
    reader = LogReader(StoreLayout(tmp_path).log)
    ids = [entry.record.event.event_id for entry in reader]  # type: ignore[union-attr]
    assert len(ids) == len(set(ids)) == REPLAYED


def test_others_go_on_while_one_is_stopped(tmp_path: Path) -> None:
    """A process that is stopped between groups holds no lock that the others need."""
    first, second = Writer(tmp_path, 0, 0), Writer(tmp_path, 1, 0)
    try:
        first.wait_ready()
        second.wait_ready()
        deadline = time.monotonic() + 20
        while True:
            first.signal(signal.SIGSTOP)
            before = len(second.lines)
            time.sleep(0.3)
            went_on = len(second.lines) > before + 10
            first.signal(signal.SIGCONT)
            if went_on:
                break
            # It was stopped in its transaction; that is waited for, as a slow disk would be.
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        first.finish()
        second.finish()
