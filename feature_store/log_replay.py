"""Quarantined events of the service once more through the door, into the durable log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from feature_store.dialects import normalise
from feature_store.erasures import Erasures
from feature_store.intake import Intake
from feature_store.layout import StoreLayout
from feature_store.online.follower import LogFollower
from feature_store.online.lmdb import LmdbStore
from feature_store.online.opening import open_store
from feature_store.online.visitors import Visitors
from feature_store.quarantine_replay import Replayed, ReplayReport, replay
from feature_store.verdicts import Verdict

WRITER = "replay"


def replay_into_log(
    layout: StoreLayout,
    clock: Callable[[], int],
    codes: Iterable[str] | None = None,
    redis_url: str | None = None,
) -> ReplayReport:
    """Replay into the log and the online store; may run beside a serving process.

    Parameters
    ----------
    clock
        Microseconds since the epoch, UTC.
    codes
        Replay only rejects with these reasons; None for all but conflicts.
    redis_url
        Server of the online store; None: the file in the data folder.
    """
    store, erased_at = open_store(layout, clock, redis_url), Erasures(layout.erasures).erased_at
    sink: Visitors | LogFollower = Visitors(store, erased_at=erased_at)
    if not isinstance(store, LmdbStore):
        sink = LogFollower(store, layout.log, erased_at)
    intake = Intake(layout, sink, clock, WRITER)
    try:
        intake.open()
        report = replay(layout, normalise, lambda batch: _submit(intake, batch), codes)
        if isinstance(sink, LogFollower):
            sink.look()  # they are in the log; if this fails the service does it
        return report
    finally:
        intake.close()
        store.close()


def _submit(intake: Intake, batch: Sequence[Replayed]) -> list[Verdict]:
    """Each with its own first arrival, by which lateness is judged; one wait for all."""
    waiting = [intake.submit([item.event], [item.raw], item.received_at) for item in batch]
    return [future.result()[0] for future in waiting]
