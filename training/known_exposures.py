"""The exposures that a fit may learn from, as arrays with the bundle's item numbers."""

from __future__ import annotations

import numpy as np
import polars as pl

from recommender.terms import Int64Array
from training.dataset import Dataset
from training.engine import EventWindow, Period
from training.known_events import KnownEvents
from training.models.acceptance import ShownItems
from training.models.impression_discount import POSITIONS, Exposures, counted, taken_up

_KEY = ("shopper_idx", "item_idx", "ts")


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
    shown = known.filter(~pl.col("is_click")).unique(_KEY, keep="first", maintain_order=True)
    rows = shown.sort(_KEY).with_columns(place=_place()).collect()
    if rows.is_empty():
        return None
    clicks = known.filter("is_click").collect()
    pair, ts = _pairs(rows, events.items), rows["ts"].to_numpy()
    touched = events.shopper_idx.astype(np.int64) * events.items + events.item_idx
    ignored, age, touched_before = counted(pair, ts, touched, events.ts)
    return Exposures(
        rows["shopper_idx"].to_numpy().astype(np.int64),
        rows["item_idx"].to_numpy().astype(np.int64),
        rows["place"].to_numpy().astype(np.int64),
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
    known = pl.scan_parquet(window.exposures).filter(inside, pl.col("available_at") < period.end)
    rows = known.with_columns(pl.col("shopper_idx", "item_idx").cast(pl.Int64)).collect()
    is_somebodys = pl.col("shopper_idx").is_not_null() & pl.col("item_idx").is_not_null()
    own, others = rows.filter(is_somebodys), rows.filter(~is_somebodys, ~pl.col("is_click"))
    shown = own.filter(~pl.col("is_click")).unique(_KEY, keep="first", maintain_order=True)
    shown = shown.sort(_KEY)
    clicks, items = own.filter("is_click"), len(window.item_ids)
    taken = taken_up(
        _pairs(shown, items), shown["ts"].to_numpy(), _pairs(clicks, items), clicks["ts"].to_numpy()
    )
    both = pl.concat([shown, others])
    if both.is_empty():
        return None
    placements = tuple(both["place"].unique().sort().to_list())
    number = both["place"].replace_strict(placements, range(len(placements)), return_dtype=pl.Int64)
    return ShownItems(
        placements,
        number.to_numpy(),
        both["position"].fill_null(0).to_numpy().astype(np.int64).clip(min=0),
        np.concatenate([taken, np.zeros(len(others), np.bool_)]),
    )


def _pairs(rows: pl.DataFrame, items: int) -> Int64Array:
    shopper = rows["shopper_idx"].to_numpy().astype(np.int64)
    return np.asarray(shopper * items + rows["item_idx"].to_numpy(), np.int64)


def _place() -> pl.Expr:
    """Number of placement and position together; far positions are one."""
    position = pl.col("position").clip(0, POSITIONS - 1)
    return pl.struct(pl.col("place"), position).rank("dense").cast(pl.Int64) - 1
