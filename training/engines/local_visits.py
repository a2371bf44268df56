"""Visits of a period for the local engine: from events of every type, with or without an item."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from feature_store.layout import StoreLayout
from feature_store.tables import read_interactions
from recommender.terms import (
    AVAILABLE_AT,
    EVENT_CODES,
    EVENT_ID,
    EVENT_TYPE,
    ITEM_POSITION,
    PLACEMENT,
    REFUND,
    SHOPPER_ID,
    TS,
)
from training.dataset import moment
from training.engine import Period


def find_visits(
    layout: StoreLayout, window: Period, period: Period, gap_minutes: float
) -> pl.DataFrame:
    """Visits that begin in the period, one row each; columns as `training.engine` has them.

    A visit that was under way when the period began is not among them. Nothing outside the
    window is looked at.
    """
    events = _events(layout, window).filter(pl.col(TS) < period.end)
    last_before = (
        events.filter(pl.col(TS) < period.start)
        .group_by(SHOPPER_ID)
        .agg(pl.col(TS).max().alias("last_before"))
    )
    inside = (
        events.filter(pl.col(TS) >= period.start)
        .join(last_before, on=SHOPPER_ID, how="left")
        .sort(SHOPPER_ID, TS, "event_code", EVENT_ID, ITEM_POSITION)
        .with_columns(before=pl.col(TS).shift().over(SHOPPER_ID).fill_null(pl.col("last_before")))
    )
    is_pause = (pl.col(TS) - pl.col("before")).fill_null(2**62) > round(gap_minutes * 60_000_000)
    visit = is_pause.cum_sum().over(SHOPPER_ID)  # 0: under way when the period began
    visits = (
        inside.with_columns(visit=visit)
        .filter(pl.col("visit") > 0)
        .group_by(SHOPPER_ID, "visit", maintain_order=True)
        .agg(
            pl.col(TS).first().alias("start"),
            pl.col(TS).last().alias("end"),
            pl.col(EVENT_TYPE).first().alias("entry"),
            pl.col(PLACEMENT).first().alias("entry_placement"),
            pl.col("before").first().is_not_null().alias("is_known"),
        )
    )
    return visits.drop("visit").collect()


def _events(layout: StoreLayout, window: Period) -> pl.LazyFrame:
    first = moment(window.start).date()
    last = (moment(window.end) - timedelta(microseconds=1)).date()
    codes = pl.col(EVENT_TYPE).replace_strict(EVENT_CODES, return_dtype=pl.Int32)
    return (
        read_interactions(layout, first, last, moment(window.end))
        .filter(pl.col(EVENT_TYPE) != REFUND)
        .with_columns(pl.col(TS, AVAILABLE_AT).dt.epoch("us"), event_code=codes)
        .filter(pl.col(TS) >= window.start, pl.col(AVAILABLE_AT) < window.end)
        .select(SHOPPER_ID, TS, "event_code", EVENT_ID, ITEM_POSITION, EVENT_TYPE, PLACEMENT)
    )
