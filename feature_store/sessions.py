"""Sessions: which of a visitor's events belong together.

A session ends with a silence longer than `gap`. A session id that the client sent is kept as it
is; an event without one joins the session of the visitor's event before it, unless the silence
was too long; then a new session starts, whose id is `<visitor_id>@<microseconds of its first
event>`. Midnight ends nothing: what a day needs from the day before is its
*carry*, the last event of each visitor that was active within `gap` of midnight.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from feature_store.tables import SESSION_GIVEN, TIMESTAMP
from recommender import terms
from recommender.errors import ConfigError
from recommender.terms import MICROS_PER_SECOND

DEFAULT_GAP_SECONDS: Final = 30 * 60
MAX_GAP_SECONDS: Final = 24 * 3600
CARRY_SCHEMA: Final = pl.Schema(
    {terms.VISITOR_ID: pl.String(), terms.TS: TIMESTAMP, terms.SESSION_ID: pl.String()}
)

_VISITOR, _SESSION = pl.col(terms.VISITOR_ID), pl.col(terms.SESSION_ID)
_MICROS = pl.col(terms.TS).to_physical()


def check_gap(gap_seconds: int) -> int:
    """The gap, or `ConfigError`: a carry reaches back one day, so no longer silence is seen."""
    if not 0 < gap_seconds <= MAX_GAP_SECONDS:
        raise ConfigError(
            f"session gap {gap_seconds} s; 1 to {MAX_GAP_SECONDS} s (one day) is possible"
        )
    return gap_seconds


def assign_sessions(rows: pl.DataFrame, carry: pl.DataFrame, gap_seconds: int) -> pl.DataFrame:
    """Fill `session_id` of rows in row order.

    Parameters
    ----------
    rows
        Stored schema; `session_id` is taken as given by the client where `SESSION_GIVEN`, else
        computed anew.
    carry
        `CARRY_SCHEMA`: the sessions still open when the first row happened.
    """
    given = pl.when(SESSION_GIVEN).then(_SESSION)
    work = pl.concat(
        [
            carry.with_columns(row=pl.lit(-1, pl.Int64)),
            rows.select(_VISITOR, terms.TS, given.alias(terms.SESSION_ID)).with_columns(
                row=pl.int_range(pl.len(), dtype=pl.Int64)
            ),
        ]
    ).sort(terms.VISITOR_ID, maintain_order=True)
    follows = _VISITOR.shift(1) == _VISITOR
    silence = _MICROS - _MICROS.shift(1)
    starts = ~(follows & (silence <= gap_seconds * MICROS_PER_SECOND)).fill_null(value=False)
    derived = pl.concat_str(_VISITOR, pl.lit("@"), _MICROS)
    # A start always has an id here, so the forward fill never reaches into another visitor's rows.
    filled = pl.coalesce(_SESSION, pl.when(starts).then(derived)).forward_fill()
    work = work.with_columns(filled.alias(terms.SESSION_ID)).filter(pl.col("row") >= 0).sort("row")
    return rows.with_columns(work[terms.SESSION_ID])


def find_carry(rows: pl.LazyFrame | pl.DataFrame, until: int, gap_seconds: int) -> pl.DataFrame:
    """The last event of each visitor active in the `gap` before `until` (µs, exclusive)."""
    micros = pl.col(terms.TS).to_physical()
    inside = (micros >= until - gap_seconds * MICROS_PER_SECOND) & (micros < until)
    found = rows.lazy().filter(inside).select(CARRY_SCHEMA.names()).collect()
    return found.unique(terms.VISITOR_ID, keep="last", maintain_order=True).sort(terms.VISITOR_ID)
