"""Reading a test: sample ratio first, then the time before, metrics and guardrails.

Stage of the flow: answers of an experiment → units → **reading**. A mismatch of the sample ratio
ends the reading: no other figure is computed, so nobody can be tempted by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from feature_store.experiment_answers import VARIANT, read_experiment_answers
from feature_store.layout import StoreLayout
from recommender.errors import InvalidInputError
from recommender.sample_ratio import SampleRatio, sample_ratio
from training.dataset import moment
from training.evaluation.experiment.comparison import compare
from training.evaluation.experiment.report import (
    UNDECIDED,
    ArmFigures,
    Comparison,
    ExperimentReading,
)
from training.evaluation.experiment.units import Units, first_of, units_of
from training.experiment_spec import ExperimentSpec
from training.reports.journeys import session_gap

CONTROL: Final = "control"


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """What to read.

    Parameters
    ----------
    control
        Arm that the others are compared with; None: the one named ``control``, else the first by
        name.
    weights
        Weight of each arm where the log does not say it, such as for arms assigned elsewhere.
    phase
        None: the last one.
    until
        Nothing later counts, microseconds; None: all of the log.
    is_same
        The arms are known to be alike (A/A).
    """

    key: str
    control: str | None = None
    weights: tuple[tuple[str, float], ...] = ()
    phase: int | None = None
    until: int | None = None
    is_same: bool = False


def read_experiment(
    layout: StoreLayout, request: ReadRequest, spec: ExperimentSpec
) -> ExperimentReading:
    """Read a test from a store's log and tables.

    Raises
    ------
    DataError
        The log has no answer of it, or the tables or the secret of its pseudonyms are missing.
    InvalidInputError
        The control, or an arm with a weight, is unknown.
    """
    found = read_experiment_answers(layout, request.key, request.until)
    units = units_of(layout, found, spec, session_gap(layout), request.phase, request.until)
    control = _control(units, request.control)
    weights = dict(request.weights) or dict(units.weights)
    seen = dict(units.frame.group_by(VARIANT).len().sort(VARIANT).iter_rows())
    ratio = sample_ratio(seen, weights)
    refusal = _refusal(ratio, spec)
    treatments = [] if refusal else [arm for arm in sorted(seen) if arm != control]
    comparisons = tuple(compare(units, control, arm, spec) for arm in treatments)
    return ExperimentReading(
        request.key,
        units.phase,
        control,
        spec.primary,
        request.is_same,
        spec.confidence,
        spec.window_days,
        spec.pre_days,
        moment(first_of(units.frame)).isoformat(),
        moment(units.until).isoformat(),
        ratio.p_value,
        spec.srm_threshold,
        refusal,
        () if refusal else _doubts(units, comparisons, spec, is_same=request.is_same),
        _arms(units, ratio),
        comparisons,
        units.counts,
    )


def _control(units: Units, named: str | None) -> str:
    arms = units.frame[VARIANT].unique().sort().to_list()
    if named is not None and named not in arms:
        raise InvalidInputError(f"control {named!r} has no subject; the arms are: {arms}")
    return str(named or (CONTROL if CONTROL in arms else arms[0]))


def _refusal(ratio: SampleRatio, spec: ExperimentSpec) -> str | None:
    if not ratio.is_mismatch(spec.srm_threshold):
        return None
    arms = ", ".join(
        f"{arm} {count} (promised {ratio.expected[arm]:.0f})"
        for arm, count in ratio.observed.items()
    )
    return (
        f"sample ratio mismatch, p = {ratio.p_value:.3g} "
        f"(threshold {spec.srm_threshold:g}): {arms}; "
        "subjects were lost or counted twice in one arm more than in another; find out why first"
    )


def _doubts(
    units: Units, comparisons: tuple[Comparison, ...], spec: ExperimentSpec, *, is_same: bool
) -> tuple[str, ...]:
    found = []
    if units.closed.is_empty():
        found.append(f"no subject's window of {spec.window_days:g} days has ended")
    if len(units.currencies) > 1:
        found.append(f"revenue is left out: it is in {', '.join(units.currencies)}")
    for each in comparisons:
        for metric in each.metrics:
            before = metric.pre_period_p
            if before is not None and before < spec.pre_period_threshold:
                found.append(
                    f"{each.variant} differed from the control in {metric.name} before the test, "
                    f"p = {before:.3g}"
                )
            if is_same and metric.verdict != UNDECIDED:
                found.append(f"{each.variant} is {metric.verdict} in {metric.name}, of equal arms")
    return tuple(found)


def _arms(units: Units, ratio: SampleRatio) -> tuple[ArmFigures, ...]:
    closed = dict(units.closed.group_by(VARIANT).len().iter_rows())
    answered = {
        str(arm): rest
        for arm, *rest in units.answers.group_by(VARIANT)
        .agg(
            pl.len(),
            pl.col("latency_ms").quantile(0.95, "higher"),
            pl.col("model_version").unique().sort(),
        )
        .iter_rows()
    }
    return tuple(
        _arm(arm, ratio, closed.get(arm, 0), answered.get(arm, [0, None, []]))
        for arm in ratio.observed
    )


def _arm(variant: str, ratio: SampleRatio, closed: int, answered: list[Any]) -> ArmFigures:
    count, p95, models = answered
    expected, subjects = ratio.expected[variant], ratio.observed[variant]
    return ArmFigures(variant, subjects, expected, closed, count, p95, tuple(models))
