"""Figures of the next-basket protocol: per question, over all folds, and gains with intervals."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.metrics import ndcg, recall
from recommender.terms import BoolArray, Float64Array, Int32Array
from training.evaluation.bootstrap import Bootstrap
from training.evaluation.offline import Metric

K = 20
CONFIDENCE = 0.95
ROUNDS = 1_000

Ranking = tuple[str, ...]
Figures = dict[str, float | None]


def full_recall(ranking: Sequence[str], targets: Collection[str], k: int) -> float:
    """Σ_{i≤k} [r_i ∈ T] / |T|: the uncapped form; below 1 by construction where |T| > k."""
    return sum(item in targets for item in ranking[:k]) / len(targets)


@dataclass(frozen=True, slots=True)
class Questions:
    """Whom the folds asked, one row per (fold, shopper).

    Parameters
    ----------
    fold, shopper
        int32 (n,); a shopper may be asked in several folds.
    targets
        The next basket of each.
    own
        What each had bought before the cut.
    """

    fold: Int32Array
    shopper: Int32Array
    targets: tuple[frozenset[str], ...]
    own: tuple[frozenset[str], ...]

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def repeat(self) -> list[frozenset[str]]:
        """Targets that the shopper had bought before."""
        return [wanted & own for wanted, own in zip(self.targets, self.own, strict=True)]

    @property
    def new(self) -> list[frozenset[str]]:
        """Targets that the shopper had never bought."""
        return [wanted - own for wanted, own in zip(self.targets, self.own, strict=True)]

    @property
    def is_known(self) -> BoolArray:
        """Whether the shopper had bought anything, bool (n,)."""
        return np.array([bool(own) for own in self.own], np.bool_)

    @classmethod
    def joined(cls, folds: Sequence[Questions]) -> Questions:
        """The questions of all folds, in their order."""
        return cls(
            np.concatenate([each.fold for each in folds]),
            np.concatenate([each.shopper for each in folds]),
            tuple(wanted for each in folds for wanted in each.targets),
            tuple(own for each in folds for own in each.own),
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of one recommender.

    Parameters
    ----------
    values
        By figure, float64 (n,); NaN where a slice leaves a question out.
    """

    values: Mapping[str, Float64Array]

    @classmethod
    def of(cls, rankings: Sequence[Ranking], asked: Questions) -> Scored:
        """Score one ranking per question."""
        whole = _each(recall, rankings, asked.targets)
        known = asked.is_known
        return cls(
            {
                f"recall@{K}": whole,
                f"uncapped_recall@{K}": _each(full_recall, rankings, asked.targets),
                f"ndcg@{K}": _each(ndcg, rankings, asked.targets),
                f"repeat_recall@{K}": _each(recall, rankings, asked.repeat),
                f"new_recall@{K}": _each(recall, rankings, asked.new),
                f"with_history_recall@{K}": np.where(known, whole, np.nan),
                f"without_history_recall@{K}": np.where(known, np.nan, whole),
            }
        )

    @property
    def means(self) -> Figures:
        """Mean of each figure over the questions that have it, None where none has."""
        return {name: _mean(values) for name, values in self.values.items()}


def fold_means(scored: Scored, asked: Questions) -> list[float]:
    """Recall of each fold, in their order."""
    values = scored.values[f"recall@{K}"]
    return [float(values[asked.fold == fold].mean()) for fold in np.unique(asked.fold)]


def relative_gain(better: Float64Array, base: Float64Array, shopper: Int32Array) -> Figures:
    """mean(better) / mean(base) - 1 in percent, with a percentile bootstrap interval.

    Shoppers are drawn, each with all of their questions: answers to one shopper in two folds are
    not independent. None where the base finds nothing.

    Parameters
    ----------
    better, base
        float64 (n,), NaN at the same places.
    """
    kept = ~np.isnan(base)
    _, rows = np.unique(shopper[kept], return_inverse=True)
    sums = [np.bincount(rows, values[kept]) for values in (better, base)]
    if not len(rows) or sums[1].sum() == 0:
        return {"gain_percent": None, "low": None, "high": None}
    draws = Bootstrap.draw(len(sums[0]), ROUNDS, CONFIDENCE, seed=42).counts
    over, under = (draws @ each for each in sums)
    ratios = over[under > 0] / under[under > 0] - 1
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(ratios, [tail, 1 - tail])
    found = (sums[0].sum() / sums[1].sum() - 1, low, high)
    return {
        name: 100 * float(each)
        for name, each in zip(("gain_percent", "low", "high"), found, strict=True)
    }


def _each(
    metric: Metric, rankings: Sequence[Ranking], targets: Sequence[frozenset[str]]
) -> Float64Array:
    pairs = zip(rankings, targets, strict=True)
    return np.array([metric(shown, wanted, K) if wanted else np.nan for shown, wanted in pairs])


def _mean(values: Float64Array) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))
