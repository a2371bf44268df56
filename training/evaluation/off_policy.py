"""What another policy would have earned, from choices that one policy made and logged.

Notation, for the logged choices i = 1..n::

    r   reward                      p   propensity: logging policy's probability of what it showed
    t   target's probability of it  w   t / p, the importance weight
    q   predicted reward of what was shown
    v   Σ over all actions of (target's probability x predicted reward)

    IPS      mean(w r)                              Horvitz and Thompson 1952
    clipped  mean(min(w, c) r)                      Ionides 2008; biased downwards for r >= 0
    CV       mean(w r - b (w - 1)), b = cov(w r, w) / var(w): mean(w) = 1 is known; Owen, Monte
             Carlo theory, 2013, 8.9
    SNIPS    Σ w r / Σ w                            Swaminathan and Joachims 2015
    DM       mean(v)                                the model is believed
    DR       mean(v + w (r - q))                    Dudík, Langford and Li 2011
    SNDR     mean(v) + Σ w (r - q) / Σ w            Thomas and Brunskill 2016

Intervals are asymptotic: the standard error is that of the sum of each subject's influence
(choices of one subject are not independent), the ends are normal quantiles. DM has the interval of
its mean only; that the model is wrong does not show in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np

from recommender.errors import DataError
from recommender.terms import Float64Array, Int64Array

LEAST_ESS: Final = 100.0
MOST_OUTSIDE: Final = 0.01
CLIP: Final = 10.0


@dataclass(frozen=True, slots=True)
class LoggedChoices:
    """Choices of one policy, and what another one would have done.

    Parameters
    ----------
    reward, propensity, target
        float64 (n,); propensities in (0, 1], target's probabilities in [0, 1].
    predicted, expected
        q and v of the module's notation, float64 (n,); None without a model of the reward.
    outside
        Share of the target's probability that lies where the logging policy has none, float64
        (n,); None where the log does not tell.
    subject
        Whose choice it is, int64 (n,); None: each its own.
    """

    reward: Float64Array
    propensity: Float64Array
    target: Float64Array
    predicted: Float64Array | None = None
    expected: Float64Array | None = None
    outside: Float64Array | None = None
    subject: Int64Array | None = None

    def __post_init__(self) -> None:
        if not len(self.reward):
            raise DataError("no logged choice; accepted: at least one")
        bad = ~((self.propensity > 0) & (self.propensity <= 1))
        if bad.any():
            found = float(self.propensity[bad][0])
            raise DataError(f"{bad.sum()} propensities such as {found}; accepted: above 0 to 1")
        bad = ~((self.target >= 0) & (self.target <= 1 + 1e-9))
        if bad.any():
            found = float(self.target[bad][0])
            raise DataError(
                f"{bad.sum()} probabilities of the target such as {found}; accepted: 0..1"
            )

    def __len__(self) -> int:
        return len(self.reward)

    @property
    def weight(self) -> Float64Array:
        """w, float64 (n,)."""
        return self.target / self.propensity


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its standard error and interval."""

    name: str
    value: float
    error: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an estimate rests on; never printed without.

    Parameters
    ----------
    mean_weight, weight_error
        Should be 1, and its standard error.
    ess
        Effective sample size (Σ w)² / Σ w²; Kong 1992.
    outside
        Share of the target's probability where logging has none; None where nobody knows.
    """

    choices: int
    mean_weight: float
    weight_error: float
    ess: float
    max_weight: float
    outside: float | None = None

    @property
    def refusal(self) -> str | None:
        """Why no estimate may be told; None where it may."""
        reasons = []
        if self.outside is not None and self.outside > MOST_OUTSIDE:
            reasons.append(
                f"the target puts {self.outside:.1%} of its mass where logging has none; "
                f"accepted: {MOST_OUTSIDE:.0%} at most"
            )
        if not self.ess >= LEAST_ESS:
            reasons.append(
                f"the effective sample size is {self.ess:.1f} of {self.choices:,} choices; "
                f"accepted: {LEAST_ESS:.0f} or more"
            )
        return "; ".join(reasons) or None

    @property
    def warning(self) -> str | None:
        """The mean weight is not what it must be: propensities or support are wrong."""
        if abs(self.mean_weight - 1) <= 3 * self.weight_error + 1e-9:
            return None
        return (
            f"the mean weight is {self.mean_weight:.4f}, more than three standard errors "
            f"({self.weight_error:.4f}) from 1"
        )


def diagnose(log: LoggedChoices) -> Diagnosis:
    """What estimates from a log rest on."""
    outside = None if log.outside is None else float(log.outside.mean())
    return diagnosed(log.weight, log.subject, outside)


def diagnosed(weight: Float64Array, subject: Int64Array | None, outside: float | None) -> Diagnosis:
    """What estimates with these weights, float64 (n,), rest on."""
    squares = float((weight**2).sum())
    return Diagnosis(
        choices=len(weight),
        mean_weight=float(weight.mean()),
        weight_error=standard_error(weight - weight.mean(), subject),
        ess=float(weight.sum()) ** 2 / squares if squares else 0.0,
        max_weight=float(weight.max()),
        outside=outside,
    )


def standard_error(influence: Float64Array, subject: Int64Array | None) -> float:
    """Of a mean, from each choice's influence on it, float64 (n,); subjects are the units."""
    sums = influence if subject is None else np.bincount(subject, influence)
    units = len(sums) if subject is None else len(np.unique(subject))
    spread = float((sums**2).sum()) * units / max(units - 1, 1)
    return float(np.sqrt(spread)) / len(influence)


