"""A server process for the crash tests: stores events and says what it was told.

Each acknowledged batch is one line in a pipe, written with one system call after the verdicts came.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path

from feature_store.event_log.store import LogStoreOptions
from feature_store.event_log.writer import SegmentOptions
from feature_store.events import EventItem, InteractionEvent
from feature_store.intake import Intake, IntakeOptions, Verdict
from feature_store.layout import StoreLayout
from feature_store.records import DecisionRecord

TS = 1_795_288_000_000_000


class NoSink:
    """The online store is not part of this test."""

    def apply(self, events: Sequence[InteractionEvent]) -> None:
        pass


def make_event(event_id: str) -> InteractionEvent:
    """The same id always means the same event, whoever sends it."""
    item = EventItem(item_id=f"i{hash_of(event_id)}", price=1.5)
    return InteractionEvent(event_id, "view_item", TS, "v", items=(item,))


def hash_of(text: str) -> int:
    return sum(text.encode()) % 50


def make_decision(decision_id: str) -> DecisionRecord:
    return DecisionRecord(
        decision_id, "r", TS, 0, "", "k", "home", "p", "m", "c", "0", "popular", (), 0
    )


def options() -> IntakeOptions:
    # Small segments, so that rotations are hit too.
    segments = SegmentOptions(segment_bytes=200_000)
    return IntakeOptions(log=LogStoreOptions(segments, dedup_map_bytes=1 << 24))


def work(root: str, stream: str, number: str, shared: str, pipe: Connection) -> None:
    """Store events and decisions until killed."""
    rng = random.Random(f"{stream}.{number}")
    intake = Intake(StoreLayout(Path(root)), NoSink(), lambda: TS, "w", options())
    intake.open()
    say(pipe, "ready")
    pending: list[tuple[list[str], Future[list[Verdict]]]] = []
    for batch in itertools.count():
        own = [f"{stream}.{number}.{batch}.{each}" for each in range(rng.randint(1, 40))]
        common = [f"shared.{rng.randrange(int(shared))}" for _ in range(3)]
        ids = own + common
        future = intake.submit([make_event(each) for each in ids], [b"{}"] * len(ids))
        pending.append((ids, future))
        decision_id = f"d{stream}.{number}.{batch}"
        if intake.record(make_decision(decision_id)) is not None:
            say(pipe, f"decision {decision_id}")
        if len(pending) == 3:
            acknowledge(pipe, *pending.pop(0))
        time.sleep(0.002)  # four of them, and the test itself, share a small machine


def acknowledge(pipe: Connection, ids: list[str], future: Future[list[Verdict]]) -> None:
    """Say which events were accepted and which were known."""
    verdicts = future.result(timeout=60)
    assert len(verdicts) == len(ids)
    bad = [verdict for verdict in verdicts if verdict.status == "rejected"]
    assert not bad, bad
    words = [f"{each}={verdict.status[0]}" for each, verdict in zip(ids, verdicts, strict=True)]
    say(pipe, "events " + " ".join(words))


def say(pipe: Connection, text: str) -> None:
    os.write(pipe.fileno(), f"{text}\n".encode())
