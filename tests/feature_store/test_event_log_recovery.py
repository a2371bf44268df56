"""Start-up after a death: tails cut and indexed, streams continued, the index rebuilt."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from feature_store.dedup import index_pairs
from feature_store.event_log import LogReader
from feature_store.event_log.claim import claim_writer, try_claim
from feature_store.event_log.disk import Disk
from feature_store.event_log.recovery import stream_position
from feature_store.event_log.store import LogStore, LogStoreOptions, open_store
from feature_store.events import dedup_keys
from feature_store.intake_counters import IntakeCounters
from feature_store.layout import StoreLayout
from recommender.errors import ConfigError, StorageError
from tests.feature_store.log_cases import (
    DAY,
    NOW,
    decision,
    event,
    ids_of,
    open_writer,
    prepared,
    read_ids,
    write_log,
)


def open_at(root: Path, now: int = NOW, prefix: str = "w") -> LogStore:
    options = LogStoreOptions(dedup_map_bytes=1 << 24)
    return open_store(StoreLayout(root), prefix, lambda: now, options, IntakeCounters(), Disk())


def crash(store: LogStore) -> None:
    """What is left of a killed process: open files are closed, nothing is finished."""
    store.index.close()
    for lock in store.locks:
        lock.close()


def known_ids(store: LogStore, ids: list[str], now: int = NOW) -> list[str]:
    with store.index.transaction(now) as txn:
        pairs = {each: index_pairs(dedup_keys(event(each)))[0] for each in ids}
        found = txn.lookup([key for key, _ in pairs.values()])
    return [each for each, (key, digest) in pairs.items() if found.get(key) == digest]


def test_a_torn_tail_is_cut_and_the_rest_is_indexed(tmp_path: Path) -> None:
    log = StoreLayout(tmp_path).log
    path = write_log(log, ["a", "b", "c"], close=False)
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    store = open_at(tmp_path)
    assert store.recovered.torn_bytes > 0
    assert store.recovered.events == 2
    assert known_ids(store, ["a", "b", "c"]) == ["a", "b"]
    reader = LogReader(log)
    assert ids_of(reader) == ["a", "b"]
    assert reader.counts.torn_bytes == 0
    store.close(NOW)


def test_recovery_never_cuts_inside_whole_or_damaged_records(tmp_path: Path) -> None:
    log = StoreLayout(tmp_path).log
    path = write_log(log, ["a", "b", "c"], close=False)
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    store = open_at(tmp_path)
    assert path.read_bytes() == data, "a whole frame with a wrong sum is evidence, and stays"
    assert read_ids(log) == ["a", "b"]
    store.close(NOW)


def test_a_file_of_another_format_is_left_alone(tmp_path: Path) -> None:
    log = StoreLayout(tmp_path).log
    log.mkdir(parents=True)
    other = log / "w.1-0000000007.seg"
    other.write_bytes(b"DPLOG2\r\n something that this version does not know")
    store = open_at(tmp_path)
    store.writer.begin_segment(NOW)
    assert store.writer.segment == "w.1-0000000008.seg"
    store.close(NOW)
    assert other.read_bytes().startswith(b"DPLOG2\r\n something")


@pytest.mark.parametrize("size", [0, 3, 8, 30])
def test_a_segment_that_was_just_born_is_no_trouble(tmp_path: Path, size: int) -> None:
    log = StoreLayout(tmp_path).log
    path = write_log(log, ["a"], close=False)
    path.write_bytes(path.read_bytes()[:size])
    store = open_at(tmp_path)
    store.writer.begin_segment(NOW)
    store.writer.append_events([prepared("b")])
    store.close(NOW)
    assert read_ids(log) == ["b"]


def test_a_restart_reads_only_what_is_not_indexed(tmp_path: Path) -> None:
    write_log(StoreLayout(tmp_path).log, ["a", "b"])
    first = open_at(tmp_path)
    assert first.recovered.events == 2
    first.close(NOW)
    second = open_at(tmp_path)
    assert second.recovered.segments == 0
    second.close(NOW)


@pytest.mark.parametrize("how", ["missing", "garbage", "other boot"])
def test_the_index_is_rebuilt_from_the_log(tmp_path: Path, how: str) -> None:
    layout = StoreLayout(tmp_path)
    write_log(layout.log, [f"e{number}" for number in range(100)])
    open_at(tmp_path).close(NOW)
    if how == "missing":
        shutil.rmtree(layout.dedup)
    elif how == "garbage":
        (layout.dedup / "index" / "data.mdb").write_bytes(b"\x00" * 9000)
    else:
        (layout.dedup / "boot_id").write_text("another run of the machine")
    store = open_at(tmp_path)
    assert store.recovered.events == 100
    assert len(known_ids(store, [f"e{number}" for number in range(100)])) == 100
    store.close(NOW)


def test_the_index_of_a_killed_process_is_trusted_within_one_boot(tmp_path: Path) -> None:
    store = open_at(tmp_path)
    with store.index.transaction(NOW) as txn:
        txn.insert([(b"k" * 16, b"d" * 16)])
    crash(store)
    again = open_at(tmp_path)
    with again.index.transaction(NOW) as txn:
        assert txn.lookup([b"k" * 16]) == {b"k" * 16: b"d" * 16}
    again.close(NOW)


def test_an_index_that_others_use_is_never_thrown_away(tmp_path: Path) -> None:
    first = open_at(tmp_path)
    layout = StoreLayout(tmp_path)
    (layout.dedup / "boot_id").write_text("another run of the machine")
    with pytest.raises(StorageError, match="other processes use it"):
        open_at(tmp_path)  # LMDB refuses a second open in one process: it does not open
    assert (layout.dedup / "index" / "data.mdb").exists()
    first.close(NOW)


def test_old_segments_are_not_read_again(tmp_path: Path) -> None:
    write_log(StoreLayout(tmp_path).log, ["a"])
    store = open_at(tmp_path, NOW + 18 * DAY)
    assert store.recovered.segments == 1
    assert store.recovered.events == 0
    store.close(NOW + 18 * DAY)


def test_the_stream_goes_on_after_a_killed_process(tmp_path: Path) -> None:
    log = StoreLayout(tmp_path).log
    writer = open_writer(log)
    writer.append_events([prepared("a"), prepared("b")])
    writer.append_decisions([decision("d")])
    assert stream_position(log, "w.1", ()) == ("w.1", 2, 3)
    writer.close()
    assert stream_position(log, "w.1", ()) == ("w.1", 2, 3)
    assert stream_position(log, "w.2", ()) == ("w.2", 1, 0)


def test_a_number_of_a_removed_segment_is_not_used_again(tmp_path: Path) -> None:
    log = StoreLayout(tmp_path).log
    write_log(log, ["a"])
    known = ["w.1-0000000009.seg", "w.10-0000000077.seg", "nonsense"]
    assert stream_position(log, "w.1", known).number == 10


def test_empty_segments_do_not_lose_the_numbering(tmp_path: Path) -> None:
    log = StoreLayout(tmp_path).log
    writer = open_writer(log)
    writer.append_events([prepared("a")])
    writer.begin_segment(NOW)
    writer.begin_segment(NOW)
    assert stream_position(log, "w.1", ()) == ("w.1", 4, 1)
    writer.close()


def test_a_power_cut_leaves_a_gap_in_the_numbering(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StoreLayout(tmp_path).log
    writer = open_writer(log)
    writer.append_events([prepared("a")])
    monkeypatch.setattr("feature_store.event_log.recovery.boot_id", lambda: "the next boot")
    assert stream_position(log, "w.1", ()).seq == 2, "number 1 may have been lost"
    writer.close()
    assert stream_position(log, "w.1", ()).seq == 1, "closed in order: nothing can be missing"


@pytest.mark.parametrize("there", [0, 3, 20])
def test_a_segment_that_was_hardly_begun_says_nothing_of_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: int
) -> None:
    """Killed between creating the file of a segment and its start: no number is left out."""
    log = StoreLayout(tmp_path).log
    writer = open_writer(log)
    writer.append_events([prepared("a")])
    begun = (log / "w.1-0000000001.seg").read_bytes()[:there]
    (log / "w.1-0000000002.seg").write_bytes(begun)
    assert stream_position(log, "w.1", ()) == ("w.1", 3, 1)
    monkeypatch.setattr("feature_store.event_log.recovery.boot_id", lambda: "the next boot")
    assert stream_position(log, "w.1", ()).seq == 2, "the one before may have lost number 1"
    writer.close()
    assert stream_position(log, "w.1", ()).seq == 1, "closed in order: nothing can be missing"


def test_a_first_segment_that_was_hardly_begun_leaves_no_gap(tmp_path: Path) -> None:
    log = StoreLayout(tmp_path).log
    log.mkdir(parents=True)
    (log / "w.1-0000000001.seg").touch()
    assert stream_position(log, "w.1", ()) == ("w.1", 2, 0)


def test_writers_get_names_of_their_own_and_use_them_again(tmp_path: Path) -> None:
    first, lock = claim_writer(tmp_path, "w")
    second, other = claim_writer(tmp_path, "w")
    assert (first, second) == ("w.1", "w.2")
    assert try_claim(tmp_path, "w.1") is None
    lock.close()
    third, again = claim_writer(tmp_path, "w")
    assert third == "w.1"
    other.close()
    again.close()


def test_segments_of_a_live_process_are_left_alone(tmp_path: Path) -> None:
    layout = StoreLayout(tmp_path)
    path = write_log(layout.log, ["a"], close=False)
    data = path.read_bytes() + b"half a rec"
    path.write_bytes(data)
    lock = try_claim(layout.log, "w.1")
    assert lock is not None
    store = open_at(tmp_path)
    assert store.writer.writer == "w.2"
    assert path.read_bytes() == data
    store.close(NOW)
    lock.close()


@pytest.mark.parametrize("name", ["", "Ä", "a/b", "a-b", "..", "x" * 60])
def test_unusable_writer_names_are_refused(tmp_path: Path, name: str) -> None:
    from feature_store.event_log.claim import check_writer

    with pytest.raises(ConfigError, match="writer name"):
        check_writer(name)
