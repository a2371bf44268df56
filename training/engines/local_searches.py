"""Searches of a window for the local engine: whose, when, and for what, in one spelling."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from feature_store.layout import StoreLayout
from recommender.terms import (
    AVAILABLE_AT,
    EVENT_ID,
    EVENT_TYPE,
    SEARCH,
    SEARCH_TERM,
    SHOPPER_ID,
    TS,
)
from training.engine import Period
from training.engines.local_rows import rows_of

MAX_TERM_CHARACTERS: Final = 64


def find_searches(layout: StoreLayout, window: Period, known: datetime | None) -> pl.DataFrame:
    """Searches, one row each: shopper_id, ts, available_at, term; by shopper, then in time.

    A term is in lower case with single spaces. Empty ones, and those of more than
    `MAX_TERM_CHARACTERS`, are left out: what is that long is no word for a thing.
    """
    term = pl.col(SEARCH_TERM).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
    return (
        rows_of(layout, window, known)
        .filter(pl.col(EVENT_TYPE) == SEARCH)
        .with_columns(term=term)
        .filter(pl.col("term").str.len_chars().is_between(1, MAX_TERM_CHARACTERS))
        .select(SHOPPER_ID, EVENT_ID, pl.col(TS).alias("ts"), AVAILABLE_AT, "term")
        .unique(EVENT_ID)
        .sort(SHOPPER_ID, "ts", "term")
        .drop(EVENT_ID)
        .collect()
    )
