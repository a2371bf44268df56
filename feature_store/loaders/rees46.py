"""REES46 multi-category store: monthly CSV files with nine columns.

Data set: https://www.kaggle.com/datasets/mkechinov/ecommerce-behavior-data-from-multi-category-store
by the REES46 Marketing Platform. The currency is not stated. A session is the shop's own
(`user_session`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.event_values import MAX_AMOUNT
from feature_store.loaders.columns import canonical, source, with_faults
from feature_store.loaders.csv_rows import csv_frames, require_columns
from feature_store.loaders.occurrence import OccurrenceCounter, row_text
from feature_store.loaders.options import LoadOptions
from recommender import terms

COLUMNS: Final = (
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
)
EVENTS: Final = {
    "view": terms.VIEW_ITEM,
    "cart": terms.ADD_TO_CART,
    "remove_from_cart": terms.REMOVE_FROM_CART,
    "purchase": terms.PURCHASE,
}


def batches(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """Canonical rows, one per line of the file."""
    counter = OccurrenceCounter()
    for frame in csv_frames(path, options):
        require_columns(frame, COLUMNS, path)
        yield canonical(_translated(frame, counter))


def _translated(frame: pl.DataFrame, counter: OccurrenceCounter) -> pl.DataFrame:
    ts = source("event_time").str.to_datetime(
        "%Y-%m-%d %H:%M:%S UTC", time_unit="us", time_zone="UTC", strict=False
    )
    price = source("price").cast(pl.Float64, strict=False)
    is_price = price.is_between(0.0, MAX_AMOUNT) | (source("price").fill_null("") == "")
    checked = with_faults(
        frame,
        {
            "bad_ts": ts.is_null(),
            "unknown_event": ~source("event_type").is_in(list(EVENTS)).fill_null(value=False),
            "missing_visitor": source("user_id").fill_null("") == "",
            "missing_items": source("product_id").fill_null("") == "",
            "bad_number": ~is_price.fill_null(value=False),
        },
    )
    ids = counter.row_ids(
        checked.select(row_text("rees46", [source(name) for name in COLUMNS])).to_series()
    )
    return checked.with_columns(
        ids.alias(terms.EVENT_ID),
        pl.lit(0).alias(terms.ITEM_POSITION),
        source("event_type").replace_strict(EVENTS, default=None).alias(terms.EVENT_TYPE),
        ts.alias(terms.TS),
        source("user_id").alias(terms.VISITOR_ID),
        source("user_session").replace("", None).alias(terms.SESSION_ID),
        source("product_id").alias(terms.ITEM_ID),
        price.alias(terms.PRICE),
        _category().alias(terms.CATEGORY),
        source("brand").replace("", None).alias(terms.BRAND),
    )


def _category() -> pl.Expr:
    """``a.b.c`` as the path ``a/b/c``; the category's number where it has no name."""
    path = source("category_code").replace("", None).str.replace_all(".", "/", literal=True)
    return pl.coalesce(path, source("category_id").replace("", None))
