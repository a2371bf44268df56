"""A treatment beside the control: every metric, every guardrail, and how it went over time.

Metrics are of the subjects whose window has ended, so that a subject counts once, with all of its
outcomes, at the first look after that; this is what makes the looks a sequence of independent
subjects. Guardrails cannot wait: they are of everybody so far, with sums that may still grow, and
the guarantee of every look is approximate there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import polars as pl

from feature_store.experiment_answers import VARIANT
from recommender.terms import BoolArray, Float64Array
from training.dataset import moment
from training.evaluation.bootstrap import Interval
from training.evaluation.experiment.contrast import Contrast, Sample, contrast
from training.evaluation.experiment.coverage import thinned
from training.evaluation.experiment.metrics import METRICS, Metric, guardrails
from training.evaluation.experiment.outcomes import UNIT
from training.evaluation.experiment.report import (
    BROKEN,
    OK,
    OPEN,
    Comparison,
    GuardrailReading,
    Look,
    MetricReading,
    verdict_of,
)
from training.evaluation.experiment.sequential import at_every_look
from training.evaluation.experiment.units import CLOSED_AT, DAY_MICROS, Units
from training.experiment_spec import ExperimentSpec

MOST_LOOKS = 60


def compare(units: Units, control: str, treatment: str, spec: ExperimentSpec) -> Comparison:
    """Read one treatment."""
    closed = units.closed.filter(pl.col(VARIANT).is_in([control, treatment]))
    is_treated = (closed[VARIANT] == treatment).to_numpy()
    wanted = [each for each in METRICS if each.name != "revenue" or len(units.currencies) < 2]
    metrics = tuple(
        reading
        for metric in wanted
        if (reading := _read(metric, closed, is_treated, spec)) is not None
    )
    rails = (*_guard(units, control, treatment, spec), *_cover(units, control, treatment, spec))
    return Comparison(treatment, metrics, rails)


def _read(
    metric: Metric, closed: pl.DataFrame, is_treated: BoolArray, spec: ExperimentSpec
) -> MetricReading | None:
    sample = _sample(closed, metric)
    found = contrast(sample[~is_treated], sample[is_treated], spec.confidence)
    if found is None:
        return None
    always = _always(found, is_treated, spec)
    return MetricReading(
        metric.name,
        metric.is_higher_better,
        found.control,
        found.treatment,
        Interval(found.effect, found.low, found.high),
        found.p_value,
        always,
        _relative(found),
        _reduction(sample, found, is_treated, spec),
        _pre_period(sample, is_treated, spec),
        verdict_of(always, is_higher_better=metric.is_higher_better),
        metric.trap,
        tuple(_looks(sample, closed[CLOSED_AT].to_numpy(), is_treated, spec)),
    )


def _sample(frame: pl.DataFrame, metric: Metric) -> Sample:
    def column(name: str | None) -> Float64Array | None:
        return None if name is None else frame[name].to_numpy().astype(np.float64)

    numerator = frame[metric.numerator].to_numpy().astype(np.float64)
    return Sample(numerator, column(metric.denominator), column(metric.covariate))


def _always(found: Contrast, is_treated: BoolArray, spec: ExperimentSpec) -> Interval | None:
    """The interval that holds at every look; None of too few subjects in an arm."""
    if min(is_treated.sum(), (~is_treated).sum()) < spec.least_subjects:
        return None
    return at_every_look(found.effect, found.standard_error, len(is_treated), spec)


def _exact(effect: float, is_treated: BoolArray, spec: ExperimentSpec) -> Interval | None:
    """The difference where no subject of an arm differs from another, such as lists always empty.

    It has no standard error; it is believed of as many subjects as any other.
    """
    if min(is_treated.sum(), (~is_treated).sum()) < spec.least_subjects:
        return None
    return Interval(effect, effect, effect)


def _relative(found: Contrast) -> Interval | None:
    if found.relative is None or found.relative_low is None or found.relative_high is None:
        return None
    return Interval(found.relative, found.relative_low, found.relative_high)


def _reduction(
    sample: Sample, found: Contrast, is_treated: BoolArray, spec: ExperimentSpec
) -> float:
    plain = Sample(sample.numerator, sample.denominator)
    without = contrast(plain[~is_treated], plain[is_treated], spec.confidence)
    return 0.0 if without is None else 1 - (found.standard_error / without.standard_error) ** 2


def _pre_period(sample: Sample, is_treated: BoolArray, spec: ExperimentSpec) -> float | None:
    if sample.covariate is None:
        return None
    before = Sample(sample.covariate)
    found = contrast(before[~is_treated], before[is_treated], spec.confidence)
    return None if found is None else found.p_value


def _looks(
    sample: Sample, closed_at: Float64Array, is_treated: BoolArray, spec: ExperimentSpec
) -> Iterator[Look]:
    """The intervals as they would have been at the end of each day."""
    days = np.unique(closed_at // DAY_MICROS)
    for day in days[:: -(-len(days) // MOST_LOOKS)]:
        end = (int(day) + 1) * DAY_MICROS
        known = closed_at < end
        there = is_treated[known]
        so_far = sample[known]
        found = contrast(so_far[~there], so_far[there], spec.confidence)
        always = None if found is None else _always(found, there, spec)
        if always is not None:
            interval = (always.low, always.high)
            yield Look(moment(end).isoformat(), int(known.sum()), always.mean, interval)


def _guard(
    units: Units, control: str, treatment: str, spec: ExperimentSpec
) -> Iterator[GuardrailReading]:
    frame = _with_slow(units, control).filter(pl.col(VARIANT).is_in([control, treatment]))
    is_treated = (frame[VARIANT] == treatment).to_numpy()
    for metric in guardrails(spec.tolerances):
        sample = _sample(frame, metric)
        here, there = sample[~is_treated], sample[is_treated]
        if np.isnan(here.value) or np.isnan(there.value):
            continue  # nothing of it was measured, such as the share of changes
        found = contrast(here, there, spec.confidence)
        tolerance, effect = metric.tolerance or 0.0, there.value - here.value
        always = _exact(effect, is_treated, spec)
        if found is not None:
            always = _always(found, is_treated, spec)
        verdict = _rail_verdict(always, tolerance, is_alike=found is None and effect == 0)
        yield GuardrailReading(
            metric.name, here.value, there.value, effect, tolerance, always, verdict, metric.trap
        )


def _with_slow(units: Units, control: str) -> pl.DataFrame:
    """Units with the number of answers that took longer than 95 % of the control's."""
    of_control = units.answers.filter(pl.col(VARIANT) == control)["latency_ms"]
    limit = of_control.quantile(0.95, "higher") or 0.0
    slow = units.answers.group_by(UNIT).agg(
        (pl.col("latency_ms") > limit).sum().cast(pl.Float64).alias("slow")
    )
    return units.frame.join(slow, on=UNIT, how="left").with_columns(pl.col("slow").fill_null(0.0))


def _rail_verdict(always: Interval | None, tolerance: float, *, is_alike: bool) -> str:
    if is_alike:
        return OK
    if always is None:
        return OPEN
    if always.low > tolerance:
        return BROKEN
    return OK if always.high <= tolerance else OPEN


def _cover(
    units: Units, control: str, treatment: str, spec: ExperimentSpec
) -> Iterator[GuardrailReading]:
    shown = {
        arm: units.answers.filter(pl.col(VARIANT) == arm)["item_ids"].explode().drop_nulls()
        for arm in (control, treatment)
    }
    size = min(len(each) for each in shown.values())
    if size == 0:
        return
    here, there = (
        thinned(shown[arm].value_counts()["count"].to_numpy().astype(np.int64), size)
        for arm in (control, treatment)
    )
    lost = 1 - there / here
    verdict = BROKEN if lost > spec.max_coverage_loss else OK
    yield GuardrailReading(
        "items_shown",
        here,
        there,
        there - here,
        spec.max_coverage_loss,
        None,
        verdict,
        f"different items among {size} showings; the tolerance is a share of the control's; "
        "no interval",
    )
