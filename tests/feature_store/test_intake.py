"""The intake: verdicts, order of work, decisions, limits, and other processes' leftovers."""

from __future__ import annotations

import math
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from feature_store.event_log import LogReader
from feature_store.event_log.store import LogStoreOptions
from feature_store.event_log.writer import SegmentOptions
from feature_store.intake import Intake, IntakeOptions, Verdict
from feature_store.layout import StoreLayout
from feature_store.quarantine import QuarantineEntry, quarantine_files, read_quarantine
from feature_store.records import DecisionRecord, EventRecord
from recommender.errors import (
    InvalidEventError,
    StorageError,
)
from tests.faults.disks import FailingDisk
from tests.feature_store.log_cases import (
    DAY,
    NOW,
    SECOND,
    MovingClock,
    Sink,
    decision,
    event,
    make_intake,
    read_ids,
    submit,
)

MINUTE = 60 * SECOND


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[Intake, Sink, MovingClock]]:
    intake, sink, clock = make_intake(tmp_path)
    yield intake, sink, clock
    intake.close()


def quarantined(root: Path) -> Counter[str]:
    return Counter(
        entry.code
        for path in quarantine_files(StoreLayout(root).quarantine)
        for _, entry in read_quarantine(path)
        if isinstance(entry, QuarantineEntry)
    )


def one(intake: Intake, *args: object, **kwargs: object) -> Verdict:
    (verdict,) = intake.submit([event(*args, **kwargs)], [b"raw"]).result(10)  # type: ignore[arg-type]
    return verdict


def test_an_accepted_event_is_on_disk_and_applied_when_its_verdict_comes(
    opened: tuple[Intake, Sink, MovingClock], tmp_path: Path
) -> None:
    intake, sink, _ = opened
    assert one(intake, "a") == Verdict("accepted", "a")
    assert read_ids(StoreLayout(tmp_path).log) == ["a"]
    assert sink.ids == ["a"]
    assert intake.counters.accepted == 1
    assert intake.counters.waiting_events == 0


