from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.bootstrap import Bootstrap


def test_the_interval_of_a_mean_is_about_what_theory_says() -> None:
    values = np.random.default_rng(0).normal(3.0, 2.0, 2_000)
    found = Bootstrap.draw(2_000, 2_000, 0.95, 1).interval(values)
    half = 1.96 * values.std() / np.sqrt(2_000)
    assert found.mean == values.mean()
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)


def test_about_95_of_100_intervals_hold_the_truth() -> None:
    rng = np.random.default_rng(7)
    held = 0
    for trial in range(200):
        found = Bootstrap.draw(80, 200, 0.95, trial).interval(rng.exponential(1.0, 80))
        held += found.low <= 1.0 <= found.high
    assert 0.89 <= held / 200 <= 0.98


def test_a_paired_difference_is_surer_than_two_means() -> None:
    rng = np.random.default_rng(0)
    shopper = rng.normal(0, 5, 500)
    one, other = shopper + rng.normal(0.3, 0.1, 500), shopper
    draws = Bootstrap.draw(500, 500, 0.95, 0)
    difference = draws.interval(one - other)
    assert difference.low > 0.25
    assert draws.interval(one).low < draws.interval(other).high


@given(st.floats(-10, 10), st.integers(1, 30))
def test_equal_values_leave_no_doubt(value: float, users: int) -> None:
    found = Bootstrap.draw(users, 20, 0.9, 0).interval(np.full(users, value))
    assert (found.low, found.mean, found.high) == pytest.approx((value, value, value))


def test_shoppers_without_a_value_do_not_take_part() -> None:
    draws = Bootstrap.draw(4, 200, 0.95, 0)
    found = draws.interval(np.array([1.0, np.nan, 1.0, np.nan]))
    assert (found.low, found.mean, found.high) == (1, 1, 1)
    with pytest.raises(ValueError, match="no shopper has a value"):
        draws.interval(np.full(4, np.nan))


def test_each_draw_has_as_many_shoppers_as_there_are() -> None:
    draws = Bootstrap.draw(9, 50, 0.95, 3)
    assert (draws.counts.sum(axis=1) == 9).all()
    assert np.array_equal(draws.counts, Bootstrap.draw(9, 50, 0.95, 3).counts)
