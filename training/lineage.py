"""From a model back to its data: the digest of the window, and how far each log had been read."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from feature_store.catalogue import read_catalogue
from feature_store.content import content_digest
from feature_store.layout import StoreLayout
from feature_store.source import read_sources, sources_folder
from training.dataset import moment
from training.engine import EventWindow
from training.registry_run import DataLineage

CATALOGUE_DIGEST_TAG: Final = "catalogue_digest"


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


def catalogue_digest(layout: StoreLayout) -> str:
    """Digest of the catalogue: an item that was hidden since is news, though no event came."""
    return content_digest(read_catalogue(layout))


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
