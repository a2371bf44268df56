"""The shop's own catalogue file: CSV, JSON lines or Parquet, checked row by row."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from feature_store.atomic_file import write_atomic
from feature_store.catalogue import AVAILABLE, FACTS, OVERRIDE_SCHEMA, override_path, read_catalogue
from feature_store.layout import StoreLayout
from feature_store.loaders.columns import RAW, REJECT_REASON
from feature_store.reject_file import RejectFile
from feature_store.screen import MAX_ID_BYTES
from feature_store.store_lock import store_lock
from feature_store.tables import file_sha256
from recommender import terms
from recommender.errors import DataError, RefusedError

HIDDEN: Final = "hidden"
COLUMNS: Final = (terms.ITEM_ID, *FACTS, AVAILABLE, HIDDEN)
TRUE: Final = ("true", "1", "yes", "y", "t")
FALSE: Final = ("false", "0", "no", "n", "f")


class CatalogueReport(msgspec.Struct, frozen=True):
    """What an installation did; always ``rows_in = kept + sum(rejected)``.

    Parameters
    ----------
    kept
        Items that the file now decides about.
    unavailable
        Of these, items that must not be shown.
    unseen
        Of these, items that no event names.
    rejected
        Rows refused, by reason; ``repeated_item`` is an earlier row of an item given twice.
    ignored_columns
        Columns of the file that mean nothing here.
    """

    source: str
    rows_in: int
    kept: int
    unavailable: int
    unseen: int
    rejected: dict[str, int]
    ignored_columns: tuple[str, ...]
    quarantine: str | None


def install_catalogue(path: Path, layout: StoreLayout) -> CatalogueReport:
    """Replace the shop's catalogue by a file with `item_id` and any others of `COLUMNS`.

    Raises `DataError` when the file cannot be read as its suffix says or has no `item_id`,
    `RefusedError` when no row of it can be used: the catalogue before stays in both cases.
    """
    rows = _read(path)
    ignored = tuple(name for name in rows.columns if name not in COLUMNS)
    judged = _judge(rows)
    is_good = pl.col(REJECT_REASON).is_null()
    kept = judged.filter(is_good).select(OVERRIDE_SCHEMA.names()).sort(terms.ITEM_ID)
    with (
        store_lock(layout),
        RejectFile(layout.quarantine, path.name, "catalogue") as rejects,
    ):
        rejects.add(judged.filter(~is_good).select(REJECT_REASON, RAW))
        quarantine = rejects.commit(f"catalogue-{file_sha256(path)[:16]}.jsonl")
        if kept.is_empty():
            raise RefusedError(
                f"{path}: none of its {rows.height} rows names an item that can be used "
                f"{dict(rejects.counts)}; the catalogue before stays"
            )
        _write(layout, kept)
        seen = read_catalogue(layout).filter(pl.col("first_seen").is_not_null())
        return CatalogueReport(
            source=path.name,
            rows_in=rows.height,
            kept=kept.height,
            unavailable=kept.filter(~pl.col(AVAILABLE)).height,
            unseen=kept.join(seen, on=terms.ITEM_ID, how="anti").height,
            rejected=dict(sorted(rejects.counts.items())),
            ignored_columns=ignored,
            quarantine=str(quarantine) if quarantine else None,
        )


def _read(path: Path) -> pl.DataFrame:
    """All columns as text, whatever the format."""
    try:
        rows = _READERS[path.suffix.lower()](path)
    except KeyError:
        raise DataError(f"{path}: a catalogue is one of {', '.join(_READERS)}") from None
    except (OSError, pl.exceptions.PolarsError) as error:
        raise DataError(f"{path}: not readable as {path.suffix}: {error}") from error
    if terms.ITEM_ID not in rows.columns:
        raise DataError(f"{path}: no column item_id; found {', '.join(rows.columns)}")
    return rows.with_columns(pl.all().cast(pl.String))


def _read_csv(path: Path) -> pl.DataFrame:
    return pl.read_csv(path, infer_schema=False)


def _read_ndjson(path: Path) -> pl.DataFrame:
    return pl.read_ndjson(path, infer_schema_length=None)


def _read_parquet(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path)


_READERS: Final[dict[str, Callable[[Path], pl.DataFrame]]] = {
    ".csv": _read_csv,
    ".jsonl": _read_ndjson,
    ".ndjson": _read_ndjson,
    ".parquet": _read_parquet,
}


def _judge(rows: pl.DataFrame) -> pl.DataFrame:
    """Values in their types, the reason to refuse a row or null, and the row as JSON."""
    raw = rows.select(pl.struct(pl.all()).struct.json_encode().alias(RAW))
    absent = [pl.lit(None, pl.String).alias(name) for name in COLUMNS if name not in rows.columns]
    rows = rows.with_columns(absent).with_columns(
        pl.when(pl.col(name).str.strip_chars() != "").then(pl.col(name)) for name in COLUMNS
    )
    price = pl.col(terms.PRICE).cast(pl.Float64, strict=False)
    shown, hidden = _flag(AVAILABLE), _flag(HIDDEN)
    size = pl.col(terms.ITEM_ID).str.len_bytes()
    faults = {
        "missing_item_id": size.is_null(),
        "id_too_long": size > MAX_ID_BYTES,
        "invalid_price": pl.col(terms.PRICE).is_not_null() & ~_is_price(price),
        "invalid_available": pl.col(AVAILABLE).is_not_null() & shown.is_null(),
        "invalid_hidden": pl.col(HIDDEN).is_not_null() & hidden.is_null(),
    }
    reason = pl.coalesce(pl.when(bad).then(pl.lit(code)) for code, bad in faults.items())
    judged = rows.select(
        *(terms.ITEM_ID, terms.TITLE, terms.CATEGORY, terms.BRAND),
        price.alias(terms.PRICE),
        (shown.fill_null(value=True) & ~hidden.fill_null(value=False)).alias(AVAILABLE),
        reason.alias(REJECT_REASON),
        raw.to_series(),
    )
    return _keep_last(judged)


def _is_price(price: pl.Expr) -> pl.Expr:
    return (price.is_finite() & (price >= 0)).fill_null(value=False)


def _flag(name: str) -> pl.Expr:
    """A yes or no as it is written in files; null for anything else."""
    text = pl.col(name).str.strip_chars().str.to_lowercase()
    return pl.when(text.is_in((*TRUE, *FALSE))).then(text.is_in(TRUE))


def _keep_last(judged: pl.DataFrame) -> pl.DataFrame:
    """Of good rows with one item id, the last holds."""
    is_good = pl.col(REJECT_REASON).is_null()
    is_last = pl.struct(terms.ITEM_ID, is_good).is_last_distinct()
    repeated = pl.when(is_good & ~is_last).then(pl.lit("repeated_item"))
    return judged.with_columns(pl.coalesce(REJECT_REASON, repeated).alias(REJECT_REASON))


def _write(layout: StoreLayout, rows: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    rows.write_parquet(buffer, compression="zstd")
    write_atomic(override_path(layout), buffer.getvalue())
