"""Batches for the tables without a file format in between: rows as a loader gives them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from feature_store.ingest import IngestOptions, IngestReport, ingest
from feature_store.layout import StoreLayout
from feature_store.loaders.columns import SCHEMA
from feature_store.loaders.options import LoadOptions

START = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def row(event_id: str, ts: int, visitor_id: str = "v", **fields: object) -> dict[str, object]:
    """One row as a loader gives it: a view of item ``i``, unless `fields` say otherwise."""
    given = {
        "event_id": event_id,
        "item_position": 0,
        "event_type": "view_item",
        "ts": ts,
        "available_at": ts,
        "visitor_id": visitor_id,
        "item_id": "i",
        **fields,
    }
    return {**dict.fromkeys(SCHEMA), **given}


def frame(rows: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """Rows in the columns of a loader."""
    return pl.DataFrame(list(rows), schema=SCHEMA)


@dataclass(frozen=True)
class RowFormat:
    """A file format of one Parquet file in exactly the columns of a loader."""

    name: str = "rows"

    def batches(self, path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
        yield from pl.read_parquet(path).iter_slices(options.batch_rows)


def options(**fields: object) -> IngestOptions:
    return IngestOptions(formats={"rows": RowFormat()}, **fields)  # type: ignore[arg-type]


def bring_in(
    layout: StoreLayout, rows: Iterable[Mapping[str, object]] | pl.DataFrame, **fields: object
) -> IngestReport:
    """Ingest rows through a file."""
    rows = rows if isinstance(rows, pl.DataFrame) else frame(rows)
    layout.root.mkdir(parents=True, exist_ok=True)
    path = layout.root / "source.parquet"
    rows.write_parquet(path)
    return ingest(path, "rows", layout, options(**fields))


def table_bytes(layout: StoreLayout) -> dict[str, bytes]:
    """Every file of the tables, by relative path."""
    files = (path for path in layout.tables.rglob("*") if path.is_file())
    return {str(path.relative_to(layout.tables)): path.read_bytes() for path in files}
