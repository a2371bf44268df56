"""One day of the interactions table on disk: read it whole, replace it whole.

A day changes by one rename of its manifest. Files of the version before stay until the day
changes again, so that a reader that planned its scan a moment earlier still finds them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Final

import msgspec
import polars as pl

from feature_store.atomic_file import sync_folder, write_atomic
from feature_store.content import Content
from feature_store.id_cache import save_ids
from feature_store.identities import find_links
from feature_store.layout import StoreLayout
from feature_store.tables import (
    DAY,
    STORED_SCHEMA,
    DayManifest,
    TableFile,
    day_folder,
    part_paths,
    read_manifest,
)
from recommender import terms
from recommender.errors import DataError

ROWS_PER_FILE: Final = 2_000_000
ROWS_PER_GROUP: Final = 250_000
WRITERS: Final = 4


def read_day(layout: StoreLayout, day: date) -> pl.DataFrame:
    """Rows of a day as stored, in row order; empty when there are none."""
    manifest = read_manifest(layout, day)
    if manifest is None:
        return pl.DataFrame(schema=STORED_SCHEMA)
    frame = pl.read_parquet(
        part_paths(layout, manifest), schema=STORED_SCHEMA, hive_partitioning=False, glob=False
    )
    if frame.height != manifest.rows:
        raise DataError(
            f"{day_folder(layout, day)}: {frame.height} rows, the manifest says {manifest.rows}"
        )
    return frame


def write_days(layout: StoreLayout, days: Sequence[date], rows: pl.DataFrame) -> list[date]:
    """Replace some days by `rows` (stored schema, row order). Equal content is left as it is.

    Returns the days whose files changed.
    """
    packing = _Packing(rows)
    # Compression and fsync both wait outside the interpreter: threads overlap them.
    with ThreadPoolExecutor(WRITERS) as pool:
        changed = list(pool.map(lambda day: _write_day(layout, day, packing), days))
    return [day for day, is_changed in zip(days, changed, strict=True) if is_changed]


class _Packing:
    """Rows and links of some days, with their digests, cut by day."""

    def __init__(self, rows: pl.DataFrame) -> None:
        self._rows, self._links = rows, find_links(rows)
        self._contents = Content(self._rows), Content(self._links)
        self._spans = _spans(self._rows), _spans(self._links)
        events = rows.group_by(DAY).agg(pl.col(terms.EVENT_ID).n_unique())
        self._events: dict[date, int] = dict(events.iter_rows())

    def digest(self, day: date) -> str:
        """Content digest of a day."""
        return self._contents[0].digest(*self._spans[0].get(day, (0, 0)))

    def rows(self, day: date) -> pl.DataFrame:
        """Rows of a day; empty when there are none."""
        start, stop = self._spans[0].get(day, (0, 0))
        return self._rows[start:stop]

    def pack(self, day: date) -> tuple[DayManifest, list[tuple[str, bytes]]]:
        """Manifest and files of a day that has rows."""
        rows, digest = self.rows(day), self.digest(day)
        start, stop = self._spans[1].get(day, (0, 0))
        links_digest = self._contents[1].digest(start, stop)
        parts = [
            _pack(f"part-{number:04d}-{digest[:16]}.parquet", part)
            for number, part in enumerate(rows.iter_slices(ROWS_PER_FILE))
        ]
        named_links = [(f"links-{links_digest[:16]}.parquet", self._links[start:stop])]
        links = [_pack(*named) for named in named_links if stop > start]
        moments = rows[terms.TS].to_physical()
        manifest = DayManifest(
            event_date=day.isoformat(),
            rows=rows.height,
            events=self._events[day],
            first_ts=moments[0],
            last_ts=moments[-1],
            content_digest=digest,
            links_digest=links_digest,
            files=tuple(file for file, _ in parts),
            links=links[0][0] if links else None,
        )
        return manifest, [(file.name, data) for file, data in parts + links]


def _write_day(layout: StoreLayout, day: date, packing: _Packing) -> bool:
    before = read_manifest(layout, day)
    rows = packing.rows(day)
    if rows.is_empty():
        return before is not None and _remove_day(layout, day)
    if before is not None and before.content_digest == packing.digest(day):
        return False
    manifest, files = packing.pack(day)
    folder = day_folder(layout, day)
    for name, data in files:
        write_atomic(folder / name, data)
    write_atomic(folder / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest)))
    _remove_older(layout, day, manifest, before)
    save_ids(layout, manifest, rows)
    return True


def _spans(rows: pl.DataFrame) -> dict[date, tuple[int, int]]:
    """First and one past the last row of each day; rows in time order."""
    counts = rows.group_by(DAY.alias("day"), maintain_order=True).agg(pl.len())
    stops = counts.with_columns(stop=pl.col("len").cum_sum())
    return {day: (stop - rows, stop) for day, rows, stop in stops.iter_rows()}


def _pack(name: str, frame: pl.DataFrame) -> tuple[TableFile, bytes]:
    data = _parquet(frame)
    return TableFile(name, frame.height, len(data), hashlib.sha256(data).hexdigest()), data


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return buffer.getvalue()


def _remove_older(
    layout: StoreLayout, day: date, manifest: DayManifest, before: DayManifest | None
) -> None:
    """Remove what neither this manifest nor the one before names, leftovers of a kill included."""
    kept = {"manifest.json", *_names(manifest), *(_names(before) if before else ())}
    folder = day_folder(layout, day)
    for path in folder.iterdir():
        # Caches (ids-*) belong to a part file by its name and are cleaned by their owner.
        if path.name not in kept and path.name.startswith(("tmp-", "part-", "links-")):
            path.unlink()


def _names(manifest: DayManifest) -> set[str]:
    links = {manifest.links.name} if manifest.links else set()
    return {file.name for file in manifest.files} | links


def _remove_day(layout: StoreLayout, day: date) -> bool:
    folder = day_folder(layout, day)
    (folder / "manifest.json").unlink()
    sync_folder(folder)
    return True
