"""Segment's or RudderStack's archive as JSON lines, one call per line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from feature_store.dialects.names import SEGMENT
from feature_store.loaders.json_rows import event_batches
from feature_store.loaders.options import LoadOptions


def batches(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """Canonical rows, one per item of each call."""
    return event_batches(path, options, SEGMENT)
