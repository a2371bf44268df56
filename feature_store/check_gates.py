"""What each data gate measures. All but schema and freshness look at one `DayFacts`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

import msgspec
import polars as pl

from feature_store.catalogue import read_override
from feature_store.check_limits import CheckLimits
from feature_store.layout import StoreLayout
from feature_store.tables import (
    DAY,
    SCHEMA,
    STORED_SCHEMA,
    DayManifest,
    part_paths,
    scan_stored,
    verify_files,
)
from recommender import terms

REQUIRED: Final = (
    terms.EVENT_ID,
    terms.ITEM_POSITION,
    terms.EVENT_TYPE,
    terms.TS,
    terms.AVAILABLE_AT,
    terms.VISITOR_ID,
    terms.SESSION_ID,
)
OPTIONAL: Final = tuple(name for name in SCHEMA.names() if name not in REQUIRED)
_SECOND: Final = pl.col(terms.TS).dt.truncate("1s")
_FEW_ROWS: Final = "too few rows"
_FEW_DAYS: Final = "too few days before"


class Gate(msgspec.Struct, frozen=True):
    """One measurement and its limit; `value` is None when it could not be measured."""

    name: str
    value: float | None
    limit: float
    is_tripped: bool
    detail: str


@dataclass(frozen=True, slots=True)
class DayFacts:
    """The day under test and the days before it.

    Parameters
    ----------
    rows
        The day, stored schema.
    before
        The trailing days, not loaded.
    by_day
        Per trailing day: ``day, events`` and the null share of each optional column.
    catalogue
        ``item_id`` of the shop's catalogue file, or None without one.
    """

    day: date
    at: datetime
    limits: CheckLimits
    rows: pl.DataFrame
    before: pl.LazyFrame
    by_day: pl.DataFrame
    catalogue: pl.DataFrame | None

    @classmethod
    def read(cls, layout: StoreLayout, day: date, at: datetime, limits: CheckLimits) -> DayFacts:
        """Load what the gates need."""
        start, eve = day - timedelta(days=limits.trailing_days), day - timedelta(days=1)
        before = scan_stored(layout, start, eve)
        nulls = (pl.col(name).null_count() / pl.len() for name in OPTIONAL)
        by_day = before.group_by(DAY.alias("day")).agg(
            pl.col(terms.EVENT_ID).n_unique().alias("events"), *nulls
        )
        rows = scan_stored(layout, day, day).collect()
        return cls(day, at, limits, rows, before, by_day.collect(), read_override(layout))

    @property
    def item_rows(self) -> pl.DataFrame:
        """The day's rows that name an item."""
        return self.rows.filter(pl.col(terms.ITEM_ID).is_not_null())

    @property
    def is_comparable(self) -> bool:
        """Whether there are days enough to compare with."""
        return self.by_day.height >= self.limits.min_trailing_days


def tripping(name: str, value: float, limit: float, detail: str) -> Gate:
    """A gate that trips above its limit."""
    return Gate(name, float(value), float(limit), bool(value > limit), detail)


def check_schema(layout: StoreLayout, manifest: DayManifest) -> Gate:
    """Faults of the day's files: digest, columns and types, nulls where there must be a value."""
    faults = verify_files(layout, [manifest])
    if not faults:
        paths = part_paths(layout, manifest)
        faults = [fault for path in paths for fault in _schema_faults(pl.scan_parquet(path))]
    return tripping("schema", len(faults), 0, "; ".join(faults[:3]) or "as declared")


def _schema_faults(rows: pl.LazyFrame) -> list[str]:
    found = rows.collect_schema()
    faults = [
        f"{name}: {found.get(name)}, expected {dtype}"
        for name, dtype in STORED_SCHEMA.items()
        if found.get(name) != dtype
    ]
    faults += [f"{name}: not a column of the table" for name in found if name not in STORED_SCHEMA]
    if faults:
        return faults
    known = pl.col(terms.EVENT_TYPE).is_in(terms.EVENT_TYPES)
    nulls = [pl.col(name).null_count() for name in REQUIRED]
    counts = (
        rows.select(*nulls, (~known).sum().alias("unknown event_type")).collect().row(0, named=True)
    )
    return [f"{name}: {count} rows without a value" for name, count in counts.items() if count]


def check_ranges(facts: DayFacts) -> Gate:
    """Share of rows with a number or a time outside its range."""
    price, quantity = pl.col(terms.PRICE), pl.col(terms.QUANTITY)
    outside = {
        "price": ~price.is_between(0, facts.limits.max_price),
        "quantity": ~quantity.is_between(0, facts.limits.max_quantity),
        "value": ~(pl.col(terms.VALUE) >= 0),
        "ts": (facts.day != DAY) | (pl.col(terms.TS) > facts.at),
    }
    named = [bad.fill_null(value=False).alias(name) for name, bad in outside.items()]
    counts = facts.rows.select(named)
    share = counts.select(pl.any_horizontal(pl.all()).mean()).item()
    detail = ", ".join(f"{name} {counts[name].sum()}" for name in outside if counts[name].any())
    return tripping("ranges", share, facts.limits.max_out_of_range_share, detail or "all inside")


