"""The assignments of an experiment as one file for a warehouse."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.experiment_export import AssignmentRow, export_page
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError

PARQUET: Final = ".parquet"
LINES: Final = (".ndjson", ".jsonl")


def write_assignments(layout: StoreLayout, key: str, path: Path) -> int:
    """Write a file of the kind that its name says; returns the number of rows.

    In Parquet ``timestamp`` is microseconds in UTC, else ISO 8601.

    Raises
    ------
    InvalidInputError
        The name says neither Parquet nor JSON lines.
    """
    if path.suffix not in (PARQUET, *LINES):
        raise InvalidInputError(f"{path}; accepted: names that end in {PARQUET} or {LINES[0]}")
    columns = AssignmentRow.__struct_fields__
    rows = [tuple(getattr(row, name) for name in columns) for row in _rows(layout, key)]
    frame = pl.DataFrame(rows, dict.fromkeys(columns, pl.String), orient="row")
    if path.suffix == PARQUET:
        at = pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.6fZ", time_zone="UTC")
        frame.with_columns(at).write_parquet(path)
    else:
        frame.write_ndjson(path)
    return len(frame)


def _rows(layout: StoreLayout, key: str) -> Iterator[AssignmentRow]:
    cursor = None
    while True:
        page = export_page(layout, key, cursor)
        yield from page.rows
        if page.is_end:
            return
        cursor = page.cursor
