"""From a model back to its data: the digest of the window, and how far each log had been read."""

from __future__ import annotations

from pathlib import Path

import msgspec

from feature_store.layout import StoreLayout
from feature_store.source import read_sources, sources_folder
from training.dataset import moment
from training.engine import EventWindow
from training.registry_run import DataLineage


def lineage_of(layout: StoreLayout, window: EventWindow, log: Path | None) -> DataLineage:
    """Lineage of a run that learnt from a window of the tables.

    Parameters
    ----------
    log
        The log that was brought in for the run; None if it learnt from the tables as they were.
    """
    return DataLineage(
        name=log.name if log else layout.tables.name,
        digest=window.digest,
        source=str((log or layout.tables).resolve()),
        window_start=moment(window.period.start).isoformat(),
        window_end=moment(window.period.end).isoformat(),
        rows=window.counts["kept"],
        log_offsets={"sources": _sources(layout), "log_positions": _positions(layout)},
    )


def _sources(layout: StoreLayout) -> list[dict[str, object]]:
    return [
        {
            "name": source.name,
            "format": source.source_format,
            "digest": source.digest,
            "rows_in": source.rows_in,
            "kept": source.kept,
        }
        for source in read_sources(layout)
    ]


def _positions(layout: StoreLayout) -> dict[str, dict[str, int]]:
    paths = sorted(sources_folder(layout).glob("log-*.json"))
    return {
        path.stem: msgspec.json.decode(path.read_bytes(), type=dict[str, int]) for path in paths
    }