def check_referential(facts: DayFacts) -> Gate:
    """Share of item rows whose item the shop's catalogue file does not name."""
    limit, rows = facts.limits.max_unknown_item_share, facts.item_rows
    if facts.catalogue is None:
        return _unmeasured("referential", limit, "no catalogue file")
    if rows.height < facts.limits.min_rows:
        return _unmeasured("referential", limit, _FEW_ROWS)
    unknown = rows.join(facts.catalogue, on=terms.ITEM_ID, how="anti")
    detail = f"{unknown[terms.ITEM_ID].n_unique()} items not in the catalogue"
    return tripping("referential", unknown.height / rows.height, limit, detail)


def check_volume(facts: DayFacts) -> Gate:
    """Distance of the number of events from the median of the days before, relative to it."""
    limit = facts.limits.max_volume_change
    if not facts.is_comparable:
        return _unmeasured("volume", limit, _FEW_DAYS)
    usual = _median(facts.by_day["events"])
    events = facts.rows[terms.EVENT_ID].n_unique()
    if max(events, usual) < facts.limits.min_rows:
        return _unmeasured("volume", limit, _FEW_ROWS)
    return tripping("volume", abs(events / usual - 1), limit, f"{events} events, usual {usual:g}")


def check_nulls(facts: DayFacts) -> Gate:
    """Largest rise of a column's null share over the median of the days before."""
    limit = facts.limits.max_null_share_rise
    if not facts.is_comparable:
        return _unmeasured("nulls", limit, _FEW_DAYS)
    if facts.rows.height < facts.limits.min_rows:
        return _unmeasured("nulls", limit, _FEW_ROWS)
    rises = {
        name: facts.rows[name].null_count() / facts.rows.height - _median(facts.by_day[name])
        for name in OPTIONAL
    }
    worst = max(rises, key=lambda name: rises[name])
    return tripping("nulls", max(rises[worst], 0.0), limit, f"most in {worst}")


def check_missing_items(facts: DayFacts) -> Gate:
    """Share of events about an item that do not name it."""
    limit = facts.limits.max_missing_item_share
    about = facts.rows.filter(pl.col(terms.EVENT_TYPE).is_in(terms.INTERACTION_TYPES))
    if about.height < facts.limits.min_rows:
        return _unmeasured("missing_items", limit, _FEW_ROWS)
    missing = about[terms.ITEM_ID].null_count()
    return tripping("missing_items", missing / about.height, limit, f"{missing} rows")


def check_duplicates(facts: DayFacts) -> Gate:
    """Share of rows that repeat another of the same second in all but the event id."""
    limit = facts.limits.max_duplicate_share
    if facts.rows.height < facts.limits.min_rows:
        return _unmeasured("duplicates", limit, _FEW_ROWS)
    same = (terms.VISITOR_ID, terms.EVENT_TYPE, terms.ITEM_ID, terms.TRANSACTION_ID)
    alike = facts.rows.select(*same, terms.SEARCH_TERM, terms.ITEM_POSITION, _SECOND)
    repeated = alike.height - alike.n_unique()
    return tripping("duplicates", repeated / alike.height, limit, f"{repeated} rows")


def check_top_item(facts: DayFacts) -> Gate:
    """Share of the most frequent item among the rows that name one."""
    limit, rows = facts.limits.max_top_item_share, facts.item_rows
    if rows.height < facts.limits.min_rows:
        return _unmeasured("top_item", limit, _FEW_ROWS)
    counts = rows.group_by(terms.ITEM_ID).len().sort("len", terms.ITEM_ID, descending=True)
    item_id, count = counts.row(0)
    return tripping("top_item", count / rows.height, limit, f"item {item_id}")


def check_new_items(facts: DayFacts) -> Gate:
    """Share of the day's items that the days before do not know."""
    return _check_new(facts, terms.ITEM_ID, "new_items", facts.limits.max_new_item_share)


def check_new_visitors(facts: DayFacts) -> Gate:
    """Share of the day's visitors that the days before do not know."""
    return _check_new(facts, terms.VISITOR_ID, "new_visitors", facts.limits.max_new_visitor_share)


GATES: Final[tuple[Callable[[DayFacts], Gate], ...]] = (
    check_ranges,
    check_referential,
    check_volume,
    check_nulls,
    check_missing_items,
    check_duplicates,
    check_top_item,
    check_new_items,
    check_new_visitors,
)


def _check_new(facts: DayFacts, column: str, name: str, limit: float) -> Gate:
    if not facts.is_comparable:
        return _unmeasured(name, limit, _FEW_DAYS)
    ids = facts.rows.select(column).drop_nulls()
    if ids.height < facts.limits.min_rows:
        return _unmeasured(name, limit, _FEW_ROWS)
    today = ids.unique()
    known = facts.before.select(column).unique().collect()
    new = today.join(known, on=column, how="anti").height
    return tripping(name, new / today.height, limit, f"{new} of {today.height}")


def _unmeasured(name: str, limit: float, why: str) -> Gate:
    return Gate(name, None, float(limit), is_tripped=False, detail=f"not measured: {why}")


def _median(values: pl.Series) -> float:
    median = values.median()
    assert isinstance(median, int | float)  # noqa: S101 - a numeric column of at least one row
    return float(median)
