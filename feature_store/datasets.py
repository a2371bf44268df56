"""Public data sets that can be ingested as they come, and telling which one a file is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from feature_store.loaders.files import open_bytes
from feature_store.loaders.registry import FORMATS
from feature_store.tables import file_sha256
from recommender.errors import DataError

_HEAD_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Dataset:
    """One published data set.

    Parameters
    ----------
    name
        What people call it.
    about
        What is in it.
    format_name
        What ``--format`` takes.
    licence
        Its publisher's terms, in short.
    origin
        Where it is published.
    columns
        Columns that tell it; several spellings of one column are joined by ``|``.
    """

    name: str
    about: str
    format_name: str
    licence: str
    origin: str
    columns: tuple[str, ...]

    @property
    def sha256(self) -> str | None:
        """Digest of the published file, where its publisher gives one file."""
        return FORMATS[self.format_name].published_sha256


DATASETS: Final = (
    Dataset(
        "RetailRocket events",
        "4.5 months of a shop: 2,756,101 views, carts and purchases of 1,407,580 visitors",
        "retailrocket",
        "CC BY-NC-SA 4.0",
        "kaggle.com/datasets/retailrocket/ecommerce-dataset",
        ("timestamp", "visitorid", "event", "itemid", "transactionid"),
    ),
    Dataset(
        "REES46 multi-category store",
        "views, carts and purchases with sessions, categories, brands and prices, a file per month",
        "rees46",
        "free to use with a mention of REES46",
        "kaggle.com/datasets/mkechinov/ecommerce-behavior-data-from-multi-category-store",
        (
            "event_time",
            "event_type",
            "product_id",
            "category_id",
            "category_code",
            "brand",
            "price",
            "user_id",
            "user_session",
        ),
    ),
    Dataset(
        "UCI Online Retail, Online Retail II",
        "invoices of a UK gift shop, 2009-12 to 2011-12: purchases and cancellations, no views",
        "online-retail",
        "CC BY 4.0",
        "archive.ics.uci.edu/dataset/352 and /502",
        (
            "InvoiceNo|Invoice",
            "StockCode",
            "Description",
            "Quantity",
            "InvoiceDate",
            "UnitPrice|Price",
            "CustomerID|Customer ID",
        ),
    ),
)

# Formats that are no published data set, told by columns (tables) or fields (JSON lines).
_OWN: Final[Mapping[str, tuple[str, ...]]] = {
    "desirepath-csv": ("event_type", "ts", "visitor_id"),
    "desirepath-parquet": ("event_type", "ts", "visitor_id"),
    "ga4-jsonl": ("event_name", "event_timestamp", "user_pseudo_id"),
    "segment-jsonl": ("messageId", "type"),
}


class Recognition(msgspec.Struct, frozen=True):
    """What a file looks like.

    Parameters
    ----------
    format_name
        What to give as ``--format``; None when nothing fits.
    dataset
        The published data set with these columns.
    columns
        Columns or fields found.
    sha256
        Of the file; None for a folder.
    is_published
        Whether these are the bytes that were published; None where no digest is published.
    """

    path: str
    format_name: str | None
    dataset: str | None
    columns: tuple[str, ...]
    sha256: str | None
    is_published: bool | None


def recognise(path: Path) -> Recognition:
    """Look at a file's columns and bytes. Raises `DataError` when it is missing or unreadable."""
    if path.is_dir():
        return _recognise_folder(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file or folder")
    columns = _columns(path)
    dataset = next((found for found in DATASETS if _has(columns, found.columns)), None)
    digest = file_sha256(path)
    published = dataset.sha256 if dataset else None
    return Recognition(
        path=str(path),
        format_name=dataset.format_name if dataset else _own_format(path, columns),
        dataset=dataset.name if dataset else None,
        columns=columns,
        sha256=digest,
        is_published=digest == published if published else None,
    )


def _recognise_folder(path: Path) -> Recognition:
    """A folder is a log if it has segments, else what its first file is."""
    from feature_store.event_log.segment import list_segments

    if list_segments(path):
        return Recognition(str(path), "desirepath-log", None, (), None, None)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    if not files:
        raise DataError(f"{path}: an empty folder")
    first = recognise(files[0])
    return msgspec.structs.replace(first, path=str(path), sha256=None, is_published=None)


def _has(columns: tuple[str, ...], wanted: tuple[str, ...]) -> bool:
    return all(set(names.split("|")) & set(columns) for names in wanted)


def _own_format(path: Path, columns: tuple[str, ...]) -> str | None:
    kind = _kind(path)
    for name, wanted in _OWN.items():
        if name.endswith(kind) and _has(columns, wanted):
            return name
    return "desirepath-jsonl" if kind == "jsonl" and columns else None


def _kind(path: Path) -> str:
    name = path.name.removesuffix(".gz")
    suffix = name.rpartition(".")[2].lower()
    return {"ndjson": "jsonl", "json": "jsonl"}.get(suffix, suffix)


def _columns(path: Path) -> tuple[str, ...]:
    """Columns of a table, or fields of the first line of JSON."""
    kind = _kind(path)
    if kind in ("parquet", "xlsx"):
        return _table_columns(path, kind)
    with open_bytes(path) as stream:
        line = stream.readline(_HEAD_BYTES)
    if kind == "jsonl":
        return _fields(line, path)
    header = line.decode("utf-8-sig", "replace").strip()
    return tuple(name.strip().strip('"') for name in header.split(","))


def _fields(line: bytes, path: Path) -> tuple[str, ...]:
    try:
        return tuple(msgspec.json.decode(line, type=dict[str, msgspec.Raw]))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: its first line is no JSON object: {error}") from error


def _table_columns(path: Path, kind: str) -> tuple[str, ...]:
    import polars as pl

    try:
        if kind == "parquet":
            return tuple(pl.read_parquet_schema(path))
        return tuple(pl.read_excel(path, read_options={"n_rows": 0}).columns)
    except Exception as error:
        raise DataError(f"{path}: not readable as {kind}: {error}") from error
