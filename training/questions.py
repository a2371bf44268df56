"""What the ranker learns from: moments of shoppers' ways, what was known then, what came next.

``asked = "in_visit"``: every moment of a period at which a shopper did something that counts as
right (or a seeded sample of them) is a question, asked with all that was known just before. The
next step is what was done at that moment, worth 1, and what followed in the visit, worth
``visit_decay`` for each moment that it lies ahead; the purchase is what the shopper bought next,
within `LOOKBACK_DAYS`, worth ``purchase_decay`` for each moment that it lies ahead. ``asked =
"at_cut"``: each shopper is asked once, at the start of the period; the next step is everything
until its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recommender.journey import LOOKBACK_DAYS
from recommender.query import Query
from recommender.terms import EVENT_CODES, PURCHASE
from training.engine import Engine, EventWindow, Period
from training.sections import SECONDS_PER_DAY
from training.spec import TrainingSpec
from training.split import may_be_asked, pasts_of, query_of

_BOUGHT = EVENT_CODES[PURCHASE]


@dataclass(frozen=True, slots=True)
class Question:
    """One moment.

    Parameters
    ----------
    next_step, purchase
        Items that are right, by outside id, and what each is worth, in (0, 1].
    """

    query: Query
    next_step: Mapping[str, float]
    purchase: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Questioner:
    """Draws the questions of periods of one window.

    Parameters
    ----------
    workspace
        Existing folder for files between the stages.
    without
        Shoppers (outside ids) of whom nothing is asked.
    """

    engine: Engine
    window: EventWindow
    spec: TrainingSpec
    workspace: Path
    without: frozenset[str] = frozenset()

    def questions(self, period: Period) -> list[Question]:
        """Questions of a period in the order of shopper and moment; none where nothing was done."""
        asked = self._moments(period)
        if asked.is_empty():
            return []
        depth = self.spec.seeds.max_history
        path = self.engine.join_as_of(self.window, asked, "shopper_idx", depth, self.workspace)
        pasts = pasts_of(pl.read_parquet(path), self.window, len(asked))
        right = self._right(asked, period)
        bought = self._bought(asked, period)
        return [
            Question(query_of(past, at, self.spec), right[number], bought.get(number, {}))
            for number, (past, at) in enumerate(zip(pasts, asked["at"].to_list(), strict=True))
            if number in right
        ]

    def _moments(self, period: Period) -> pl.DataFrame:
        codes = [EVENT_CODES[name] for name in self.spec.split.target_events]
        done = (
            self.window.scan()
            .filter(pl.col("ts").is_between(period.start, period.end - 1))
            .filter(pl.col("event_code").is_in(codes))
            .filter(may_be_asked(self.window, self.without))
        )
        if self.spec.split.asked == "at_cut":
            moments = done.select("shopper_idx", at=pl.lit(period.start, pl.Int64))
        else:
            # Nothing can be known at a shopper's very first moment.
            first = self.window.scan().group_by("shopper_idx").agg(first=pl.col("ts").min())
            later = done.join(first, on="shopper_idx").filter(pl.col("ts") > pl.col("first"))
            moments = later.select("shopper_idx", at=pl.col("ts"))
        found = moments.unique().sort("shopper_idx", "at").collect()
        return _sampled(found, self.spec.ranker.max_questions, self.spec.ranker.seed)

    def _right(self, asked: pl.DataFrame, period: Period) -> dict[int, dict[str, float]]:
        codes = [EVENT_CODES[name] for name in self.spec.split.target_events]
        ahead = self._ahead(asked, period).filter(pl.col("event_code").is_in(codes))
        if self.spec.split.asked == "at_cut":
            return self._worths(ahead.with_columns(moments=pl.lit(0)), 1.0)
        visit = (
            ahead.sort("question", "ts")
            .filter(pl.col("session") == pl.col("session").first().over("question"))
            .with_columns(moments=_moments_ahead())
        )
        return self._worths(visit, self.spec.ranker.visit_decay)

    def _bought(self, asked: pl.DataFrame, period: Period) -> dict[int, dict[str, float]]:
        horizon = LOOKBACK_DAYS * SECONDS_PER_DAY * 1_000_000
        ahead = self._ahead(asked, period).filter(pl.col("ts") < pl.col("at") + horizon)
        steps = (
            ahead.sort("question", "ts")
            .with_columns(moments=_moments_ahead())
            .filter(pl.col("event_code") == _BOUGHT)
            # Only the next purchase: the way to the one after it is another way.
            .filter(pl.col("ts") == pl.col("ts").min().over("question"))
        )
        return self._worths(steps, self.spec.ranker.purchase_decay)

    def _worths(self, rows: pl.LazyFrame, decay: float) -> dict[int, dict[str, float]]:
        """Of each question, what its items are worth by how many moments they lie ahead."""
        nearest = rows.group_by("question", "item_idx").agg(pl.col("moments").min())
        ids, found = self.window.item_ids, dict[int, dict[str, float]]()
        for question, item, moments in nearest.sort("question", "item_idx").collect().iter_rows():
            found.setdefault(question, {})[ids[item]] = decay**moments
        return found

    def _ahead(self, asked: pl.DataFrame, period: Period) -> pl.LazyFrame:
        """Events of each question's shopper from its moment to the end of the period."""
        return (
            self.window.scan()
            .filter(pl.col("ts").is_between(period.start, period.end - 1))
            .join(asked.lazy(), on="shopper_idx")
            .filter(pl.col("ts") >= pl.col("at"))
            .select("question", "item_idx", "event_code", "session", "ts", "at")
        )


def _moments_ahead() -> pl.Expr:
    return pl.col("ts").rank("dense").over("question").cast(pl.Int64) - 1


def _sampled(moments: pl.DataFrame, most: int, seed: int) -> pl.DataFrame:
    if len(moments) > most:
        chosen = np.random.default_rng(seed).choice(len(moments), most, replace=False)
        moments = moments[np.sort(chosen)]
    return moments.with_columns(question=pl.int_range(len(moments), dtype=pl.Int64))
