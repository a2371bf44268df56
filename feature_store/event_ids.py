"""Event ids that occur on more than one day: a contradiction that no single day can see.

An event has one moment, so one id on two days is a conflict. Each day keeps a sorted array of
64-bit hashes of its ids beside its Parquet files: a cache, named after the file's digest and the
polars version (whose hash is stable within a version only), rebuilt when missing. Hits of equal
hashes are confirmed on the ids themselves.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from feature_store.atomic_file import write_atomic
from feature_store.layout import StoreLayout
from feature_store.merge import HEAD, smallest_heads
from feature_store.staging import Staging
from feature_store.tables import DayManifest, day_folder, list_days, part_paths, read_manifest
from recommender import terms

UInt64Array = npt.NDArray[np.uint64]
HASHES_PER_PASS = 1 << 25


@dataclass(frozen=True, slots=True)
class Contested:
    """Events found on several days.

    Parameters
    ----------
    owners
        ``event_id, ts`` of the moment that holds for each.
    stored_days
        Days whose stored rows take part.
    """

    owners: pl.DataFrame
    stored_days: tuple[date, ...]


def find_contested(layout: StoreLayout, staging: Staging) -> Contested:
    """Compare the ids of staged rows with each other's days and with all days of the table."""
    days = list(staging.days())
    stored = list_days(layout)
    rows = sum(staging.days().values())
    passes = max(1, -(-rows // HASHES_PER_PASS))
    hits = [_hits(layout, staging, days, stored, _Range(part, passes)) for part in range(passes)]
    hashes = np.unique(np.concatenate([hit[0] for hit in hits]))
    if not hashes.size:
        return Contested(_no_owners(), ())
    staged_heads = [_heads(staging.read(day, _HEAD_COLUMNS), hashes) for day in days]
    suspects = sorted({day for hit in hits for day in hit[1]})
    stored_heads = {day: _heads(_read_heads(layout, day), hashes) for day in suspects}
    return _settle(staged_heads, stored_heads)


def day_ids(layout: StoreLayout, day: date) -> UInt64Array:
    """Hashes of a day's ids, sorted; from its cache, which is written when missing."""
    manifest = read_manifest(layout, day)
    if manifest is None:
        return np.zeros(0, np.uint64)
    path = _cache_path(layout, day, manifest)
    if not path.exists():
        ids = pl.read_parquet(part_paths(layout, manifest), columns=[terms.EVENT_ID])
        _write_cache(path, _hash(ids))
    hashes: UInt64Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return hashes


def save_ids(layout: StoreLayout, day: date, rows: pl.DataFrame) -> None:
    """Write the cache of a day that was just rewritten."""
    manifest = read_manifest(layout, day)
    if manifest is not None:
        _write_cache(_cache_path(layout, day, manifest), _hash(rows))


@dataclass(frozen=True, slots=True)
class _Range:
    """One of `parts` equal ranges of the hash space."""

    part: int
    parts: int

    def cut(self, hashes: UInt64Array) -> UInt64Array:
        """The slice of a sorted array that falls into the range."""
        low, high = (((self.part + end) << 64) // self.parts for end in (0, 1))
        start = int(np.searchsorted(hashes, np.uint64(low)))
        if self.part + 1 == self.parts:
            return hashes[start:]
        return hashes[start : int(np.searchsorted(hashes, np.uint64(high)))]


_HEAD_COLUMNS = (terms.EVENT_ID, *HEAD)


def _hits(
    layout: StoreLayout,
    staging: Staging,
    days: Sequence[date],
    stored: Sequence[date],
    part: _Range,
) -> tuple[UInt64Array, list[date]]:
    """Hashes that occur on several days, and the stored days among these."""
    staged = {day: part.cut(_hash(staging.read(day, (terms.EVENT_ID,)))) for day in days}
    everything = np.sort(np.concatenate([*staged.values(), np.zeros(0, np.uint64)]))
    found = [np.unique(everything[1:][everything[1:] == everything[:-1]])]
    once = everything[np.append(True, everything[1:] != everything[:-1])[: everything.size]]
    suspects = []
    for day in stored:
        common = _intersect(part.cut(day_ids(layout, day)), once)
        # Only elsewhere counts: the same id on the same day is a repetition, settled by the merge.
        foreign = np.setdiff1d(common, staged.get(day, common[:0]), assume_unique=True)
        contested = np.union1d(foreign, np.intersect1d(common, found[0], assume_unique=True))
        if contested.size:
            found.append(contested)
            suspects.append(day)
    return np.concatenate(found), suspects


def _intersect(left: UInt64Array, right: UInt64Array) -> UInt64Array:
    """Common values of two sorted arrays of unique values."""
    few, many = sorted((left, right), key=len)
    if not few.size:
        return np.asarray(few)
    places = np.minimum(np.searchsorted(many, few), many.size - 1)
    return np.asarray(few[many[places] == few])


def _hash(frame: pl.DataFrame) -> UInt64Array:
    return np.unique(frame[terms.EVENT_ID].hash().to_numpy())


def _heads(frame: pl.DataFrame, hashes: UInt64Array) -> pl.DataFrame:
    wanted = frame[terms.EVENT_ID].hash().is_in(pl.Series(hashes).implode())
    return frame.filter(wanted).unique()


def _read_heads(layout: StoreLayout, day: date) -> pl.DataFrame:
    manifest = read_manifest(layout, day)
    assert manifest is not None  # noqa: S101 - the day was found through its manifest
    return pl.read_parquet(part_paths(layout, manifest), columns=list(_HEAD_COLUMNS)).select(
        _HEAD_COLUMNS
    )


def _settle(staged: list[pl.DataFrame], stored: dict[date, pl.DataFrame]) -> Contested:
    heads = pl.concat([*staged, *stored.values()])
    day = pl.col(terms.TS).dt.date()
    several = heads.group_by(terms.EVENT_ID).agg(days=day.n_unique()).filter(pl.col("days") > 1)
    heads = heads.join(several, on=terms.EVENT_ID, how="semi")
    concerned = several[terms.EVENT_ID].implode()
    taking_part = [
        day for day, frame in stored.items() if frame[terms.EVENT_ID].is_in(concerned).any()
    ]
    return Contested(smallest_heads(heads).select(terms.EVENT_ID, terms.TS), tuple(taking_part))


def _no_owners() -> pl.DataFrame:
    from feature_store.tables import SCHEMA

    return pl.DataFrame(schema={name: SCHEMA[name] for name in (terms.EVENT_ID, terms.TS)})


def _cache_path(layout: StoreLayout, day: date, manifest: DayManifest) -> Path:
    name = f"ids-{manifest.content_digest[:16]}-polars-{pl.__version__}.npy"
    return day_folder(layout, day) / name


def _write_cache(path: Path, hashes: UInt64Array) -> None:
    for older in path.parent.glob("ids-*.npy"):
        older.unlink()
    buffer = io.BytesIO()
    np.save(buffer, hashes, allow_pickle=False)
    write_atomic(path, buffer.getvalue())
