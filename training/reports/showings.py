"""What was shown in lists of ours, and what came of it: the rows of the reports on lists.

Showings, what takes them up and what was ignored are those of `recommender.exposures`, counted by
the functions that training uses, so a report and a model speak of the same things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from feature_store.layout import StoreLayout
from feature_store.tables import read_interactions
from recommender.errors import DataError
from recommender.exposures import SHIPPED_PLACEMENTS, TAKEN_UP
from recommender.terms import (
    DISMISS,
    EVENT_TYPE,
    IDENTIFY,
    INTERACTION_TYPES,
    ITEM_ID,
    ITEM_POSITION,
    MICROS_PER_SECOND,
    PLACEMENT,
    PURCHASE,
    RECOMMENDATION_ID,
    REFUND,
    SHOPPER_ID,
    TS,
    VIEW_ITEM_LIST,
    BoolArray,
    Int64Array,
)
from training.dataset import moment
from training.engine import Period
from training.models.impression_discount import counted, taken_up
from training.reports.answers import Answer, read_answers

UNNAMED: Final = "(unnamed)"
PAGE_MICROS: Final = MICROS_PER_SECOND
"""What happens within a second of a showing is of the same page."""
_KEY: Final = ("shopper", "item", TS)
_COLUMNS: Final = ("answer", "visit", TS, "ignored", "taken", "dismissed", "is_exit", "is_over")


@dataclass(frozen=True, slots=True)
class Showings:
    """Items shown in a period, n rows, by shopper, item and time.

    Parameters
    ----------
    shopper, placement, answer
        Numbers; of the answer -1 where no record of it is known. int64 (n,).
    position
        Place in the list, from 0, int64 (n,).
    visit, ts
        Number of the visit, and microseconds, int64 (n,).
    ignored
        How often the item had been ignored before, int64 (n,).
    taken, dismissed
        Whether it was taken up, or dismissed, within half an hour, bool (n,).
    is_exit, is_over
        Whether the visit ended with it and without a purchase; whether the visit had ended when the
        log did, so that this is known; bool (n,).
    item_ids, placements, answers
        What rows and numbers stand for.
    shoppers
        How many shoppers were shown something.
    counts
        Rows, by what is known of them.
    """

    shopper: Int64Array
    placement: Int64Array
    answer: Int64Array
    position: Int64Array
    visit: Int64Array
    ts: Int64Array
    ignored: Int64Array
    taken: BoolArray
    dismissed: BoolArray
    is_exit: BoolArray
    is_over: BoolArray
    item_ids: tuple[str, ...]
    placements: tuple[str, ...]
    answers: tuple[Answer, ...]
    shoppers: int
    counts: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.ts)


def read_showings(layout: StoreLayout, period: Period, gap_micros: int) -> Showings:
    """Read what was shown in a period, with all that was known before.

    Raises
    ------
    DataError
        Nothing was shown in a list of ours.
    """
    rows = _rows(layout, period, gap_micros)
    shown, inside = _shown(rows), pl.col(TS) >= period.start
    if shown.filter(inside).is_empty():
        raise DataError(
            f"no list of ours was shown from {moment(period.start).isoformat()} to "
            f"{moment(period.end).isoformat()}; send view_item_list events with the "
            "recommendation_id of the answer, and ingest them"
        )
    ids = shown.filter(inside)[RECOMMENDATION_ID].drop_nulls()
    found = read_answers(layout.log, set(ids.to_list()))
    shown = _placed(shown, found)
    acts = rows.filter("is_act")
    pair, ts = _pairs(shown), shown[TS].to_numpy()
    ignored, _, _ = counted(pair, ts, _pairs(acts), acts[TS].to_numpy())
    clicks = acts.filter("is_ours", pl.col(EVENT_TYPE).is_in(list(TAKEN_UP)))
    dismissals = acts.filter(pl.col(EVENT_TYPE) == DISMISS)
    shown = shown.with_columns(
        ignored=ignored,
        taken=taken_up(pair, ts, _pairs(clicks), clicks[TS].to_numpy()),
        dismissed=taken_up(pair, ts, _pairs(dismissals), dismissals[TS].to_numpy()),
        is_over=pl.col("visit_end") <= period.end - gap_micros,
        is_exit=(pl.col("visit_end") - pl.col(TS) <= PAGE_MICROS) & ~pl.col("has_bought"),
    ).filter(inside)
    return _as_arrays(shown, found)


def _rows(layout: StoreLayout, period: Period, gap_micros: int) -> pl.DataFrame:
    """Every act up to the end of the period, with its visit; by shopper and time."""
    log = read_interactions(layout, None, moment(period.end - 1).date())
    at_place = pl.col(PLACEMENT).is_in(list(SHIPPED_PLACEMENTS)).fill_null(value=False)
    has_item, kind = pl.col(ITEM_ID).is_not_null(), pl.col(EVENT_TYPE)
    kept = (
        log.select(
            SHOPPER_ID,
            pl.col(TS).dt.epoch("us"),
            EVENT_TYPE,
            ITEM_ID,
            ITEM_POSITION,
            PLACEMENT,
            RECOMMENDATION_ID,
        )
        .filter(pl.col(TS) < period.end, ~kind.is_in([REFUND, IDENTIFY]))
        .sort(SHOPPER_ID, TS, EVENT_TYPE, ITEM_ID, PLACEMENT, ITEM_POSITION, RECOMMENDATION_ID)
        .with_columns(
            shopper=pl.col(SHOPPER_ID).rank("dense").cast(pl.Int64) - 1,
            item=pl.col(ITEM_ID).rank("dense").cast(pl.Int64) - 1,
            is_ours=has_item & (pl.col(RECOMMENDATION_ID).is_not_null() | at_place),
            is_act=has_item & kind.is_in(list(INTERACTION_TYPES)),
        )
    )
    begins = (pl.col("shopper").diff() != 0) | (pl.col(TS).diff() > gap_micros)
    visit = begins.fill_null(value=True).cum_sum().cast(pl.Int64)
    return (
        kept.with_columns(visit=visit)
        .with_columns(
            visit_end=pl.col(TS).max().over("visit"),
            has_bought=(kind == PURCHASE).any().over("visit"),
        )
        .collect()
    )


def _shown(rows: pl.DataFrame) -> pl.DataFrame:
    lists = rows.filter(pl.col(EVENT_TYPE) == VIEW_ITEM_LIST, "is_ours")
    # An item in two lists of a page at one moment is one showing of it.
    return lists.unique(_KEY, keep="first", maintain_order=True).sort(_KEY)


def _placed(shown: pl.DataFrame, found: Mapping[str, Answer]) -> pl.DataFrame:
    """With the number of each answer, and the placement that it was asked for at."""
    numbers = pl.DataFrame(
        {
            RECOMMENDATION_ID: list(found),
            "answer": range(len(found)),
            "surface": [answer.placement for answer in found.values()],
        },
        schema={RECOMMENDATION_ID: pl.String, "answer": pl.Int64, "surface": pl.String},
    )
    known = shown.join(numbers, on=RECOMMENDATION_ID, how="left", maintain_order="left")
    place = pl.coalesce("surface", PLACEMENT, pl.lit(UNNAMED))
    return known.with_columns(pl.col("answer").fill_null(-1), place=place)


def _pairs(rows: pl.DataFrame) -> Int64Array:
    # Items are fewer than 2^31, and so are shoppers.
    shopper, item = rows["shopper"].to_numpy(), rows["item"].to_numpy()
    return np.asarray(shopper * (1 << 31) + item, np.int64)


def _as_arrays(shown: pl.DataFrame, found: Mapping[str, Answer]) -> Showings:
    placements = tuple(shown["place"].unique().sort().to_list())
    number = shown["place"].replace_strict(placements, range(len(placements)))
    shopper = shown["shopper"].rank("dense").cast(pl.Int64) - 1
    counts = {
        "items shown": len(shown),
        "of them in answers whose record is in the log": int((shown["answer"] >= 0).sum()),
        "taken up": int(shown["taken"].sum()),
    }
    columns = {name: shown[name].to_numpy() for name in _COLUMNS}
    return Showings(
        shopper=shopper.to_numpy(),
        placement=number.cast(pl.Int64).to_numpy(),
        position=shown[ITEM_POSITION].fill_null(0).cast(pl.Int64).clip(lower_bound=0).to_numpy(),
        item_ids=tuple(shown[ITEM_ID].to_list()),
        placements=placements,
        answers=tuple(found.values()),
        shoppers=shown["shopper"].n_unique(),
        counts=counts,
        **columns,
    )
