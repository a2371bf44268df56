"""UCI Online Retail and Online Retail II: invoices of a UK gift shop; CSV, xlsx or Parquet.

Data sets: https://archive.ics.uci.edu/dataset/352/online+retail and
https://archive.ics.uci.edu/dataset/502/online+retail+ii. An invoice is one purchase event, or one
refund where its number begins with C; its rows are the items. Prices are pounds sterling.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.event_values import MAX_AMOUNT, MAX_QUANTITY
from feature_store.loaders.columns import (
    REJECT_REASON,
    TIME,
    canonical,
    is_good,
    source,
    with_faults,
)
from feature_store.loaders.csv_rows import csv_frames, require_columns
from feature_store.loaders.occurrence import OccurrenceCounter
from feature_store.loaders.options import LoadOptions
from feature_store.loaders.parquet_rows import parquet_frames
from feature_store.loaders.xlsx_rows import xlsx_frames
from recommender import terms

# The two editions spell three columns differently.
SPELLINGS: Final = {
    "InvoiceNo": ("InvoiceNo", "Invoice"),
    "StockCode": ("StockCode",),
    "Description": ("Description",),
    "Quantity": ("Quantity",),
    "InvoiceDate": ("InvoiceDate",),
    "UnitPrice": ("UnitPrice", "Price"),
    "CustomerID": ("CustomerID", "Customer ID"),
}
# Goods have five digits (and letters for the variant), or a code of the shop's three other series.
# Everything else is postage, fees, corrections, samples, tests and vouchers.
PRODUCT_CODE: Final = r"^(\d{5}|DCGS|SP\d|PADS)"
ISO: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S")
MONTH_FIRST: Final = (*ISO, "%m/%d/%Y %H:%M")
DAY_FIRST: Final = (*ISO, "%d/%m/%Y %H:%M")
_ROWS_LOOKED_AT: Final = 100_000
CURRENCY: Final = "GBP"
_CANCELLATION: Final = "C"
_WORKBOOKS: Final = frozenset({"xlsx", "xls"})


def batches(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    """Canonical rows, one per row of the file; `raw` keeps the file's own spelling."""
    invoices = Invoices()
    formats = date_formats(path)
    for frame in _frames(path, options):
        spelled = _spellings(frame, path)
        moment = _moment(spelled["InvoiceDate"].cast(pl.String), formats, options.time_zone)
        typed = frame.with_columns(**_typed(spelled), _ts=moment)
        yield canonical(_columns(invoices.number(_checked(typed))))


def date_formats(path: Path) -> tuple[str, ...]:
    """How the file writes dates, told by its first rows; month first, as published, if in doubt.

    One rule for the whole file: row by row, half of the days would be taken for months.
    """
    if _kind(path) in _WORKBOOKS:  # cells hold dates, not texts
        return MONTH_FIRST
    frame = next(_frames(path, LoadOptions(batch_rows=_ROWS_LOOKED_AT)), None)
    if frame is None:
        return MONTH_FIRST
    text = _spellings(frame, path)["InvoiceDate"].cast(pl.String)
    parts = (text.str.extract(r"^(\d{1,2})/(\d{1,2})/", group).cast(pl.Int8) for group in (1, 2))
    first, second = frame.select(
        (part > 12).sum().alias(f"{i}") for i, part in enumerate(parts)
    ).row(0)
    return DAY_FIRST if first > second else MONTH_FIRST


