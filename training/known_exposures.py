"""The exposures that a fit may learn from, as arrays with the bundle's item numbers."""

from __future__ import annotations

import numpy as np
import polars as pl

from feature_store.runs import begins_run
from recommender.terms import Int64Array
from training.dataset import Dataset
from training.engine import EventWindow, Period
from training.known_events import KnownEvents
from training.models.acceptance import ShownItems
from training.models.impression_discount import POSITIONS, Exposures, counted, taken_up
from training.sections import MOST_PLACES

_KEY = ("shopper_idx", "item_idx", "ts")
_CELL = ("place", "position")


def known_exposures(window: EventWindow, dataset: Dataset, events: KnownEvents) -> Exposures | None:
    """The window's exposures that were known before the moment of a dataset; None without any.

    Parameters
    ----------
    events
        All that was known of the same moment.
    """
    if window.exposures is None:
        return None
    until = dataset.until
    # The bundle's numbers rise with the window's, so that rows stay sorted.
    number = pl.lit(pl.Series("item_idx", dataset.bundle_idx)).gather(pl.col("item_idx"))
    known = (
        pl.scan_parquet(window.exposures)
        .filter(pl.col("ts") < until, pl.col("available_at") < until)
        .drop_nulls(["shopper_idx", "item_idx"])
        .with_columns(item_idx=number)
        .filter(pl.col("item_idx") >= 0)
    )
    shown = known.filter(~pl.col("is_click")).filter(begins_run(*_KEY))
    place = _place(shown.select(pl.col("place").unique()).collect()["place"].to_list())
    rows = shown.select(*_KEY, place=place).collect()
    if rows.is_empty():
        return None
    clicks = known.filter("is_click").select(_KEY).collect()
    pair, ts = _pairs(rows, events.items), rows["ts"].to_numpy()
    touched = events.shopper_idx.astype(np.int64) * events.items + events.item_idx
    ignored, age, touched_before = counted(pair, ts, touched, events.ts)
    return Exposures(
        rows["shopper_idx"].to_numpy(),
        rows["item_idx"].to_numpy(),
        rows["place"].to_numpy(),
        touched_before,
        ignored,
        age,
        taken_up(pair, ts, _pairs(clicks, events.items), clicks["ts"].to_numpy()),
    )


def shown_items(window: EventWindow, period: Period) -> ShownItems | None:
    """What was shown in a period, and whether it was taken up within the same; None without any.

    Also of shoppers and items without any interaction: they make the probabilities small.
    """
    if window.exposures is None:
        return None
    inside = pl.col("ts").is_between(period.start, period.end - 1)
    rows = (
        pl.scan_parquet(window.exposures)
        .filter(inside, pl.col("available_at") < period.end)
        .with_columns(pl.col("position").fill_null(0).clip(0, MOST_PLACES - 1))
    )
    is_somebodys = pl.col("shopper_idx").is_not_null() & pl.col("item_idx").is_not_null()
    others = rows.filter(~is_somebodys, ~pl.col("is_click"))
    own = rows.filter(is_somebodys)
    shown, clicks = (
        own.filter(~pl.col("is_click")).filter(begins_run(*_KEY)),
        own.filter("is_click"),
    )
    cells = _counts(pl.concat([shown, others]), "shown")
    if cells.is_empty():
        return None
    taken = _counts(_taken(shown, clicks.select(_KEY).collect(), len(window.item_ids)), "taken")
    cells = cells.join(taken, on=_CELL, how="left").sort(_CELL)
    placements = tuple(cells["place"].unique().sort().to_list())
    number = cells["place"].replace_strict(
        placements, range(len(placements)), return_dtype=pl.Int64
    )
    return ShownItems(
        placements,
        number.to_numpy(),
        *(
            cells[name].fill_null(0).cast(pl.Int64).to_numpy()
            for name in ("position", "shown", "taken")
        ),
    )


def _taken(shown: pl.LazyFrame, clicks: pl.DataFrame, items: int) -> pl.LazyFrame:
    """Those of the exposures that were taken up; both in the order of `_KEY`."""
    pairs = ("shopper_idx", "item_idx")
    # Few pairs were ever taken up.
    rows = shown.join(clicks.lazy().select(pairs), on=pairs, how="semi", maintain_order="left")
    found = rows.collect()
    pair, ts = _pairs(found, items), found["ts"].to_numpy()
    return found.lazy().filter(taken_up(pair, ts, _pairs(clicks, items), clicks["ts"].to_numpy()))


def _counts(rows: pl.LazyFrame, name: str) -> pl.DataFrame:
    """How many rows each placement and position has."""
    return rows.group_by(_CELL).agg(pl.len().alias(name)).collect()


def _pairs(rows: pl.DataFrame, items: int) -> Int64Array:
    shopper = rows["shopper_idx"].to_numpy().astype(np.int64)
    return np.asarray(shopper * items + rows["item_idx"].to_numpy(), np.int64)


def _place(placements: list[str]) -> pl.Expr:
    """Number of placement and position together; far positions are one, unknown ones another."""
    placement = pl.col("place").replace_strict(
        placements, range(len(placements)), return_dtype=pl.Int32
    )
    return placement * (POSITIONS + 1) + pl.col("position").clip(0, POSITIONS - 1).fill_null(
        POSITIONS
    )
