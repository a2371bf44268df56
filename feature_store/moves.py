"""Rows of the interactions table → moves, as `feature_store.online.facts` says them of events."""

from __future__ import annotations

import polars as pl

from feature_store.runs import begins_run
from recommender.query import NO_ITEM
from recommender.terms import (
    EVENT_ID,
    EVENT_TYPE,
    ITEM_ID,
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
        Of the interactions table, in its order: those of an event stand together, by position;
        `ts` in int microseconds.
    whose
        Column of the shopper: of the lists that one shopper saw in one second, one is kept.
    """
    moves = rows.filter(pl.col(EVENT_TYPE).is_in(list(MOVE_TYPES)))
    moves = moves.filter(begins_run(EVENT_ID))
    # As in the events, an empty text is no placement.
    placed = [pl.col(name).str.len_bytes() > 0 for name in (PLACEMENT, RECOMMENDATION_ID)]
    found = _IS_LIST & ~pl.any_horizontal(*(each.fill_null(value=False) for each in placed))
    moves = moves.with_columns(
        pl.when(found).then(ITEM_ID).fill_null(NO_ITEM).alias(ITEM_ID),
        _is_list=_IS_LIST,
        _second=pl.col(TS) // MICROS_PER_SECOND,
    )
    key = (whose, "_is_list", "_second")
    is_empty = pl.col(ITEM_ID) == NO_ITEM
    ordered = moves.sort(*key, is_empty, TS, ITEM_ID)
    return ordered.filter(~pl.col("_is_list") | begins_run(*key)).drop("_is_list", "_second")
