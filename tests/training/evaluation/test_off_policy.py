from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recommender.errors import DataError
from training.evaluation.off_policy import (
    LoggedChoices,
    clipped_ips,
    control_variate,
    diagnose,
    doubly_robust,
    ips,
    judge,
    normalised_doubly_robust,
    snips,
    standard_error,
)


def log_of(reward: list[float], propensity: list[float], target: list[float], **more: Any) -> Any:
    columns = (np.array(column, np.float64) for column in (reward, propensity, target))
    return LoggedChoices(*columns, **more)


def test_by_hand() -> None:
    log = log_of([1, 0, 1, 0], [0.5, 0.5, 0.25, 0.25], [0.5, 0.25, 0.5, 0.0])
    assert ips(log).value == pytest.approx((1 + 0 + 2 + 0) / 4)
    assert snips(log).value == pytest.approx((1 + 2) / (1 + 0.5 + 2 + 0))
    assert clipped_ips(log, 1.5).value == pytest.approx((1 + 1.5) / 4)
    assert diagnose(log).ess == pytest.approx(3.5**2 / (1 + 0.25 + 4))


rewards = st.lists(st.integers(0, 3), min_size=2, max_size=30)


@given(rewards, st.floats(0.01, 1))
def test_of_its_own_policy_every_estimate_is_the_mean(reward: list[float], p: float) -> None:
    own = [p] * len(reward)
    log = log_of(reward, own, own, predicted=np.zeros(len(reward)), expected=np.zeros(len(reward)))
    for estimate in (ips, snips, control_variate, doubly_robust, normalised_doubly_robust):
        assert estimate(log).value == pytest.approx(np.mean(reward))
    assert diagnose(log).ess == pytest.approx(len(reward))


@given(rewards, st.integers(1, 5))
def test_a_repeated_subject_is_one_witness(reward: list[float], times: int) -> None:
    own = np.ones(len(reward))
    once = log_of(reward, own.tolist(), own.tolist(), subject=np.arange(len(reward)))
    many = log_of(
        reward * times,
        [1.0] * len(reward) * times,
        [1.0] * len(reward) * times,
        subject=np.tile(np.arange(len(reward)), times),
    )
    assert ips(many).value == pytest.approx(ips(once).value)
    assert ips(many).error == pytest.approx(ips(once).error)


def test_the_standard_error_of_a_mean_is_the_usual_one() -> None:
    values = np.array([1.0, 2.0, 4.0, 9.0])
    usual = values.std(ddof=1) / 2
    assert standard_error(values - values.mean(), None) == pytest.approx(usual)


def test_a_constant_shift_is_no_trouble_for_snips_and_control_variates() -> None:
    rng = np.random.default_rng(3)
    p = rng.uniform(0.1, 1, 500)
    target = rng.uniform(0, 1, 500)
    reward = rng.integers(0, 2, 500).astype(float)
    low, high = (LoggedChoices(reward + shift, p, target) for shift in (0.0, 100.0))
    for estimate in (snips, control_variate):
        assert estimate(high).value - estimate(low).value == pytest.approx(100)
    assert control_variate(high).error < ips(high).error


def test_without_support_there_is_no_estimate() -> None:
    n = 500
    log = log_of([1] * n, [0.5] * n, [0.5] * n, outside=np.full(n, 0.02))
    verdict = judge(log)
    assert verdict.estimates == ()
    assert verdict.refusal == (
        "the target puts 2.0% of its mass where logging has none; accepted: 1% at most"
    )


def test_with_few_effective_choices_there_is_no_estimate() -> None:
    verdict = judge(log_of([1] * 99, [0.5] * 99, [0.5] * 99))
    assert verdict.refusal is not None
    assert "99.0 of 99 choices; accepted: 100 or more" in verdict.refusal
    assert judge(log_of([1] * 100, [0.5] * 100, [0.5] * 100)).refusal is None
    nothing = judge(log_of([1] * 200, [0.5] * 200, [0.0] * 200))
    assert nothing.diagnosis.ess == 0
    assert nothing.refusal


def test_a_mean_weight_far_from_one_is_told() -> None:
    rng = np.random.default_rng(1)
    log = log_of([1] * 400, [0.5] * 400, rng.uniform(0, 0.5, 400).tolist())
    assert "the mean weight is" in (judge(log).diagnosis.warning or "")
    assert judge(log_of([1] * 400, [0.5] * 400, [0.5] * 400)).diagnosis.warning is None


@pytest.mark.parametrize(
    ("propensity", "target", "told"),
    [
        ([0.0], [0.1], "propensities such as 0.0"),
        ([1.5], [0.1], "accepted: above 0 to 1"),
        ([float("nan")], [0.1], "propensities such as nan"),
        ([0.5], [-0.1], "target such as -0.1"),
        ([], [], "no logged choice"),
    ],
)
def test_bad_logs_are_refused(propensity: list[float], target: list[float], told: str) -> None:
    with pytest.raises(DataError, match=told):
        log_of([1.0] * len(target), propensity, target)


def test_model_estimates_need_a_model() -> None:
    with pytest.raises(DataError, match="no predicted rewards"):
        doubly_robust(log_of([1], [1], [1]))
