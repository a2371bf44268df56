"""Removing the traces of erased shoppers from disk: tables, log, quarantine, online store.

Nothing reads them from the moment of the erasure on (`feature_store.erasures`); this makes them
physically gone. Idempotent: a run that was killed is completed by the next one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import polars as pl

from feature_store.catalogue import update_derived
from feature_store.erase_quarantine import wipe_quarantine
from feature_store.erased_rows import erased_visitors, without_erased
from feature_store.erasures import RECORD, VISITOR, Erasures, erased_at, subject_of
from feature_store.event_log.wipe import WipeCounts, wipe_segments
from feature_store.events import InteractionEvent
from feature_store.layout import StoreLayout
from feature_store.online.opening import open_store
from feature_store.online.store import Clock
from feature_store.online.visitors import Visitors
from feature_store.records import DecisionRecord
from feature_store.staging import Staging
from feature_store.store_lock import store_lock
from feature_store.table_update import TableUpdate
from feature_store.tables import (
    DAY,
    day_folder,
    read_links,
    read_manifest,
    read_table_info,
    scan_stored,
)
from recommender.terms import TS, USER_ID, VISITOR_ID

CHUNK_ROWS = 500_000


@dataclass(frozen=True, slots=True)
class EraseReport:
    """What one run removed.

    Parameters
    ----------
    subjects
        Erased ids and pseudonyms on the ledger.
    settled
        Those of them whose traces are gone now and were not before.
    rows
        Rows of the tables.
    days_rewritten
        ISO dates of the days they were in.
    events, decisions
        Events wiped in the log, decisions made anonymous.
    waiting
        Records in segments that a live process still writes: run again after an hour.
    quarantined
        Lines of the quarantine that are withheld now.
    states
        States of erased shoppers that were still in the online store.
    """

    subjects: int
    settled: int
    rows: int
    days_rewritten: tuple[str, ...]
    events: int
    decisions: int
    waiting: int
    quarantined: int
    states: int


def erase(layout: StoreLayout, clock: Clock, redis_url: str | None = None) -> EraseReport:
    """Remove every trace of erased shoppers; may run beside a service.

    Parameters
    ----------
    clock
        Microseconds since the epoch, UTC.
    redis_url
        Server of the online store; None: the file in the data folder.

    Raises
    ------
    StorageError
        An ingest or another erase runs, the disk refuses, or the ledger cannot be read.
    DataError
        A manifest cannot be read.
    """
    erasures = Erasures(layout.erasures)
    with store_lock(layout):
        _complete(layout, erasures)
        subjects, pending = dict(erasures.subjects), dict(erasures.pending)
        if not subjects:
            return EraseReport(0, 0, 0, (), 0, 0, 0, 0, 0)
        rows, days = _purge_tables(layout, subjects)
        log = _wipe_log(layout, subjects)
        quarantined = wipe_quarantine(layout.quarantine, subjects)
        states = _clean_store(layout, clock, erasures, redis_url)
        if not log.waiting:
            erasures.settle(pending)
    return EraseReport(
        subjects=len(subjects),
        settled=0 if log.waiting else len(pending),
        rows=rows,
        days_rewritten=tuple(day.isoformat() for day in days),
        events=log.events,
        decisions=log.decisions,
        waiting=log.waiting,
        quarantined=quarantined,
        states=states,
    )


def _complete(layout: StoreLayout, erasures: Erasures) -> None:
    """Name the devices of erased users that the online store had forgotten."""
    known, links = erasures.subjects, read_links(layout)
    for visitor_id, at in erased_visitors(links, links, known).iter_rows():
        subject = subject_of(VISITOR, visitor_id)
        if known.get(subject, 0) < at:
            erasures.add([subject], at)


def _purge_tables(layout: StoreLayout, subjects: Mapping[str, int]) -> tuple[int, list[date]]:
    stored = scan_stored(layout).select(VISITOR_ID, USER_ID, TS)
    allowed = without_erased(stored, read_links(layout), subjects)
    before, after = _rows_by_day(stored), _rows_by_day(allowed)
    gone = {day: rows - after.get(day, 0) for day, rows in before.items()}
    days = sorted(day for day, rows in gone.items() if rows)
    info = read_table_info(layout)
    if days and info is not None:
        with Staging(layout.tables / "staging", CHUNK_ROWS) as nothing:
            update = TableUpdate(layout, nothing, info.session_gap_seconds, CHUNK_ROWS, subjects)
            for chunk in update.run(days):
                for day in chunk.days:
                    _remove_unnamed(layout, day)
        update_derived(layout)
    return sum(gone.values()), days


def _rows_by_day(rows: pl.LazyFrame) -> dict[date, int]:
    return dict(rows.group_by(DAY.alias("day")).agg(pl.len()).collect().iter_rows())


def _remove_unnamed(layout: StoreLayout, day: date) -> None:
    """Remove the files of the version before, which an ingest leaves for a while."""
    manifest = read_manifest(layout, day)
    files = (*manifest.files, *([manifest.links] if manifest.links else [])) if manifest else ()
    kept = {file.name for file in files}
    for path in day_folder(layout, day).iterdir():
        if path.name.startswith(("part-", "links-")) and path.name not in kept:
            path.unlink()


def _wipe_log(layout: StoreLayout, subjects: Mapping[str, int]) -> WipeCounts:
    def is_erased(record: InteractionEvent | DecisionRecord) -> bool:
        if isinstance(record, DecisionRecord):
            at = subjects.get(subject_of(RECORD, record.subject_key), 0)
            return bool(record.subject_key) and record.ts_server <= at
        return record.ts <= erased_at(subjects, record.visitor_id, record.user_id)

    return wipe_segments(layout.log, is_erased)


def _clean_store(
    layout: StoreLayout, clock: Clock, erasures: Erasures, redis_url: str | None
) -> int:
    if redis_url is None and not layout.online.exists():
        return 0
    store = open_store(layout, clock, redis_url)
    try:
        return Visitors(store, erased_at=erasures.erased_at).sweep_erased()
    finally:
        store.close()
