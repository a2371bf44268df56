"""Intervals that hold at every look, however often one looks and whenever one stops.

The asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024,
*Time-uniform central limit theory and asymptotic confidence sequences*, Annals of Statistics
52(6), theorem 2.2: after t subjects, with the estimate's standard error s,

    estimate ± s √( (1 + 1 / (t rho²)) · 2 log( √(t rho² + 1) / alpha ) ).

rho > 0 must be chosen before the data are seen; it says where the sequence is narrowest. Their
equation for the best one at t* subjects:

    rho(t*) = √( (-2 log alpha + log(-2 log alpha) + 1) / t* ).

The guarantee is one of large samples: `LEAST` subjects in each arm come before the first look.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from recommender.terms import Float64Array
from training.evaluation.bootstrap import Interval
from training.experiment_spec import ExperimentSpec

LEAST: Final = 100
"""Subjects in each arm before which nothing is said."""


def tuned_rho(subjects: float, alpha: float) -> float:
    """The rho with which the sequence is narrowest after so many subjects of all arms together."""
    if subjects <= 0 or not 0 < alpha < 1:
        raise ValueError(f"subjects={subjects}, alpha={alpha}; accepted: > 0, and in (0, 1)")
    twice = -2 * math.log(alpha)
    return math.sqrt((twice + math.log(twice) + 1) / subjects) if twice > 1 else subjects**-0.5


def at_every_look(
    value: float, standard_error: float, subjects: int, spec: ExperimentSpec
) -> Interval:
    """The interval of an estimate that holds at every look, after so many subjects of all arms."""
    alpha = 1 - spec.confidence
    rho = tuned_rho(spec.tuned_subjects, alpha)
    half = float(half_width(standard_error, subjects, rho, alpha))
    return Interval(value, value - half, value + half)


def half_width(
    standard_error: npt.ArrayLike, subjects: npt.ArrayLike, rho: float, alpha: float
) -> Float64Array:
    """Half the width of the interval at each look, any shape.

    Parameters
    ----------
    standard_error
        Of the estimate at the look.
    subjects
        t, subjects of all arms together, at least 1.
    """
    scaled = np.asarray(subjects, np.float64) * rho**2
    widening = (1 + 1 / scaled) * 2 * (np.log1p(scaled) / 2 - math.log(alpha))
    return np.asarray(np.asarray(standard_error, np.float64) * np.sqrt(widening))
