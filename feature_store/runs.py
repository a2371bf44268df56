"""Runs of rows that are alike, in a table that is in order."""

from __future__ import annotations

import polars as pl


def begins_run(*columns: str) -> pl.Expr:
    """Whether a row differs from the one before it in any of these columns; the first row does.

    Where rows that are alike stand together this keeps the first of each, and, unlike
    `polars.LazyFrame.unique`, holds none of the others in memory.
    """
    changes = (pl.col(name).ne_missing(pl.col(name).shift(1)) for name in columns)
    # Not by its number: the number of rows is known when all of them are in memory.
    is_first_row = pl.col(columns[0]).is_null().shift(1).is_null()
    return pl.any_horizontal(is_first_row, *changes)
