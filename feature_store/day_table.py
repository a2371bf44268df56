"""One day of the interactions table on disk: read it whole, replace it whole.

A day changes by one rename of its manifest. Files of the version before stay until the day
changes again, so that a reader that planned its scan a moment earlier still finds them.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import date
from typing import Final

import msgspec
import polars as pl

from feature_store.atomic_file import sync_folder, write_atomic
from feature_store.content import content_digest
from feature_store.identities import find_links
from feature_store.layout import StoreLayout
from feature_store.tables import (
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


def write_day(layout: StoreLayout, day: date, rows: pl.DataFrame) -> bool:
    """Replace a day by `rows` (stored schema, row order). Equal content is left as it is.

    Returns whether anything changed.
    """
    before = read_manifest(layout, day)
    if rows.is_empty():
        return before is not None and _remove_day(layout, day)
    digest = content_digest(rows)
    if before is not None and before.content_digest == digest:
        return False
    manifest, files = _pack_day(day, rows, digest)
    folder = day_folder(layout, day)
    for name, data in files:
        write_atomic(folder / name, data)
    write_atomic(folder / "manifest.json", msgspec.json.format(msgspec.json.encode(manifest)))
    _remove_older(layout, day, manifest, before)
    return True


def _pack_day(
    day: date, rows: pl.DataFrame, digest: str
) -> tuple[DayManifest, list[tuple[str, bytes]]]:
    parts = [
        (f"part-{number:04d}-{digest[:16]}.parquet", part)
        for number, part in enumerate(_parts(rows))
    ]
    links = find_links(rows)
    links_digest = content_digest(links)
    packed = [(name, part.height, _parquet(part)) for name, part in parts]
    packed_links = (f"links-{links_digest[:16]}.parquet", links.height, _parquet(links))
    manifest = DayManifest(
        event_date=day.isoformat(),
        rows=rows.height,
        events=rows[terms.EVENT_ID].n_unique(),
        first_ts=int(rows[terms.TS].to_physical()[0]),
        last_ts=int(rows[terms.TS].to_physical()[-1]),
        content_digest=digest,
        links_digest=links_digest,
        files=tuple(_table_file(*file) for file in packed),
        links=_table_file(*packed_links) if links.height else None,
    )
    written = packed + ([packed_links] if links.height else [])
    return manifest, [(name, data) for name, _, data in written]


def _parts(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    return rows.iter_slices(ROWS_PER_FILE)


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", row_group_size=ROWS_PER_GROUP)
    return buffer.getvalue()


def _table_file(name: str, rows: int, data: bytes) -> TableFile:
    return TableFile(name, rows, len(data), hashlib.sha256(data).hexdigest())


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
