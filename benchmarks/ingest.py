"""Durable events per second: how fast the intake takes events, and how long each batch waits.

Run ``python -m benchmarks.ingest``; the table goes to standard error, one JSON object to standard
output. Nothing but the log, its index and a sink that counts: no HTTP, no online store.

- *saturated*: a few batches are always waiting; gives the throughput.
- *paced*: batches come at a fixed rate whatever the answers do (open loop); gives the latency.
- *recovery*: seconds to open after a kill, and to rebuild the index from the whole log.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from feature_store.event_log.disk import Disk
from feature_store.event_log.store import LogStoreOptions, open_store
from feature_store.events import EventItem, InteractionEvent
from feature_store.intake import Intake, IntakeCounters
from feature_store.layout import StoreLayout

OUTSTANDING = 4


class CountingSink:
    """Counts what would go to the online store."""

    def __init__(self) -> None:
        self.events = 0

    def apply(self, events: Sequence[InteractionEvent]) -> None:
        """Take accepted events."""
        self.events += len(events)


Run: TypeAlias = Callable[[Intake, list[list[InteractionEvent]], "Timer"], float]


@dataclass(frozen=True)
class Measured:
    """One row of the table; milliseconds from submission to verdict."""

    mode: str
    batch: int
    offered_per_second: float | None
    events: int
    events_per_second: float
    p50_ms: float
    p99_ms: float
    max_ms: float
    syncs: int
    sync_mean_ms: float
    sync_max_ms: float
    cpu_us_per_event: float


def now_micros() -> int:
    return time.time_ns() // 1000


def make_batches(prefix: str, count: int, size: int) -> list[list[InteractionEvent]]:
    """Views of one item each with the fields that shops send; about 700 bytes in the log."""
    ts = now_micros()
    return [
        [_view(f"{prefix}-{batch:06d}-{each:04d}-5f1c2b7e", ts) for each in range(size)]
        for batch in range(count)
    ]


def _view(event_id: str, ts: int) -> InteractionEvent:
    item = EventItem(
        item_id=f"SKU-{hash(event_id) % 50_000:08d}",
        item_name="Sturdy oak chair with a woven seat",
        item_brand="Northwood",
        item_category="Home",
        item_category2="Furniture",
        item_category3="Chairs",
        item_variant="oak/natural",
        price=129.9,
        quantity=1.0,
    )
    return InteractionEvent(
        event_id=event_id,
        event_type="view_item",
        ts=ts,
        visitor_id=f"GA1.2.{hash(event_id) % 1_000_000_007}.1795288000",
        session_id="1795288000",
        items=(item,),
        currency="EUR",
        value=129.9,
        page_type="product",
        device="mobile",
        params={"page_location": "https://shop.example/home/furniture/chairs/oak-chair"},
    )


class Timer:
    """Collects waiting times; callbacks come from the committer's thread."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def submit(self, intake: Intake, batch: list[InteractionEvent], began: float) -> Future[object]:
        """Send a batch; its wait counts from `began`."""
        future = intake.submit(batch, [b""] * len(batch))
        future.add_done_callback(lambda _: self.waits.append(time.perf_counter() - began))
        return future  # type: ignore[return-value]

    def share(self, part: float) -> float:
        """Milliseconds that this part of the batches did not exceed."""
        ordered = sorted(self.waits)
        return 1000 * ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def saturated(intake: Intake, batches: list[list[InteractionEvent]], timer: Timer) -> float:
    """Always `OUTSTANDING` batches waiting. Returns seconds."""
    room = threading.Semaphore(OUTSTANDING)
    futures = []
    began = time.perf_counter()
    for batch in batches:
        room.acquire()
        future = timer.submit(intake, batch, time.perf_counter())
        future.add_done_callback(lambda _: room.release())
        futures.append(future)
    _check(futures)
    return time.perf_counter() - began


def paced(
    intake: Intake, batches: list[list[InteractionEvent]], timer: Timer, events_per_second: float
) -> float:
    """A batch every so many seconds, late or not; waiting counts from when it was due."""
    period = len(batches[0]) / events_per_second
    futures = []
    began = time.perf_counter()
    for number, batch in enumerate(batches):
        due = began + number * period
        time.sleep(max(0.0, due - time.perf_counter()))
        futures.append(timer.submit(intake, batch, due))
    _check(futures)
    return time.perf_counter() - began


