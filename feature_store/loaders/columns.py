"""The columns that every loader yields, and how the last of them are filled."""

from __future__ import annotations

from typing import Final

import polars as pl

from recommender import terms

REJECT_REASON: Final = "reject_reason"
RAW: Final = "raw"
TIME: Final = pl.Datetime("us", "UTC")

SCHEMA: Final[dict[str, pl.DataType]] = {
    terms.EVENT_ID: pl.String(),
    terms.ITEM_POSITION: pl.Int32(),
    terms.EVENT_TYPE: pl.String(),
    terms.TS: TIME,
    terms.AVAILABLE_AT: TIME,
    terms.VISITOR_ID: pl.String(),
    terms.USER_ID: pl.String(),
    terms.SESSION_ID: pl.String(),
    terms.ITEM_ID: pl.String(),
    terms.PRICE: pl.Float64(),
    terms.QUANTITY: pl.Float64(),
    terms.VALUE: pl.Float64(),
    terms.CURRENCY: pl.String(),
    terms.TRANSACTION_ID: pl.String(),
    terms.CATEGORY: pl.String(),
    terms.BRAND: pl.String(),
    terms.TITLE: pl.String(),
    terms.SEARCH_TERM: pl.String(),
    terms.PLACEMENT: pl.String(),
    terms.RECOMMENDATION_ID: pl.String(),
    terms.DEVICE: pl.String(),
    REJECT_REASON: pl.String(),
    RAW: pl.String(),
}


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """Order, cast and complete the columns; missing ones become null, extra ones are left."""
    present = set(frame.columns)
    return frame.select(
        (pl.col(name) if name in present else pl.lit(None)).cast(dtype).alias(name)
        for name, dtype in SCHEMA.items()
    )
