"""Files and logs into the interactions table.

loader batches → screen → staging by day → merge with what the table holds → sessions → Parquet
by day. Rejected rows go to the quarantine with their reason. Deterministic: the table is a
function of the set of rows ever ingested, whatever their order, batches or files; ingesting a
source again adds nothing and changes no byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import msgspec

from feature_store.atomic_file import write_atomic
from feature_store.catalogue import update_derived
from feature_store.content import content_digest
from feature_store.erasures import ERASED, Erasures
from feature_store.ingest_report import DayCounts, IngestReport
from feature_store.layout import StoreLayout
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.registry import FORMATS, Format
from feature_store.reject_file import RejectFile
from feature_store.screen import screen
from feature_store.sessions import DEFAULT_GAP_SECONDS, check_gap
from feature_store.source import LOG_FORMAT, Source, open_source, remember_source
from feature_store.staging import Staging
from feature_store.store_lock import store_lock
from feature_store.table_update import Chunk, TableUpdate
from feature_store.tables import TableInfo, interactions_folder, read_manifest, read_table_info
from recommender.errors import ConfigError, InvalidInputError

__all__ = ["IngestOptions", "IngestReport", "ingest"]


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Choices of an ingest.

    Parameters
    ----------
    session_gap_seconds
        Silence that ends a session; None: as the table was begun, 30 minutes for a new one.
    load
        Choices of the loader.
    run_rows, chunk_rows
        Rows held in memory while reading, and while merging. They bound memory and change
        nothing else.
    formats
        File formats by name.
    on_rows
        Called with the number of rows of each batch read.
    """

    session_gap_seconds: int | None = None
    load: LoadOptions = field(default_factory=LoadOptions)
    run_rows: int = 1_000_000
    chunk_rows: int = 500_000
    formats: Mapping[str, Format] = field(default_factory=lambda: FORMATS)
    on_rows: Callable[[int], None] = lambda _: None


def ingest(
    source: Path, source_format: str, layout: StoreLayout, options: IngestOptions | None = None
) -> IngestReport:
    """Bring a source into the table and account for every row of it.

    Raises `InvalidInputError` for an unknown format, `DataError` when the source is not what the
    format says, `ConfigError` for a session gap other than the table's, `StorageError` when
    another ingest runs or the disk refuses.
    """
    options = options or IngestOptions()
    known = options.formats
    if source_format not in known:
        raise InvalidInputError(f"format {source_format!r}; accepted: {', '.join(sorted(known))}")
    with store_lock(layout):
        opened = open_source(source, known[source_format], layout)
        tally = _Tally(source.name, source_format)
        with (
            Staging(layout.tables / "staging", options.run_rows) as staging,
            RejectFile(layout.quarantine, source.name, source_format) as rejects,
        ):
            tally.rows_in = _stage(opened, staging, rejects, options)
            gap_seconds = _table_gap(layout, options.session_gap_seconds)
            erased = Erasures(layout.erasures).subjects
            update = TableUpdate(layout, staging, gap_seconds, options.chunk_rows, erased)
            for chunk in update.run():
                tally.add(chunk, layout)
                rejects.add_rows(chunk.merged.conflicts, "conflict")
                _keep_displaced(chunk, layout)
            return _finish(tally, opened, rejects, layout)


@dataclass(slots=True)
class _Tally:
    """Counts of a running ingest."""

    name: str
    source_format: str
    rows_in: int = 0
    kept: int = 0
    events_kept: int = 0
    duplicates: int = 0
    displaced: int = 0
    erased: int = 0
    days: dict[str, DayCounts] = field(default_factory=dict)
    rewritten: list[str] = field(default_factory=list)

    def add(self, chunk: Chunk, layout: StoreLayout) -> None:
        """Count a chunk in."""
        self.kept += sum(chunk.kept.values())
        self.events_kept += chunk.events
        self.duplicates += chunk.merged.duplicates
        self.displaced += chunk.merged.displaced.height
        self.erased += chunk.erased
        self.rewritten += [day.isoformat() for day in chunk.rewritten]
        for day in chunk.days:
            self.days[day.isoformat()] = _day_counts(layout, day, chunk.kept.get(day, 0))


def _stage(source: Source, staging: Staging, rejects: RejectFile, options: IngestOptions) -> int:
    """Read and screen all batches. Returns the number of rows."""
    rows_in = 0
    for batch in source.batches(options.load):
        good, bad = screen(batch)
        staging.add(good)
        rejects.add(bad)
        rows_in += batch.height
        options.on_rows(batch.height)
    staging.flush()
    return rows_in


def _finish(
    tally: _Tally, source: Source, rejects: RejectFile, layout: StoreLayout
) -> IngestReport:
    """Commit what belongs to the source, last the fact that it is in the table."""
    digest = source.digest()
    quarantine = rejects.commit(f"ingest-{digest[:16]}.jsonl")
    report = IngestReport(
        source=tally.name,
        source_format=tally.source_format,
        source_digest=digest,
        rows_in=tally.rows_in,
        kept=tally.kept,
        events_kept=tally.events_kept,
        duplicates=tally.duplicates,
        rejected=dict(sorted((rejects.counts + Counter({ERASED: tally.erased})).items())),
        displaced=tally.displaced,
        skipped=source.skipped(),
        days=tally.days,
        days_rewritten=tuple(sorted(tally.rewritten)),
        quarantine=str(quarantine) if quarantine else None,
    ).check()
    update_derived(layout)
    if tally.source_format != LOG_FORMAT:
        remember_source(layout, report)
    source.commit()
    return report


def _table_gap(layout: StoreLayout, wanted: int | None) -> int:
    """The table's session gap, fixed at its first ingest: sessions of other days hang on it."""
    info = read_table_info(layout)
    if info is None:
        info = TableInfo(check_gap(wanted or DEFAULT_GAP_SECONDS))
        write_atomic(interactions_folder(layout) / "table.json", msgspec.json.encode(info))
    elif wanted is not None and wanted != info.session_gap_seconds:
        raise ConfigError(
            f"session gap {wanted} s: this table was begun with {info.session_gap_seconds} s; "
            "use that, or begin a new store"
        )
    return info.session_gap_seconds


def _keep_displaced(chunk: Chunk, layout: StoreLayout) -> None:
    """Keep rows that had to leave the table, in a file that later ingests do not replace."""
    rows = chunk.merged.displaced
    if rows.is_empty():
        return
    with RejectFile(layout.quarantine, "interactions", "desirepath-parquet") as file:
        file.add_rows(rows, "displaced")
        file.commit(f"displaced-{content_digest(rows)[:16]}.jsonl")


def _day_counts(layout: StoreLayout, day: date, kept: int) -> DayCounts:
    manifest = read_manifest(layout, day)
    return DayCounts(kept, manifest.rows if manifest else 0)
