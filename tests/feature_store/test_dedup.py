"""The index of dedup keys: what it knows, for how long, across processes, and how large it gets."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.dedup import (
    GENERATION_MICROS,
    DedupIndex,
    Known,
    index_pairs,
    judge_pairs,
    split_entries,
)
from feature_store.events import dedup_keys
from feature_store.file_lock import FileLock
from recommender.errors import StorageError
from tests.conftest import ROOT
from tests.feature_store.log_cases import DAY, NOW, event

KEY, OTHER, DIGEST, FOREIGN = b"k" * 16, b"o" * 16, b"d" * 16, b"f" * 16


@pytest.fixture
def index(tmp_path: Path) -> DedupIndex:
    return DedupIndex(tmp_path / "index", 1 << 24)


def test_what_was_inserted_is_known_and_keeps_its_first_digest(index: DedupIndex) -> None:
    with index.transaction(NOW) as txn:
        txn.insert([(KEY, DIGEST)])
        txn.insert([(KEY, FOREIGN), (OTHER, FOREIGN)])
        assert txn.lookup([KEY, OTHER, b"x" * 16]) == {KEY: DIGEST, OTHER: FOREIGN}
    index.close()


def test_it_survives_closing(tmp_path: Path) -> None:
    index = DedupIndex(tmp_path, 1 << 24)
    with index.transaction(NOW) as txn:
        txn.insert([(KEY, DIGEST)])
        txn.set_tail("w.1-0000000001.seg", 77)
        txn.finish("w.1-0000000002.seg")
    index.close()
    index = DedupIndex(tmp_path, 1 << 24)
    with index.transaction(NOW) as txn:
        assert txn.lookup([KEY]) == {KEY: DIGEST}
        assert txn.tails() == {"w.1-0000000001.seg": 77}
        assert txn.finished() == {"w.1-0000000002.seg"}
        txn.finish("w.1-0000000001.seg")
        assert txn.tails() == {}
        txn.forget("w.1-0000000001.seg")
        assert txn.segments() == {"w.1-0000000002.seg"}
    index.close()


def test_a_failed_transaction_changes_nothing(index: DedupIndex) -> None:
    def fail() -> None:
        with index.transaction(NOW) as txn:
            txn.insert([(KEY, DIGEST)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with index.transaction(NOW) as txn:
        assert txn.lookup([KEY]) == {}
    index.close()


@given(start=st.integers(0, GENERATION_MICROS - 1), steps=st.lists(st.integers(0, 6 * DAY)))
def test_a_key_is_known_for_more_than_eight_days(start: int, steps: list[int]) -> None:
    """However the days fall on generations, and however often the index is used meanwhile."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        index = DedupIndex(Path(folder), 1 << 20)
        began = now = NOW - NOW % GENERATION_MICROS + start
        with index.transaction(now) as txn:
            txn.insert([(KEY, DIGEST)])
        for step in [*steps, 0]:
            now += step
            with index.transaction(now) as txn:
                age = now - began
                if age <= 8 * DAY:
                    assert txn.lookup([KEY]) == {KEY: DIGEST}
                if age >= 16 * DAY:
                    assert txn.lookup([KEY]) == {}
        index.close()


def test_generations_are_dropped_so_the_size_is_bounded_by_time(index: DedupIndex) -> None:
    for day in range(100):
        with index.transaction(NOW + day * DAY) as txn:
            txn.insert([(bytes([day]) + bytes(14) + bytes([n]), DIGEST) for n in range(100)])
            assert txn.count() <= 16 * 100
    index.close()


def test_a_clock_set_back_forgets_nothing(index: DedupIndex) -> None:
    with index.transaction(NOW) as txn:
        txn.insert([(KEY, DIGEST)])
    with index.transaction(NOW - 30 * DAY) as txn:
        assert txn.lookup([KEY]) == {KEY: DIGEST}
        txn.insert([(OTHER, DIGEST)])
    with index.transaction(NOW) as txn:
        assert len(txn.lookup([KEY, OTHER])) == 2
    index.close()


def test_what_is_too_old_is_not_inserted(index: DedupIndex) -> None:
    with index.transaction(NOW) as txn:
        txn.insert([(KEY, DIGEST)], NOW - 17 * DAY)
        txn.insert([(OTHER, DIGEST)], NOW - 8 * DAY)
        assert txn.lookup([KEY, OTHER]) == {OTHER: DIGEST}
    index.close()


def test_the_map_grows(tmp_path: Path) -> None:
    index = DedupIndex(tmp_path, 1 << 20)
    inserted = 0
    for lot in range(60):
        pairs = [(lot.to_bytes(8, "big") + n.to_bytes(8, "big"), DIGEST) for n in range(2000)]
        with index.transaction(NOW) as txn:
            txn.insert(pairs)
        inserted += len(pairs)
    with index.transaction(NOW) as txn:
        assert txn.count() == inserted
    assert index.size_bytes > 1 << 20
    index.close()


