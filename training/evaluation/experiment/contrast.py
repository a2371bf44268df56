"""Treatment minus control in one metric, from one row per subject.

Notation: subject i brings a numerator y_i, a denominator d_i (1 where there is none) and a
covariate x_i from before the first exposure. The metric is R = Σ y / Σ d. Subjects are independent,
rows of one subject are not, so the variance of R is that of the delta method (Deng, Knoblich and
Lu 2018, *Applying the delta method in metric analytics*):

    Var R ≈ Var( y_i - R d_i ) / (n d̄²).

With a covariate, R - θ (x̄ - x̄_all) takes its place, θ = Cov(R, x̄) / Var(x̄) over both arms (CUPED;
Deng, Xu, Kohavi and Walker 2013, *Improving the sensitivity of online controlled experiments*): the
same expectation, because x was fixed before the arms differed, and less variance.

Both are computed by tea-tasting; the intervals that hold at every look are
`training.evaluation.experiment.sequential`'s, around the same estimate and standard error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from recommender.terms import BoolArray, Float64Array

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

_Y: Final = "numerator"
_D: Final = "denominator"
_X: Final = "covariate"


@dataclass(frozen=True, slots=True)
class Sample:
    """What the subjects of one arm bring to a metric.

    Parameters
    ----------
    numerator
        float64 (n,).
    denominator
        float64 (n,); None for a mean per subject.
    covariate
        float64 (n,), of before the first exposure; None to do without.
    """

    numerator: Float64Array
    denominator: Float64Array | None = None
    covariate: Float64Array | None = None

    def __len__(self) -> int:
        return len(self.numerator)

    def __getitem__(self, rows: BoolArray) -> Sample:
        return Sample(*(None if each is None else each[rows] for each in self._parts))  # type: ignore[arg-type]

    @property
    def _parts(self) -> tuple[Float64Array | None, ...]:
        return self.numerator, self.denominator, self.covariate

    @property
    def columns(self) -> dict[str, Float64Array]:
        """The columns that there are, by name."""
        named = zip((_Y, _D, _X), self._parts, strict=True)
        return {name: column for name, column in named if column is not None}

    @property
    def value(self) -> float:
        """The metric; NaN where nothing is counted."""
        whole = float(len(self)) if self.denominator is None else float(self.denominator.sum())
        return float(self.numerator.sum()) / whole if whole > 0 else math.nan


@dataclass(frozen=True, slots=True)
class Contrast:
    """The difference, as of one look.

    Parameters
    ----------
    control, treatment
        The metric in each arm, adjusted where there is a covariate.
    effect, standard_error
        Treatment minus control.
    low, high
        Of the interval that holds for one look alone.
    relative, relative_low, relative_high
        Effect / control; None where the metric is 0 in an arm.
    p_value
        Two-sided, of no difference, for one look alone.
    """

    control: float
    treatment: float
    effect: float
    standard_error: float
    low: float
    high: float
    p_value: float
    relative: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None


def contrast(control: Sample, treatment: Sample, confidence: float) -> Contrast | None:
    """Compare two arms.

    Returns
    -------
    Contrast or None
        None where nothing can be said: an arm has fewer than two subjects or counts nothing, or
        no subject differs from another.
    """
    if min(len(control), len(treatment)) < 2:
        return None
    if math.isnan(control.value) or math.isnan(treatment.value):
        return None
    control, treatment = _usable(control, treatment)
    if _is_constant(control) and _is_constant(treatment):
        return None
    from tea_tasting.metrics import RatioOfMeans

    metric = RatioOfMeans(
        _Y,
        _D if control.denominator is not None else None,
        _X if control.covariate is not None else None,
        confidence_level=confidence,
        equal_var=False,
        use_t=False,
    )
    found = metric.analyze_aggregates(_aggregates(control), _aggregates(treatment))
    width = found.effect_size_ci_upper - found.effect_size_ci_lower
    error = float(width) / 2 / NormalDist().inv_cdf((1 + confidence) / 2)
    if not (math.isfinite(error) and error > 0):
        return None
    relative = (
        found.rel_effect_size,
        found.rel_effect_size_ci_lower,
        found.rel_effect_size_ci_upper,
    )
    is_known = found.control > 0 and found.treatment > 0 and all(map(math.isfinite, relative))
    return Contrast(
        float(found.control),
        float(found.treatment),
        float(found.effect_size),
        error,
        float(found.effect_size_ci_lower),
        float(found.effect_size_ci_upper),
        float(found.pvalue),
        *(map(float, relative) if is_known else ()),
    )


def _usable(control: Sample, treatment: Sample) -> tuple[Sample, Sample]:
    """Without a covariate that is the same for everybody: it says nothing."""
    covariates = [each.covariate for each in (control, treatment) if each.covariate is not None]
    if len(covariates) == 2 and np.ptp(np.concatenate(covariates)) > 0:
        return control, treatment
    return Sample(control.numerator, control.denominator), Sample(
        treatment.numerator, treatment.denominator
    )


def _is_constant(sample: Sample) -> bool:
    residual = sample.numerator
    if sample.denominator is not None:
        residual = residual - sample.value * sample.denominator
    return bool(np.allclose(residual, residual[0], rtol=0, atol=1e-15))


def _aggregates(sample: Sample) -> Aggregates:
    from tea_tasting.aggr import Aggregates

    columns = sample.columns
    covariance = np.atleast_2d(np.cov(np.stack(list(columns.values())), ddof=1))
    place = {name: number for number, name in enumerate(columns)}
    return Aggregates(
        len(sample),
        {name: float(column.mean()) for name, column in columns.items()},
        {name: float(covariance[place[name], place[name]]) for name in columns},
        {
            pair: float(covariance[place[pair[0]], place[pair[1]]])
            for pair in combinations(columns, 2)
        },
    )
