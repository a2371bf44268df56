"""What an intake has done since its process began; plain numbers that `/metrics` exposes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(slots=True)
class IntakeCounters:
    """Counts since the start of the process. Read them from any thread.

    Parameters
    ----------
    accepted, duplicates
        Events by verdict.
    exposures
        Confirmed views that were new.
    rejected
        Events refused, by code.
    late, clamped
        Accepted events with that flag.
    groups
        Group commits that reached the disk.
    bytes_written
        Bytes of records in the log.
    syncs, sync_seconds_sum, sync_seconds_max
        Calls that made segments durable, and how long they took.
    decisions, decisions_lost
        Decision records handed to the operating system; those dropped for want of space, or cut
        off when a sync failed.
    segments_opened, segments_abandoned
        Segments begun; segments given up because a sync failed. The second is worth an alarm.
    rotation_failures
        A due new segment could not be begun; the old one was written on.
    storage_failures
        Groups refused because the disk refused.
    busy_refusals
        Submissions refused because too much was waiting.
    online_failures
        Groups that are durable but did not reach the online store.
    recovered_events
        Events found behind the index after a process died, and indexed.
    quarantined, quarantine_lost
        Rejected events kept; rejected events not kept, because of size or the disk.
    waiting_events
        Events submitted and not yet answered.
    """

    accepted: int = 0
    duplicates: int = 0
    exposures: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    late: int = 0
    clamped: int = 0
    groups: int = 0
    bytes_written: int = 0
    syncs: int = 0
    sync_seconds_sum: float = 0.0
    sync_seconds_max: float = 0.0
    decisions: int = 0
    decisions_lost: int = 0
    segments_opened: int = 0
    segments_abandoned: int = 0
    rotation_failures: int = 0
    storage_failures: int = 0
    busy_refusals: int = 0
    online_failures: int = 0
    recovered_events: int = 0
    quarantined: int = 0
    quarantine_lost: int = 0
    waiting_events: int = 0

    def count_sync(self, seconds: float) -> None:
        """One call that made a segment durable."""
        self.syncs += 1
        self.sync_seconds_sum += seconds
        self.sync_seconds_max = max(self.sync_seconds_max, seconds)
