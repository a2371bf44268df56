"""The service's own log as interactions: a folder of segments; the decisions in it are passed over.

`available_at` is the time of arrival that the service noted, so a late event is never available
before it came.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.event_log import LogReader
from feature_store.loaders.columns import SCHEMA
from feature_store.loaders.json_rows import Row, event_rows
from feature_store.loaders.options import LoadOptions
from feature_store.records import EventRecord
from recommender import terms

_ARRIVAL: Final = list(SCHEMA).index(terms.AVAILABLE_AT)


def batches(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """All events of a log folder."""
    return record_batches(LogReader(path), options)


def record_batches(reader: LogReader, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """The events that a reader gives, as frames of `SCHEMA` of at most `batch_rows` rows."""
    rows: list[Row] = []
    for entry in reader:
        if isinstance(entry.record, EventRecord):
            rows += _rows(entry.record)
        if len(rows) >= options.batch_rows:
            yield from _frame(rows).iter_slices(options.batch_rows)
            rows = []
    if rows:
        yield from _frame(rows).iter_slices(options.batch_rows)


def _frame(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


def _rows(record: EventRecord) -> list[Row]:
    rows = event_rows(record.event)
    return [(*row[:_ARRIVAL], record.received_at, *row[_ARRIVAL + 1 :]) for row in rows]
