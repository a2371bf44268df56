"""Which of two interleaved rankings the outcomes prefer.

An outcome on an item is credited to the team that drafted it, see `recommender.interleaving`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from recommender.interleaving import FIRST, SECOND
from recommender.terms import Float64Array


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two rankings is preferred.

    Parameters
    ----------
    value
        Wins of the first minus wins of the second, as a share of the subjects with a credit, in
        [-1, 1]: above 0 the first is preferred.
    standard_error
        Of the value; 0 where nobody has a credit.
    low, high
        Normal interval.
    wins, losses, ties
        Subjects by whom they credited more.
    """

    value: float
    standard_error: float
    low: float
    high: float
    wins: int
    losses: int
    ties: int


def preference(first: Float64Array, second: Float64Array, confidence: float = 0.95) -> Preference:
    """Preference by subject: one vote each, for the team with more credit.

    The sign test's statistic as in Chapelle, Joachims, Radlinski and Yue 2012, *Large-scale
    validation and analysis of interleaved search evaluation*, with subjects for queries: answers to
    one subject are not independent. Subjects without any credit say nothing and are not counted.

    Parameters
    ----------
    first, second
        Credits of each subject, float64 (n,), not negative; of competitive places only, or of all.
    """
    if len(first) != len(second):
        raise ValueError(f"credits of {len(first)} and {len(second)} subjects; accepted: as many")
    votes = np.sign(first - second)[(first + second) > 0]
    wins, losses = int((votes > 0).sum()), int((votes < 0).sum())
    if not len(votes):
        return Preference(0.0, 0.0, -1.0, 1.0, 0, 0, 0)
    value = (wins - losses) / len(votes)
    error = float(np.sqrt(max(np.mean(votes**2) - value**2, 0.0) / len(votes)))
    half = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return Preference(
        value,
        error,
        max(value - half, -1.0),
        min(value + half, 1.0),
        wins,
        losses,
        len(votes) - wins - losses,
    )


def credits_of(
    picks: Sequence[tuple[int, bool]], outcomes: Sequence[float], *, competitive_only: bool = True
) -> tuple[float, float]:
    """Credit of both teams in one list.

    Parameters
    ----------
    picks
        ``(team, competitive)`` of each place.
    outcomes
        What came of each place, such as clicks or purchases.
    competitive_only
        Leave out places that say nothing of which ranking is better: the same expectation of the
        difference, less noise.
    """
    totals = [0.0, 0.0]
    for (team, competitive), outcome in zip(picks, outcomes, strict=True):
        if competitive or not competitive_only:
            totals[team] += outcome
    return totals[FIRST], totals[SECOND]
