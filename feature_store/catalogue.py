"""The catalogue: what the events say about each item, overridden by what the shop says.

From the events, per item: the latest title, category, brand and price that are not null. From an
optional catalogue file of the shop: any of these, and whether the item may be shown. A value of the
file always holds; an empty one leaves what the events say.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Final

import polars as pl

from feature_store.atomic_file import write_atomic
from feature_store.content import content_digest
from feature_store.layout import StoreLayout
from feature_store.tables import (
    TIMESTAMP,
    data_digest,
    is_known_before,
    read_manifests,
    scan_stored,
)
from recommender import terms

AVAILABLE: Final = "available"
FIRST_SEEN: Final = "first_seen"
LAST_SEEN: Final = "last_seen"
FACTS: Final = (terms.TITLE, terms.CATEGORY, terms.BRAND, terms.PRICE)
CATALOGUE_SCHEMA: Final = pl.Schema(
    {
        terms.ITEM_ID: pl.String(),
        terms.TITLE: pl.String(),
        terms.CATEGORY: pl.String(),
        terms.BRAND: pl.String(),
        terms.PRICE: pl.Float64(),
        AVAILABLE: pl.Boolean(),
        FIRST_SEEN: TIMESTAMP,
        LAST_SEEN: TIMESTAMP,
    }
)
OVERRIDE_SCHEMA: Final = pl.Schema(
    {name: CATALOGUE_SCHEMA[name] for name in (terms.ITEM_ID, *FACTS, AVAILABLE)}
)
_DERIVED_SCHEMA: Final = pl.Schema(
    {name: dtype for name, dtype in CATALOGUE_SCHEMA.items() if name != AVAILABLE}
)
# Rows in memory at a time: "latest" needs the order of rows, which only an in-memory pass keeps.
ROWS_PER_PASS: Final = 2_000_000


def read_catalogue(layout: StoreLayout, known_before: datetime | None = None) -> pl.DataFrame:
    """All items, by id. Columns: `CATALOGUE_SCHEMA`; never a null in `item_id` and `available`.

    `first_seen` and `last_seen` are null for items that only the shop's file names.

    Parameters
    ----------
    known_before
        Only events that had happened and arrived before this moment. If the log goes on after it,
        the shop's file gives no price and no stock, because it has them as they are now.
    """
    override = read_override(layout)
    if known_before is None or not _goes_on(layout, known_before):
        return _overridden(_read_derived(layout), override)
    derived = derive_catalogue(layout, known_before)
    if override is not None:
        later = _read_derived(layout).join(derived, on=terms.ITEM_ID, how="anti")
        now = (terms.PRICE, AVAILABLE)
        override = override.join(later, on=terms.ITEM_ID, how="anti").with_columns(
            pl.lit(None, OVERRIDE_SCHEMA[name]).alias(name) for name in now
        )
    return _overridden(derived, override)


def _overridden(derived: pl.DataFrame, override: pl.DataFrame | None) -> pl.DataFrame:
    if override is None:
        return derived.with_columns(pl.lit(value=True).alias(AVAILABLE)).select(
            CATALOGUE_SCHEMA.names()
        )
    joined = derived.join(override, on=terms.ITEM_ID, how="full", coalesce=True, suffix="_shop")
    facts = [pl.coalesce(f"{name}_shop", name).alias(name) for name in FACTS]
    available = pl.col(AVAILABLE).fill_null(value=True)
    return (
        joined.with_columns(*facts, available).select(CATALOGUE_SCHEMA.names()).sort(terms.ITEM_ID)
    )


def _goes_on(layout: StoreLayout, moment: datetime) -> bool:
    later = scan_stored(layout).select((~is_known_before(moment)).any()).collect()
    return bool(later.item())


def read_override(layout: StoreLayout) -> pl.DataFrame | None:
    """The shop's own catalogue as it was last installed, or None."""
    path = override_path(layout)
    return pl.read_parquet(path, schema=OVERRIDE_SCHEMA) if path.exists() else None


def override_path(layout: StoreLayout) -> Path:
    """Where the shop's catalogue is kept."""
    return layout.tables / "catalogue" / "override.parquet"


def catalogue_digest(layout: StoreLayout, known_before: datetime | None = None) -> str:
    """sha256 (hex) of `read_catalogue`, for lineage."""
    return content_digest(read_catalogue(layout, known_before))


def derive_catalogue(layout: StoreLayout, known_before: datetime | None = None) -> pl.DataFrame:
    """What the events (known before a moment) say, by item id: facts, `first_seen`, `last_seen`."""
    found = pl.DataFrame(schema=_DERIVED_SCHEMA)
    is_known = pl.lit(value=True) if known_before is None else is_known_before(known_before)
    for first, last in _passes(layout):
        rows = scan_stored(layout, first, last).filter(
            pl.col(terms.ITEM_ID).is_not_null(), is_known
        )
        seen = pl.col(terms.TS)
        # A price of zero or less is a gift or a correction, not what the item costs.
        price = pl.when(pl.col(terms.PRICE) > 0).then(terms.PRICE)
        facts = rows.select(
            *_DERIVED_SCHEMA.names()[:4], price, seen.alias(FIRST_SEEN), seen.alias(LAST_SEEN)
        )
        found = _latest(pl.concat([found, facts.collect()]))
    return found.sort(terms.ITEM_ID)


def update_derived(layout: StoreLayout) -> None:
    """Keep what the events say beside the tables, named after the rows it follows from."""
    path = _derived_path(layout)
    if path.exists():
        return
    buffer = io.BytesIO()
    derive_catalogue(layout).write_parquet(buffer, compression="zstd")
    for older in path.parent.glob("derived-*.parquet"):
        older.unlink()
    write_atomic(path, buffer.getvalue())


def _read_derived(layout: StoreLayout) -> pl.DataFrame:
    path = _derived_path(layout)
    if path.exists():
        return pl.read_parquet(path, schema=_DERIVED_SCHEMA)
    return derive_catalogue(layout)


def _derived_path(layout: StoreLayout) -> Path:
    return layout.tables / "catalogue" / f"derived-{data_digest(layout)[:32]}.parquet"


def _latest(rows: pl.DataFrame) -> pl.DataFrame:
    """Per item the latest of each fact that is not null; rows in time order."""
    facts = (pl.col(name).drop_nulls().last() for name in FACTS)
    seen = (pl.col(FIRST_SEEN).min(), pl.col(LAST_SEEN).max())
    return rows.group_by(terms.ITEM_ID).agg(*facts, *seen)


def _passes(layout: StoreLayout) -> Iterator[tuple[date, date]]:
    """First and last day of runs of days with at most `ROWS_PER_PASS` rows, or one larger day."""
    days: list[date] = []
    rows = 0
    for manifest in read_manifests(layout):
        if days and rows + manifest.rows > ROWS_PER_PASS:
            yield days[0], days[-1]
            days, rows = [], 0
        days.append(date.fromisoformat(manifest.event_date))
        rows += manifest.rows
    if days:
        yield days[0], days[-1]
