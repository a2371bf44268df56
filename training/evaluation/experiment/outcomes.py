"""What the subjects of a test did, around their first exposure: the tables joined by pseudonym.

Joined by subject and time alone (intention to treat): what a subject did after the first answer
counts for the arm, whether or not a list of ours led to it. A row belongs to the subject of its
visitor, and to the one of its user where somebody was asked for by user.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import polars as pl

from feature_store.experiment_answers import SUBJECT, SUBJECT_KEY, SUBJECT_TYPE
from feature_store.layout import StoreLayout
from feature_store.pseudonyms import USER, VISITOR, Pseudonyms
from feature_store.tables import read_interactions
from recommender.journey import LOOKBACK_MICROS, journeys_of
from recommender.terms import (
    ADD_TO_CART,
    AVAILABLE_AT,
    CURRENCY,
    DISMISS,
    EVENT_CODES,
    EVENT_ID,
    EVENT_TYPE,
    INTERACTION_TYPES,
    ITEM_ID,
    PRICE,
    PURCHASE,
    QUANTITY,
    RECOMMENDATION_ID,
    SELECT_ITEM,
    SHOPPER_ID,
    TS,
    VALUE,
    VISITOR_ID,
)
from recommender.trail import Trail
from training.dataset import moment
from training.evaluation.experiment.metrics import OUTCOMES, PRE

UNIT: Final = "unit"
FIRST_AT: Final = "first_at"
_KEPT: Final = (PURCHASE, ADD_TO_CART, SELECT_ITEM, DISMISS)


def rows_of_subjects(
    layout: StoreLayout, subjects: pl.DataFrame, pseudonyms: Pseudonyms, span: tuple[int, int]
) -> pl.DataFrame:
    """Rows of the interactions table that belong to a subject, with its number and first exposure.

    Parameters
    ----------
    subjects
        `SUBJECT`, `UNIT` and `FIRST_AT` (microseconds), one row each.
    span
        First and last moment to look at, microseconds, the end exclusive.
    """
    first, last = moment(span[0]), moment(span[1] - 1)
    log = read_interactions(layout, first.date(), last.date()).with_columns(
        pl.col(TS, AVAILABLE_AT).dt.epoch("us")
    )
    log = log.filter(pl.col(TS).is_between(*span, closed="left"))
    parts = []
    for kind, column in ((VISITOR, VISITOR_ID), (USER, SHOPPER_ID)):
        wanted = subjects.filter(pl.col(SUBJECT_TYPE) == kind)
        if wanted.is_empty():
            continue
        ids = log.select(pl.col(column).unique()).collect()[column].drop_nulls().to_list()
        keys = pl.DataFrame(
            {column: ids, SUBJECT_KEY: [pseudonyms.of(kind, each) for each in ids]},
            schema={column: pl.String, SUBJECT_KEY: pl.String},
        )
        known = keys.join(wanted, on=SUBJECT_KEY).drop(*SUBJECT)
        parts.append(log.join(known.lazy(), on=column).collect())
    if not parts:
        return log.with_columns(pl.lit(0).alias(UNIT), pl.lit(0).alias(FIRST_AT)).clear().collect()
    return pl.concat(parts)


def outcome_sums(rows: pl.DataFrame, window: int, before: int, gap: int) -> pl.DataFrame:
    """`OUTCOMES` of each subject after the first exposure, and the same before as ``pre_…``.

    Parameters
    ----------
    rows
        Of `rows_of_subjects`.
    window, before
        How long after the first exposure outcomes count, and how long before it they tell
        subjects apart, microseconds.
    gap
        Silence that ends a visit, microseconds.
    """
    since = pl.col(TS) - pl.col(FIRST_AT)
    after = rows.filter(since.is_between(0, window, closed="left"))
    earlier = rows.filter(since.is_between(-before, 0, closed="left"))
    found = _sums(after, _journeys(rows, gap, (0, window)))
    twin = _sums(earlier, _journeys(rows, gap, (-before, 0)))
    twin = twin.rename({name: PRE + name for name in OUTCOMES})
    return found.join(twin, on=UNIT, how="full", coalesce=True).with_columns(
        pl.col(pl.Float64).fill_null(0.0)
    )


def currencies_of(rows: pl.DataFrame) -> list[str]:
    """The currencies that purchases were made in, in order."""
    bought = rows.filter(pl.col(EVENT_TYPE) == PURCHASE)
    return sorted(bought[CURRENCY].drop_nulls().unique().to_list())


def _sums(rows: pl.DataFrame, journeys: pl.DataFrame) -> pl.DataFrame:
    events = (
        rows.filter(pl.col(EVENT_TYPE).is_in(_KEPT))
        .group_by(UNIT, EVENT_ID)
        .agg(
            pl.col(EVENT_TYPE).first(),
            pl.coalesce(
                pl.col(VALUE).max(), (pl.col(PRICE) * pl.col(QUANTITY).fill_null(1.0)).sum()
            ).alias(VALUE),
            pl.col(RECOMMENDATION_ID).is_not_null().any().alias("is_answer"),
        )
    )
    kind = pl.col(EVENT_TYPE)
    sums = events.group_by(UNIT).agg(
        (kind == PURCHASE).any().cast(pl.Float64).alias("converted"),
        (kind == PURCHASE).sum().cast(pl.Float64).alias("orders"),
        pl.col(VALUE).filter(kind == PURCHASE).sum().cast(pl.Float64).alias("revenue"),
        (kind == ADD_TO_CART).sum().cast(pl.Float64).alias("carts"),
        ((kind == SELECT_ITEM) & pl.col("is_answer")).sum().cast(pl.Float64).alias("clicks"),
        (kind == DISMISS).sum().cast(pl.Float64).alias("dismissals"),
    )
    return sums.join(journeys, on=UNIT, how="full", coalesce=True).with_columns(
        pl.col(pl.Float64).fill_null(0.0)
    )


def _journeys(rows: pl.DataFrame, gap: int, span: tuple[int, int]) -> pl.DataFrame:
    """Journeys whose purchase lies in a span around the first exposure, and their steps."""
    acts = rows.filter(pl.col(EVENT_TYPE).is_in(INTERACTION_TYPES), pl.col(ITEM_ID).is_not_null())
    acts = acts.with_columns(
        pl.col(EVENT_TYPE).replace_strict(EVENT_CODES, return_dtype=pl.Int32).alias("code"),
        (pl.col(ITEM_ID).rank("dense").cast(pl.Int64) - 1).alias("item"),
    ).sort(UNIT, TS, "code", "item")
    begins = (pl.col(UNIT).diff() != 0) | (pl.col(TS).diff() > gap)
    acts = acts.with_columns(begins.fill_null(value=True).cum_sum().cast(pl.Int64).alias("visit"))
    columns = [acts[name].to_numpy() for name in (UNIT, "visit", "item", "code", TS)]
    trail = Trail(*columns)
    found = journeys_of(trail, LOOKBACK_MICROS)
    since = trail.ts - acts[FIRST_AT].to_numpy()
    at = since[found.purchase_row]
    chosen = (at >= span[0]) & (at < span[1]) & (found.steps > 0)
    return (
        pl.DataFrame(
            {
                UNIT: trail.shopper_idx[found.purchase_row[chosen]].astype(np.int64),
                "journey_steps": found.steps[chosen].astype(np.float64),
            }
        )
        .group_by(UNIT)
        .agg(pl.len().cast(pl.Float64).alias("journeys"), pl.col("journey_steps").sum())
    )