def test_a_map_that_is_full_at_once_is_grown_for_the_next_try(tmp_path: Path) -> None:
    index = DedupIndex(tmp_path, 1 << 20)
    pairs = [(n.to_bytes(16, "big"), DIGEST) for n in range(40_000)]

    def insert() -> None:
        with index.transaction(NOW) as txn:
            txn.insert(pairs)

    with pytest.raises(StorageError, match="has been doubled"):
        insert()
    with contextlib.suppress(StorageError):
        insert()
    insert()
    with index.transaction(NOW) as txn:
        assert txn.count() == len(pairs)
    index.close()


def test_an_index_that_outgrew_its_first_size_opens_again(tmp_path: Path) -> None:
    index = DedupIndex(tmp_path, 1 << 26)
    for lot in range(100):
        pairs = [(lot.to_bytes(8, "big") + n.to_bytes(8, "big"), DIGEST) for n in range(2000)]
        with index.transaction(NOW) as txn:
            txn.insert(pairs)
    size = index.size_bytes
    index.close()
    index = DedupIndex(tmp_path, 1 << 20)
    assert index.size_bytes == size > 1 << 21
    with index.transaction(NOW) as txn:
        assert txn.count() == 200_000
    index.close()


CHILD = """
import sys
import threading
from pathlib import Path
from feature_store.dedup import DedupIndex
index = DedupIndex(Path(sys.argv[1]), 1 << 20)
sys.stdin.readline()
for lot in range(40):
    with index.transaction({now}) as txn:
        keys = [b"%016d" % (lot * 1000 + n) for n in range(1000)]
        known = txn.lookup(keys)
        txn.insert([(key, b"d" * 16) for key in keys if key not in known])
        print(lot, len(keys) - len(known), flush=True)
"""


def test_two_processes_agree_exactly_while_the_map_grows(tmp_path: Path) -> None:
    """Each key is new to one of them only, and a map grown by one is adopted by the other."""
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD.format(now=NOW), str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    outputs = [child.communicate(timeout=60)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    new = sum(int(line.split()[1]) for output in outputs for line in output.splitlines())
    assert new == 40_000


GROWER = """
import sys
import threading
from pathlib import Path
from feature_store.dedup import DedupIndex
index = DedupIndex(Path(sys.argv[1]), 1 << 28)
def anonymous_kilobytes():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
for lot in range(400):
    keys = [lot.to_bytes(8, "little") + n.to_bytes(8, "big") for n in range(1000)]
    with index.transaction({now}) as txn:
        txn.lookup(keys)
        txn.insert([(key, b"d" * 16) for key in keys])
    if lot in (100, 399):
        print(anonymous_kilobytes())
"""


def test_memory_is_bounded(tmp_path: Path) -> None:
    """The keys live in the page cache, not in the process: 300,000 more take no more memory."""
    done = subprocess.run(
        [sys.executable, "-c", GROWER.format(now=NOW), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    early, late = map(int, done.stdout.split())
    assert late - early < 4_000, "kilobytes"


def test_pairs_of_a_purchase_come_back_from_the_log() -> None:
    bought = event("p", event_type="purchase", transaction_id="t1")
    pairs = index_pairs(dedup_keys(bought))
    assert len(pairs) == 2
    assert split_entries(b"".join(key + digest for key, digest in pairs)) == list(pairs)


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        ({}, Known.NEW),
        ({KEY: DIGEST}, Known.DUPLICATE),
        ({KEY: FOREIGN}, Known.CONFLICT),
        ({OTHER: DIGEST}, Known.DUPLICATE),
        ({OTHER: FOREIGN}, Known.CONFLICT),
        ({KEY: FOREIGN, OTHER: DIGEST}, Known.DUPLICATE),
        ({KEY: DIGEST, OTHER: FOREIGN}, Known.DUPLICATE),
    ],
)
def test_any_key_with_its_digest_makes_a_duplicate(
    known: dict[bytes, bytes], verdict: Known
) -> None:
    assert judge_pairs([(KEY, DIGEST), (OTHER, DIGEST)], known) is verdict


def test_transactions_wait_for_a_lock_that_a_killed_process_cannot_spoil(tmp_path: Path) -> None:
    """Not for LMDB's own: its waiters may sleep for ever after a kill. `make crash` shows it."""
    index = DedupIndex(tmp_path, 1 << 20)
    other = FileLock(tmp_path / "write.lock")
    other.take()
    entered = threading.Event()

    def enter() -> None:
        with index.transaction(NOW):
            entered.set()

    thread = threading.Thread(target=enter)
    thread.start()
    assert not entered.wait(0.2)
    other.release()
    assert entered.wait(10)
    thread.join()
    other.close()
    index.close()
