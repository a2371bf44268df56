"""The file formats that can be ingested, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from feature_store.loaders.files import check_sha256
from feature_store.loaders.options import LoadOptions
from recommender.errors import ConfigError, InvalidInputError

if TYPE_CHECKING:
    import polars as pl

    Batches = Callable[[Path, LoadOptions], Iterator[pl.DataFrame]]


@dataclass(frozen=True, slots=True)
class Format:
    """One file format.

    Parameters
    ----------
    name
        What ``--format`` takes.
    title
        What it is, for people.
    module
        Module with ``batches(path, options)``; imported when first used: it loads polars.
    expects
        The columns or fields it reads, in one line.
    published_sha256
        Digest of the one published file of this format, for strict loads.
    """

    name: str
    title: str
    module: str
    expects: str
    published_sha256: str | None = None

    def batches(self, path: Path, options: LoadOptions | None = None) -> Iterator[pl.DataFrame]:
        """Read a file (or a folder of such files) in bounded batches.

        Yields
        ------
        pl.DataFrame
            Columns of `feature_store.loaders.columns.SCHEMA`; a `reject_reason` marks a bad row.

        Raises
        ------
        DataError
            When the file is missing, is not of this format, or (strict) is not the published one.
        ConfigError
            For a strict load of a format without a published file.
        """
        chosen = options or LoadOptions()
        if chosen.strict:
            self._check_published(path)
        load: Batches = import_module(self.module).batches
        return load(path, chosen)

    def _check_published(self, path: Path) -> None:
        if self.published_sha256 is None:
            raise ConfigError(
                f"strict: no digest is published for format {self.name}; accepted for: retailrocket"
            )
        check_sha256(path, self.published_sha256)


def _format(
    name: str, title: str, module: str, expects: str, published_sha256: str | None = None
) -> tuple[str, Format]:
    return name, Format(name, title, f"feature_store.loaders.{module}", expects, published_sha256)


FORMATS: Final[dict[str, Format]] = dict(
    (
        _format(
            "desirepath-log",
            "The service's own event log",
            "event_log",
            "a folder of segments",
        ),
        _format(
            "desirepath-csv",
            "CSV in the columns of the interactions table",
            "table",
            "event_type, ts, visitor_id; any other interactions column",
        ),
        _format(
            "desirepath-parquet",
            "Parquet in the columns of the interactions table",
            "table",
            "event_type, ts, visitor_id; any other interactions column",
        ),
        _format(
            "desirepath-jsonl",
            "JSON lines, one event each, in any dialect the service accepts",
            "jsonl",
            "event objects as POST /v1/events takes them",
        ),
        _format(
            "ga4-jsonl",
            "GA4 BigQuery export, JSON lines",
            "ga4",
            "event_name, event_timestamp, user_pseudo_id, event_params, items, ecommerce",
        ),
        _format(
            "segment-jsonl",
            "Segment or RudderStack archive, JSON lines",
            "segment",
            "type, event, messageId, anonymousId or userId, timestamp, properties",
        ),
        _format(
            "retailrocket",
            "RetailRocket events.csv",
            "retailrocket",
            "timestamp, visitorid, event, itemid, transactionid",
            "3745aa83238b1e6d44d8fda209807899f420084398f94ddf745f3cbcfecbf9e7",
        ),
        _format(
            "rees46",
            "REES46 multi-category store CSV",
            "rees46",
            "event_time, event_type, product_id, category_id, category_code, brand, price, "
            "user_id, user_session",
        ),
        _format(
            "online-retail",
            "UCI Online Retail and Online Retail II: CSV, xlsx or Parquet",
            "online_retail",
            "InvoiceNo or Invoice, StockCode, Description, Quantity, InvoiceDate, "
            "UnitPrice or Price, CustomerID or Customer ID",
        ),
    )
)


def find_format(name: str) -> Format:
    """Look up a format. Raises `InvalidInputError` for an unknown name."""
    try:
        return FORMATS[name]
    except KeyError:
        raise InvalidInputError(
            f"format {name!r} is not known; accepted: {', '.join(FORMATS)}"
        ) from None
