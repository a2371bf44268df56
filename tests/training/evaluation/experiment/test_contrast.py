from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from training.evaluation.experiment.contrast import Sample, contrast

values = st.lists(st.floats(-100, 100).map(lambda each: round(each, 3)), min_size=5, max_size=60)


def drawn(seed: int, n: int = 4_000, shift: float = 0.0) -> tuple[Sample, Sample]:
    """Two arms whose metric follows a covariate; the treatment's is shifted."""
    rng = np.random.default_rng(seed)
    covariate = rng.gamma(2.0, 1.0, 2 * n)
    numerator = covariate + rng.normal(0, 0.5, 2 * n)
    numerator[n:] += shift
    return Sample(numerator[:n], None, covariate[:n]), Sample(numerator[n:], None, covariate[n:])


@given(values, values)
def test_a_plain_mean_is_welchs_with_the_normal(one: list[float], other: list[float]) -> None:
    a, b = np.array(one), np.array(other)
    error = np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
    found = contrast(Sample(a), Sample(b), 0.95)
    if found is None:
        assert error < 1e-9
        return
    assert found.effect == pytest.approx(b.mean() - a.mean(), abs=1e-9)
    assert found.standard_error == pytest.approx(error, rel=1e-6)
    p_value = 2 * stats.norm.sf(abs(found.effect) / error)
    assert found.p_value == pytest.approx(p_value, rel=1e-6, abs=1e-12)


def test_a_ratio_has_the_error_of_the_delta_method() -> None:
    rng = np.random.default_rng(5)
    shown = rng.poisson(8.0, 5_000) + 1.0
    clicks = rng.binomial(shown.astype(int), 0.1).astype(float)
    arms = Sample(clicks[:2_500], shown[:2_500]), Sample(clicks[2_500:], shown[2_500:])
    found = contrast(*arms, 0.95)
    assert found is not None
    errors = [
        (each.numerator - each.value * each.denominator).var(ddof=1)
        / (len(each) * each.denominator.mean() ** 2)
        for each in arms
        if each.denominator is not None
    ]
    assert found.standard_error == pytest.approx(np.sqrt(sum(errors)), rel=1e-3)
    assert found.control == pytest.approx(clicks[:2_500].sum() / shown[:2_500].sum())


def test_a_covariate_narrows_the_interval_and_moves_the_truth_nowhere() -> None:
    control, treatment = drawn(1, shift=0.1)
    with_it = contrast(control, treatment, 0.95)
    without = contrast(Sample(control.numerator), Sample(treatment.numerator), 0.95)
    assert with_it is not None
    assert without is not None
    assert with_it.standard_error < 0.5 * without.standard_error
    assert with_it.low < 0.1 < with_it.high


def test_adjusted_by_least_squares() -> None:
    control, treatment = drawn(2)
    found = contrast(control, treatment, 0.95)
    assert found is not None
    assert control.covariate is not None
    assert treatment.covariate is not None
    # theta as pooled within the arms: their means do not take part.
    numerators = [each.numerator - each.numerator.mean() for each in (control, treatment)]
    covariates = [each - each.mean() for each in (control.covariate, treatment.covariate)]
    within = np.concatenate(covariates)
    theta = np.concatenate(numerators) @ within / (within @ within)
    gap = treatment.covariate.mean() - control.covariate.mean()
    plain = treatment.numerator.mean() - control.numerator.mean()
    assert found.effect == pytest.approx(plain - theta * gap, abs=1e-3)


def test_swapping_the_arms_turns_the_sign() -> None:
    control, treatment = drawn(3, shift=0.2)
    there, back = contrast(control, treatment, 0.9), contrast(treatment, control, 0.9)
    assert there is not None
    assert back is not None
    assert there.effect == pytest.approx(-back.effect)
    assert there.p_value == pytest.approx(back.p_value)


def test_a_constant_covariate_is_done_without() -> None:
    control, treatment = drawn(4)
    constant = [Sample(each.numerator, None, np.ones(len(each))) for each in (control, treatment)]
    plain = [Sample(each.numerator) for each in (control, treatment)]
    assert contrast(*constant, 0.95) == contrast(*plain, 0.95)


@pytest.mark.parametrize(
    "arm",
    [
        Sample(np.array([1.0])),
        Sample(np.ones(9)),
        Sample(np.zeros(9), np.zeros(9)),
    ],
)
def test_where_nothing_can_be_said_nothing_is(arm: Sample) -> None:
    assert contrast(arm, arm, 0.95) is None


def test_a_metric_of_zero_has_no_relative_effect() -> None:
    control, treatment = Sample(np.zeros(50)), Sample(np.arange(50.0))
    found = contrast(control, treatment, 0.95)
    assert found is not None
    assert found.relative is None
    assert found.effect == pytest.approx(24.5)


def test_rows_are_chosen_in_every_column() -> None:
    sample = Sample(np.arange(4.0), np.ones(4), np.arange(4.0) * 2)
    part = sample[np.array([True, False, True, False])]
    assert [each.tolist() for each in part.columns.values()] == [[0, 2], [1, 1], [0, 4]]
