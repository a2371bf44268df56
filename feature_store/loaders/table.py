"""Flat interactions in the columns of our own table, one row per event and item: CSV or Parquet.

The same rules as for single events, as expressions over columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.dialects.names import NAMES
from feature_store.event_rules import NEEDS_ITEM
from feature_store.event_values import (
    MAX_AMOUNT,
    MAX_ID_BYTES,
    MAX_QUANTITY,
    MAX_TEXT_BYTES,
    MAX_TS,
    MIN_TS,
)
from feature_store.loaders.columns import (
    RAW,
    REJECT_REASON,
    ROW,
    SCHEMA,
    TIME,
    canonical,
    source,
    with_faults,
)
from feature_store.loaders.csv_rows import csv_frames, require_columns
from feature_store.loaders.occurrence import OccurrenceCounter, row_text
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.parquet_rows import parquet_frames
from recommender import terms
from recommender.errors import DataError

REQUIRED: Final = (terms.EVENT_TYPE, terms.TS, terms.VISITOR_ID)
# Worked out again on the way in, so a table read back is a file to ingest.
DERIVED: Final = (terms.SHOPPER_ID, terms.EVENT_DATE, terms.AVAILABLE_AT)
COLUMNS: Final = tuple(
    name for name in SCHEMA if name not in {REJECT_REASON, RAW, terms.AVAILABLE_AT}
)
_IDS: Final = (
    terms.EVENT_ID,
    terms.VISITOR_ID,
    terms.USER_ID,
    terms.SESSION_ID,
    terms.ITEM_ID,
    terms.TRANSACTION_ID,
    terms.PLACEMENT,
    terms.RECOMMENDATION_ID,
)
_TEXTS: Final = (terms.CATEGORY, terms.BRAND, terms.TITLE, terms.SEARCH_TERM, terms.DEVICE)
_NUMBERS: Final = {
    terms.PRICE: (0.0, MAX_AMOUNT),
    terms.QUANTITY: (0.0, MAX_QUANTITY),
    terms.VALUE: (-MAX_AMOUNT, MAX_AMOUNT),
}
_EVENT_TYPES: Final = {
    name: kind for table in reversed(NAMES.values()) for name, kind in table.items()
}
_ADDRESS: Final = r"[^\s@](@|%40)[^\s@]+\.[A-Za-z]{2,}"


def batches(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """Canonical rows, one per row of the file."""
    rows, items = OccurrenceCounter(), OccurrenceCounter()
    for frame in _frames(path, options):
        _check_columns(frame, path)
        typed = frame.with_columns(**_typed(frame, options.time_zone))
        yield canonical(_with_ids(_checked(typed), rows, items))


def _frames(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    is_parquet = path.suffix == ".parquet" or (path.is_dir() and any(path.rglob("*.parquet")))
    return parquet_frames(path, options) if is_parquet else csv_frames(path, options)


def _fields(frame: pl.DataFrame) -> dict[str, pl.DataType]:
    return {field.name: field.dtype for field in frame.schema[ROW].fields}  # type: ignore[attr-defined]


def _check_columns(frame: pl.DataFrame, path: Path) -> None:
    require_columns(frame, REQUIRED, path)
    unknown = [name for name in _fields(frame) if name not in {*COLUMNS, *DERIVED}]
    if unknown:
        raise DataError(
            f"{path}: column {', '.join(unknown)} is not known; accepted: {', '.join(COLUMNS)}"
        )
    for name, dtype in _fields(frame).items():
        if dtype.is_nested() or dtype in {pl.Binary, pl.Object}:
            raise DataError(f"{path}: column {name} is {dtype}; accepted: texts, numbers, times")


def _typed(frame: pl.DataFrame, time_zone: str) -> dict[str, pl.Expr]:
    fields = _fields(frame)
    columns: dict[str, pl.Expr] = {
        name: _text(name) if name in fields else pl.lit(None, pl.String)
        for name in (*_IDS, *_TEXTS, terms.CURRENCY)
    }
    columns[terms.CURRENCY] = columns[terms.CURRENCY].str.to_uppercase()
    for name in _NUMBERS:
        number = source(name).cast(pl.Float64, strict=False) + 0.0
        columns[name] = number if name in fields else pl.lit(None, pl.Float64)
    columns[terms.TS] = _moment(fields[terms.TS], time_zone)
    kinds = source(terms.EVENT_TYPE).cast(pl.String)
    columns[terms.EVENT_TYPE] = kinds.replace_strict(_EVENT_TYPES, default=None)
    has_position = terms.ITEM_POSITION in fields
    position = source(terms.ITEM_POSITION) if has_position else pl.lit(None)
    columns[terms.ITEM_POSITION] = position.cast(pl.Int32, strict=False)
    return columns


def _text(name: str) -> pl.Expr:
    text = source(name).cast(pl.String)
    return pl.when(text != "").then(text)


def _content() -> list[pl.Expr]:
    """What a row says; a column that is not there says what an empty one says."""
    given = {terms.EVENT_ID, terms.ITEM_POSITION}
    columns = {name: pl.col(name) for name in COLUMNS if name not in given}
    return list((columns | {terms.TS: pl.col(terms.TS).to_physical()}).values())


def _moment(dtype: pl.DataType, time_zone: str) -> pl.Expr:
    if isinstance(dtype, pl.Datetime):
        return _zoned(source(terms.TS).cast(pl.Datetime("us", dtype.time_zone)), dtype, time_zone)
    if dtype.is_numeric():
        return _counted(source(terms.TS))
    text = source(terms.TS).cast(pl.String)
    counted = _counted(pl.when(text.str.contains(r"^\d{1,17}(\.\d{1,9})?$")).then(text))
    written = text.str.replace(r" UTC$", "Z")
    zoned = written.str.to_datetime("%+", strict=False, time_unit="us", time_zone="UTC")
    naive = written.str.replace(" ", "T", literal=True).str.to_datetime(
        "%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us"
    )
    local = _zoned(naive, pl.Datetime("us"), time_zone)
    return pl.coalesce(counted, zoned, local)


def _counted(count: pl.Expr) -> pl.Expr:
    """Seconds, milliseconds or microseconds since the epoch, told apart by their magnitude."""
    fraction, whole = count.cast(pl.Float64, strict=False), count.cast(pl.Int64, strict=False)
    scale = pl.when(fraction < 1e11).then(1e6).when(fraction < 1e14).then(1e3)
    scaled = (fraction * scale).round().cast(pl.Int64, strict=False)
    return pl.when(fraction.is_between(0, MAX_TS)).then(pl.coalesce(scaled, whole)).cast(TIME)


def _zoned(moment: pl.Expr, dtype: pl.Datetime, time_zone: str) -> pl.Expr:
    if dtype.time_zone is None:
        moment = moment.dt.replace_time_zone(time_zone, ambiguous="earliest", non_existent="null")
    return moment.dt.convert_time_zone("UTC")


def _checked(typed: pl.DataFrame) -> pl.DataFrame:
    given = set(_fields(typed))
    kind = pl.col(terms.EVENT_TYPE)
    micros = pl.col(terms.TS).to_physical()
    personal = (terms.USER_ID, terms.VISITOR_ID, terms.SESSION_ID, terms.SEARCH_TERM)
    return with_faults(
        typed,
        {
            "personal_data": _any(pl.col(name).str.contains(_ADDRESS) for name in personal),
            "unknown_event": kind.is_null(),
            "bad_ts": ~micros.is_between(MIN_TS, MAX_TS, closed="left").fill_null(value=False),
            "missing_visitor": pl.col(terms.VISITOR_ID).is_null(),
            "bad_id": _any(pl.col(name).str.len_bytes() > MAX_ID_BYTES for name in _IDS),
            "bad_text": _any(pl.col(name).str.len_bytes() > MAX_TEXT_BYTES for name in _TEXTS),
            "bad_number": _any(_bad_number(name) for name in _NUMBERS if name in given),
            "bad_currency": ~pl.col(terms.CURRENCY).str.contains(r"^[A-Za-z]{3}$"),
            "missing_items": kind.is_in(sorted(NEEDS_ITEM)) & pl.col(terms.ITEM_ID).is_null(),
            "missing_field": _lacks_field(kind),
        },
    )


def _lacks_field(kind: pl.Expr) -> pl.Expr:
    no_item, no_transaction, no_term, no_user = (
        pl.col(name).is_null()
        for name in (terms.ITEM_ID, terms.TRANSACTION_ID, terms.SEARCH_TERM, terms.USER_ID)
    )
    return (
        ((kind == terms.REFUND) & no_item & no_transaction)
        | ((kind == terms.SEARCH) & no_item & no_term)
        | ((kind == terms.IDENTIFY) & no_user)
    )


def _any(faults: Iterable[pl.Expr]) -> pl.Expr:
    return pl.any_horizontal(pl.lit(value=False), *faults)  # there may be none to look for


def _bad_number(name: str) -> pl.Expr:
    low, high = _NUMBERS[name]
    number, text = pl.col(name), source(name).cast(pl.String)
    is_fine = number.is_between(low, high, closed="right" if name == terms.QUANTITY else "both")
    return ~is_fine.fill_null(value=False) & (text.fill_null("") != "")


def _with_ids(
    frame: pl.DataFrame, rows: OccurrenceCounter, items: OccurrenceCounter
) -> pl.DataFrame:
    """Give rows without an event id one of their own, and items without a position the next."""
    row_ids = rows.row_ids(frame.select(row_text("desirepath", _content())).to_series())
    named = frame.with_columns(pl.coalesce(terms.EVENT_ID, row_ids).alias(terms.EVENT_ID))
    positions = items.positions(named[terms.EVENT_ID])
    return named.with_columns(
        pl.coalesce(terms.ITEM_POSITION, positions).alias(terms.ITEM_POSITION)
    )
