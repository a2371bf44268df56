"""The log as columns of numbers: every event of a window, with or without an item.

Rows are in the order (shopper, ts, event code, item, event id, item position): the house order of
`training.engines.local`, with rows that have no item before those that have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from feature_store.layout import StoreLayout
from feature_store.tables import read_interactions
from recommender.errors import DataError
from recommender.terms import (
    CATEGORY,
    EVENT_CODES,
    EVENT_TYPE,
    IDENTIFY,
    INTERACTION_TYPES,
    ITEM_ID,
    PLACEMENT,
    RECOMMENDATION_ID,
    REFUND,
    SEARCH_TERM,
    SHOPPER_ID,
    TS,
    BoolArray,
    Int32Array,
    Int64Array,
)
from recommender.trail import Trail
from training.dataset import moment
from training.engine import Period

NOBODY: Final = -1
_INTERACTION_CODES: Final = [EVENT_CODES[name] for name in INTERACTION_TYPES]
# No act of a shopper on a page: refunds come from the back office, `identify` says who somebody is.
_LEFT_OUT: Final = (REFUND, IDENTIFY)
_NAMES: Final = (SHOPPER_ID, ITEM_ID, PLACEMENT, CATEGORY, "term")


@dataclass(frozen=True, slots=True)
class LogRows:
    """One row per event and item, n rows; numbers of names are -1 where the log has none.

    Parameters
    ----------
    shopper, event_code, item, placement, category, term
        int32 (n,).
    ts
        Microseconds since the epoch, int64 (n,).
    visit
        Number of the visit, int64 (n,), ascending: a shopper's rows without a longer silence.
    is_answer
        The row names the answer that suggested its item, bool (n,).
    names
        By column, the names in ascending order: what the numbers stand for. A *term* is a search
        term in small letters, without outer or double spaces.
    counts
        Rows read, kept, and left out by reason.
    """

    shopper: Int32Array
    ts: Int64Array
    event_code: Int32Array
    item: Int32Array
    placement: Int32Array
    category: Int32Array
    term: Int32Array
    visit: Int64Array
    is_answer: BoolArray
    names: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.ts)

    @property
    def on_trail(self) -> BoolArray:
        """Rows that `trail` holds: interactions with an item, bool (n,)."""
        return np.isin(self.event_code, _INTERACTION_CODES) & (self.item >= 0)

    @property
    def trail(self) -> Trail:
        """The interactions, as `recommender.journey` takes them."""
        mask = self.on_trail
        return Trail(
            self.shopper[mask],
            self.visit[mask],
            self.item[mask],
            self.event_code[mask],
            self.ts[mask],
        )

    def is_type(self, *event_types: str) -> BoolArray:
        """Rows of these types, bool (n,)."""
        return np.isin(self.event_code, [EVENT_CODES[name] for name in event_types])


def read_rows(
    layout: StoreLayout, period: Period, lookback_micros: int, gap_micros: int
) -> LogRows:
    """Read a period of the log, and what came before it as far as journeys reach back.

    Raises
    ------
    DataError
        Nothing happened in the period.
    """
    log, counts = _kept(layout, period, lookback_micros)
    if not counts["kept"]:
        raise DataError(
            f"the log holds nothing from {moment(period.start).isoformat()} to "
            f"{moment(period.end).isoformat()}: {counts}"
        )
    names = {name: _names_of(log, name) for name in _NAMES}
    columns = _numbered(log, names)
    visit = _visits(columns[SHOPPER_ID], columns[TS], gap_micros)
    return LogRows(
        shopper=columns[SHOPPER_ID],
        ts=columns[TS],
        event_code=columns[EVENT_TYPE],
        item=columns[ITEM_ID],
        placement=columns[PLACEMENT],
        category=columns[CATEGORY],
        term=columns["term"],
        visit=visit,
        is_answer=columns["is_answer"],
        names=names,
        counts=counts,
    )


def _kept(
    layout: StoreLayout, period: Period, lookback_micros: int
) -> tuple[pl.LazyFrame, dict[str, int]]:
    first, last = moment(period.start - lookback_micros), moment(period.end)
    log = read_interactions(layout, first.date(), (last - timedelta(microseconds=1)).date())
    micros = pl.col(TS).dt.epoch("us")
    inside = micros.is_between(period.start - lookback_micros, period.end - 1)
    term = pl.col(SEARCH_TERM).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    rows = log.filter(inside).select(
        SHOPPER_ID,
        micros,
        EVENT_TYPE,
        ITEM_ID,
        PLACEMENT,
        CATEGORY,
        pl.when(term != "").then(term).alias("term"),
        pl.col(RECOMMENDATION_ID).is_not_null().alias("is_answer"),
    )
    in_period = pl.col(TS) >= period.start
    found = rows.group_by(EVENT_TYPE, in_period.alias("in_period")).len().collect()
    by_type = {(name, inside): number for name, inside, number in found.iter_rows()}
    counts = {"rows read": sum(by_type.values())}
    counts["kept"] = sum(
        number for (name, now), number in by_type.items() if now and name not in _LEFT_OUT
    )
    counts["before the period, for journeys"] = sum(
        number for (name, now), number in by_type.items() if not now and name not in _LEFT_OUT
    )
    for name in _LEFT_OUT:
        counts[f"left out: {name}"] = by_type.get((name, True), 0) + by_type.get((name, False), 0)
    return rows.filter(~pl.col(EVENT_TYPE).is_in(_LEFT_OUT)), counts


def _names_of(log: pl.LazyFrame, column: str) -> tuple[str, ...]:
    found = log.select(pl.col(column).drop_nulls().unique()).collect(engine="streaming")
    return tuple(found[column].sort().to_list())


def _numbered(
    log: pl.LazyFrame, names: Mapping[str, tuple[str, ...]]
) -> dict[str, npt.NDArray[Any]]:
    """Columns as numbers, in row order; the table's own order decides what is still equal."""
    log = log.with_row_index("row")
    for column, known in names.items():
        numbers = pl.Series("number", range(len(known)), pl.Int32)
        keys = pl.LazyFrame([pl.Series(column, known, pl.String), numbers])
        log = log.join(keys, on=column, how="left").drop(column)
        log = log.rename({"number": column}).with_columns(pl.col(column).fill_null(NOBODY))
    codes = pl.col(EVENT_TYPE).replace_strict(EVENT_CODES, return_dtype=pl.Int32)
    found = log.with_columns(codes).collect(engine="streaming")
    found = found.sort(SHOPPER_ID, TS, EVENT_TYPE, ITEM_ID, "row").drop("row")
    return {each.name: each.to_numpy() for each in found.iter_columns()}


def _visits(shopper: Int32Array, ts: Int64Array, gap_micros: int) -> Int64Array:
    begins = np.ones(len(ts), np.bool_)
    begins[1:] = (np.diff(shopper) != 0) | (np.diff(ts) > gap_micros)
    return np.cumsum(begins, dtype=np.int64) - 1
