from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from recommender.errors import InvalidInputError
from recommender.sample_ratio import chi_square_tail, sample_ratio

counts = st.lists(st.integers(0, 100_000), min_size=2, max_size=6)


@given(st.floats(0, 1_000), st.integers(1, 12))
def test_the_tail_is_that_of_scipy(statistic: float, degrees: int) -> None:
    expected = stats.chi2.sf(statistic, degrees)
    assert chi_square_tail(statistic, degrees) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(counts, st.lists(st.floats(0.01, 10), min_size=6, max_size=6))
def test_the_ratio_is_pearsons(observed: list[int], weights: list[float]) -> None:
    arms = [f"arm-{number}" for number in range(len(observed))]
    mass = dict(zip(arms, weights, strict=False))
    found = sample_ratio(dict(zip(arms, observed, strict=True)), mass)
    if sum(observed) == 0:
        assert found.p_value == 1.0
        return
    whole = sum(mass.values())
    expected = [sum(observed) * mass[arm] / whole for arm in arms]
    statistic, p_value = stats.chisquare(observed, expected)
    assert found.statistic == pytest.approx(statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(p_value, rel=1e-6, abs=1e-300)


def test_a_lost_half_point_of_a_large_test_is_found() -> None:
    assert sample_ratio({"a": 250_000, "b": 245_000}, {"a": 1, "b": 1}).is_mismatch()
    assert not sample_ratio({"a": 250_000, "b": 249_000}, {"a": 1, "b": 1}).is_mismatch()


def test_an_arm_without_anybody_counts_as_empty() -> None:
    found = sample_ratio({"a": 100}, {"a": 0.5, "b": 0.5})
    assert found.observed == {"a": 100, "b": 0}
    assert found.is_mismatch()


def test_one_arm_alone_cannot_mismatch() -> None:
    assert sample_ratio({"a": 7}, {"a": 1.0}).p_value == 1.0


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(weight: float) -> None:
    with pytest.raises(InvalidInputError, match="weight of arm 'b'"):
        sample_ratio({"a": 1, "b": 1}, {"a": 1.0, "b": weight})


def test_an_arm_that_nobody_announced_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="arm 'c' has subjects and no weight"):
        sample_ratio({"a": 1, "c": 1}, {"a": 1.0, "b": 1.0})


@pytest.mark.parametrize(("statistic", "degrees"), [(-1.0, 1), (float("nan"), 1), (1.0, 0)])
def test_a_tail_that_does_not_exist_is_refused(statistic: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="accepted"):
        chi_square_tail(statistic, degrees)
