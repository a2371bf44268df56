"""The power goes at every single operation: what was acknowledged is there afterwards.

A killed process proves little about durability, since the operating system keeps what it was
given. Here everything that was not synced is thrown away, or kept in part, or replaced by zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from feature_store.event_log import LogReader
from feature_store.event_log.store import LogStoreOptions
from feature_store.event_log.writer import SegmentOptions
from feature_store.events import InteractionEvent
from feature_store.intake import Intake, IntakeOptions
from feature_store.layout import StoreLayout
from recommender.errors import StorageError
from tests.faults.disks import PowerLossDisk
from tests.feature_store.log_cases import NOW, decision, event, ids_of

OPTIONS = IntakeOptions(
    log=LogStoreOptions(SegmentOptions(segment_bytes=1500), dedup_map_bytes=1 << 20),
    retry_seconds=0.0,
    sync_seconds=0.005,
)
BATCHES = [[f"e{batch}.{each}" for each in range(1 + batch % 3)] for batch in range(8)]


class NoSink:
    def apply(self, events: Sequence[InteractionEvent]) -> None:
        pass


@dataclass
class Run:
    acknowledged: list[str] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)


def run(root: Path, disk: PowerLossDisk) -> Run:
    """A day's work: batches and decisions, with rotations; ends when the power goes."""
    done = Run()
    intake = Intake(StoreLayout(root), NoSink(), lambda: NOW, "w", OPTIONS, disk)
    for number, ids in enumerate(BATCHES):
        intake.record(decision(f"d{number}"))
        done.sent += [f"d{number}", *ids]
        try:
            future = intake.submit([event(each) for each in ids], [b""] * len(ids))
            verdicts = future.result(30)
        except StorageError:
            continue
        assert [verdict.status for verdict in verdicts] == ["accepted"] * len(ids)
        done.acknowledged += ids
    disk.cut_now()  # what follows is the end of the process, not its work
    intake.close()
    return done


def operations(root: Path) -> int:
    disk = PowerLossDisk()
    done = run(root, disk)
    assert done.acknowledged == [each for ids in BATCHES for each in ids]
    return disk.operations


@pytest.mark.parametrize("luck", [0.0, 0.4, 1.0])
def test_whatever_was_acknowledged_survives_a_power_cut_at_any_operation(
    tmp_path: Path, luck: float
) -> None:
    total = operations(tmp_path / "whole")
    assert total > 30
    for cut_at in range(total + 6):
        root = tmp_path / f"cut{cut_at}"
        disk = PowerLossDisk(cut_at)
        done = run(root, disk)
        after = StoreLayout(tmp_path / f"after{cut_at}")
        after.log.mkdir(parents=True)
        for name, content in disk.survivors(luck).items():
            (after.log / name).write_bytes(content)
        _check(after, done)


def _check(after: StoreLayout, done: Run) -> None:
    """Acknowledged events are there before and after recovery, and are known as duplicates."""
    survived = ids_of(LogReader(after.log))
    assert set(done.acknowledged) <= set(survived) <= set(done.sent)
    intake = Intake(after, NoSink(), lambda: NOW, "w", OPTIONS)
    again = [*done.acknowledged, "new"]
    verdicts = intake.submit([event(each) for each in again], [b""] * len(again)).result(30)
    intake.close()
    expected = ["duplicate"] * len(done.acknowledged) + ["accepted"]
    assert [verdict.status for verdict in verdicts] == expected
    reader = LogReader(after.log)
    assert ids_of(reader) == [*survived, "new"]
    assert reader.counts.torn_bytes == 0
