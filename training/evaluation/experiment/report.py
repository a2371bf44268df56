"""A reading as data: JSON for machines, flat figures for MLflow."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from training.evaluation.bootstrap import Interval
from training.reports.report import Report

BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
OK, BROKEN, OPEN = "ok", "broken", "open"


def verdict_of(always: Interval | None, *, is_higher_better: bool = True) -> str:
    """Better, worse or undecided, by the interval that holds at every look; None: too few."""
    if always is None or always.low <= 0 <= always.high:
        return UNDECIDED
    return BETTER if (always.low > 0) == is_higher_better else WORSE


class ArmFigures(msgspec.Struct, frozen=True):
    """One arm.

    Parameters
    ----------
    expected
        Subjects that the weights promise.
    closed
        Subjects whose window has ended.
    latency_p95_ms
        None without an answer.
    models
        Bundle versions that answered.
    """

    variant: str
    subjects: int
    expected: float
    closed: int
    answers: int
    latency_p95_ms: float | None
    models: tuple[str, ...] = ()


class Look(msgspec.Struct, frozen=True):
    """What was known at the end of a day.

    Parameters
    ----------
    at
        ISO 8601, UTC.
    subjects
        Of control and treatment together.
    always
        Of the interval that holds at every look.
    """

    at: str
    subjects: int
    effect: float
    always: tuple[float, float]


class MetricReading(msgspec.Struct, frozen=True):
    """One metric, treatment minus control.

    Parameters
    ----------
    effect
        With the interval that holds for one look alone; `p_value` is its.
    always
        With the interval that holds at every look; None of too few subjects.
    relative
        Of one look, as a share of the control; None where the metric is 0 in an arm.
    variance_reduction
        Share of the variance that the time before explains.
    pre_period_p
        Of no difference before the test; None without a covariate that differs.
    verdict
        Of the interval that holds at every look: better, worse or undecided.
    """

    name: str
    is_higher_better: bool
    control: float
    treatment: float
    effect: Interval
    p_value: float
    always: Interval | None
    relative: Interval | None
    variance_reduction: float
    pre_period_p: float | None
    verdict: str
    trap: str
    looks: tuple[Look, ...] = ()


class GuardrailReading(msgspec.Struct, frozen=True):
    """One guardrail, treatment minus control.

    Parameters
    ----------
    tolerance
        How much worse the treatment may be.
    always
        None of too few subjects, and where there is no interval.
    verdict
        ``broken``: all of the interval is beyond the tolerance; ``ok``: all is within; else
        ``open``.
    """

    name: str
    control: float
    treatment: float
    effect: float
    tolerance: float
    always: Interval | None
    verdict: str
    trap: str


class Comparison(msgspec.Struct, frozen=True):
    """A treatment beside the control."""

    variant: str
    metrics: tuple[MetricReading, ...]
    guardrails: tuple[GuardrailReading, ...]

    def metric(self, name: str) -> MetricReading | None:
        """A metric by its name; None where nothing could be said."""
        return next((each for each in self.metrics if each.name == name), None)

    @property
    def broken(self) -> tuple[str, ...]:
        """Names of the broken guardrails."""
        return tuple(each.name for each in self.guardrails if each.verdict == BROKEN)


class ExperimentReading(Report, frozen=True):
    """Everything that one reading found.

    Parameters
    ----------
    period_start, period_end
        From the first exposure to the moment up to which everything is known; ISO 8601, UTC.
    is_same
        The arms are known to be alike (A/A): any difference is a fault of the measurement.
    srm_p
        Of arms as large as promised.
    refusal
        Why nothing else was read; None where it was.
    doubts
        Why nothing should be decided by it.
    """

    experiment: str
    phase: int
    control: str
    primary: str
    is_same: bool
    confidence: float
    window_days: float
    pre_days: float
    period_start: str
    period_end: str
    srm_p: float
    srm_threshold: float
    refusal: str | None
    doubts: tuple[str, ...]
    arms: tuple[ArmFigures, ...]
    comparisons: tuple[Comparison, ...]
    counts: Mapping[str, int]

    @property
    def is_refused(self) -> bool:
        """Whether nothing but the arms was read."""
        return self.refusal is not None

    def comparison(self, variant: str) -> Comparison | None:
        """The comparison of a treatment; None where there is none."""
        return next((each for each in self.comparisons if each.variant == variant), None)

    @property
    def flat(self) -> dict[str, float]:
        """Figures for MLflow, ``<variant>_<metric>_…``."""
        found = {"srm_p": self.srm_p}
        for arm in self.arms:
            found |= {f"{arm.variant}_subjects": arm.subjects, f"{arm.variant}_closed": arm.closed}
        for each in self.comparisons:
            for metric in each.metrics:
                name = f"{each.variant}_{metric.name}"
                found |= {f"{name}_effect": metric.effect.mean, f"{name}_p": metric.p_value}
                if metric.always:
                    found |= {f"{name}_low": metric.always.low, f"{name}_high": metric.always.high}
            for rail in each.guardrails:
                found[f"{each.variant}_{rail.name}_gain"] = rail.effect
        return found
