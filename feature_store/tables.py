"""The interactions table: one row per (event, item), Parquet by day, one manifest per day.

Stage of the flow: log and files → **tables** → features. A file that no manifest names does not
exist for a reader, so half-written files are never read. `feature_store.day_table` writes what
this module reads.

::

    <root>/tables/interactions/
        table.json                          schema version, session gap
        event_date=2026-11-21/manifest.json files, rows, sha256, content digest
        event_date=2026-11-21/part-0000-<digest>.parquet
        event_date=2026-11-21/links-<digest>.parquet      visitor → user links of that day
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import polars as pl

from feature_store.erased_rows import links_left, without_erased
from feature_store.erasures import Erasures
from feature_store.identities import find_links, with_shopper_id
from feature_store.layout import StoreLayout
from recommender import terms
from recommender.errors import DataError

TABLE_VERSION: Final = 1
TIMESTAMP: Final = pl.Datetime("us", "UTC")

# The columns that a reader sees, in this order.
SCHEMA: Final = pl.Schema(
    {
        terms.EVENT_ID: pl.String(),
        terms.ITEM_POSITION: pl.Int32(),
        terms.EVENT_TYPE: pl.String(),
        terms.TS: TIMESTAMP,
        terms.AVAILABLE_AT: TIMESTAMP,
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
    }
)
COLUMNS: Final = tuple(SCHEMA.names())
DAY: Final = pl.col(terms.TS).dt.date()
ROW_KEY: Final = (terms.EVENT_ID, terms.ITEM_POSITION)
ROW_ORDER: Final = (terms.TS, terms.EVENT_ID, terms.ITEM_POSITION)

# On disk only: whether the client sent the session id. Needed to find sessions again when late
# events arrive.
SESSION_GIVEN: Final = "session_given"
STORED_SCHEMA: Final = pl.Schema({**SCHEMA, SESSION_GIVEN: pl.Boolean()})

LINK_SCHEMA: Final = pl.Schema(
    {
        terms.VISITOR_ID: pl.String(),
        terms.USER_ID: pl.String(),
        terms.TS: TIMESTAMP,
    }
)


class TableFile(msgspec.Struct, frozen=True):
    """One file of a day: name inside its folder, rows, size in bytes, sha256 (hex)."""

    name: str
    rows: int
    bytes: int
    sha256: str


class DayManifest(msgspec.Struct, frozen=True):
    """What one day holds. Nothing in it depends on when or in which order the rows came.

    Parameters
    ----------
    event_date
        ISO date, UTC.
    rows, events
        Rows and distinct events.
    first_ts, last_ts
        Microseconds since the epoch of the first and last row.
    content_digest
        sha256 over the values of all rows, whatever the Parquet writer made of them.
    links_digest
        The same over the day's visitor → user links.
    """

    event_date: str
    rows: int
    events: int
    first_ts: int
    last_ts: int
    content_digest: str
    links_digest: str
    files: tuple[TableFile, ...]
    links: TableFile | None
    version: int = TABLE_VERSION


class TableInfo(msgspec.Struct, frozen=True):
    """What holds for the whole table.

    Parameters
    ----------
    session_gap_seconds
        Silence that ends a session.
    """

    session_gap_seconds: int
    version: int = TABLE_VERSION


def interactions_folder(layout: StoreLayout) -> Path:
    """Folder of the interactions table."""
    return layout.tables / "interactions"


def day_folder(layout: StoreLayout, day: date) -> Path:
    """Folder of one day."""
    return interactions_folder(layout) / f"{terms.EVENT_DATE}={day.isoformat()}"


def read_table_info(layout: StoreLayout) -> TableInfo | None:
    """Table-wide facts, or None before the first ingest."""
    path = interactions_folder(layout) / "table.json"
    if not path.exists():
        return None
    info = msgspec.json.decode(path.read_bytes(), type=TableInfo)
    if info.version != TABLE_VERSION:
        raise DataError(f"{path}: table version {info.version}, this code reads {TABLE_VERSION}")
    return info


def read_manifest(layout: StoreLayout, day: date) -> DayManifest | None:
    """Manifest of one day, or None when it holds nothing. Raises `DataError` on a broken one."""
    path = day_folder(layout, day) / "manifest.json"
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=DayManifest)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: not a manifest: {error}") from error
    if manifest.version != TABLE_VERSION:
        raise DataError(
            f"{path}: table version {manifest.version}, this code reads {TABLE_VERSION}"
        )
    return manifest


def list_days(
    layout: StoreLayout, start: date | None = None, end: date | None = None
) -> list[date]:
    """Days that have a manifest, ascending; both ends included."""
    folders = interactions_folder(layout).glob(f"{terms.EVENT_DATE}=*/manifest.json")
    days = sorted(date.fromisoformat(path.parent.name.partition("=")[2]) for path in folders)
    return [day for day in days if (start or date.min) <= day <= (end or date.max)]


def read_manifests(
    layout: StoreLayout, start: date | None = None, end: date | None = None
) -> list[DayManifest]:
    """Manifests of the days of a window, ascending; both ends included."""
    found = (read_manifest(layout, day) for day in list_days(layout, start, end))
    return [manifest for manifest in found if manifest is not None]


def part_paths(layout: StoreLayout, manifest: DayManifest) -> list[Path]:
    """Parquet files of one day, in row order."""
    folder = day_folder(layout, date.fromisoformat(manifest.event_date))
    return [folder / file.name for file in manifest.files]


def scan_stored(
    layout: StoreLayout, start: date | None = None, end: date | None = None
) -> pl.LazyFrame:
    """Rows as stored (with `SESSION_GIVEN`), in time order; both ends included."""
    manifests = read_manifests(layout, start, end)
    paths = [path for manifest in manifests for path in part_paths(layout, manifest)]
    if not paths:
        return pl.LazyFrame(schema=STORED_SCHEMA)
    return pl.scan_parquet(paths, schema=STORED_SCHEMA, hive_partitioning=False, glob=False)


def read_links(
    layout: StoreLayout, end: date | None = None, known_before: datetime | None = None
) -> pl.DataFrame:
    """Visitor → user links of all days up to `end` (included), by time.

    With `known_before` only links that had happened and arrived before that moment.
    """
    manifests = [manifest for manifest in read_manifests(layout, end=end) if manifest.links]
    if known_before is not None:
        known = [_known_links(layout, manifest, known_before) for manifest in manifests]
        return pl.concat([pl.DataFrame(schema=LINK_SCHEMA), *known])
    paths = [
        day_folder(layout, date.fromisoformat(manifest.event_date)) / manifest.links.name
        for manifest in manifests
        if manifest.links
    ]
    if not paths:
        return pl.DataFrame(schema=LINK_SCHEMA)
    return pl.read_parquet(paths, schema=LINK_SCHEMA, hive_partitioning=False, glob=False)


def _known_links(
    layout: StoreLayout, manifest: DayManifest, known_before: datetime
) -> pl.DataFrame:
    # The links file does not say when a link arrived, so the day's rows are asked.
    day = date.fromisoformat(manifest.event_date)
    known = scan_stored(layout, day, day).filter(is_known_before(known_before))
    return find_links(known.select(LINK_SCHEMA.names()).collect())


def is_known_before(moment: datetime) -> pl.Expr:
    """Whether a row had happened, and had arrived, before a moment."""
    return (pl.col(terms.TS) < moment) & (pl.col(terms.AVAILABLE_AT) < moment)


def read_interactions(
    layout: StoreLayout,
    start: date | None = None,
    end: date | None = None,
    known_before: datetime | None = None,
) -> pl.LazyFrame:
    """Rows of the days from `start` to `end` (both included), in time order, with `shopper_id`.

    `shopper_id` uses what was known at the end of the window: links of later days are not looked
    at, so that the same window gives the same rows whatever came later. See
    `feature_store.identities`.

    Parameters
    ----------
    known_before
        Only links that had happened and arrived before this moment say who a visitor is. The rows
        are all there, but for those of erased shoppers, whenever they were erased.
    """
    rows = scan_stored(layout, start, end).select(COLUMNS)
    links = read_links(layout, end, known_before)
    if pending := Erasures(layout.erasures).pending:
        every = links if known_before is None else read_links(layout, end)
        rows = without_erased(rows, every, pending)
        found_in = scan_stored(layout, end=end)
        if known_before is not None:
            found_in = found_in.filter(is_known_before(known_before))
        links = links_left(links, every, found_in, pending)
    return with_shopper_id(rows, links)


def data_digest(layout: StoreLayout, start: date | None = None, end: date | None = None) -> str:
    """Digest (sha256, hex) of all that `read_interactions` of the same window depends on.

    It follows from the rows alone: not from their order of arrival, file names or the Parquet
    writer.
    """
    digest = hashlib.sha256(f"desirepath-interactions-{TABLE_VERSION}\n".encode())
    for manifest in read_manifests(layout, end=end):
        day = date.fromisoformat(manifest.event_date)
        inside = manifest.content_digest if day >= (start or date.min) else "-"
        if inside != "-" or manifest.links:
            digest.update(f"{day} {inside} {manifest.links_digest}\n".encode())
    for subject, at in sorted(Erasures(layout.erasures).pending.items()):
        digest.update(f"without {subject} {at}\n".encode())
    return digest.hexdigest()


def verify_files(layout: StoreLayout, manifests: Sequence[DayManifest]) -> list[str]:
    """Names and faults of files that are missing or whose bytes are not those of their manifest."""
    faults = []
    for manifest in manifests:
        folder = day_folder(layout, date.fromisoformat(manifest.event_date))
        for file in (*manifest.files, *([manifest.links] if manifest.links else [])):
            path = folder / file.name
            if not path.exists():
                faults.append(f"{path}: missing")
            elif file_sha256(path) != file.sha256:
                faults.append(f"{path}: bytes differ from the manifest")
    return faults


def file_sha256(path: Path) -> str:
    """sha256 of a file's bytes, hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def next_day(day: date) -> date:
    """The calendar day after."""
    return day + timedelta(days=1)
