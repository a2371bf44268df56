"""The door of the table: what no loader may let through, checked once more for every format."""

from __future__ import annotations

from typing import Final

import polars as pl

from feature_store.loaders.columns import RAW, REJECT_REASON
from feature_store.tables import COLUMNS, SCHEMA, SESSION_GIVEN, STORED_SCHEMA
from recommender import terms
from recommender.errors import DataError

MAX_ID_BYTES: Final = 256
# 1990-01-01 to 2100-01-01, microseconds: outside, a clock is broken or a unit was mistaken for
# another.
FIRST_MICROS: Final = 631_152_000_000_000
LAST_MICROS: Final = 4_102_444_800_000_000

_IDS = (terms.EVENT_ID, terms.VISITOR_ID, terms.USER_ID, terms.SESSION_ID, terms.ITEM_ID)
_NUMBERS = (terms.PRICE, terms.QUANTITY, terms.VALUE)


def screen(batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Divide a loader's batch.

    Returns
    -------
    good
        Rows that may enter, stored schema.
    bad
        ``reject_reason, raw`` of the others; `raw` is the row as JSON where the loader gave none.

    Raises `DataError` when a column is missing or of another type: a fault of the loader, not of
    a row.
    """
    for name, dtype in {**SCHEMA, REJECT_REASON: pl.String(), RAW: pl.String()}.items():
        if batch.schema.get(name) != dtype:
            raise DataError(f"loader column {name}: {batch.schema.get(name)}, expected {dtype}")
    batch = batch.with_columns(pl.coalesce(REJECT_REASON, *_faults()).alias(REJECT_REASON))
    is_good = pl.col(REJECT_REASON).is_null()
    row = pl.struct(COLUMNS).struct.json_encode()
    bad = batch.filter(~is_good).select(REJECT_REASON, pl.coalesce(RAW, row).alias(RAW))
    return _stored(batch.filter(is_good)), bad


def _stored(good: pl.DataFrame) -> pl.DataFrame:
    return (
        good.select(*COLUMNS, pl.col(terms.SESSION_ID).is_not_null().alias(SESSION_GIVEN))
        .with_columns(
            # -0.0 and 0.0 are one value, so they must be one payload.
            *(pl.col(name) + 0.0 for name in _NUMBERS)
        )
        .select(STORED_SCHEMA.names())
    )


def _faults() -> list[pl.Expr]:
    """One expression per reason: its code where the row has that fault, else null."""
    micros = pl.col(terms.TS).to_physical()
    sizes = [pl.col(name).str.len_bytes() for name in _IDS]
    codes = {
        "missing_event_id": pl.col(terms.EVENT_ID).fill_null("") == "",
        "missing_ts": micros.is_null() | pl.col(terms.AVAILABLE_AT).is_null(),
        "ts_out_of_range": ~micros.is_between(FIRST_MICROS, LAST_MICROS, closed="left"),
        "missing_visitor_id": pl.col(terms.VISITOR_ID).fill_null("") == "",
        "unknown_event_type": ~pl.col(terms.EVENT_TYPE)
        .is_in(terms.EVENT_TYPES)
        .fill_null(value=False),
        "empty_id": pl.any_horizontal(size == 0 for size in sizes),
        "id_too_long": pl.any_horizontal(size > MAX_ID_BYTES for size in sizes),
        "invalid_item_position": ~(pl.col(terms.ITEM_POSITION) >= 0).fill_null(value=False),
        "invalid_number": pl.any_horizontal(~pl.col(name).is_finite() for name in _NUMBERS),
    }
    return [pl.when(fault).then(pl.lit(code)) for code, fault in codes.items()]
