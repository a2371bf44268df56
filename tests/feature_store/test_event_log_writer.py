"""Writing the log: numbers, rotation, and what a failing disk leaves behind."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from feature_store.event_log import LogReader
from feature_store.event_log.prepared import prepare_decision
from feature_store.event_log.segment import list_segments, read_start
from feature_store.event_log.writer import SegmentOptions
from recommender.errors import ConfigError, StorageError, StorageFullError
from tests.faults.disks import FailingDisk
from tests.feature_store.log_cases import (
    NOW,
    SECOND,
    decision,
    ids_of,
    open_writer,
    prepared,
    read_ids,
)


def seqs(folder: Path) -> list[int]:
    return [entry.record.seq for entry in LogReader(folder)]


def test_a_segment_is_due_by_size_and_by_age(tmp_path: Path) -> None:
    writer = open_writer(tmp_path, options=SegmentOptions(segment_bytes=600, segment_seconds=10))
    assert not writer.is_due(NOW + 9 * SECOND)
    assert writer.is_due(NOW + 10 * SECOND)
    writer.append_events([prepared("a"), prepared("b")])
    assert writer.is_due(NOW)
    assert writer.begin_segment(NOW + 5) == "w.1-0000000002.seg"
    assert not writer.is_due(NOW + 5)
    writer.close()


def test_rotation_keeps_every_record_and_the_numbering(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    for number in range(10):
        writer.append_events([prepared(f"e{number}")])
        writer.begin_segment(NOW + number)
    writer.close()
    assert read_ids(tmp_path) == [f"e{number}" for number in range(10)]
    assert seqs(tmp_path) == list(range(10))
    starts = [read_start(tmp_path / str(name)) for name in list_segments(tmp_path)]
    assert [start.first_seq for start in starts if start] == list(range(11))


def test_a_new_segment_is_synced_with_its_folder_before_it_is_used(tmp_path: Path) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    assert disk.calls == ["create", "write", "sync", "sync_folder"]
    writer.append_events([prepared("a")])
    writer.sync()
    assert disk.calls[4:] == ["write", "sync"]
    writer.sync()
    assert len(disk.calls) == 6, "nothing new was written, so nothing is synced"
    writer.close()


@pytest.mark.parametrize("part", [0, 5, 400, 700])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG])
def test_a_group_that_was_not_written_whole_leaves_nothing(
    tmp_path: Path, code: int, part: int
) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    writer.append_events([prepared("a")])
    writer.append_decisions([decision("d")])
    disk.fail("write", code, part=part)
    with pytest.raises(StorageError) as caught:
        writer.append_events([prepared("b"), prepared("c")])
    assert isinstance(caught.value, StorageFullError) == (code in (errno.ENOSPC, errno.EDQUOT))
    assert writer.segment is None
    assert writer.take_closed() == ["w.1-0000000001.seg"]
    writer.begin_segment(NOW)
    writer.append_events([prepared("b")])
    writer.close()
    reader = LogReader(tmp_path)
    assert ids_of(reader) == ["a", "d", "b"]
    assert seqs(tmp_path) == [0, 1, 2], "what was refused took no number"
    assert reader.counts.torn_bytes == reader.counts.damaged == 0


def test_a_failed_sync_ends_the_segment_for_ever(tmp_path: Path) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    writer.append_events([prepared("a")])
    writer.sync()
    writer.append_decisions([decision("lost")])
    writer.append_events([prepared("b")])
    disk.fail("sync", errno.EIO)
    syncs = disk.calls.count("sync")
    with pytest.raises(StorageError, match="could not be written"):
        writer.sync()
    assert disk.calls.count("sync") == syncs + 1, "no second try"
    counters = writer._counters
    assert counters.segments_abandoned == 1
    assert counters.decisions_lost == 1
    assert read_ids(tmp_path) == ["a"]
    writer.sync()
    writer.begin_segment(NOW)
    writer.append_events([prepared("b")])
    writer.close()
    assert read_ids(tmp_path) == ["a", "b"]
    assert seqs(tmp_path) == [0, 3], "the gap shows that records were lost"


def test_a_disk_that_refuses_even_to_truncate_is_survived(tmp_path: Path) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    disk.fail("write", errno.EIO, part=5)
    disk.fail("truncate", errno.EIO, times=2)
    with pytest.raises(StorageError):
        writer.append_events([prepared("a")])
    writer.begin_segment(NOW)
    writer.append_events([prepared("a")])
    writer.close()
    assert read_ids(tmp_path) == ["a"]


@pytest.mark.parametrize("part", [0, 3, 100])
def test_a_decision_without_space_leaves_nothing_and_takes_no_number(
    tmp_path: Path, part: int
) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    disk.fail("write", errno.ENOSPC, part=part)
    with pytest.raises(StorageFullError):
        writer.append_decisions([decision("lost")])
    assert writer.append_decisions([decision("d")]) == range(1)
    writer.close()
    assert read_ids(tmp_path) == ["d"]


def test_decisions_of_one_write_have_numbers_of_their_own(tmp_path: Path) -> None:
    writer = open_writer(tmp_path)
    assert writer.append_decisions([decision("a"), decision("b")]) == range(2)
    assert writer.append_decisions([]) == range(2, 2)
    assert writer.append_decisions([decision("c")]) == range(2, 3)
    writer.close()
    assert read_ids(tmp_path) == ["a", "b", "c"]
    assert seqs(tmp_path) == [0, 1, 2]


@pytest.mark.parametrize("more", [0, 1, 40])
def test_of_decisions_that_are_written_in_part_the_whole_ones_stay(
    tmp_path: Path, more: int
) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    group = [decision(name) for name in "abc"]
    whole = len(prepare_decision(group[0], "w.1").frame(0))
    disk.fail("write", errno.ENOSPC, part=2 * whole + more)
    assert writer.append_decisions(group) == range(2)
    assert writer.append_decisions([decision("d")]) == range(2, 3)
    writer.close()
    assert read_ids(tmp_path) == ["a", "b", "d"]
    assert seqs(tmp_path) == [0, 1, 2]


def test_a_decision_that_cannot_be_cut_off_ends_the_segment(tmp_path: Path) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    disk.fail("write", errno.EIO, part=9)
    disk.fail("truncate", errno.EIO)
    with pytest.raises(StorageError):
        writer.append_decisions([decision("lost")])
    with pytest.raises(StorageError, match="no segment is open"):
        writer.append_decisions([decision("lost")])
    assert writer.take_closed() == ["w.1-0000000001.seg"]
    writer.begin_segment(NOW)
    writer.append_decisions([decision("d")])
    writer.close()
    assert read_ids(tmp_path) == ["d"]


@pytest.mark.parametrize("operation", ["create", "write", "sync", "sync_folder"])
def test_a_segment_that_cannot_begin_leaves_no_file_and_the_old_one_open(
    tmp_path: Path, operation: str
) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    disk.fail(operation, errno.ENOSPC)
    with pytest.raises(StorageFullError):
        writer.begin_segment(NOW)
    assert [name.number for name in list_segments(tmp_path)] == [1]
    writer.append_events([prepared("a")])
    assert writer.begin_segment(NOW) == "w.1-0000000003.seg", "a number is used once"
    writer.close()
    assert read_ids(tmp_path) == ["a"]


def test_a_full_disk_does_not_collect_empty_segments(tmp_path: Path) -> None:
    disk = FailingDisk()
    writer = open_writer(tmp_path, disk)
    for _ in range(5):
        disk.fail("write", errno.ENOSPC, part=20)
        with pytest.raises(StorageFullError):
            writer.append_events([prepared("a")])
        writer.begin_segment(NOW)
    assert len(list_segments(tmp_path)) == 1
    writer.close()


@pytest.mark.parametrize("options", [{"segment_seconds": 90_000}, {"segment_seconds": 0}])
def test_unusable_limits_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="wanted 1 to 86400"):
        SegmentOptions(**options)
    with pytest.raises(ConfigError, match="segment_bytes 0"):
        SegmentOptions(segment_bytes=0)
