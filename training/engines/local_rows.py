"""Rows of the interactions table that happened in a period and were known at its end."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

from feature_store.layout import StoreLayout
from feature_store.tables import read_interactions
from recommender.terms import AVAILABLE_AT, TS
from training.dataset import moment
from training.engine import Period


def days_of(period: Period) -> tuple[date, date]:
    """First and last day of a period."""
    return (
        moment(period.start).date(),
        (moment(period.end) - timedelta(microseconds=1)).date(),
    )


def rows_of(layout: StoreLayout, period: Period, known: datetime | None) -> pl.LazyFrame:
    """All columns; `ts` and `available_at` as int microseconds."""
    return (
        read_interactions(layout, *days_of(period), known)
        .with_columns(pl.col(TS, AVAILABLE_AT).dt.epoch("us"))
        .filter(
            pl.col(TS).is_between(period.start, period.end - 1), pl.col(AVAILABLE_AT) < period.end
        )
    )
