"""Gradient-boosted trees that order candidates: LambdaMART (Burges 2010), by LightGBM.

Trees are grown on questions whose right answers are known. A part of the questions is kept aside
and decides when to stop; nothing else is chosen on it. Several bags, each grown from other draws of
questions and features and with another part kept aside, speak with one voice, their mean (bagging,
Breiman 1996): it wavers less than any of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import lightgbm as lgb
import numpy as np
import numpy.typing as npt

from recommender.forest import Forest
from recommender.forest_arrays import heads_of
from recommender.terms import BoolArray, Int32Array
from training.models.feature_file import FeatureRows
from training.models.forest_export import export_forest, joined, mean_of
from training.sections import RankerSpec

LEVELS = 16
_METRIC_AT = 20
_FEW_LEAVES = 7
# The check sums in another order on another number of threads; what is less decides nothing.
_LEAST_GAIN = 1e-7


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question with its candidates.

    All candidates are there, as serving will see them: leaving some of the wrong ones out by chance
    teaches that what is low in the shortlist is right too often (measured on visits to a shop: 57.4
    instead of 62.4 % of next items among twenty).

    Parameters
    ----------
    features
        Rows of float32 (c, features), read where they are looked at.
    levels
        How right each candidate is, 0 to `LEVELS`, int32 (c,).
    """

    features: FeatureRows
    levels: Int32Array


def is_answerable(levels: Int32Array) -> bool:
    """There is a right and a wrong candidate."""
    return 0 < int(np.count_nonzero(levels)) < len(levels)


@dataclass(frozen=True, slots=True)
class TaughtHead:
    """Trees of one head.

    Parameters
    ----------
    arrays
        As a bundle has them, see `recommender.forest_arrays`.
    questions
        Answerable questions that each bag learnt from, and kept aside.
    rounds
        Trees that were grown in all bags, those it begins with apart.
    curve
        nDCG@20 on the questions kept aside after each tree of the first bag.
    importance
        Share of the gain that each feature brought, mean of the bags, most first.
    """

    arrays: Mapping[str, npt.NDArray[np.generic]]
    questions: tuple[int, int]
    rounds: int
    curve: tuple[float, ...]
    importance: Mapping[str, float]


def teach(
    lessons: Sequence[Lesson],
    head: str,
    names: tuple[str, ...],
    spec: RankerSpec,
    threads: int,
    onto: TaughtHead | None = None,
) -> TaughtHead | None:
    """Grow the trees of a head; None where too few questions can be answered.

    The same lessons give the same trees, whatever the number of threads.

    Parameters
    ----------
    onto
        A head of the same features that this one begins with: what is grown corrects its sums, and
        few questions suffice for that. The new head has the trees of both.
    """
    lessons = [lesson for lesson in lessons if is_answerable(lesson.levels)]
    if len(lessons) < spec.min_questions:
        return None
    begun = _forest(onto, names) if onto else None
    bags = [
        _grown(lessons, head, names, replace(spec, seed=spec.seed + number), threads, begun)
        for number in range(spec.bags)
    ]
    arrays = mean_of([bag.arrays for bag in bags])
    importance = _most_first({name: fmean(bag.importance[name] for bag in bags) for name in names})
    return replace(
        bags[0],
        arrays=joined(onto.arrays, arrays) if onto else arrays,
        rounds=sum(bag.rounds for bag in bags),
        importance=importance,
    )


def _grown(
    lessons: Sequence[Lesson],
    head: str,
    names: tuple[str, ...],
    spec: RankerSpec,
    threads: int,
    begun: Forest | None,
) -> TaughtHead:
    """One bag, without the trees it begins with."""
    aside = _kept_aside(len(lessons), spec)
    train, check = (
        [lesson for lesson, is_aside in zip(lessons, aside, strict=True) if is_aside == part]
        for part in (False, True)
    )
    curve: dict[str, dict[str, list[float]]] = {}
    booster = lgb.train(
        _parameters(spec, threads, len(train)),
        _dataset(train, names, begun),
        spec.rounds,
        valid_sets=[_dataset(check, names, begun)],
        valid_names=["check"],
        callbacks=[
            lgb.early_stopping(spec.patience, verbose=False, min_delta=_LEAST_GAIN),
            lgb.record_evaluation(curve),
        ],
    )
    return TaughtHead(
        export_forest(booster, head),
        (len(train), len(check)),
        booster.best_iteration,
        tuple(round(float(each), 9) for each in curve["check"][f"ndcg@{_METRIC_AT}"]),
        _importance(booster, names),
    )


def _kept_aside(questions: int, spec: RankerSpec) -> BoolArray:
    aside = np.zeros(questions, np.bool_)
    count = max(1, round(questions * spec.check_share))
    aside[np.random.default_rng(spec.seed).choice(questions, count, replace=False)] = True
    return aside


def _parameters(spec: RankerSpec, threads: int, questions: int) -> dict[str, object]:
    # Candidates of one question say similar things: what a leaf rests on is questions.
    most = max(_FEW_LEAVES, questions // spec.leaf_questions)
    return {
        "objective": spec.objective,
        "metric": "ndcg",
        "eval_at": [_METRIC_AT],
        "label_gain": list(range(LEVELS + 1)),
        "learning_rate": spec.learning_rate,
        "num_leaves": min(spec.leaves, most),
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


def _forest(taught: TaughtHead, names: tuple[str, ...]) -> Forest:
    (head,) = heads_of(taught.arrays)
    return Forest.from_arrays(taught.arrays, head, len(names))


def _dataset(
    lessons: Sequence[Lesson], names: tuple[str, ...], begun: Forest | None
) -> lgb.Dataset:
    # LightGBM refuses some characters in names; the place says which one it is.
    return lgb.Dataset(
        [lesson.features for lesson in lessons],
        np.concatenate([lesson.levels for lesson in lessons]),
        group=[len(lesson.levels) for lesson in lessons],
        init_score=begun
        and np.concatenate([begun.score(each.features.read()) for each in lessons]),
        feature_name=[f"f{number}" for number in range(len(names))],
        params={"max_bin": 127, "verbose": -1},
    )


def _importance(booster: lgb.Booster, names: tuple[str, ...]) -> dict[str, float]:
    """Share of the gain by feature."""
    gains = booster.feature_importance("gain")
    shares = gains / max(float(gains.sum()), 1e-12)
    return dict(zip(names, shares.tolist(), strict=True))


def _most_first(shares: Mapping[str, float]) -> dict[str, float]:
    ordered = sorted(shares.items(), key=lambda each: -each[1])
    return {name: round(share, 6) for name, share in ordered if share > 0}
