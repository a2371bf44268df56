"""Rows of the interactions table → moves, as `feature_store.online.facts` says them of events."""

from __future__ import annotations

import polars as pl

from recommender.query import NO_ITEM
from recommender.terms import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
    ITEM_POSITION,
    MICROS_PER_SECOND,
    MOVE_TYPES,
    PLACEMENT,
    RECOMMENDATION_ID,
    TS,
    VIEW_ITEM_LIST,
)

_IS_LIST = pl.col(EVENT_TYPE) == VIEW_ITEM_LIST


def moves_of(rows: pl.LazyFrame, whose: str) -> pl.LazyFrame:
    """One row for each move that is remembered; columns of `rows`, in no special order.

    Parameters
    ----------
    rows
        Of the interactions table; `ts` in int microseconds.
    whose
        Column of the shopper: of the lists that one shopper saw in one second, one is kept.
    """
    moves = rows.filter(pl.col(EVENT_TYPE).is_in(list(MOVE_TYPES)))
    first = pl.col(ITEM_POSITION) == pl.col(ITEM_POSITION).min().over(EVENT_ID)
    # As in the events, an empty text is no placement.
    placed = [pl.col(name).str.len_bytes() > 0 for name in (PLACEMENT, RECOMMENDATION_ID)]
    found = _IS_LIST & ~pl.any_horizontal(*(each.fill_null(value=False) for each in placed))
    item = pl.when(found).then(ITEM_ID).fill_null(NO_ITEM)
    moves = moves.filter(first).with_columns(item.alias(ITEM_ID))
    second, is_empty = pl.col(TS) // MICROS_PER_SECOND, pl.col(ITEM_ID) == NO_ITEM
    lists = (
        moves.filter(_IS_LIST)
        .with_columns(_second=second)
        .sort(whose, "_second", is_empty, TS, ITEM_ID)
        .unique([whose, "_second"], keep="first", maintain_order=True)
        .drop("_second")
    )
    return pl.concat([moves.filter(~_IS_LIST), lists])
