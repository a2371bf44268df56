"""Any sequence of writing, syncing, rotating, crashing, damaging and reading keeps the promises."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from feature_store.event_log import LogReader
from feature_store.event_log.store import LogStore, LogStoreOptions, open_store
from feature_store.event_log.writer import SegmentOptions
from feature_store.intake_counters import IntakeCounters
from feature_store.layout import StoreLayout
from tests.faults.disks import PowerLossDisk
from tests.feature_store.log_cases import NOW, decision, ids_of, prepared

OPTIONS = LogStoreOptions(SegmentOptions(segment_bytes=2000), dedup_map_bytes=1 << 20)


class LogMachine(RuleBasedStateMachine):
    """Model: the ids written in order, those synced, those that a flipped byte destroyed."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="log-machine-"))
        self.layout = StoreLayout(self.root)
        self.written: list[str] = []
        self.synced: list[str] = []
        self.destroyed: set[str] = set()
        self.seen: list[str] = []
        self.positions: dict[str, int] = {}
        self.number = 0

    @initialize()
    def begin(self) -> None:
        self.disk = PowerLossDisk()
        self.store = self._open()

    def _open(self) -> LogStore:
        store = open_store(self.layout, "w", lambda: NOW, OPTIONS, IntakeCounters(), self.disk)
        store.writer.begin_segment(NOW)
        self.synced = list(self.written)
        return store

    @rule(count=st.integers(1, 4))
    def append_events(self, count: int) -> None:
        ids = [f"e{self.number + each}" for each in range(count)]
        self.number += count
        self.store.writer.append_events([prepared(each) for each in ids])
        self.written += ids

    @rule()
    def append_decision(self) -> None:
        self.number += 1
        self.store.writer.append_decisions([decision(f"d{self.number}")])
        self.written.append(f"d{self.number}")

    @rule()
    def sync(self) -> None:
        self.store.writer.sync()
        self.synced = list(self.written)

    @rule()
    def rotate(self) -> None:
        self.store.writer.begin_segment(NOW)
        self.synced = list(self.written)

    @rule()
    def restart(self) -> None:
        self.store.close(NOW)
        self.store = self._open()

    @rule(luck=st.sampled_from([0.0, 0.3, 0.7, 1.0]))
    def lose_power(self, luck: float) -> None:
        """All is gone but what was synced, and a part of the rest by luck."""
        self.store.index.close()
        for lock in self.store.locks:
            lock.close()
        left = self.disk.survivors(luck)
        for path in self.layout.log.glob("*.seg"):
            if path.name not in left and path in self.disk._written:
                path.unlink()
        for name, content in left.items():
            (self.layout.log / name).write_bytes(content)
        shutil.rmtree(self.layout.dedup)
        survived = ids_of(LogReader(self.layout.log))
        assert set(self.synced) - self.destroyed <= set(survived) <= set(self.written)
        self.written = [each for each in self.written if each in {*survived, *self.destroyed}]
        self.seen = [each for each in self.seen if each in survived or each in self.synced]
        # A reader that saw what the power cut took starts again; the tables drop what repeats.
        self.positions, self.seen = {}, []
        self.disk = PowerLossDisk()
        self.store = self._open()

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def flip_a_byte(self, data: st.DataObject) -> None:
        """Of a record in a segment that nobody writes any more."""
        current = self.store.writer.segment
        entries = [entry for entry in LogReader(self.layout.log) if entry.segment != current]
        if not entries:
            return
        entry = data.draw(st.sampled_from(entries))
        position = data.draw(st.integers(entry.offset, entry.end - 1))
        path = self.layout.log / entry.segment
        content = bytearray(path.read_bytes())
        content[position] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        record = entry.record
        self.destroyed.add(getattr(record, "decision_id", None) or record.event.event_id)  # type: ignore[union-attr]
        # The shim keeps its own copy of what is on the platter.
        for known in (self.disk._durable, self.disk._written):
            if path in known:
                known[path] = bytes(content)

    @rule()
    def read_on(self) -> None:
        reader = LogReader(self.layout.log, self.positions)
        self.seen += ids_of(reader)
        self.positions = reader.positions

    @invariant()
    def everything_written_is_read_once_and_in_order(self) -> None:
        reader = LogReader(self.layout.log)
        assert ids_of(reader) == [each for each in self.written if each not in self.destroyed]
        assert reader.counts.torn_bytes == 0
        assert len(self.seen) == len(set(self.seen))

    @invariant()
    def reading_on_is_the_same_as_reading_once(self) -> None:
        rest = ids_of(LogReader(self.layout.log, self.positions))
        expected = [each for each in self.written if each not in self.destroyed]
        assert [each for each in self.seen + rest if each not in self.destroyed] == expected

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close(NOW)
        shutil.rmtree(self.root)


LogMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLogMachine = LogMachine.TestCase
