"""GA4's BigQuery export as JSON lines, one event per line.

Events that are not about goods (``page_view``, ``session_start``, …) are rejected as
``unknown_event``, so that the counts add up.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl

from feature_store.dialects.names import GA4
from feature_store.loaders.json_rows import event_batches
from feature_store.loaders.options import LoadOptions


def batches(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """Canonical rows, one per item of each event."""
    return event_batches(path, options, GA4)
