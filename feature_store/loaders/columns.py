"""The columns that every loader yields, and the rows on their way there.

A loader works on *source frames*: the row as it stands in the file as one struct (`ROW`), beside it
`REJECT_REASON` and, where a line could not even be split into fields, `LINE`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import polars as pl

from recommender import terms

REJECT_REASON: Final = "reject_reason"
RAW: Final = "raw"
ROW: Final = "row"
LINE: Final = "line"
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


def source(name: str) -> pl.Expr:
    """One field of the row as it stands in the file."""
    return pl.col(ROW).struct.field(name)


def source_frame(rows: pl.DataFrame) -> pl.DataFrame:
    """Source frame of rows that could be read."""
    return rows.select(
        pl.struct(pl.all()).alias(ROW),
        pl.lit(None, pl.String).alias(REJECT_REASON),
        pl.lit(None, pl.String).alias(LINE),
    )


def with_faults(frame: pl.DataFrame, faults: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Give each row the first reason that applies, in the order given; earlier ones stay.

    A condition that is null does not apply.
    """
    reasons = (pl.when(fault).then(pl.lit(code)) for code, fault in faults.items())
    return frame.with_columns(pl.coalesce(REJECT_REASON, *reasons).alias(REJECT_REASON))


def is_good() -> pl.Expr:
    """True where no reason to reject was found."""
    return pl.col(REJECT_REASON).is_null()


def canonical(frame: pl.DataFrame) -> pl.DataFrame:
    """Finish a source frame: order, cast and complete the columns, fill `RAW` for rejected rows."""
    is_personal = pl.col(REJECT_REASON) == "personal_data"
    # Quarantine is storage, too: what must not be stored is not shown.
    withheld = pl.when(is_personal).then(pl.lit('{"withheld":"personal data"}'))
    row = pl.coalesce(withheld, LINE, pl.col(ROW).struct.json_encode())
    present = set(frame.columns)
    filled = frame.with_columns(
        pl.when(~is_good()).then(row).alias(RAW),
        pl.col(terms.TS).alias(terms.AVAILABLE_AT),
    )
    return filled.select(
        (pl.col(name) if name in {*present, RAW, terms.AVAILABLE_AT} else pl.lit(None))
        .cast(dtype)
        .alias(name)
        for name, dtype in SCHEMA.items()
    )
