"""What the ranker learns from: moments of shoppers' ways, what was known then, what came next.

``asked = "in_visit"``: every moment of a period at which a shopper did something that counts as
right (or a seeded sample of them) is a question, asked with all that was known just before. The
next step is what was done at that moment, worth 1, and what followed in the visit, worth
``visit_decay`` for each moment that it lies ahead; the purchase is what the shopper bought next,
within `LOOKBACK_MICROS`, worth ``purchase_decay`` for each moment that it lies ahead. ``asked =
"at_cut"``: each shopper is asked once, at the start of the period; the next step is everything
until its end.

A purchase of what the shopper had met on this way before is worth ``met_worth`` of that, by default
nothing: a list can save steps only before the first sight, and taught with all purchases the trees
learn little more than that what is bought is mostly something that was looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recommender.journey import LOOKBACK_MICROS
from recommender.query import Query
from recommender.terms import EVENT_CODES, PURCHASE
from training.engine import Engine, EventWindow, Period
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
        right = self._right(asked.filter("is_drawn"), period)
        bought = self._bought(asked, period)
        return [
            Question(query_of(past, at, self.spec), right.get(number, {}), bought.get(number, {}))
            for number, (past, at) in enumerate(zip(pasts, asked["at"].to_list(), strict=True))
            if number in right or number in bought
        ]

    def _moments(self, period: Period) -> pl.DataFrame:
        """A sample of all moments, and one of those that a purchase followed.

        Ways to a purchase are few: in a sample of everything there are too few to learn from. Only
        moments of the first sample (``is_drawn``) are asked for the next step, lest buyers' ways
        count more than others there.
        """
        found = self._all_moments(period)
        most, seed = self.spec.ranker.max_questions, self.spec.ranker.seed
        bought = (
            self.window.scan()
            .filter(pl.col("ts").is_between(period.start, period.end - 1))
            .filter(pl.col("event_code") == _BOUGHT)
            .group_by("shopper_idx")
            .agg(last=pl.col("ts").max())
            .collect()
        )
        ways = found.join(bought, on="shopper_idx").filter(pl.col("at") <= pl.col("last"))
        samples = [_sampled(found, most, seed), _sampled(ways.drop("last"), most, seed)]
        return (
            pl.concat(
                part.with_columns(is_drawn=pl.lit(number == 0))
                for number, part in enumerate(samples)
            )
            .group_by("shopper_idx", "at")
            .agg(pl.col("is_drawn").any())
            .sort("shopper_idx", "at")
            .with_row_index("question")
            .cast({"question": pl.Int64})
        )

    def _all_moments(self, period: Period) -> pl.DataFrame:
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
        return moments.unique().sort("shopper_idx", "at").collect()

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
        ahead = self._ahead(asked, period).filter(pl.col("ts") < pl.col("at") + LOOKBACK_MICROS)
        steps = (
            ahead.sort("question", "ts")
            .with_columns(moments=_moments_ahead())
            .filter(pl.col("event_code") == _BOUGHT)
            # Only the next purchase: the way to the one after it is another way.
            .filter(pl.col("ts") == pl.col("ts").min().over("question"))
        )
        met = self._met(asked).with_columns(share=pl.lit(self.spec.ranker.met_worth))
        shared = steps.join(met, on=["question", "item_idx"], how="left")
        return self._worths(shared, self.spec.ranker.purchase_decay)

    def _met(self, asked: pl.DataFrame) -> pl.LazyFrame:
        """Items of each question's way so far, since the last purchase or `LOOKBACK_MICROS`."""
        bought = pl.col("ts").filter(pl.col("event_code") == _BOUGHT).max().over("question")
        return (
            self.window.scan()
            .join(asked.lazy(), on="shopper_idx")
            .filter(
                pl.col("ts").is_between(pl.col("at") - LOOKBACK_MICROS, pl.col("at"), closed="left")
            )
            .filter(pl.col("ts") > bought.fill_null(-1))
            .select("question", "item_idx")
            .unique()
        )

    def _worths(self, rows: pl.LazyFrame, decay: float) -> dict[int, dict[str, float]]:
        """Of each question, what its items are worth by how many moments they lie ahead.

        Where there is a column ``share``, that share of it; what is worth nothing is left out.
        """
        if "share" not in rows.collect_schema():
            rows = rows.with_columns(share=pl.lit(1.0))
        nearest = rows.group_by("question", "item_idx").agg(
            pl.col("moments").min(), pl.col("share").first().fill_null(1.0)
        )
        ids, found = self.window.item_ids, dict[int, dict[str, float]]()
        ordered = nearest.sort("question", "item_idx").collect()
        for question, item, moments, share in ordered.iter_rows():
            if worth := share * decay**moments:
                found.setdefault(question, {})[ids[item]] = worth
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
        return moments[np.sort(chosen)]
    return moments