def estimated(
    name: str,
    value: float,
    influence: Float64Array,
    subject: Int64Array | None,
    confidence: float = 0.95,
) -> Estimate:
    """A value with its interval.

    Parameters
    ----------
    influence
        By how much each choice moves the value, times n, float64 (n,); sums to about 0.
    """
    error = standard_error(influence, subject)
    reach = NormalDist().inv_cdf(0.5 + confidence / 2) * error
    return Estimate(name, value, error, value - reach, value + reach)


def mean_of(name: str, terms: Float64Array, subject: Int64Array | None) -> Estimate:
    """The mean of one term per choice, float64 (n,)."""
    value = float(terms.mean())
    return estimated(name, value, terms - value, subject)


def normalised(
    name: str, weight: Float64Array, reward: Float64Array, subject: Int64Array | None
) -> Estimate:
    """Σ w r / Σ w; its influence by the delta method. NaN where all weights are 0."""
    total = float(weight.sum())
    value = float((weight * reward).sum()) / total if total else float("nan")
    return estimated(name, value, weight * (reward - value) * len(weight) / (total or 1), subject)


def ips(log: LoggedChoices) -> Estimate:
    """Inverse propensity scoring."""
    return mean_of("IPS", log.weight * log.reward, log.subject)


def clipped_ips(log: LoggedChoices, most: float = CLIP) -> Estimate:
    """The same with no weight above `most`."""
    return mean_of(
        f"clipped IPS ({most:g})", np.minimum(log.weight, most) * log.reward, log.subject
    )


def control_variate(log: LoggedChoices) -> Estimate:
    """IPS, corrected by what is known of the mean weight."""
    weight, terms = log.weight, log.weight * log.reward
    spread = float(weight.var())
    slope = float(np.mean((terms - terms.mean()) * (weight - weight.mean()))) / (spread or 1.0)
    return mean_of("IPS with control variate", terms - slope * (weight - 1), log.subject)


def snips(log: LoggedChoices) -> Estimate:
    """Self-normalised inverse propensity scoring."""
    return normalised("SNIPS", log.weight, log.reward, log.subject)


def direct(log: LoggedChoices) -> Estimate:
    """The direct method. Raises `DataError` without a model of the reward."""
    _, expected = _model_of(log)
    return mean_of("DM", expected, log.subject)


def doubly_robust(log: LoggedChoices) -> Estimate:
    """Model and weights, right where one of them is. Raises `DataError` without a model."""
    predicted, expected = _model_of(log)
    return mean_of("DR", expected + log.weight * (log.reward - predicted), log.subject)


def normalised_doubly_robust(log: LoggedChoices) -> Estimate:
    """The same, self-normalised. Raises `DataError` without a model of the reward."""
    predicted, expected = _model_of(log)
    residual = log.reward - predicted
    part = normalised("", log.weight, residual, log.subject)
    total = float(log.weight.sum()) or 1.0
    influence = log.weight * (residual - part.value) * len(log) / total
    influence = influence + expected - expected.mean()
    return estimated("SNDR", float(expected.mean()) + part.value, influence, log.subject)


def _model_of(log: LoggedChoices) -> tuple[Float64Array, Float64Array]:
    if log.predicted is None or log.expected is None:
        raise DataError(
            "no predicted rewards; accepted: `predicted` and `expected`, one per choice"
        )
    return log.predicted, log.expected


WITHOUT_MODEL: Final[Mapping[str, Callable[[LoggedChoices], Estimate]]] = {
    "ips": ips,
    "clipped_ips": clipped_ips,
    "control_variate": control_variate,
    "snips": snips,
}
WITH_MODEL: Final[Mapping[str, Callable[[LoggedChoices], Estimate]]] = {
    "dm": direct,
    "dr": doubly_robust,
    "sndr": normalised_doubly_robust,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """Estimates and what they rest on; without estimates where they would overreach.

    Parameters
    ----------
    refusal
        Why there are none.
    """

    diagnosis: Diagnosis
    estimates: tuple[Estimate, ...]
    refusal: str | None


def judge(log: LoggedChoices) -> Verdict:
    """All estimates that a log allows."""
    diagnosis = diagnose(log)
    if diagnosis.refusal:
        return Verdict(diagnosis, (), diagnosis.refusal)
    ways = WITHOUT_MODEL if log.predicted is None else {**WITHOUT_MODEL, **WITH_MODEL}
    return Verdict(diagnosis, tuple(way(log) for way in ways.values()), None)
