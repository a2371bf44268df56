"""Ranking metrics over one list or many, each with its formula.

Notation: a ranking is r_1, r_2, …; T is the set of targets; k the cut-off; [·] is 1 if true.
A list shorter than k is not padded: its missing positions hit nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Hashable, Sequence

import numpy as np

from recommender.terms import Float64Array


def recall(ranking: Sequence[Hashable], targets: Collection[Hashable], k: int) -> float:
    """Σ_{i≤k} [r_i ∈ T] / min(k, |T|): share of what could be found that was found.

    The denominator is capped at k, so that a perfect list scores 1 (see RecTools, LensKit for the
    uncapped form; both orders of models agree when |T| ≤ k).
    """
    _check(targets, k)
    return sum(item in targets for item in ranking[:k]) / min(k, len(targets))


def hit_rate(ranking: Sequence[Hashable], targets: Collection[Hashable], k: int) -> float:
    """[some r_i ∈ T, i ≤ k]; for a single target this is P@k of the session literature."""
    _check(targets, k)
    return float(any(item in targets for item in ranking[:k]))


def mrr(ranking: Sequence[Hashable], targets: Collection[Hashable], k: int) -> float:
    """1 / position of the first hit within k, or 0."""
    _check(targets, k)
    for position, item in enumerate(ranking[:k], start=1):
        if item in targets:
            return 1.0 / position
    return 0.0


def ndcg(ranking: Sequence[Hashable], targets: Collection[Hashable], k: int) -> float:
    """Σ_{i≤k} [r_i ∈ T] / log2(i+1), divided by its value for a perfect list.

    Järvelin and Kekäläinen 2002, binary gain.
    """
    _check(targets, k)
    gained = sum(
        1.0 / math.log2(position + 1)
        for position, item in enumerate(ranking[:k], start=1)
        if item in targets
    )
    ideal = sum(1.0 / math.log2(i + 1) for i in range(1, min(k, len(targets)) + 1))
    return gained / ideal


def coverage(shown_counts: Float64Array) -> float:
    """Share of the catalogue that was shown at least once.

    Parameters
    ----------
    shown_counts
        How often each item was shown, (items,).
    """
    return float(np.count_nonzero(shown_counts) / len(shown_counts)) if len(shown_counts) else 0.0


def gini(shown_counts: Float64Array) -> float:
    """Concentration of what was shown: 0 where every item is shown equally often, near 1 for one.

    G = Σ_i (2i - n - 1) x_i / (n Σ x) over counts in rising order.
    """
    total = float(np.sum(shown_counts))
    if total <= 0:
        return 0.0
    ordered = np.sort(np.asarray(shown_counts, np.float64))
    n = len(ordered)
    return float(((2 * np.arange(1, n + 1) - n - 1) * ordered).sum() / (n * total))


def novelty(ranking: Sequence[int], item_share: Float64Array, k: int) -> float:
    """Mean of -log2 p(r_i) over the first k: how surprising the items are.

    Parameters
    ----------
    ranking
        Item indices.
    item_share
        Share of all interactions that each item has, (items,), positive.
    """
    shown = list(ranking[:k])
    return float(-np.log2(item_share[shown]).mean()) if shown else 0.0


def _check(targets: Collection[Hashable], k: int) -> None:
    if not targets:
        raise ValueError("a list without targets cannot be scored; leave it out and count it")
    if k < 1:
        raise ValueError(f"k={k}; accepted: 1 or more")
