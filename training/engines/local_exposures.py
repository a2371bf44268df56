"""What was shown in lists of ours, and what was taken up from them, out of the table."""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from feature_store.layout import StoreLayout
from recommender.exposures import SHIPPED_PLACEMENTS, TAKEN_UP
from recommender.terms import (
    AVAILABLE_AT,
    EVENT_TYPE,
    ITEM_ID,
    ITEM_POSITION,
    PLACEMENT,
    RECOMMENDATION_ID,
    SHOPPER_ID,
    TS,
    VIEW_ITEM_LIST,
)
from training.engine import Period
from training.engines.local_rows import rows_of

COLUMNS: Final = ("shopper_idx", "item_idx", "is_click", "position", "place", TS, AVAILABLE_AT)


def find_exposures(
    layout: StoreLayout, period: Period, known: datetime | None, ids: tuple[pl.LazyFrame, ...]
) -> pl.LazyFrame:
    """Exposures file, see `training.engine`.

    Items and shoppers without any interaction in the window have no index: nothing of theirs was
    ever taken up, so they say nothing of how that changes, but much of how often it happens.

    Parameters
    ----------
    ids
        Index of each item id and of each shopper id, to be joined.
    """
    is_list = pl.col(EVENT_TYPE) == VIEW_ITEM_LIST
    at_place = pl.col(PLACEMENT).is_in(list(SHIPPED_PLACEMENTS)).fill_null(value=False)
    rows = (
        rows_of(layout, period, known)
        .filter(
            is_list | pl.col(EVENT_TYPE).is_in(list(TAKEN_UP)),
            pl.col(ITEM_ID).is_not_null(),
            pl.col(RECOMMENDATION_ID).is_not_null() | at_place,
        )
        .with_columns(
            is_click=~is_list,
            position=pl.col(ITEM_POSITION).cast(pl.Int32),
            place=pl.col(PLACEMENT).fill_null(""),
        )
    )
    for index, column in zip(ids, (ITEM_ID, SHOPPER_ID), strict=True):
        rows = rows.join(index, on=column, how="left", maintain_order="left")
    # The table has them in time order, and more keys would be as many more bytes of each row.
    return rows.select(COLUMNS).sort("shopper_idx", "item_idx", maintain_order=True)
