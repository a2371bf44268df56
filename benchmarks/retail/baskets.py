"""Cuts of a rolling split, and the next basket of every shopper after each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from recommender.errors import DataError
from recommender.terms import EVENT_CODES, PURCHASE, Int32Array, Int64Array
from training.dataset import moment
from training.engine import EventWindow, Period
from training.split import MICROS_PER_DAY, HoldOut


@dataclass(frozen=True, slots=True)
class Purchases:
    """Basket lines, ordered by (shopper, basket, item); each item once a basket.

    Parameters
    ----------
    shopper, basket, item
        int32 (lines,). A basket is what a shopper bought at one moment; numbered over the whole
        log, rising with time within a shopper.
    ts
        Microseconds since the epoch, int64 (lines,).
    items, shoppers
        How many there are in the whole log.
    """

    shopper: Int32Array
    basket: Int32Array
    item: Int32Array
    ts: Int64Array
    items: int
    shoppers: int

    @classmethod
    def of(cls, window: EventWindow) -> Purchases:
        """The basket lines of a log. Raises `DataError` where it has none."""
        lines = (
            window.scan()
            .filter(pl.col("event_code") == EVENT_CODES[PURCHASE])
            .select("shopper_idx", pl.col("step").cast(pl.Int32), "item_idx", "ts")
            .unique(["step", "item_idx"])
            .sort("shopper_idx", "step", "item_idx")
            .collect()
        )
        if lines.is_empty():
            raise DataError("the log has no purchase; next baskets need some")
        shopper, basket, item, ts = (each.to_numpy() for each in lines.get_columns())
        return cls(shopper, basket, item, ts, len(window.item_ids), len(window.shopper_ids))

    def between(self, start: int, end: int) -> Purchases:
        """The lines of a stretch of time, the end exclusive."""
        kept = (self.ts >= start) & (self.ts < end)
        columns = (each[kept] for each in (self.shopper, self.basket, self.item, self.ts))
        return Purchases(*columns, self.items, self.shoppers)

    def before(self, cut: int) -> Purchases:
        """The lines before a moment."""
        return self.between(np.iinfo(np.int64).min, cut)

    def items_of(self, shopper: int) -> Int32Array:
        """Items of a shopper, with repetition, in the order of time."""
        first, last = np.searchsorted(self.shopper, [shopper, shopper + 1])
        return self.item[first:last]


def rolling_periods(log: Period, folds: int, horizon_days: float) -> tuple[Period, ...]:
    """The last `folds` stretches of the log, one after the other, oldest first.

    Raises
    ------
    DataError
        Less than half of the log would be left to learn from at the first cut.
    """
    horizon = round(horizon_days * MICROS_PER_DAY)
    if 2 * folds * horizon > log.length:
        raise DataError(
            f"{folds} folds of {horizon_days:g} days take more than half of a log of "
            f"{log.length / MICROS_PER_DAY:.0f} days; ask for fewer or shorter ones"
        )
    starts = [log.end - (folds - each) * horizon for each in range(folds)]
    return tuple(Period(start, start + horizon) for start in starts)


def next_baskets(hold_out: HoldOut, purchases: Purchases, window: EventWindow) -> HoldOut:
    """The same questions, with the shopper's first basket of the period alone as targets."""
    inside = purchases.between(hold_out.period.start, hold_out.period.end)
    changes = np.flatnonzero(np.diff(inside.shopper, prepend=-1))
    first = dict(zip(inside.shopper[changes], inside.basket[changes], strict=True))
    kept = inside.basket == np.array([first[each] for each in inside.shopper], np.int32)
    baskets: dict[str, set[str]] = {each: set() for each in hold_out.shopper_ids}
    for shopper, item in zip(inside.shopper[kept], inside.item[kept], strict=True):
        baskets[window.shopper_ids[shopper]].add(window.item_ids[item])
    return replace(hold_out, targets=tuple(frozenset(each) for each in baskets.values()))


def shopper_rows(hold_out: HoldOut, window: EventWindow) -> Int32Array:
    """Index in the window of each shopper asked, int32 (n,)."""
    index = {shopper_id: row for row, shopper_id in enumerate(window.shopper_ids)}
    return np.array([index[each] for each in hold_out.shopper_ids], np.int32)


def named(rows: Sequence[Int32Array], window: EventWindow) -> tuple[tuple[str, ...], ...]:
    """Rankings of item indices as outside ids."""
    return tuple(tuple(window.item_ids[item] for item in row) for row in rows)


def described(period: Period) -> str:
    """A period by its days."""
    return f"{moment(period.start):%Y-%m-%d} to {moment(period.end):%Y-%m-%d}"
