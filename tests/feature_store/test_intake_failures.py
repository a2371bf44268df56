"""The intake when the disk, the index or the online store fails, or another process died."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

import msgspec
import pytest

from feature_store.event_log import LogReader
from feature_store.intake import Intake, IntakeOptions
from feature_store.layout import StoreLayout
from recommender.errors import (
    StorageBusyError,
    StorageError,
    StorageFullError,
)
from tests.faults.disks import FailingDisk
from tests.feature_store.log_cases import (
    NOW,
    SECOND,
    MovingClock,
    decision,
    event,
    make_intake,
    read_ids,
    submit,
    write_log,
)

FAST = IntakeOptions(retry_seconds=0.05)


def test_decisions_behind_one_that_cannot_be_written_are(tmp_path: Path) -> None:
    disk = FailingDisk()
    intake, _, _ = make_intake(tmp_path, disk=disk, options=FAST)
    unreadable = msgspec.structs.replace(decision("no"), surface="\ud800")
    assert intake.record_all([decision("a"), unreadable, decision("b")]) == [0, None, 1]
    disk.fail("write", errno.ENOSPC, part=10)
    assert intake.record_all([decision("c"), decision("d")]) == [2, 3]
    assert intake.record_all([]) == []
    assert (intake.counters.decisions, intake.counters.decisions_lost) == (4, 1)
    intake.close()
    assert [entry.record.seq for entry in LogReader(StoreLayout(tmp_path).log)] == [0, 1, 2, 3]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_recovered_from_without_a_restart(
    tmp_path: Path, code: int
) -> None:
    disk = FailingDisk()
    intake, sink, _ = make_intake(tmp_path, disk=disk, options=FAST)
    assert submit(intake, [event("a")]) == ["accepted"]
    disk.fail("write", code, times=1000, part=30)
    with pytest.raises(StorageFullError) as caught:
        submit(intake, [event("b")])
    assert caught.value.retry_after_seconds > 0
    assert intake.record(decision("lost")) is None
    assert intake.counters.decisions_lost == 1
    with pytest.raises(StorageFullError):
        submit(intake, [event("b")])
    disk.heal()
    deadline = time.monotonic() + 10
    while intake.record(decision("d")) is None:
        assert time.monotonic() < deadline, "a decision alone must find the disk again"
        time.sleep(0.01)
    assert submit(intake, [event("b"), event("a")]) == ["accepted", "duplicate"]
    intake.close()
    reader = LogReader(StoreLayout(tmp_path).log)
    assert [entry.record.seq for entry in reader] == [0, 1, 2]
    assert reader.counts.torn_bytes == reader.counts.damaged == 0
    assert sink.ids == ["a", "b"]
    assert intake.counters.segments_abandoned == 0


def test_a_failed_sync_is_said_and_the_next_group_has_a_new_segment(tmp_path: Path) -> None:
    disk = FailingDisk()
    intake, sink, _ = make_intake(tmp_path, disk=disk)
    assert submit(intake, [event("a")]) == ["accepted"]
    disk.fail("sync", errno.EIO)
    with pytest.raises(StorageError) as caught:
        submit(intake, [event("b")])
    assert not isinstance(caught.value, StorageFullError)
    assert submit(intake, [event("b"), event("a")]) == ["accepted", "duplicate"]
    intake.close()
    assert intake.counters.segments_abandoned == 1
    assert read_ids(StoreLayout(tmp_path).log) == ["a", "b"]
    assert sink.ids == ["a", "b"]


def test_a_failed_sync_of_decisions_is_counted(tmp_path: Path) -> None:
    disk = FailingDisk()
    intake, _, _ = make_intake(tmp_path, disk=disk)
    intake.open()
    disk.fail("sync", errno.EIO)
    assert intake.record(decision("lost")) == 0
    deadline = time.monotonic() + 5
    while intake.counters.decisions_lost == 0:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    while intake.record(decision("kept")) is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    intake.close()
    assert read_ids(StoreLayout(tmp_path).log) == ["kept"]


def test_a_disk_that_is_full_at_the_start_is_waited_for(tmp_path: Path) -> None:
    disk = FailingDisk()
    disk.fail("create", errno.ENOSPC, times=3)
    intake, _, _ = make_intake(tmp_path, disk=disk, options=FAST)
    with pytest.raises(StorageFullError):
        intake.open()
    deadline = time.monotonic() + 5
    while True:
        try:
            assert submit(intake, [event("a")]) == ["accepted"]
            break
        except StorageFullError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
    intake.close()


def test_a_rotation_that_fails_leaves_the_old_segment_in_use(tmp_path: Path) -> None:
    disk = FailingDisk()
    intake, _, clock = make_intake(tmp_path, disk=disk)
    assert submit(intake, [event("a")]) == ["accepted"]
    disk.fail("create", errno.ENOSPC)
    clock.now += 3600 * SECOND
    assert submit(intake, [event("b", clock.now)]) == ["accepted"]
    assert intake.counters.rotation_failures == 1
    assert submit(intake, [event("c", clock.now)]) == ["accepted"]
    intake.close()
    assert intake.counters.segments_opened == 2


def test_too_much_waiting_is_refused(tmp_path: Path) -> None:
    slow = threading.Event()

    class SlowDisk(FailingDisk):
        def sync(self, descriptor: int) -> None:
            slow.wait(10)
            super().sync(descriptor)

    intake, _, _ = make_intake(
        tmp_path, disk=SlowDisk(), options=IntakeOptions(max_waiting_events=10)
    )
    futures = [
        intake.submit([event(f"{each}.{n}") for n in range(5)], [b""] * 5) for each in range(4)
    ]
    refused = [future for future in futures if future.done()]
    assert len(refused) == 2
    for future in refused:
        with pytest.raises(StorageBusyError):
            future.result()
    slow.set()
    accepted = [future for future in futures if future not in refused]
    assert all(len(future.result(10)) == 5 for future in accepted)
    assert intake.counters.busy_refusals == 2
    intake.close()


def test_a_failing_online_store_does_not_fail_durable_events(tmp_path: Path) -> None:
    class Broken:
        def apply(self, events: object) -> None:
            raise OSError("gone")

    intake = Intake(StoreLayout(tmp_path), Broken(), MovingClock())
    assert submit(intake, [event("a")]) == ["accepted"]
    assert intake.counters.online_failures == 1
    intake.close()


def test_events_left_by_a_killed_process_are_known_before_any_verdict(tmp_path: Path) -> None:
    """Killed between the sync and the index: a retry to another process must be a duplicate."""
    layout = StoreLayout(tmp_path)
    intake, sink, _ = make_intake(tmp_path)
    intake.open()
    # What the other left: a segment that the index knows of, with records it does not know.
    path = write_log(layout.log, ["left"], close=False)
    store = intake._committer.store
    assert store is not None
    with store.index.transaction(NOW) as txn:
        txn.set_tail(path.name, 0)
    assert submit(intake, [event("left"), event("new")]) == ["duplicate", "accepted"]
    assert sink.ids == ["left", "new"], "and it reaches the online store, once"
    assert intake.counters.recovered_events == 1
    assert submit(intake, [event("other")]) == ["accepted"]
    assert sink.ids == ["left", "new", "other"]
    intake.close()


def test_events_left_are_applied_at_the_start(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    intake, _, _ = make_intake(tmp_path)
    intake.open()
    path = write_log(layout.log, ["left"], close=False)
    store = intake._committer.store
    assert store is not None
    with store.index.transaction(NOW) as txn:
        txn.set_tail(path.name, 0)
    intake.close()
    intake, sink, _ = make_intake(tmp_path)
    intake.open()
    assert sink.ids == ["left"]
    assert submit(intake, [event("left")]) == ["duplicate"]
    intake.close()


def test_an_index_that_fails_after_the_sync_loses_no_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feature_store.dedup import DedupTransaction

    intake, sink, _ = make_intake(tmp_path)
    assert submit(intake, [event("a")]) == ["accepted"]
    with monkeypatch.context() as patch:
        patch.setattr(DedupTransaction, "insert", _refuse)
        assert submit(intake, [event("b")]) == ["accepted"], "it is durable"
    assert submit(intake, [event("b"), event("c")]) == ["duplicate", "accepted"]
    assert sink.ids == ["a", "b", "c"], "applied once"
    intake.close()
    assert read_ids(StoreLayout(tmp_path).log) == ["a", "b", "c"]


def _refuse(*_: object) -> None:
    import lmdb

    raise lmdb.Error("no")
