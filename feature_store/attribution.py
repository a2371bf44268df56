"""Which suggestion gets the credit for what somebody did: decisions, exposures, outcomes joined.

*Decisions* are the items of answers; *exposures* say which of them were visible; *outcomes* are
what shoppers did with items. An outcome is credited to at most one suggestion of its item:

1. by its recommendation id, where it carries one: the item in that answer, and in no other;
2. else to the same subject's latest suggestion of the item that was visible not longer before than
   the window. So shops that send GA4 events only, without any id of ours, have attribution as well.

Where a log says which suggestions were visible only those can be credited by the second rule; an
answer of which nothing is said is taken as visible when it was given. The first rule needs no
exposure: who clicked it has seen it.

The result depends on nothing but the rows, whatever their order; rows that are there twice count
once. So what comes late is attributed by running it again. Nothing is left out without a count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from recommender.terms import EVENT_ID, EVENT_TYPE, ITEM_ID, RECOMMENDATION_ID, TS, VALUE

DECISION_ID: Final = "decision_id"
DECIDED_AT: Final = "decided_at"
SHOWN_AT: Final = "shown_at"
SUBJECT_KEY: Final = "subject_key"
SLOT: Final = "slot"
QA: Final = "qa"
HOW: Final = "how"
BY_ID, BY_WINDOW = "recommendation_id", "window"
UNKNOWN_ID, NOT_IN_ANSWER, TOO_LATE = "unknown_id", "not_in_answer", "outside_window"
NO_SUGGESTION, QA_ANSWER = "no_suggestion", "qa"
DAY_MICROS: Final = 86_400_000_000

DECISIONS: Final = pl.Schema(
    {
        DECISION_ID: pl.String(),
        DECIDED_AT: pl.Int64(),
        SUBJECT_KEY: pl.String(),
        ITEM_ID: pl.String(),
        SLOT: pl.Int64(),
        QA: pl.Boolean(),
    }
)
"""One row per item of an answer; further columns are kept. Times are microseconds, UTC."""
EXPOSURES: Final = pl.Schema({DECISION_ID: pl.String(), ITEM_ID: pl.String(), SHOWN_AT: pl.Int64()})
"""One row per item that was visible."""
OUTCOMES: Final = pl.Schema(
    {
        EVENT_ID: pl.String(),
        EVENT_TYPE: pl.String(),
        ITEM_ID: pl.String(),
        TS: pl.Int64(),
        RECOMMENDATION_ID: pl.String(),
        SUBJECT_KEY: pl.String(),
        VALUE: pl.Float64(),
    }
)
"""One row per event and item; an event of two names (visitor and user) has a row for each."""
_EVENT: Final = (EVENT_ID, ITEM_ID)


@dataclass(frozen=True, slots=True)
class Attribution:
    """What was credited.

    Parameters
    ----------
    shown
        The items of answers, without those of tests, with `shown_at` (null: not visible, where the
        log says so).
    credited
        One row per outcome with credit: `OUTCOMES` less the subject, and `decision_id`, `slot`,
        `how`.
    outcomes
        How many outcomes there are, by how they were credited, or why not.
    exposures
        How many exposures there are, and how many of them no decision is known of.
    qa_items
        Items of answers to tests, left out.
    """

    shown: pl.DataFrame
    credited: pl.DataFrame
    outcomes: Mapping[str, int]
    exposures: Mapping[str, int]
    qa_items: int

    @property
    def unmatched_share(self) -> float:
        """Share of the outcomes that no suggestion is credited with; 0 without outcomes."""
        total = sum(self.outcomes.values())
        matched = self.outcomes.get(BY_ID, 0) + self.outcomes.get(BY_WINDOW, 0)
        return 1 - matched / total if total else 0.0


def attribute(
    decisions: pl.DataFrame,
    exposures: pl.DataFrame,
    outcomes: pl.DataFrame,
    window_micros: int = DAY_MICROS,
) -> Attribution:
    """Join the three.

    Parameters
    ----------
    decisions, exposures, outcomes
        Frames with the columns of `DECISIONS`, `EXPOSURES` and `OUTCOMES`.
    window_micros
        How long after it was shown a suggestion may be credited.
    """
    decisions = decisions.unique([DECISION_ID, ITEM_ID], keep="first", maintain_order=True)
    shown = _shown(decisions, exposures).sort(DECISION_ID, SLOT, ITEM_ID)
    outcomes = outcomes.unique().sort(EVENT_ID, ITEM_ID, SUBJECT_KEY, TS)
    with_id = outcomes.filter(pl.col(RECOMMENDATION_ID).is_not_null())
    without = outcomes.filter(pl.col(RECOMMENDATION_ID).is_null())
    judged = pl.concat(
        [_by_id(with_id, shown, window_micros), _by_window(without, shown, window_micros)]
    )
    # Of the rows of one event those that found something count; visitor and user agree else.
    judged = judged.sort(*_EVENT, pl.col(DECISION_ID).is_null(), DECISION_ID, HOW)
    judged = judged.unique(_EVENT, keep="first", maintain_order=True)
    counts = dict(judged.group_by(HOW).len().sort(HOW).iter_rows())
    return Attribution(
        shown.filter(~pl.col(QA)),
        judged.filter(pl.col(DECISION_ID).is_not_null()),
        counts,
        _exposure_counts(exposures, decisions),
        int(decisions[QA].sum()),
    )


def _shown(decisions: pl.DataFrame, exposures: pl.DataFrame) -> pl.DataFrame:
    """Decisions with the moment at which each item was visible first."""
    seen = exposures.group_by(DECISION_ID, ITEM_ID).agg(pl.col(SHOWN_AT).min())
    told = exposures.select(DECISION_ID).unique().with_columns(is_told=True)
    rows = decisions.join(seen, on=[DECISION_ID, ITEM_ID], how="left")
    rows = rows.join(told, on=DECISION_ID, how="left")
    at_once = pl.when(pl.col("is_told").is_null()).then(pl.col(DECIDED_AT))
    return rows.with_columns(pl.coalesce(SHOWN_AT, at_once).alias(SHOWN_AT)).drop("is_told")


def _by_id(outcomes: pl.DataFrame, shown: pl.DataFrame, window_micros: int) -> pl.DataFrame:
    answers = shown.group_by(DECISION_ID).agg(pl.col(DECIDED_AT).min(), pl.col(QA).any())
    items = shown.select(DECISION_ID, ITEM_ID, SLOT)
    rows = outcomes.join(answers, left_on=RECOMMENDATION_ID, right_on=DECISION_ID, how="left").join(
        items, left_on=[RECOMMENDATION_ID, ITEM_ID], right_on=[DECISION_ID, ITEM_ID], how="left"
    )
    late = pl.col(TS) - pl.col(DECIDED_AT) > window_micros
    how = (
        pl.when(pl.col(DECIDED_AT).is_null())
        .then(pl.lit(UNKNOWN_ID))
        .when(QA)
        .then(pl.lit(QA_ANSWER))
        .when(pl.col(SLOT).is_null())
        .then(pl.lit(NOT_IN_ANSWER))
        .when(late)
        .then(pl.lit(TOO_LATE))
        .otherwise(pl.lit(BY_ID))
    )
    return _judged(rows.with_columns(how.alias(HOW)), pl.col(RECOMMENDATION_ID))


def _by_window(outcomes: pl.DataFrame, shown: pl.DataFrame, window_micros: int) -> pl.DataFrame:
    visible = shown.filter(pl.col(SHOWN_AT).is_not_null(), pl.col(SUBJECT_KEY) != "", ~pl.col(QA))
    visible = visible.select(
        SUBJECT_KEY, ITEM_ID, SHOWN_AT, SLOT, pl.col(DECISION_ID).alias("found_id")
    ).sort(SHOWN_AT, "found_id")
    rows = outcomes.sort(TS, *_EVENT).join_asof(
        visible,
        left_on=TS,
        right_on=SHOWN_AT,
        by=[SUBJECT_KEY, ITEM_ID],
        strategy="backward",
        # Both sides are sorted just above; polars cannot check that beside `by` and would warn.
        check_sortedness=False,
    )
    how = (
        pl.when(pl.col("found_id").is_null())
        .then(pl.lit(NO_SUGGESTION))
        .when(pl.col(TS) - pl.col(SHOWN_AT) > window_micros)
        .then(pl.lit(TOO_LATE))
        .otherwise(pl.lit(BY_WINDOW))
    )
    return _judged(rows.with_columns(how.alias(HOW)), pl.col("found_id"))


def _judged(rows: pl.DataFrame, decision_id: pl.Expr) -> pl.DataFrame:
    is_credited = pl.col(HOW).is_in([BY_ID, BY_WINDOW])
    return rows.select(
        *(name for name in OUTCOMES if name != SUBJECT_KEY),
        pl.when(is_credited).then(decision_id).alias(DECISION_ID),
        pl.when(is_credited).then(pl.col(SLOT)).alias(SLOT),
        HOW,
    )


def _exposure_counts(exposures: pl.DataFrame, decisions: pl.DataFrame) -> dict[str, int]:
    rows = exposures.unique([DECISION_ID, ITEM_ID])
    unknown = rows.join(decisions, on=[DECISION_ID, ITEM_ID], how="anti")
    return {"items shown": len(rows), "of unknown decisions": len(unknown)}
