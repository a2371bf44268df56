"""Hashes of the event ids of a day, beside its Parquet files.

A cache: named after the digest of the day's rows and the polars version, whose hash is stable
within a version only, and built again when missing.
"""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from feature_store.atomic_file import write_atomic
from feature_store.layout import StoreLayout
from feature_store.tables import DayManifest, day_folder, part_paths
from recommender import terms

UInt64Array: TypeAlias = npt.NDArray[np.uint64]


def hash_ids(ids: pl.Series) -> UInt64Array:
    """64-bit hash of each id, uint64 (rows,)."""
    hashes: UInt64Array = ids.hash().to_numpy()
    return hashes


def read_ids(layout: StoreLayout, manifest: DayManifest) -> UInt64Array:
    """Hashes of a day's event ids, ascending and unique, mapped from disk."""
    path = _path(layout, manifest)
    if not path.exists():
        frame = pl.read_parquet(part_paths(layout, manifest), columns=[terms.EVENT_ID])
        _write(path, frame)
    hashes: UInt64Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return hashes


def save_ids(layout: StoreLayout, manifest: DayManifest, rows: pl.DataFrame) -> None:
    """Write the cache of a day that was just rewritten."""
    _write(_path(layout, manifest), rows)


def _path(layout: StoreLayout, manifest: DayManifest) -> Path:
    name = f"ids-{manifest.content_digest[:16]}-polars-{pl.__version__}.npy"
    return day_folder(layout, date.fromisoformat(manifest.event_date)) / name


def _write(path: Path, rows: pl.DataFrame) -> None:
    for older in path.parent.glob("ids-*.npy"):
        older.unlink()
    buffer = io.BytesIO()
    np.save(buffer, np.unique(hash_ids(rows[terms.EVENT_ID])), allow_pickle=False)
    write_atomic(path, buffer.getvalue())