class Invoices:
    """Invoices seen so far: the time of each one's first good row, and its number of good rows.

    A batch may end within an invoice, and rows of one invoice may differ by minutes; the event has
    one moment.
    """

    def __init__(self) -> None:
        self._counter = OccurrenceCounter()
        self._first = pl.DataFrame(schema={"_invoice": pl.String(), "_first": TIME})

    def number(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Add `_first`, `_position` to the good rows; the others keep null."""
        good = frame.filter(is_good())
        firsts = good.group_by("_invoice", maintain_order=True).agg(
            pl.col("_ts").first().alias("_first")
        )
        new = firsts.join(self._first, on="_invoice", how="anti", maintain_order="left")
        self._first = pl.concat([self._first, new])
        positions = good.select("_index", self._counter.positions(good["_invoice"]).alias("_pos"))
        return frame.join(self._first, on="_invoice", how="left", maintain_order="left").join(
            positions, on="_index", how="left", maintain_order="left"
        )


def _kind(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[2].lower()


def _frames(path: Path, options: LoadOptions) -> Iterator[pl.DataFrame]:
    if _kind(path) == "parquet":
        return parquet_frames(path, options)
    if _kind(path) in _WORKBOOKS:
        return xlsx_frames(path, options, key=SPELLINGS["InvoiceNo"])
    # The CSV that circulates has pound signs in the Windows code page.
    return csv_frames(path, options, encoding="cp1252")


def _spellings(frame: pl.DataFrame, path: Path) -> dict[str, pl.Expr]:
    fields = {field.name for field in frame.schema["row"].fields}  # type: ignore[attr-defined]
    found = {
        name: next((option for option in options if option in fields), options[0])
        for name, options in SPELLINGS.items()
    }
    require_columns(frame, tuple(found.values()), path)
    return {name: source(spelled) for name, spelled in found.items()}


def _typed(spelled: dict[str, pl.Expr]) -> dict[str, pl.Expr]:
    text = {name: column.cast(pl.String) for name, column in spelled.items()}
    description = text["Description"]
    return {
        "_index": pl.int_range(pl.len()),
        "_invoice": _code(text["InvoiceNo"]),
        "_code": _code(text["StockCode"]),
        "_title": pl.when(~description.is_in(["", "nan"])).then(description),
        "_quantity": spelled["Quantity"].cast(pl.Float64, strict=False),
        "_price": spelled["UnitPrice"].cast(pl.Float64, strict=False),
        "_customer": _code(text["CustomerID"]),
    }


def _code(text: pl.Expr) -> pl.Expr:
    """A code; spreadsheets and frames turn whole numbers into ``13085.0``, which is no code."""
    return text.str.replace(r"^(\d+)\.0$", "$1").replace(["", "nan"], None)


def _moment(text: pl.Expr, formats: tuple[str, ...], time_zone: str) -> pl.Expr:
    shortened = text.str.replace(r"\.\d+$", "")  # a frame's time has six more digits
    parsed = [shortened.str.to_datetime(form, time_unit="us", strict=False) for form in formats]
    zoned = pl.coalesce(parsed).dt.replace_time_zone(
        time_zone, ambiguous="earliest", non_existent="null"
    )
    return zoned.dt.convert_time_zone("UTC")


def _checked(typed: pl.DataFrame) -> pl.DataFrame:
    quantity = pl.col("_quantity")
    signed = pl.when(_is_cancelled()).then(-quantity).otherwise(quantity)
    price = pl.col("_price")
    return with_faults(
        typed,
        {
            "missing_invoice": pl.col("_invoice").is_null(),
            "bad_ts": pl.col("_ts").is_null(),
            "missing_customer": pl.col("_customer").is_null(),
            "not_a_product": ~pl.col("_code").str.contains(PRODUCT_CODE).fill_null(value=False),
            "bad_price": ~(price.is_finite() & (price <= MAX_AMOUNT)).fill_null(value=False),
            "price_not_positive": price <= 0,
            "bad_quantity": ~(quantity.is_finite() & (quantity.abs() <= MAX_QUANTITY)).fill_null(
                value=False
            ),
            "quantity_sign": signed <= 0,
        },
    )


def _is_cancelled() -> pl.Expr:
    return pl.col("_invoice").str.starts_with(_CANCELLATION)


def _columns(frame: pl.DataFrame) -> pl.DataFrame:
    kind = pl.when(_is_cancelled()).then(pl.lit(terms.REFUND)).otherwise(pl.lit(terms.PURCHASE))
    return frame.with_columns(
        pl.col("_invoice").alias(terms.EVENT_ID),
        pl.col("_pos").alias(terms.ITEM_POSITION),
        kind.alias(terms.EVENT_TYPE),
        pl.coalesce("_first", "_ts").alias(terms.TS),
        pl.col("_customer").alias(terms.VISITOR_ID),
        pl.col("_code").alias(terms.ITEM_ID),
        pl.col("_price").alias(terms.PRICE),
        pl.col("_quantity").abs().alias(terms.QUANTITY),
        pl.lit(CURRENCY).alias(terms.CURRENCY),
        pl.col("_invoice").alias(terms.TRANSACTION_ID),
        pl.col("_title").alias(terms.TITLE),
        pl.col(REJECT_REASON),
    )
