"""Gradient-boosted trees that order candidates: LambdaMART (Burges 2010), by LightGBM.

Trees are grown on questions whose right answers are known. A part of the questions is kept aside
and decides when to stop; nothing else is chosen on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from recommender.terms import BoolArray, Float32Array, Int32Array
from training.models.forest_export import export_forest
from training.sections import RankerSpec

LEVELS = 16
_METRIC_AT = 20
# The check sums in another order on another number of threads; what is less decides nothing.
_LEAST_GAIN = 1e-7


@dataclass(frozen=True, slots=True)
class Lessons:
    """Questions with their candidates one behind the other.

    All candidates of a question are there, as serving will see them: leaving some of the wrong ones
    out by chance teaches that what is low in the blend is right too often (measured on visits to a
    shop: 57.4 instead of 62.4 % of next items among twenty).

    Parameters
    ----------
    features
        float32 (rows, features).
    levels
        How right each candidate is, 0 to `LEVELS`, int32 (rows,).
    sizes
        Candidates of each question, int32 (questions,).
    """

    features: Float32Array
    levels: Int32Array
    sizes: Int32Array

    def part(self, chosen: BoolArray) -> Lessons:
        """Some of the questions, bool (questions,)."""
        rows = np.repeat(chosen, self.sizes)
        return Lessons(self.features[rows], self.levels[rows], self.sizes[chosen])

    def answerable(self) -> BoolArray:
        """Questions with a right and a wrong candidate, bool (questions,)."""
        if not len(self.sizes):
            return np.empty(0, np.bool_)
        starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]])
        right = np.add.reduceat((self.levels > 0).astype(np.int64), starts)
        answerable: BoolArray = (right > 0) & (right < self.sizes)
        return answerable


@dataclass(frozen=True, slots=True)
class TaughtHead:
    """Trees of one head.

    Parameters
    ----------
    arrays
        As a bundle has them, see `recommender.forest_arrays`.
    questions
        Answerable questions that were learnt from, and kept aside.
    rounds
        Trees.
    curve
        nDCG@20 on the questions kept aside after each tree.
    importance
        Share of the gain that each feature brought, most first.
    """

    arrays: Mapping[str, npt.NDArray[np.generic]]
    questions: tuple[int, int]
    rounds: int
    curve: tuple[float, ...]
    importance: Mapping[str, float]


def teach(
    lessons: Lessons, head: str, names: tuple[str, ...], spec: RankerSpec, threads: int
) -> TaughtHead | None:
    """Grow the trees of a head; None where too few questions can be answered.

    The same lessons give the same trees, whatever the number of threads.
    """
    lessons = lessons.part(lessons.answerable())
    if len(lessons.sizes) < spec.min_questions:
        return None
    aside = _kept_aside(len(lessons.sizes), spec)
    train, check = lessons.part(~aside), lessons.part(aside)
    curve: dict[str, dict[str, list[float]]] = {}
    booster = lgb.train(
        _parameters(spec, threads),
        _dataset(train, names),
        spec.rounds,
        valid_sets=[_dataset(check, names)],
        valid_names=["check"],
        callbacks=[
            lgb.early_stopping(spec.patience, verbose=False, min_delta=_LEAST_GAIN),
            lgb.record_evaluation(curve),
        ],
    )
    return TaughtHead(
        export_forest(booster, head),
        (len(train.sizes), len(check.sizes)),
        booster.best_iteration,
        tuple(round(float(each), 9) for each in curve["check"][f"ndcg@{_METRIC_AT}"]),
        _importance(booster, names),
    )


def _kept_aside(questions: int, spec: RankerSpec) -> BoolArray:
    aside = np.zeros(questions, np.bool_)
    count = max(1, round(questions * spec.check_share))
    aside[np.random.default_rng(spec.seed).choice(questions, count, replace=False)] = True
    return aside


def _parameters(spec: RankerSpec, threads: int) -> dict[str, object]:
    return {
        "objective": spec.objective,
        "metric": "ndcg",
        "eval_at": [_METRIC_AT],
        "label_gain": list(range(LEVELS + 1)),
        "learning_rate": spec.learning_rate,
        "num_leaves": spec.leaves,
        "min_data_in_leaf": spec.min_leaf,
        "feature_fraction": spec.feature_share,
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "lambdarank_truncation_level": spec.truncation,
        "max_bin": 127,
        "seed": spec.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": threads,
        "verbose": -1,
    }


def _dataset(lessons: Lessons, names: tuple[str, ...]) -> lgb.Dataset:
    # LightGBM refuses some characters in names; the place says which one it is.
    columns = [f"f{number}" for number in range(len(names))]
    return lgb.Dataset(
        lessons.features,
        lessons.levels,
        group=lessons.sizes,
        feature_name=columns,
        params={"max_bin": 127, "verbose": -1},
        free_raw_data=False,
    )


def _importance(booster: lgb.Booster, names: tuple[str, ...]) -> dict[str, float]:
    gains = booster.feature_importance("gain")
    shares = gains / max(float(gains.sum()), 1e-12)
    order = np.argsort(-shares, kind="stable")
    return {names[place]: round(float(shares[place]), 6) for place in order if shares[place] > 0}
