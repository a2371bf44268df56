"""Events, decisions, clocks and logs for the tests of the durable log."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from feature_store.dedup import index_pairs
from feature_store.event_log import LogReader
from feature_store.event_log.disk import Disk
from feature_store.event_log.prepared import PreparedEvent, prepare_event
from feature_store.event_log.writer import SegmentOptions, SegmentWriter, StreamPosition
from feature_store.events import EventItem, InteractionEvent, dedup_keys
from feature_store.intake import Intake, IntakeOptions
from feature_store.intake_counters import IntakeCounters
from feature_store.layout import StoreLayout
from feature_store.records import DecisionItem, DecisionRecord, EventRecord

NOW = 1_795_288_000_000_000
SECOND = 1_000_000
DAY = 86_400 * SECOND


class MovingClock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, now: int = NOW) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Sink:
    """Remembers what reached the online store."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def apply(self, events: Sequence[InteractionEvent]) -> None:
        self.ids.extend(event.event_id for event in events)


def event(event_id: str, ts: int = NOW, **fields: object) -> InteractionEvent:
    item = EventItem(item_id=f"item-{event_id}", item_name="Türklinke 木", price=12.5)
    values: dict[str, object] = {"visitor_id": "v1", "items": (item,), "currency": "EUR"}
    return InteractionEvent(
        event_id=event_id,
        ts=ts,
        **({"event_type": "view_item"} | values | fields),  # type: ignore[arg-type]
    )


def decision(decision_id: str, ts: int = NOW) -> DecisionRecord:
    return DecisionRecord(
        decision_id=decision_id,
        request_id="r",
        ts_server=ts,
        seq=-1,
        writer="",
        subject_key="k",
        surface="home",
        policy_id="top",
        model_version="m",
        config_digest="c",
        code_version="0",
        served_level="popular",
        items=(DecisionItem("a", 1, 1.0, "popularity"),),
        eligible_count=3,
    )


def prepared(event_id: str, at: int = NOW, writer: str = "w.1") -> PreparedEvent:
    one = event(event_id, at)
    entries = b"".join(key + digest for key, digest in index_pairs(dedup_keys(one)))
    return prepare_event(EventRecord(one, at, 0, writer), entries)


def open_writer(
    folder: Path,
    disk: Disk | None = None,
    number: int = 1,
    seq: int = 0,
    options: SegmentOptions | None = None,
) -> SegmentWriter:
    folder.mkdir(parents=True, exist_ok=True)
    writer = SegmentWriter(
        folder,
        StreamPosition("w.1", number, seq),
        options or SegmentOptions(),
        IntakeCounters(),
        disk or Disk(),
    )
    writer.begin_segment(NOW)
    return writer


def write_log(folder: Path, ids: Iterable[str], *, close: bool = True) -> Path:
    """One segment with these events, synced. Returns its path."""
    writer = open_writer(folder)
    for event_id in ids:
        writer.append_events([prepared(event_id)])
    writer.sync()
    path = folder / str(writer.segment)
    if close:
        writer.close()
    return path


def ids_of(reader: LogReader) -> list[str]:
    """Event and decision ids in the order read."""
    return [
        entry.record.event.event_id
        if isinstance(entry.record, EventRecord)
        else entry.record.decision_id
        for entry in reader
    ]


def read_ids(folder: Path) -> list[str]:
    return ids_of(LogReader(folder))


def submit(intake: Intake, events: Sequence[InteractionEvent]) -> list[str]:
    """Store events; the status of each."""
    verdicts = intake.submit(events, [b"{}"] * len(events)).result(timeout=30)
    return [verdict.status for verdict in verdicts]


def make_intake(root: Path, **changes: object) -> tuple[Intake, Sink, MovingClock]:
    sink, clock = Sink(), MovingClock()
    options = changes.pop("options", None)
    assert options is None or isinstance(options, IntakeOptions)
    disk = changes.pop("disk", None)
    assert disk is None or isinstance(disk, Disk)
    assert not changes
    return Intake(StoreLayout(root), sink, clock, "serve", options, disk), sink, clock