def _check(futures: Sequence[Future[object]]) -> None:
    for future in futures:
        statuses = {verdict.status for verdict in future.result()}  # type: ignore[attr-defined]
        if statuses != {"accepted"}:
            raise RuntimeError(f"unexpected verdicts: {statuses}")


def measure(
    folder: Path,
    mode: str,
    size: int,
    events: int,
    run: Run,
    offered: float | None = None,
) -> Measured:
    """One row, on a log of its own."""
    intake = Intake(StoreLayout(folder), CountingSink(), now_micros, "bench")
    intake.open()
    _check([intake.submit(batch, [b""] * len(batch)) for batch in make_batches("warm", 3, size)])  # type: ignore[misc]
    batches = make_batches(mode, events // size, size)
    # A real server does not hold a hundred thousand events: keep the collector off those.
    gc.collect()
    gc.freeze()
    counters, timer = intake.counters, Timer()
    cpu = time.process_time()
    syncs, seconds = counters.syncs, counters.sync_seconds_sum
    elapsed = run(intake, batches, timer)
    cpu = time.process_time() - cpu
    syncs, seconds = counters.syncs - syncs, counters.sync_seconds_sum - seconds
    intake.close()
    gc.unfreeze()
    return Measured(
        mode=mode,
        batch=size,
        offered_per_second=offered,
        events=len(batches) * size,
        events_per_second=round(len(batches) * size / elapsed),
        p50_ms=round(timer.share(0.5), 2),
        p99_ms=round(timer.share(0.99), 2),
        max_ms=round(timer.share(1.0), 2),
        syncs=syncs,
        sync_mean_ms=round(1000 * seconds / max(1, syncs), 3),
        sync_max_ms=round(1000 * counters.sync_seconds_max, 2),
        cpu_us_per_event=round(1e6 * cpu / (len(batches) * size), 1),
    )


def recovery(folder: Path) -> dict[str, float]:
    """Seconds to open the log of the last run, with its index and without."""
    layout = StoreLayout(folder)
    size = sum(path.stat().st_size for path in layout.log.glob("*.seg"))
    restart = _open_seconds(layout)
    shutil.rmtree(layout.dedup)
    rebuild = _open_seconds(layout)
    return {
        "log_bytes": size,
        "restart_seconds": round(restart, 4),
        "rebuild_seconds": round(rebuild, 3),
        "rebuild_seconds_per_gb": round(rebuild / size * 1e9, 2),
    }


def _open_seconds(layout: StoreLayout) -> float:
    began = time.perf_counter()
    store = open_store(layout, "bench", now_micros, LogStoreOptions(), IntakeCounters(), Disk())
    elapsed = time.perf_counter() - began
    store.close(now_micros())
    return elapsed


def show(rows: list[Measured], recovered: dict[str, float]) -> None:
    """The table, on standard error."""
    names = list(asdict(rows[0]))
    table = [names, *([_text(value) for value in asdict(row).values()] for row in rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(names))]
    for line in table:
        cells = (cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        print("  ".join(cells), file=sys.stderr)
    print("recovery: " + ", ".join(f"{k} {v}" for k, v in recovered.items()), file=sys.stderr)


def _text(value: object) -> str:
    return "-" if value is None else str(value)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder if unset")
    parser.add_argument("--events", type=int, default=100_000, help="events per row")
    parser.add_argument("--rate", type=float, default=20_000, help="events per second when paced")
    arguments = parser.parse_args()
    base = Path(tempfile.mkdtemp(prefix="bench-ingest-", dir=arguments.folder))
    plan: list[tuple[str, int, Run, float | None]] = []
    for size in (100, 1000):
        plan.append(("saturated", size, saturated, None))
        plan.append(
            ("paced", size, partial(paced, events_per_second=arguments.rate), arguments.rate)
        )
    try:
        rows = [
            measure(base / f"{mode}{size}", mode, size, arguments.events, run, offered)
            for mode, size, run, offered in plan
        ]
        recovered = recovery(base / "saturated1000")
    finally:
        shutil.rmtree(base)
    show(rows, recovered)
    load = os.getloadavg()[0]
    result = {"rows": [asdict(row) for row in rows], "recovery": recovered, "load_average": load}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