def test_nothing_happens_before_the_first_use(tmp_path: Path) -> None:
    intake, _, _ = make_intake(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert intake.writer is None
    intake.close()
    assert list(tmp_path.iterdir()) == []


def test_same_id_same_content_is_counted_once_also_within_a_group_and_after_a_restart(
    tmp_path: Path,
) -> None:
    intake, sink, _ = make_intake(tmp_path)
    assert submit(intake, [event("a"), event("b"), event("a")]) == [
        "accepted",
        "accepted",
        "duplicate",
    ]
    assert submit(intake, [event("b")]) == ["duplicate"]
    intake.close()
    intake, again, _ = make_intake(tmp_path)
    assert submit(intake, [event("a"), event("c")]) == ["duplicate", "accepted"]
    intake.close()
    assert sink.ids == ["a", "b"]
    assert again.ids == ["c"]
    assert read_ids(StoreLayout(tmp_path).log) == ["a", "b", "c"]


def test_same_id_other_content_is_a_conflict_and_quarantined(
    opened: tuple[Intake, Sink, MovingClock], tmp_path: Path
) -> None:
    intake, _, _ = opened
    submit(intake, [event("a")])
    verdict = one(intake, "a", value=3.0)
    assert (verdict.status, verdict.code) == ("rejected", "conflict")
    assert submit(intake, [event("x"), event("x", value=1.0)]) == ["accepted", "rejected"]
    assert intake.counters.rejected == {"conflict": 2}
    intake.close()
    assert quarantined(tmp_path) == {"conflict": 2}
    assert read_ids(StoreLayout(tmp_path).log) == ["a", "x"]


def test_a_purchase_that_browser_and_server_report_is_counted_once(
    opened: tuple[Intake, Sink, MovingClock],
) -> None:
    intake, sink, _ = opened
    bought = {"event_type": "purchase", "transaction_id": "t1", "value": 12.5}
    first = event("p1", **bought)
    second = msgspec.structs.replace(first, event_id="p2", ts=NOW + SECOND)
    assert submit(intake, [first]) == ["accepted"]
    assert submit(intake, [second]) == ["duplicate"]
    other = msgspec.structs.replace(second, event_id="p3", value=99.0)
    assert submit(intake, [other]) == ["rejected"]
    assert sink.ids == ["p1"]


@pytest.mark.parametrize(
    ("offset", "status", "code", "late", "clamped"),
    [
        (-(7 * DAY) - 1, "rejected", "too_late", False, False),
        (-7 * DAY, "accepted", None, True, False),
        (-(5 * MINUTE) - 1, "accepted", None, True, False),
        (-5 * MINUTE, "accepted", None, False, False),
        (0, "accepted", None, False, False),
        (1, "accepted", None, False, False),
        (5 * MINUTE, "accepted", None, False, False),
        (5 * MINUTE + 1, "accepted", None, False, True),
        (DAY, "accepted", None, False, True),
        (DAY + 1, "rejected", "future", False, False),
        (-NOW, "rejected", "too_late", False, False),
        (250_000_000_000_000_000 - NOW, "rejected", "future", False, False),
    ],
)
def test_time_is_held_against_the_server(
    tmp_path: Path, offset: int, status: str, code: str | None, late: bool, clamped: bool
) -> None:
    intake, sink, _ = make_intake(tmp_path)
    verdict = one(intake, "a", NOW + offset)
    intake.close()
    assert (verdict.status, verdict.code) == (status, code)
    assert (verdict.late, verdict.clamped) == (late, clamped)
    assert quarantined(tmp_path) == ({code: 1} if code else {})
    records = [entry.record for entry in LogReader(StoreLayout(tmp_path).log)]
    assert len(records) == len(sink.ids) == (status == "accepted")
    for record in records:
        assert isinstance(record, EventRecord)
        assert (record.late, record.clamped) == (late, clamped)
        assert record.event.ts == NOW + min(offset, 0)
        assert record.client_ts == (NOW + offset if offset > 0 else None)


def test_a_clamped_event_sent_again_is_a_duplicate_also_after_the_index_was_rebuilt(
    tmp_path: Path,
) -> None:
    import shutil

    intake, _, clock = make_intake(tmp_path)
    assert submit(intake, [event("a", NOW + DAY)]) == ["accepted"]
    clock.now += SECOND
    assert submit(intake, [event("a", NOW + DAY)]) == ["duplicate"]
    intake.close()
    shutil.rmtree(StoreLayout(tmp_path).dedup)
    intake, _, _ = make_intake(tmp_path)
    assert submit(intake, [event("a", NOW + DAY)]) == ["duplicate"]
    intake.close()


def test_a_duplicate_stays_one_when_it_has_become_too_late(
    opened: tuple[Intake, Sink, MovingClock],
) -> None:
    intake, _, clock = opened
    assert submit(intake, [event("a"), event("b", NOW + DAY)]) == ["accepted"] * 2
    clock.now += 7 * DAY + SECOND
    assert submit(intake, [event("a")]) == ["duplicate"]
    clock.now += DAY - 2 * SECOND
    # Seven days behind its own, future, clock: not too late, so it must still be known.
    assert submit(intake, [event("b", NOW + DAY)]) == ["duplicate"]


def test_a_replay_is_late_by_its_first_arrival(
    opened: tuple[Intake, Sink, MovingClock], tmp_path: Path
) -> None:
    intake, _, clock = opened
    clock.now += 30 * DAY
    future = intake.submit([event("a")], [b""], arrived_at=NOW)
    assert [verdict.status for verdict in future.result(10)] == ["accepted"]
    (entry,) = LogReader(StoreLayout(tmp_path).log)
    assert isinstance(entry.record, EventRecord)
    assert entry.record.received_at == clock.now, "it became available now"


def test_bad_events_of_every_kind_never_sink_the_good_ones(tmp_path: Path) -> None:
    intake, sink, _ = make_intake(tmp_path)
    submit(intake, [event("taken")])
    good = [event(f"good{number}") for number in range(999)]
    invalid = [InvalidEventError(f"code{number}", "no") for number in range(25)]
    odd = [
        event("taken", value=2.0),
        event("late", NOW - 8 * DAY),
        event("future", NOW + 2 * DAY),
        event("surrogate\ud800"),
        event("s2", search_term="\udfff"),
        event("big", params={"x": "y" * (5 << 20)}),
        event("object", params={"x": object()}),
    ]
    mixed: list[object] = list(good)
    for place, bad in enumerate([*invalid, *odd]):
        mixed.insert(place * 31, bad)
    verdicts = intake.submit(mixed, [b"raw"] * len(mixed)).result(30)  # type: ignore[arg-type]
    intake.close()
    assert len(verdicts) == len(mixed)
    for sent, verdict in zip(mixed, verdicts, strict=True):
        is_good = getattr(sent, "event_id", "").startswith("good")
        assert (verdict.status == "accepted") == is_good, verdict
        assert is_good or (verdict.code and verdict.detail)
    assert sink.ids == ["taken", *(each.event_id for each in good)]
    codes = Counter(verdict.code for verdict in verdicts if verdict.code)
    assert codes == intake.counters.rejected
    assert codes["unencodable"] == 3
    assert codes["too_large"] == 1
    assert quarantined(tmp_path) == codes
    assert len(read_ids(StoreLayout(tmp_path).log)) == 1000


def test_odd_but_valid_ids_come_back_byte_by_byte(
    opened: tuple[Intake, Sink, MovingClock], tmp_path: Path
) -> None:
    intake, _, _ = opened
    ids = ["\x00", "木" * 85, "\u202eabc", "😀", '","seq":0,"writer":"x', " ", "\u00e9", "e\u0301"]
    assert submit(intake, [event(each) for each in ids]) == ["accepted"] * len(ids)
    assert read_ids(StoreLayout(tmp_path).log) == ids


def test_decisions_are_numbered_with_events_and_synced_soon(tmp_path: Path) -> None:
    disk = FailingDisk()
    intake, _, _ = make_intake(tmp_path, disk=disk)
    intake.open()
    syncs = disk.calls.count("sync")
    began = time.monotonic()
    assert intake.record(decision("d1")) == 0
    assert read_ids(StoreLayout(tmp_path).log) == ["d1"], "with the operating system at once"
    while disk.calls.count("sync") == syncs:
        assert time.monotonic() - began < 5
        time.sleep(0.002)
    assert submit(intake, [event("a")]) == ["accepted"]
    assert intake.next_seq() == 2
    assert intake.record(decision("d2")) == 2
    writer = intake.writer
    intake.close()
    records = [entry.record for entry in LogReader(StoreLayout(tmp_path).log)]
    assert [record.seq for record in records] == [0, 1, 2]
    assert {record.writer for record in records} == {writer} == {"serve.1"}


def test_many_threads_leave_no_gap_and_no_repeat(tmp_path: Path) -> None:
    options = IntakeOptions(log=LogStoreOptions(SegmentOptions(segment_bytes=50_000)))
    intake, sink, _ = make_intake(tmp_path, options=options)

    def work(name: int) -> None:
        for number in range(60):
            intake.record(decision(f"d{name}.{number}"))
            assert submit(intake, [event(f"e{name}.{number}"), event(f"all{number}")])

    threads = [threading.Thread(target=work, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    intake.close()
    records = [entry.record for entry in LogReader(StoreLayout(tmp_path).log)]
    assert [record.seq for record in records] == list(range(6 * 60 * 2 + 60))
    assert sum(isinstance(record, DecisionRecord) for record in records) == 360
    assert len(sink.ids) == len(set(sink.ids)) == 420
    assert intake.counters.duplicates == 300
    assert intake.counters.segments_opened > 3
    assert intake.counters.groups < 360, "callers shared syncs"


def test_the_numbering_goes_on_after_a_restart(tmp_path: Path) -> None:
    for number in range(3):
        intake, _, _ = make_intake(tmp_path)
        intake.record(decision(f"d{number}"))
        submit(intake, [event(f"e{number}")])
        intake.close()
    seqs = [entry.record.seq for entry in LogReader(StoreLayout(tmp_path).log)]
    assert seqs == list(range(6))


def test_a_closed_intake_refuses(tmp_path: Path) -> None:
    intake, _, _ = make_intake(tmp_path)
    submit(intake, [event("a")])
    intake.close()
    intake.close()
    with pytest.raises(StorageError, match="closed"):
        submit(intake, [event("b")])
    assert intake.record(decision("d")) is None


def test_closing_stores_what_is_waiting(tmp_path: Path) -> None:
    intake, _, _ = make_intake(tmp_path)
    futures = [intake.submit([event(f"e{number}")], [b""]) for number in range(50)]
    intake.close()
    assert [future.result(0)[0].status for future in futures] == ["accepted"] * 50


def test_an_intake_is_not_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    intake, _, _ = make_intake(tmp_path)
    submit(intake, [event("a")])
    intake._pid = os.getpid() + 1  # as a child process sees it
    with pytest.raises(StorageError, match="fork"):
        intake.submit([event("b")], [b""])
    intake._pid = os.getpid()
    intake.close()


def test_events_and_raws_must_match(tmp_path: Path) -> None:
    intake, _, _ = make_intake(tmp_path)
    with pytest.raises(ValueError, match="1 events and 0 raws"):
        intake.submit([event("a")], [])
    assert intake.submit([], []).result(10) == []
    intake.close()


def test_numbers_that_are_not_finite_never_reach_the_log_as_numbers(
    opened: tuple[Intake, Sink, MovingClock], tmp_path: Path
) -> None:
    """The edge refuses them; should one slip through, the record is still strict JSON."""
    intake, _, _ = opened
    submit(intake, [event("nan", value=math.nan), event("inf", value=math.inf)])
    for path in StoreLayout(tmp_path).log.glob("*.seg"):
        assert b"NaN" not in path.read_bytes()
        assert b"Infinity" not in path.read_bytes()
