"""RetailRocket ``events.csv``: views, cart additions and transactions in epoch milliseconds.

Data set: https://www.kaggle.com/datasets/retailrocket/ecommerce-dataset. The properties of items
and the category tree come in files of their own and are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.event_values import MAX_TS, MIN_TS
from feature_store.loaders.columns import TIME, canonical, source, with_faults
from feature_store.loaders.csv_rows import csv_frames, require_columns
from feature_store.loaders.occurrence import OccurrenceCounter, row_text
from feature_store.loaders.options import LoadOptions
from recommender import terms

COLUMNS: Final = ("timestamp", "visitorid", "event", "itemid", "transactionid")
EVENTS: Final = {
    "view": terms.VIEW_ITEM,
    "addtocart": terms.ADD_TO_CART,
    "transaction": terms.PURCHASE,
}


def batches(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """Canonical rows, one per line of the file."""
    counter = OccurrenceCounter()
    for frame in csv_frames(path, options):
        require_columns(frame, COLUMNS, path)
        yield canonical(_translated(frame, counter))


def _translated(frame: pl.DataFrame, counter: OccurrenceCounter) -> pl.DataFrame:
    milliseconds = source("timestamp").cast(pl.Int64, strict=False)
    in_range = milliseconds.is_between(MIN_TS // 1000, MAX_TS // 1000, closed="left")
    checked = with_faults(
        frame,
        {
            "bad_ts": ~in_range.fill_null(value=False),
            "unknown_event": ~source("event").is_in(list(EVENTS)).fill_null(value=False),
            "missing_visitor": source("visitorid").fill_null("") == "",
            "missing_items": source("itemid").fill_null("") == "",
        },
    )
    ids = counter.row_ids(
        checked.select(row_text("retailrocket", [source(name) for name in COLUMNS])).to_series()
    )
    safe = pl.when(in_range).then(milliseconds * 1000)
    return checked.with_columns(
        ids.alias(terms.EVENT_ID),
        pl.lit(0).alias(terms.ITEM_POSITION),
        source("event").replace_strict(EVENTS, default=None).alias(terms.EVENT_TYPE),
        safe.cast(TIME).alias(terms.TS),
        source("visitorid").alias(terms.VISITOR_ID),
        source("itemid").alias(terms.ITEM_ID),
        source("transactionid").replace("", None).alias(terms.TRANSACTION_ID),
    )
