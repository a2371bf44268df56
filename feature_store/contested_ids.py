"""Event ids that occur on more than one day: a contradiction that no single day can see.

An event has one moment, so one id on two days is a conflict. Candidates are found by 64-bit
hashes and confirmed on the ids themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from feature_store.id_cache import UInt64Array, hash_ids, read_ids
from feature_store.layout import StoreLayout
from feature_store.merge import HEAD, smallest_heads
from feature_store.staging import Staging
from feature_store.tables import DAY, SCHEMA, DayManifest, part_paths, read_manifests
from recommender import terms
from recommender.terms import BoolArray, Int32Array

# Bounds the memory of one pass to about half a GB; the hash space is cut into as many passes.
HASHES_PER_PASS: Final = 1 << 24
HEAD_COLUMNS: Final = (terms.EVENT_ID, *HEAD)


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
    manifests = read_manifests(layout)
    passes = max(1, -(-sum(staging.days().values()) // HASHES_PER_PASS))
    hits = [_hits(layout, staging, manifests, _Range(part, passes)) for part in range(passes)]
    hashes = np.unique(np.concatenate([found for found, _ in hits]))
    if not hashes.size:
        return Contested(pl.DataFrame(schema=_schema(terms.EVENT_ID, terms.TS)), ())
    suspects = {day for _, days in hits for day in days}
    stored = {
        date.fromisoformat(manifest.event_date): _heads(_read_heads(layout, manifest), hashes)
        for manifest in manifests
        if manifest.event_date in suspects
    }
    staged = [_heads(piece, hashes) for piece in staging.pieces(list(HEAD_COLUMNS))]
    return _settle(staged, stored)


@dataclass(frozen=True, slots=True)
class _Range:
    """One of `parts` equal ranges of the hash space."""

    part: int
    parts: int

    @property
    def ends(self) -> tuple[np.uint64, np.uint64]:
        """Smallest and largest hash of the range."""
        low, high = (((self.part + end) << 64) // self.parts for end in (0, 1))
        return np.uint64(low), np.uint64(high - 1)

    def mask(self, hashes: UInt64Array) -> BoolArray:
        """Which hashes fall into the range."""
        low, high = self.ends
        inside: BoolArray = (hashes >= low) & (hashes <= high)
        return inside

    def cut(self, hashes: UInt64Array) -> UInt64Array:
        """The part of a sorted array that falls into the range."""
        low, high = self.ends
        return hashes[np.searchsorted(hashes, low) : np.searchsorted(hashes, high, side="right")]


def _hits(
    layout: StoreLayout, staging: Staging, manifests: Sequence[DayManifest], part: _Range
) -> tuple[UInt64Array, list[str]]:
    """Hashes that occur on several days, and the stored days among these."""
    hashes, days = _staged_ids(staging, part)
    is_first = np.append(True, hashes[1:] != hashes[:-1])[: hashes.size]
    found = [np.unique(hashes[~is_first])]
    once, once_days = hashes[is_first], days[is_first]
    suspects = []
    for manifest in manifests:
        stored = part.cut(read_ids(layout, manifest))
        common, places = _intersect(stored, once)
        # Only elsewhere counts: the same id on the same day is a repetition, the merge settles it.
        is_elsewhere = once_days[places] != date.fromisoformat(manifest.event_date).toordinal()
        contested = common[is_elsewhere | np.isin(common, found[0])]
        if contested.size:
            found.append(contested)
            suspects.append(manifest.event_date)
    return np.concatenate(found), suspects


def _staged_ids(staging: Staging, part: _Range) -> tuple[UInt64Array, Int32Array]:
    """Distinct pairs of hash and day (proleptic ordinal) of the staged rows, by hash."""
    hashes, days = [np.zeros(0, np.uint64)], [np.zeros(0, np.int32)]
    for piece in staging.pieces([terms.EVENT_ID, terms.TS]):
        found = hash_ids(piece[terms.EVENT_ID])
        inside = part.mask(found)
        hashes.append(found[inside])
        days.append(piece.select(DAY.to_physical()).to_series().to_numpy()[inside])
    hash_, day = np.concatenate(hashes), np.concatenate(days)
    order = np.lexsort((day, hash_))
    hash_, day = hash_[order], day[order] + date(1970, 1, 1).toordinal()
    is_new = np.append(True, (hash_[1:] != hash_[:-1]) | (day[1:] != day[:-1]))[: hash_.size]
    return hash_[is_new], day[is_new]


def _intersect(left: UInt64Array, right: UInt64Array) -> tuple[UInt64Array, Int32Array]:
    """Common values of two sorted arrays of unique values, and their places in `right`."""
    if not left.size or not right.size:
        return np.zeros(0, np.uint64), np.zeros(0, np.int32)
    few, many = (left, right) if left.size < right.size else (right, left)
    places = np.minimum(np.searchsorted(many, few), many.size - 1)
    is_common = np.asarray(many[places] == few)
    in_right = places if many is right else np.arange(few.size)
    return np.asarray(few[is_common]), in_right[is_common].astype(np.int32)


def _heads(frame: pl.DataFrame, hashes: UInt64Array) -> pl.DataFrame:
    wanted = np.isin(hash_ids(frame[terms.EVENT_ID]), hashes)
    return frame.filter(pl.Series(wanted)).unique()


def _read_heads(layout: StoreLayout, manifest: DayManifest) -> pl.DataFrame:
    paths = part_paths(layout, manifest)
    return pl.read_parquet(paths, columns=list(HEAD_COLUMNS)).select(HEAD_COLUMNS)


def _settle(staged: list[pl.DataFrame], stored: dict[date, pl.DataFrame]) -> Contested:
    heads = pl.concat([piece.select(HEAD_COLUMNS) for piece in (*staged, *stored.values())])
    several = heads.group_by(terms.EVENT_ID).agg(DAY.n_unique().alias("days"))
    ids = several.filter(pl.col("days") > 1)[terms.EVENT_ID].implode()
    heads = heads.filter(pl.col(terms.EVENT_ID).is_in(ids))
    taking_part = [day for day, frame in stored.items() if frame[terms.EVENT_ID].is_in(ids).any()]
    owners = smallest_heads(heads).select(terms.EVENT_ID, terms.TS)
    return Contested(owners, tuple(taking_part))


def _schema(*names: str) -> dict[str, pl.DataType]:
    return {name: SCHEMA[name] for name in names}
