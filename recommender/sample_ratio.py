"""Sample ratio: whether each arm has as many subjects as the assignment promises.

A mismatch means that subjects were lost or counted twice in one arm more than in another; no other
figure of the test can be believed then (Fabijan et al. 2019, *Diagnosing sample ratio mismatch in
online controlled experiments*). The test is Pearson's,

    X² = Σ_a (n_a - n w_a)² / (n w_a),    chi-square with (arms - 1) degrees of freedom,

at the threshold 0.001: it is looked at again and again, and a false alarm stops a sound test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from recommender.errors import InvalidInputError

THRESHOLD: Final = 0.001
"""Probability of a false alarm at one look."""


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Arms as counted beside arms as promised.

    Parameters
    ----------
    observed
        Subjects by arm.
    expected
        Subjects that the weights promise of the same whole, by arm.
    p_value
        Probability of a mismatch at least as large by chance; 1 for fewer than two arms, and where
        nobody takes part.
    """

    observed: Mapping[str, int]
    expected: Mapping[str, float]
    statistic: float
    p_value: float

    def is_mismatch(self, threshold: float = THRESHOLD) -> bool:
        """Whether chance does not explain it."""
        return self.p_value < threshold


def sample_ratio(observed: Mapping[str, int], weights: Mapping[str, float]) -> SampleRatio:
    """Compare counts with weights.

    Parameters
    ----------
    observed
        Subjects by arm; an arm with a weight and no count has none.
    weights
        Positive weight of each arm, in any unit.

    Raises
    ------
    InvalidInputError
        A weight is not a positive number, or an arm has a count and no weight.
    """
    _check(observed, weights)
    total, mass = sum(observed.values()), math.fsum(weights.values())
    counts = {arm: observed.get(arm, 0) for arm in weights}
    expected = {arm: total * weight / mass for arm, weight in weights.items()}
    if total == 0 or len(weights) < 2:
        return SampleRatio(counts, expected, 0.0, 1.0)
    statistic = math.fsum((counts[arm] - mean) ** 2 / mean for arm, mean in expected.items())
    return SampleRatio(counts, expected, statistic, chi_square_tail(statistic, len(weights) - 1))


def chi_square_tail(statistic: float, degrees: int) -> float:
    """P(X² ≥ statistic) for whole degrees of freedom, in closed form.

    Abramowitz and Stegun 1964, 26.4.4 and 26.4.5, with y = statistic / 2:

        even degrees k:  e^-y Σ_{j<k/2} y^j / j!
        odd degrees k:   erfc(√y) + e^-y Σ_{j=1}^{(k-1)/2} y^(j-1/2) / Γ(j + 1/2)
    """
    if degrees < 1 or not statistic >= 0:
        raise ValueError(f"statistic={statistic}, degrees={degrees}; accepted: >= 0 and >= 1")
    if statistic == 0:
        return 1.0
    half = statistic / 2
    is_odd = degrees % 2
    powers = [j - 0.5 for j in range(1, degrees // 2 + 1)] if is_odd else range(degrees // 2)
    # As logarithms: y^j alone overflows for what e^-y makes small again.
    logs = (power * math.log(half) - math.lgamma(power + 1) - half for power in powers)
    terms = math.fsum(math.exp(each) for each in logs)
    return min(1.0, terms + (math.erfc(math.sqrt(half)) if is_odd else 0.0))


def _check(observed: Mapping[str, int], weights: Mapping[str, float]) -> None:
    for arm, weight in weights.items():
        if not (math.isfinite(weight) and weight > 0):
            raise InvalidInputError(f"weight of arm {arm!r} is {weight}; accepted: above 0")
    if strange := sorted(set(observed) - set(weights)):
        raise InvalidInputError(
            f"arm {strange[0]!r} has subjects and no weight; weights are of: {sorted(weights)}"
        )
